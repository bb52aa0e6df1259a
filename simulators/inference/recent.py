"""How interactive requests fare at present: quantiles of latencies over the last while."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from simulators.inference.batching.state import Records
from simulators.quantities.latencies import latencies

Times = dict[str, NDArray[np.float64]]

WINDOW_S = 900.0
"""How far back it looks, s: some thousand requests on a busy replica, so that a 99th percentile means something."""


class Recent:
    """Latencies of the interactive requests finished lately.

    Parameters
    ----------
    window_s
        How far back, s.
    """

    def __init__(self, window_s: float = WINDOW_S) -> None:
        self._window_s = window_s
        self._parts: deque[tuple[float, Records | Times]] = deque()

    def add(self, finished: Records, until: float) -> None:
        """Take those finished in an interval that ended at `until`, s."""
        self._parts.append((until, finished))
        while self._parts[0][0] <= until - self._window_s:
            self._parts.popleft()

    def quantile(self, name: str, share: float = 0.99) -> float | None:
        """A quantile of ``ttft_s`` or ``tpot_s``, s; None while there is none."""
        for number, (until, part) in enumerate(self._parts):
            if isinstance(part, np.ndarray):  # only now, and once: most runs never ask
                self._parts[number] = (until, _times(part))
        values = [part[name] for _, part in self._parts]
        known = np.concatenate(values) if values else np.zeros(0)
        known = known[~np.isnan(known)]
        return float(np.quantile(known, share)) if len(known) else None


def _times(finished: Records) -> Times:
    found = latencies(finished[finished["deferrable"] == 0])
    return {name: found[name] for name in ("ttft_s", "tpot_s")}
