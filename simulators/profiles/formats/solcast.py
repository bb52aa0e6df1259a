"""Solcast: native CSV of the present and the former interface, JSON."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pandas as pd

from simulators.errors import InputError
from simulators.profiles.axis import read_axis
from simulators.profiles.formats.base import Column, Content, Format, Label, RawWeather, Said, Sheet
from simulators.profiles.formats.carbon import columns_of
from simulators.profiles.formats.checks import on_axes
from simulators.profiles.tables import Table

_COLUMNS = {
    "ghi": ("ghi", "W/m2"),
    "dni": ("dni", "W/m2"),
    "dhi": ("dhi", "W/m2"),
    "airtemp": ("temperature", "degC"),
    "windspeed10m": ("wind_speed", "m/s"),
    "surfacepressure": ("pressure", "hPa"),
    "relativehumidity": ("humidity", "%"),
}
_LISTS = ("estimated_actuals", "forecasts")


def _folded(name: object) -> str:
    """One spelling of ``air_temp`` and ``AirTemp``."""
    return re.sub(r"[\s_]", "", str(name)).lower()


def _solcast(content: Content, said: Said) -> RawWeather:
    """Values are means of the period that ends (or starts) at the label; the file names no place."""
    table = _table(content)
    names = {_folded(name): str(name) for name in table.frame.columns}
    label: Label = "end" if "periodend" in names else "start"
    time = names.get("periodend") or names.get("periodstart")
    if time is None:
        raise InputError(f"{content.path}: no period_end or period_start, found {table.columns()}")
    axis = read_axis(table, time, "UTC", label, said.fill)
    period = table.frame[names["period"]].iloc[0] if "period" in names else None
    if period is not None and pd.Timedelta(str(period)).total_seconds() != axis.step_s:
        raise InputError(
            f"{content.path}: its rows are {axis.step_s} s apart, their period is {period}; expected rows without gaps"
        )
    present = {
        quantity: (names[folded], unit) for folded, (quantity, unit) in _COLUMNS.items() if folded in names
    }
    columns, note = on_axes(table, present, axis, said)
    return RawWeather(content.path, axis.start, axis.step_s, columns, content.sha256, note=note)


def _power(content: Content) -> Sheet:
    """Estimates of a rooftop's output: kW of a plant whose rating the file does not name."""
    table = _table(content)
    names = {_folded(name): str(name) for name in table.frame.columns}
    time = names.get("periodend") or names.get("periodstart")
    found = {
        names[folded]: Column("pv", "kW", rank=rank)
        for rank, folded in enumerate(("pvestimate", "pvpowerrooftop", "pvpoweradvanced", "pvestimate50"))
        if folded in names
    }
    if time is None or not found:
        raise InputError(
            f"{content.path}: is Solcast's weather or without times, found {table.columns()}; expected pv_estimate or "
            "pv_power_rooftop for PV, or this as --weather"
        )
    return Sheet(table, time, found, "UTC", "end" if "periodend" in names else "start")


def _table(content: Content) -> Table:
    held: Any = content.json
    if held is None:
        return content.table()
    records: list[Any] = next((held[key] for key in _LISTS if key in held), [])
    if len(records) < 2:
        raise InputError(f"{content.path}: holds no list of values; expected it as downloaded")
    frame = pd.DataFrame(records)
    if "period_end" in frame:
        frame = frame.sort_values("period_end", kind="stable").reset_index(drop=True)
    return content.own(Table(content.path, frame, 1, {}, content.sha256))


def _is_solcast(content: Content) -> bool:
    if content.json is not None:
        return isinstance(content.json, Mapping) and any(key in content.json for key in _LISTS)
    names = {_folded(name) for name in columns_of(content)}
    values = {"ghi", "dni", "pvestimate", "pvpowerrooftop", "pvpoweradvanced"}
    return "period" in names and bool({"periodend", "periodstart"} & names) and bool(values & names)


FORMATS = (
    Format(
        "solcast", "Solcast (CSV, JSON)", "weather, without a place; PV output", "W/m2, degC, m/s, hPa; kW",
        "5 to 60 min", "end",
        "columns period_end (PeriodEnd) and period, ghi", "Solcast, docs.solcast.com.au: period_end and period",
        _is_solcast, _power, weather=_solcast,
    ),
)  # fmt: skip
