"""Keep the site's power within a budget by what is measured at the meter."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import ceil, inf, isnan

from simulators.quantities.commands import Command, PowerCap
from simulators.quantities.facts import SiteFacts
from simulators.scheduler.observation import Observation
from simulators.scheduler.policy import expect, need

LOWEST_OVER_IDLE = 1.05
"""A cap must be above what an idle GPU draws; so much above it is the lowest that is asked for."""


@dataclass
class WattBudget:
    """Keep the measured power of the site below a budget with the GPUs' power caps (integral feedback).

    Servers and cooling are in what the meter shows, so that the GPUs get what these leave. What is measured is a step
    old: the first step of a sudden rise exceeds the budget by feedback alone. ``ahead`` never lets it: the cap is at
    most what keeps the budget with every server busy and every GPU at its cap, whatever requests come.

    Attributes
    ----------
    budget_w
        Most the site may draw, all copies, W.
    gain
        Share of the difference that is corrected in a step, above 0 to 1.
    of
        Which power is kept: ``load`` (of the facility) or ``import`` (what own generation leaves, from the grid).
    ahead
        Whether the budget holds in every step, also for what cannot be foreseen.

    Examples
    --------
    >>> from simulators.quantities.facts import SiteFacts
    >>> facts = SiteFacts(gpus=8, gpu_limit_w=700.0, gpu_idle_w=100.0)
    >>> rule = WattBudget(budget_w=4000.0)
    >>> [round(next(rule.decide(Observation(t, 60, load_w=w, facts=facts))).watts) for t, w in ((0, 0.0), (60, 5000.0))]
    [700, 562]
    """

    budget_w: float = inf
    gain: float = 0.5
    of: str = "load"
    ahead: bool = False
    _cap_w: float = field(default=inf, init=False, repr=False)

    def __post_init__(self) -> None:
        expect(self.budget_w > 0, "watt", f"budget_w above 0, not {self.budget_w}")
        expect(0 < self.gain <= 1, "watt", f"gain above 0 to 1, not {self.gain}")
        expect(self.of in ("load", "import"), "watt", f"of=load or of=import, not {self.of}")

    @property
    def needs(self) -> frozenset[str]:
        """Signals it wants to see."""
        return frozenset({"load"} if self.of == "load" else {"load", "exchange", "generation"})

    def decide(self, observation: Observation) -> Iterator[Command]:
        need(observation.load_w, "P_load[MW]", "watt")
        facts = observation.facts
        if self.budget_w == inf:
            cap_w = facts.gpu_limit_w
        elif self.ahead:
            cap_w = self._certain_w(observation)
        elif observation.time_s > 0:
            cap_w = self._corrected_w(observation)
        else:
            cap_w = self._cap_w
        self._cap_w = min(max(cap_w, LOWEST_OVER_IDLE * facts.gpu_idle_w), facts.gpu_limit_w)
        yield PowerCap(self._cap_w)

    def _certain_w(self, seen: Observation) -> float:
        """The cap at which the budget holds with every server busy and every GPU at it, W."""
        facts = seen.facts
        none = self.of == "load" or isnan(seen.generation_w)  # no generation is connected
        own_w = 0.0 if none else seen.generation_w
        servers_w = _servers(facts) * (facts.host_w + facts.host_busy_w)
        return (self.budget_w + own_w - servers_w) / _meter(facts)

    def _corrected_w(self, seen: Observation) -> float:
        """The cap of the step before, moved by a share of what was drawn too much or too little then, W."""
        facts = seen.facts
        kept_w = seen.load_w if self.of == "load" else need(seen.import_w, "P_import[MW]", "watt")
        spare_w = (self.budget_w - kept_w) / _meter(facts)
        drawn_w = (seen.load_w - _servers(facts) * facts.host_w) / _meter(facts)
        # a cap above what is drawn binds nothing: correct from there
        before_w = min(self._cap_w, facts.gpu_limit_w, drawn_w if spare_w < 0 else inf)
        return before_w + self.gain * spare_w


def _meter(facts: SiteFacts) -> float:
    """W at the meter for each W that every GPU of the site draws."""
    return facts.gpus * facts.copies * facts.meter_per_gpu_w


def _servers(facts: SiteFacts) -> float:
    """Servers of the site."""
    return ceil(facts.replicas / facts.replicas_per_host) * facts.copies
