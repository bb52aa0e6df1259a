"""A weather file of any common kind -> one checked Weather: UTC, interval start, SI-like units.

Which hour a row means differs by format, and is settled here once:

* TMY3 and EPW label the *end* of an hour, in local standard time (NREL/TP-581-43156, Users Manual for TMY3
  Data Sets; EnergyPlus Auxiliary Programs, EPW format): a row labelled hour 1 is the interval 00:00 to 01:00.
* Open-Meteo irradiance is the mean of the hour before the label; temperature and wind are values at it.
* PVGIS and NSRDB rows are values at an instant; they stand for the interval centred on it.
* For a generic CSV the caller says so with `label`.

That is what the formats say. Some converted files keep the publisher's instants instead, half an hour off; where
all three irradiance components are there, they are held against the sun, and `source` says if they fit it better
half an hour away.

Typical years are stitched from months of several years. They get the nominal year 1990 (not a leap year) and
the flag `cyclic`: they are aligned by position in the year.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pvlib import irradiance, solarposition

from simulators.errors import InputError
from simulators.profiles.fill import parse_fill
from simulators.profiles.profile import Profile
from simulators.profiles.quantities import quantity_named
from simulators.profiles.readers import Label
from simulators.profiles.weather_formats import read_raw
from simulators.profiles.weather_tables import RawWeather

FIELDS = {
    "ghi_w_m2": "ghi",
    "dni_w_m2": "dni",
    "dhi_w_m2": "dhi",
    "temp_air_c": "temperature",
    "wind_speed_m_s": "wind_speed",
    "pressure_pa": "pressure",
}


@dataclass(frozen=True)
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
    roughness_m
        Roughness length of the terrain, m; None if the file has none.
    cyclic
        A typical year: aligned by its position in the year, wraps round.
    source, sha256
        File, with what was computed or filled; hash of the file.
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
    roughness_m: float | None = None
    cyclic: bool = False
    sha256: str = ""

    @property
    def steps(self) -> int:
        """Number of intervals."""
        return next(len(values) for field in FIELDS if (values := getattr(self, field)) is not None)

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
            raise InputError(f"{self.source}: has no {quantity.label}; it has {', '.join(present)}")
        return Profile(
            quantity.label,
            quantity.unit,
            self.start,
            self.step_s,
            values,
            self.source,
            self.sha256,
            self.cyclic,
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
) -> Weather:
    """Read TMY3, EPW, PVGIS TMY (CSV, JSON), NSRDB PSM, Open-Meteo JSON, windpowerlib CSV or a generic CSV.

    A generic CSV has a time column and any of ``ghi[W/m2]``, ``dni[W/m2]``, ``dhi[W/m2]``,
    ``temp_air[degC]``, ``wind_speed[m/s]`` (or ``wind_speed_80m``), ``pressure[Pa]``; lines such as
    ``# latitude: 34.1`` above the header name the place. Missing irradiance components are computed where
    the others allow it: by the closure GHI = DNI cos(zenith) + DHI with the sun at the interval's midpoint,
    or, from GHI alone, by the decomposition of Erbs, Klein and Duffie (1982), Solar Energy 28(4), 293.

    Parameters
    ----------
    latitude, longitude, altitude_m
        Degrees and m; go before what the file says.
    timezone, label
        Of a generic CSV, UTC and start unless told otherwise; the other formats settle both themselves.
    fill
        What to do with missing values: None refuses them.
    cyclic
        Whether it is a typical year; None: as the format says.

    Raises
    ------
    InputError
        One line with file, row and what was expected.
    """
    raw = read_raw(Path(path), timezone, label, None if fill is None else parse_fill(fill))
    site = _Site(
        raw.latitude if latitude is None else latitude, raw.longitude if longitude is None else longitude
    )
    columns = dict(raw.columns)
    computed = _complete_irradiance(raw, columns, site)
    steps = len(next(iter(columns.values())))
    is_cyclic = raw.cyclic if cyclic is None else cyclic
    if is_cyclic and steps * raw.step_s not in (365 * 86400, 366 * 86400):
        raise InputError(
            f"{path}: covers {steps * raw.step_s / 86400:g} days; expected a whole year for a typical year"
        )
    return Weather(
        start=raw.start,
        step_s=raw.step_s,
        latitude=site.latitude,
        longitude=site.longitude,
        altitude_m=raw.altitude_m if altitude_m is None else altitude_m,
        ghi_w_m2=columns.get("ghi"),
        dni_w_m2=columns.get("dni"),
        dhi_w_m2=columns.get("dhi"),
        temp_air_c=columns.get("temperature"),
        wind_speed_m_s=columns.get("wind_speed"),
        pressure_pa=columns.get("pressure"),
        source=f"{path}{raw.note}{computed}",
        height_m=raw.wind_height_m,
        roughness_m=raw.roughness_m,
        cyclic=is_cyclic,
        sha256=raw.sha256,
    )


@dataclass(frozen=True)
class _Site:
    latitude: float | None
    longitude: float | None


def _complete_irradiance(raw: RawWeather, columns: dict[str, NDArray[np.float64]], site: _Site) -> str:
    """Compute the irradiance components that are missing; return a note for the source."""
    present = [name for name in ("ghi", "dni", "dhi") if name in columns]
    if len(present) == 3:
        return _timing_note(raw, columns, site)
    if not present or present == ["dni"] or present == ["dhi"]:
        return ""
    if site.latitude is None or site.longitude is None:
        raise InputError(
            f"{raw.path}: has {' and '.join(present)} only; expected all of ghi, dni, dhi, "
            "or a latitude and longitude to compute the rest"
        )
    times = midpoints(raw.start, raw.step_s, len(columns[present[0]]))
    zenith = solarposition.get_solarposition(times, site.latitude, site.longitude)["zenith"].to_numpy()
    if present == ["ghi"]:
        parts = irradiance.erbs(columns["ghi"], zenith, times)
        columns["dni"], columns["dhi"] = np.asarray(parts["dni"]), np.asarray(parts["dhi"])
        return " (dni, dhi computed from ghi: Erbs)"
    # beam on the horizontal vanishes with the sun below the horizon
    cosine = np.maximum(np.cos(np.radians(zenith)), 0.0)
    if "ghi" not in columns:
        columns["ghi"] = columns["dni"] * cosine + columns["dhi"]
        return " (ghi computed from dni and dhi)"
    if "dhi" not in columns:
        columns["dhi"] = np.maximum(columns["ghi"] - columns["dni"] * cosine, 0.0)
        return " (dhi computed from ghi and dni)"
    dni = irradiance.dni(columns["ghi"], columns["dhi"], zenith)
    columns["dni"] = np.nan_to_num(np.maximum(np.asarray(dni), 0.0))
    return " (dni computed from ghi and dhi)"


def _timing_note(raw: RawWeather, columns: dict[str, NDArray[np.float64]], site: _Site) -> str:
    """Say so if GHI = DNI cos(zenith) + DHI holds far better half an hour away from where the labels put the sun."""
    if site.latitude is None or site.longitude is None:
        return ""
    times = midpoints(raw.start, raw.step_s, len(columns["ghi"]))
    errors = {}
    for shift_min in (0, -30, 30):
        shifted = times + pd.Timedelta(minutes=shift_min)
        zenith = solarposition.get_solarposition(shifted, site.latitude, site.longitude)["zenith"].to_numpy()
        cosine = np.cos(np.radians(zenith))
        error = columns["ghi"] - columns["dni"] * cosine - columns["dhi"]
        # near the horizon an hour's mean says nothing about the sun at its middle
        errors[shift_min] = (
            float(np.sqrt(np.mean(error[cosine > 0.15] ** 2))) if (cosine > 0.15).any() else 0.0
        )
    best = min(errors, key=lambda shift_min: errors[shift_min])
    if errors[0] < 5.0 or errors[best] > errors[0] / 2:
        return ""
    return f" (irradiance fits the sun {abs(best)} min {'before' if best < 0 else 'after'} its label)"
