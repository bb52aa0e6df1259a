"""A PV array: how it stands, what it is mounted on, what it loses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulators.errors import InputError, nearest
from simulators.generation import factors

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Mounting:
    """What an array is mounted on, as its cells feel it.

    Attributes
    ----------
    title
        For people.
    sandia
        pvlib's parameter set of Sandia's cell temperature model (King et al., SAND2004-3535, table 1); None: the model
        of `noct_c`.
    noct_c
        Installed nominal operating cell temperature, degrees Celsius, for SAM's model of it (Gilman et al.,
        NREL/TP-6A20-67399, 2018, 10.1), with a module efficiency of 15 % (PVWatts' standard module).
    """

    title: str
    sandia: str | None = None
    noct_c: float = 45.0

    def cell_c(self, plane_w_m2: Array, transmitted_w_m2: Array, air_c: Array, wind_m_s: Array) -> Array:
        """Temperature of the cells, degrees Celsius; shape (n,).

        From irradiance on the plane and what of it passes the glass, W/m2, air temperature, degrees Celsius, and wind,
        m/s.
        """
        import pvlib

        if self.sandia is not None:
            sets = pvlib.temperature.TEMPERATURE_MODEL_PARAMETERS["sapm"]
            found = pvlib.temperature.sapm_cell(plane_w_m2, air_c, wind_m_s, **sets[self.sandia])
            return np.asarray(found, dtype=np.float64)
        lit = (plane_w_m2 > 0) & (transmitted_w_m2 > 0)  # SAM's model divides by both
        plane, transmitted = np.where(lit, plane_w_m2, 1.0), np.where(lit, transmitted_w_m2, 1.0)
        found = pvlib.temperature.noct_sam(plane, air_c, wind_m_s, self.noct_c, 0.15, transmitted)
        return np.asarray(np.where(lit, found, air_c), dtype=np.float64)

    @property
    def source(self) -> str:
        """Where its parameters come from."""
        if self.sandia is None:
            return f"installed nominal operating cell temperature {self.noct_c:g} degrees Celsius, SAM's model of it"
        return f"{self.sandia}, Sandia's cell temperature model (SAND2004-3535)"

    @property
    def heating_k(self) -> float:
        """How much warmer than air its cells are at 1000 W/m2 and 1 m/s, K."""
        return float(self.cell_c(*(np.array([value]) for value in (1e3, 1e3, 0.0, 1.0)))[0])


MOUNTINGS: Mapping[str, Mounting] = {
    "roof": Mounting("roof", noct_c=49.0),
    "close_roof": Mounting("close to the roof", "close_mount_glass_glass"),
    "open_rack": Mounting("open rack", "open_rack_glass_polymer"),
    "open_rack_glass": Mounting("open rack (glass on both sides)", "open_rack_glass_glass"),
    "insulated": Mounting("insulated back", "insulated_back_glass_polymer"),
}
"""``roof`` is PVWatts' roof mount: a rack on a roof, whose cells run at 49 degrees Celsius (installed, nominal)."""

ON_TRACKERS = ("open_rack", "open_rack_glass")


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


@dataclass(frozen=True)
class PvArray:
    """An array per watt of its DC capacity.

    Attributes
    ----------
    tilt_deg, azimuth_deg
        Orientation, degrees from horizontal and clockwise from north; of a tracker, that of its axis.
    tracked
        Whether it turns about its axis after the sun (one axis).
    max_angle_deg, backtracking, ground_cover
        Of a tracker: how far it turns to either side of level, degrees; whether it turns back so that no row shades the
        next; width of a row over the distance between rows.
    mounting
        One of `MOUNTINGS`.
    losses, dc_ac_ratio, inverter_efficiency, gamma_per_k, albedo
        Share of DC power lost, DC over AC capacity, nominal inverter efficiency, temperature coefficient of the
        modules' power, 1/K, share of light that the ground reflects.

    Raises
    ------
    InputError
        If one is out of range.

    Examples
    --------
    >>> PvArray(20.0, 180.0).title
    'fixed at 20°, facing 180°, roof'
    """

    tilt_deg: float
    azimuth_deg: float
    tracked: bool = False
    max_angle_deg: float = factors.MAX_ANGLE.value
    backtracking: bool = True
    ground_cover: float = factors.GROUND_COVER.value
    mounting: str = "roof"
    losses: float = factors.LOSSES.value
    dc_ac_ratio: float = factors.DC_AC_RATIO.value
    inverter_efficiency: float = factors.INVERTER_EFFICIENCY.value
    gamma_per_k: float = factors.TEMPERATURE_COEFFICIENT.value
    albedo: float = factors.ALBEDO.value

    def __post_init__(self) -> None:
        for name, value, low, high in (
            ("tilt", self.tilt_deg, 0.0, 90.0),
            ("azimuth", self.azimuth_deg, 0.0, 360.0),
            ("maximum angle", self.max_angle_deg, 0.0, 90.0),
            ("ground cover", self.ground_cover, 0.01, 1.0),
            ("temperature coefficient", self.gamma_per_k, -0.01, 0.0),
            ("albedo", self.albedo, 0.0, 1.0),
        ):
            if not low <= value <= high:
                raise InputError(f"PV: {name} is {value}, expected {low:g} to {high:g}")
        if not 0 <= self.losses < 1:
            raise InputError(f"PV: losses are {self.losses}, expected a share from 0 to below 1")
        if not 0 < self.dc_ac_ratio < np.inf:
            raise InputError(f"PV: DC-to-AC ratio is {self.dc_ac_ratio}, expected a positive number")
        if not 0 < self.inverter_efficiency <= 1:
            raise InputError(
                f"PV: inverter efficiency is {self.inverter_efficiency}, expected above 0 and at most 1"
            )
        if self.mounting not in MOUNTINGS:
            raise InputError(
                f"PV: mounting is {self.mounting!r}, expected one of {', '.join(MOUNTINGS)}"
                f"{nearest(self.mounting, list(MOUNTINGS))}"
            )
        if self.tracked and self.mounting not in ON_TRACKERS:
            raise InputError(
                f"PV: a tracker with mounting {self.mounting!r}, expected one of {', '.join(ON_TRACKERS)}"
            )

    def entry(self) -> dict[str, float | bool | str]:
        """What it is computed with, by the names of its fields; those of trackers only of a tracker."""
        of_trackers = ("max_angle_deg", "backtracking", "ground_cover")
        return {name: value for name, value in vars(self).items() if self.tracked or name not in of_trackers}

    @property
    def title(self) -> str:
        """How it stands, for people."""
        on = MOUNTINGS[self.mounting].title
        if not self.tracked:
            return f"fixed at {self.tilt_deg:.3g}°, facing {self.azimuth_deg:.4g}°, {on}"
        axis = f"axis at {self.tilt_deg:.3g}° towards {self.azimuth_deg:.4g}°, ±{self.max_angle_deg:g}°"
        rows = f"backtracking, ground cover {self.ground_cover:g}" if self.backtracking else "no backtracking"
        return f"tracker, {axis}, {rows}, {on}"
