"""Weather of any resolution and start -> generation in exactly the run's steps."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from simulators.errors import InputError
from simulators.generation.pv_array import PvArray
from simulators.generation.steps import resampled
from simulators.generation.wind import WindPlant, wind_power_w
from simulators.profiles.profile import Profile
from simulators.profiles.weather import Weather

if TYPE_CHECKING:  # imported where they are used: pvlib and SciPy with it take 0.4 s
    from simulators.generation.sky import Sky

Array = NDArray[np.float64]


CALM_M_S = 1.0
"""Wind at the modules where the weather has none, m/s: pvlib's default for cell temperatures, on the warm side."""


@dataclass(frozen=True, eq=False)
class RunSky:
    """The sky over a run, which starts `late_s` after it: `steps` steps of `step_s`, s."""

    sky: Sky
    late_s: int
    step_s: int
    steps: int

    def pv_per_unit(self, array: PvArray) -> Array:
        """Mean AC power of an array in every step of the run, W per W of DC capacity; shape (steps,)."""
        from simulators.generation.pv import pv_per_unit

        return resampled(pv_per_unit(self.sky, array), self.sky.step_s, self.late_s, self.step_s, self.steps)


def sky_for_run(weather: Weather, start: datetime, step_s: int, steps: int) -> RunSky:
    """The sky over a run, for any number of arrays.

    Parameters
    ----------
    weather
        With irradiance, air temperature and a place; without wind speed the modules are cooled by `CALM_M_S`. A
        typical year is moved to the run's dates.
    start, step_s, steps
        The run: its start (UTC), the length of a step, s, and how many there are.

    Raises
    ------
    InputError
        If the weather lacks something or does not cover the run.
    """
    from simulators.generation.sky import sky

    if weather.latitude is None or weather.longitude is None:
        raise InputError(f"{weather.source}: names no place; expected a latitude and longitude for PV")
    names = ("ghi_w_m2", "dni_w_m2", "dhi_w_m2", "temp_air_c")
    first, (ghi, dni, dhi, air_c) = _columns(weather, names, start, step_s, steps)
    if weather.wind_speed_m_s is not None:
        wind_m_s = _columns(weather, ("wind_speed_m_s",), start, step_s, steps)[1][0]
    else:
        wind_m_s = np.full(len(ghi), CALM_M_S)
    times = pd.date_range(first, periods=len(ghi), freq=pd.Timedelta(seconds=weather.step_s))
    place = (weather.latitude, weather.longitude, weather.altitude_m)
    above = sky(ghi, dni, dhi, air_c, wind_m_s, times, weather.step_s, place)
    return RunSky(above, round((start - first).total_seconds()), step_s, steps)


def wind_for_run(weather: Weather, start: datetime, step_s: int, steps: int, plant: WindPlant) -> Array:
    """Mean power of wind turbines in every step of a run, W; shape (steps,).

    The power of a weather interval is held over the steps inside it. Without air pressure in the weather, the
    standard atmosphere's at the site's altitude is taken. For the rest see `sky_for_run`.
    """
    names: tuple[str, ...] = ("wind_speed_m_s", "temp_air_c")
    first, (wind_m_s, temp_c) = _columns(weather, names, start, step_s, steps)
    if weather.pressure_pa is not None:
        pressure_pa: Array | float = _columns(weather, ("pressure_pa",), start, step_s, steps)[1][0]
    else:
        import pvlib

        pressure_pa = float(pvlib.atmosphere.alt2pres(weather.altitude_m))
    power_w = wind_power_w(wind_m_s, temp_c, pressure_pa, plant, weather.height_m)
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
