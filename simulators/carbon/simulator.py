"""mosaik adapter: replays a carbon intensity and hands out its forecast."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import mosaik_api_v3
import numpy as np
from mosaik_api_v3.types import CreateResult, InputData, Meta, OutputData, OutputRequest, Time

from simulators.carbon.forecast import Forecast
from simulators.errors import InputError

META: Meta = {
    "api_version": "3.0",
    "type": "time-based",
    "models": {
        "CarbonIntensity": {
            "public": True,
            "params": ["ci_g_per_kwh", "forecast"],
            "attrs": ["CI[gCO2eq/kWh]", "CI_forecast[gCO2eq/kWh]"],
        }
    },
    "extra_methods": [],
}


@dataclass(frozen=True)
class _Signal:
    values: list[float]
    forecast: Forecast | None


class Carbon(mosaik_api_v3.Simulator):
    """Carbon intensities of grid power.

    Each entity takes `ci_g_per_kwh` (mean of every step of the run, g/kWh, shape (steps,), >= 0) and
    optionally a `forecast` (see `simulators.carbon.forecast`); without one the forecast handed out is the
    current value alone.
    """

    def __init__(self) -> None:
        super().__init__(META)
        self._signals: dict[str, _Signal] = {}
        self._step_size = 1
        self._now = 0

    def init(self, sid: str, time_resolution: float = 1.0, step_size: int = 60, **sim_params: Any) -> Meta:
        self._step_size = step_size
        return self.meta

    def create(self, num: int, model: str, **model_params: Any) -> list[CreateResult]:
        series = np.asarray(model_params["ci_g_per_kwh"], dtype=np.float64)
        if series.ndim != 1 or not np.all(np.isfinite(series)) or np.any(series < 0):
            raise InputError("carbon intensity: expected one number >= 0 g/kWh for every step")
        signal = _Signal(series.tolist(), model_params.get("forecast"))
        created: list[CreateResult] = []
        for _ in range(num):
            eid = f"{model}-{len(self._signals)}"
            self._signals[eid] = signal
            created.append({"eid": eid, "type": model})
        return created

    def step(self, time: Time, inputs: InputData, max_advance: Time) -> Time:
        self._now = time // self._step_size
        return time + self._step_size

    def get_data(self, outputs: OutputRequest) -> OutputData:
        data: OutputData = {}
        for eid, attrs in outputs.items():
            signal = self._signals[eid]
            if self._now >= len(signal.values):
                raise InputError(
                    f"{eid}: has values for {len(signal.values)} steps, the run goes on at step {self._now}"
                )
            now = signal.values[self._now]
            data[eid] = {"CI[gCO2eq/kWh]": now}
            if "CI_forecast[gCO2eq/kWh]" in attrs:
                ahead = signal.forecast.at(self._now) if signal.forecast else np.array([now])
                data[eid]["CI_forecast[gCO2eq/kWh]"] = ahead
        return data
