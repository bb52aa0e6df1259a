"""mosaik adapter: GPU power in, facility power out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Any

from simulators.adapter import Adapter, Given
from simulators.datacenter.facility import Facility, FacilityPower
from simulators.datacenter.options import facility_from_plain
from simulators.errors import InputError


@dataclass
class _Building:
    facility: Facility
    copies: float
    power: FacilityPower | None = None


class DataCenter(Adapter[_Building]):
    """Data centres.

    ``DataCenter(facility={"gpus": 8, "pue": 1.2, "node_overhead": True, "copies": 1.0})``: what `facility_from_plain`
    takes, and `copies`; everything may be left out. `copies` equal buildings stand for one: `gpus` are those of one
    building, what is connected to ``P_gpu[MW]`` is that of all of them, summed.
    ``hosts_off[1]`` is how many servers of all buildings are switched off (none if nothing is connected);
    ``utilisation[1]`` is how busy the hosts are: the mean of what is connected, and 1 (the upper bound) if nothing is.
    """

    MODELS = {
        "DataCenter": {
            "public": True,
            "params": ["facility"],
            "attrs": [
                *("P_gpu[MW]", "utilisation[1]", "hosts_off[1]"),
                *("P_it[MW]", "P_cooling[MW]", "P_losses[MW]", "P[MW]"),
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
        off = given.total("hosts_off[1]") / entity.copies
        facility, utilisation = entity.facility.without_hosts(off, utilisation)
        entity.power = facility.power(gpu_w, utilisation, self.now // self.step_size)

    def outputs(self, eid: str, entity: _Building, attributes: list[str]) -> dict[str, Any]:
        power = entity.power
        assert power is not None, "asked for before the first step"
        to_mw = entity.copies / 1e6
        return {
            "P_it[MW]": power.it_w * to_mw,
            "P_cooling[MW]": power.cooling_w * to_mw,
            "P_losses[MW]": power.losses_w * to_mw,
            "P[MW]": power.facility_w * to_mw,
        }
