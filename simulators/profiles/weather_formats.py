"""Parsers of the weather formats: file -> RawWeather, still with whatever columns the file has."""

from __future__ import annotations

import io
import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pvlib import iotools

from simulators.errors import InputError
from simulators.profiles.quantities import QUANTITIES, quantity_named, split_header
from simulators.profiles.readers import Axis, Fill, Label, on_axis, read_axis, read_values
from simulators.profiles.tables import Table, decode, read_bytes, read_table
from simulators.profiles.times import find_time_column

NOMINAL_YEAR = 1990  # of typical years; not a leap year
_IN_PLANE = "is a PVGIS series in the plane of the modules; expected a PVGIS TMY (horizontal irradiance)"
_COLUMNS = ("ghi", "dni", "dhi", "temperature", "wind_speed", "pressure")


@dataclass(frozen=True)
class RawWeather:
    """What a file holds, checked and on a uniform UTC axis; columns by quantity name in canonical units."""

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
    note: str = field(default="")


def read_raw(path: Path, timezone: str, label: Label, fill: Fill | None) -> RawWeather:
    """Recognise the format by the file's content and parse it."""
    raw, digest = read_bytes(path)
    if raw[:4] == b"PAR1":
        return _generic(read_table(path), timezone, label, fill)
    text = decode(raw)
    head = text[:4000]
    if head.lstrip().startswith("{"):
        return _json(path, text, digest, fill)
    if head.startswith("LOCATION,"):
        return _epw(path, text, digest, fill)
    if re.search(r"^Date \(MM/DD/YYYY\),Time", head, re.MULTILINE):
        return _tmy3(path, text, digest, fill)
    if head.startswith("Latitude (decimal degrees)"):
        return _pvgis(path, text, digest, fill)
    if head.startswith("Source,Location ID"):
        return _nsrdb(path, text, digest, fill)
    if head.startswith("Koordinatensystem"):
        raise InputError(
            f"{path}: is a DWD test reference year (.dat); "
            "expected EPW, TMY3, PVGIS TMY, NSRDB, Open-Meteo or CSV"
        )
    if head.startswith("variable_name,"):
        return _windpowerlib(path, text, digest, fill)
    return _generic(read_table(path), timezone, label, fill)


def _checked(
    path: Path, frame: pd.DataFrame, first_row: int, digest: str, fill: Fill | None, step_s: int
) -> tuple[dict[str, NDArray[np.float64]], str]:
    """Check the columns of a fixed format, already uniform in time and in canonical units."""
    table = Table(path, frame, first_row, {}, digest)
    axis_start = datetime(NOMINAL_YEAR, 1, 1, tzinfo=UTC)

    axis = Axis(axis_start, step_s, np.arange(len(frame), dtype=np.int64))
    columns: dict[str, NDArray[np.float64]] = {}
    notes = ""
    for name in _COLUMNS:
        if name not in frame.columns or frame[name].isna().all():
            continue
        quantity = quantity_named(name)
        values, _ = read_values(table, name, quantity, quantity.unit)
        columns[name], note = on_axis(table, name, axis, values, fill)
        notes += note
    if not columns:
        raise InputError(f"{path}: no irradiance, temperature or wind speed found")
    return columns, notes


def _parsed(
    path: Path, kind: str, reader: Any, text: io.StringIO | io.BytesIO, **options: Any
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Run a pvlib reader; whatever it trips over in a broken file becomes one line."""
    try:
        frame, meta = reader(text, **options)[:2]
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{path}: damaged {kind} file ({first}); expected {kind} as published") from error
    return frame, meta


def _hours_of_a_year(path: Path, rows: int, kind: str) -> None:
    if rows not in (8760, 8784):
        raise InputError(f"{path}: has {rows} hours; expected the 8760 of a {kind} year")


def _tmy3(path: Path, text: str, digest: str, fill: Fill | None) -> RawWeather:
    frame, meta = _parsed(path, "TMY3", iotools.read_tmy3, io.StringIO(text), coerce_year=NOMINAL_YEAR)
    _hours_of_a_year(path, len(frame), "TMY3")
    frame = frame.rename(columns={"temp_air": "temperature"})
    frame["pressure"] = frame["pressure"] * 100.0  # mbar
    columns, note = _checked(path, frame.replace(-9900.0, np.nan), 3, digest, fill, 3600)
    start = datetime(NOMINAL_YEAR, 1, 1, tzinfo=UTC) - timedelta(hours=float(meta["TZ"]))
    return RawWeather(
        path,
        start,
        3600,
        columns,
        digest,
        meta["latitude"],
        meta["longitude"],
        meta["altitude"],
        cyclic=True,
        note=note,
    )


def _epw(path: Path, text: str, digest: str, fill: Fill | None) -> RawWeather:
    _epw_row_length(path, text)
    frame, meta = _parsed(path, "EPW", iotools.read_epw, io.StringIO(text))
    _hours_of_a_year(path, len(frame), "EPW")
    frame = frame.rename(columns={"temp_air": "temperature", "atmospheric_pressure": "pressure"})
    # codes for "missing": EnergyPlus Auxiliary Programs, "EPW CSV format"
    codes = {
        "ghi": 9999,
        "dni": 9999,
        "dhi": 9999,
        "temperature": 99.9,
        "wind_speed": 999,
        "pressure": 999999,
    }
    frame = frame.replace({name: {code: np.nan} for name, code in codes.items()})
    columns, note = _checked(path, frame, 9, digest, fill, 3600)
    years = frame["year"].unique()
    cyclic = len(years) > 1
    year = NOMINAL_YEAR if cyclic else int(years[0])
    start = datetime(year, 1, 1, tzinfo=UTC) - timedelta(hours=float(meta["TZ"]))
    return RawWeather(
        path,
        start,
        3600,
        columns,
        digest,
        meta["latitude"],
        meta["longitude"],
        meta["altitude"],
        cyclic=cyclic,
        note=note,
    )


def _epw_row_length(path: Path, text: str) -> None:
    """Name the first data row that is cut short, which pvlib would pad with NaN."""
    for number, line in enumerate(text.splitlines()[8:], start=9):
        if line.strip() and line.count(",") < 21:  # wind speed is the 22nd field
            raise InputError(
                f"{path}: row {number} (line of the file): has {line.count(',') + 1} cells; expected 35"
            )


def _pvgis(path: Path, text: str, digest: str, fill: Fill | None) -> RawWeather:
    if "time(UTC)" not in text:
        raise InputError(f"{path}: {_IN_PLANE}")
    frame, meta = _parsed(
        path, "PVGIS TMY", iotools.read_pvgis_tmy, io.BytesIO(text.encode()), pvgis_format="csv"
    )
    header = next(
        number for number, line in enumerate(text.splitlines(), start=1) if line.startswith("time(UTC)")
    )
    return _pvgis_tmy(path, frame, meta, digest, fill, header + 1)


def _pvgis_tmy(
    path: Path, frame: pd.DataFrame, meta: dict[str, Any], digest: str, fill: Fill | None, first_row: int
) -> RawWeather:
    """PVGIS values hold `irradiance_time_offset` after the hour; a row stands for the hour around that."""
    _hours_of_a_year(path, len(frame), "PVGIS TMY")
    frame = frame.rename(columns={"temp_air": "temperature"})
    columns, note = _checked(path, frame, first_row, digest, fill, 3600)
    place = meta.get("inputs", meta)
    place = place.get("location", place)
    offset_h = float(place.get("irradiance_time_offset", place.get("irradiance time offset", 0.0)))
    first = datetime(NOMINAL_YEAR, 1, 1, tzinfo=UTC) + timedelta(minutes=round(60 * offset_h) - 30)
    return RawWeather(
        path,
        first,
        3600,
        columns,
        digest,
        float(place["latitude"]),
        float(place["longitude"]),
        float(place["elevation"]),
        cyclic=True,
        note=note,
    )


def _nsrdb(path: Path, text: str, digest: str, fill: Fill | None) -> RawWeather:
    """NSRDB rows are instants: each stands for the interval centred on it."""
    frame, meta = _parsed(path, "NSRDB PSM", iotools.read_nsrdb_psm4, io.StringIO(text))
    seconds = (frame.index - frame.index[0]).total_seconds().to_numpy()
    gaps = np.diff(seconds)
    if len(gaps) == 0 or not (gaps == gaps[0]).all():
        row = int(np.flatnonzero(gaps != gaps[0])[0]) + 1 if len(gaps) else 0
        raise InputError(f"{path}: row {row + 4} (line of the file): steps differ; expected one uniform step")
    step_s = int(gaps[0])
    frame = frame.rename(columns={"temp_air": "temperature"})
    frame["pressure"] = frame["pressure"] * 100.0  # mbar
    columns, note = _checked(path, frame, 4, digest, fill, step_s)
    start = frame.index[0].tz_convert("UTC").to_pydatetime() - timedelta(seconds=step_s // 2)
    return RawWeather(
        path, start, step_s, columns, digest, meta["latitude"], meta["longitude"], meta["altitude"],
        wind_height_m=2.0,  # MERRA-2 wind at 2 m
        note=note,
    )  # fmt: skip


def _json(path: Path, text: str, digest: str, fill: Fill | None) -> RawWeather:
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(
            f"{path}: row {error.lineno} (line of the file): damaged JSON ({error.msg})"
        ) from error
    if "hourly" in content and "hourly_units" in content:
        return _open_meteo(path, content, digest, fill)
    if "tmy_hourly" in content.get("outputs", {}):
        frame, meta = _parsed(
            path, "PVGIS TMY", iotools.read_pvgis_tmy, io.StringIO(text), pvgis_format="json"
        )
        return _pvgis_tmy(path, frame, meta, digest, fill, 1)
    if "hourly" in content.get("outputs", {}):
        raise InputError(f"{path}: {_IN_PLANE}")
    raise InputError(f"{path}: unknown JSON; expected Open-Meteo (with 'hourly_units') or PVGIS TMY")


_OPEN_METEO = {
    "ghi": ("shortwave_radiation",),
    "dni": ("direct_normal_irradiance",),
    "dhi": ("diffuse_radiation",),
    "temperature": ("temperature_2m",),
    "wind_speed": ("wind_speed_10m", "windspeed_10m"),
    "pressure": ("surface_pressure",),
}


def _open_meteo(path: Path, content: dict[str, Any], digest: str, fill: Fill | None) -> RawWeather:
    """Irradiance is the mean of the preceding hour; of the rest the mean of both ends stands for the hour."""
    hourly, units = content["hourly"], content["hourly_units"]
    frame = pd.DataFrame({name: hourly[name] for name in hourly})
    table = Table(path, frame, 1, {}, digest)
    offset_h = float(content.get("utc_offset_seconds", 0)) / 3600
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
    return RawWeather(
        path, start, axis.step_s, columns, digest, content["latitude"], content["longitude"],
        float(content.get("elevation", 0.0)), note=note,
    )  # fmt: skip


def _windpowerlib(path: Path, text: str, digest: str, fill: Fill | None) -> RawWeather:
    """Read windpowerlib's layout (heights in row 2, K, Pa) and take the highest wind speed."""
    lines = text.rstrip().splitlines()
    names = lines[0].split(",")
    try:
        heights = [float(cell) for cell in lines[1].split(",")[1:]]
    except ValueError as error:
        raise InputError(f"{path}: row 2 (line of the file): heights are not numbers ({error})") from error
    frame = pd.read_csv(io.StringIO("\n".join(lines[2:])), header=None, dtype="string", keep_default_na=False)
    chosen: dict[str, tuple[float, int]] = {}
    for position, (name, height) in enumerate(zip(names[1:], heights, strict=True), start=1):
        better = name not in chosen or (
            height > chosen[name][0] if name == "wind_speed" else height < chosen[name][0]
        )
        if better:
            chosen[name] = (height, position)
    frame.columns = ["time", *(f"column {position}" for position in range(1, frame.shape[1]))]
    table = Table(path, frame, 3, {}, digest)
    axis = read_axis(table, "time", "UTC", "start", fill)
    columns: dict[str, NDArray[np.float64]] = {}
    note = ""
    for name, unit in (("temperature", "K"), ("wind_speed", "m/s"), ("pressure", "Pa")):
        if name in chosen:
            column = f"column {chosen[name][1]}"
            values, _ = read_values(table, column, QUANTITIES[name], unit)
            columns[name], filled = on_axis(table, column, axis, values, fill)
            note += filled
    roughness = None
    if "roughness_length" in chosen:
        roughness = float(np.nanmean(table.numbers(f"column {chosen['roughness_length'][1]}")))
    height_m = chosen["wind_speed"][0] if "wind_speed" in chosen else 10.0
    return RawWeather(
        path,
        axis.start,
        axis.step_s,
        columns,
        digest,
        wind_height_m=height_m,
        roughness_m=roughness,
        note=note,
    )


def _generic(table: Table, timezone: str, label: Label, fill: Fill | None) -> RawWeather:
    """Read a CSV or parquet file with one column per quantity, recognised by its name."""
    time_column = find_time_column(table)
    found: dict[str, str] = {}
    height_m = 10.0
    for header in map(str, table.frame.columns):
        name, _ = split_header(header)
        folded = name.lower().replace(" ", "_")
        height = re.fullmatch(r"(wind_?speed)_(\d+(?:\.\d+)?)m", folded)
        for quantity in _COLUMNS:
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
