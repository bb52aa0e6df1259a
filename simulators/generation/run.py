"""Weather of any resolution and start -> generation in exactly the run's steps."""

from __future__ import annotations

from datetime import datetime, timedelta
from math import gcd
from typing import Any

import numpy as np
import pandas as pd
import pvlib
from numpy.typing import NDArray

from simulators.errors import InputError
from simulators.generation.pv import pv_power_w
from simulators.generation.wind import wind_power_w
from simulators.profiles.profile import Profile
from simulators.profiles.weather import Weather

Array = NDArray[np.float64]


CALM_M_S = 1.0
"""Wind at the modules where the weather has none, m/s: pvlib's default for cell temperatures, on the warm side."""


def pv_for_run(
    weather: Weather, start: datetime, step_s: int, steps: int, *, peak_w: float, **array: Any
) -> Array:
    """Mean AC power of a PV array in every step of a run, W; shape (steps,).

    Parameters
    ----------
    weather
        With irradiance, air temperature and a place; without wind speed the modules are cooled by `CALM_M_S`. A
        typical year is moved to the run's dates.
    start, step_s, steps
        The run: its start (UTC), the length of a step, s, and how many there are.
    peak_w
        DC capacity, W.
    array
        Further options of `pv_power_w`: orientation, mounting, losses...

    Raises
    ------
    InputError
        If the weather lacks something, does not cover the run, or an option is out of range.
    """
    if weather.latitude is None or weather.longitude is None:
        raise InputError(f"{weather.source}: names no place; expected a latitude and longitude for PV")
    names = ("ghi_w_m2", "dni_w_m2", "dhi_w_m2", "temp_air_c")
    first, (ghi, dni, dhi, temp_c) = _columns(weather, names, start, step_s, steps)
    if weather.wind_speed_m_s is not None:
        wind_m_s = _columns(weather, ("wind_speed_m_s",), start, step_s, steps)[1][0]
    else:
        wind_m_s = np.full(len(ghi), CALM_M_S)
    late_s = round((start - first).total_seconds())
    out_s = gcd(gcd(step_s, weather.step_s), late_s)
    power_w = pv_power_w(
        ghi,
        dni,
        dhi,
        temp_c,
        wind_m_s,
        pd.date_range(first, periods=len(ghi), freq=pd.Timedelta(seconds=weather.step_s)),
        weather_step_s=weather.step_s,
        latitude=weather.latitude,
        longitude=weather.longitude,
        altitude_m=weather.altitude_m,
        peak_w=peak_w,
        step_s=out_s,
        **array,
    )
    within = power_w[late_s // out_s : (late_s + steps * step_s) // out_s]
    return np.asarray(within.reshape(steps, -1).mean(axis=1))


def wind_for_run(
    weather: Weather, start: datetime, step_s: int, steps: int, *, rated_w: float, **turbine: Any
) -> Array:
    """Mean power of wind turbines in every step of a run, W; shape (steps,).

    The power of a weather interval is held over the steps inside it. Without air pressure in the weather, the
    standard atmosphere's at the site's altitude is taken. `turbine` are further options of `wind_power_w`; the
    weather's roughness length goes before its default. For the rest see `pv_for_run`.
    """
    names: tuple[str, ...] = ("wind_speed_m_s", "temp_air_c")
    first, (wind_m_s, temp_c) = _columns(weather, names, start, step_s, steps)
    if weather.pressure_pa is not None:
        pressure_pa: Array | float = _columns(weather, ("pressure_pa",), start, step_s, steps)[1][0]
    else:
        pressure_pa = float(pvlib.atmosphere.alt2pres(weather.altitude_m))
    if weather.roughness_m is not None:
        turbine = {"roughness_m": weather.roughness_m, **turbine}
    power_w = wind_power_w(
        wind_m_s, temp_c, pressure_pa, rated_w=rated_w, wind_height_m=weather.height_m, **turbine
    )
    held = Profile("wind power", "W", first, weather.step_s, power_w, weather.source)
    return held.means(start, step_s, steps)


def _columns(
    weather: Weather, names: tuple[str, ...], start: datetime, step_s: int, steps: int
) -> tuple[datetime, list[Array]]:
    """Whole weather intervals that cover the run: start of the first, and each column's values."""
    late_s = (start - weather.start).total_seconds() % weather.step_s
    first = start - timedelta(seconds=late_s)
    count = int(-(-(late_s + steps * step_s) // weather.step_s))
    return first, [weather.column(name).means(first, weather.step_s, count) for name in names]
