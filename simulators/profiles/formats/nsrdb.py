"""NSRDB PSM: as published, and as pandas writes pvlib's table of it."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from datetime import timedelta

import pandas as pd

from simulators.errors import InputError
from simulators.profiles.axis import read_axis
from simulators.profiles.formats.base import Content, Format, RawWeather, Said
from simulators.profiles.formats.carbon import columns_of
from simulators.profiles.formats.checks import (
    NOMINAL_YEAR,
    check_steps,
    check_year,
    checked,
    on_axes,
    pvlib_read,
)
from simulators.profiles.tables import check_lengths

_WIND_M = 2.0
"""Height of the wind speed: MERRA-2's at 2 m."""


def _native(content: Content, said: Said) -> RawWeather:
    """Rows are instants: each stands for the interval centred on it."""
    from pvlib import iotools

    check_lengths(content.path, content.tidy.rstrip().splitlines(), header=2)
    frame, meta = pvlib_read(content, "NSRDB PSM", iotools.read_nsrdb_psm4, io.StringIO(content.tidy))
    index = pd.DatetimeIndex(frame.index)
    typical = len(index) == 8760 and index.year.nunique() > 1 and index[0].month == 1
    if typical:  # months of several years: the year of a row does not matter
        check_year(content.path, index.tz_localize(None), "NSRDB", 4)
        step_s, first = 3600, index[0].replace(year=NOMINAL_YEAR)
    else:
        step_s, first = check_steps(content, index, 4), index[0]
    frame = frame.rename(columns={"temp_air": "temperature", "relative_humidity": "humidity"})
    if "pressure" in frame:  # users choose the attributes
        frame["pressure"] = frame["pressure"] * 100.0  # mbar
    columns, note = checked(content, frame, 4, said, step_s)
    start = first.tz_convert("UTC").to_pydatetime() - timedelta(seconds=step_s // 2)
    return RawWeather(
        content.path, start, step_s, columns, content.sha256, meta["latitude"], meta["longitude"], meta["altitude"],
        wind_height_m=_WIND_M, cyclic=typical, note=note,
    )  # fmt: skip


_DUMP = {
    "ghi": ("GHI", "W/m2"), "dni": ("DNI", "W/m2"), "dhi": ("DHI", "W/m2"), "temperature": ("Temperature", "degC"),
    "wind_speed": ("Wind Speed", "m/s"), "pressure": ("Pressure", "mbar"),
    "humidity": ("Relative Humidity", "%"),
}  # fmt: skip


def _dump(content: Content, said: Said) -> RawWeather:
    """The table alone, with pandas' index in front or without: NSRDB's units, but no place."""
    table = content.table()
    index = str(table.frame.columns[0])
    if index == "Year":
        parts = table.frame[["Month", "Day", "Hour", "Minute"]].apply(
            lambda cells: cells.str.strip().str.zfill(2)
        )
        times = table.frame["Year"].str.strip().str.cat(parts["Month"], "-").str.cat(parts["Day"], "-")
        times = times.str.cat(parts["Hour"], " ").str.cat(parts["Minute"], ":")
        index, table = "time", replace(table, frame=table.frame.assign(time=times))
    first = str(table.frame[index].iloc[0]).strip()
    if said.timezone is None and not re.search(r"(Z|[+-]\d\d:?\d\d)$", first[10:]):
        raise InputError(
            f"{content.path}: its times carry no offset; expected {table.advice('timezone', 'Etc/GMT+7')}"
        )
    axis = read_axis(table, index, said.timezone or "UTC", said.label or "start", said.fill)
    present = {name: known for name, known in _DUMP.items() if known[0] in table.frame}
    columns, note = on_axes(table, present, axis, said)
    centred_s = 0 if said.label else axis.step_s // 2
    return RawWeather(
        content.path, axis.start - timedelta(seconds=centred_s), axis.step_s, columns, content.sha256,
        wind_height_m=_WIND_M, note=note, settled=False,
    )  # fmt: skip


FORMATS = (
    Format(
        "nsrdb", "NSRDB PSM CSV", "weather", "W/m2, degC, m/s, mbar", "5 to 60 min", "instant, interval around it",
        "Source,Location ID header", "NREL, National Solar Radiation Data Base, PSM v3 and v4",
        lambda c: c.head.startswith("Source,Location ID"), weather=_native,
    ),
    Format(
        "nsrdb-table", "NSRDB PSM, table written by pandas", "weather, without a place", "W/m2, degC, m/s, mbar",
        "5 to 60 min", "instant, interval around it", "columns Year, Month, Day, Hour, Minute, GHI, DNI, DHI",
        "NREL, National Solar Radiation Data Base, PSM v3 and v4",
        lambda c: {"year", "month", "day", "hour", "minute", "ghi", "dni", "dhi"} <= set(columns_of(c)), weather=_dump,
    ),
)  # fmt: skip
