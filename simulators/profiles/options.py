"""What a study says about a place: the site, and files in place of its own."""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from simulators.leaves import HIDDEN, option_name
from simulators.profiles.fileref import FileRef
from simulators.profiles.profile import Align

DEFAULT_SITE = "california"
"""Where a study is unless it says so: then a weather file of another place needs no excuse."""


def _hidden(*names: str) -> dict[str, Any]:
    """What does not belong to a file of this kind, and is no option of it."""
    return {HIDDEN: list(names)}


class PlaceOptions(BaseModel):
    """Where a site is, and files in place of its own."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    site: str | None = Field(
        None,
        description="bundled site (`wattloop sites`) or a site's .toml file  [default: california]",
    )
    carbon: FileRef | None = Field(
        None,
        description="carbon-intensity file instead of the site's, gCO2eq/kWh or as its header says",
        json_schema_extra=_hidden("rating", "elsewhere"),
    )
    marginal: FileRef | None = Field(
        None,
        description="marginal carbon-intensity file beside the average one: what the import causes",
        json_schema_extra=_hidden("kind", "rating", "elsewhere"),
    )
    carbon_forecast: FileRef | None = Field(
        None,
        description="forecasts of the carbon intensity as they were issued (SGIP, WattTime), for --forecast file  "
        "[default: those in the carbon file]",
        json_schema_extra=_hidden(
            "column",
            "unit",
            "timezone",
            "label",
            "fill",
            "kind",
            "rating",
            "start",
            "elsewhere",
            "implausible",
            "align",
        ),
    )
    live_carbon: str | None = Field(
        None,
        description="carbon intensity as it comes in, in place of a series: a CSV that grows (its newest row "
        "holds; its header names the unit) or http://HOST:PORT/api/v1/query?query=... of Prometheus; with "
        "--rt-factor",
    )
    carbon_free: FileRef | None = Field(
        None,
        description="file of the grid's carbon-free share, 1 or as its header says  [default: the carbon file's own "
        "column, where it has one]",
        json_schema_extra=_hidden("kind", "rating", "elsewhere"),
    )
    price: FileRef | None = Field(
        None,
        description="price file instead of the site's, per kWh or as its header says",
        json_schema_extra=_hidden("kind", "rating", "elsewhere"),
    )
    weather: FileRef | None = Field(
        None,
        description="weather file instead of the site's (TMY3, EPW, PVGIS, NSRDB, Open-Meteo, ..., CSV)",
        json_schema_extra=_hidden("column", "unit", "kind", "rating", "start"),
    )

    align: Align | None = Field(
        None,
        description="use files of other years, the site's own too: calendar (same date and hour) or weekday (same "
        "weekday too)  [default: not]",
    )

    @model_validator(mode="after")
    def _one_carbon(self) -> Self:
        given = [
            name for name in ("carbon", "marginal", "carbon_forecast") if getattr(self, name) is not None
        ]
        if self.live_carbon is not None and given:
            raise ValueError(
                f"{option_name('live_carbon')}: given with {option_name(given[0])}, expected one of both"
            )
        return self

    @property
    def site_name(self) -> str:
        """The site that is meant."""
        return self.site or DEFAULT_SITE
