"""A solved pandapower network as arrays, and single power flows on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pandapower.pypower.idx_bus import PD, QD
from pandapower.pypower.idx_gen import GEN_BUS, PG, QMAX, QMIN

from simulators.grid.flow.newton import FIXED, Complexes, Reals, System, newton, work_for
from simulators.grid.flow.pattern import system_of
from simulators.grid.flow.terminals import Terminals, load_elements, terminals_of

ITERATIONS = 15
"""More than any start in reach of the solution takes; pandapower gives up after 10."""

_TOLERANCE_MVA = 1e-9
_ROUNDING = 8.0 * np.finfo(np.float64).eps

_UNUSUAL = ("svc", "tcsc", "ssc", "vsc", "dcline")
"""Tables of elements whose admittance or power is part of the solution."""


class Unsupported(Exception):
    """The network has what these arrays do not hold; the message names it."""


@dataclass(frozen=True)
class Sources:
    """External grids and generators in service and connected.

    Attributes
    ----------
    table, row
        Which they are: ``ext_grid`` or ``gen``, and the row of that table.
    node
        Where; in the order of elimination.
    slack
        Whether it balances the network; else its active power is given.
    q_low_mvar, q_high_mvar
        What they are held to if that is asked for.
    shared
        Whether the node has other sources, so that one's part of the reactive power is not known here.
    """

    table: NDArray[np.str_]
    row: NDArray[np.int64]
    node: NDArray[np.int64]
    slack: NDArray[np.bool_]
    q_low_mvar: Reals
    q_high_mvar: Reals
    shared: NDArray[np.bool_]


@dataclass(frozen=True)
class Flow:
    """A network's power flow.

    Attributes
    ----------
    system, terminals
        Its equations; the ends of its branches.
    base_mva
        Of the p.u. system.
    node
        Where each bus is, in the network's order; -1 without supply; shape (buses,).
    drawn_mva
        What was drawn in the solved network, less the active power of generators but the slack's; shape (nodes,).
    v_pu
        Its voltages: where to start from; shape (nodes,).
    loading_percent
        Loadings of lines, then transformers, as pandapower gives them for those out of service; shape (elements,).
    sources
        Who feeds in.
    tolerance_pu
        Largest mismatch of a solution.
    """

    system: System
    terminals: Terminals
    base_mva: float
    node: NDArray[np.int64]
    drawn_mva: Complexes
    v_pu: Complexes
    loading_percent: Reals
    sources: Sources
    tolerance_pu: float

    def solve(self, drawn_mva: Complexes, start_pu: Complexes) -> Solution | None:
        """One power flow; None if there is no solution from this start.

        Parameters
        ----------
        drawn_mva
            Power drawn at each node, less that of generators (`simulators.grid.draws`); shape (nodes,).
        start_pu
            Voltages to start from; shape (nodes,).
        """
        v_pu, work = start_pu.copy(), work_for(self.system)
        if newton(self.system, -drawn_mva / self.base_mva, v_pu, work, self.tolerance_pu, ITERATIONS) < 0:
            return None
        loading = np.append(self.loading_percent, 0.0)
        losses_pu = load_elements(self.terminals, v_pu, loading)
        fed_mva = work.power * self.base_mva + drawn_mva
        return Solution(v_pu, fed_mva, loading[:-1], losses_pu * self.base_mva)

    def source_powers(self, fed_mva: Complexes, gen_mw: Reals) -> tuple[Reals, Reals]:
        """Active and reactive power of each source, MW and MVar.

        Parameters
        ----------
        fed_mva
            What is fed in at the nodes, active power of generators but the slack's left out; shape (nodes,).
        gen_mw
            Active power of the generators in the network's order.
        """
        sources = self.sources
        at_node = fed_mva[sources.node]
        parts = np.bincount(sources.node[sources.slack], minlength=len(fed_mva))[sources.node]
        given = np.zeros(len(sources.row))
        generators = sources.table == "gen"
        given[generators] = gen_mw[sources.row[generators]]
        p_mw = np.where(sources.slack, at_node.real / np.maximum(parts, 1), given)
        return p_mw, np.where(sources.shared, np.nan, at_node.imag)

    def slack_mva(self, fed_mva: Complexes) -> complex:
        """What external grids and slack generators feed in together."""
        nodes = np.unique(self.sources.node[self.sources.slack])
        return complex(fed_mva[nodes].sum())


@dataclass(frozen=True)
class Solution:
    """One power flow.

    Attributes
    ----------
    v_pu, fed_mva
        Voltages, and what sources feed in, by node.
    loading_percent
        Of lines, then transformers.
    losses_mw
        Of all branches.
    """

    v_pu: Complexes
    fed_mva: Complexes
    loading_percent: Reals
    losses_mw: float


def flow_of(net: Any) -> Flow:
    """The power flow of a network that pandapower has just solved, without reactive limits enforced.

    Raises
    ------
    Unsupported
        If the network holds what is not a constant admittance, power or voltage.
    """
    options = net["_options"]
    found = [name for name in _UNUSUAL if len(net[name])]
    if found:
        raise Unsupported(f"table {found[0]}")
    for option in ("voltage_depend_loads", "distributed_slack", "tdpf", "enforce_p_lims"):
        if options.get(option):
            raise Unsupported(option.replace("_", " "))
    internal = net._ppc["internal"]
    if "Sbus" not in internal:
        raise Unsupported("a network of sources only")
    system, place = system_of(internal["Ybus"], internal["ref"], internal["pv"])
    nodes = len(place)
    bus, gen = internal["bus"], internal["gen"]
    drawn = np.zeros(nodes, np.complex128)
    drawn[place] = bus[:, PD] + 1j * bus[:, QD]
    at = place[gen[:, GEN_BUS].real.astype(np.int64)]
    movable = system.kind[at] != FIXED
    np.subtract.at(drawn, at[movable], gen[movable, PG].real)
    v_pu = np.empty(nodes, np.complex128)
    v_pu[place] = internal["V"]
    rough = float(abs(internal["Ybus"]).sum(axis=1).max())
    return Flow(
        system=system,
        terminals=terminals_of(net, place),
        base_mva=float(internal["baseMVA"]),
        node=_bus_nodes(net, place),
        drawn_mva=drawn,
        v_pu=v_pu,
        loading_percent=np.concatenate(
            [
                net[f"res_{table}"].loading_percent.to_numpy(np.float64)
                for table in ("line", "trafo", "trafo3w")
            ]
        ),
        sources=_sources(net, place, system),
        tolerance_pu=max(_TOLERANCE_MVA / float(internal["baseMVA"]), _ROUNDING * rough),
    )


def _bus_nodes(net: Any, place: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each bus is in the order of elimination; -1 without voltage."""
    inside = net._pd2ppc_lookups["bus"][net.bus.index.to_numpy()]
    lit = net.res_bus.vm_pu.notna().to_numpy() & (inside >= 0) & (inside < len(place))
    return np.where(lit, place[np.where(lit, inside, 0)], -1)


def _sources(net: Any, place: NDArray[np.int64], system: System) -> Sources:
    table: list[str] = []
    rows: list[int] = []
    inside: list[int] = []
    lookups, connected = net._pd2ppc_lookups, net["_is_elements"]
    kept = (
        np.cumsum(net._ppc["internal"]["gen_is"]) - 1
    )  # row of the internal case, which has those in service only
    for name in ("ext_grid", "gen"):
        used = np.flatnonzero(connected[name].astype(bool)) if len(net[name]) else np.zeros(0, np.int64)
        table += [name] * len(used)
        rows += used.tolist()
        inside += kept[lookups[name][net[name].index.to_numpy()[used]]].tolist() if len(used) else []
    gen = net._ppc["internal"]["gen"][inside].real
    node = place[gen[:, GEN_BUS].astype(np.int64)]
    row, names = np.array(rows, dtype=np.int64), np.array(table, dtype=np.str_)
    slack = (names == "ext_grid") | np.array(
        [name == "gen" and bool(net.gen.slack.iloc[at]) for name, at in zip(table, rows, strict=True)],
        dtype=bool,
    )
    if not (system.kind[node[slack]] == FIXED).all():
        raise Unsupported("a slack that does not hold its voltage")
    everyone = place[net._ppc["internal"]["gen"][:, GEN_BUS].real.astype(np.int64)]  # extended wards too
    count = np.bincount(everyone, minlength=len(place))[node]
    mixed = np.bincount(node[slack], minlength=len(place))[node] > 0
    if (mixed & ~slack).any():
        raise Unsupported("a generator beside an external grid")
    return Sources(names, row, node, slack, gen[:, QMIN].copy(), gen[:, QMAX].copy(), count > 1)
