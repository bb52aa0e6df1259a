"""Weather in plain tables: a generic CSV or parquet file, windpowerlib's CSV, Open-Meteo's JSON."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from simulators.errors import InputError
from simulators.profiles.fill import FillRule
from simulators.profiles.quantities import QUANTITIES, split_header
from simulators.profiles.readers import Label, on_axis, read_axis, read_values
from simulators.profiles.tables import Table, parse_text
from simulators.profiles.times import find_time_column

COLUMNS = ("ghi", "dni", "dhi", "temperature", "wind_speed", "pressure")


@dataclass(frozen=True)
class RawWeather:
    """What a file holds, checked and on a uniform UTC axis; columns by quantity name in canonical units.

    `generic`: a plain table, whose times mean what the caller says.
    """

    path: Path
    start: datetime
    step_s: int
    columns: dict[str, NDArray[np.float64]]
    sha256: str
    latitude: float | None = None
    longitude: float | None = None
    altitude_m: float = 0.0
    wind_height_m: float = 10.0
    roughness_m: float | None = None
    cyclic: bool = False
    note: str = ""
    generic: bool = False


_OPEN_METEO = {
    "ghi": ("shortwave_radiation",),
    "dni": ("direct_normal_irradiance",),
    "dhi": ("diffuse_radiation",),
    "temperature": ("temperature_2m",),
    "wind_speed": ("wind_speed_10m", "windspeed_10m"),
    "pressure": ("surface_pressure",),
}


def read_open_meteo(path: Path, content: dict[str, Any], digest: str, fill: FillRule | None) -> RawWeather:
    """Irradiance is the mean of the preceding hour; of the rest the mean of both ends stands for the hour."""
    try:
        frame, units = pd.DataFrame(content["hourly"]), dict(content["hourly_units"])
        offset_h = float(content["utc_offset_seconds"]) / 3600
        latitude, longitude = float(content["latitude"]), float(content["longitude"])
        altitude_m = float(content.get("elevation", 0.0))
        frame["time"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: damaged Open-Meteo file ({error}); expected it as downloaded") from error
    table = Table(path, frame, 1, {}, digest)
    axis = read_axis(table, "time", "UTC", "start", fill)
    columns: dict[str, NDArray[np.float64]] = {}
    note = ""
    for name, spellings in _OPEN_METEO.items():
        column = next((spelling for spelling in spellings if spelling in frame.columns), None)
        if column is None:
            continue
        values, _ = read_values(table, column, QUANTITIES[name], units.get(column))
        values, filled = on_axis(table, column, axis, values, fill)
        note += filled
        preceding_mean = name in ("ghi", "dni", "dhi")
        columns[name] = values[1:] if preceding_mean else (values[:-1] + values[1:]) / 2
    if not columns:
        raise InputError(
            f"{path}: none of {', '.join(s for spellings in _OPEN_METEO.values() for s in spellings)} found"
        )
    start = axis.start - timedelta(hours=offset_h)
    return RawWeather(path, start, axis.step_s, columns, digest, latitude, longitude, altitude_m, note=note)


def read_windpowerlib(path: Path, text: str, digest: str, fill: FillRule | None) -> RawWeather:
    """Read windpowerlib's layout (heights in row 2, K, Pa) and take the highest wind speed."""
    lines = text.rstrip().splitlines()
    if len(lines) < 4:
        raise InputError(f"{path}: has no data rows; expected names, heights and at least two rows")
    names, heights, *rows = lines
    headers, found = ["time"], dict[str, tuple[float, str]]()
    try:
        for name, height in zip(names.split(",")[1:], map(float, heights.split(",")[1:]), strict=True):
            headers.append(f"{name} at {height:g} m")
            higher = name in found and height > found[name][0]
            if name not in found or higher == (name == "wind_speed"):
                found[name] = (height, headers[-1])
    except ValueError as error:
        raise InputError(
            f"{path}: row 2 (line of the file): {error}; expected a height above each column"
        ) from error
    # one header instead of two; the comment keeps the row numbers of the file
    table = parse_text(path, "\n".join(["# heights are in the header", ",".join(headers), *rows]), digest)
    axis = read_axis(table, "time", "UTC", "start", fill)
    columns: dict[str, NDArray[np.float64]] = {}
    note = ""
    for name, unit in (("temperature", "K"), ("wind_speed", "m/s"), ("pressure", "Pa")):
        if name in found:
            column = found[name][1]
            values, _ = read_values(table, column, QUANTITIES[name], unit)
            columns[name], filled = on_axis(table, column, axis, values, fill)
            note += filled
    roughness_m = None
    if "roughness_length" in found:
        roughness_m = float(np.nanmean(table.numbers(found["roughness_length"][1])))
    height_m = found["wind_speed"][0] if "wind_speed" in found else 10.0
    return RawWeather(
        path,
        axis.start,
        axis.step_s,
        columns,
        digest,
        wind_height_m=height_m,
        roughness_m=roughness_m,
        note=note,
    )


def read_generic(table: Table, timezone: str, label: Label, fill: FillRule | None) -> RawWeather:
    """Read a CSV or parquet file with one column per quantity, recognised by its name."""
    time_column = find_time_column(table)
    found: dict[str, str] = {}
    height_m = 10.0
    for header in map(str, table.frame.columns):
        name, _ = split_header(header)
        folded = name.lower().replace(" ", "_")
        height = re.fullmatch(r"(wind_?speed)_(\d+(?:\.\d+)?)m", folded)
        for quantity in COLUMNS:
            names = {spelling.replace(" ", "_") for spelling in QUANTITIES[quantity].names}
            if quantity not in found and ((height[1] if height else folded) in names):
                found[quantity] = header
                height_m = float(height[2]) if height else height_m
    if not found:
        raise InputError(
            f"{table.path}: no weather column; expected any of ghi, dni, dhi, temp_air, wind_speed, "
            f"pressure, found {table.columns()}"
        )
    axis = read_axis(table, time_column, timezone, label, fill)
    columns: dict[str, NDArray[np.float64]] = {}
    note = ""
    for quantity, header in found.items():
        values, _ = read_values(table, header, QUANTITIES[quantity])
        columns[quantity], filled = on_axis(table, header, axis, values, fill)
        note += filled
    place = {key: _number(table, key) for key in ("latitude", "longitude", "altitude", "wind height")}
    return RawWeather(
        table.path,
        axis.start,
        axis.step_s,
        columns,
        table.sha256,
        place["latitude"],
        place["longitude"],
        place["altitude"] or 0.0,
        wind_height_m=place["wind height"] or height_m,
        note=note,
        generic=True,
    )


def _number(table: Table, key: str) -> float | None:
    """Number of a ``# key: value`` line above the header, with an optional unit behind it."""
    text = table.comments.get(key) or table.comments.get(f"{key}_m")
    if text is None:
        return None
    match = re.match(r"[+-]?\d+(\.\d+)?", text)
    if not match:
        raise InputError(f"{table.path}: '{key}: {text}' above the header; expected a number")
    return float(match[0])
