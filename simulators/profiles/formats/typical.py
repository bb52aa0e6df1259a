"""Typical years: EPW, NREL TMY3, the test reference years of the German weather service (DWD TRY)."""

from __future__ import annotations

import io
import re
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd

from simulators.errors import InputError, first_line
from simulators.profiles.formats.base import Content, Format, RawWeather, Said
from simulators.profiles.formats.checks import NOMINAL_YEAR, check_year, checked, pvlib_read
from simulators.profiles.formats.lambert import to_degrees
from simulators.profiles.tables import check_lengths


def _tmy3(content: Content, said: Said) -> RawWeather:
    from pvlib import iotools

    check_lengths(content.path, content.tidy.rstrip().splitlines(), header=1)
    frame, meta = pvlib_read(
        content, "TMY3", iotools.read_tmy3, io.StringIO(content.tidy), coerce_year=NOMINAL_YEAR
    )
    check_year(content.path, pd.DatetimeIndex(frame.index) - pd.Timedelta(hours=1), "TMY3", 3)
    frame = frame.rename(columns={"temp_air": "temperature", "relative_humidity": "humidity"})
    frame["pressure"] = frame["pressure"] * 100.0  # mbar
    columns, note = checked(content, frame.replace(-9900.0, np.nan), 3, said, 3600)
    start = datetime(NOMINAL_YEAR, 1, 1, tzinfo=UTC) - timedelta(hours=float(meta["TZ"]))
    return RawWeather(
        content.path, start, 3600, columns, content.sha256,
        meta["latitude"], meta["longitude"], meta["altitude"], cyclic=True, note=note,
    )  # fmt: skip


# codes for "missing": EnergyPlus Auxiliary Programs, "EPW CSV format"
_EPW_MISSING = {
    "ghi": 9999, "dni": 9999, "dhi": 9999, "temperature": 99.9, "wind_speed": 999, "pressure": 999999,
    "humidity": 999,
}  # fmt: skip


def _epw(content: Content, said: Said) -> RawWeather:
    from pvlib import iotools

    _epw_row_length(content)
    frame, meta = pvlib_read(content, "EPW", iotools.read_epw, io.StringIO(content.tidy))
    check_year(content.path, pd.DatetimeIndex(frame.index), "EPW", 9)
    names = {"temp_air": "temperature", "atmospheric_pressure": "pressure", "relative_humidity": "humidity"}
    frame = frame.rename(columns=names)
    frame = frame.replace({name: {code: np.nan} for name, code in _EPW_MISSING.items()})
    columns, note = checked(content, frame, 9, said, 3600)
    years = frame["year"].unique()
    cyclic = len(years) > 1
    year = NOMINAL_YEAR if cyclic else int(years[0])
    start = datetime(year, 1, 1, tzinfo=UTC) - timedelta(hours=float(meta["TZ"]))
    return RawWeather(
        content.path, start, 3600, columns, content.sha256,
        meta["latitude"], meta["longitude"], meta["altitude"], cyclic=cyclic, note=note,
    )  # fmt: skip


def _epw_row_length(content: Content) -> None:
    """Name the first data row that is cut short, which pvlib would pad with NaN."""
    for number, line in enumerate(content.tidy.splitlines()[8:], start=9):
        if line.strip() and line.count(",") < 21:  # wind speed is the 22nd field
            raise InputError(
                f"{content.path}: row {number} (line of the file): has {line.count(',') + 1} cells; expected 35"
            )


_TRY_COLUMNS = {"t": "temperature", "WG": "wind_speed", "p": "pressure", "B": "direct_horizontal", "D": "dhi"}
_TRY_HUMIDITY = {"RF": "humidity"}
_TRY_MISSING = {"t": 99.9, "WG": 99.9, "p": 9999, "B": 9999, "D": 9999}


def _dwd_try(content: Content, said: Said) -> RawWeather:
    """Hours 1 to 24 of Central European Time all year; B and D are means of the hour before, on the horizontal."""
    lines = content.tidy.rstrip().splitlines()
    mark = next((n for n, line in enumerate(lines) if line.strip().startswith("***")), None)
    if mark is None or mark < 1:
        raise InputError(f"{content.path}: no row of stars above the hours; expected a DWD TRY as published")
    names = lines[mark - 1].split()
    rows = [line.split() for line in lines[mark + 1 :]]
    for number, cells in enumerate(rows, start=mark + 2):
        if len(cells) != len(names):
            raise InputError(
                f"{content.path}: row {number} (line of the file): has {len(cells)} cells; expected {len(names)}"
            )
    text = pd.DataFrame(rows, columns=names)
    try:
        frame = text[[*_TRY_COLUMNS, *(_TRY_HUMIDITY.keys() & set(names)), "MM", "DD", "HH"]].astype(float)
    except (KeyError, ValueError) as error:
        raise InputError(
            f"{content.path}: damaged DWD TRY ({first_line(error)}); expected it as published"
        ) from error
    stamps = pd.DatetimeIndex(
        pd.to_datetime(
            {"year": NOMINAL_YEAR, "month": frame["MM"], "day": frame["DD"], "hour": frame["HH"] - 1},
            errors="coerce",
        )
    )
    check_year(content.path, stamps, "TRY", mark + 2)
    frame = frame.replace({name: {code: np.nan} for name, code in _TRY_MISSING.items()})
    frame = frame.rename(columns=_TRY_COLUMNS | _TRY_HUMIDITY)
    frame["pressure"] = frame["pressure"] * 100.0  # hPa
    frame["ghi"] = frame["direct_horizontal"] + frame["dhi"]
    columns, note = checked(content, frame, mark + 2, said, 3600)
    place = [_about(content, key) for key in ("Rechtswert", "Hochwert", "Hoehenlage")]
    latitude, longitude = to_degrees(place[0], place[1])
    start = datetime(NOMINAL_YEAR, 1, 1, tzinfo=UTC) - timedelta(hours=1)
    return RawWeather(
        content.path, start, 3600, columns, content.sha256, latitude, longitude, place[2], cyclic=True, note=note,
    )  # fmt: skip


def _about(content: Content, key: str) -> float:
    found = re.search(rf"^{key}\s*:\s*(-?\d+(?:\.\d+)?)", content.head, re.MULTILINE)
    if found is None:
        raise InputError(f"{content.path}: names no {key}; expected a DWD TRY as published")
    return float(found[1])


_HOUR = "end"
FORMATS = (
    Format(
        "epw", "EPW", "weather, mostly a typical year", "Wh/m2, degC, m/s, Pa", "1 h", _HOUR, "first line LOCATION",
        "EnergyPlus Auxiliary Programs, EPW format", lambda c: c.head.startswith("LOCATION,"), weather=_epw,
    ),
    Format(
        "tmy3", "NREL TMY3", "weather, a typical year", "W/m2, degC, m/s, mbar", "1 h", _HOUR,
        "site line, then Date (MM/DD/YYYY)", "Wilcox and Marion (2008), NREL/TP-581-43156",
        lambda c: bool(re.search(r"^Date \(MM/DD/YYYY\),Time", c.head, re.MULTILINE)), weather=_tmy3,
    ),
    Format(
        "dwd-try", "DWD test reference year", "weather, a typical year", "W/m2, degC, m/s, hPa", "1 h", _HOUR,
        "first line Koordinatensystem, or Rechtswert; a row of stars",
        "DWD (2017), Handbuch Ortsgenaue Testreferenzjahre; header of the file",
        lambda c: bool(re.search(r"^(Koordinatensystem|Rechtswert)\s*:", c.head, re.MULTILINE)), weather=_dwd_try,
    ),
)  # fmt: skip
