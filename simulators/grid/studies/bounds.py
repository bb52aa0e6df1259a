"""A network's limits as the compiled search for loads needs them, and back from what broke to its name."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulators.errors import InputError
from simulators.grid.flow.model import Flow
from simulators.grid.flow.room import NOTHING, UNSOLVED, Bounds
from simulators.grid.limits import ROUNDING_PERCENT, ROUNDING_PU
from simulators.grid.network import Network

Cause = tuple[str, int, str]
"""Table, index and kind of a limit, as `Violation` has them."""

NONE: Cause = ("", -1, "")
"""Nothing limits."""

Array = NDArray[np.float64]


def flow_for_search(network: Network) -> Flow:
    """The network on arrays.

    Raises
    ------
    InputError
        If arrays do not hold all of it, or generators are to be held at their limits, which changes the equations.
    """
    flow = network.solver.flow
    if flow is None:
        raise InputError(
            f"network {network.name}: {network.solver.why} needs single power flows, expected hosting of one --bus "
            "without --background"
        )
    if network.solver.enforced and not flow.sources.slack.all():
        raise InputError(
            "--enforce-q-lims: generators that change what they hold need single power flows, expected hosting of one "
            "--bus without --background"
        )
    return flow


def bounds_of(network: Network, flow: Flow) -> Bounds:
    """The limits of all that a network holds, the narrowest where buses share a node."""
    nodes = len(flow.v_pu)
    low, high = np.full(nodes, -np.inf), np.full(nodes, np.inf)
    lit = flow.node >= 0
    np.maximum.at(low, flow.node[lit], network.limits.vm_min_pu[lit] - ROUNDING_PU)
    np.minimum.at(high, flow.node[lit], network.limits.vm_max_pu[lit] + ROUNDING_PU)
    loading = np.concatenate([network.limits.line_percent, network.limits.trafo_percent]) + ROUNDING_PERCENT
    sources, by_power = flow.sources, []
    for result in ("p_mw", "q_mvar"):
        each = np.tile([[-np.inf], [np.inf], [1.0]], (1, len(sources.row)))
        for table in ("ext_grid", "gen"):
            mine = sources.table == table
            found = network.solver.reader.sources.bounds(table, result)
            each[:, mine] = np.stack(found)[:, sources.row[mine]]
        if result == "p_mw":  # that of others is given
            each[:2, ~sources.slack] = [[-np.inf], [np.inf]]
        by_power.append(each)
    both = np.stack(by_power)
    return Bounds(
        low,
        high,
        np.append(loading, np.inf),
        sources.node.astype(np.int32),
        np.ascontiguousarray(both[:, 0]),
        np.ascontiguousarray(both[:, 1]),
        np.ascontiguousarray(both[:, 2]),
    )


def causes_of(network: Network, flow: Flow) -> dict[int, Cause]:
    """Place of every margin -> whose limit it is."""
    nodes = len(flow.v_pu)
    made: dict[int, Cause] = {NOTHING: NONE, UNSOLVED: ("network", 0, "no solution")}
    for at, bus in reversed(list(enumerate(network.buses.tolist()))):
        node = int(flow.node[at])
        if node >= 0:
            made[node] = ("bus", bus, "low voltage")
            made[nodes + node] = ("bus", bus, "high voltage")
    elements = [*(("line", line) for line in network.lines), *network.trafos]
    for at, (table, index) in enumerate(elements):
        made[2 * nodes + at] = (table, index, "overload")
    first = 2 * nodes + len(elements) + 1
    for row, (table, at) in enumerate(
        zip(flow.sources.table.tolist(), flow.sources.row.tolist(), strict=True)
    ):
        index = int(network.net[table].index[at])
        kinds = ("low active power", "high active power", "low reactive power", "high reactive power")
        for number, kind in enumerate(kinds):
            made[first + 4 * row + number] = (table, index, kind)
    return made
