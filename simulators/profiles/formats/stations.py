"""Measured and satellite irradiance of single places: SURFRAD, CAMS."""

from __future__ import annotations

import io
import re
import tempfile
from datetime import timedelta
from pathlib import Path

import pandas as pd

from simulators.errors import InputError
from simulators.profiles.formats.base import Content, Format, RawWeather, Said
from simulators.profiles.formats.checks import COLUMNS, IRRADIANCE, check_steps, checked, pvlib_read

_OFFSET_W_M2 = 30.0
"""Thermal offset of pyranometers at night, at most: SURFRAD's files keep it as small negative irradiance."""


def _surfrad(content: Content, said: Said) -> RawWeather:
    """A day of one station: means of one minute (three before 2009) that end at the label, UTC."""
    from pvlib import iotools

    with tempfile.TemporaryDirectory() as folder:  # pvlib's reader wants a name
        file = Path(folder) / "day.dat"
        file.write_text(content.text, encoding="utf-8")
        frame, meta = pvlib_read(content, "SURFRAD", iotools.read_surfrad, str(file))
    step_s = check_steps(content, pd.DatetimeIndex(frame.index), 3)
    frame = frame.rename(columns={"temp_air": "temperature", "relative_humidity": "humidity"})
    text = [name for name in COLUMNS if not pd.api.types.is_numeric_dtype(frame[name])]
    if text:
        raise InputError(
            f"{content.path}: damaged SURFRAD file (column {text[0]} holds text); expected it as published"
        )
    frame["pressure"] = frame["pressure"] * 100.0  # mbar
    for name in IRRADIANCE:
        small = (frame[name] < 0) & (frame[name] > -_OFFSET_W_M2)
        frame[name] = frame[name].mask(small, 0.0)
    columns, note = checked(content, frame, 3, said, step_s)
    start = frame.index[0].to_pydatetime() - timedelta(seconds=step_s)
    return RawWeather(
        content.path, start, step_s, columns, content.sha256,
        meta["latitude"], meta["longitude"], meta["elevation"], note=note,
    )  # fmt: skip


def _cams(content: Content, said: Said) -> RawWeather:
    """CAMS radiation service: Wh/m2 of each period; clear-sky files (McClear) hold no weather."""
    from pvlib import iotools

    reference = re.search(r"^# ?Time reference:(.*)$", content.head, re.MULTILINE)
    if reference and "universal" not in reference[1].lower():
        raise InputError(
            f"{content.path}: its times are{reference[1].rstrip()}; expected CAMS in universal time (UT)"
        )
    text = "\n".join(line.rstrip(",; ") if line[:1] != "#" else line for line in content.text.splitlines())
    frame, meta = pvlib_read(content, "CAMS", iotools.read_cams, io.StringIO(text))
    header = content.text.splitlines()
    first_row = (
        next(n for n, line in enumerate(header, start=1) if line.startswith("# Observation period")) + 1
    )
    if "ghi" not in frame:
        raise InputError(
            f"{content.path}: holds clear-sky irradiance only (McClear); expected CAMS all-sky radiation"
        )
    step_s = check_steps(content, pd.DatetimeIndex(frame.index), first_row)
    columns, note = checked(
        content, frame.select_dtypes("number").mask(lambda cells: cells <= -999.0), first_row, said, step_s
    )
    start = pd.DatetimeIndex(frame.index)[0].tz_convert("UTC").to_pydatetime()
    return RawWeather(
        content.path, start, step_s, columns, content.sha256,
        meta.get("latitude"), meta.get("longitude"), meta.get("altitude"), note=note,
    )  # fmt: skip


def _is_surfrad(content: Content) -> bool:
    lines = content.head.splitlines()[:3]
    place = len(lines) == 3 and re.match(r"\s*-?\d+\.\d+\s+-?\d+\.\d+\s+-?\d+.*version", lines[1])
    return bool(place) and re.match(r"\s*\d{4}\s+\d+\s+\d+\s+\d+\s+\d+\s+\d+\s", lines[2]) is not None


FORMATS = (
    Format(
        "surfrad", "NOAA SURFRAD day file", "weather", "W/m2, degC, m/s, mbar", "1 min, 3 min before 2009", "end",
        "station, then latitude, longitude, elevation, version",
        "NOAA GML, README_SURFRAD; Augustine et al. (2000), Bull. Amer. Meteor. Soc. 81, 2341",
        _is_surfrad, weather=_surfrad,
    ),
    Format(
        "cams", "CAMS radiation CSV", "weather (irradiance only)", "Wh/m2 of each period", "1 min to 1 h", "start",
        "line # Observation period;TOA;...", "Copernicus Atmosphere Monitoring Service, solar radiation time series",
        lambda c: "\n# Observation period;" in c.text, weather=_cams,
    ),
)  # fmt: skip
