"""A CSV or parquet file with a time column and a value column -> one checked Profile.

The header names the unit: ``time,carbon_intensity[gCO2eq/kWh]``, ``time,price[EUR/MWh]``, ``time,pv[1]``.
A bare header has the canonical unit of the quantity (`quantities.QUANTITIES`), unless its values are
implausible in it; then the reader asks. Common native files are understood as they come: Electricity Maps
exports, WattTime and SGIP marginal rates, EIA averages, OpenDC parquet.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from simulators.errors import InputError
from simulators.options import nearest
from simulators.profiles.fill import FillRule, filled, parse_fill
from simulators.profiles.native import Native, carbon_column, moer_unit, native
from simulators.profiles.profile import Kind, Profile
from simulators.profiles.quantities import (
    CARBON,
    MARGINAL,
    Quantity,
    accepted_units,
    conversion,
    quantity_named,
    split_header,
)
from simulators.profiles.tables import Table, read_table
from simulators.profiles.times import base_name, find_time_column, read_times, uniform_step, zone

Label = Literal["start", "end", "instant"]
OPTIONS = {
    "carbon": "carbon",
    "marginal": "marginal",
    "price": "price",
    "pv": "pv-profile",
    "wind": "wind-profile",
}
"""What a quantity's options begin with on the command line, where it has some."""


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
        Interval of every row of the table; shape (rows,), ascending from 0.
    """

    start: datetime
    step_s: int
    positions: NDArray[np.int64]


def read_csv_profile(
    path: str | Path,
    quantity: str,
    *,
    column: str | None = None,
    timezone: str = "UTC",
    label: Label = "start",
    fill: str | None = None,
    unit: str | None = None,
    start: datetime | None = None,
    cyclic: bool = False,
    kind: Kind | None = None,
) -> Profile:
    """Read one value column of a table file.

    Parameters
    ----------
    path
        CSV (also ``.gz``; ``archive.zip/member.csv`` for a member of a zip) or parquet.
    quantity
        ``carbon``, ``marginal``, ``price``, ``pv``, ``wind``, ``per_unit``, ``load``, ``temperature``...: a key of
        `quantities.QUANTITIES`; the profile comes in that quantity's unit (a price keeps its currency).
    column
        Value column, with or without its unit. Needed when several could be meant.
    timezone
        Zone of times that carry no offset (IANA name).
    label
        Where a time stands in its interval: start, end; or an instant, whose value holds until the next (WattTime).
    fill
        NaN and missing rows: None refuses them; or ``previous``, ``interpolate``, with a limit ``previous:3h``.
    unit
        Unit of the column; goes before the header's.
    start
        Meaning of 0 for a time column that counts seconds.
    cyclic
        The file is a typical year: aligned by its position in the year, wrapping round.
    kind
        Of a carbon intensity whose file does not tell: average (if nobody says) or marginal (always, of ``marginal``).

    Raises
    ------
    InputError
        One line with file, row and what was expected.

    Examples
    --------
    >>> from simulators.paths import DATA
    >>> profile = read_csv_profile(DATA / "carbon" / "germany_2021-2024.csv.gz", "carbon", column="lifecycle")
    >>> profile.unit, profile.kind, profile.step_s
    ('gCO2eq/kWh', 'average', 3600)
    """
    wanted = quantity_named(quantity)
    rule = _check_options(label, fill, timezone)
    table = replace(read_table(path), option=OPTIONS.get(quantity, ""))
    time_column = find_time_column(table)
    if base_name(time_column) in {"period_end", "interval_end"}:
        label = "end"
    name, others = _value_column(table, time_column, wanted, column, kind)
    axis = read_axis(table, time_column, timezone, label, rule, start)
    remark, found = wanted.label, None
    if wanted in (CARBON, MARGINAL):
        remark, found = _kind(table, wanted, native(name, others), kind)
        if unit is None and split_header(name)[1] is None:
            unit = moer_unit(table, name)
    elif kind is not None:
        raise InputError(f"{table.path}: kind {kind} given, expected none: only carbon intensities have one")
    values, result_unit = read_values(table, name, wanted, unit)
    values, note = on_axis(table, name, axis, values, rule)
    if cyclic:
        _check_cyclic(table, axis, len(values))
    source = f"{table.path}{note}"
    return Profile(remark, result_unit, axis.start, axis.step_s, values, source, table.sha256, cyclic, found)


def _kind(table: Table, wanted: Quantity, known: Native | None, said: Kind | None) -> tuple[str, Kind]:
    """What to call the series, and its kind: what the file is known to be, else what was said of it, else average."""
    asked: Kind | None = "marginal" if wanted is MARGINAL else said
    if known and asked and known.kind != asked:
        how = f"another file for --{table.option}" if asked != said else table.advice("kind", known.kind)
        raise InputError(f"{table.path}: its carbon intensity is {known.kind}, {asked} given, expected {how}")
    if wanted is MARGINAL and said == "average":
        raise InputError(f"{table.path}: kind average given, expected marginal for --{table.option}")
    kind = known.kind if known else asked or "average"
    return (known.remark if known else MARGINAL.label if kind == "marginal" else CARBON.label), kind


def read_axis(
    table: Table,
    time_column: str,
    timezone: str,
    label: Label,
    fill: FillRule | None,
    start: datetime | None = None,
) -> Axis:
    """Read and check the time column of `table`."""
    stamps = read_times(table, time_column, timezone, start)
    step_s, positions = uniform_step(table, stamps, fill is not None)
    first = stamps[0] - pd.Timedelta(seconds=step_s) if label == "end" else stamps[0]
    return Axis(first.to_pydatetime(), step_s, positions)


def read_values(
    table: Table, column: str, quantity: Quantity, unit: str | None = None
) -> tuple[NDArray[np.float64], str]:
    """Read a column and convert it to the quantity's unit; NaN is kept, implausible values are refused."""
    header_unit = unit if unit is not None else split_header(column)[1]
    numbers = table.numbers(column)
    if header_unit is None:
        factor, offset, result_unit = 1.0, 0.0, quantity.unit
        if not np.isnan(numbers).all():
            low, high = quantity.bare_mean
            mean = float(np.nanmean(numbers))
            if not low <= mean <= high:
                raise InputError(
                    f"{table.path}: column '{column}' names no unit and its mean {mean:.4g} is implausible "
                    f"in {quantity.unit}; expected the unit in the header, or "
                    f"{table.advice('unit', quantity.unit)}; known are {accepted_units(quantity)}"
                )
    else:
        found = conversion(quantity, header_unit)
        if found is None:
            instead = f", or {table.advice('unit', quantity.unit)}" if unit is None else ""
            raise InputError(
                f"{table.path}: column '{column}' has the unit '{header_unit}'; "
                f"expected one of {accepted_units(quantity)} for {quantity.label}"
                + (instead if table.option != "weather" else "")
            )
        factor, offset, result_unit = found
    values = numbers * factor + offset
    wrong = np.flatnonzero((values < quantity.low) | (values > quantity.high) | np.isinf(values))
    if len(wrong):
        value = float(numbers[wrong[0]])
        kind = "negative " if value < 0 <= quantity.low else ""
        raise table.error(
            int(wrong[0]),
            f"{kind}{quantity.label} {value:g} in column '{column}'",
            f"{quantity.low:g} to {quantity.high:g} {quantity.unit}",
        )
    return values, result_unit


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
        return values, ""
    if len(holes) == len(values):
        raise table.error(0, f"column '{column}' has no value at all", "numbers")
    full = np.full(int(axis.positions[-1]) + 1, np.nan)
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


def _value_column(
    table: Table, time_column: str, quantity: Quantity, column: str | None, kind: Kind | None
) -> tuple[str, list[str]]:
    """Choose the value column; (column, all that could be one)."""
    others = [str(name) for name in table.frame.columns if str(name) != time_column]
    if column is not None:
        same = [name for name in others if name == column] or [
            name for name in others if split_header(name)[0].lower() == column.lower()
        ]
        if len(same) != 1:
            hint = nearest(column, [split_header(name)[0] for name in others])
            raise InputError(f"{table.path}: no column '{column}'; expected one of {table.columns()}{hint}")
        return same[0], others
    if quantity in (CARBON, MARGINAL):
        chosen = carbon_column(others, "marginal" if quantity is MARGINAL else kind)
        if chosen is not None:
            return chosen, others
    named = [name for name in others if split_header(name)[0].lower() in quantity.names]
    if len(named) == 1:
        return named[0], others
    numeric = [name for name in others if _is_numeric(table, name)]
    if len(numeric) == 1 and not named:
        return numeric[0], others
    if not numeric:
        raise InputError(f"{table.path}: no value column beside '{time_column}', found {table.columns()}")
    raise InputError(
        f"{table.path}: several columns could be the {quantity.label}: expected "
        f"{table.advice('column', 'NAME')}, one of "
        + ", ".join(f"'{name}'" for name in (named or numeric)[:20])
    )


def _is_numeric(table: Table, column: str) -> bool:
    sample = pd.to_numeric(
        table.frame[column].head(50).astype("string").str.replace(",", "."), errors="coerce"
    )
    return bool(sample.notna().any())


def _check_options(label: str, fill: str | None, timezone: str) -> FillRule | None:
    zone(timezone)
    if label not in ("start", "end", "instant"):
        raise InputError(f"label '{label}': expected start, end or instant")
    return None if fill is None else parse_fill(fill)


def _check_cyclic(table: Table, axis: Axis, rows: int) -> None:
    days = rows * axis.step_s / 86400
    if days not in (365.0, 366.0):
        raise InputError(f"{table.path}: covers {days:g} days; expected a whole year for a typical year")
