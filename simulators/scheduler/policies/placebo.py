"""The carbon rule with a wrong intensity: what it saves has nothing to do with carbon."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import ClassVar

from simulators.quantities.commands import Command
from simulators.scheduler.observation import Observation
from simulators.scheduler.policies.carbon import CarbonThreshold
from simulators.scheduler.policy import MOST_WAITING


@dataclass(frozen=True)
class Placebo:
    """The rule ``carbon``, told that clean hours are dirty and dirty ones clean: a control for honest comparison.

    The intensity it sees is mirrored within the range of its forecast; own generation it does not see.

    Attributes
    ----------
    quantile
        Share of the coming window that counts as clean, above 0 to 1.
    most_waiting
        Requests that may queue at the replicas per slot they have; while more do, nothing is released. inf: no limit.

    Examples
    --------
    >>> import numpy as np
    >>> ahead = np.array([300.0, 200.0, 400.0])
    >>> dirty, clean = (Observation(0, 60, ci_g_per_kwh=now, ci_forecast_g_per_kwh=ahead) for now in (400.0, 200.0))
    >>> next(Placebo().decide(dirty)).hold, next(Placebo().decide(clean)).hold
    (False, True)
    """

    needs: ClassVar[frozenset[str]] = frozenset({"carbon", "carbon_forecast", "queue"})

    quantile: float = 0.3
    most_waiting: float = MOST_WAITING
    _rule: CarbonThreshold = field(init=False, repr=False)

    def __post_init__(self) -> None:
        rule = CarbonThreshold(quantile=self.quantile, most_waiting=self.most_waiting, surplus_is_clean=False)
        object.__setattr__(self, "_rule", rule)

    def decide(self, observation: Observation) -> Iterator[Command]:
        ahead = observation.ci_forecast_g_per_kwh
        if not len(ahead):
            return self._rule.decide(observation)  # which names what is missing
        turned = ahead.max() + ahead.min()
        wrong = replace(
            observation,
            ci_g_per_kwh=turned - observation.ci_g_per_kwh,
            ci_forecast_g_per_kwh=turned - ahead,
        )
        return self._rule.decide(wrong)
