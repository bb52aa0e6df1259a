"""A flexible connection: a firm limit below what stands there, and what keeping to it takes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Curtailment(NamedTuple):
    """What a load must leave to stay within a limit.

    Attributes
    ----------
    mwh, hours
        Energy beyond the limit, and how long anything is.
    most_mw
        By how much at most.
    """

    mwh: float
    hours: float
    most_mw: float


def curtailment(load_mw: ArrayLike, limit_mw: ArrayLike, hours: float) -> Curtailment:
    """Sum of max(0, load - limit) over the steps of a run.

    Parameters
    ----------
    load_mw, limit_mw
        In each step, or one for all; shapes (steps,) or ().
    hours
        Length of a step, h.

    Examples
    --------
    >>> curtailment([4.0, 5.0, 6.5], 5.0, 0.25)
    Curtailment(mwh=0.375, hours=0.25, most_mw=1.5)
    """
    beyond = np.maximum(np.asarray(load_mw, dtype=np.float64) - np.asarray(limit_mw, dtype=np.float64), 0.0)
    return Curtailment(
        float(beyond.sum()) * hours,
        float(np.count_nonzero(beyond > 0.0)) * hours,
        float(beyond.max(initial=0.0)),
    )


def steepest_mw_per_min(load_mw: NDArray[np.float64], step_s: float) -> float:
    """Largest change from one step to the next, spread over a step, MW per minute; 0 of a single step.

    Examples
    --------
    >>> steepest_mw_per_min(np.array([1.0, 3.0, 2.0]), 120.0)
    1.0
    """
    return float(np.abs(np.diff(load_mw)).max(initial=0.0)) * 60.0 / step_s
