"""What a replica draws and how fast it answers, against the rate of requests it gets, in each of its modes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Mode:
    """How a replica runs, and what it then does; arrays have shape (rates,).

    Attributes
    ----------
    clock
        Relative clock limit, above 0 to 1.
    chunk_tokens
        Token bound of a batch.
    rate_per_s
        Requests per second, ascending from 0.
    gpu_w
        Power of all GPUs of the replica, W.
    busy
        Share of the time in which iterations run, 1.
    ttft_p99_s, tpot_p99_s
        99th percentiles at that rate, s; at rate 0 those of the lowest rate.
    """

    clock: float
    chunk_tokens: int
    rate_per_s: Array
    gpu_w: Array
    busy: Array
    ttft_p99_s: Array
    tpot_p99_s: Array

    def watts(self, rate_per_s: float) -> float:
        """Power of the replica's GPUs at a rate, W; beyond the highest rate that of the highest."""
        return float(np.interp(rate_per_s, self.rate_per_s, self.gpu_w))

    def most_per_s(self, ttft_s: float, tpot_s: float) -> float:
        """The highest rate at which both 99th percentiles keep a limit, 1/s; 0 if none does.

        Examples
        --------
        >>> rates = np.array([0.0, 1.0, 2.0])
        >>> mode = Mode(1.0, 4096, rates, 100 * rates, rates / 2, 0.5 + rates, 0.02 + 0.02 * rates)
        >>> mode.most_per_s(ttft_s=2.0, tpot_s=0.1), round(mode.most_per_s(ttft_s=9.0, tpot_s=0.05), 6)
        (1.5, 1.5)
        """
        return min(
            _crossing(self.rate_per_s, self.ttft_p99_s, ttft_s),
            _crossing(self.rate_per_s, self.tpot_p99_s, tpot_s),
        )


def _crossing(rates: Array, values: Array, limit: float) -> float:
    """Where values first pass a limit, interpolated; the last rate if they do not."""
    above = np.flatnonzero(values > limit)
    if not len(above):
        return float(rates[-1])
    k = int(above[0])
    if k == 0:
        return 0.0
    share = (limit - values[k - 1]) / (values[k] - values[k - 1])
    return float(rates[k - 1] + share * (rates[k] - rates[k - 1]))


@dataclass(frozen=True)
class LoadCurve:
    """One replica in all its modes.

    Attributes
    ----------
    modes
        The first is the one it is configured for.
    """

    modes: tuple[Mode, ...]

    def to_plain(self) -> list[dict[str, Any]]:
        """As JSON values."""
        return [
            {
                name: value.tolist() if isinstance(value, np.ndarray) else value
                for name, value in vars(mode).items()
            }
            for mode in self.modes
        ]

    @classmethod
    def from_plain(cls, plain: list[Mapping[str, Any]]) -> LoadCurve:
        """What `to_plain` gave."""
        arrays = ("rate_per_s", "gpu_w", "busy", "ttft_p99_s", "tpot_p99_s")
        modes = []
        for entry in plain:
            given: dict[str, Any] = dict(entry)
            modes.append(Mode(**given | {name: np.asarray(given[name], dtype=np.float64) for name in arrays}))
        return cls(tuple(modes))
