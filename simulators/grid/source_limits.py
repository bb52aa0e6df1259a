"""What external grids, generators and DC lines can give, where the network says so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.grid.limits import Kind, Violation

_SLACK_MVA = 1e-5
"""Rounding: pandapower's power flow stops at a mismatch of 1e-8 MVA at a bus, which several sources may share."""

Array = NDArray[np.float64]


class _Power(NamedTuple):
    """One power of a kind of source, and the columns that bound it."""

    element: Literal["ext_grid", "gen", "dcline"]
    result: str
    low: str
    high: str
    power: Literal["active power", "reactive power"]


_POWERS = (
    _Power("ext_grid", "p_mw", "min_p_mw", "max_p_mw", "active power"),
    _Power("ext_grid", "q_mvar", "min_q_mvar", "max_q_mvar", "reactive power"),
    _Power("gen", "p_mw", "min_p_mw", "max_p_mw", "active power"),
    _Power("gen", "q_mvar", "min_q_mvar", "max_q_mvar", "reactive power"),
    _Power("dcline", "p_from_mw", "", "max_p_mw", "active power"),
    _Power("dcline", "q_from_mvar", "min_q_from_mvar", "max_q_from_mvar", "reactive power"),
    _Power("dcline", "q_to_mvar", "min_q_to_mvar", "max_q_to_mvar", "reactive power"),
)


class SourceLimits:
    """The power limits of a network's sources, as arrays; a source without a limit exceeds nothing.

    Parameters
    ----------
    net
        A ``pandapowerNet``. Its power flow takes the active power of generators as given and finds that of the
        slack and every reactive power, whatever the limits are: hence they are held against the result.

    Examples
    --------
    >>> from simulators.grid.network import Network
    >>> network = Network("case39")
    >>> for violation in SourceLimits(network.net).check(network.net):
    ...     print(network.describe(violation))
    ext_grid 0: high active power 677.9 MW (limit 646)
    gen 6: low reactive power -1.369 MVar (limit 0)
    """

    def __init__(self, net: Any) -> None:
        self._checks: list[tuple[_Power, NDArray[np.int64], Array, Array, Array]] = []
        self._used: dict[str, NDArray[np.bool_]] = {
            power.element: net[power.element].in_service.to_numpy(bool) for power in _POWERS
        }
        for power in _POWERS:
            table = net[power.element]
            low = _bound(table, power.low, -np.inf)
            high = _bound(table, power.high, np.inf)
            if np.isfinite(low).any() or np.isfinite(high).any():
                both = np.stack([low, high])
                scale = np.abs(np.where(np.isfinite(both), both, 0.0)).max(axis=0)
                self._checks.append((power, table.index.to_numpy(), low, high, scale))

    @property
    def any(self) -> bool:
        """Whether any source has a limit."""
        return bool(self._checks)

    def bounds(self, element: str, result: str) -> tuple[Array, Array, Array]:
        """Least, largest and what an excess is measured by, for each row of a table, rounding included; else none."""
        for power, _, low, high, scale in self._checks:
            if (power.element, power.result) == (element, result):
                return low - _SLACK_MVA, high + _SLACK_MVA, np.where(scale > 0.0, scale, 1.0)
        rows = len(self._used[element])
        return np.full(rows, -np.inf), np.full(rows, np.inf), np.ones(rows)

    def check(self, net: Mapping[str, Any]) -> tuple[Violation, ...]:
        """What exceeds its limits in a network's last result, or in tables named and shaped as its result tables."""
        found = []
        for power, indices, low, high, scale in self._checks:
            values = np.asarray(net[f"res_{power.element}"][power.result], dtype=np.float64)
            for side, beyond, limits in (
                ("low", values < low - _SLACK_MVA, low),
                ("high", values > high + _SLACK_MVA, high),
            ):
                kind: Kind = f"{side} {power.power}"  # type: ignore[assignment]
                for at in np.flatnonzero(beyond & self._used[power.element]).tolist():
                    value, limit = float(values[at]), float(limits[at])
                    by = float(scale[at]) or abs(value)
                    found.append(Violation(power.element, int(indices[at]), kind, value, limit, by))
        return tuple(found)


def _bound(table: Any, name: str, default: float) -> Array:
    """A column of limits; `default` where there is none."""
    if name not in table:
        return np.full(len(table), default)
    values: Array = table[name].to_numpy(dtype=np.float64, copy=True)
    values[np.isnan(values)] = default
    return values
