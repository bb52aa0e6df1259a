"""Buses without a connection to a source, and the load that goes unserved there."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulators.grid.limits import Violation

_DRAWS: dict[str, tuple[str, ...]] = {
    "load": ("p_mw",),
    "asymmetric_load": ("p_a_mw", "p_b_mw", "p_c_mw"),
    "ward": ("ps_mw", "pz_mw"),
    "xward": ("ps_mw", "pz_mw"),
}
"""Tables of what draws power -> columns that add up to it, MW at nominal voltage; motors are `_motors`."""


def unsupplied(net: Any, vm_pu: NDArray[np.float64]) -> tuple[Violation, ...]:
    """Every bus in service that the last power flow left without voltage, with the load on it.

    Parameters
    ----------
    net
        A solved ``pandapowerNet``.
    vm_pu
        Voltages in the order of its buses, p.u.; NaN without supply.

    Examples
    --------
    >>> from simulators.grid.network import load_network, Network
    >>> net = load_network("cigre_mv")
    >>> net.line.loc[net.line.to_bus == 9, "in_service"] = False
    >>> net.switch["closed"] = net.switch.closed & ~((net.switch.et == "l") & (net.switch.bus == 9))
    >>> [found.describe() for found in Network(net).step([]).violations if found.kind == "no supply"][:1]
    ['no supply, 0.5737 MW of load unserved']
    """
    dark = np.isnan(vm_pu) & net.bus.in_service.to_numpy(bool)
    if not dark.any():
        return ()
    lost = dict.fromkeys(net.bus.index[dark].tolist(), 0.0)
    for bus, p_mw in _draws(net):
        if bus in lost:
            lost[bus] += p_mw
    return tuple(Violation("bus", int(bus), "no supply", p_mw, 0.0) for bus, p_mw in lost.items())


def _draws(net: Any) -> list[tuple[int, float]]:
    """Bus and active power, MW, of everything in service that draws."""
    found: list[tuple[int, float]] = []
    for element, columns in _DRAWS.items():
        table = net[element]
        scaling = table.scaling if "scaling" in table else 1.0
        power = table[list(columns)].sum(axis=1) * scaling * table.in_service.astype(bool)
        found += zip(table.bus.tolist(), power.tolist(), strict=True)
    motor = net.motor
    power = motor.pn_mech_mw / motor.efficiency_percent * motor.loading_percent * motor.scaling
    found += zip(motor.bus.tolist(), (power * motor.in_service.astype(bool)).tolist(), strict=True)
    return found
