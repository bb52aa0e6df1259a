"""Every format with its sample and how it is read; for tests that hold for all of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from simulators.profiles.forecasts import read_forecasts
from simulators.profiles.readers import read_csv_profile
from simulators.profiles.weather import FIELDS, read_weather
from tests.profiles import samples

Make = Callable[[Path], Path]
Read = Callable[[Path], list[Any]]


def series(quantity: str, **options: Any) -> Read:
    def read(file: Path) -> list[Any]:
        found = read_csv_profile(file, quantity, **options)
        return [found.start, found.step_s, found.unit, found.kind, found.values]

    return read


def weather(file: Path) -> list[Any]:
    found = read_weather(file, latitude=samples.PLACE[0], longitude=samples.PLACE[1])
    return [
        found.start,
        found.step_s,
        found.latitude,
        found.longitude,
        *(getattr(found, name) for name in FIELDS),
    ]


def issued(file: Path) -> list[Any]:
    found = read_forecasts(file)
    return [found.at_s, found.lead_s, found.kind, found.values]


PRICE, CARBON, LOAD, PV = series("price"), series("carbon"), series("load"), series("pv")

CASES: dict[str, tuple[Make, Read]] = {
    "electricity-maps new": (lambda d: samples.electricity_maps(d, True), CARBON),
    "electricity-maps old": (lambda d: samples.electricity_maps(d, False), CARBON),
    "watttime v3": (samples.watttime_v3, CARBON),
    "watttime v2": (samples.watttime_v2, CARBON),
    "watttime v2 csv": (samples.watttime_v2_csv, CARBON),
    "watttime v3 csv": (lambda d: samples.watttime_v3_csv(d, meta=True), CARBON),
    "watttime forecast": (lambda d: samples.watttime_v3(d, forecast=True), issued),
    "sgip": (lambda d: samples.sgip(d, False), CARBON),
    "sgip forecasts": (lambda d: samples.sgip(d, True), issued),
    "entsoe old": (samples.entsoe_old, PRICE),
    "entsoe new": (samples.entsoe_new, PRICE),
    "entsoe file load": (samples.entsoe_file, LOAD),
    "entsoe file price": (lambda d: samples.entsoe_file(d, "price"), PRICE),
    "smard": (samples.smard_price, PRICE),
    "smard english": (lambda d: samples.smard_price(d, english=True), PRICE),
    "smard generation": (samples.smard_generation, series("pv", rating="100MW")),
    "eia-930": (samples.eia930, LOAD),
    "eia workbook": (samples.eia_workbook, CARBON),
    "eia interface": (samples.eia_interface, LOAD),
    "eia interface json": (lambda d: samples.eia_interface(d, "json"), LOAD),
    "solcast": (samples.solcast, weather),
    "solcast old": (lambda d: samples.solcast(d, old=True), weather),
    "renewables-ninja": (samples.ninja, PV),
    "pvgis-hourly": (samples.pvgis_hourly, PV),
    "pvwatts": (samples.pvwatts, PV),
    "pvwatts weather": (samples.pvwatts, weather),
    "open-meteo csv": (samples.open_meteo_csv, weather),
    "open-meteo json": (samples.open_meteo_json, weather),
    "open-meteo quarters": (lambda d: samples.open_meteo_json(d, 15), weather),
    "surfrad": (samples.surfrad, weather),
    "cams": (samples.cams, weather),
    "epw": (samples.epw, weather),
    "tmy3": (samples.tmy3, weather),
    "dwd-try": (samples.dwd_try, weather),
    "pvgis-tmy": (samples.pvgis_tmy, weather),
    "nsrdb": (samples.nsrdb, weather),
    "nsrdb half hours": (lambda d: samples.nsrdb(d, minutes=30), weather),
    "nsrdb typical": (lambda d: samples.nsrdb(d, typical=True), weather),
    "windpowerlib": (samples.windpowerlib, weather),
}


def same(one: list[Any], other: list[Any]) -> bool:
    """Whether two readings agree: arrays to rounding, the rest exactly."""
    if len(one) != len(other):
        return False
    for a, b in zip(one, other, strict=True):
        if isinstance(a, np.ndarray) != isinstance(b, np.ndarray):
            return False
        equal = (
            np.allclose(a, b, rtol=1e-9, equal_nan=True)
            if isinstance(a, np.ndarray) and a.shape == b.shape
            else a is b or a == b
        )
        if not equal:
            return False
    return True
