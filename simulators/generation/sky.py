"""Weather of a place in steps in which the sun hardly moves, with the sun in them: what every array there sees."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pvlib
from numpy.typing import ArrayLike, NDArray

from simulators.errors import InputError
from simulators.generation.irradiance import finer_irradiance

Array = NDArray[np.float64]

SUN_STEP_S = 300
"""Longest step over which the sun is taken to stand still, s (it moves 1.25 degrees)."""


@dataclass(frozen=True, eq=False)
class Sky:
    """Weather and sun in consecutive steps of `step_s`, s; every array has shape (n,).

    Attributes
    ----------
    ghi_w_m2, dni_w_m2, dhi_w_m2, extra_w_m2
        Global horizontal, direct normal, diffuse horizontal, extraterrestrial normal irradiance, W/m2.
    air_c, wind_m_s
        Air temperature, degrees Celsius, and wind speed, m/s.
    zenith_deg, azimuth_deg
        Where the sun appears (refracted) at the middle of the step, degrees from vertical and clockwise from north.
    latitude
        Of the place, degrees north.
    """

    step_s: int
    ghi_w_m2: Array
    dni_w_m2: Array
    dhi_w_m2: Array
    extra_w_m2: Array
    air_c: Array
    wind_m_s: Array
    zenith_deg: Array
    azimuth_deg: Array
    latitude: float


def sky(
    ghi_w_m2: ArrayLike,
    dni_w_m2: ArrayLike,
    dhi_w_m2: ArrayLike,
    air_c: ArrayLike,
    wind_m_s: ArrayLike,
    times: pd.DatetimeIndex,
    weather_step_s: int,
    place: tuple[float, float, float],
) -> Sky:
    """The sky of a run from weather of any resolution.

    Irradiance follows the sun within an interval (`finer_irradiance`); air temperature is interpolated between
    midpoints; wind is held.

    Parameters
    ----------
    ghi_w_m2, dni_w_m2, dhi_w_m2
        Means of global horizontal, direct normal, diffuse horizontal irradiance, W/m2; shape (n,).
    air_c, wind_m_s
        Air temperature, degrees Celsius, and wind speed at about 10 m, m/s; shape (n,).
    times, weather_step_s
        Start of every weather interval in the run's own year, time zone aware, shape (n,), and its length, s.
    place
        Degrees north, degrees east, m above sea level.

    Raises
    ------
    InputError
        If the place is none, or a weather value is missing or negative.
    ValueError
        If the times carry no time zone, or are not `weather_step_s` apart.
    """
    latitude, longitude, altitude_m = place
    _check_times(times, weather_step_s)
    _check_place(latitude, longitude)
    n = len(times)
    ghi, dni, dhi = (
        _checked(f"{name} irradiance", values, n, low=0.0)
        for name, values in (("global", ghi_w_m2), ("direct", dni_w_m2), ("diffuse", dhi_w_m2))
    )
    air = _checked("air temperature", air_c, n)
    wind = _checked("wind speed", wind_m_s, n, low=0.0)
    step_s = next(s for s in range(min(weather_step_s, SUN_STEP_S), 0, -1) if weather_step_s % s == 0)
    each = weather_step_s // step_s
    middles_s = step_s * (np.arange(n * each) + 0.5)
    middles = times[0] + pd.to_timedelta(middles_s, unit="s")
    sun = pvlib.solarposition.get_solarposition(middles, latitude, longitude, altitude=altitude_m)
    cos_zenith = np.cos(np.radians(sun["zenith"].to_numpy())).reshape(n, each)
    fine = finer_irradiance(ghi, dni, dhi, cos_zenith)
    return Sky(
        step_s,
        *fine,
        extra_w_m2=pvlib.irradiance.get_extra_radiation(middles).to_numpy(),
        air_c=np.interp(middles_s, weather_step_s * (np.arange(n) + 0.5), air),
        wind_m_s=np.repeat(wind, each),
        zenith_deg=sun["apparent_zenith"].to_numpy(),
        azimuth_deg=sun["azimuth"].to_numpy(),
        latitude=latitude,
    )


def _check_times(times: pd.DatetimeIndex, weather_step_s: int) -> None:
    if times.tz is None or np.any(
        np.diff(times.asi8) != pd.Timedelta(seconds=weather_step_s).as_unit(times.unit).value
    ):
        raise ValueError(f"times must carry a time zone and be {weather_step_s} s apart")


def _check_place(latitude: float, longitude: float) -> None:
    if not -90 <= latitude <= 90:
        raise InputError(f"PV: latitude is {latitude}, expected -90 to 90 degrees north")
    if not -180 <= longitude <= 180:
        raise InputError(f"PV: longitude is {longitude}, expected -180 to 180 degrees east")


def _checked(name: str, values: ArrayLike, n: int, low: float = -np.inf) -> Array:
    array = np.asarray(values, dtype=np.float64)
    if array.shape != (n,):
        raise InputError(f"PV: {name} has shape {array.shape}, expected ({n},) like the times")
    bad = np.flatnonzero(~np.isfinite(array) | (array < low))
    if len(bad):
        expected = "a number" if low == -np.inf else f"a number >= {low:g}"
        raise InputError(f"PV: {name} of interval {bad[0]} is {array[bad[0]]}, expected {expected}")
    return array
