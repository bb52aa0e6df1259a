"""Keep the site's power within a budget by what is measured at the meter."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import ceil, inf
from typing import ClassVar

from simulators.quantities.commands import Command, PowerCap
from simulators.scheduler.observation import Observation
from simulators.scheduler.policy import expect, need

LOWEST_OVER_IDLE = 1.05
"""A cap must be above what an idle GPU draws; so much above it is the lowest that is asked for."""


@dataclass
class WattBudget:
    """Keep the measured power of the site below a budget with the GPUs' power caps (integral feedback).

    Servers and cooling are in what the meter shows, so that the GPUs get what these leave.

    Attributes
    ----------
    budget_w
        Most the site may draw, all copies, W.
    gain
        Share of the difference that is corrected in a step, above 0 to 1.

    Examples
    --------
    >>> from simulators.quantities.facts import SiteFacts
    >>> facts = SiteFacts(gpus=8, gpu_limit_w=700.0, gpu_idle_w=100.0)
    >>> rule = WattBudget(budget_w=4000.0)
    >>> [round(next(rule.decide(Observation(t, 60, load_w=w, facts=facts))).watts) for t, w in ((0, 0.0), (60, 5000.0))]
    [700, 562]
    """

    needs: ClassVar[frozenset[str]] = frozenset({"load"})

    budget_w: float = inf
    gain: float = 0.5
    _cap_w: float = field(default=inf, init=False, repr=False)

    def __post_init__(self) -> None:
        expect(self.budget_w > 0, "watt", f"budget_w above 0, not {self.budget_w}")
        expect(0 < self.gain <= 1, "watt", f"gain above 0 to 1, not {self.gain}")

    def decide(self, observation: Observation) -> Iterator[Command]:
        load_w = need(observation.load_w, "P_load[MW]", "watt")
        facts = observation.facts
        most_w = facts.gpu_limit_w
        if observation.time_s > 0 and self.budget_w < inf:
            meter_w = facts.gpus * facts.copies * facts.meter_per_gpu_w
            spare_w = (self.budget_w - load_w) / meter_w
            hosts = ceil(facts.replicas / facts.replicas_per_host) * facts.copies
            drawn_w = (load_w - hosts * facts.host_w) / meter_w
            # a cap above what is drawn binds nothing: correct from there
            before_w = min(self._cap_w, most_w, drawn_w if spare_w < 0 else inf)
            self._cap_w = before_w + self.gain * spare_w
        self._cap_w = min(max(self._cap_w, LOWEST_OVER_IDLE * facts.gpu_idle_w), most_w)
        yield PowerCap(self._cap_w)
