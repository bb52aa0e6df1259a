"""Wind turbines: wind speed at a mast -> watts, with windpowerlib."""

from __future__ import annotations

import numpy as np
import windpowerlib
from numpy.typing import ArrayLike, NDArray

from simulators.errors import InputError
from simulators.generation.turbines import Turbine, turbine, turbine_of_size

Array = NDArray[np.float64]


def wind_power_w(
    wind_speed_m_s: ArrayLike,
    temp_air_c: ArrayLike,
    pressure_pa: ArrayLike,
    *,
    rated_w: float,
    wind_height_m: float = 10.0,
    turbine_name: str | None = None,
    hub_height_m: float | None = None,
    roughness_m: float = 0.1,
    hellman_exponent: float | None = None,
    efficiency: float = 1.0,
) -> Array:
    """Mean power of turbines with `rated_w` in total, in every interval, W.

    Wind speed is carried to hub height by the logarithmic profile, or by Hellman's power law where an
    exponent is given; air density there follows from temperature (-6.5 K/km) and pressure; the power curve
    is corrected for density (windpowerlib's `power_curve`, after Svenningsen, 2010), then scaled from one
    turbine to `rated_w`. An interval's mean wind is taken as if it blew steadily: hourly means understate
    the power of gusty wind below rated speed and overstate it above.

    Parameters
    ----------
    wind_speed_m_s, temp_air_c, pressure_pa
        Wind speed at `wind_height_m`, m/s, air temperature at 2 m, degrees Celsius, air pressure at the
        ground, Pa; shape (n,) each, the latter two also a single number.
    rated_w
        Total rated power, W.
    wind_height_m
        Height at which the wind was measured, m (10 m is the WMO's standard).
    turbine_name, hub_height_m
        Turbine (`turbines.turbine`) and its hub height, m; None: what suits the size, and that turbine's usual one.
    roughness_m
        Roughness length of the surroundings, m: 0.03 open grass, 0.1 low crops, 0.5 bushes and scattered
        buildings (Davenport's classes, WMO-No. 8).
    hellman_exponent
        Exponent of the power law instead of the logarithmic profile; 1/7 over open land.
    efficiency
        Share left after wake, availability and electrical losses. 1 is a lone turbine that never stands.

    Raises
    ------
    InputError
        If the turbine is unknown, a parameter is out of range, or a weather value is missing or negative.
    """
    machine, hub_height_m = machine_of(rated_w, turbine_name, hub_height_m)
    _check_parameters(rated_w, wind_height_m, hub_height_m, roughness_m, hellman_exponent, efficiency)
    wind, temp_k, pressure = _checked_weather(wind_speed_m_s, temp_air_c, pressure_pa)
    at_hub = _at_hub(wind, wind_height_m, hub_height_m, roughness_m, hellman_exponent)
    temp_hub_k = windpowerlib.temperature.linear_gradient(temp_k, 2.0, hub_height_m)
    density = windpowerlib.density.ideal_gas(pressure, 0.0, hub_height_m, temp_hub_k)
    power_w = windpowerlib.power_output.power_curve(
        at_hub, machine.curve_m_s, machine.curve_w, density=density, density_correction=True
    )
    return np.asarray(power_w, dtype=np.float64) * (rated_w / machine.nominal_w * efficiency)


def machine_of(
    rated_w: float, turbine_name: str | None = None, hub_height_m: float | None = None
) -> tuple[Turbine, float]:
    """The turbine a plant is built of, and its hub height, m.

    Raises
    ------
    InputError
        If the turbine is unknown, or has no usual hub height and none is given.

    Examples
    --------
    >>> machine, hub_m = machine_of(5e3)
    >>> machine.name, hub_m
    ('Excel 10', 24.0)
    """
    machine = turbine_of_size(rated_w) if turbine_name is None else turbine(turbine_name)
    hub_m = machine.hub_height_m if hub_height_m is None else hub_height_m
    if hub_m is None:
        raise InputError(f"wind: {machine.name} has no usual hub height, expected --wind-hub-height METRES")
    return machine, hub_m


def _check_parameters(
    rated_w: float,
    wind_height_m: float,
    hub_height_m: float,
    roughness_m: float,
    hellman_exponent: float | None,
    efficiency: float,
) -> None:
    for name, value in (
        ("rated power", rated_w),
        ("wind height", wind_height_m),
        ("hub height", hub_height_m),
    ):
        if not 0 < value < np.inf:
            raise InputError(f"wind: {name} is {value}, expected a positive number")
    if not 0 < efficiency <= 1:
        raise InputError(f"wind: efficiency is {efficiency}, expected above 0 and at most 1")
    if hellman_exponent is None and not 0 < roughness_m < min(wind_height_m, hub_height_m):
        raise InputError(
            f"wind: roughness length is {roughness_m} m, expected above 0 and below the wind's height"
        )


def _checked_weather(
    wind_speed_m_s: ArrayLike, temp_air_c: ArrayLike, pressure_pa: ArrayLike
) -> tuple[Array, Array, Array]:
    """Wind speed, m/s, air temperature, K, and pressure, Pa; shape (n,) each."""
    wind = np.asarray(wind_speed_m_s, dtype=np.float64)
    bad = np.flatnonzero(~np.isfinite(wind) | (wind < 0))
    if len(bad):
        raise InputError(f"wind: wind speed of interval {bad[0]} is {wind[bad[0]]}, expected a number >= 0")
    temp_k = np.broadcast_to(np.asarray(temp_air_c, dtype=np.float64) + 273.15, wind.shape)
    pressure = np.broadcast_to(np.asarray(pressure_pa, dtype=np.float64), wind.shape)
    for name, values in (("air temperature", temp_k), ("air pressure", pressure)):
        bad = np.flatnonzero(~(values > 0) | ~np.isfinite(values))
        if len(bad):
            raise InputError(f"wind: {name} of interval {bad[0]} is no possible value")
    return wind, temp_k, pressure


def _at_hub(
    wind: Array,
    wind_height_m: float,
    hub_height_m: float,
    roughness_m: float,
    hellman_exponent: float | None,
) -> Array:
    """Wind speed at hub height, m/s, by the logarithmic profile or, with an exponent, the power law."""
    if hellman_exponent is None:
        speed = windpowerlib.wind_speed.logarithmic_profile(wind, wind_height_m, hub_height_m, roughness_m)
    else:
        speed = windpowerlib.wind_speed.hellman(
            wind, wind_height_m, hub_height_m, hellman_exponent=hellman_exponent
        )
    at_hub: Array = speed
    return at_hub
