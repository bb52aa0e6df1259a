"""What a run did to the network, in one line: what breaks first, and how often."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from simulators.grid.limits import POWER_UNITS, Violation
from simulators.grid.record import RunRecord, worst_breaches

Array = NDArray[np.float64]


def headline(record: RunRecord, start: datetime | None = None) -> str:
    """The worst limit that is exceeded, for how long and how far; with `start`, also when that was.

    Examples
    --------
    >>> from simulators.grid.network import Network
    >>> network = Network("four_load_branch")
    >>> record = RunRecord(network)
    >>> headline(record)
    'No step was simulated'
    >>> record.add(network.step([]), at_s=0, step_s=3600)
    >>> headline(record)
    'No limit is exceeded; line1 comes nearest, loaded to 77.8 % at most, voltages are 0.9632 to 1.0000 p.u.'
    """
    if not record.hours:
        return "No step was simulated"
    breaches = worst_breaches(record)
    if not breaches:
        return f"No limit is exceeded{_nearest(record)}"
    worst, network = breaches[0], record.network
    spells = sum(spell.key == worst.key for spell in record.spells.found)
    often = f"{worst.hours:.4g} h" + (f" in {spells} spells" if spells > 1 else "")
    name = network.violation_name(worst.worst)
    told = f"{name[:1].upper()}{name[1:]} {_beyond(worst.worst, often)}"
    if start is not None:
        told += f" ({pd.Timestamp(start) + pd.Timedelta(seconds=worst.at_s):%Y-%m-%d %H:%M} UTC)"
    if len(breaches) > 1:
        others = "one more limit is" if len(breaches) == 2 else f"{len(breaches) - 1} more limits are"
        told += f"; {others} exceeded, in all for {record.violation_hours:.4g} of {record.hours:.4g} h"
    return told


def _beyond(worst: Violation, often: str) -> str:
    """E.g. ``is above 100 % for 10.2 h, 105.8 % at worst``."""
    if worst.kind == "no solution":
        return f"has no power flow solution for {often}"
    if worst.kind == "no supply":
        return f"has no supply for {often}, {worst.value:.4g} MW of load unserved at worst"
    if worst.kind in POWER_UNITS:
        unit, power = POWER_UNITS[worst.kind], worst.kind.partition(" ")[2]
        side = "below" if worst.kind.startswith("low") else "above"
        return f"has {power} {side} {worst.limit:g} {unit} for {often}, {worst.value:.4g} {unit} at worst"
    if worst.kind == "overload":
        return f"is above {worst.limit:g} % for {often}, {worst.value:.1f} % at worst"
    side = "below" if worst.kind == "low voltage" else "above"
    return f"is {side} {worst.limit:g} p.u. for {often}, {worst.value:.4f} p.u. at worst"


def _nearest(record: RunRecord) -> str:
    """The most loaded line or transformer, by its limit, and the band of voltages."""
    network = record.network
    loading = np.concatenate([record.line_loading_max, record.trafo_loading_max])
    limits = np.concatenate([network.limits.line_percent, network.limits.trafo_percent])
    elements = [*(("line", line) for line in network.lines), *network.trafos]
    told = []
    if np.isfinite(loading / limits).any():
        at = int(np.nanargmax(loading / limits))
        told.append(
            f"{network.element_name(*elements[at])} comes nearest, loaded to {loading[at]:.1f} % at most"
        )
    if np.isfinite(record.vm_min).any():
        told.append(f"voltages are {np.nanmin(record.vm_min):.4f} to {np.nanmax(record.vm_max):.4f} p.u.")
    return f"; {', '.join(told)}" if told else ""
