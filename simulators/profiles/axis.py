"""The uniform time axis of a table, and values put on it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from simulators.errors import InputError
from simulators.profiles.clock import zone_of
from simulators.profiles.fill import FillRule, filled
from simulators.profiles.formats.base import Label
from simulators.profiles.spacing import uniform_step
from simulators.profiles.tables import Table
from simulators.profiles.times import read_times

_YEARS = (1900, 2200)
"""Of measurements, of typical years and of scenarios."""


@dataclass(frozen=True)
class Axis:
    """The uniform time axis of a table.

    Attributes
    ----------
    start
        Start of the first interval, UTC.
    step_s
        Length of every interval, s.
    positions
        Interval of every row of the table, counted from 0; shape (rows,).
    """

    start: datetime
    step_s: int
    positions: NDArray[np.int64]


def read_axis(
    table: Table,
    time_column: str,
    timezone: str | None,
    label: Label,
    fill: FillRule | None,
    start: datetime | None = None,
    stated: bool = False,
) -> Axis:
    """Read and check the time column of `table`; rows may run backward in time, all of them.

    `stated`: whether a person said the time zone, which offsets in the cells may then not contradict.
    """
    stamps = read_times(table, time_column, timezone, start, zone_of(time_column), stated)
    odd = np.flatnonzero(stamps.isna() | (stamps.year < _YEARS[0]) | (stamps.year > _YEARS[1]))
    if len(odd):
        what = "no time" if pd.isna(stamps[odd[0]]) else f"{stamps[odd[0]]:%Y-%m-%d %H:%M}"
        raise table.error(
            int(odd[0]), f"{what} in column '{time_column}'", f"times from {_YEARS[0]} to {_YEARS[1]}"
        )
    if len(stamps) > 2 and bool((np.diff(stamps.asi8) < 0).all()):
        backward = replace(table, frame=table.frame.iloc[::-1], descending=True)
        stamps = stamps[::-1]
        step_s, positions = uniform_step(backward, stamps, fill is not None)
        positions = positions[::-1]
    else:
        step_s, positions = uniform_step(table, stamps, fill is not None)
    first = stamps[0] - pd.Timedelta(seconds=step_s) if label == "end" else stamps[0]
    return Axis(first.to_pydatetime(), step_s, positions)


def on_axis(
    table: Table, column: str, axis: Axis, values: NDArray[np.float64], fill: FillRule | None
) -> tuple[NDArray[np.float64], str]:
    """Put the rows on the uniform axis, fill holes by the user's rule; (values, note on what was filled)."""
    holes = np.flatnonzero(np.isnan(values))
    if fill is None:
        if len(holes):
            raise table.error(
                int(holes[0]),
                f"column '{column}' has no value (NaN or empty, {len(holes)} in all)",
                f"a number, or a fill rule: {table.advice('fill', 'previous')}",
            )
        ordered = np.empty_like(values)
        ordered[axis.positions] = values
        return ordered, ""
    if len(holes) == len(values):
        raise table.error(0, f"column '{column}' has no value at all", "numbers")
    full = np.full(int(axis.positions.max()) + 1, np.nan)
    full[axis.positions] = values
    missing = int(np.isnan(full).sum())
    result, long = filled(full, fill, axis.step_s)
    if long is not None:
        at = axis.start + timedelta(seconds=long * axis.step_s)
        raise InputError(
            f"{table.path}: column '{column}' has no value from {at:%Y-%m-%d %H:%M} UTC on for more than the fill "
            f"rule's {fill.limit_s:g} s; expected numbers, or a longer limit: {table.advice('fill', 'previous:12h')}"
        )
    note = f" ({missing} of {len(full)} values filled: {fill.rule})" if missing else ""
    return result, note
