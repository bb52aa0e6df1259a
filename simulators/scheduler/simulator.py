"""mosaik adapter: asks a policy once per step and hands its decision to the inference room."""

from __future__ import annotations

from math import nan
from typing import Any

import mosaik_api_v3
import numpy as np
from mosaik_api_v3.types import CreateResult, InputData, Meta, OutputData, OutputRequest, Time

from simulators.errors import InputError
from simulators.scheduler.policies import Decision, NoPolicy, Observation, Policy

META: Meta = {
    "api_version": "3.0",
    "type": "time-based",
    "models": {
        "Controller": {
            "public": True,
            "params": ["policy"],
            "attrs": [
                "CI[gCO2eq/kWh]",
                "CI_forecast[gCO2eq/kWh]",
                "P_gen[MW]",
                "P_load[MW]",
                "SoC[1]",
                "held[1]",
                "waiting[1]",
                "price[1/kWh]",
                "vm_pu[1]",
                "hold[1]",
                "release_rate[1/s]",
            ],
        }
    },
    "extra_methods": [],
}


class Scheduler(mosaik_api_v3.Simulator):
    """Controllers of deferrable requests; each takes a `policy` (none if left out).

    Powers and request counts are summed over what is connected, of voltages the lowest counts, of
    everything else there may be one source.
    """

    def __init__(self) -> None:
        super().__init__(META)
        self._policies: dict[str, Policy] = {}
        self._decisions: dict[str, Decision] = {}
        self._step_size = 1

    def init(self, sid: str, time_resolution: float = 1.0, step_size: int = 60, **sim_params: Any) -> Meta:
        self._step_size = step_size
        return self.meta

    def create(self, num: int, model: str, **model_params: Any) -> list[CreateResult]:
        if num > 1 and "policy" in model_params:
            raise InputError("scheduler: one policy object makes one controller; create them one by one")
        created: list[CreateResult] = []
        for _ in range(num):
            eid = f"{model}-{len(self._policies)}"
            self._policies[eid] = model_params.get("policy") or NoPolicy()
            created.append({"eid": eid, "type": model})
        return created

    def step(self, time: Time, inputs: InputData, max_advance: Time) -> Time:
        for eid, policy in self._policies.items():
            self._decisions[eid] = policy.decide(self._observe(time, inputs.get(eid, {})))
        return time + self._step_size

    def _observe(self, time: Time, given: dict[str, dict[str, Any]]) -> Observation:
        voltages = given.get("vm_pu[1]", {}).values()
        return Observation(
            time_s=time,
            step_s=self._step_size,
            ci_g_per_kwh=_only(given, "CI[gCO2eq/kWh]", nan),
            ci_forecast_g_per_kwh=np.asarray(_only(given, "CI_forecast[gCO2eq/kWh]", ()), dtype=np.float64),
            generation_w=1e6 * _total(given, "P_gen[MW]", nan),
            load_w=1e6 * _total(given, "P_load[MW]", nan),
            soc=_only(given, "SoC[1]", nan),
            held=_total(given, "held[1]", 0.0),
            waiting=_total(given, "waiting[1]", 0.0),
            price_per_kwh=_only(given, "price[1/kWh]", nan),
            vm_pu=min(voltages) if voltages else nan,
        )

    def get_data(self, outputs: OutputRequest) -> OutputData:
        return {
            eid: {
                "hold[1]": int(self._decisions[eid].hold),
                "release_rate[1/s]": self._decisions[eid].release_rate_per_s,
            }
            for eid in outputs
        }


def _only(given: dict[str, dict[str, Any]], attribute: str, absent: Any) -> Any:
    values = list(given.get(attribute, {}).values())
    if len(values) > 1:
        raise InputError(f"scheduler: {attribute} has {len(values)} sources, expected one")
    return values[0] if values else absent


def _total(given: dict[str, dict[str, Any]], attribute: str, absent: float) -> float:
    values = given.get(attribute, {}).values()
    return float(sum(values)) if values else absent
