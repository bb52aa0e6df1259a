"""Powers of a network's own elements over the steps of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from simulators.grid.draws import SIGNS, NodePower, Power, Powers

Reals = NDArray[np.float64]
Complexes = NDArray[np.complex128]


class Part(NamedTuple):
    """Elements of a table whose active or reactive power follows series.

    Attributes
    ----------
    table, quantity
        A table of `simulators.grid.draws.SIGNS`; ``p_mw`` or ``q_mvar``.
    rows
        Of the table.
    columns, factors
        Series each follows, and what it is multiplied by: MW or MVar per unit of the series; shape (rows,).
    """

    table: str
    quantity: str
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    factors: Reals


@dataclass(frozen=True)
class Background:
    """What a network's own elements draw or feed in, step by step.

    Attributes
    ----------
    series
        One row per step; shape (steps, columns).
    parts
        Who follows which; a later part goes before an earlier one.
    base
        Powers of everything that follows none.
    note
        What a reader must know of it.
    """

    series: Reals
    parts: tuple[Part, ...]
    base: Powers
    note: str

    @property
    def steps(self) -> int:
        """How many steps it has."""
        return len(self.series)

    def at(self, step: int) -> Powers:
        """Powers of every element in one step."""
        made = {name: Power(power.p_mw.copy(), power.q_mvar.copy()) for name, power in self.base.items()}
        for part in self.parts:
            values = getattr(made[part.table], part.quantity)
            values[part.rows] = part.factors * self.series[step, part.columns]
        return made

    def matrix(self, table: str, quantity: str, steps: slice = slice(None)) -> Reals:
        """Powers of the elements of one table; shape (steps, rows)."""
        series = self.series[steps]
        made = np.tile(getattr(self.base[table], quantity), (len(series), 1))
        for part in self.parts:
            if (part.table, part.quantity) == (table, quantity):
                made[:, part.rows] = part.factors * series[:, part.columns]
        return made

    def drawn(self, nodes: NodePower, steps: slice = slice(None)) -> Complexes:
        """What each node draws, MVA; shape (steps, nodes)."""
        rest = dict(self.base)
        weights: dict[tuple[str, str], tuple[NDArray[np.int64], Reals]] = {}
        for name in SIGNS:
            for quantity in ("p_mw", "q_mvar"):
                own = getattr(rest[name], quantity).copy()
                column, factor = np.zeros(len(own), np.int64), np.zeros(len(own))
                for part in self.parts:
                    if (part.table, part.quantity) == (name, quantity):
                        own[part.rows], column[part.rows], factor[part.rows] = 0.0, part.columns, part.factors
                weights[name, quantity] = column, factor
                rest[name] = rest[name]._replace(**{quantity: own})
        series = self.series[steps]
        total = np.broadcast_to(nodes.drawn(rest), (len(series), nodes.nodes)).copy()
        for axis, quantity in ((total.real, "p_mw"), (total.imag, "q_mvar")):
            matrix = csr_matrix((series.shape[1], nodes.nodes))
            for name, sign in SIGNS.items():
                column, factor = weights[name, quantity]
                used = (nodes.node[name] >= 0) & (factor != 0.0)
                at = (column[used], nodes.node[name][used])
                matrix = matrix + csr_matrix((sign * factor[used], at), shape=matrix.shape)
            axis += (matrix.T @ series.T).T
        return total


def following(
    base: Powers, series: Reals, parts: Sequence[Part], note: str, load: float = 1.0, generation: float = 1.0
) -> Background:
    """A background with factors on all loads and all static generators."""
    factor = {"load": load, "sgen": generation}
    scaled = {
        name: Power(power.p_mw * factor.get(name, 1.0), power.q_mvar * factor.get(name, 1.0))
        for name, power in base.items()
    }
    made = tuple(part._replace(factors=part.factors * factor.get(part.table, 1.0)) for part in parts)
    return Background(np.ascontiguousarray(series), made, scaled, note)
