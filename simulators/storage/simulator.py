"""mosaik adapter: a battery, its dispatch rule and the site's exchange with the grid."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, nan
from typing import Any

import mosaik_api_v3
from mosaik_api_v3.types import CreateResult, InputData, Meta, OutputData, OutputRequest, Time

from simulators.errors import InputError
from simulators.storage.battery import Battery
from simulators.storage.dispatch import Dispatch, SelfConsumption, Situation
from simulators.storage.exchange import check, exchange

META: Meta = {
    "api_version": "3.0",
    "type": "time-based",
    "models": {
        "Battery": {
            "public": True,
            "params": ["battery", "dispatch", "export_limit_w"],
            "attrs": [
                "P_load[MW]",
                "P_gen[MW]",
                "CI[gCO2eq/kWh]",
                "price[1/kWh]",
                "P_charge[MW]",
                "P_discharge[MW]",
                "P_import[MW]",
                "P_export[MW]",
                "P_exchange[MW]",
                "P_curtailed[MW]",
                "SoC[1]",
                "SoC_end[1]",
                "E[MWh]",
            ],
        }
    },
    "extra_methods": ["max_relative_residual"],
}


@dataclass
class _Site:
    battery: Battery | None
    dispatch: Dispatch
    export_limit_w: float
    outputs: dict[str, float]


class Storage(mosaik_api_v3.Simulator):
    """A site's battery and grid connection.

    Each entity takes `battery` (a `Battery`, or None for a site without one), `dispatch` (a rule;
    self-consumption if left out) and `export_limit_w` (W; no limit if left out). What is connected to
    ``P_load[MW]`` and ``P_gen[MW]`` is summed; the balance is checked in every step.
    """

    def __init__(self) -> None:
        super().__init__(META)
        self._sites: dict[str, _Site] = {}
        self._step_size = 1
        self._max_residual = 0.0

    def init(self, sid: str, time_resolution: float = 1.0, step_size: int = 60, **sim_params: Any) -> Meta:
        self._step_size = step_size
        return self.meta

    def create(self, num: int, model: str, **model_params: Any) -> list[CreateResult]:
        battery: Battery | None = model_params.get("battery")
        export_limit_w = float(model_params.get("export_limit_w", inf))
        if num > 1 and battery is not None:
            raise InputError("storage: one battery object makes one entity; create them one by one")
        if not export_limit_w >= 0:
            raise InputError(f"storage: export limit is {export_limit_w} W, expected a number >= 0")
        created: list[CreateResult] = []
        for _ in range(num):
            eid = f"{model}-{len(self._sites)}"
            rule = model_params.get("dispatch") or SelfConsumption()
            self._sites[eid] = _Site(battery, rule, export_limit_w, {})
            created.append({"eid": eid, "type": model})
        return created

    def step(self, time: Time, inputs: InputData, max_advance: Time) -> Time:
        for eid, site in self._sites.items():
            given = inputs.get(eid, {})
            load_w = 1e6 * sum(given.get("P_load[MW]", {}).values())
            generation_w = 1e6 * sum(given.get("P_gen[MW]", {}).values())
            situation = Situation(
                load_w,
                generation_w,
                next(iter(given.get("CI[gCO2eq/kWh]", {}).values()), nan),
                next(iter(given.get("price[1/kWh]", {}).values()), nan),
            )
            self._advance(eid, site, situation, time)
        return time + self._step_size

    def _advance(self, eid: str, site: _Site, situation: Situation, time: Time) -> None:
        battery = site.battery
        soc = battery.soc if battery else 0.0
        power_w = 0.0
        if battery:
            low_w, high_w = battery.feasible_range(self._step_size)
            power_w = min(max(site.dispatch.power_w(situation), low_w), high_w)
            battery.step(power_w, self._step_size)
        flows = exchange(situation.load_w, situation.generation_w, power_w, site.export_limit_w)
        interval = f"{eid}, {time} to {time + self._step_size} s"
        self._max_residual = max(self._max_residual, check(flows, interval))
        site.outputs = {
            "P_load[MW]": flows.load_w / 1e6,
            "P_gen[MW]": flows.generation_w / 1e6,
            "P_charge[MW]": flows.charge_w / 1e6,
            "P_discharge[MW]": flows.discharge_w / 1e6,
            "P_import[MW]": flows.import_w / 1e6,
            "P_export[MW]": flows.export_w / 1e6,
            "P_exchange[MW]": (flows.import_w - flows.export_w) / 1e6,
            "P_curtailed[MW]": flows.curtailed_w / 1e6,
            "SoC[1]": soc,
            "SoC_end[1]": battery.soc if battery else 0.0,
            "E[MWh]": battery.energy_wh / 1e6 if battery else 0.0,
        }

    def get_data(self, outputs: OutputRequest) -> OutputData:
        return {
            eid: {attr: self._sites[eid].outputs[attr] for attr in attrs} for eid, attrs in outputs.items()
        }

    def max_relative_residual(self) -> float:
        """Largest relative residual of the energy balance so far."""
        return self._max_residual
