"""PV: weather -> AC watts, with pvlib, for a whole run at once.

The chain is PVWatts': sun position at interval midpoints (pvlib, NREL SPA), Perez transposition, physical
incidence-angle loss on the beam, Sandia cell temperature, PVWatts DC and inverter models (A. P. Dobos,
"PVWatts Version 5 Manual", NREL/TP-6A20-62641, 2014). Defaults are PVWatts': system losses 14 %, inverter
96 %, DC-to-AC ratio 1.2 (as in its later versions), -0.47 %/K (its standard module), albedo 0.2.

Inside, the sun moves at most `SUN_STEP_S` at a time and the interval's irradiance follows it (see
`finer_irradiance`), so the energy of a day hardly depends on the step asked for. Air temperature is
interpolated between interval midpoints; wind is held.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd
from typing import Any

import numpy as np
import pandas as pd
import pvlib
from numpy.typing import ArrayLike, NDArray

from simulators.errors import InputError
from simulators.generation.irradiance import finer_irradiance

Array = NDArray[np.float64]

SUN_STEP_S = 300
"""Longest step over which the sun is taken to stand still, s (it moves 1.25 degrees)."""

MOUNTINGS = {
    "open_rack": "open_rack_glass_polymer",
    "open_rack_glass": "open_rack_glass_glass",
    "roof": "close_mount_glass_glass",
    "insulated": "insulated_back_glass_polymer",
}
"""Mounting -> parameter set of the Sandia cell temperature model (King et al., SAND2004-3535, table 1)."""


@dataclass(frozen=True)
class _Weather:
    """Weather of consecutive steps: irradiance, W/m2, air temperature, degrees Celsius, wind, m/s."""

    ghi_w_m2: Array
    dni_w_m2: Array
    dhi_w_m2: Array
    temp_c: Array
    wind_m_s: Array


@dataclass(frozen=True)
class _FineWeather(_Weather):
    """Weather of the steps in which the sun moves, with their midpoints and pvlib's sun position at them."""

    middles: pd.DatetimeIndex
    sun: pd.DataFrame


def optimal_tilt_deg(latitude: float) -> float:
    """Fixed tilt that gives most energy a year, degrees from horizontal, towards the equator.

    Third-order fit over latitude of M. Z. Jacobson and V. Jadhav, "World estimates of PV optimal tilt
    angles", Solar Energy 169 (2018) 55-66, fig. 1. Cloudy high latitudes scatter a few degrees around it.
    """
    if latitude >= 0:
        tilt = 1.3793 + latitude * (1.2011 + latitude * (-0.014404 + latitude * 0.000080509))
    else:
        tilt = 0.41657 - latitude * (1.4216 + latitude * (0.024051 + latitude * 0.00021828))
    return float(min(max(tilt, 0.0), 90.0))


def pv_power_w(
    ghi_w_m2: ArrayLike,
    dni_w_m2: ArrayLike,
    dhi_w_m2: ArrayLike,
    temp_air_c: ArrayLike,
    wind_speed_m_s: ArrayLike,
    times: pd.DatetimeIndex,
    *,
    weather_step_s: int,
    latitude: float,
    longitude: float,
    altitude_m: float = 0.0,
    peak_w: float,
    step_s: int | None = None,
    tilt_deg: float | None = None,
    azimuth_deg: float | None = None,
    mounting: str = "open_rack",
    losses: float = 0.14,
    dc_ac_ratio: float = 1.2,
    inverter_efficiency: float = 0.96,
    gamma_per_k: float = -0.0047,
    albedo: float = 0.2,
) -> Array:
    """Mean AC power of a fixed PV array in every interval, W; the module's docstring says how it is found.

    Parameters
    ----------
    ghi_w_m2, dni_w_m2, dhi_w_m2
        Means of global horizontal, direct normal, diffuse horizontal irradiance, W/m2; shape (n,).
    temp_air_c, wind_speed_m_s
        Air temperature, degrees Celsius, and wind speed at about 10 m, m/s; shape (n,).
    times
        Start of every weather interval in the run's own year, time zone aware; shape (n,).
    weather_step_s, step_s
        Length of a weather interval and of an output interval (None: the same), s.
    latitude, longitude, altitude_m
        Site, degrees north, degrees east, m above sea level.
    peak_w
        DC capacity at standard test conditions, W.
    tilt_deg, azimuth_deg
        Orientation, degrees from horizontal and from north; None is `optimal_tilt_deg`, facing the equator.
    mounting
        One of `MOUNTINGS`.
    losses, dc_ac_ratio, inverter_efficiency, gamma_per_k, albedo
        Share of DC power lost, DC over AC capacity, nominal inverter efficiency, 1/K, share reflected.

    Returns
    -------
    numpy.ndarray
        Mean AC power from `times[0]` on, W; shape (n * weather_step_s / step_s,).

    Raises
    ------
    InputError
        If a parameter is out of range, or a weather value is missing or negative.
    ValueError
        If the times carry no time zone, or are not `weather_step_s` apart.
    """
    step_s = weather_step_s if step_s is None else step_s
    _check_times(times, weather_step_s)
    _check_site(latitude, longitude, peak_w, step_s, losses, dc_ac_ratio, mounting)
    _check_steps(len(times), weather_step_s, step_s)
    means = _checked_means(ghi_w_m2, dni_w_m2, dhi_w_m2, temp_air_c, wind_speed_m_s, len(times))
    fine_s = _fine_step_s(weather_step_s, step_s)
    fine = _finer(means, times, weather_step_s, fine_s, (latitude, longitude, altitude_m))
    plane, incidence_deg = _on_plane(fine, *_orientation(latitude, tilt_deg, azimuth_deg), albedo)
    dc_w = _dc_w(fine, plane, incidence_deg, mounting, peak_w, gamma_per_k, losses)
    ac_w = _ac_w(dc_w, peak_w, dc_ac_ratio, inverter_efficiency)
    return np.asarray(ac_w.reshape(-1, step_s // fine_s).mean(axis=1), dtype=np.float64)


def _finer(
    means: _Weather,
    times: pd.DatetimeIndex,
    weather_step_s: int,
    fine_s: int,
    site: tuple[float, float, float],
) -> _FineWeather:
    """The weather in steps of `fine_s`, s, and the sun over the site (latitude, longitude, altitude)."""
    n, per_interval = len(times), weather_step_s // fine_s
    middles_s = fine_s * (np.arange(n * per_interval) + 0.5)
    middles = times[0] + pd.to_timedelta(middles_s, unit="s")
    latitude, longitude, altitude_m = site
    sun = pvlib.solarposition.get_solarposition(middles, latitude, longitude, altitude=altitude_m)
    cos_zenith = np.cos(np.radians(sun["zenith"].to_numpy())).reshape(n, per_interval)
    ghi, dni, dhi = finer_irradiance(means.ghi_w_m2, means.dni_w_m2, means.dhi_w_m2, cos_zenith)
    temp_c = np.interp(middles_s, weather_step_s * (np.arange(n) + 0.5), means.temp_c)
    wind_m_s = np.repeat(means.wind_m_s, per_interval)
    return _FineWeather(ghi, dni, dhi, temp_c, wind_m_s, middles, sun)


def _orientation(latitude: float, tilt_deg: float | None, azimuth_deg: float | None) -> tuple[float, float]:
    """Tilt and azimuth, degrees, with the site's best in place of None."""
    tilt = optimal_tilt_deg(latitude) if tilt_deg is None else tilt_deg
    azimuth = (180.0 if latitude >= 0 else 0.0) if azimuth_deg is None else azimuth_deg
    return tilt, azimuth


def _on_plane(fine: _FineWeather, tilt: float, azimuth: float, albedo: float) -> tuple[Any, Array]:
    """Irradiance on the array's plane by pvlib's names, W/m2, and the beam's angle of incidence, degrees."""
    sun = fine.sun
    # beyond 87.5 degrees the beam is all but zero and Perez' air mass breaks down; pvlib needs a finite one
    airmass = pvlib.atmosphere.get_relative_airmass(np.minimum(sun["apparent_zenith"].to_numpy(), 87.5))
    plane = pvlib.irradiance.get_total_irradiance(
        tilt,
        azimuth,
        sun["apparent_zenith"].to_numpy(),
        sun["azimuth"].to_numpy(),
        fine.dni_w_m2,
        fine.ghi_w_m2,
        fine.dhi_w_m2,
        dni_extra=pvlib.irradiance.get_extra_radiation(fine.middles).to_numpy(),
        airmass=airmass,
        albedo=albedo,
        model="perez",
    )
    incidence_deg = pvlib.irradiance.aoi(tilt, azimuth, sun["apparent_zenith"], sun["azimuth"]).to_numpy()
    return plane, incidence_deg


def _dc_w(
    fine: _FineWeather,
    plane: Any,
    incidence_deg: Array,
    mounting: str,
    peak_w: float,
    gamma_per_k: float,
    losses: float,
) -> Array:
    """DC power after the glass, at the cells' temperature and after system losses, W."""
    transmitted = plane["poa_direct"] * pvlib.iam.physical(incidence_deg) + plane["poa_diffuse"]
    cell_c = pvlib.temperature.sapm_cell(
        plane["poa_global"],
        fine.temp_c,
        fine.wind_m_s,
        **pvlib.temperature.TEMPERATURE_MODEL_PARAMETERS["sapm"][MOUNTINGS[mounting]],
    )
    dc_w: Array = pvlib.pvsystem.pvwatts_dc(transmitted, cell_c, peak_w, gamma_per_k) * (1.0 - losses)
    return dc_w


def _ac_w(dc_w: Array, peak_w: float, dc_ac_ratio: float, inverter_efficiency: float) -> Array:
    """AC power behind the inverter, W; never negative, 0 where the sun is down."""
    # pvlib's inverter takes the DC input at which it is full: AC rating over nominal efficiency
    ac_w = pvlib.inverter.pvwatts(dc_w, peak_w / dc_ac_ratio / inverter_efficiency, inverter_efficiency)
    return np.asarray(np.maximum(np.nan_to_num(ac_w), 0.0))


def _fine_step_s(weather_step_s: int, step_s: int) -> int:
    """Longest step <= `SUN_STEP_S` that divides both, s."""
    common_s = gcd(weather_step_s, step_s)
    return next(s for s in range(min(common_s, SUN_STEP_S), 0, -1) if common_s % s == 0)


def _check_times(times: pd.DatetimeIndex, weather_step_s: int) -> None:
    if times.tz is None or np.any(
        np.diff(times.asi8) != pd.Timedelta(seconds=weather_step_s).as_unit(times.unit).value
    ):
        raise ValueError(f"times must carry a time zone and be {weather_step_s} s apart")


def _check_steps(n: int, weather_step_s: int, step_s: int) -> None:
    if n * weather_step_s % step_s:
        raise InputError(
            f"PV: {n} weather intervals of {weather_step_s} s are no whole number of {step_s} s steps"
        )


def _check_site(
    latitude: float,
    longitude: float,
    peak_w: float,
    step_s: int,
    losses: float,
    dc_ac_ratio: float,
    mounting: str,
) -> None:
    if not -90 <= latitude <= 90:
        raise InputError(f"PV: latitude is {latitude}, expected -90 to 90 degrees north")
    if not -180 <= longitude <= 180:
        raise InputError(f"PV: longitude is {longitude}, expected -180 to 180 degrees east")
    if not 0 < peak_w < np.inf:
        raise InputError(f"PV: capacity is {peak_w} W, expected a positive number")
    if step_s < 1:
        raise InputError(f"PV: step is {step_s} s, expected at least 1")
    if not 0 <= losses < 1:
        raise InputError(f"PV: losses are {losses}, expected a share from 0 to below 1")
    if not dc_ac_ratio > 0:
        raise InputError(f"PV: DC-to-AC ratio is {dc_ac_ratio}, expected a positive number")
    if mounting not in MOUNTINGS:
        raise InputError(f"PV: mounting is {mounting!r}, expected one of {', '.join(MOUNTINGS)}")


def _checked_means(
    ghi_w_m2: ArrayLike,
    dni_w_m2: ArrayLike,
    dhi_w_m2: ArrayLike,
    temp_air_c: ArrayLike,
    wind_speed_m_s: ArrayLike,
    n: int,
) -> _Weather:
    return _Weather(
        _checked("global irradiance", ghi_w_m2, n, low=0.0),
        _checked("direct irradiance", dni_w_m2, n, low=0.0),
        _checked("diffuse irradiance", dhi_w_m2, n, low=0.0),
        _checked("air temperature", temp_air_c, n),
        _checked("wind speed", wind_speed_m_s, n, low=0.0),
    )


def _checked(name: str, values: ArrayLike, n: int, low: float = -np.inf) -> Array:
    array = np.asarray(values, dtype=np.float64)
    if array.shape != (n,):
        raise InputError(f"PV: {name} has shape {array.shape}, expected ({n},) like the times")
    bad = np.flatnonzero(~np.isfinite(array) | (array < low))
    if len(bad):
        expected = "a number" if low == -np.inf else f"a number >= {low:g}"
        raise InputError(f"PV: {name} of interval {bad[0]} is {array[bad[0]]}, expected {expected}")
    return array
