"""Typical years of PVGIS."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import pandas as pd

from simulators.profiles.formats.base import Content, Format, RawWeather, Said
from simulators.profiles.formats.checks import NOMINAL_YEAR, check_year, checked, pvlib_read


def _pvgis_tmy(content: Content, said: Said) -> RawWeather:
    """PVGIS values hold `irradiance_time_offset` after the hour; a row stands for the hour around that."""
    from pvlib import iotools

    if content.json is None:
        text: io.BytesIO | io.StringIO = io.BytesIO(content.tidy.encode())
        lines = content.tidy.splitlines()
        first_row = next(n for n, line in enumerate(lines, start=1) if line.startswith("time(UTC)")) + 1
        layout = "csv"
    else:
        text, first_row, layout = io.StringIO(content.tidy), 1, "json"
    frame, meta = pvlib_read(content, "PVGIS TMY", iotools.read_pvgis_tmy, text, pvgis_format=layout)
    check_year(content.path, pd.DatetimeIndex(frame.index), "PVGIS TMY", first_row)
    frame = frame.rename(columns={"temp_air": "temperature", "relative_humidity": "humidity"})
    columns, note = checked(content, frame, first_row, said, 3600)
    place = meta.get("inputs", meta)
    place = place.get("location", place)
    offset_h = float(place.get("irradiance_time_offset", place.get("irradiance time offset", 0.0)))
    first = datetime(NOMINAL_YEAR, 1, 1, tzinfo=UTC) + timedelta(minutes=round(60 * offset_h) - 30)
    return RawWeather(
        content.path, first, 3600, columns, content.sha256,
        float(place["latitude"]), float(place["longitude"]), float(place["elevation"]), cyclic=True, note=note,
    )  # fmt: skip


def _is_tmy(content: Content) -> bool:
    held = content.json
    if isinstance(held, dict):
        return isinstance(held.get("outputs"), dict) and "tmy_hourly" in held["outputs"]
    return content.head.startswith("Latitude (decimal degrees)") and "\ntime(UTC)" in content.tidy


FORMATS = (
    Format(
        "pvgis-tmy", "PVGIS TMY (CSV, JSON)", "weather, a typical year", "W/m2, degC, m/s, Pa", "1 h",
        "instant, hour around it", "Latitude (decimal degrees) header and column time(UTC), or outputs.tmy_hourly",
        "European Commission, JRC, PVGIS user manual, typical meteorological year", _is_tmy, weather=_pvgis_tmy,
    ),
)  # fmt: skip
