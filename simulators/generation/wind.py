"""Wind turbines: weather -> watts, with windpowerlib."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulators.errors import InputError
from simulators.generation import factors
from simulators.generation.turbines import Turbine

Array = NDArray[np.float64]


@dataclass(frozen=True)
class WindPlant:
    """Turbines of one type.

    Attributes
    ----------
    machine
        Their type.
    rated_w
        Of all of them together, W.
    hub_height_m
        m.
    roughness_m
        Roughness length of the surroundings, m, in the logarithmic profile that carries wind to hub height.
    shear_exponent
        Exponent of the power law that takes the place of the logarithmic profile; None: it does not.
    wake_efficiency
        Share of the machines' power in free wind that is left behind one another.

    Raises
    ------
    InputError
        If one is out of range.
    """

    machine: Turbine
    rated_w: float
    hub_height_m: float
    roughness_m: float = factors.ROUGHNESS_M.value
    shear_exponent: float | None = None
    wake_efficiency: float = 1.0

    def __post_init__(self) -> None:
        for name, value in (("rated power", self.rated_w), ("hub height", self.hub_height_m)):
            if not 0 < value < np.inf:
                raise InputError(f"wind: {name} is {value}, expected a positive number")
        rotor_m = self.machine.rotor_m
        if rotor_m is not None and self.hub_height_m <= rotor_m / 2:
            raise InputError(
                f"wind: hub height is {self.hub_height_m:g} m, expected more than half the rotor of "
                f"{self.machine.name}, {rotor_m:g} m"
            )
        if not 0 < self.wake_efficiency <= 1:
            raise InputError(
                f"wind: wake efficiency is {self.wake_efficiency}, expected above 0 and at most 1"
            )
        if self.shear_exponent is not None and not 0 <= self.shear_exponent <= 1:
            raise InputError(f"wind: shear exponent is {self.shear_exponent}, expected 0 to 1")
        if not 0 < self.roughness_m < self.hub_height_m:
            raise InputError(
                f"wind: roughness length is {self.roughness_m} m, expected above 0 and below the wind's height"
            )

    @property
    def machines(self) -> float:
        """How many make the rating; less than one: a smaller machine of that kind."""
        return self.rated_w / self.machine.nominal_w

    @property
    def title(self) -> str:
        """How wind reaches the hubs, and what is left behind one another; for people."""
        shear = f"roughness {self.roughness_m:g} m"
        if self.shear_exponent is not None:
            shear = f"shear exponent {self.shear_exponent:.3g}"
        return shear if self.wake_efficiency == 1 else f"{shear}, wake efficiency {self.wake_efficiency:g}"


def wind_power_w(
    wind_speed_m_s: ArrayLike,
    temp_air_c: ArrayLike,
    pressure_pa: ArrayLike,
    plant: WindPlant,
    wind_height_m: float = 10.0,
) -> Array:
    """Mean power of a plant in every interval, W.

    Wind speed is carried to hub height by the logarithmic profile, or by Hellman's power law where an
    exponent is given; air density there follows from temperature (-6.5 K/km) and pressure; the power curve
    is corrected for density (windpowerlib's `power_curve`, after Svenningsen, 2010), then scaled from one
    turbine to the rating. An interval's mean wind is taken as if it blew steadily: hourly means understate
    the power of gusty wind below rated speed and overstate it above.

    Parameters
    ----------
    wind_speed_m_s, temp_air_c, pressure_pa
        Wind speed at `wind_height_m`, m/s, air temperature at 2 m, degrees Celsius, air pressure at the
        ground, Pa; shape (n,) each, the latter two also a single number.
    plant
        Power is proportional to its rating.
    wind_height_m
        Height at which the wind was measured, m (10 m is the WMO's standard).

    Raises
    ------
    InputError
        If a weather value is missing or negative, or the wind was measured within the roughness of the ground.
    """
    import windpowerlib

    if plant.shear_exponent is None and not plant.roughness_m < wind_height_m < np.inf:
        raise InputError(
            f"wind: roughness length is {plant.roughness_m} m, expected above 0 and below the wind's height, "
            f"{wind_height_m:g} m"
        )
    wind, temp_k, pressure = _checked_weather(wind_speed_m_s, temp_air_c, pressure_pa)
    hub_m, machine = plant.hub_height_m, plant.machine
    temp_hub_k = windpowerlib.temperature.linear_gradient(temp_k, 2.0, hub_m)
    density = windpowerlib.density.ideal_gas(pressure, 0.0, hub_m, temp_hub_k)
    power_w = windpowerlib.power_output.power_curve(
        _at_hub(wind, wind_height_m, plant),
        machine.curve_m_s,
        machine.curve_w,
        density=density,
        density_correction=True,
    )
    return np.asarray(power_w, dtype=np.float64) * (plant.machines * plant.wake_efficiency)


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


def _at_hub(wind: Array, wind_height_m: float, plant: WindPlant) -> Array:
    """Wind speed at hub height, m/s, by the logarithmic profile or, with an exponent, the power law."""
    import windpowerlib

    if plant.shear_exponent is None:
        speed = windpowerlib.wind_speed.logarithmic_profile(
            wind, wind_height_m, plant.hub_height_m, plant.roughness_m
        )
    else:
        speed = windpowerlib.wind_speed.hellman(
            wind, wind_height_m, plant.hub_height_m, hellman_exponent=plant.shear_exponent
        )
    at_hub: Array = speed
    return at_hub
