"""A file of any known format -> one checked Profile.

The header names the unit: ``time,carbon_intensity[gCO2eq/kWh]``, ``time,price[EUR/MWh]``, ``time,pv[1]``. A bare header
has the canonical unit of the quantity (`quantities.QUANTITIES`) if it names the quantity and its values are plausible
in it; otherwise the reader asks. What publishers' files say by their layout is known to `formats`.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from simulators.errors import InputError
from simulators.profiles.axis import Axis, on_axis, read_axis
from simulators.profiles.choice import chosen_column
from simulators.profiles.clock import ends_at_midnight, label_of
from simulators.profiles.decimals import Decimal
from simulators.profiles.fill import FillRule, parse_fill
from simulators.profiles.formats.base import Column, Content, Implausible, Label, Sheet
from simulators.profiles.profile import Align, Kind, Profile
from simulators.profiles.quantities import CARBON, LOAD, MARGINAL, Quantity, quantity_named
from simulators.profiles.registry import series_format
from simulators.profiles.tables import Table
from simulators.profiles.times import zone
from simulators.profiles.units import conversion, split_header
from simulators.profiles.values import (
    PER_UNIT,
    check_thousands,
    converted,
    mark_implausible,
    power_w,
    stated_unit,
)

OPTIONS = {
    "carbon": "carbon",
    "marginal": "marginal",
    "price": "price",
    "pv": "pv-profile",
    "wind": "wind-profile",
    "carbon_free": "carbon-free",
    "contract": "ppa-profile",
    "load": "load",
}
"""What a quantity's options begin with on the command line, where it has some."""

OFTEN_ABOVE_ONE = 0.05
"""Share of values above 1 from which on a bare column is no output per unit of a plant: few pass their rating."""

ABOVE_RATING = 1.05
"""More than a plant that is held to its rating gives, measured within a few percent."""


def read_csv_profile(
    path: str | Path,
    quantity: str,
    *,
    column: str | None = None,
    timezone: str | None = None,
    label: Label | None = None,
    fill: str | None = None,
    unit: str | None = None,
    start: datetime | None = None,
    cyclic: bool = False,
    kind: Kind | None = None,
    format: str | None = None,
    decimal: Decimal | None = None,
    implausible: Implausible | None = None,
    rating: str | None = None,
    align: Align | None = None,
) -> Profile:
    """Read one series of a file.

    Parameters
    ----------
    path
        Any file `formats` knows (also ``.gz``; ``archive.zip/member.csv`` for a member of a zip).
    quantity
        ``carbon``, ``marginal``, ``price``, ``pv``, ``wind``, ``per_unit``, ``load``, ``temperature``...: a key of
        `quantities.QUANTITIES`; the profile comes in that quantity's unit (a price keeps its currency).
    column
        Value column, with or without its unit. Needed when several could be meant.
    timezone
        Zone of times that carry no offset (IANA name); UTC unless the format settles it.
    label
        Where a time stands in its interval: start (unless the format settles it), end; or an instant, whose value holds
        until the next (WattTime).
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
    format
        Name of its format; None: found by its content.
    decimal
        Where its decimals begin: point or comma; None: its cells must tell.
    implausible
        What becomes of values outside the quantity's range: None refuses them; ``cap`` takes the limit, ``missing``
        leaves them to the fill rule.
    rating
        Rated power, e.g. ``10 kW``: of the plant whose power the file holds, which makes per-unit values of it; or of
        the load whose share the file holds.
    align
        How the dates of the file move to those of a run: see `Profile.align`.

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
    content = Content(Path(path), OPTIONS.get(quantity, ""), decimal)
    known = series_format(content, format)
    assert known.series is not None
    sheet = known.series(content)
    table = sheet.table
    name, found = chosen_column(sheet, wanted, column, kind)
    sheet = _own_rows(sheet, name)
    table = sheet.table
    label = label or sheet.label or ("end" if ends_at_midnight(table, sheet.time) else label_of(sheet.time))
    axis = read_axis(table, sheet.time, timezone or sheet.timezone, label, rule, start, timezone is not None)
    said_kind = _kind(table, wanted, found, kind)
    values, result_unit, note = _values(table, name, wanted, found, unit, axis.step_s, implausible, rating)
    values, holes = on_axis(table, name, axis, values, rule)
    if cyclic:
        _check_cyclic(table, axis, len(values))
    estimated = None
    if sheet.estimated is not None:
        estimated = np.zeros(len(values), dtype=bool)
        estimated[axis.positions] = sheet.estimated
    return Profile(
        name=_name(wanted, found, said_kind),
        unit=result_unit,
        start=axis.start,
        step_s=axis.step_s,
        values=values,
        source=f"{table.path}{sheet.note}{note}{holes}",
        sha256=table.sha256,
        cyclic=cyclic,
        kind=said_kind,
        kind_known=said_kind is None or kind is not None or wanted is MARGINAL or bool(found and found.kind),
        format=known.title,
        basis=(found.basis if found and wanted in (CARBON, MARGINAL) else None) or "",
        column=name,
        estimated=estimated,
        align=None if cyclic else align,  # a typical year has no year to move from
        path=str(table.path),
        option=table.option,
    )


def _own_rows(sheet: Sheet, column: str) -> Sheet:
    """A table without the rows that a long table has only for other columns."""
    cells = sheet.table.frame[column]
    absent = cells.isna().to_numpy(dtype=bool)
    if not sheet.table.pivoted or pd.api.types.is_numeric_dtype(cells) or not absent.any():
        return sheet
    rows = replace(sheet.table, frame=sheet.table.frame[~absent].reset_index(drop=True))
    return replace(sheet, table=rows, estimated=None if sheet.estimated is None else sheet.estimated[~absent])


def _values(
    table: Table,
    name: str,
    wanted: Quantity,
    found: Column | None,
    unit: str | None,
    step_s: int,
    implausible: Implausible | None,
    rating: str | None,
) -> tuple[NDArray[np.float64], str, str]:
    """Values in the quantity's unit, that unit, and what was done to them."""
    numbers = table.numbers(name)
    check_thousands(table, name, wanted, unit, numbers)
    is_load = wanted is LOAD
    if rating and not is_load and wanted.label not in PER_UNIT:
        raise InputError(
            f"{table.path}: rating {rating} given, expected none: only PV, wind and load have one"
        )
    # a load with a rating is a share of it, unless its header says otherwise
    share = "1" if is_load and rating and split_header(name)[1] is None and name not in table.units else None
    stated = unit or share or stated_unit(table, name, wanted, found, numbers)
    often = stated is None and wanted.label in PER_UNIT and np.mean(numbers > 1.0) > OFTEN_ABOVE_ONE
    if often and not rating:
        raise InputError(
            f"{table.path}: column '{name}' names no unit and goes up to {np.nanmax(numbers):.4g}; expected values per "
            f"unit, {table.advice('unit', '1')}, or a power: {table.advice('unit', 'kW')} and "
            f"{table.advice('rating', '10kW')}"
        )
    rated_w = (power_w(table, rating) if rating else None) or (found.rated_w if found else None)
    if is_load and rating and stated and conversion(wanted, stated) is not None:
        raise InputError(f"{table.path}: rating {rating} given for a load in {stated}, expected none")
    values, result = converted(table, name, wanted, stated, numbers, step_s, rated_w)
    above = float(np.mean(values > ABOVE_RATING))
    if wanted.label in PER_UNIT and above > OFTEN_ABOVE_ONE and not (implausible or (unit and not rating)):
        raise InputError(
            f"{table.path}: column '{name}' is above its plant's rating in {above:.0%} of the rows, up to "
            f"{np.nanmax(values):.3g} times it; expected values per unit of it, or a greater one: "
            f"{table.advice('rating', '10kW')}"
        )
    values, note = mark_implausible(table, name, wanted, values, implausible)
    return values, result, note


def _name(wanted: Quantity, found: Column | None, kind: Kind | None) -> str:
    """What to call the series: of a carbon intensity with its kind and basis."""
    if wanted not in (CARBON, MARGINAL):
        return wanted.label
    basis = f", {found.basis}" if found and found.basis else ""
    if kind == "marginal":
        return f"{MARGINAL.label}{basis}"
    return f"average {CARBON.label}{basis}" if found and found.kind else CARBON.label


def _kind(table: Table, wanted: Quantity, found: Column | None, said: Kind | None) -> Kind | None:
    """The kind of a carbon intensity: what the file is known to be, else what was said of it, else average."""
    if wanted not in (CARBON, MARGINAL):
        if said is not None:
            raise InputError(
                f"{table.path}: kind {said} given, expected none: only carbon intensities have one"
            )
        return None
    known = found.kind if found else None
    asked: Kind | None = "marginal" if wanted is MARGINAL else said
    if known and asked and known != asked:
        how = f"another file for --{table.option}" if asked != said else table.advice("kind", known)
        raise InputError(f"{table.path}: its carbon intensity is {known}, {asked} given, expected {how}")
    if wanted is MARGINAL and said == "average":
        raise InputError(f"{table.path}: kind average given, expected marginal for --{table.option}")
    return known or asked or "average"


def _check_options(label: str | None, fill: str | None, timezone: str | None) -> FillRule | None:
    if timezone is not None:
        zone(timezone)
    if label not in (None, "start", "end", "instant"):
        raise InputError(f"label '{label}': expected start, end or instant")
    return None if fill is None else parse_fill(fill)


def _check_cyclic(table: Table, axis: Axis, rows: int) -> None:
    days = rows * axis.step_s / 86400
    if days not in (365.0, 366.0):
        raise InputError(f"{table.path}: covers {days:g} days; expected a whole year for a typical year")
