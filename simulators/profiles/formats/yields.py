"""Output of PV and wind plants, as tools compute it: renewables.ninja, PVGIS hourly, PVWatts."""

from __future__ import annotations

import io
import json
import re
from datetime import UTC, datetime, timedelta

import pandas as pd

from simulators.errors import InputError
from simulators.profiles.clock import find_time_column
from simulators.profiles.formats.base import Column, Content, Format, RawWeather, Said, Sheet
from simulators.profiles.formats.checks import NOMINAL_YEAR, check_year, checked, pvlib_read
from simulators.profiles.tables import Table, check_lengths


def _ninja(content: Content) -> Sheet:
    """renewables.ninja: ``electricity`` in kW of a plant of ``capacity`` kW, or a country's ``national`` share."""
    notes = [line for line in content.head.splitlines() if line.startswith("#")]
    title = " ".join(notes).lower()
    quantity = "wind" if re.search(r"\bwind\b", notes[0].lower()) else "pv"
    capacity = 1.0
    for line in notes:
        found = re.search(r"\{.*\}", line)
        if found:
            try:
                capacity = float(json.loads(found[0]).get("params", {}).get("capacity", 1.0))
            except (ValueError, AttributeError, TypeError):
                raise InputError(f"{content.path}: its description above the header is damaged") from None
    table = content.table()
    columns: dict[str, Column] = {}
    for name in map(str, table.frame.columns):
        if name.lower() == "electricity":
            kilowatt = "electricity in kw" in title or '"electricity": "kw"' in title or "{" in title
            columns[name] = (
                Column(quantity, "kW", rated_w=capacity * 1e3) if kilowatt else Column(quantity, "1")
            )
        elif name.lower() in ("national", "onshore", "offshore"):
            columns[name] = Column(quantity, "1", rank=0 if name.lower() == "national" else 1)
    return Sheet(table, find_time_column(table), columns, "UTC", "start")


def _pvgis_hourly(content: Content) -> Sheet:
    """PVGIS hourly: values at an instant, which stand for the hour around it; P in W of a plant of so many kWp."""
    from pvlib import iotools

    if content.json is None:
        frame, _ = pvlib_read(
            content, "PVGIS hourly", iotools.read_pvgis_hourly, io.StringIO(content.tidy), pvgis_format="csv"
        )
        peak = re.search(r"^Nominal power of the PV system.*?:\s*([\d.]+)", content.head, re.MULTILINE)
        peak_kw = float(peak[1]) if peak else None
        first_row = content.tidy[: content.tidy.index("\ntime,")].count("\n") + 3
    else:
        frame, meta = pvlib_read(
            content, "PVGIS hourly", iotools.read_pvgis_hourly, io.StringIO(content.tidy), pvgis_format="json"
        )
        module = (meta.get("inputs", meta) or {}).get("pv_module") or {}
        peak_kw = module.get("peak_power")
        first_row = 1
    if "P" not in frame:
        raise InputError(
            f"{content.path}: is a PVGIS series in the plane of the modules without their power; "
            "expected one with P (ask PVGIS for PV power), or a PVGIS TMY as weather"
        )
    index = pd.DatetimeIndex(frame.index)
    step = index[1] - index[0] if len(index) > 1 else pd.Timedelta(hours=1)
    times = (index - step / 2).strftime("%Y-%m-%d %H:%M:%S+00:00")
    made = pd.DataFrame({"time": times, "P": frame["P"].to_numpy()})
    rated_w = float(peak_kw) * 1e3 if peak_kw else None
    table = content.own(Table(content.path, made, first_row, {}, content.sha256))
    return Sheet(table, "time", {"P": Column("pv", "W", rated_w=rated_w)}, "UTC", "start")


def _pvwatts_table(content: Content) -> tuple[Table, dict[str, str]]:
    lines = content.tidy.rstrip().splitlines()
    header = next(
        (n for n, line in enumerate(lines) if line.startswith(("Month,Day,Hour", '"Month","Day"'))), None
    )
    if header is None:
        raise InputError(f"{content.path}: no hours in it; expected PVWatts' hourly results")
    rows = [line for line in lines[header:] if not line.lower().startswith(("totals", '"totals'))]
    check_lengths(content.path, rows, 0)
    frame = pd.read_csv(io.StringIO("\n".join(rows)), dtype="string", keep_default_na=False)
    about = {}
    for line in lines[:header]:
        key, _, value = line.partition(",")
        about[key.strip(' ":').lower()] = value.strip(',"\t ')
    return content.own(Table(content.path, frame, header + 2, {}, content.sha256)), about


def _about(content: Content, about: dict[str, str], begins: str) -> float:
    found = next((value for key, value in about.items() if key.startswith(begins)), "")
    match = re.match(r"[+-]?\d+(\.\d+)?", found)
    if match is None:
        raise InputError(f"{content.path}: no '{begins}' above its hours; expected it as PVWatts writes it")
    return float(match[0])


def _pvwatts_start(content: Content, about: dict[str, str]) -> datetime:
    """Local standard time: the zone is that of the longitude unless the file names it."""
    zone = next((value for key, value in about.items() if key.startswith("time zone")), None)
    west = next((key for key in about if key.startswith("long (deg w)")), None)
    longitude = -_about(content, about, "long (deg w)") if west else _about(content, about, "long")
    hours = float(zone) if zone else round(longitude / 15)
    return datetime(NOMINAL_YEAR, 1, 1, tzinfo=UTC) - timedelta(hours=hours)


def _pvwatts(content: Content) -> Sheet:
    """PVWatts: AC output in W of a plant of so many kW; hour 0 is the first hour of the day."""
    table, about = _pvwatts_table(content)
    start = _pvwatts_start(content, about)
    times = pd.date_range(start, periods=len(table.frame), freq="h").strftime("%Y-%m-%d %H:%M+00:00")
    name = next((n for n in table.frame.columns if str(n).startswith("AC System Output")), None)
    if name is None:
        raise InputError(f"{content.path}: no AC output, found {table.columns()}")
    made = pd.DataFrame({"time": times, name: table.frame[name]})
    rated_w = _about(content, about, "dc system size") * 1e3
    sheet = Table(table.path, made, table.first_row, {}, table.sha256)
    return Sheet(content.own(sheet), "time", {str(name): Column("pv", "W", rated_w=rated_w)}, "UTC", "start")


def _pvwatts_weather(content: Content, said: Said) -> RawWeather:
    table, about = _pvwatts_table(content)
    named = {"Beam": "dni", "Diffuse": "dhi", "Ambient": "temperature", "Wind": "wind_speed"}
    frame = pd.DataFrame(
        {
            quantity: table.numbers(str(column))
            for column in table.frame.columns
            for begins, quantity in named.items()
            if str(column).startswith(begins)
        }
    )
    stamps = pd.DatetimeIndex(
        pd.to_datetime(
            f"{NOMINAL_YEAR}-"
            + table.frame["Month"]
            + "-"
            + table.frame["Day"]
            + " "
            + table.frame["Hour"]
            + ":00",
            format="%Y-%m-%d %H:%M",
            errors="coerce",
        )
    )
    check_year(content.path, stamps, "PVWatts", table.first_row)
    columns, note = checked(content, frame, table.first_row, said, 3600)
    west = any(key.startswith("long (deg w)") for key in about)
    longitude = -_about(content, about, "long (deg w)") if west else _about(content, about, "long")
    return RawWeather(
        content.path, _pvwatts_start(content, about), 3600, columns, content.sha256,
        _about(content, about, "lat"), longitude, _about(content, about, "elev"), cyclic=True, note=note,
    )  # fmt: skip


def _is_pvgis_hourly(content: Content) -> bool:
    held = content.json
    if isinstance(held, dict):
        return "hourly" in (held.get("outputs") or {}) if isinstance(held.get("outputs"), dict) else False
    return content.head.startswith("Latitude (decimal degrees)") and "\ntime," in content.tidy


FORMATS = (
    Format(
        "renewables-ninja", "renewables.ninja CSV", "PV or wind output", "kW of so many kW", "1 h", "start",
        "first line # Renewables.ninja", "Pfenninger and Staffell (2016), Energy 114, 1251; renewables.ninja",
        lambda c: c.head.startswith("#") and "ninja" in c.head[:400].lower(), _ninja,
    ),
    Format(
        "pvgis-hourly", "PVGIS hourly (CSV, JSON)", "PV output", "W of so many kWp", "1 h", "instant, hour around it",
        "Latitude (decimal degrees) header and column time, or outputs.hourly",
        "European Commission, JRC, PVGIS user manual, hourly radiation", _is_pvgis_hourly, _pvgis_hourly,
    ),
    Format(
        "pvwatts", "PVWatts hourly CSV", "PV output; weather of a typical year", "W of so many kW; W/m2, degC", "1 h",
        "start", "first line PVWatts", "Dobos (2014), PVWatts Version 5 Manual, NREL/TP-6A20-62641",
        lambda c: c.head.lstrip('"').startswith("PVWatts"), _pvwatts, weather=_pvwatts_weather,
    ),
)  # fmt: skip
