"""mosaik adapter: hands out the newest value of a source that grows while the run goes on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from simulators.adapter import Adapter, Given
from simulators.errors import InputError
from simulators.live.sources import Source, first_value, source
from simulators.profiles.quantities import quantity_named

WAITS_S = 10.0
"""For the first value, s."""
W_PER_MW = 1e6
GIVES = {
    "CI[gCO2eq/kWh]": ("carbon", 1.0),
    "price[1/kWh]": ("price", 1.0),
    "P[MW]": ("load", 1.0 / W_PER_MW),
}
"""Attributes: the quantity each is, and the factor from its canonical unit."""
FORECAST = "CI_forecast[gCO2eq/kWh]"


@dataclass
class _Followed:
    source: Source
    attribute: str
    value: float
    held: int = 0
    """Steps in which nothing new came in."""


class Follow(Adapter[_Followed]):
    """Follows a source: ``Newest(source="now.csv", attribute="CI[gCO2eq/kWh]")`` hands out its newest value.

    `source` is a CSV that grows (`column`: which of its columns; the last one if left out) or the address of an instant
    query of Prometheus. In a step without a new value the one before holds. A carbon intensity's forecast is its
    present value. The extra method `summary` says how many values came in and in how many steps none did.
    """

    MODELS = {
        "Newest": {"public": True, "params": ["source", "attribute", "column"], "attrs": [*GIVES, FORECAST]},
    }

    def make(
        self,
        eid: str,
        model: str,
        source: str = "",
        attribute: str = "CI[gCO2eq/kWh]",
        column: str | None = None,
    ) -> _Followed:
        if attribute not in GIVES:
            raise InputError(f"{eid}: attribute {attribute!r} given, expected one of {', '.join(GIVES)}")
        quantity, factor = GIVES[attribute]
        found = _source(source, quantity, column)
        return _Followed(found, attribute, factor * first_value(found, WAITS_S))

    def advance(self, eid: str, entity: _Followed, given: Given) -> None:
        heard = entity.source.heard
        value = entity.source.latest()
        if self.now and entity.source.heard == heard:
            entity.held += 1
        if value is not None:
            entity.value = GIVES[entity.attribute][1] * value

    def outputs(self, eid: str, entity: _Followed, attributes: list[str]) -> dict[str, Any]:
        own: dict[str, Any] = {entity.attribute: entity.value}
        if entity.attribute == "CI[gCO2eq/kWh]":
            own[FORECAST] = [entity.value]
        return {attribute: own[attribute] for attribute in attributes if attribute in own}

    def summarise(self, eid: str, entity: _Followed) -> dict[str, Any]:
        return {"values": entity.source.heard, "steps_held": entity.held}


def _source(text: str, quantity: str, column: str | None) -> Source:
    return source(text, quantity_named(quantity), column)
