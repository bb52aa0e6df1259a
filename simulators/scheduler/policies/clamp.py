"""The same power cap on every GPU at all times, as a share of its limit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from simulators.quantities.commands import Command, PowerCap
from simulators.scheduler.observation import Observation
from simulators.scheduler.policies.watt import LOWEST_OVER_IDLE
from simulators.scheduler.policy import expect


@dataclass(frozen=True)
class Clamp:
    """Cap every GPU at a share of its power limit, whatever is measured: how sites are planned by nameplate.

    Attributes
    ----------
    share
        Of the limit of a GPU (TDP), above 0 to 1.

    Examples
    --------
    >>> from simulators.quantities.facts import SiteFacts
    >>> next(Clamp(share=0.6).decide(Observation(0, 60, facts=SiteFacts(gpu_limit_w=700.0))))
    PowerCap(watts=420.0)
    """

    needs: ClassVar[frozenset[str]] = frozenset()

    share: float = 0.6

    def __post_init__(self) -> None:
        expect(0 < self.share <= 1, "clamp", f"a share above 0 to 1, not {self.share}")

    def decide(self, observation: Observation) -> Iterator[Command]:
        facts = observation.facts
        yield PowerCap(max(self.share * facts.gpu_limit_w, LOWEST_OVER_IDLE * facts.gpu_idle_w))
