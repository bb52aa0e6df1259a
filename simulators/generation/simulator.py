"""mosaik adapter: hands out generation computed for the whole run beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from mosaik_api_v3.types import ModelDescription

from simulators.adapter import Adapter, Array, GivenSeries, Series
from simulators.errors import InputError

_POWER: ModelDescription = {"public": True, "params": ["power_w"], "attrs": ["P[MW]"]}


class Generation(Adapter[Series]):
    """PV, wind and per-unit generators.

    ``PV(power_w=[...])`` takes the mean power of every step of the run, W, as `pv_power_w`, `wind_power_w` and
    `per_unit_power_w` return it. A run longer than that ends with an `InputError`.
    """

    MODELS = {"PV": _POWER, "Wind": _POWER, "PerUnit": _POWER}

    def make(self, eid: str, model: str, power_w: Sequence[float] = ()) -> Series:
        series = np.asarray(power_w, dtype=np.float64)
        if series.ndim != 1 or not len(series) or not np.all(np.isfinite(series)) or np.any(series < 0):
            raise InputError(f"{model}: expected one power >= 0 W for every step")
        return Series(series / 1e6, eid)

    def outputs(self, eid: str, entity: Series, attributes: list[str]) -> dict[str, Any]:
        return {"P[MW]": entity.at(self.now // self.step_size)}

    def over_run(
        self, eid: str, given: GivenSeries, attributes: Sequence[str], steps: int
    ) -> dict[str, Array]:
        return {"P[MW]": self.entities[eid].first(steps)}
