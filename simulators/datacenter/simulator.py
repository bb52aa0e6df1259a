"""mosaik adapter: GPU power in, facility power and water out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Any

from simulators.adapter import Adapter, Given
from simulators.datacenter.facility import Facility
from simulators.datacenter.plain import facility_from_plain
from simulators.datacenter.power import FacilityPower
from simulators.errors import InputError


@dataclass
class _Building:
    facility: Facility
    copies: float
    power: FacilityPower[float] | None = None
    water_m3_per_h: float = 0.0


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
        gpu_w = 1e6 * given.total("P_gpu[MW]") / entity.copies
        step = self.now // self.step_size
        entity.power = entity.facility.power(gpu_w, utilisation, step)
        entity.water_m3_per_h = entity.facility.water_m3_per_h(entity.power, step)

    def outputs(self, eid: str, entity: _Building, attributes: list[str]) -> dict[str, Any]:
        power = entity.power
        assert power is not None, "asked for before the first step"
        to_mw = entity.copies / 1e6
        return {
            "P_it[MW]": float(power.it_w) * to_mw,
            "P_cooling[MW]": float(power.cooling_w) * to_mw,
            "P_losses[MW]": float(power.losses_w) * to_mw,
            "P[MW]": float(power.facility_w) * to_mw,
            "water[m3/h]": float(entity.water_m3_per_h) * entity.copies,
        }
