"""mosaik adapter: replays the carbon intensity of the grid and hands out its forecast."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from simulators.adapter import Adapter, Array, GivenSeries, Series
from simulators.errors import InputError
from simulators.quantities.forecast import Forecast, forecast


@dataclass(frozen=True)
class _Grid:
    average: Series | None
    marginal: Series | None
    forecast: Forecast | None


class Carbon(Adapter[_Grid]):
    """Carbon intensities of grid power.

    ``CarbonIntensity(g_per_kwh=[...], marginal_g_per_kwh=[...], forecast={"name": "perfect", "horizon_s": 28800})``
    takes the means of every step of the run, g/kWh, >= 0; either series may be left out, not both. The forecast is of
    the average series, else of the marginal one; without one, the current value alone is handed out.
    """

    MODELS = {
        "CarbonIntensity": {
            "public": True,
            "params": ["g_per_kwh", "marginal_g_per_kwh", "forecast"],
            "attrs": ["CI[gCO2eq/kWh]", "CI_marginal[gCO2eq/kWh]", "CI_forecast[gCO2eq/kWh]"],
        }
    }

    def make(
        self,
        eid: str,
        model: str,
        g_per_kwh: Sequence[float] | None = None,
        marginal_g_per_kwh: Sequence[float] | None = None,
        forecast: Mapping[str, Any] | None = None,
    ) -> _Grid:
        if g_per_kwh is None and marginal_g_per_kwh is None:
            raise InputError("carbon intensity: expected one number >= 0 g/kWh for every step")
        average, marginal = (_checked(values) for values in (g_per_kwh, marginal_g_per_kwh))
        ahead = g_per_kwh if g_per_kwh is not None else marginal_g_per_kwh
        return _Grid(average, marginal, self._forecast(ahead, forecast))

    def _forecast(self, values: Sequence[float] | None, options: Mapping[str, Any] | None) -> Forecast | None:
        if values is None or options is None:
            return None
        rest = dict(options)
        name = rest.pop("name", "perfect")
        horizon_s = int(rest.pop("horizon_s", 86400))
        return forecast(name, np.asarray(values, dtype=np.float64), self.step_size, horizon_s, **rest)

    def outputs(self, eid: str, entity: _Grid, attributes: list[str]) -> dict[str, Any]:
        step = self.now // self.step_size
        found: dict[str, Any] = {}
        for attribute in attributes:
            if attribute == "CI_forecast[gCO2eq/kWh]":
                found[attribute] = self._ahead(entity, step)
                continue
            found[attribute] = _series(eid, entity, attribute).at(step)
        return found

    def over_run(
        self, eid: str, given: GivenSeries, attributes: Sequence[str], steps: int
    ) -> dict[str, Array]:
        entity = self.entities[eid]
        return {attribute: _series(eid, entity, attribute).first(steps) for attribute in attributes}

    def _ahead(self, entity: _Grid, step: int) -> list[float]:
        if entity.forecast is not None:
            ahead: list[float] = entity.forecast.at(step).tolist()
            return ahead
        series = entity.average or entity.marginal
        assert series is not None
        return [series.at(step)]


def _series(eid: str, entity: _Grid, attribute: str) -> Series:
    series = entity.average if attribute == "CI[gCO2eq/kWh]" else entity.marginal
    if series is None:
        raise InputError(f"{eid}: has no {attribute}, expected its series on creation")
    return series


def _checked(values: Sequence[float] | None) -> Series | None:
    if values is None:
        return None
    series = np.asarray(values, dtype=np.float64)
    if series.ndim != 1 or not len(series) or not np.all(np.isfinite(series)) or np.any(series < 0):
        raise InputError("carbon intensity: expected one number >= 0 g/kWh for every step")
    return Series(series, "carbon intensity")
