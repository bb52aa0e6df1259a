"""Wait for the cleanest slot before the deadline."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from simulators.errors import InputError
from simulators.quantities.commands import Command
from simulators.scheduler.observation import Observation
from simulators.scheduler.policy import HOLD, MOST_WAITING, expect, release


def best_start(signal: ArrayLike, length: int) -> int:
    """Where the contiguous stretch of so many steps with the lowest mean begins; the earliest of equals.

    (Non-interrupting shifting of P. Wiesner, I. Behnke, D. Scheinert, K. Gontarska, L. Thamsen, "Let's Wait Awhile",
    Middleware 2021, section 4.)

    Parameters
    ----------
    signal
        Carbon intensity or price of the steps in which it may run; shape (n,).
    length
        Steps it takes, 1 to n.

    Examples
    --------
    >>> best_start([5.0, 1.0, 9.0, 3.0, 3.0], 2), best_start([5.0, 1.0, 9.0, 3.0, 3.0], 1)
    (0, 1)
    >>> best_start([5.0, 2.0, 9.0, 3.0, 3.0], 2)
    3
    """
    values = np.asarray(signal, dtype=np.float64)
    if not 1 <= length <= len(values):
        raise InputError(f"a slot of {length} steps, expected 1 to {len(values)}")
    sums = np.cumsum(np.concatenate(([0.0], values)))
    return int(np.argmin(sums[length:] - sums[:-length]))


@dataclass
class WaitAwhile:
    """Hold until the cleanest contiguous slot that the deadlines leave begins, release within it.

    Attributes
    ----------
    slot_s
        Length of the slot, s.
    window_s
        How far ahead the slot may lie, s. None: as long as requests may wait.
    most_waiting
        Requests that may queue at the replicas per slot they have; while more do, nothing is released. inf: no limit.

    Examples
    --------
    >>> rule = WaitAwhile(slot_s=3600.0)
    >>> ahead = np.array([300.0, 100.0, 200.0])
    >>> [next(rule.decide(Observation(3600 * k, 3600, ci_forecast_g_per_kwh=ahead[k:]))).hold for k in range(3)]
    [True, False, False]
    """

    needs: ClassVar[frozenset[str]] = frozenset({"carbon_forecast", "queue"})

    slot_s: float = 3600.0
    window_s: float | None = None
    most_waiting: float = MOST_WAITING
    _until_s: float = field(default=-1.0, init=False, repr=False)

    def __post_init__(self) -> None:
        expect(self.slot_s > 0, "wait", f"a positive slot_s, not {self.slot_s} s")
        window_s = self.window_s
        expect(window_s is None or window_s > 0, "wait", f"a positive window, not {window_s} s")
        expect(self.most_waiting >= 0, "wait", f"most_waiting >= 0, not {self.most_waiting}")

    def decide(self, observation: Observation) -> Iterator[Command]:
        facts, step_s, now_s = observation.facts, observation.step_s, observation.time_s
        ahead = observation.ci_forecast_g_per_kwh
        if not len(ahead):
            raise InputError("policy 'wait': needs CI_forecast[gCO2eq/kWh], which is not connected")
        if now_s >= self._until_s:
            window_s = self.window_s
            if window_s is None:
                window_s = (
                    facts.defer_window_s - facts.serve_s if facts.defer_window_s else len(ahead) * step_s
                )
            ahead = ahead[: max(1, round(window_s / step_s))]
            length = min(len(ahead), max(1, round(self.slot_s / step_s)))
            if best_start(ahead, length) > 0:
                yield HOLD
                return
            self._until_s = now_s + length * step_s
        yield release(observation, max(self._until_s - now_s, step_s), self.most_waiting)
