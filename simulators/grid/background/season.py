"""How the load of households changes over the year."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

_COEFFICIENTS = (-3.92e-10, 3.20e-7, -7.02e-5, 2.10e-3, 1.24)
"""Of the day's number, to the fourth power: the dynamic function of VDEW's household profile H0 (Meier, Fünfgeld, Adam,
Schieferdecker: Repräsentative VDEW-Lastprofile, VDEW M-28/99; its use: M-05/2000). It runs from 0.78 to 1.26 and its
mean over a year is 1."""


def season_factor(day_of_year: NDArray[np.float64]) -> NDArray[np.float64]:
    """Load of households on a day of the year, relative to the year's mean.

    Examples
    --------
    >>> [round(float(factor), 3) for factor in season_factor(np.array([1.0, 182.0, 365.0]))]
    [1.242, 0.796, 1.257]
    >>> round(float(season_factor(np.arange(1.0, 366.0)).mean()), 2)
    1.0
    """
    return np.asarray(np.polyval(_COEFFICIENTS, day_of_year), dtype=np.float64)


def season(start: datetime, step_s: int, steps: int, timezone: str) -> NDArray[np.float64]:
    """The factor in every step of a run, by local days; shape (steps,)."""
    zone = ZoneInfo(timezone)
    days = [
        (start + timedelta(seconds=step * step_s)).astimezone(zone).timetuple().tm_yday
        for step in range(steps)
    ]
    return season_factor(np.array(days, dtype=np.float64))
