"""mosaik adapter: sheds load of a site while its connection lacks power."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import Any

from simulators.adapter import Adapter, Given
from simulators.quantities.commands import Command
from simulators.shedding.sequence import Sequence


@dataclass
class _Shedder:
    sequence: Sequence
    commands: list[Command] = field(default_factory=list)
    highest: int = 0
    steps: int = 0


class Shedding(Adapter[_Shedder]):
    """Sheds load in an order (`Sequence`).

    ``Shedder(batch_cap=128, replicas=8, least_replicas=1)``: the cluster where nothing is shed, and how many of its
    replicas stay awake whatever happens. It sees load and available power of the
    step before, so what is lacking in the first step of an outage is unserved, or the battery's. Its commands go
    beside those of the controller; where both say something, these count, as the later ones in the order of the
    sources' names.
    """

    MODELS = {
        "Shedder": {
            "public": True,
            "params": ["batch_cap", "replicas", "least_replicas"],
            "attrs": ["P_load[MW]", "P_available[MW]", "commands", "level[1]"],
        }
    }

    def make(
        self, eid: str, model: str, batch_cap: int = 128, replicas: int = 1, least_replicas: int = 1
    ) -> _Shedder:
        return _Shedder(Sequence(batch_cap, replicas, least_replicas))

    def advance(self, eid: str, entity: _Shedder, given: Given) -> None:
        load_w = 1e6 * given.total("P_load[MW]")
        entity.commands = list(entity.sequence.decide(load_w, 1e6 * given.only("P_available[MW]", inf)))
        entity.highest = max(entity.highest, entity.sequence.level)
        entity.steps += entity.sequence.level > 0

    def outputs(self, eid: str, entity: _Shedder, attributes: list[str]) -> dict[str, Any]:
        found = {
            "commands": [command.to_plain() for command in entity.commands],
            "level[1]": entity.sequence.level,
        }
        return {attribute: found[attribute] for attribute in attributes}

    def summarise(self, eid: str, entity: _Shedder) -> dict[str, Any]:
        return {"highest_level": entity.highest, "shedding_s": entity.steps * self.step_size}
