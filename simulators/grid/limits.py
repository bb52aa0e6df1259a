"""What a network may not exceed: voltage bands, loading, supply, and what its sources can give."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from simulators.errors import InputError

EN_50160_BAND = (0.9, 1.1)
"""Supply voltage, p.u. of nominal: +-10 % (EN 50160, 4.2.2.2 for low and 5.2.2.2 for medium voltage, for at
least 95 % of a week's 10-minute means). Here every step is held against it, which is stricter."""

VoltageLimits = Literal["network", "en50160"] | tuple[float, float]

Kind = Literal[
    "low voltage",
    "high voltage",
    "overload",
    "low active power",
    "high active power",
    "low reactive power",
    "high reactive power",
    "no supply",
    "no solution",
]

POWER_UNITS: dict[str, str] = {
    f"{side} {power}": unit
    for side in ("low", "high")
    for power, unit in (("active power", "MW"), ("reactive power", "MVar"))
}
"""Kinds that are about the power of a source, and their units."""

ROUNDING_PU = 1e-6
ROUNDING_PERCENT = 1e-6

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Violation:
    """One limit exceeded.

    Attributes
    ----------
    element, index
        pandapower table and index; ``network`` for a power flow without solution.
    kind
        Which limit. Voltages and their limits are in p.u., loadings and theirs in %, powers of sources in MW or
        MVar, and the load that ``no supply`` leaves unserved in MW.
    scale
        What the excess is measured by where the limit may be 0 (powers); 0: by the limit itself.
    """

    element: Literal["bus", "line", "trafo", "trafo3w", "ext_grid", "gen", "dcline", "network"]
    index: int
    kind: Kind
    value: float
    limit: float
    scale: float = 0.0

    @property
    def severity(self) -> float:
        """How far beyond the limit, relative to it; infinite without a solution and without supply."""
        if self.kind in ("no solution", "no supply"):
            return math.inf
        return abs(self.value - self.limit) / (self.scale or abs(self.limit))

    @property
    def rank(self) -> tuple[float, float]:
        """Orders violations, the worst highest: by severity, then by the load without supply, MW."""
        return self.severity, self.value if self.kind == "no supply" else 0.0

    def describe(self) -> str:
        """What happened, for a person, e.g. ``overload 104.2 % (limit 100)``."""
        if self.kind == "no solution":
            return "the power flow has no solution"
        if self.kind == "no supply":
            return f"no supply, {self.value:.4g} MW of load unserved"
        if self.kind in POWER_UNITS:
            return f"{self.kind} {self.value:.4g} {POWER_UNITS[self.kind]} (limit {self.limit:g})"
        if self.kind == "overload":
            return f"overload {self.value:.1f} % (limit {self.limit:g})"
        return f"{self.kind} {self.value:.4f} p.u. (limit {self.limit:g})"


class Limits:
    """The limits of one network, as arrays.

    Parameters
    ----------
    net
        A ``pandapowerNet``.
    voltage
        ``network``: ``bus.min_vm_pu`` and ``bus.max_vm_pu`` where the network has them, else EN 50160;
        ``en50160``: +-10 % everywhere; or a pair (lowest, highest), p.u.

    Lines and transformers: ``max_loading_percent`` where the network has it, else 100 %.

    Raises
    ------
    InputError
        If the pair is not 0 < lowest < highest.
    """

    def __init__(self, net: Any, voltage: VoltageLimits = "network") -> None:
        low, high = EN_50160_BAND if isinstance(voltage, str) else voltage
        if not 0.0 < low < high:
            raise InputError(f"voltage limits ({low}, {high}) p.u.: expected 0 < lowest < highest")
        if isinstance(voltage, str) and voltage not in ("network", "en50160"):
            raise InputError(f"voltage limits {voltage!r}: expected network, en50160 or a pair in p.u.")
        own = voltage == "network"
        self.vm_min_pu = _column(net.bus, "min_vm_pu" if own else "", low)
        self.vm_max_pu = _column(net.bus, "max_vm_pu" if own else "", high)
        self.line_percent = _column(net.line, "max_loading_percent", 100.0)
        self.trafo_percent = np.concatenate(
            [_column(table, "max_loading_percent", 100.0) for table in (net.trafo, net.trafo3w)]
        )
        self._buses = net.bus.index.to_numpy()
        self._lines = net.line.index.to_numpy()
        self._trafos = net.trafo.index.to_numpy()
        self._trafos3w = net.trafo3w.index.to_numpy()

    def check(self, vm_pu: Array, line_percent: Array, trafo_percent: Array) -> tuple[Violation, ...]:
        """Everything exceeded by more than rounding; an element without a value exceeds nothing."""
        found: list[Violation] = []
        for at in np.flatnonzero(vm_pu < self.vm_min_pu - ROUNDING_PU).tolist():
            limit = float(self.vm_min_pu[at])
            found.append(Violation("bus", int(self._buses[at]), "low voltage", float(vm_pu[at]), limit))
        for at in np.flatnonzero(vm_pu > self.vm_max_pu + ROUNDING_PU).tolist():
            limit = float(self.vm_max_pu[at])
            found.append(Violation("bus", int(self._buses[at]), "high voltage", float(vm_pu[at]), limit))
        for at in np.flatnonzero(line_percent > self.line_percent + ROUNDING_PERCENT).tolist():
            limit = float(self.line_percent[at])
            found.append(Violation("line", int(self._lines[at]), "overload", float(line_percent[at]), limit))
        two_winding = len(self._trafos)
        for at in np.flatnonzero(trafo_percent > self.trafo_percent + ROUNDING_PERCENT).tolist():
            value, limit = float(trafo_percent[at]), float(self.trafo_percent[at])
            if at < two_winding:
                found.append(Violation("trafo", int(self._trafos[at]), "overload", value, limit))
            else:
                index = int(self._trafos3w[at - two_winding])
                found.append(Violation("trafo3w", index, "overload", value, limit))
        return tuple(found)


def _column(table: Any, name: str, default: float) -> Array:
    """A column as floats, `default` where the table or the row has no value; shape (rows,)."""
    if name not in table:
        return np.full(len(table), default)
    values: Array = table[name].to_numpy(dtype=np.float64, copy=True)
    values[~np.isfinite(values)] = default
    return values
