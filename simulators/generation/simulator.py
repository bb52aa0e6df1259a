"""mosaik adapter: hands out generation computed for the whole run beforehand."""

from __future__ import annotations

from typing import Any

import mosaik_api_v3
import numpy as np
from mosaik_api_v3.types import (
    CreateResult,
    InputData,
    Meta,
    ModelDescription,
    OutputData,
    OutputRequest,
    Time,
)

from simulators.errors import InputError

_POWER: ModelDescription = {"public": True, "params": ["power_w"], "attrs": ["P[MW]"]}
META: Meta = {
    "api_version": "3.0",
    "type": "time-based",
    "models": {"PV": _POWER, "Wind": _POWER, "PerUnit": _POWER},
    "extra_methods": [],
}


class Generation(mosaik_api_v3.Simulator):
    """PV, wind and per-unit generators.

    Each entity is created with `power_w`: mean power of every step of the run, W, shape (steps,), as
    `pv_power_w`, `wind_power_w` and `per_unit_power_w` return it. A run longer than that ends with an
    `InputError`.
    """

    def __init__(self) -> None:
        super().__init__(META)
        self._power_mw: dict[str, list[float]] = {}
        self._step_size = 1
        self._now = 0

    def init(self, sid: str, time_resolution: float = 1.0, step_size: int = 60, **sim_params: Any) -> Meta:
        self._step_size = step_size
        return self.meta

    def create(self, num: int, model: str, **model_params: Any) -> list[CreateResult]:
        series = np.asarray(model_params["power_w"], dtype=np.float64)
        if series.ndim != 1 or not np.all(np.isfinite(series)) or np.any(series < 0):
            raise InputError(f"{model}: expected one power >= 0 W for every step")
        created: list[CreateResult] = []
        for _ in range(num):
            eid = f"{model}-{len(self._power_mw)}"
            self._power_mw[eid] = (series / 1e6).tolist()
            created.append({"eid": eid, "type": model})
        return created

    def step(self, time: Time, inputs: InputData, max_advance: Time) -> Time:
        self._now = time // self._step_size
        return time + self._step_size

    def get_data(self, outputs: OutputRequest) -> OutputData:
        return {eid: {"P[MW]": self._at_now(eid)} for eid in outputs}

    def _at_now(self, eid: str) -> float:
        series = self._power_mw[eid]
        if self._now >= len(series):
            raise InputError(f"{eid}: has power for {len(series)} steps, the run goes on at step {self._now}")
        return series[self._now]
