"""As few replicas as the load needs, each at the lowest clock that is fast enough."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from simulators.quantities.commands import ChunkBudget, ClockLimit, Command
from simulators.scheduler.fleet import Fleet
from simulators.scheduler.observation import Observation
from simulators.scheduler.policies.consolidate import Consolidate


@dataclass
class ConsolidateClock(Consolidate):
    """As ``consolidate``, and the clock and chunk budget with the least power that keep the latency targets.

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
    >>> ConsolidateClock().clock
    True
    """

    clock: ClassVar[bool] = True

    def tuned(self, observation: Observation, fleet: Fleet) -> Iterator[Command]:
        serving = max(1, int(observation.awake)) if observation.awake == observation.awake else 1
        rate = self.expected_per_s(observation) / self.target
        setting = fleet.setting(min(serving, observation.facts.replicas), rate)
        yield ClockLimit(setting.mode.clock)
        if fleet.cuts:
            yield ChunkBudget(setting.mode.chunk_tokens)
