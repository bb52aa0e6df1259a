"""Hold while grid power is dear, release while it is cheap."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

from simulators.quantities.commands import Command
from simulators.scheduler.observation import Observation
from simulators.scheduler.policy import HOLD, MOST_WAITING, expect, need, quantile, release


@dataclass
class PriceThreshold:
    """Hold while grid power is dear, release while it is cheap.

    Dear is above a fixed threshold, or above the `quantile` of the prices seen over the last `window_s`.

    Attributes
    ----------
    quantile
        Share of the past window that counts as cheap, above 0 to 1.
    window_s
        How far back to look, s.
    threshold_per_kwh
        Fixed threshold in place of the quantile.
    spread_s
        Release those held evenly over this time, s; 0: at once.
    most_waiting
        Requests that may queue at the replicas per slot they have; while more do, nothing is released. inf: no limit.

    Examples
    --------
    >>> rule = PriceThreshold(threshold_per_kwh=0.3)
    >>> [next(rule.decide(Observation(0, 60, price_per_kwh=price))).hold for price in (0.31, -0.1)]
    [True, False]
    """

    needs: ClassVar[frozenset[str]] = frozenset({"price", "queue"})

    quantile: float = 0.3
    window_s: float = 86400.0
    threshold_per_kwh: float | None = None
    spread_s: float = 900.0
    most_waiting: float = MOST_WAITING
    _seen: deque[tuple[int, float]] = field(default_factory=deque, init=False, repr=False)
    _ascending: list[float] = field(default_factory=list, init=False, repr=False)

    def __post_init__(self) -> None:
        expect(0 < self.quantile <= 1, "price", f"a quantile above 0 to 1, not {self.quantile}")
        expect(self.window_s > 0, "price", f"a positive window, not {self.window_s} s")
        expect(self.spread_s >= 0, "price", f"spread_s >= 0, not {self.spread_s}")
        expect(self.most_waiting >= 0, "price", f"most_waiting >= 0, not {self.most_waiting}")

    def decide(self, observation: Observation) -> Iterator[Command]:
        now = need(observation.price_per_kwh, "price[1/kWh]", "price")
        if self.threshold_per_kwh is not None:
            threshold = self.threshold_per_kwh
        else:
            self._seen.append((observation.time_s, now))
            insort(self._ascending, now)
            while self._seen[0][0] <= observation.time_s - self.window_s:
                _, old = self._seen.popleft()
                del self._ascending[bisect_left(self._ascending, old)]
            threshold = quantile(self._ascending, self.quantile)
        yield HOLD if now > threshold else release(observation, self.spread_s, self.most_waiting)
