"""Hourly mean irradiance -> finer steps, without losing a watt-hour."""

from __future__ import annotations

import numpy as np
import pvlib
from numpy.typing import NDArray

Array = NDArray[np.float64]

CLEAR_SHARE = 0.35
"""How much of the beam's course within an interval is a clear sky's; the rest is constant while the sun is up.

Fitted to a year of half-hourly satellite data made hourly (NSRDB PSM v4, 40.5 degrees north): the year's PV energy is
then within 0.01 % (fixed) and 0.09 % (tracker) of what the half hours give; a constant beam alone is 0.10 and 0.26 %
low (early and late beam is weaker), a clear sky's course alone 0.20 and 0.25 % high (clouds).
"""


def finer_irradiance(
    ghi_w_m2: Array, dni_w_m2: Array, dhi_w_m2: Array, cos_zenith: Array
) -> tuple[Array, Array, Array]:
    """Split every interval's mean irradiance along the sun's path through that interval.

    Global and diffuse horizontal irradiance follow the cosine of the sun's zenith angle; the beam follows, to
    `CLEAR_SHARE`, the transmission of a clear sky, 0.7 ** (air mass ** 0.678) (A. B. and M. P. Meinel, "Applied solar
    energy", 1976). Each is scaled so that its mean over the interval stays what it was. Nothing is known of the clouds
    inside the interval, so real minutes vary more than these.

    Where the sun stays below the horizon (twilight), global and diffuse are held constant.

    Parameters
    ----------
    ghi_w_m2, dni_w_m2, dhi_w_m2
        Interval means of global horizontal, direct normal, diffuse horizontal irradiance, W/m2; shape (n,).
    cos_zenith
        Cosine of the solar zenith angle at the midpoint of every finer step; shape (n, m).

    Returns
    -------
    ghi, dni, dhi
        Irradiance of the finer steps, W/m2; shape (n * m,) each.
    """
    height = np.maximum(cos_zenith, 0.0)
    horizontal = _course(height, dark=1.0)
    up = (height > 0).astype(np.float64)
    zenith_deg = np.degrees(np.arccos(np.minimum(height, 1.0)))
    clear = 0.7 ** (pvlib.atmosphere.get_relative_airmass(zenith_deg) ** 0.678) * up
    beam = CLEAR_SHARE * _course(clear) + (1.0 - CLEAR_SHARE) * _course(up)
    return (
        (ghi_w_m2[:, None] * horizontal).ravel(),
        (dni_w_m2[:, None] * beam).ravel(),
        (dhi_w_m2[:, None] * horizontal).ravel(),
    )


def _course(weights: Array, dark: float = 0.0) -> Array:
    """Weights of the finer steps with a mean of 1 over every interval; `dark` where they are all 0; shape (n, m)."""
    mean = weights.mean(axis=1, keepdims=True)
    course = np.full_like(weights, dark)
    np.divide(weights, mean, out=course, where=mean > 0)
    return course
