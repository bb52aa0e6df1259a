"""Open-Meteo: JSON as the interface gives it, CSV as the website writes it."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pandas as pd

from simulators.errors import InputError, first_line
from simulators.profiles.axis import read_axis
from simulators.profiles.formats.base import Content, Format, RawWeather, Said
from simulators.profiles.formats.checks import IRRADIANCE, ends_of_hours_to_means, on_axes
from simulators.profiles.tables import Table, parse_text

_NAMES = {
    "ghi": ("shortwave_radiation",),
    "dni": ("direct_normal_irradiance",),
    "dhi": ("diffuse_radiation",),
    "temperature": ("temperature_2m",),
    "wind_speed": ("wind_speed_10m", "windspeed_10m"),
    "pressure": ("surface_pressure",),
    "humidity": ("relative_humidity_2m", "relativehumidity_2m"),
}


_PARTS = ("hourly", "minutely_15")


def _held(content: Content) -> Any:
    """The object of one place: some ask for a list of places and get a list."""
    held = content.json
    if isinstance(held, list) and held and isinstance(held[0], Mapping) and "hourly_units" in held[0]:
        if len(held) > 1:
            raise InputError(f"{content.path}: holds {len(held)} places; expected an Open-Meteo file of one")
        return held[0]
    return held


def _is_json(content: Content) -> bool:
    held = content.json
    held = held[0] if isinstance(held, list) and held else held
    return isinstance(held, Mapping) and any(
        part in held and f"{part}_units" in held for part in (*_PARTS, "daily")
    )


def _json(content: Content, said: Said) -> RawWeather:
    held = _held(content)
    if not isinstance(held, Mapping):
        raise InputError(f"{content.path}: damaged Open-Meteo file; expected it as downloaded, of one place")
    part = next((part for part in _PARTS if part in held), None)
    if part is None:
        raise InputError(f"{content.path}: holds days only; expected an Open-Meteo file of hours")
    try:
        frame, units = pd.DataFrame(held[part]), dict(held[f"{part}_units"])
        frame["time"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{content.path}: damaged Open-Meteo file ({first_line(error)}); expected it as downloaded"
        ) from error
    table = content.own(Table(content.path, frame, 1, {}, content.sha256))
    return _weather(content, table, {name: str(unit) for name, unit in units.items()}, held, said)


def _csv(content: Content, said: Said) -> RawWeather:
    """Two lines of the place, a blank one, and the hours with their units in the header."""
    lines = content.tidy.splitlines()
    keys, *values = [row for row in csv.reader(lines[:3]) if row]
    head = next((n for n, line in enumerate(lines) if re.match(r"(location_id,)?time,", line)), None)
    if head is None or len(values) != 1 or "location_id" in keys:
        raise InputError(f"{content.path}: expected an Open-Meteo CSV of hours at one place")
    held = dict(zip(keys, values[0], strict=False))
    blank = next((n for n in range(head, len(lines)) if not lines[n].strip(' ,"')), len(lines))
    lines = lines[:blank]  # days come behind the hours
    # blank lines above keep the row numbers of the file
    table = content.own(parse_text(content.path, "\n".join([""] * head + lines[head:]), content.sha256))
    units, names = {}, {}
    for header in map(str, table.frame.columns):
        match = re.fullmatch(r"(\w+) \((.*)\)", header)
        if match:
            names[header], units[match[1]] = match[1], match[2]
    frame = table.frame.rename(columns=names)
    return _weather(content, Table(**{**vars(table), "frame": frame}), units, held, said)


def _weather(
    content: Content, table: Table, units: Mapping[str, str], about: Mapping[str, Any], said: Said
) -> RawWeather:
    """Irradiance is the mean of the preceding hour; of the rest the mean of both ends stands for the hour."""
    try:
        offset_h = float(about["utc_offset_seconds"]) / 3600
        latitude, longitude = float(about["latitude"]), float(about["longitude"])
        altitude_m = float(about.get("elevation") or 0.0)
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{content.path}: damaged Open-Meteo file ({first_line(error)}); expected it as downloaded"
        ) from error
    unix = str(table.frame["time"].iloc[0]).strip().isdigit()
    axis = read_axis(table, "time", "UTC", "start", said.fill)
    present, height_m = _present(table, units)
    if not present:
        expected = ", ".join(spelling for spellings in _NAMES.values() for spelling in spellings)
        raise InputError(f"{content.path}: none of {expected} found")
    full, note = on_axes(table, present, axis, said)
    columns = {
        name: values[1:] if name in IRRADIANCE else ends_of_hours_to_means(values)
        for name, values in full.items()
    }
    start = axis.start - timedelta(hours=0.0 if unix else offset_h)
    return RawWeather(
        content.path,
        start,
        axis.step_s,
        columns,
        content.sha256,
        latitude,
        longitude,
        altitude_m,
        wind_height_m=height_m,
        note=note,
    )


def _present(table: Table, units: Mapping[str, str]) -> tuple[dict[str, tuple[str, str | None]], float]:
    """Columns by quantity, and the height of the wind, m; a model's name may stand behind theirs, if it is one."""
    names = [str(name) for name in table.frame.columns]
    present: dict[str, tuple[str, str | None]] = {}
    for quantity, spellings in _NAMES.items():
        column = next((spelling for spelling in spellings if spelling in names), None)
        if column is None:
            of_models = [name for name in names for spelling in spellings if name.startswith(f"{spelling}_")]
            of_models = [name for name in of_models if not re.search(r"_(instant|spread|member)", name)]
            column = of_models[0] if len(of_models) == 1 else None
        if column is not None:
            present[quantity] = (column, units.get(column))
    if "wind_speed" in present:
        return present, 10.0
    for name in names:
        higher = re.fullmatch(r"wind_?speed_(\d+)m", name)
        if higher:
            return present | {"wind_speed": (name, units.get(name))}, float(higher[1])
    return present, 10.0


_SOURCE = "Open-Meteo, open-meteo.com/en/docs: radiation is the average of the preceding hour"
FORMATS = (
    Format(
        "open-meteo-json", "Open-Meteo JSON", "weather", "as hourly_units says", "15 min, 1 h",
        "end (irradiance), instant (the rest)", "hourly and hourly_units, or minutely_15", _SOURCE,
        _is_json, weather=_json,
    ),
    Format(
        "open-meteo-csv", "Open-Meteo CSV", "weather", "in the header", "1 h", "end (irradiance), instant (the rest)",
        "first line latitude,longitude,elevation,utc_offset_seconds", _SOURCE,
        lambda c: bool(re.match(r"(location_id,)?latitude,longitude,elevation,utc_offset_seconds", c.head)),
        weather=_csv,
    ),
)  # fmt: skip
