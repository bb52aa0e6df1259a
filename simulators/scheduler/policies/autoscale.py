"""As many replicas as measured load or queue asks for, by the rule that fleets are scaled by today."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import ceil, isfinite
from typing import ClassVar

from simulators.errors import InputError
from simulators.quantities.commands import Awake, Command
from simulators.quantities.facts import SiteFacts
from simulators.scheduler.observation import Observation
from simulators.scheduler.policy import expect

MEASURES = ("load", "queue")


@dataclass
class Autoscale:
    """As many replicas as keep what is measured at a target, up at once and down late; it neither foresees nor holds.

    The rule of the Kubernetes horizontal pod autoscaler (documentation, "Algorithm details"): so many more replicas
    than now as what is measured is above the target, rounded up, unless within the tolerance; of what was wanted in the
    last `stay_s` the most. Replicas that start count already, so that no more are ordered while they load: a step of
    the load is answered after what `facts.wake_s` and `facts.boot_s` take, and until then the queue grows.

    Attributes
    ----------
    of
        What is measured: ``load``, requests running or queued over those that may run at once, or ``queue``, requests
        queued per replica.
    target
        Of it; for ``load`` above 0 to 1, for ``queue`` above 0 (e.g. 4).
    least, most
        Replicas, >= 1; most=0: all there are.
    stay_s
        Replicas are parked only if no more were wanted for so long, s: 300 is that autoscaler's.
    tolerance
        Nothing is done while what is measured is within this share of the target; 0.1 is that autoscaler's.
    hosts
        Whether servers are switched off whose replicas are all parked; they take minutes to start.

    Examples
    --------
    >>> from simulators.quantities.facts import SiteFacts
    >>> site = SiteFacts(replicas=8, replica_off_w=70.0)
    >>> rule = Autoscale(target=0.5, stay_s=0.0)
    >>> seen = [Observation(60 * k, 60, running=r, awake=a, slots=16.0 * a, facts=site)
    ...         for k, r, a in ((1, 9, 8), (2, 40, 2))]
    >>> [next(rule.decide(one)).replicas for one in seen]
    [2, 5]
    """

    needs: ClassVar[frozenset[str]] = frozenset({"queue", "replicas"})

    of: str = "load"
    target: float = 0.6
    least: int = 1
    most: int = 0
    stay_s: float = 300.0
    tolerance: float = 0.1
    hosts: bool = True
    _wanted: dict[float, int] = field(default_factory=dict, init=False, repr=False)
    _now: int = field(default=0, init=False, repr=False)
    _slots: float = field(default=0.0, init=False, repr=False)

    def __post_init__(self) -> None:
        expect(self.of in MEASURES, "autoscale", f"of={' or of='.join(MEASURES)}, not {self.of}")
        expect(self.target > 0, "autoscale", f"a target above 0, not {self.target}")
        expect(
            self.of == "queue" or self.target <= 1,
            "autoscale",
            f"a target up to 1 of load, not {self.target}",
        )
        expect(self.least >= 1, "autoscale", f"least >= 1, not {self.least}")
        expect(
            self.most == 0 or self.most >= self.least,
            "autoscale",
            f"most=0 or from least on, not {self.most}",
        )
        expect(self.stay_s >= 0, "autoscale", f"stay_s >= 0, not {self.stay_s}")
        expect(0 <= self.tolerance < 1, "autoscale", f"a tolerance from 0 to below 1, not {self.tolerance}")

    def decide(self, observation: Observation) -> Iterator[Command]:
        facts = observation.facts
        if not isfinite(facts.replica_off_w):
            raise InputError(
                "policy 'autoscale': nothing is known of parking this GPU, expected another --gpu"
            )
        if not self._now:
            self._now = self._within(facts.replicas, facts)
        self._wanted[observation.time_s] = self._desired(observation) if observation.time_s > 0 else self._now
        self._wanted = {
            at: count for at, count in self._wanted.items() if observation.time_s - at <= self.stay_s
        }
        self._now = max(self._wanted.values())
        off = self.hosts and self._now < facts.replicas
        yield Awake(self._now, "host_off" if off else "off")

    def _desired(self, seen: Observation) -> int:
        """Replicas that would bring what is measured to the target."""
        if seen.awake > 0:
            self._slots = seen.slots / seen.awake
        if self.of == "queue":
            measured = seen.waiting / (seen.facts.copies * self._now)
        else:
            measured = (seen.running + seen.waiting) / (self._slots * self._now) if self._slots else 0.0
        ratio = measured / self.target
        if abs(ratio - 1.0) <= self.tolerance:
            return self._now
        return self._within(ceil(self._now * ratio - 1e-9), seen.facts)

    def _within(self, count: int, facts: SiteFacts) -> int:
        replicas = facts.replicas
        most = min(self.most or replicas, replicas)
        return max(min(count, most), min(self.least, replicas), facts.least_replicas)
