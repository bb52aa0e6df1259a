"""Carbon intensities as their publishers write them: what a column is called tells what it is.

The kind matters most: a marginal rate read as an average one would be booked as what a site emits.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from simulators.errors import InputError
from simulators.profiles.profile import Kind
from simulators.profiles.quantities import CARBON, split_header
from simulators.profiles.tables import Table

MOER = ("moer", "co2_moer")


class Native(NamedTuple):
    """What is known of a column: what to call it in reports, and its kind."""

    remark: str
    kind: Kind


def native(header: str, columns: Sequence[str]) -> Native | None:
    """What the header of one of the value `columns` tells of its carbon intensity; None: nothing.

    Examples
    --------
    >>> native("MOER", ["MOER"])
    Native(remark='marginal carbon intensity', kind='marginal')
    >>> native("Carbon Intensity gCO₂eq/kWh (direct)", []).remark
    'average carbon intensity, direct'
    >>> native("carbon_intensity[g/kWh]", [])
    """
    name, folded = split_header(header)[0].lower(), header.lower()
    # WattTime and SGIP: marginal operating emissions rate; some WattTime files: one column named after the region
    if name in MOER or "marginal" in folded or (len(columns) == 1 and folded.startswith("caiso_")):
        return Native("marginal carbon intensity", "marginal")
    if folded.startswith("carbon intensity"):  # Electricity Maps
        if "lca" in folded or "life cycle" in folded:
            return Native("average carbon intensity, life cycle", "average")
        if "direct" in folded:
            return Native("average carbon intensity, direct", "average")
    if name in ("avg_ci", "carbon_intensity_avg", "co2_aoer"):  # EIA's mixes; WattTime's average rate
        return Native("average carbon intensity", "average")
    return None


def carbon_column(columns: Sequence[str], wanted: Kind | None) -> str | None:
    """The column that holds the carbon intensity, where the names decide it.

    Electricity Maps' life cycle goes before its direct emissions, which leave out fuel chains and plant construction;
    an average before a marginal rate, unless the marginal one is wanted.
    """
    known = {name: native(name, columns) for name in columns}
    by_kind: dict[str, list[str]] = {"average": [], "marginal": [], "": []}
    for name, found in known.items():
        if found is not None:
            by_kind[found.kind].append(name)
        elif split_header(name)[0].lower() in CARBON.names:
            by_kind[""].append(name)
    life_cycle = [name for name in by_kind["average"] if "life cycle" in getattr(known[name], "remark", "")]
    groups = [life_cycle[:1], [*by_kind["average"], *by_kind[""]], by_kind["marginal"]]
    if wanted == "marginal":
        groups = [by_kind["marginal"], by_kind[""]]
    elif wanted == "average":
        groups = groups[:2]
    first = next((group for group in groups if group), [])
    return first[0] if len(first) == 1 else None


def moer_unit(table: Table, column: str) -> str | None:
    """Unit of a bare MOER column: SGIP writes kg/kWh, WattTime lbs/MWh; None for another column.

    Raises
    ------
    InputError
        If it is not SGIP's: hundreds may be lbs/MWh or g/kWh, which are a factor of two apart.
    """
    if not re.fullmatch("|".join(MOER), column.strip().lower()):
        return None
    values = table.numbers(column)
    if np.isnan(values).all() or float(np.nanmean(values)) < 5.0:
        return "kgCO2/kWh"
    mean = float(np.nanmean(values))
    raise InputError(
        f"{table.path}: column '{column}' names no unit (its mean is {mean:.4g}; WattTime's unit is lbs/MWh); "
        f"expected {table.advice('unit', 'lbsCO2/MWh')}"
    )
