"""Nothing is released while requests queue: deferred work must not delay the rest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from simulators.quantities.commands import Command, Release
from simulators.scheduler.observation import Observation
from simulators.scheduler.policy import HOLD, Policy


@dataclass(frozen=True)
class Unhurried:
    """Another policy, but nothing is released while requests queue.

    Attributes
    ----------
    policy
        Who decides otherwise.
    most_waiting
        Requests that may queue at the replicas, >= 0.

    Examples
    --------
    >>> from simulators.scheduler.policies.none import NoPolicy
    >>> rule = Unhurried(NoPolicy(), most_waiting=8)
    >>> [next(rule.decide(Observation(0, 60, waiting=waiting))).hold for waiting in (8, 9)]
    [False, True]
    """

    policy: Policy
    most_waiting: float = 8.0

    @property
    def needs(self) -> frozenset[str]:
        """What the other policy needs, and the queue."""
        return self.policy.needs | {"queue"}

    def decide(self, observation: Observation) -> Iterator[Command]:
        commands = list(self.policy.decide(observation))
        if observation.waiting <= self.most_waiting:
            yield from commands
            return
        yield HOLD
        yield from (command for command in commands if not isinstance(command, Release))
