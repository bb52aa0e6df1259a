"""Gather what can wait and serve it in one go, whatever the grid is like."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from simulators.quantities.commands import Command
from simulators.scheduler.observation import Observation
from simulators.scheduler.policy import HOLD, MOST_WAITING, expect, release


@dataclass(frozen=True)
class Bunch:
    """Hold for a while, then release: blind to carbon and price, it shows what fuller batches alone save.

    Attributes
    ----------
    period_s
        Length of a round of holding and releasing, s. None: as long as requests may wait.
    hold_share
        Share of the round in which requests are held, 0 to below 1.
    most_waiting
        Requests that may queue at the replicas per slot they have; while more do, nothing is released. inf: no limit.

    Examples
    --------
    >>> rule = Bunch(period_s=4000.0)
    >>> [next(rule.decide(Observation(t, 60))).hold for t in (0, 2940, 3000, 3960, 4020)]
    [True, True, False, False, True]
    """

    needs: ClassVar[frozenset[str]] = frozenset({"queue"})

    period_s: float | None = None
    hold_share: float = 0.75
    most_waiting: float = MOST_WAITING

    def __post_init__(self) -> None:
        period_s = self.period_s
        expect(period_s is None or period_s > 0, "bunch", f"a positive period, not {period_s} s")
        expect(0 <= self.hold_share < 1, "bunch", f"hold_share 0 to below 1, not {self.hold_share}")
        expect(self.most_waiting >= 0, "bunch", f"most_waiting >= 0, not {self.most_waiting}")

    def decide(self, observation: Observation) -> Iterator[Command]:
        period_s = self.period_s or observation.facts.defer_window_s or observation.step_s
        into_s = observation.time_s % period_s
        if into_s < self.hold_share * period_s:
            yield HOLD
        else:
            yield release(observation, max(period_s - into_s, observation.step_s), self.most_waiting)
