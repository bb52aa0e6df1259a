"""Hold while the voltage at the site's bus sags."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

from simulators.quantities.commands import Command
from simulators.scheduler.observation import Observation
from simulators.scheduler.policy import HOLD, MOST_WAITING, expect, need, release


@dataclass
class VoltageThreshold:
    """Hold while the site's bus sags, release once it has recovered.

    Attributes
    ----------
    hold_below_pu, release_at_pu
        Voltages, per unit; the second is at least the first. EN 50160 allows 0.9 to 1.1.
    spread_s
        Release those held evenly over this time, s; 0: at once.
    most_waiting
        Requests that may queue at the replicas per slot they have; while more do, nothing is released. inf: no limit.

    Examples
    --------
    >>> rule = VoltageThreshold()
    >>> [next(rule.decide(Observation(0, 60, vm_pu=v))).hold for v in (0.96, 0.94, 0.96, 0.975)]
    [False, True, True, False]
    """

    needs: ClassVar[frozenset[str]] = frozenset({"voltage", "queue"})

    hold_below_pu: float = 0.95
    release_at_pu: float = 0.97
    spread_s: float = 900.0
    most_waiting: float = MOST_WAITING
    _holding: bool = field(default=False, init=False, repr=False)

    def __post_init__(self) -> None:
        expect(0 < self.hold_below_pu <= self.release_at_pu, "voltage", "0 < hold_below_pu <= release_at_pu")
        expect(self.spread_s >= 0, "voltage", f"spread_s >= 0, not {self.spread_s}")
        expect(self.most_waiting >= 0, "voltage", f"most_waiting >= 0, not {self.most_waiting}")

    def decide(self, observation: Observation) -> Iterator[Command]:
        voltage_pu = need(observation.vm_pu, "vm_pu[1]", "voltage")
        self._holding = voltage_pu < (self.release_at_pu if self._holding else self.hold_below_pu)
        yield HOLD if self._holding else release(observation, self.spread_s, self.most_waiting)
