"""mosaik adapter: hand out a series, one value per step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from simulators.adapter import Adapter, Array, GivenSeries, Series
from simulators.errors import InputError

PRICE = "price[1/kWh]"
CARBON_FREE = "carbon_free[1]"
POWER = "P[MW]"


class ProfileReplay(Adapter[tuple[str, Series]]):
    """Replays series, e.g. the `Profile.means` of a price. Each entity gives one attribute.

    Start it with ``attributes``, those its entities may give (a price, a share or a power if left out); create entities
    with ``Profile(values=[...], attribute="price[1/kWh]")``.
    """

    MODELS = {
        "Profile": {"public": True, "params": ["values", "attribute"], "attrs": [PRICE, CARBON_FREE, POWER]}
    }

    def set_up(self, attributes: Sequence[str] = (PRICE, CARBON_FREE, POWER)) -> None:
        """Declare the attributes."""
        self.meta["models"]["Profile"]["attrs"] = list(attributes)

    def make(
        self, eid: str, model: str, values: Sequence[float] = (), attribute: str = PRICE
    ) -> tuple[str, Series]:
        known = self.meta["models"]["Profile"]["attrs"]
        if attribute not in known:
            raise InputError(
                f"{eid}: attribute {attribute!r} was not declared, expected one of {', '.join(known)}"
            )
        series = np.asarray(values, dtype=np.float64)
        if series.ndim != 1 or not len(series) or not np.all(np.isfinite(series)):
            raise InputError(f"{eid}: expected one number for every step")
        return attribute, Series(series, eid)

    def outputs(self, eid: str, entity: tuple[str, Series], attributes: list[str]) -> dict[str, Any]:
        own, series = entity
        return {
            attribute: series.at(self.now // self.step_size) for attribute in attributes if attribute == own
        }

    def over_run(
        self, eid: str, given: GivenSeries, attributes: Sequence[str], steps: int
    ) -> dict[str, Array]:
        own, series = self.entities[eid]
        return {own: series.first(steps)}
