"""mosaik adapter: hand out a series, one value per step, or a forecast of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from simulators.adapter import Adapter, Array, GivenSeries, Series
from simulators.errors import InputError
from simulators.quantities.forecast import Forecast, forecast

PRICE = "price[1/kWh]"
AHEAD = (
    "price_forecast[1/kWh]",
    "P_gen_forecast[MW]",
    "arrivals_forecast[1/s]",
    "deferrable_forecast[1/s]",
)
"""What may be forecast."""
CARBON_FREE = "carbon_free[1]"
POWER = "P[MW]"


class ProfileReplay(Adapter[tuple[str, Series | Forecast]]):
    """Replays series, e.g. the `Profile.means` of a price. Each entity gives one attribute.

    Start it with ``attributes``, those its entities may give (a price, a share or a power if left out); create entities
    with ``Profile(values=[...], attribute="price[1/kWh]")``. An ``Ahead(values=[...],
    attribute="price_forecast[1/kWh]", forecast={"name": "persistence", "horizon_s": 86400})`` tells in each step what a
    forecast says of the coming ones, as a list.
    """

    MODELS = {
        "Profile": {"public": True, "params": ["values", "attribute"], "attrs": [PRICE, CARBON_FREE, POWER]},
        "Ahead": {"public": True, "params": ["values", "attribute", "forecast"], "attrs": list(AHEAD)},
    }

    def set_up(self, attributes: Sequence[str] = (PRICE, CARBON_FREE, POWER)) -> None:
        """Declare the attributes."""
        self.meta["models"]["Profile"]["attrs"] = list(attributes)

    def make(
        self,
        eid: str,
        model: str,
        values: Sequence[float] = (),
        attribute: str = PRICE,
        forecast: Mapping[str, Any] | None = None,
    ) -> tuple[str, Series | Forecast]:
        known = self.meta["models"][model]["attrs"]
        if attribute not in known:
            raise InputError(
                f"{eid}: attribute {attribute!r} was not declared, expected one of {', '.join(known)}"
            )
        series = np.asarray(values, dtype=np.float64)
        if series.ndim != 1 or not len(series) or not np.all(np.isfinite(series)):
            raise InputError(f"{eid}: expected one number for every step")
        if model == "Ahead":
            return attribute, self._ahead(series, dict(forecast or {}))
        return attribute, Series(series, eid)

    def _ahead(self, series: Any, options: dict[str, Any]) -> Forecast:
        name = options.pop("name", "perfect")
        return forecast(name, series, self.step_size, **options)

    def outputs(
        self, eid: str, entity: tuple[str, Series | Forecast], attributes: list[str]
    ) -> dict[str, Any]:
        own, series = entity
        value: Any = series.at(self.now // self.step_size)
        value = value.tolist() if isinstance(value, np.ndarray) else value
        return {attribute: value for attribute in attributes if attribute == own}

    def over_run(
        self, eid: str, given: GivenSeries, attributes: Sequence[str], steps: int
    ) -> dict[str, Array]:
        own, series = self.entities[eid]
        if not isinstance(series, Series):
            return super().over_run(eid, given, attributes, steps)
        return {own: series.first(steps)}
