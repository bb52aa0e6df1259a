"""Currents at the ends of lines and transformers, and what follows from them: loading and losses."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pandapower.pypower.idx_brch import F_BUS, T_BUS
from pandapower.pypower.idx_bus import BASE_KV

from simulators.grid.flow.compiled import compiled
from simulators.grid.flow.newton import Complexes, Indices, Reals


class Terminals(NamedTuple):
    """Ends of branches; the current into an end is ``y_own v[node] + y_far v[far]``, p.u.

    Attributes
    ----------
    node, far
        The node it is at, and that at the other end; in the order of elimination.
    y_own_pu, y_far_pu
        Admittances.
    percent
        Loading of its element per p.u. of current, %; 0: none is reckoned.
    element
        Line, or transformer behind all lines, in the network's order.
    branch
        Row of pandapower's branch matrix.
    """

    node: Indices
    far: Indices
    y_own_pu: Complexes
    y_far_pu: Complexes
    percent: Reals
    element: Indices
    branch: Indices


@compiled
def load_elements(terminals: Terminals, v_pu: Complexes, loading: Reals) -> float:
    """Loadings, %, of elements that have an end in service; returns the losses of all branches, p.u."""
    losses = 0.0
    for at in range(len(terminals.node)):
        loading[terminals.element[at]] = 0.0
    for at in range(len(terminals.node)):
        own = v_pu[terminals.node[at]]
        current = terminals.y_own_pu[at] * own + terminals.y_far_pu[at] * v_pu[terminals.far[at]]
        losses += own.real * current.real + own.imag * current.imag
        percent = terminals.percent[at] * abs(current)
        if not percent <= loading[terminals.element[at]]:
            loading[terminals.element[at]] = percent
    return losses


def terminals_of(net: Any, place: NDArray[np.int64]) -> Terminals:
    """The ends of a solved network's branches.

    Parameters
    ----------
    net
        A ``pandapowerNet`` after a power flow.
    place
        Of the nodes of pandapower's internal case in the order of elimination; shape (nodes,).
    """
    internal, sections = net._ppc["internal"], net._pd2ppc_lookups["branch"]
    ends = [end for table in _ENDS_OF if table in sections for end in _ENDS_OF[table](net, *sections[table])]
    branch = np.concatenate([end.branch for end in ends] or [np.zeros(0, np.int64)])
    at_from = np.concatenate([np.full(len(end.branch), end.at_from) for end in ends] or [np.zeros(0, bool)])
    percent = np.concatenate([end.percent for end in ends] or [np.zeros(0)])
    element = np.concatenate([end.element for end in ends] or [np.zeros(0, np.int64)])
    used = internal["branch_is"][branch].astype(bool)
    branch, at_from, percent, element = branch[used], at_from[used], percent[used], element[used]
    row = (np.cumsum(internal["branch_is"]) - 1)[
        branch
    ]  # of the internal case, which has those in service only
    nodes = internal["branch"][row][:, [F_BUS, T_BUS]].real.astype(np.int64)
    node, far = np.where(at_from, nodes.T, nodes.T[::-1])
    y_from, y_to = internal["Yf"].tocsr(), internal["Yt"].tocsr()

    def admittance(column: NDArray[np.int64]) -> Complexes:
        if not len(row):
            return np.zeros(0, np.complex128)
        both = np.asarray(y_from[row, column]).ravel(), np.asarray(y_to[row, column]).ravel()
        return np.where(at_from, *both).astype(np.complex128)

    base_ka = internal["baseMVA"] / (np.sqrt(3.0) * internal["bus"][node, BASE_KV])
    return Terminals(
        place[node].astype(np.int32),
        place[far].astype(np.int32),
        admittance(node),
        admittance(far),
        np.ascontiguousarray(percent * base_ka, dtype=np.float64),
        element.astype(np.int32),
        branch.astype(np.int32),
    )


class _End(NamedTuple):
    """One end of the branches of a table: rows of the branch matrix, % of loading per kA, elements."""

    branch: NDArray[np.int64]
    at_from: bool
    percent: Reals
    element: NDArray[np.int64]


def _lines(net: Any, first: int, end: int) -> list[_End]:
    line = net.line
    percent = 100.0 / (line.max_i_ka * line.df * line.parallel).to_numpy(dtype=np.float64)
    rows = np.arange(end - first)
    return [_End(first + rows, at_from, percent, rows) for at_from in (True, False)]


def _trafos(net: Any, first: int, end: int) -> list[_End]:
    trafo = net.trafo
    rated = 100.0 * np.sqrt(3.0) / (trafo.sn_mva * trafo.parallel * trafo.df)
    rows = np.arange(end - first)
    return [
        _End(
            first + rows,
            side == "hv",
            (rated * trafo[f"vn_{side}_kv"]).to_numpy(np.float64),
            len(net.line) + rows,
        )
        for side in ("hv", "lv")
    ]


def _trafos3w(net: Any, first: int, end: int) -> list[_End]:
    """Three branches each, to and from a star point: all high-voltage ones, then the others."""
    trafo, count = net.trafo3w, len(net.trafo3w)
    rows = np.arange(count)
    element = len(net.line) + len(net.trafo) + rows
    ends = []
    for number, side in enumerate(("hv", "mv", "lv")):
        percent = 100.0 * np.sqrt(3.0) * trafo[f"vn_{side}_kv"] / trafo[f"sn_{side}_mva"]
        branch, outer = first + number * count + rows, side == "hv"
        ends.append(_End(branch, outer, percent.to_numpy(np.float64), element))
        ends.append(_End(branch, not outer, np.zeros(count), element))
    return ends


def _impedances(net: Any, first: int, end: int) -> list[_End]:
    """They have losses, but no limit: what no loading is told of stands behind all that have one."""
    rows = np.arange(end - first)
    spare = np.full(len(rows), len(net.line) + len(net.trafo) + len(net.trafo3w))
    return [_End(first + rows, at_from, np.zeros(len(rows)), spare) for at_from in (True, False)]


_ENDS_OF = {"line": _lines, "trafo": _trafos, "trafo3w": _trafos3w, "impedance": _impedances}
"""Tables of branches whose losses count."""
