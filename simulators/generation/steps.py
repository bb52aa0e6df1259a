"""Means over steps of one length -> means over steps of another, without losing a watt-hour."""

from __future__ import annotations

from math import gcd

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def resampled(means: Array, own_s: int, late_s: int, step_s: int, steps: int) -> Array:
    """Means over the steps of a run from means over steps of `own_s`.

    A step that lies within one of the means' follows a straight line through it, whose slope is the smaller of those to
    its neighbours, and 0 at a peak or beside a flat: the mean stays, nothing turns negative, the night stays dark
    (B. van Leer, J. Comput. Phys. 32 (1979) 101-136). So the energy of a span is the same in steps of every length.

    Parameters
    ----------
    means, own_s
        Shape (n,), and the length of their steps, s.
    late_s
        When the run starts, s after the first of them does.
    step_s, steps
        Length of the run's steps, s, and how many; within the span of the means.

    Examples
    --------
    >>> resampled(np.array([0.0, 1.0, 2.0, 2.0]), 300, 300, 150, 4).tolist()
    [0.75, 1.25, 2.0, 2.0]
    """
    part_s = gcd(gcd(own_s, step_s), late_s)
    first, last = late_s // own_s, -(-(late_s + step_s * steps) // own_s)
    within = means[first:last]
    parts = own_s // part_s
    if parts > 1:
        rise = np.diff(means, prepend=means[:1], append=means[-1:])[first : last + 1]
        before, after = rise[:-1], rise[1:]
        slope = np.where(before * after > 0, np.sign(before) * np.minimum(abs(before), abs(after)), 0.0)
        within = (within[:, None] + slope[:, None] * ((np.arange(parts) + 0.5) / parts - 0.5)).ravel()
    start = (late_s - first * own_s) // part_s
    return np.asarray(within[start : start + steps * (step_s // part_s)].reshape(steps, -1).mean(axis=1))
