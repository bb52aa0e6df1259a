"""PV: sky -> AC watts, with pvlib, for a whole run at once.

The chain is PVWatts': sun position at the middle of every step (pvlib, NREL SPA), one-axis tracking with backtracking
(W. F. Marion, A. P. Dobos, NREL/TP-6A20-58891, 2013), Perez transposition, physical incidence-angle loss on the beam,
cell temperature by the mounting, PVWatts DC and inverter models (A. P. Dobos, "PVWatts Version 5 Manual",
NREL/TP-6A20-62641, 2014). Shade of one row on the next is avoided by backtracking or not counted; diffuse light is not
shaded.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pvlib
from numpy.typing import NDArray

from simulators.generation.pv_array import MOUNTINGS, PvArray
from simulators.generation.sky import Sky

Array = NDArray[np.float64]


def pv_per_unit(sky: Sky, array: PvArray) -> Array:
    """Mean AC power of an array in every step of a sky, W per W of DC capacity; shape (n,), never negative.

    Capacity is a factor of the result: compute an array once and multiply.
    """
    tilt_deg, azimuth_deg = _orientation(sky, array)
    incidence_deg = pvlib.irradiance.aoi(tilt_deg, azimuth_deg, sky.zenith_deg, sky.azimuth_deg)
    plane = _on_plane(sky, tilt_deg, azimuth_deg, array.albedo)
    transmitted = plane["poa_direct"] * pvlib.iam.physical(incidence_deg) + plane["poa_diffuse"]
    cell_c = MOUNTINGS[array.mounting].cell_c(plane["poa_global"], transmitted, sky.air_c, sky.wind_m_s)
    dc = pvlib.pvsystem.pvwatts_dc(transmitted, cell_c, 1.0, array.gamma_per_k) * (1.0 - array.losses)
    # pvlib's inverter takes the DC input at which it is full: AC rating over nominal efficiency
    full = 1.0 / array.dc_ac_ratio / array.inverter_efficiency
    ac = pvlib.inverter.pvwatts(dc, full, array.inverter_efficiency)
    return np.asarray(np.maximum(np.nan_to_num(ac), 0.0), dtype=np.float64)


def _orientation(sky: Sky, array: PvArray) -> tuple[Array | float, Array | float]:
    """Tilt and azimuth of the modules, degrees; level where a tracker rests at night."""
    if not array.tracked:
        return array.tilt_deg, array.azimuth_deg
    turned = pvlib.tracking.singleaxis(
        sky.zenith_deg,
        sky.azimuth_deg,
        array.tilt_deg,
        array.azimuth_deg,
        array.max_angle_deg,
        array.backtracking,
        array.ground_cover,
    )
    return np.nan_to_num(turned["surface_tilt"]), np.nan_to_num(turned["surface_azimuth"])


def _on_plane(sky: Sky, tilt_deg: Array | float, azimuth_deg: Array | float, albedo: float) -> Any:
    """Irradiance on the array's plane by pvlib's names, W/m2."""
    # beyond 87.5 degrees the beam is all but zero and Perez' air mass breaks down; pvlib needs a finite one
    airmass = pvlib.atmosphere.get_relative_airmass(np.minimum(sky.zenith_deg, 87.5))
    return pvlib.irradiance.get_total_irradiance(
        tilt_deg,
        azimuth_deg,
        sky.zenith_deg,
        sky.azimuth_deg,
        sky.dni_w_m2,
        sky.ghi_w_m2,
        sky.dhi_w_m2,
        dni_extra=sky.extra_w_m2,
        airmass=airmass,
        albedo=albedo,
        model="perez",
    )
