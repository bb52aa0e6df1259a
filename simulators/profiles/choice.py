"""Which column of a table is meant."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from simulators.errors import InputError, nearest
from simulators.profiles.decimals import MISSING
from simulators.profiles.formats.base import Column, Sheet
from simulators.profiles.formats.headers import column as known_column
from simulators.profiles.formats.headers import is_generation
from simulators.profiles.profile import Kind
from simulators.profiles.quantities import (
    CARBON,
    CONTRACT,
    ENERGY_WH,
    LOAD,
    MARGINAL,
    QUANTITIES,
    Quantity,
)
from simulators.profiles.tables import Table
from simulators.profiles.units import conversion, normalise_unit, split_header

_BASES = {"direct": "direct", "life cycle": "life cycle", "lifecycle": "life cycle", "lca": "life cycle"}
"""A carbon intensity may be chosen by what is in it, where one column alone is that."""


def chosen_column(
    sheet: Sheet, wanted: Quantity, said: str | None, kind: Kind | None
) -> tuple[str, Column | None]:
    """The value column of a quantity, and what is known of it.

    Electricity Maps' life cycle goes before its direct emissions, which leave out fuel chains and plant construction;
    an average before a marginal rate, unless the marginal one is wanted.

    Raises
    ------
    InputError
        If none fits, or several do and nobody says which; the message lists them.
    """
    table = sheet.table
    others = [str(name) for name in table.frame.columns if str(name) != sheet.time]
    others = [name for name in others if not _is_counter(table, name)] or others
    known = {name: sheet.columns.get(name) or known_column(name, others) for name in others}
    if said is not None:
        by_basis = [
            name for name in others if (column := known[name]) and column.basis == _BASES.get(said.lower())
        ]
        area = [name for name in others if name.endswith(f" {said}") and _fits(known[name], wanted)]
        if len(by_basis) == 1 and said.lower() in _BASES:
            name = by_basis[0]
        elif table.pivoted and len(best := _best(area, known) if area else []) == 1:
            name = best[0]
        else:
            name = _said(table, others, said)
        return name, known[name] if _fits(known[name], wanted) else None
    named = [name for name in others if split_header(name)[0].lower() in wanted.names]
    found = [name for name in others if _fits(known[name], wanted)]
    if wanted in (CARBON, MARGINAL):
        pool = _of_kind([*found, *(name for name in named if name not in found)], known, wanted, kind)
        candidates = _best(pool, known)
    else:
        candidates = named if len(named) == 1 else _best(found, known) or named
    if not candidates:
        if wanted in (CARBON, MARGINAL):
            _refuse_mix(table, known)
        numeric = [name for name in others if _is_numeric(table, name)]
        # an average intensity is no marginal one, which is for the reader to say
        candidates = [name for name in numeric if known[name] is None or _fits(known[name], wanted)]
        if numeric and not candidates:
            raise _other(table, wanted, known, numeric)
    if len(candidates) > 1:
        candidates = [name for name in candidates if _has_values(table, name)] or candidates
    if len(candidates) > 1:
        candidates = _of_unit(table, candidates, wanted) or candidates
    if len(candidates) == 1:
        found_one = known[candidates[0]]
        return candidates[0], found_one if _fits(found_one, wanted) else None
    raise _refusal(table, sheet.time, wanted, candidates)


def _refuse_mix(table: Table, known: dict[str, Column | None]) -> None:
    sources = [name for name, column in known.items() if is_generation(column)]
    sources += [
        name for name in known if re.search(r"fuel.?type|production.?type|energy.?source", name.lower())
    ] * 2
    powers = [name for name in sources if (column := known[name]) and column.unit]
    if len(sources) > 1 or powers:
        raise InputError(
            f"{table.path}: holds generation by source ({', '.join(dict.fromkeys(sources[:3]))}...), not an intensity; "
            "expected a file of the intensity, e.g. in g/kWh: a mix needs emission factors and imports as well"
        )


def _of_unit(table: Table, names: list[str], wanted: Quantity) -> list[str]:
    """Those whose unit is one of the quantity's."""
    units = {name: table.units.get(name) or split_header(name)[1] for name in names}
    return [
        name
        for name, unit in units.items()
        if unit is not None
        and (conversion(wanted, unit) is not None or (wanted is LOAD and normalise_unit(unit) in ENERGY_WH))
    ]


def _other(table: Table, wanted: Quantity, known: dict[str, Column | None], numeric: list[str]) -> InputError:
    """A file whose columns are all known to be something else."""
    held = dict.fromkeys(column.quantity for name in numeric if (column := known[name]))
    named = ", ".join(f"'{name}'" for name in numeric[:3])
    return InputError(
        f"{table.path}: holds {', '.join('generation' if name == 'mix' else name for name in held)} ({named}), no "
        f"{wanted.label}; expected a file of it, or {table.advice('column', 'NAME')} where a column is that"
    )


def _refusal(table: Table, time_column: str, wanted: Quantity, candidates: list[str]) -> InputError:
    if not candidates:
        return InputError(f"{table.path}: no value column beside '{time_column}', found {table.columns()}")
    listed = ", ".join(f"'{name}'" for name in candidates[:20])
    return InputError(
        f"{table.path}: several columns could be the {wanted.label}: expected "
        f"{table.advice('column', 'NAME')}, one of {listed}"
    )


def _said(table: Table, others: list[str], said: str) -> str:
    same = [name for name in others if name == said] or [
        name for name in others if split_header(name)[0].lower() == said.lower()
    ]
    if len(same) != 1:
        hint = nearest(said, [split_header(name)[0] for name in others])
        raise InputError(f"{table.path}: no column '{said}'; expected one of {table.columns()}{hint}")
    return same[0]


def _fits(found: Column | None, wanted: Quantity) -> bool:
    """Whether what is known of a column is the quantity wanted."""
    if found is None:
        return False
    if wanted in (CARBON, MARGINAL):
        return found.quantity == "carbon"
    if wanted is CONTRACT:  # a plant's power, whatever drives it; per unit of a rating it is none
        return found.quantity in ("pv", "wind", "mix", "load") and found.unit is not None
    return found.quantity in QUANTITIES and QUANTITIES[found.quantity] is wanted


def _of_kind(
    pool: list[str], known: dict[str, Column | None], wanted: Quantity, kind: Kind | None
) -> list[str]:
    """Columns of the kind wanted, else of no known kind; without a wish what is not marginal goes first."""
    kinds = {name: column.kind if (column := known[name]) else None for name in pool}
    if wanted is MARGINAL or kind == "marginal":
        return [name for name in pool if kinds[name] == "marginal"] or [
            name for name in pool if kinds[name] is None
        ]
    average = [name for name in pool if kinds[name] != "marginal"]
    return average or pool


def _best(found: list[str], known: dict[str, Column | None]) -> list[str]:
    ranks = {name: column.rank if (column := known[name]) else 0 for name in found}
    return [name for name in found if ranks[name] == min(ranks.values())]


def _is_counter(table: Table, column: str) -> bool:
    """Whether a column is the nameless count of rows that pandas writes."""
    if not column.startswith("Unnamed: "):
        return False
    cells = pd.to_numeric(table.frame[column], errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    return bool(np.all(np.diff(cells) == 1)) if len(cells) else False


def _has_values(table: Table, column: str) -> bool:
    """Whether any cell of a column says something."""
    cells = table.frame[column]
    if pd.api.types.is_numeric_dtype(cells):
        return bool(cells.notna().any())
    return not bool(cells.astype("string").str.strip().str.lower().fillna("").isin(MISSING).all())


def _is_numeric(table: Table, column: str) -> bool:
    cells = table.frame[column].dropna().head(200).astype("string").str.strip()
    cells = cells[~cells.str.lower().isin(MISSING)].head(50).str.replace(",", ".", regex=False)
    return bool(pd.to_numeric(cells, errors="coerce").notna().any())
