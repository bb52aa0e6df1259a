"""Draw less as the network sags or its lines fill."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import isnan
from typing import ClassVar

from simulators.errors import InputError
from simulators.quantities.commands import Command, PowerCap
from simulators.scheduler.observation import Observation
from simulators.scheduler.policies.watt import LOWEST_OVER_IDLE
from simulators.scheduler.policy import HOLD, MOST_WAITING, expect, release


@dataclass
class Droop:
    """Lower the GPUs' power cap in a straight line as voltage sags or lines fill, and hold what can wait meanwhile.

    The worse of voltage and line loading counts; what is not connected counts not. (A voltage droop as generators have
    it, turned round for a load.) What is seen is a step old, so that a cap which followed it both ways at once would
    swing between too much and too little: it falls at once and rises in parts.

    Attributes
    ----------
    full_above_pu, least_below_pu
        Voltage at the site's bus from which on all power may be drawn, and at which the least is, per unit. EN 50160
        allows 0.9 to 1.1.
    full_below_percent, least_above_percent
        Line loading up to which all power may be drawn, and at which the least is, %.
    least_share
        The least cap as a share of a GPU's limit, above 0 to 1.
    rise
        Share of the way to a higher cap that is gone in a step, above 0 to 1.
    spread_s
        Release those held evenly over this time, s; 0: at once.
    most_waiting
        Requests that may queue at the replicas per slot they have; while more do, nothing is released. inf: no limit.

    Examples
    --------
    >>> from simulators.quantities.facts import SiteFacts
    >>> facts = SiteFacts(gpu_limit_w=700.0, gpu_idle_w=100.0)
    >>> [round(next(Droop().decide(Observation(0, 60, vm_pu=v, facts=facts))).watts) for v in (0.99, 0.955, 0.93)]
    [700, 490, 280]
    """

    needs: ClassVar[frozenset[str]] = frozenset({"voltage", "loading", "queue"})

    full_above_pu: float = 0.97
    least_below_pu: float = 0.94
    full_below_percent: float = 80.0
    least_above_percent: float = 100.0
    least_share: float = 0.4
    rise: float = 0.25
    spread_s: float = 900.0
    most_waiting: float = MOST_WAITING
    _share: float = field(default=1.0, init=False, repr=False)

    def __post_init__(self) -> None:
        expect(0 < self.least_below_pu < self.full_above_pu, "droop", "0 < least_below_pu < full_above_pu")
        expect(
            0 <= self.full_below_percent < self.least_above_percent,
            "droop",
            "0 <= full_below_percent < least_above_percent",
        )
        expect(0 < self.least_share <= 1, "droop", f"least_share above 0 to 1, not {self.least_share}")
        expect(0 < self.rise <= 1, "droop", f"rise above 0 to 1, not {self.rise}")
        expect(self.spread_s >= 0, "droop", f"spread_s >= 0, not {self.spread_s}")
        expect(self.most_waiting >= 0, "droop", f"most_waiting >= 0, not {self.most_waiting}")

    def decide(self, observation: Observation) -> Iterator[Command]:
        voltage, loading = observation.vm_pu, observation.line_loading_percent
        if isnan(voltage) and isnan(loading):
            raise InputError("policy 'droop': needs vm_pu[1] or line_loading_max[%], which are not connected")
        room = 1.0
        if not isnan(voltage):
            room = min(room, (voltage - self.least_below_pu) / (self.full_above_pu - self.least_below_pu))
        if not isnan(loading):
            span = self.least_above_percent - self.full_below_percent
            room = min(room, (self.least_above_percent - loading) / span)
        room = max(room, 0.0)
        facts = observation.facts
        share = self.least_share + (1.0 - self.least_share) * room
        self._share = min(share, self._share + self.rise * (share - self._share))
        yield PowerCap(max(self._share * facts.gpu_limit_w, LOWEST_OVER_IDLE * facts.gpu_idle_w))
        yield HOLD if room < 1.0 else release(observation, self.spread_s, self.most_waiting)
