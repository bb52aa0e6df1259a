"""The simulators by the name of their room; a module is imported only when its simulator is asked for."""

from __future__ import annotations

import importlib
from typing import Any

from simulators.errors import InputError, nearest

ROOMS: dict[str, tuple[str, str, str]] = {
    "carbon": ("simulators.carbon.simulator", "Carbon", "carbon intensity of the grid and its forecast"),
    "price": ("simulators.profiles.simulator", "ProfileReplay", "price of grid power, or any other series"),
    "generation": ("simulators.generation.simulator", "Generation", "PV and wind"),
    "controller": ("simulators.scheduler.simulator", "Scheduler", "the carbon-aware scheduler"),
    "shedding": ("simulators.shedding.simulator", "Shedding", "load shed while the connection lacks power"),
    "traffic": ("simulators.traffic.simulator", "Traffic", "requests and the gate before the cluster"),
    "router": ("simulators.traffic.simulator", "Traffic", "the router between sites"),
    "inference": ("simulators.inference.simulator", "Inference", "LLM serving and its GPUs"),
    "live": ("simulators.live.simulator", "Follow", "newest value of a CSV that grows, or of Prometheus"),
    "load": ("simulators.profiles.simulator", "ProfileReplay", "measured load of a site"),
    "datacenter": ("simulators.datacenter.simulator", "DataCenter", "servers, cooling, power chain"),
    "storage": ("simulators.storage.simulator", "Storage", "battery, dispatch, exchange with the grid"),
    "grid": ("simulators.grid.simulator", "PowerGrid", "the power network"),
}
"""Name -> module, class, what it simulates."""


def host_and_port(text: str) -> tuple[str, int] | None:
    """Host and port of ``HOST:PORT``; None if it is no address.

    Examples
    --------
    >>> host_and_port("127.0.0.1:5555"), host_and_port("127.0.0.1")
    (('127.0.0.1', 5555), None)
    """
    host, colon, port = text.rpartition(":")
    if not (colon and host and port.isdecimal() and 0 < int(port) < 65536):
        return None
    return host.strip("[]"), int(port)


def simulator_class(room: str) -> type[Any]:
    """The mosaik simulator of a room.

    Raises
    ------
    InputError
        If there is no such room.

    Examples
    --------
    >>> simulator_class("storage").__name__
    'Storage'
    """
    if room not in ROOMS:
        hint = nearest(room, list(ROOMS))
        raise InputError(f"simulator {room!r}: unknown, expected one of {', '.join(ROOMS)}{hint}")
    module, name, _ = ROOMS[room]
    found: type[Any] = getattr(importlib.import_module(module), name)
    return found
