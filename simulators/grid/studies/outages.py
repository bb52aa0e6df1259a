"""N-1: every line and transformer out of service, one after the other; what goes dark, what is overloaded, what helps.

An outage takes a branch's entries out of the admittance matrix, whose structure stays, so that hundreds of outages are
one batch. Open switches that could bring back what went dark change the structure: those are pandapower's to solve.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

from simulators.errors import InputError
from simulators.grid.draws import Powers
from simulators.grid.flow.model import ITERATIONS, Flow, Solution
from simulators.grid.flow.newton import FIXED, System, newton, work_for
from simulators.grid.flow.terminals import load_elements
from simulators.grid.limits import Violation
from simulators.grid.network import Network
from simulators.grid.solver import DOUBTFUL_PU
from simulators.grid.supply import load_by_bus

_ROUNDING = 1e-9
"""What an entry may keep of what was taken out of it, and is then 0: relative to that."""

Branch = tuple[str, int]
"""Table (line, trafo, trafo3w) and index."""


@dataclass(frozen=True)
class Outage:
    """What the outage of one branch does.

    Attributes
    ----------
    branch
        The one out of service.
    violations
        What is exceeded then, and buses that go dark, each with its load.
    vm_min_pu, loading_max_percent
        Of what is still supplied.
    unsupplied_buses, unsupplied_mw
        That have no connection to a source.
    closing
        Open switch that brings back the most load without violating more, as ``switch 12`` or ``line 5`` (whose open
        ends are closed); empty if none does, or nothing went dark.
    still_unsupplied_mw, closed_violations
        What remains then.
    """

    branch: Branch
    violations: tuple[Violation, ...]
    vm_min_pu: float
    loading_max_percent: float
    unsupplied_buses: int
    unsupplied_mw: float
    closing: str = ""
    still_unsupplied_mw: float = 0.0
    closed_violations: int = 0

    @property
    def secure(self) -> bool:
        """Whether nothing is violated."""
        return not self.violations


def outages(network: Network, powers: Powers | None = None, open_points: bool = True) -> list[Outage]:
    """Take every line and transformer in service out, one after the other.

    Parameters
    ----------
    network
        Its sites draw nothing.
    powers
        Of its own elements. Default: as in its file.
    open_points
        Look for open switches that bring back what went dark.

    Examples
    --------
    >>> found = outages(Network("cigre_mv"), open_points=False)
    >>> worst = max(found, key=lambda outage: outage.unsupplied_mw)
    >>> worst.branch, round(worst.unsupplied_mw, 2)  # the first transformer feeds one whole side
    (('trafo', 0), 24.16)
    """
    own = network.draws.own if powers is None else powers
    flow, nodes = network.solver.flow, network.solver.nodes
    quick = flow is not None and nodes is not None and not network.solver.enforced
    load = load_by_bus(network.net, own)
    made = []
    for branch in branches(network):
        found = _on_arrays(network, branch, own, load) if quick else None
        made.append(found or _by_tables(network, branch, own))
    if not open_points:
        return made
    points = _open_points(network.net)
    return [
        _with_help(network, outage, points, own) if outage.unsupplied_buses else outage for outage in made
    ]


def branches(network: Network) -> list[Branch]:
    """Lines and transformers that carry anything."""
    net = network.net
    every = [*(("line", line) for line in network.lines), *network.trafos]
    return [(table, index) for table, index in every if net[table].in_service.at[index]]


def _on_arrays(network: Network, branch: Branch, powers: Powers, load: dict[int, float]) -> Outage | None:
    """One outage on arrays; None where pandapower has to be asked."""
    flow, nodes = network.solver.flow, network.solver.nodes
    assert flow is not None
    assert nodes is not None
    system, ends = _without(flow, network, branch)
    dark = _dark(system)
    kind = np.where(dark, FIXED, system.kind).astype(np.int8)
    drawn = nodes.drawn(powers)
    drawn[dark] = 0.0
    v_pu, work = flow.v_pu.copy(), work_for(system)
    system = system._replace(kind=kind)
    if newton(system, -drawn / flow.base_mva, v_pu, work, flow.tolerance_pu, ITERATIONS) < 0:
        return None
    v_pu[dark] = np.nan
    loading = np.append(flow.loading_percent, 0.0)
    kept = ~(ends | dark[flow.terminals.node])
    losses = load_elements(flow.terminals._replace(**_only(flow, kept)), v_pu, loading)
    loading[np.setdiff1d(flow.terminals.element, flow.terminals.element[kept])] = np.nan
    fed = np.where(dark, 0.0, work.power * flow.base_mva + drawn)
    if np.nanmin(np.abs(v_pu)) < DOUBTFUL_PU:
        return None
    none = np.zeros(len(network.sites))
    result = network.solver.reader.of_arrays(
        flow, Solution(v_pu, fed, loading[:-1], losses * flow.base_mva), none, none, powers
    )
    gone = network.buses[(flow.node >= 0) & dark[np.maximum(flow.node, 0)]].tolist()
    lost = [Violation("bus", bus, "no supply", load[bus], 0.0) for bus in gone]
    return _outage(branch, (*lost, *result.violations), result.vm_pu, loading[:-1])


def _only(flow: Flow, kept: NDArray[np.bool_]) -> dict[str, Any]:
    return {name: values[kept] for name, values in flow.terminals._asdict().items()}


def _without(flow: Flow, network: Network, branch: Branch) -> tuple[System, NDArray[np.bool_]]:
    """The equations without a branch, and which ends are its."""
    table, index = branch
    if table == "line":
        element = network.lines.index(index)
    else:
        element = len(network.lines) + list(network.trafos).index(branch)  # type: ignore[arg-type]
    terminals, system = flow.terminals, flow.system
    ends = terminals.element == element
    y_pu = system.y_pu.copy()
    for node, far, own, other in zip(
        terminals.node[ends],
        terminals.far[ends],
        terminals.y_own_pu[ends],
        terminals.y_far_pu[ends],
        strict=True,
    ):
        for column, part in ((node, own), (far, other)):
            at = system.start[node] + np.searchsorted(
                system.column[system.start[node] : system.start[node + 1]], column
            )
            rest = y_pu[at] - part
            y_pu[at] = rest if abs(rest) > _ROUNDING * abs(part) else 0.0
    return system._replace(y_pu=y_pu), ends


def _dark(system: System) -> NDArray[np.bool_]:
    """Nodes without a connection to one whose voltage is held."""
    size = len(system.kind)
    matrix = csr_matrix((np.abs(system.y_pu), system.column, system.start), shape=(size, size), copy=True)
    matrix.eliminate_zeros()
    _, label = connected_components(matrix, directed=False)
    return ~np.isin(label, label[system.kind == FIXED])


def _outage(
    branch: Branch, violations: Sequence[Violation], vm_pu: NDArray[np.float64], loading: NDArray[np.float64]
) -> Outage:
    dark = [violation for violation in violations if violation.kind == "no supply"]
    return Outage(
        branch=branch,
        violations=tuple(violations),
        vm_min_pu=float(np.nanmin(vm_pu)) if np.isfinite(vm_pu).any() else np.nan,
        loading_max_percent=float(np.nanmax(loading, initial=0.0)),
        unsupplied_buses=len(dark),
        unsupplied_mw=float(sum(violation.value for violation in dark)),
    )


def _by_tables(network: Network, branch: Branch, powers: Powers, closing: Sequence[int] = ()) -> Outage:
    """One outage by pandapower, with some open switches closed; without a solution that is what it violates."""
    net = network.copy().net
    _give(net, powers)
    table, index = branch
    net[table].loc[index, "in_service"] = False
    net.switch.loc[list(closing), "closed"] = True
    try:
        changed = Network(net, network.name, network.voltage_limits, arrays=False)
    except InputError:
        nothing = Violation("network", 0, "no solution", np.nan, np.nan)
        return _outage(branch, [nothing], np.full(1, np.nan), np.zeros(1))
    result = changed.step(np.zeros(0))
    loading = np.concatenate([result.line_loading_percent, result.trafo_loading_percent])
    return _outage(branch, result.violations, result.vm_pu, loading)


def _give(net: Any, powers: Powers) -> None:
    """Write powers into a network's tables, and take its sites off."""
    for table, own in powers.items():
        net[table] = net[table].iloc[: len(own.p_mw)].copy()
        net[table]["p_mw"], net[table]["scaling"] = own.p_mw, 1.0
        if "q_mvar" in net[table]:
            net[table]["q_mvar"] = own.q_mvar


def _open_points(net: Any) -> dict[str, list[int]]:
    """What could be closed: open switches between buses, and lines open at one end or both."""
    is_open = ~net.switch.closed.astype(bool)
    between = net.switch.index[is_open & (net.switch.et == "b")]
    points = {f"switch {switch}": [int(switch)] for switch in between.tolist()}
    at_lines = net.switch[is_open & (net.switch.et == "l")]
    for line, group in at_lines.groupby("element"):
        if net.line.in_service.at[line]:
            points[f"line {line}"] = [int(switch) for switch in group.index]
    return points


def _with_help(network: Network, outage: Outage, points: dict[str, list[int]], powers: Powers) -> Outage:
    """The open point that leaves the least load unserved, then the fewest violations."""
    best: tuple[float, int, str] | None = None
    for name, switches in points.items():
        if (f"{outage.branch[0]} {outage.branch[1]}") == name:
            continue
        tried = _by_tables(network, outage.branch, powers, switches)
        others = len(tried.violations) - tried.unsupplied_buses
        if tried.unsupplied_buses >= outage.unsupplied_buses or not np.isfinite(tried.vm_min_pu):
            continue
        found = (round(tried.unsupplied_mw, 9), others, name)
        best = found if best is None else min(best, found)
    if best is None:
        return outage
    return replace(outage, closing=best[2], still_unsupplied_mw=best[0], closed_violations=best[1])
