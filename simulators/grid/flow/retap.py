"""A network on arrays at other positions of its transformers' taps, without solving it anew.

A tap changes the admittances of its transformer alone: the nodes, their order and what fills in stay.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy, deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandapower.build_branch import _calc_branch_values_from_trafo_df
from pandapower.pypower.idx_brch import (
    BR_B,
    BR_B_ASYM,
    BR_G,
    BR_G_ASYM,
    BR_R,
    BR_X,
    SHIFT,
    TAP,
)
from pandapower.pypower.makeYbus import branch_vectors

from simulators.grid.flow.model import Flow, Unsupported
from simulators.grid.flow.newton import Complexes, Reals, System

_SAME = 1e-9
"""How near admittances reckoned here must come to those of the solved network, relative."""

_COLUMNS = (BR_R, BR_X, BR_G, BR_B, BR_G_ASYM, BR_B_ASYM, TAP, SHIFT)


class Retap:
    """Makes a network on arrays anew for positions of its taps.

    Parameters
    ----------
    net
        The ``pandapowerNet`` that `flow` was made of, as it was solved; what is needed of it is copied.
    flow
        The network on arrays.
    rows
        Rows of its ``trafo`` table whose taps move.

    Raises
    ------
    Unsupported
        If these transformers are not on the arrays as they are reckoned here.
    """

    def __init__(self, net: Any, flow: Flow, rows: NDArray[np.int64]) -> None:
        self._flow = flow
        self._net = copy(net)  # another power flow may replace what it holds
        self._net["_pd2ppc_lookups"] = deepcopy(net._pd2ppc_lookups)
        self._ppc = {"bus": net._ppc["bus"].copy()}
        self._trafo = net.trafo.copy()
        first, end = net._pd2ppc_lookups["branch"]["trafo"]
        self._branch = net._ppc["branch"][first:end].real.copy()
        self._rows = rows
        self._known: dict[float, Complexes] = {}
        ends = [np.flatnonzero(flow.terminals.branch == first + row) for row in rows.tolist()]
        self._used = np.array([at for at, found in enumerate(ends) if len(found) == 2], dtype=np.int64)
        if not len(self._used):
            raise Unsupported("no tap changer in service")
        self._ends = np.array([ends[at] for at in self._used], dtype=np.int64)  # high-voltage side first
        self._entries = np.array([self._entries_of(flow.system, *pair) for pair in self._ends.tolist()])
        terminals = flow.terminals
        self._base = np.stack(
            [
                terminals.y_own_pu[self._ends[:, 0]],
                terminals.y_far_pu[self._ends[:, 0]],
                terminals.y_far_pu[self._ends[:, 1]],
                terminals.y_own_pu[self._ends[:, 1]],
            ],
            axis=1,
        )
        positions = self._positions()[rows]
        if not np.allclose(self._admittances(positions), self._base, rtol=_SAME, atol=0.0):
            raise Unsupported("transformers whose taps change more than their admittance")

    def state(self) -> dict[str, int]:
        """For `simulators.kept`: what is remembered here is reckoned again."""
        return {}

    def restore(self, values: Mapping[str, int]) -> None:
        """Go on from a kept `state`."""

    def at(self, positions: Reals) -> Flow:
        """The network with its taps at `positions`, in the order of `rows`."""
        flow, now = self._flow, self._admittances(positions)
        y_pu = flow.system.y_pu.copy()
        np.add.at(y_pu, self._entries, now - self._base)
        own, far = flow.terminals.y_own_pu.copy(), flow.terminals.y_far_pu.copy()
        own[self._ends[:, 0]], far[self._ends[:, 0]] = now[:, 0], now[:, 1]
        far[self._ends[:, 1]], own[self._ends[:, 1]] = now[:, 2], now[:, 3]
        return replace(
            flow,
            system=flow.system._replace(y_pu=y_pu),
            terminals=flow.terminals._replace(y_own_pu=own, y_far_pu=far),
        )

    def _admittances(self, positions: Reals) -> Complexes:
        """``Yff, Yft, Ytf, Ytt`` of each changer in use at its position; shape (changers, 4)."""
        return np.stack([self._all_at(float(positions[at]))[at] for at in self._used])

    def _all_at(self, position: float) -> Complexes:
        """The same of every changer, all at one position, as pandapower reckons them."""
        if position not in self._known:
            taps = self._positions()
            taps[self._rows] = position
            self._trafo["tap_pos"] = taps
            values = _calc_branch_values_from_trafo_df(self._net, self._ppc, self._trafo)
            for column, value in zip(_COLUMNS, values, strict=True):
                self._branch[:, column] = value
            y_tt, y_ff, y_ft, y_tf = branch_vectors(self._branch[self._rows], len(self._rows))
            self._known[position] = np.stack([y_ff, y_ft, y_tf, y_tt], axis=1)
        return self._known[position]

    def _positions(self) -> Reals:
        """Of all transformers, NaN where there are none."""
        positions: Reals = pd.to_numeric(self._trafo.tap_pos, errors="coerce").to_numpy(np.float64, copy=True)
        return positions

    def _entries_of(self, system: System, high: int, low: int) -> list[int]:
        """Where the four admittances stand in the matrix."""
        at = self._flow.terminals.node[[high, low]].tolist()
        found = []
        for row in at:
            columns = system.column[system.start[row] : system.start[row + 1]].tolist()
            found += [int(system.start[row]) + columns.index(column) for column in at if column in columns]
        if len(found) != 4:
            raise Unsupported("a transformer that is not in the admittance matrix")
        return found
