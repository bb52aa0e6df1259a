"""Networks for tests: shipped ones, loaded once, and a small one built by hand."""

from __future__ import annotations

from copy import deepcopy
from functools import cache
from typing import Any

import pandapower

from simulators.grid.network import Network
from simulators.grid.sources import load_network


def two_buses(r_ohm: float = 0.5, x_ohm: float = 0.4, max_i_ka: float = 0.5) -> Any:
    """A stiff 20 kV source, one 1 km line without capacitance, and a bus at its end."""
    net = pandapower.create_empty_network(name="two buses")
    source = pandapower.create_bus(net, 20.0, name="source")
    end = pandapower.create_bus(net, 20.0, name="end")
    pandapower.create_ext_grid(net, source)
    pandapower.create_line_from_parameters(net, source, end, 1.0, r_ohm, x_ohm, 0.0, max_i_ka, name="feeder")
    return net


@cache
def _loaded(name: str) -> Any:
    return load_network(name)


def fresh_net(name: str) -> Any:
    """A shipped network as pandapower has it, for a test to change."""
    return deepcopy(_loaded(name))


@cache
def _made(name: str) -> Network:
    return Network(_loaded(name), name=name)


def shipped(name: str) -> Network:
    """A shipped network without sites, for a test to change: solved once, then copied."""
    return _made(name).copy()
