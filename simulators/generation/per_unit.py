"""Generation from a per-unit profile: output as a share of capacity, times capacity."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulators.errors import InputError


def per_unit_power_w(per_unit: ArrayLike, capacity_w: float) -> NDArray[np.float64]:
    """Mean power in every interval, W: `per_unit` (share of capacity, >= 0; shape (n,)) times `capacity_w`.

    Raises
    ------
    InputError
        If the capacity is not positive, or a share is missing or negative.
    """
    if not 0 < capacity_w < np.inf:
        raise InputError(f"per-unit generation: capacity is {capacity_w} W, expected a positive number")
    shares = np.asarray(per_unit, dtype=np.float64)
    bad = np.flatnonzero(~np.isfinite(shares) | (shares < 0))
    if len(bad):
        raise InputError(
            f"per-unit generation: share of interval {bad[0]} is {shares[bad[0]]}, expected a number >= 0"
        )
    return np.asarray(shares * capacity_w)
