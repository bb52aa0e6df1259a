"""Hourly mean irradiance -> finer steps, without losing a watt-hour."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def finer_irradiance(
    ghi_w_m2: Array, dni_w_m2: Array, dhi_w_m2: Array, cos_zenith: Array
) -> tuple[Array, Array, Array]:
    """Split every interval's mean irradiance along the sun's path through that interval.

    Within an interval the sky's clearness is held constant: global and diffuse horizontal irradiance follow
    the cosine of the sun's zenith angle, direct normal irradiance is constant while the sun is up. Each is
    scaled so that its mean over the interval stays what it was. Nothing is known of the clouds inside the
    interval, so real minutes vary more than these.

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
    mean_height = height.mean(axis=1, keepdims=True)
    horizontal = np.ones_like(height)
    np.divide(height, mean_height, out=horizontal, where=mean_height > 0)
    up = (height > 0).astype(np.float64)
    up_share = up.mean(axis=1, keepdims=True)
    beam = np.zeros_like(up)
    np.divide(up, up_share, out=beam, where=up_share > 0)
    return (
        (ghi_w_m2[:, None] * horizontal).ravel(),
        (dni_w_m2[:, None] * beam).ravel(),
        (dhi_w_m2[:, None] * horizontal).ravel(),
    )
