"""Whether times advance by one uniform step, or an error that says which row is odd.

A file in local time has one hour twice in autumn and one hour missing in spring; read as UTC it looks damaged, and the
message suggests to name the zone.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from simulators.errors import InputError
from simulators.profiles.tables import Table


def uniform_step(table: Table, stamps: pd.DatetimeIndex, fill: bool) -> tuple[int, NDArray[np.int64]]:
    """Check order and spacing; return (step in s, position of every row on the uniform axis).

    With `fill` whole missing steps are allowed, duplicates and a backward step never are.
    """
    if len(stamps) < 2:
        raise InputError(
            f"{table.path}: has {len(stamps)} data row; expected at least two to know the resolution"
        )
    seconds = (stamps - stamps[0]).total_seconds().to_numpy()
    gaps = np.diff(seconds)
    positive = gaps[gaps > 0]
    if not len(positive):
        raise table.error(1, f"time {stamps[1]:%Y-%m-%d %H:%M} does not advance", "times in ascending order")
    lengths, counts = np.unique(positive, return_counts=True)
    step = float(lengths[np.argmax(counts)])
    if step != round(step):
        raise InputError(f"{table.path}: rows are {step:g} s apart; expected whole seconds")
    odd = gaps != step
    if fill:
        odd &= ~((gaps > 0) & (gaps % step == 0))
    wrong = np.flatnonzero(odd)
    if len(wrong):
        backward = np.flatnonzero(gaps < 0)
        # a row out of order also looks like a gap further up; name the row itself
        index = int(backward[0] if len(backward) else wrong[0])
        _refuse(table, stamps, index, float(gaps[index]), step)
    return int(step), np.rint(seconds / step).astype(np.int64)


def _refuse(table: Table, stamps: pd.DatetimeIndex, index: int, gap: float, step: float) -> None:
    before, after = stamps[index], stamps[index + 1]
    dst = _clock_change(before, gap, step)
    row = index + 1
    if gap == 0:
        what = f"duplicate time {after:%Y-%m-%d %H:%M}"
        raise table.error(
            row, what + (f" {dst}" if dst else ""), _zone_hint(table) if dst else "every time once"
        )
    if gap < 0:
        what = f"time {after:%Y-%m-%d %H:%M} is earlier than {before:%Y-%m-%d %H:%M} in the row above"
        raise table.error(
            row, what + (f" {dst}" if dst else ""), _zone_hint(table) if dst else "times in ascending order"
        )
    if gap % step == 0:
        missing = round(gap / step) - 1
        what = f"{missing} row{'s' if missing > 1 else ''} missing before {after:%Y-%m-%d %H:%M}"
        expected = (
            _zone_hint(table)
            if dst
            else f"one row every {step:g} s, or a fill rule: {table.advice('fill', 'previous')}"
        )
        raise table.error(row, what + (f" {dst}" if dst else ""), expected)
    raise table.error(
        row, f"{after:%Y-%m-%d %H:%M:%S} is {gap:g} s after the row above", f"steps of {step:g} s"
    )


def _clock_change(before: pd.Timestamp, gap: float, step: float) -> str:
    """Say so if a jump looks like a clock change: one hour, at night, on a Sunday of the season."""
    if before.dayofweek != 6 or before.hour > 4:
        return ""
    if gap == 3600 + step and before.month in (3, 4, 9, 10):
        return "(looks like daylight saving time: clocks go forward)"
    if gap in (0.0, step - 3600) and before.month in (9, 10, 11, 3, 4):
        return "(looks like daylight saving time: clocks go back)"
    return ""


def _zone_hint(table: Table) -> str:
    return f"UTC, or the file's local time zone: {table.advice('timezone', 'Europe/Berlin')}"
