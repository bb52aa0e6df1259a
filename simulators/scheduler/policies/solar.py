"""Hold while own generation does not carry the load."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import isnan
from typing import ClassVar

from simulators.quantities.commands import Command
from simulators.scheduler.observation import Observation
from simulators.scheduler.policy import HOLD, MOST_WAITING, expect, need, release


@dataclass
class SolarFollowing:
    """Hold while own generation does not carry the load, release while it does, or while the battery is full.

    Holding lowers the very load it looks at. Generation is therefore measured against the load seen when
    requests last flowed, and requests once released flow until it falls below `hold_below` of the load.

    Attributes
    ----------
    release_at
        Generation over load from which requests are released, > 0.
    hold_below
        Generation over load below which they are held again, at most `release_at`.
    soc_release
        Release too from this state of charge on (more than 1: never).
    spread_s
        Release those held evenly over this time, s; 0: at once.
    most_waiting
        Requests that may queue at the replicas per slot they have; while more do, nothing is released. inf: no limit.

    Examples
    --------
    >>> rule = SolarFollowing()
    >>> [next(rule.decide(Observation(0, 60, generation_w=w, load_w=500.0))).hold for w in (400.0, 600.0, 450.0)]
    [True, False, False]
    """

    needs: ClassVar[frozenset[str]] = frozenset({"generation", "load", "charge", "queue"})

    release_at: float = 1.0
    hold_below: float = 0.8
    soc_release: float = 0.95
    spread_s: float = 900.0
    most_waiting: float = MOST_WAITING
    _released: bool = field(default=False, init=False, repr=False)
    _flowing_load_w: float = field(default=0.0, init=False, repr=False)

    def __post_init__(self) -> None:
        expect(self.release_at > 0, "solar", f"release_at above 0, not {self.release_at}")
        expect(0 <= self.hold_below <= self.release_at, "solar", "0 <= hold_below <= release_at")
        expect(self.spread_s >= 0, "solar", f"spread_s >= 0, not {self.spread_s}")
        expect(self.most_waiting >= 0, "solar", f"most_waiting >= 0, not {self.most_waiting}")

    def decide(self, observation: Observation) -> Iterator[Command]:
        generation_w = need(observation.generation_w, "P_gen[MW]", "solar")
        load_w = need(observation.load_w, "P_load[MW]", "solar")
        if self._released:
            self._flowing_load_w = load_w
        limit = self.hold_below if self._released else self.release_at
        carried = generation_w >= limit * max(load_w, self._flowing_load_w)
        full = not isnan(observation.soc) and observation.soc >= self.soc_release
        self._released = full or (generation_w > 0 and carried)
        yield release(observation, self.spread_s, self.most_waiting) if self._released else HOLD
