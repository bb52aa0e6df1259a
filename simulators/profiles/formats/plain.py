"""Plain tables: windpowerlib's CSV, and any CSV or parquet file with a time column."""

from __future__ import annotations

import re

import numpy as np

from simulators.errors import InputError
from simulators.profiles.axis import read_axis
from simulators.profiles.clock import ends_at_midnight, find_time_column, joined, label_of
from simulators.profiles.formats.base import Content, Format, NoWeather, RawWeather, Said
from simulators.profiles.formats.carbon import plain_sheet
from simulators.profiles.formats.checks import COLUMNS, OPTIONAL, on_axes
from simulators.profiles.quantities import QUANTITIES
from simulators.profiles.tables import Table, parse_text
from simulators.profiles.units import split_header


def _windpowerlib(content: Content, said: Said) -> RawWeather:
    """windpowerlib's layout (heights in row 2, K, Pa), of which the highest wind speed is taken."""
    lines = content.tidy.rstrip().splitlines()
    if len(lines) < 4:
        raise InputError(f"{content.path}: has no data rows; expected names, heights and at least two rows")
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
            f"{content.path}: row 2 (line of the file): {error}; expected a height above each column"
        ) from error
    # one header instead of two; the comment keeps the row numbers of the file
    text = "\n".join(["# heights are in the header", ",".join(headers), *rows])
    table = content.own(parse_text(content.path, text, content.sha256))
    axis = read_axis(table, "time", "UTC", "start", said.fill)
    units = (("temperature", "K"), ("wind_speed", "m/s"), ("pressure", "Pa"))
    present = {name: (found[name][1], unit) for name, unit in units if name in found}
    columns, note = on_axes(table, present, axis, said)
    roughness_m = None
    if "roughness_length" in found:
        roughness_m = float(np.nanmean(table.numbers(found["roughness_length"][1])))
    return RawWeather(
        content.path, axis.start, axis.step_s, columns, content.sha256,
        wind_height_m=found["wind_speed"][0] if "wind_speed" in found else 10.0, roughness_m=roughness_m, note=note,
    )  # fmt: skip


def _weather(content: Content, said: Said) -> RawWeather:
    """A CSV or parquet file with one column per quantity, recognised by its name."""
    table = content.table()
    made = joined(table)
    table, time_column = made if made is not None else (table, find_time_column(table))
    found: dict[str, str] = {}
    height_m = 10.0
    for header in map(str, table.frame.columns):
        name, _ = split_header(header)
        folded = name.lower().replace(" ", "_")
        height = re.fullmatch(r"(wind_?speed)_(\d+(?:\.\d+)?)m", folded)
        for quantity in (*COLUMNS, *OPTIONAL):
            names = {spelling.replace(" ", "_") for spelling in QUANTITIES[quantity].names}
            if quantity not in found and ((height[1] if height else folded) in names):
                found[quantity] = header
                height_m = float(height[2]) if height else height_m
    if not set(found) - set(OPTIONAL):
        raise NoWeather(
            f"{table.path}: no weather column; expected any of ghi, dni, dhi, temp_air, wind_speed, "
            f"pressure, found {table.columns()}"
        )
    label = said.label or ("end" if ends_at_midnight(table, time_column) else label_of(time_column))
    axis = read_axis(table, time_column, said.timezone, label, said.fill, stated=said.timezone is not None)
    present = {name: (header, split_header(header)[1]) for name, header in found.items()}
    columns, note = on_axes(table, present, axis, said)
    place = {key: _number(table, key) for key in ("latitude", "longitude", "altitude", "wind height")}
    return RawWeather(
        table.path, axis.start, axis.step_s, columns, table.sha256,
        place["latitude"], place["longitude"], place["altitude"],
        wind_height_m=place["wind height"] or height_m, note=note, settled=False,
    )  # fmt: skip


def _number(table: Table, key: str) -> float | None:
    """Number of a ``# key: value`` line above the header, with an optional unit behind it."""
    text = table.comments.get(key) or table.comments.get(f"{key}_m")
    if text is None:
        return None
    match = re.match(r"[+-]?\d+(\.\d+)?", text)
    if not match:
        raise InputError(f"{table.path}: '{key}: {text}' above the header; expected a number")
    return float(match[0])


_ANY = ("any series; weather", "in the header: value[unit]", "any, uniform", "start, unless told")


FORMATS = (
    Format(
        "windpowerlib", "windpowerlib CSV", "weather for wind turbines", "m/s, K, Pa", "1 h", "start",
        "first line variable_name,", "windpowerlib, example/weather.csv",
        lambda c: c.head.startswith("variable_name,"), weather=_windpowerlib,
    ),
    Format(
        "parquet", "parquet", *_ANY, "a time column and value[unit]", "Apache Parquet",
        lambda c: c.packed, plain_sheet, weather=_weather,
    ),
    Format(
        "csv", "CSV", *_ANY, "a time column and value[unit]; also .csv.gz, archive.zip/member.csv", "RFC 4180",
        lambda c: c.json is None, plain_sheet, weather=_weather,
    ),
)  # fmt: skip
