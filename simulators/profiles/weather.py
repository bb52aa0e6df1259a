"""A weather file of any known format -> one checked Weather: UTC, interval start, SI-like units.

Which hour a row means differs by format, and is settled by `formats` once: TMY3 and EPW label the *end* of an hour, in
local standard time; Open-Meteo's irradiance is the mean of the hour before the label; PVGIS and NSRDB rows are values
at an instant, and stand for the interval around it; for a plain table the caller says so with `label`.

That is what the formats say. Some converted files keep the publisher's instants instead, half an hour or more off: the
sun tells (`sun`), the times are corrected, and `source` says so.

Typical years are stitched from months of several years. They get the nominal year 1990 (not a leap year) and
the flag `cyclic`: they are aligned by position in the year.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from simulators.errors import InputError
from simulators.profiles.decimals import Decimal
from simulators.profiles.fill import parse_fill
from simulators.profiles.formats.base import Content, Implausible, Label, RawWeather, Said
from simulators.profiles.profile import Align, Profile
from simulators.profiles.quantities import quantity_named
from simulators.profiles.registry import weather_format
from simulators.profiles.sun import Place, check_diffuse, on_time

FIELDS = {
    "ghi_w_m2": "ghi",
    "dni_w_m2": "dni",
    "dhi_w_m2": "dhi",
    "temp_air_c": "temperature",
    "wind_speed_m_s": "wind_speed",
    "pressure_pa": "pressure",
    "humidity_percent": "humidity",
}


@dataclass(frozen=True, eq=False)  # read once, and a key of what was computed from it
class Weather:
    """Weather of one place on a uniform UTC axis; every array has shape (n,) or is None if the file has none.

    Attributes
    ----------
    start
        Start of the first interval, UTC.
    step_s
        Length of every interval, s.
    latitude, longitude
        Degrees, north and east positive; None if neither file nor caller gave them.
    altitude_m
        Above sea level, m.
    ghi_w_m2, dni_w_m2, dhi_w_m2
        Mean global horizontal, direct normal and diffuse horizontal irradiance, W/m2.
    temp_air_c
        Air temperature at 2 m, degC.
    wind_speed_m_s, height_m
        Wind speed, m/s, and the height it holds for, m.
    pressure_pa
        Air pressure at the station, Pa.
    humidity_percent
        Relative humidity, %; None as well if the file has it with gaps that nothing fills.
    roughness_m
        Roughness length of the terrain, m; None if the file has none.
    cyclic
        A typical year: aligned by its position in the year, wraps round.
    source, sha256
        File, with what was computed, filled or moved; hash of the file.
    format, own_place
        Its format; whether the file itself says where it is.
    align
        How it is moved to a run in another year; None: not at all.
    """

    start: datetime
    step_s: int
    latitude: float | None
    longitude: float | None
    altitude_m: float
    ghi_w_m2: NDArray[np.float64] | None
    dni_w_m2: NDArray[np.float64] | None
    dhi_w_m2: NDArray[np.float64] | None
    temp_air_c: NDArray[np.float64] | None
    wind_speed_m_s: NDArray[np.float64] | None
    pressure_pa: NDArray[np.float64] | None
    source: str
    height_m: float = 10.0
    humidity_percent: NDArray[np.float64] | None = None
    roughness_m: float | None = None
    cyclic: bool = False
    sha256: str = ""
    format: str = ""
    own_place: bool = False
    align: Align | None = None
    path: str = ""

    @property
    def steps(self) -> int:
        """Number of intervals."""
        return next(len(values) for field in FIELDS if (values := getattr(self, field)) is not None)

    @property
    def end(self) -> datetime:
        """End of the last interval, UTC."""
        return self.start + timedelta(seconds=self.step_s * self.steps)

    @property
    def midpoints(self) -> pd.DatetimeIndex:
        """Middle of every interval, UTC: where the sun position of an interval is taken."""
        return midpoints(self.start, self.step_s, self.steps)

    def column(self, name: str) -> Profile:
        """Return one column as a Profile, by field name, e.g. ``temp_air_c``.

        Raises
        ------
        InputError
            The file does not have it.
        """
        if name not in FIELDS:
            raise ValueError(f"no weather column '{name}', there are {', '.join(FIELDS)}")
        quantity = quantity_named(FIELDS[name])
        values: NDArray[np.float64] | None = getattr(self, name)
        if values is None:
            present = [quantity_named(FIELDS[f]).label for f in FIELDS if getattr(self, f) is not None]
            without = "; expected --without pv" if name in ("ghi_w_m2", "dni_w_m2", "dhi_w_m2") else ""
            whole = " in % without gaps" if name == "humidity_percent" else ""
            raise InputError(
                f"{self.path or self.source}: has no {quantity.label}{whole}; it has {', '.join(present)}{without}"
            )
        return Profile(
            quantity.label,
            quantity.unit,
            self.start,
            self.step_s,
            values,
            self.source,
            self.sha256,
            self.cyclic,
            align=self.align,
            path=self.path,
            option="weather",
        )


def midpoints(start: datetime, step_s: int, steps: int) -> pd.DatetimeIndex:
    """Middle of `steps` intervals from `start`, UTC."""
    first = pd.Timestamp(start) + pd.Timedelta(seconds=step_s / 2)
    return pd.date_range(first, periods=steps, freq=pd.Timedelta(seconds=step_s))


def read_weather(
    path: str | Path,
    *,
    latitude: float | None = None,
    longitude: float | None = None,
    altitude_m: float | None = None,
    timezone: str | None = None,
    label: Label | None = None,
    fill: str | None = None,
    cyclic: bool | None = None,
    format: str | None = None,
    decimal: Decimal | None = None,
    implausible: Implausible | None = None,
    align: Align | None = None,
) -> Weather:
    """Read weather of any format `registry.FORMATS` has a reader of weather for.

    A plain table has a time column and any of ``ghi[W/m2]``, ``dni[W/m2]``, ``dhi[W/m2]``,
    ``temp_air[degC]``, ``wind_speed[m/s]`` (or ``wind_speed_80m``), ``pressure[Pa]``; lines such as
    ``# latitude: 34.1`` above the header name the place. Missing irradiance components are computed where
    the others allow it: by the closure GHI = DNI cos(zenith) + DHI with the sun at the interval's midpoint,
    or, from GHI alone, by the decomposition of Erbs, Klein and Duffie (1982), Solar Energy 28(4), 293.

    Parameters
    ----------
    latitude, longitude, altitude_m
        Degrees and m, for files that do not say where they are: what a file says goes first.
    timezone, label
        Of a plain table, UTC and start unless told otherwise; the other formats settle both themselves.
    fill
        What to do with missing values: None refuses them.
    cyclic
        Whether it is a typical year; None: as the format says.
    format, decimal, implausible, align
        As for `read_csv_profile`.

    Raises
    ------
    InputError
        One line with file, row and what was expected.
    """
    content = Content(Path(path), decimal=decimal)
    known = weather_format(content, format)
    assert known.weather is not None
    raw = known.weather(
        content, Said(timezone, label, None if fill is None else parse_fill(fill), implausible)
    )
    if not raw.columns:
        raise InputError(f"{path}: no irradiance, temperature or wind speed in it; expected a weather file")
    for name, said in (("timezone", timezone), ("label", label)):
        if said is not None and raw.settled:
            raise InputError(
                f"{path}: {name} {said} given, but its format settles the {name}; expected no --weather-{name}"
            )
    for name, degrees, most in (("latitude", raw.latitude, 90), ("longitude", raw.longitude, 180)):
        if degrees is not None and not abs(degrees) <= most:
            raise InputError(
                f"{path}: {name} {degrees:g} above the header; expected -{most} to {most} degrees"
            )
    own = raw.latitude is not None and raw.longitude is not None
    place = Place(raw.latitude, raw.longitude) if own else Place(latitude, longitude)
    columns, computed = _complete_irradiance(raw, place)
    check_diffuse(replace(raw, columns=columns))
    raw, moved = on_time(replace(raw, columns=columns), place, {"ghi", "dni", "dhi"} <= set(raw.columns))
    is_cyclic = raw.cyclic if cyclic is None else cyclic
    steps = len(next(iter(raw.columns.values())))
    if is_cyclic and steps * raw.step_s not in (365 * 86400, 366 * 86400):
        raise InputError(
            f"{path}: covers {steps * raw.step_s / 86400:g} days; expected a whole year for a typical year"
        )
    altitude = raw.altitude_m if raw.altitude_m is not None else (altitude_m if not own else None)
    return Weather(
        start=raw.start,
        step_s=raw.step_s,
        latitude=place.latitude,
        longitude=place.longitude,
        altitude_m=altitude or 0.0,
        **{field: raw.columns.get(name) for field, name in FIELDS.items()},
        source=f"{path}{raw.note}{computed}{moved}",
        height_m=raw.wind_height_m,
        roughness_m=raw.roughness_m,
        cyclic=is_cyclic,
        sha256=raw.sha256,
        format=known.title,
        own_place=own,
        align=None if is_cyclic else align,
        path=str(path),
    )


def _complete_irradiance(raw: RawWeather, place: Place) -> tuple[dict[str, NDArray[np.float64]], str]:
    """All columns, with the irradiance components that are missing computed; and a note for the source."""
    from pvlib import irradiance, solarposition

    columns = dict(raw.columns)
    present = [name for name in ("ghi", "dni", "dhi") if name in columns]
    if len(present) in (0, 3) or present in (["dni"], ["dhi"]):
        return columns, ""
    if place.latitude is None or place.longitude is None:
        raise InputError(
            f"{raw.path}: has {' and '.join(present)} only; expected all of ghi, dni, dhi, "
            "or a latitude and longitude to compute the rest"
        )
    times = midpoints(raw.start, raw.step_s, len(columns[present[0]]))
    zenith = solarposition.get_solarposition(times, place.latitude, place.longitude)["zenith"].to_numpy()
    if present == ["ghi"]:
        parts = irradiance.erbs(columns["ghi"], zenith, times)
        columns["dni"], columns["dhi"] = np.asarray(parts["dni"]), np.asarray(parts["dhi"])
        return columns, " (dni, dhi computed from ghi: Erbs)"
    # beam on the horizontal vanishes with the sun below the horizon
    cosine = np.maximum(np.cos(np.radians(zenith)), 0.0)
    if "ghi" not in columns:
        columns["ghi"] = columns["dni"] * cosine + columns["dhi"]
        return columns, " (ghi computed from dni and dhi)"
    if "dhi" not in columns:
        columns["dhi"] = np.maximum(columns["ghi"] - columns["dni"] * cosine, 0.0)
        return columns, " (dhi computed from ghi and dni)"
    dni = irradiance.dni(columns["ghi"], columns["dhi"], zenith)
    columns["dni"] = np.nan_to_num(np.maximum(np.asarray(dni), 0.0))
    return columns, " (dni computed from ghi and dhi)"
