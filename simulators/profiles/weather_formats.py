"""Recognise a weather file and parse the fixed formats (TMY3, EPW, PVGIS TMY, NSRDB PSM) with pvlib's readers."""

from __future__ import annotations

import io
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pvlib import iotools

from simulators.errors import InputError
from simulators.profiles.fill import FillRule
from simulators.profiles.quantities import quantity_named
from simulators.profiles.readers import Axis, Label, on_axis, read_values
from simulators.profiles.tables import Table, check_lengths, decode, read_bytes, read_table
from simulators.profiles.weather_tables import (
    COLUMNS,
    RawWeather,
    read_generic,
    read_open_meteo,
    read_windpowerlib,
)

NOMINAL_YEAR = 1990  # of typical years; not a leap year
_IN_PLANE = "is a PVGIS series in the plane of the modules; expected a PVGIS TMY (horizontal irradiance)"


def read_raw(path: Path, timezone: str | None, label: Label | None, fill: FillRule | None) -> RawWeather:
    """Recognise the format by the file's content and parse it."""
    raw = _read_raw(path, timezone, label, fill)
    for name, said in (("timezone", timezone), ("label", label)):
        if said is not None and not raw.generic:
            raise InputError(
                f"{path}: {name} {said} given, but its format settles the {name}; expected no --weather-{name}"
            )
    return raw


def _read_raw(path: Path, timezone: str | None, label: Label | None, fill: FillRule | None) -> RawWeather:
    raw, digest = read_bytes(path)
    if raw[:4] == b"PAR1":
        return read_generic(read_table(path), timezone or "UTC", label or "start", fill)
    text = decode(path, raw)
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
        return read_windpowerlib(path, text, digest, fill)
    return read_generic(read_table(path), timezone or "UTC", label or "start", fill)


def _checked(
    path: Path, frame: pd.DataFrame, first_row: int, digest: str, fill: FillRule | None, step_s: int
) -> tuple[dict[str, NDArray[np.float64]], str]:
    """Check the columns of a fixed format, already uniform in time and in canonical units."""
    table = Table(path, frame, first_row, {}, digest)
    axis = Axis(datetime(NOMINAL_YEAR, 1, 1, tzinfo=UTC), step_s, np.arange(len(frame), dtype=np.int64))
    columns: dict[str, NDArray[np.float64]] = {}
    notes = ""
    for name in COLUMNS:
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


def _check_year(path: Path, stamps: pd.DatetimeIndex, kind: str, first_row: int) -> None:
    """Refuse anything but every hour of one year in order; the calendar year of a row does not matter."""
    if len(stamps) not in (8760, 8784):
        raise InputError(f"{path}: has {len(stamps)} hours; expected the 8760 of a {kind} year")
    year = NOMINAL_YEAR if len(stamps) == 8760 else 1992
    expected = pd.date_range(f"{year}-01-01", periods=len(stamps), freq="h")
    wrong = np.flatnonzero(
        (stamps.month != expected.month) | (stamps.day != expected.day) | (stamps.hour != expected.hour)
    )
    if len(wrong):
        row = int(wrong[0])
        raise InputError(
            f"{path}: row {first_row + row} (line of the file): is {stamps[row]:%m-%d %H:%M}; "
            f"expected {expected[row]:%m-%d %H:%M}, every hour once and in order"
        )


def _tmy3(path: Path, text: str, digest: str, fill: FillRule | None) -> RawWeather:
    check_lengths(path, text.rstrip().splitlines(), header=1)
    frame, meta = _parsed(path, "TMY3", iotools.read_tmy3, io.StringIO(text), coerce_year=NOMINAL_YEAR)
    _check_year(path, pd.DatetimeIndex(frame.index) - pd.Timedelta(hours=1), "TMY3", 3)
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


def _epw(path: Path, text: str, digest: str, fill: FillRule | None) -> RawWeather:
    _epw_row_length(path, text)
    frame, meta = _parsed(path, "EPW", iotools.read_epw, io.StringIO(text))
    _check_year(path, pd.DatetimeIndex(frame.index), "EPW", 9)
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


def _pvgis(path: Path, text: str, digest: str, fill: FillRule | None) -> RawWeather:
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
    path: Path, frame: pd.DataFrame, meta: dict[str, Any], digest: str, fill: FillRule | None, first_row: int
) -> RawWeather:
    """PVGIS values hold `irradiance_time_offset` after the hour; a row stands for the hour around that."""
    _check_year(path, pd.DatetimeIndex(frame.index), "PVGIS TMY", first_row)
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


def _nsrdb(path: Path, text: str, digest: str, fill: FillRule | None) -> RawWeather:
    """NSRDB rows are instants: each stands for the interval centred on it."""
    check_lengths(path, text.rstrip().splitlines(), header=2)
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


def _json(path: Path, text: str, digest: str, fill: FillRule | None) -> RawWeather:
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(
            f"{path}: row {error.lineno} (line of the file): damaged JSON ({error.msg})"
        ) from error
    if "hourly" in content and "hourly_units" in content:
        return read_open_meteo(path, content, digest, fill)
    if "tmy_hourly" in content.get("outputs", {}):
        frame, meta = _parsed(
            path, "PVGIS TMY", iotools.read_pvgis_tmy, io.StringIO(text), pvgis_format="json"
        )
        return _pvgis_tmy(path, frame, meta, digest, fill, 1)
    if "hourly" in content.get("outputs", {}):
        raise InputError(f"{path}: {_IN_PLANE}")
    raise InputError(f"{path}: unknown JSON; expected Open-Meteo (with 'hourly_units') or PVGIS TMY")
