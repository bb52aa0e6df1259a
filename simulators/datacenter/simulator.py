"""mosaik adapter: GPU power in, facility power and water out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any

import numpy as np

from simulators.adapter import Adapter, Array, Given, GivenSeries
from simulators.datacenter.facility import Facility
from simulators.datacenter.plain import facility_from_plain
from simulators.datacenter.power import Steps
from simulators.errors import InputError


@dataclass
class _Building:
    facility: Facility
    copies: float
    told: dict[str, float] = field(default_factory=dict)

    def at(self, gpu_mw: Any, utilisation: float, step: Steps) -> dict[str, Any]:
        """Attributes at a power of the GPUs, MW: of one step, or of many."""
        power = self.facility.power(1e6 * gpu_mw / self.copies, utilisation, step)
        to_mw = self.copies / 1e6
        return {
            "P_it[MW]": power.it_w * to_mw,
            "P_cooling[MW]": power.cooling_w * to_mw,
            "P_losses[MW]": power.losses_w * to_mw,
            "P[MW]": power.facility_w * to_mw,
            "water[m3/h]": self.facility.water_m3_per_h(power, step) * self.copies,
        }


class DataCenter(Adapter[_Building]):
    """Data centres.

    ``DataCenter(facility={"gpus": 8, "pue": 1.2, "node_overhead": True, "copies": 1.0})``: what `facility_from_plain`
    takes, and `copies`; everything may be left out. `copies` equal buildings stand for one: `gpus` are those of one
    building, what is connected to ``P_gpu[MW]`` is that of all of them, summed.
    ``utilisation[1]`` is how busy the hosts are: the mean of what is connected, and 1 (the upper bound) if nothing is.
    """

    MODELS = {
        "DataCenter": {
            "public": True,
            "params": ["facility"],
            "attrs": [
                *("P_gpu[MW]", "utilisation[1]"),
                *("P_it[MW]", "P_cooling[MW]", "P_losses[MW]", "P[MW]", "water[m3/h]"),
            ],
        }
    }

    def make(self, eid: str, model: str, facility: Mapping[str, Any] | None = None) -> _Building:
        given = dict(facility or {})
        copies = given.pop("copies", 1.0)
        if not (isinstance(copies, int | float) and 0 < copies < inf):
            raise InputError(f"{eid}: {copies!r} copies, expected a number above 0")
        return _Building(facility_from_plain(given), float(copies))

    def advance(self, eid: str, entity: _Building, given: Given) -> None:
        busy = given.values("utilisation[1]")
        utilisation = sum(busy) / len(busy) if busy else 1.0
        told = entity.at(given.total("P_gpu[MW]"), utilisation, self.now // self.step_size)
        entity.told = {attribute: float(value) for attribute, value in told.items()}

    def outputs(self, eid: str, entity: _Building, attributes: list[str]) -> dict[str, Any]:
        return {attribute: entity.told[attribute] for attribute in attributes}

    def over_run(
        self, eid: str, given: GivenSeries, attributes: Sequence[str], steps: int
    ) -> dict[str, Array]:
        if given.values("utilisation[1]"):
            return super().over_run(eid, given, attributes, steps)
        gpu_mw = given.total("P_gpu[MW]", np.zeros(steps))
        told = self.entities[eid].at(gpu_mw, 1.0, slice(0, steps))
        return {attribute: told[attribute] for attribute in attributes}
