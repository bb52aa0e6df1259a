"""As few replicas as the load needs, the others and their servers off."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import isfinite
from typing import ClassVar

from simulators.errors import InputError
from simulators.quantities.commands import Awake, Command
from simulators.scheduler.fleet import Fleet
from simulators.scheduler.observation import Observation
from simulators.scheduler.policy import expect

HORIZON_S = 3600.0
"""How far ahead arrivals are looked at, s: longer than any replica takes to wake."""

SMOOTH_S = 600.0
"""Time constant of the mean of the arrivals seen, s: short beside the hours in which they change, long enough that
chance does not wake a replica."""


@dataclass
class Consolidate:
    """As few replicas awake as keep the latency targets, woken ahead of need; nothing is held.

    Attributes
    ----------
    target
        Share of the rate at which a replica just keeps the targets that it is loaded to, above 0 to 1.
    least
        Replicas that are always awake, >= 1.
    stay_s
        A replica is parked only if it was not needed for so long, s.

    Examples
    --------
    >>> Consolidate(target=0.8).needs >= {"load_curve", "arrivals_forecast"}
    True
    """

    needs: ClassVar[frozenset[str]] = frozenset({"queue", "arrivals_forecast", "load_curve", "replicas"})
    horizon_s: ClassVar[float] = HORIZON_S
    clock: ClassVar[bool] = False

    target: float = 0.9
    least: int = 1
    stay_s: float = 900.0
    _fleet: Fleet | None = field(default=None, init=False, repr=False)
    _seen_per_s: float = field(default=-1.0, init=False, repr=False)
    _needed_at: dict[int, float] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        expect(0 < self.target <= 1, "consolidate", f"a target above 0 to 1, not {self.target}")
        expect(self.least >= 1, "consolidate", f"least >= 1, not {self.least}")
        expect(self.stay_s >= 0, "consolidate", f"stay_s >= 0, not {self.stay_s}")

    def decide(self, observation: Observation) -> Iterator[Command]:
        if self._fleet is None:
            if not isfinite(observation.facts.replica_off_w):
                raise InputError(
                    "policy 'consolidate': nothing is known of parking this GPU, expected another --gpu"
                )
            self._fleet = Fleet(observation.facts, clock=self.clock, chunk=self.clock, least=self.least)
        replicas = self._replicas(observation, self._fleet)
        yield Awake(replicas, "host_off" if replicas < observation.facts.replicas else "off")
        yield from self.tuned(observation, self._fleet)

    def tuned(self, observation: Observation, fleet: Fleet) -> Iterator[Command]:
        """What else is set once the replicas are: nothing here."""
        yield from ()

    def expected_per_s(self, seen: Observation, lead_s: float = 0.0) -> float:
        """The highest rate from now to so far ahead, as foreseen or as lately seen."""
        told = seen.arrivals_forecast_per_s
        last = int(lead_s // (seen.facts.forecast_step_s or seen.step_s))
        window = max(1, round(SMOOTH_S / (seen.facts.forecast_step_s or seen.step_s)))
        foreseen = float(told[: last + window].mean()) if len(told) else 0.0
        if last:
            foreseen = max(foreseen, float(told[last : last + window].mean()) if last < len(told) else 0.0)
        return max(foreseen, self._seen_per_s)

    def _replicas(self, seen: Observation, fleet: Fleet) -> int:
        if seen.time_s > 0:
            now_per_s = seen.arrived / seen.step_s
            before = self._seen_per_s if self._seen_per_s >= 0 else now_per_s
            self._seen_per_s = before + min(1.0, seen.step_s / SMOOTH_S) * (now_per_s - before)

        def soon(lead_s: float) -> float:
            return self.expected_per_s(seen, lead_s) / self.target

        needed = fleet.ahead_of_need(soon(0.0), soon, seen.step_s)
        for count in range(1, needed + 1):
            self._needed_at[count] = seen.time_s
        recent = [count for count, at in self._needed_at.items() if seen.time_s - at <= self.stay_s]
        return max(recent)
