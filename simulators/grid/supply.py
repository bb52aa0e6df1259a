"""Buses without a connection to a source, and the load that goes unserved there."""

from __future__ import annotations

from typing import Any

import numpy as np

from simulators.grid.draws import Powers
from simulators.grid.limits import Violation

_DRAWS: dict[str, tuple[str, ...]] = {
    "asymmetric_load": ("p_a_mw", "p_b_mw", "p_c_mw"),
    "ward": ("ps_mw", "pz_mw"),
    "xward": ("ps_mw", "pz_mw"),
}
"""Tables of what draws always the same -> columns that add up to it, MW at nominal voltage; motors: `_steady`."""


class Supply:
    """The buses in service that a power flow left without voltage; as long as no switch moves, these are they.

    Parameters
    ----------
    net
        A solved ``pandapowerNet``.
    loads
        How many of its loads may change their power; default: all.

    Examples
    --------
    >>> from simulators.grid.network import load_network, Network
    >>> net = load_network("cigre_mv")
    >>> net.line.loc[net.line.to_bus == 9, "in_service"] = False
    >>> net.switch["closed"] = net.switch.closed & ~((net.switch.et == "l") & (net.switch.bus == 9))
    >>> [found.describe() for found in Network(net).step([]).violations if found.kind == "no supply"][:1]
    ['no supply, 0.5737 MW of load unserved']
    """

    def __init__(self, net: Any, loads: int | None = None) -> None:
        dark = net.res_bus.vm_pu.isna().to_numpy() & net.bus.in_service.to_numpy(bool)
        self._lost = dict.fromkeys(net.bus.index[dark].tolist(), 0.0)
        for bus, p_mw in _steady(net) if self._lost else ():
            if bus in self._lost:
                self._lost[bus] += p_mw
        used = net.load.in_service.to_numpy(bool)[:loads] & net.load.bus.isin(self._lost).to_numpy()[:loads]
        self._loads = np.flatnonzero(used)
        self._load_buses = net.load.bus.to_numpy()[:loads][used].tolist()

    def check(self, powers: Powers) -> tuple[Violation, ...]:
        """Every bus without supply, with the load on it when the network's own elements have these powers."""
        if not self._lost:
            return ()
        lost = dict(self._lost)
        for bus, p_mw in zip(self._load_buses, powers["load"].p_mw[self._loads].tolist(), strict=True):
            lost[bus] += p_mw
        return tuple(Violation("bus", int(bus), "no supply", p_mw, 0.0) for bus, p_mw in lost.items())


def load_by_bus(net: Any, powers: Powers) -> dict[int, float]:
    """Active power, MW, that everything in service draws at each bus, loads with these powers."""
    total = dict.fromkeys(net.bus.index.tolist(), 0.0)
    own = powers["load"].p_mw
    for bus, p_mw in (*_steady(net), *zip(net.load.bus.tolist()[: len(own)], own.tolist(), strict=True)):
        total[bus] += p_mw
    return total


def _steady(net: Any) -> list[tuple[int, float]]:
    """Bus and active power, MW, of everything in service that draws always the same."""
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
