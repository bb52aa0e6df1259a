"""Rapid voltage changes of a series of r.m.s. voltages: d_c, d_max and T_max as IEC 61000-3-3 and 61000-4-15 name them.

A voltage is *steady* while it stays within 0.2 % of its mean for a second at least (IEC 61000-4-15:2010). What
lies between two steady voltages is a change: d_c is the difference of the two, d_max how far the voltage goes from the
first on the way, T_max how long it is more than 3.3 % away. A voltage that never comes to rest has no d_c; its d_max is
then the difference of its highest and lowest value, the largest that IEC 61000-3-3 could count.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d, minimum_filter1d

Array = NDArray[np.float64]

STEADY_S, BAND_PERCENT, FAR_PERCENT = 1.0, 0.2, 3.3
"""Least time and half width of a steady voltage; what T_max counts beyond."""


@dataclass(frozen=True)
class Changes:
    """Voltage changes of a series; everything in % of the nominal voltage.

    Attributes
    ----------
    count
        Changes between steady voltages that differ, or that are left and come back to.
    d_c_percent
        Largest difference of two steady voltages in a row; None if the voltage never comes to rest twice.
    d_max_percent
        Largest distance from the last steady voltage during a change; 0 without a change.
    t_max_s
        Longest time that one change is more than 3.3 % away, s.
    settles
        Whether there is any steady voltage; else `d_max_percent` is highest less lowest.
    """

    count: int
    d_c_percent: float | None
    d_max_percent: float
    t_max_s: float
    settles: bool


def changes(v_pu: Array, step_s: float) -> Changes:
    """Find the voltage changes of a series.

    Parameters
    ----------
    v_pu
        R.m.s. voltages, p.u. of nominal; shape (samples,). The standard's are of half cycles; coarser ones find shorter
        dips flatter than they are.
    step_s
        Time between them, s.

    Examples
    --------
    A step down by 2 % that overshoots to 3 % for 0.1 s:

    >>> found = changes(np.repeat([1.0, 0.97, 0.98], [500, 10, 500]), 0.01)
    >>> found.count, round(found.d_c_percent, 6), round(found.d_max_percent, 6), found.t_max_s
    (1, 2.0, 3.0, 0.0)
    """
    spells = _steady(v_pu, step_s)
    if not spells:
        return Changes(0, None, 100.0 * float(np.ptp(v_pu)), 0.0, False)
    second = max(1, round(STEADY_S / step_s))
    count, d_c, d_max, t_max = 0, 0.0, 0.0, 0.0
    for number, (first, last) in enumerate(spells):
        level = float(v_pu[max(first, last - second) : last].mean())
        ends = spells[number + 1][0] if number + 1 < len(spells) else len(v_pu)
        away = 100.0 * np.abs(v_pu[last:ends] - level)
        d_max = max(d_max, float(away.max(initial=0.0)))
        t_max = max(t_max, step_s * _longest(away > FAR_PERCENT))
        if number + 1 < len(spells):
            after = float(v_pu[ends : min(ends + second, spells[number + 1][1])].mean())
            count += 1
            d_c = max(d_c, 100.0 * abs(after - level))
            d_max = max(d_max, 100.0 * abs(after - level))
    return Changes(count, d_c if len(spells) > 1 else None, d_max, t_max, True)


def _steady(v_pu: Array, step_s: float) -> list[tuple[int, int]]:
    """Where the voltage is steady: first sample, and the one after the last."""
    window = max(1, math.ceil(STEADY_S / step_s))
    if window > len(v_pu):
        return []
    # what begins at a sample and lasts a second stays within the band
    shift = -(window // 2)
    high = maximum_filter1d(v_pu, window, origin=shift, mode="nearest")
    low = minimum_filter1d(v_pu, window, origin=shift, mode="nearest")
    begins = (high - low <= 2.0 * BAND_PERCENT / 100.0) & (np.arange(len(v_pu)) <= len(v_pu) - window)
    inside = np.zeros(len(v_pu) + 1, dtype=np.int64)
    at = np.flatnonzero(begins)
    np.add.at(inside, at, 1)
    np.add.at(inside, at + window, -1)
    steady = np.cumsum(inside[:-1]) > 0
    edges = np.flatnonzero(np.diff(np.concatenate([[False], steady, [False]]).astype(np.int8)))
    spells: list[tuple[int, int]] = []
    for first, last in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        spells += _apart(v_pu, first, last, window)
    return spells


def _apart(v_pu: Array, first: int, last: int, window: int) -> list[tuple[int, int]]:
    """A stretch of steady seconds cut where it drifts or steps out of the band around the level it began at."""
    made, begin = [], first
    while begin < last:
        level = float(v_pu[begin : begin + window].mean())
        out = np.flatnonzero(np.abs(v_pu[begin:last] - level) > BAND_PERCENT / 100.0)
        end = last if not len(out) else begin + int(out[0])
        if end - begin >= window:
            made.append((begin, end))
        begin = max(end, begin + 1) if end - begin >= window else begin + max(1, end - begin)
    return made


def _longest(flags: NDArray[np.bool_]) -> int:
    """Longest run of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return int((edges[1::2] - edges[::2]).max(initial=0))
