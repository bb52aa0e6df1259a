"""How interactive requests fare at present: quantiles of latencies over the last while."""

from __future__ import annotations

from collections import deque

import numpy as np

from simulators.inference.batching.state import Records
from simulators.quantities.latencies import latencies

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
        self._parts: deque[tuple[float, Records]] = deque()

    def add(self, finished: Records, until: float) -> None:
        """Take those finished in an interval that ended at `until`, s."""
        self._parts.append((until, finished))
        while self._parts[0][0] <= until - self._window_s:
            self._parts.popleft()

    def quantile(self, name: str, share: float = 0.99) -> float | None:
        """A quantile of ``ttft_s`` or ``tpot_s``, s; None while there is none."""
        # only now: most runs never ask
        values = [latencies(part[part["deferrable"] == 0])[name] for _, part in self._parts]
        known = np.concatenate(values) if values else np.zeros(0)
        known = known[~np.isnan(known)]
        return float(np.quantile(known, share)) if len(known) else None
