"""Who draws what in a network, and where: its own loads, generators and storage, by element and by node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

SIGNS = {"load": 1.0, "sgen": -1.0, "storage": 1.0, "gen": -1.0}
"""Tables whose elements may change their power within a run; sign of what they draw. Generators (``gen``) hold their
voltage, so that they have no reactive power here."""

Array = NDArray[np.float64]
Complexes = NDArray[np.complex128]


class Power(NamedTuple):
    """Powers of the elements of one table, in its own sign, scaling included; MW and MVar."""

    p_mw: Array
    q_mvar: Array


Powers = Mapping[str, Power]
"""Power of every element of the tables in `SIGNS`."""

Given = Mapping[str, Mapping[int, tuple[float | None, float | None]]]
"""Table -> row -> MW and MVar, in the table's own sign, of an element that is told what to do; None: as it would."""


@dataclass(frozen=True)
class Draws:
    """The elements of a network that may change their power.

    Attributes
    ----------
    own
        Their powers in the file, with their scaling.
    unscaled
        The same without.
    """

    own: Powers
    unscaled: Powers

    @classmethod
    def of(cls, net: Any) -> Draws:
        """Those of a ``pandapowerNet``."""
        unscaled = {name: _power(net[name], np.ones(len(net[name]))) for name in SIGNS}
        own = {name: _power(net[name], net[name].scaling.to_numpy(dtype=np.float64)) for name in SIGNS}
        return cls(own, unscaled)

    def scaled(
        self, load_scaling: float | None, gen_scaling: float | None, powers: Powers | None = None
    ) -> Powers:
        """Powers at other scalings of loads and static generators; of `powers`, if given, these are factors."""
        made = dict(self.own if powers is None else powers)
        for name, scaling in (("load", load_scaling), ("sgen", gen_scaling)):
            if scaling is not None:
                p_mw, q_mvar = (self.unscaled if powers is None else powers)[name]
                made[name] = Power(p_mw * scaling, q_mvar * scaling)
        return made

    @staticmethod
    def given(powers: Powers, given: Given) -> Powers:
        """Powers with those of some elements replaced."""
        made = dict(powers)
        for name, rows in given.items():
            p_mw, q_mvar = made[name].p_mw.copy(), made[name].q_mvar.copy()
            for row, (p, q) in rows.items():
                p_mw[row] = p_mw[row] if p is None else p
                q_mvar[row] = q_mvar[row] if q is None else q
            made[name] = Power(p_mw, q_mvar)
        return made


class NodePower:
    """From the powers of elements to what each node draws.

    Parameters
    ----------
    net
        A solved ``pandapowerNet``.
    draws
        Its elements.
    node
        Where each bus is, in the network's order; -1 without supply.
    drawn_mva
        What each node drew in it, of all tables; shape (nodes,).
    """

    def __init__(self, net: Any, draws: Draws, node: NDArray[np.int64], drawn_mva: Complexes) -> None:
        at = dict(zip(net.bus.index.tolist(), node.tolist(), strict=True))
        self.nodes = len(drawn_mva)
        self.node: dict[str, NDArray[np.int64]] = {}
        """Node of each element; -1 for one that draws nothing."""
        for name in SIGNS:
            table = net[name].iloc[: len(draws.own[name].p_mw)]  # sites stand behind
            places = np.array([at.get(bus, -1) for bus in table.bus.tolist()], dtype=np.int64)
            used = table.in_service.to_numpy(dtype=bool)
            if name == "gen":  # one that balances the network gives what that takes
                used = used & ~table.slack.to_numpy(dtype=bool)
            self.node[name] = np.where(used, places, -1)
        self._rest = drawn_mva - self._sum(draws.own)

    def drawn(self, powers: Powers) -> Complexes:
        """What each node draws, MVA; shape (nodes,)."""
        return self._rest + self._sum(powers)

    def _sum(self, powers: Powers) -> Complexes:
        total = np.zeros(self.nodes, dtype=np.complex128)
        for name, sign in SIGNS.items():
            used = self.node[name] >= 0
            at = self.node[name][used]
            total.real += sign * np.bincount(at, powers[name].p_mw[used], self.nodes)
            total.imag += sign * np.bincount(at, powers[name].q_mvar[used], self.nodes)
        return total


def _power(table: Any, scaling: Array) -> Power:
    p_mw = table.p_mw.to_numpy(dtype=np.float64)
    q_mvar = table.q_mvar.to_numpy(dtype=np.float64) if "q_mvar" in table else np.zeros(len(table))
    used = table.in_service.to_numpy(dtype=bool)
    return Power(np.where(used, p_mw * scaling, 0.0), np.where(used, q_mvar * scaling, 0.0))
