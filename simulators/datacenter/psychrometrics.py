"""Moist air: what a wet thermometer shows, and how much water a cooling tower evaporates."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

SEA_LEVEL_PA = 101325.0
_BISECTIONS = 48
"""Halve 120 K to below 1e-12 K."""


def vapour_pressure_pa(temp_c: ArrayLike, pressure_pa: ArrayLike = SEA_LEVEL_PA) -> Array:
    """Pressure of water vapour in saturated moist air, over water (below freezing: supercooled), Pa.

    WMO-No. 8, Guide to Instruments and Methods of Observation, annex 4.B: ``f(p) * 6.112 exp(17.62 t / (243.12 + t))``
    hPa with ``f(p) = 1.0016 + 3.15e-6 p - 0.074 / p``; within 0.6 % from -45 to 60 degrees Celsius.

    Examples
    --------
    >>> round(float(vapour_pressure_pa(20.0)))
    2344
    """
    temp = np.asarray(temp_c, dtype=np.float64)
    hpa = np.asarray(pressure_pa, dtype=np.float64) / 100.0
    enhanced = 1.0016 + 3.15e-6 * hpa - 0.074 / hpa
    pressure: Array = 100.0 * enhanced * 6.112 * np.exp(17.62 * temp / (243.12 + temp))
    return pressure


def wet_bulb_c(
    temp_c: ArrayLike, humidity_percent: ArrayLike, pressure_pa: ArrayLike = SEA_LEVEL_PA
) -> Array:
    """What an aspirated wet thermometer shows, degrees Celsius: the lowest to which evaporation cools.

    Solves the equation of the psychrometer, WMO-No. 8, annex 4.B, by bisection: ``e = e_w(t_w) - 6.53e-4 (1 + 0.000944
    t_w) p (t - t_w)``. From -20 to 45 degrees, 10 % humidity up and 70 to 104 kPa it lies 0 to 0.26 K (on average 0.06
    K) above ASHRAE's thermodynamic wet bulb; where that is below freezing 0.2 K below to 0.7 K above it, as the bulb is
    taken as wet, not iced.

    Parameters
    ----------
    temp_c
        Air temperature, degrees Celsius.
    humidity_percent
        Relative humidity, %, over water; 0 to 100.
    pressure_pa
        Air pressure, Pa.

    Examples
    --------
    >>> wet_bulb_c([20.0, 35.0, 30.0], [50.0, 20.0, 100.0]).round(1).tolist()
    [13.8, 19.0, 30.0]
    """
    temp, humidity, pressure = np.broadcast_arrays(
        *(np.asarray(values, dtype=np.float64) for values in (temp_c, humidity_percent, pressure_pa))
    )
    vapour = humidity / 100.0 * vapour_pressure_pa(temp, pressure)
    low, high = temp - 60.0, np.array(temp)
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        steeper = 6.53e-4 * (1.0 + 0.000944 * middle) * pressure * (temp - middle)
        too_warm = vapour_pressure_pa(middle, pressure) - steeper > vapour
        low, high = np.where(too_warm, low, middle), np.where(too_warm, middle, high)
    found: Array = 0.5 * (low + high)
    return found


def humidity_ratio(vapour_pa: ArrayLike, pressure_pa: ArrayLike = SEA_LEVEL_PA) -> Array:
    """Water in the air, kg per kg of dry air (ASHRAE Fundamentals, psychrometrics: ``0.621945 e / (p - e)``)."""
    vapour = np.asarray(vapour_pa, dtype=np.float64)
    ratio: Array = 0.621945 * vapour / (np.asarray(pressure_pa, dtype=np.float64) - vapour)
    return ratio


def enthalpy_kj(temp_c: ArrayLike, ratio: ArrayLike) -> Array:
    """Enthalpy of moist air, kJ per kg of dry air (ASHRAE: ``1.006 t + w (2501 + 1.86 t)``)."""
    temp = np.asarray(temp_c, dtype=np.float64)
    enthalpy: Array = 1.006 * temp + np.asarray(ratio, dtype=np.float64) * (2501.0 + 1.86 * temp)
    return enthalpy


def evaporated_kg_per_kwh(
    temp_c: ArrayLike,
    humidity_percent: ArrayLike,
    leaving_c: ArrayLike,
    pressure_pa: ArrayLike = SEA_LEVEL_PA,
) -> Array:
    """Water that a cooling tower evaporates per kWh of heat: the rest of the heat warms the air.

    ``3600 (w_2 - w_1) / (h_2 - h_1)``: the air takes up all the heat and leaves saturated (Merkel's assumption).
    Perry's Chemical Engineers' Handbook has 0.00085 of the flow per degree Fahrenheit, 1.32 kg/kWh in any weather.

    Parameters
    ----------
    temp_c, humidity_percent, pressure_pa
        Of the air outdoors, as for `wet_bulb_c`.
    leaving_c
        Of the air that leaves the tower, degrees Celsius, above the wet bulb.

    Examples
    --------
    >>> evaporated_kg_per_kwh([0.0, 15.0, 35.0], [80.0, 60.0, 20.0], 30.0).round(2).tolist()
    [0.94, 1.1, 1.56]
    """
    pressure = np.asarray(pressure_pa, dtype=np.float64)
    enters = humidity_ratio(
        np.asarray(humidity_percent, dtype=np.float64) / 100.0 * vapour_pressure_pa(temp_c, pressure),
        pressure,
    )
    leaves = humidity_ratio(vapour_pressure_pa(leaving_c, pressure), pressure)
    heat_kj = enthalpy_kj(leaving_c, leaves) - enthalpy_kj(temp_c, enters)
    evaporated: Array = np.maximum(3600.0 * (leaves - enters) / heat_kj, 0.0)
    return evaporated
