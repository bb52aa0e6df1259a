"""From the numbers of a column to the quantity's unit: units that are stated, power per unit of a rating, ranges."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from simulators.errors import InputError
from simulators.profiles.currencies import dearest_per_kwh
from simulators.profiles.formats.base import Column, Implausible
from simulators.profiles.formats.headers import MOER
from simulators.profiles.quantities import (
    CARBON,
    CONTRACT,
    ENERGY_WH,
    LOAD,
    MARGINAL,
    POWER_W,
    QUANTITIES,
    Quantity,
)
from simulators.profiles.tables import Table
from simulators.profiles.units import accepted_units, conversion, normalise_unit, split_header

Array = NDArray[np.float64]

PER_UNIT = tuple(QUANTITIES[name].label for name in ("pv", "wind", "per_unit"))
POUND_G_PER_KWH = 0.45359237
"""One pound per MWh in g/kWh: exact, by the definition of the pound."""

PER_AREA = ("wh/m2", "kwh/m2", "j/cm2", "j/m2", "kj/m2", "mj/m2")
MOST_IMPLAUSIBLE = 0.01
"""Share of values that a rule may mend; with more of them the unit is wrong, or the file."""

LEAST_OF_METER = 24
METER_ROWS = 12
METER_RESET = 0.05
"""A column of energies with at least so many rows, of which at most one in so many falls, to at most that share of the
row before, is a meter's reading."""
_METER = re.compile(r"meter|counter|z[äa]hler|reading|register|stand|cumul|total|lifetime", re.IGNORECASE)

BARE_IRRADIANCE = 3.0
"""Irradiance whose largest value is below is in kW/m2, or of a night: the sun gives more than 3 W/m2 when it rises."""

BARE_PRICE = 10.0
"""A bare price is one per kWh: no market has paid ten of a currency for a kWh, many have per MWh."""


def stated_unit(
    table: Table, column: str, quantity: Quantity, found: Column | None, numbers: Array
) -> str | None:
    """The unit of a column by its format or its header; None: bare, and plausible in the canonical one.

    Raises
    ------
    InputError
        If it names none and could have several.
    """
    unit = found.unit if found and found.unit else table.units.get(column) or split_header(column)[1]
    beside = _unit_beside(table)
    if unit is not None and beside is not None and _contradict(quantity, unit, beside):
        raise InputError(
            f"{table.path}: column '{column}' is in {unit} by its header, in {beside[:20]} by what stands beside it; "
            f"expected one unit, {table.advice('unit', unit)}"
        )
    unit = unit or beside
    if unit is not None:
        return unit
    _check_remark(table, column, quantity)
    if quantity in (CARBON, MARGINAL):
        return _bare_carbon(table, column, quantity, numbers)
    check_bare(table, column, quantity, numbers)
    return None


def _contradict(quantity: Quantity, unit: str, other: str) -> bool:
    """Whether two units of one quantity are not the same."""
    powers = POWER_W | ENERGY_WH
    if quantity in (LOAD, CONTRACT):
        both = powers.get(normalise_unit(unit)), powers.get(normalise_unit(other))
        return None not in both and normalise_unit(unit) != normalise_unit(other)
    one, two = conversion(quantity, unit), conversion(quantity, other)
    return one is not None and two is not None and one[:2] != two[:2]


def _check_remark(table: Table, column: str, quantity: Quantity) -> None:
    """Refuse square brackets in a header with a unit in them that is none."""
    if (remark := re.search(r"\[([^\]]*)\]", column)) is None or quantity.bare_mean is None:
        return
    told = remark[1].strip()
    if (told == "-" and quantity.unit == "1") or re.search(r"\d|[a-z]+/[A-Z]|per|_", told):
        return  # no dimension; a name of a place or of a zone
    raise InputError(
        f"{table.path}: column '{column}' has {'no unit' if not told else repr(told[:20])} in its brackets; expected "
        f"one of {accepted_units(quantity)}"
        + (f", or {table.advice('unit', quantity.unit)}" if table.option != "weather" else "")
    )


def _unit_beside(table: Table) -> str | None:
    """A unit that stands above the header, or the same in every row of a column of units."""
    if said := table.comments.get("unit") or table.comments.get("units"):
        return said
    for name in table.frame.columns:
        if str(name).strip().lower() in ("unit", "units", "value-units", "value_units"):
            units = table.frame[name].dropna().unique()
            if len(units) == 1:
                return str(units[0]).strip()
    return None


def _bare_carbon(table: Table, column: str, quantity: Quantity, numbers: Array) -> str | None:
    """Unit of a carbon intensity whose header names none: a factor of two lies between g/kWh and lbs/MWh."""
    name = split_header(column)[0].lower()
    mean = float(np.nanmean(numbers)) if not np.isnan(numbers).all() else 0.0
    if re.fullmatch(MOER, name) and mean < 5.0:
        return "kgCO2/kWh"  # SGIP's: hundreds would be lbs/MWh or g/kWh
    if _whole_pounds(numbers):
        return None  # Vessim's excerpts: lbs/MWh as WattTime publishes them, converted to g/kWh
    if name in quantity.names:
        check_bare(table, column, quantity, numbers)
        return None
    raise InputError(
        f"{table.path}: column '{column}' names no unit (its mean is {mean:.4g}; WattTime's unit is lbs/MWh); "
        f"expected {table.advice('unit', 'lbsCO2/MWh')} or g/kWh"
    )


def _whole_pounds(numbers: Array) -> bool:
    """Whether all values are whole lbs/MWh that were converted to g/kWh."""
    values = numbers[~np.isnan(numbers)] / POUND_G_PER_KWH
    return (
        len(values) >= 2 and bool(np.all(np.abs(values - np.rint(values)) < 1e-4)) and not np.all(values == 0)
    )


def check_thousands(table: Table, column: str, quantity: Quantity, unit: str | None, numbers: Array) -> None:
    """Refuse ``1.215`` between semicolons, as files with decimal commas have them, where it may be a thousand.

    Raises
    ------
    InputError
        If all cells with a point have three digits behind it, and thousands are as plausible.
    """
    if (
        table.separator != ";"
        or table.decimal is not None
        or pd.api.types.is_numeric_dtype(table.frame[column])
    ):
        return
    cells = table.frame[column].astype("string").str.strip()
    pointed = cells.str.contains(".", regex=False, na=False)
    if bool(cells.str.contains(",", regex=False, na=False).any()):
        return  # a comma tells
    grouped = cells.str.fullmatch(r"[+-]?[1-9]\d{0,2}\.\d{3}", na=False)
    if not bool(pointed.any()) or not bool((pointed == grouped).all()):
        return
    named = unit or split_header(column)[1]
    known = conversion(quantity, named) if named else None
    factor, offset, _ = known or (1.0, 0.0, "")
    thousands = np.where(pointed.to_numpy(dtype=bool), numbers * 1e3, numbers) * factor + offset
    if quantity is not LOAD and float(np.nanmax(thousands)) > quantity.high:
        return
    row = int(np.flatnonzero(pointed.to_numpy(dtype=bool))[0])
    cell = str(cells.iloc[row])
    raise table.error(
        row,
        f"'{cell}' may be {cell.replace('.', '')} or {cell.replace('.', ',')} in column '{column}'",
        f"one convention, {table.advice('decimal', 'point')} or comma",
    )


def check_bare(table: Table, column: str, quantity: Quantity, numbers: Array) -> None:
    """Refuse a column without a unit whose values are implausible in the canonical one."""
    if np.isnan(numbers).all():
        return
    _check_remark(table, column, quantity)
    if quantity.bare_mean is None:
        raise InputError(
            f"{table.path}: column '{column}' names no unit and may be in any; expected "
            f"{table.advice('unit', 'kW')}, or W, MW, kWh per interval; a share of a rated power: "
            f"{table.advice('rating', '20MW')}"
        )
    low, high = quantity.bare_mean
    mean = float(np.nanmean(numbers))
    largest = float(np.nanmax(np.abs(numbers)))
    too_dear = quantity.label == "price" and largest > BARE_PRICE
    dim = quantity.unit == "W/m2" and 0.05 < largest < BARE_IRRADIANCE
    if low <= mean <= high and not too_dear and not dim:
        return
    what = f"its largest value {largest:.4g}" if low <= mean <= high else f"its mean {mean:.4g}"
    raise InputError(
        f"{table.path}: column '{column}' names no unit and {what} is implausible "
        f"in {quantity.unit}; expected the unit in the header, such as '{column}[{quantity.unit}]'"
        + (f", or {table.advice('unit', quantity.unit)}" if table.option != "weather" else "")
        + f"; known are {accepted_units(quantity)}"
    )


def power_w(table: Table, text: str) -> float:
    """A rated power such as ``10 kW`` or ``1.5MW``, W."""
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*(\w+)\s*", text)
    factor = POWER_W.get(match[2].lower().removesuffix("p")) if match else None
    if match is None or factor is None or float(match[1]) <= 0:
        raise InputError(f"{table.path}: rating '{text}' given, expected a power such as 10 kW")
    return float(match[1]) * factor


def converted(
    table: Table,
    column: str,
    quantity: Quantity,
    unit: str | None,
    numbers: Array,
    step_s: int,
    rated_w: float | None = None,
) -> tuple[Array, str]:
    """Numbers of a column in the quantity's unit, and that unit; energies become mean powers of their interval."""
    if unit is None:
        return numbers, quantity.unit
    if re.fullmatch(r"\s*mWh?\s*", unit):
        big = unit.strip().replace("m", "M")
        raise InputError(
            f"{table.path}: column '{column}' is in {unit.strip()}, which may be thousandths of a {big[1:]}; expected "
            f"{table.advice('unit', big)}, or values in {big[1:]}"
        )
    folded = normalise_unit(unit)
    per_hour = 3600.0 / step_s
    if folded in PER_AREA and conversion(quantity, unit) is not None:
        factor, offset, result = conversion(quantity, unit) or (1.0, 0.0, "")
        return numbers * factor * per_hour + offset, result
    watts = POWER_W.get(folded) or (ENERGY_WH[folded] * per_hour if folded in ENERGY_WH else None)
    is_load = quantity in (LOAD, CONTRACT)
    if folded in ENERGY_WH and (is_load or quantity.label in PER_UNIT):
        _check_meter(table, column, unit, numbers)
    if is_load and watts is not None:
        return numbers * watts, quantity.unit
    if is_load and rated_w is not None and (share := conversion(QUANTITIES["per_unit"], unit)) is not None:
        shares, _ = mark_implausible(table, column, QUANTITIES["per_unit"], numbers * share[0], None)
        return shares * rated_w, quantity.unit
    if watts is not None and quantity.label in PER_UNIT:
        if rated_w is None:
            raise InputError(
                f"{table.path}: column '{column}' is power in {unit}, not per unit of a plant; "
                f"expected its rated power: {table.advice('rating', '10kW')}"
            )
        return numbers * watts / rated_w, quantity.unit
    found = conversion(quantity, unit)
    if found is None:
        where = f", or {table.advice('unit', quantity.unit)}" if table.option != "weather" else ""
        raise InputError(
            f"{table.path}: column '{column}' has the unit '{unit}'; "
            f"expected one of {accepted_units(quantity)} for {quantity.label}{where}"
        )
    factor, offset, result = found
    values = numbers * factor + offset
    if quantity.label == "price":
        _check_dear(table, column, result, values)
    return values, result


def _check_meter(table: Table, column: str, unit: str, numbers: Array) -> None:
    """Refuse what a meter shows, which only rises, where the energy of each interval is meant."""
    held = numbers[~np.isnan(numbers)]
    held = held if len(held) == 0 or held[0] <= held[-1] else held[::-1]  # rows may run backward
    steps = np.diff(held)
    falls = np.flatnonzero(steps < 0)
    rising = len(held) >= LEAST_OF_METER and int((steps > 0).sum()) * 3 >= len(steps)
    to_nothing = bool((held[falls + 1] <= METER_RESET * held[falls]).all())
    # what rises evenly is made up, and no fault, unless it says what it is
    even = not _METER.search(column) and bool(np.ptp(steps) < 1e-9 * np.ptp(held)) if rising else False
    if rising and not even and len(falls) * METER_ROWS <= len(steps) and to_nothing:
        raise table.error(
            0,
            f"the {unit.strip()} in column '{column}' rise from row to row: what a meter shows, or the sum of a day",
            "the energy of each interval, or its mean power",
        )


def _check_dear(table: Table, column: str, unit: str, values: Array) -> None:
    """Refuse a price per kWh that is one per MWh."""
    finite = values[np.isfinite(values)]  # what is not is refused with its row
    mean = float(finite.mean()) if len(finite) else 0.0
    most = dearest_per_kwh(unit.split("/")[0])
    if abs(mean) > most:
        raise InputError(
            f"{table.path}: the mean of column '{column}' is {mean:.4g} {unit}; expected at most {most:g}, or its own "
            f"unit: {table.advice('unit', unit.replace('kWh', 'MWh'))}"
        )


def mark_implausible(
    table: Table, column: str, quantity: Quantity, values: Array, rule: Implausible | None
) -> tuple[Array, str]:
    """Refuse values outside the quantity's range, or mend them by a rule; (values, note)."""
    wrong = np.flatnonzero((values < quantity.low) | (values > quantity.high) | np.isinf(values))
    if not len(wrong):
        return values, ""
    worst = float(values[wrong[0]])
    limits = f"{quantity.low:g} to {quantity.high:g} {quantity.unit}"
    if rule is None or len(wrong) > max(1.0, MOST_IMPLAUSIBLE * len(values)):
        kind = "negative " if worst < 0 <= quantity.low else ""
        many = "" if rule is None else f" ({len(wrong)} such values: more than a rule may mend)"
        way = f", or a rule: {table.advice('implausible', 'cap')} or missing" if rule is None else ""
        if len(wrong) > len(values) / 2:
            way = ", or its own unit in the header: most values are outside"
        raise table.error(
            int(wrong[0]), f"{kind}{quantity.label} {worst:g} in column '{column}'{many}", f"{limits}{way}"
        )
    mended = values.copy()
    if rule == "cap":
        mended = np.clip(mended, quantity.low, quantity.high)
        done = f"taken as the nearest of {limits}"
    else:
        mended[wrong] = np.nan
        done = "taken as missing"
    return mended, f" ({len(wrong)} values of {quantity.label} such as {worst:g} {done})"
