"""From the numbers of a column to the quantity's unit: units that are stated, power per unit of a rating, ranges."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from simulators.errors import InputError
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
    if unit is None:
        unit = _unit_beside(table)
    if unit is not None:
        return unit
    if quantity in (CARBON, MARGINAL):
        return _bare_carbon(table, column, quantity, numbers)
    check_bare(table, column, quantity, numbers)
    return None


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


def check_bare(table: Table, column: str, quantity: Quantity, numbers: Array) -> None:
    """Refuse a column without a unit whose values are implausible in the canonical one."""
    if np.isnan(numbers).all():
        return
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
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(\w+)\s*", text)
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
    folded = normalise_unit(unit)
    per_hour = 3600.0 / step_s
    if folded in PER_AREA and conversion(quantity, unit) is not None:
        factor, offset, result = conversion(quantity, unit) or (1.0, 0.0, "")
        return numbers * factor * per_hour + offset, result
    watts = POWER_W.get(folded) or (ENERGY_WH[folded] * per_hour if folded in ENERGY_WH else None)
    is_load = quantity in (LOAD, CONTRACT)
    if is_load and watts is not None:
        return numbers * watts, quantity.unit
    if is_load and rated_w is not None and (share := conversion(QUANTITIES["per_unit"], unit)) is not None:
        return numbers * share[0] * rated_w, quantity.unit
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
    return numbers * factor + offset, result


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
