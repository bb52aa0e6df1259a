"""mosaik adapter: GPU power in, facility power out."""

from __future__ import annotations

from typing import Any

import mosaik_api_v3
from mosaik_api_v3.types import CreateResult, InputData, Meta, OutputData, OutputRequest, Time

from simulators.datacenter.facility import Facility, FacilityPower

META: Meta = {
    "api_version": "3.0",
    "type": "time-based",
    "models": {
        "DataCenter": {
            "public": True,
            "params": ["facility"],
            "attrs": [
                "P_gpu[MW]",
                "utilisation[1]",
                "P_it[MW]",
                "P_cooling[MW]",
                "P_losses[MW]",
                "P[MW]",
            ],
        }
    },
    "extra_methods": [],
}


class DataCenter(mosaik_api_v3.Simulator):
    """Data centres; each entity takes a `facility` (`Facility()` if left out).

    What is connected to ``P_gpu[MW]`` is summed. ``utilisation[1]`` is how busy the hosts are: the mean
    of what is connected, and 1 (the upper bound) if nothing is.
    """

    def __init__(self) -> None:
        super().__init__(META)
        self._facilities: dict[str, Facility] = {}
        self._power: dict[str, FacilityPower] = {}
        self._step_size = 1

    def init(self, sid: str, time_resolution: float = 1.0, step_size: int = 60, **sim_params: Any) -> Meta:
        self._step_size = step_size
        return self.meta

    def create(self, num: int, model: str, **model_params: Any) -> list[CreateResult]:
        created: list[CreateResult] = []
        for _ in range(num):
            eid = f"{model}-{len(self._facilities)}"
            self._facilities[eid] = model_params.get("facility") or Facility()
            created.append({"eid": eid, "type": model})
        return created

    def step(self, time: Time, inputs: InputData, max_advance: Time) -> Time:
        for eid, facility in self._facilities.items():
            given = inputs.get(eid, {})
            gpu_w = 1e6 * sum(given.get("P_gpu[MW]", {}).values())
            busy = given.get("utilisation[1]", {}).values()
            utilisation = sum(busy) / len(busy) if busy else 1.0
            self._power[eid] = facility.power(gpu_w, utilisation, time // self._step_size)
        return time + self._step_size

    def get_data(self, outputs: OutputRequest) -> OutputData:
        return {eid: self._outputs(self._power[eid]) for eid in outputs}

    @staticmethod
    def _outputs(power: FacilityPower) -> dict[str, float]:
        return {
            "P_it[MW]": power.it_w / 1e6,
            "P_cooling[MW]": power.cooling_w / 1e6,
            "P_losses[MW]": power.losses_w / 1e6,
            "P[MW]": power.facility_w / 1e6,
        }
