"""What readers of weather share: pvlib's readers with one-line errors, columns on an axis, whole years."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from simulators.errors import InputError, first_line
from simulators.profiles.axis import Axis, on_axis
from simulators.profiles.formats.base import Content, Said
from simulators.profiles.quantities import quantity_named
from simulators.profiles.tables import Table
from simulators.profiles.values import check_bare, check_thousands, converted, mark_implausible

NOMINAL_YEAR = 1990
"""Of typical years; not a leap year."""

COLUMNS = ("ghi", "dni", "dhi", "temperature", "wind_speed", "pressure")
OPTIONAL = ("humidity",)
"""What cooling alone needs: a file in which it has gaps is read without it."""
IRRADIANCE = ("ghi", "dni", "dhi")


def pvlib_read(
    content: Content, kind: str, reader: Any, text: Any, **options: Any
) -> tuple[pd.DataFrame, Any]:
    """Run a pvlib reader; whatever it trips over in a broken file becomes one line."""
    try:
        frame, meta = reader(text, **options)[:2]
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, EOFError) as error:
        raise InputError(
            f"{content.path}: damaged {kind} file ({first_line(error)}); expected {kind} as published"
        ) from error
    if not len(frame):
        raise InputError(f"{content.path}: has no data rows; expected {kind} as published")
    return frame, meta


def checked(
    content: Content, frame: pd.DataFrame, first_row: int, said: Said, step_s: int
) -> tuple[dict[str, NDArray[np.float64]], str]:
    """Columns of a fixed format, already uniform in time and in canonical units; (columns, notes)."""
    table = content.own(Table(content.path, frame.reset_index(drop=True), first_row, {}, content.sha256))
    axis = Axis(datetime(NOMINAL_YEAR, 1, 1, tzinfo=UTC), step_s, np.arange(len(frame), dtype=np.int64))
    present = {
        name: (name, quantity_named(name).unit)
        for name in (*COLUMNS, *OPTIONAL)
        if name in frame.columns and not frame[name].isna().all()
    }
    columns, notes = on_axes(table, present, axis, said)
    if not columns:
        raise InputError(f"{content.path}: no irradiance, temperature or wind speed found")
    return columns, notes


def on_axes(
    table: Table, present: Mapping[str, tuple[str, str | None]], axis: Axis, said: Said
) -> tuple[dict[str, NDArray[np.float64]], str]:
    """Columns of a table by quantity, given as (header, unit): converted, in range, filled; (columns, notes)."""
    columns: dict[str, NDArray[np.float64]] = {}
    notes = ""
    for quantity, (header, unit) in present.items():
        wanted = quantity_named(quantity)
        try:
            numbers = table.numbers(header)
            check_thousands(table, header, wanted, unit, numbers)
            if unit is None:
                check_bare(table, header, wanted, numbers)
            values, _ = converted(table, header, wanted, unit, numbers, axis.step_s)
            values, mended = mark_implausible(table, header, wanted, values, said.implausible)
            columns[quantity], holes = on_axis(table, header, axis, values, said.fill)
        except InputError:
            if quantity not in OPTIONAL:
                raise
            continue
        notes += mended + holes.replace(" values filled", f" values of {wanted.label} filled")
    return columns, notes


def check_year(path: Path, stamps: pd.DatetimeIndex, kind: str, first_row: int) -> None:
    """Refuse anything but every hour of one year in order; the calendar year of a row does not matter."""
    if len(stamps) not in (8760, 8784):
        raise InputError(f"{path}: has {len(stamps)} hours; expected the 8760 of a {kind} year")
    year = NOMINAL_YEAR if len(stamps) == 8760 else 1992
    expected = pd.date_range(f"{year}-01-01", periods=len(stamps), freq="h")
    wrong = np.flatnonzero(
        (stamps.month != expected.month) | (stamps.day != expected.day) | (stamps.hour != expected.hour)
    )
    if len(wrong):
        row = int(wrong[0])
        raise InputError(
            f"{path}: row {first_row + row} (line of the file): is {_short(stamps[row])}; "
            f"expected {expected[row]:%m-%d %H:%M}, every hour once and in order"
        )


def _short(stamp: pd.Timestamp) -> str:
    return "no time" if pd.isna(stamp) else f"{stamp:%m-%d %H:%M}"


def check_steps(content: Content, index: pd.DatetimeIndex, first_row: int) -> int:
    """Step of a uniform index, s."""
    gaps = np.diff((index - index[0]).total_seconds().to_numpy())
    if len(gaps) == 0 or not (gaps == gaps[0]).all() or gaps[0] <= 0:
        row = int(np.flatnonzero(gaps != gaps[0])[0]) + 1 if len(gaps) else 0
        raise InputError(
            f"{content.path}: row {first_row + row} (line of the file): steps differ; expected one uniform step"
        )
    return int(gaps[0])


def ends_of_hours_to_means(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values at instants -> means between them; one fewer."""
    return np.asarray((values[:-1] + values[1:]) / 2)
