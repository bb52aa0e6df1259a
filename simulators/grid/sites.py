"""Sites on a network, and one power flow in which their reactive power settles with the voltages it leads to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulators.grid.draws import Powers
from simulators.grid.reactive import Characteristic, settle
from simulators.grid.result import Result, unsolved
from simulators.grid.solver import Solver
from simulators.grid.tables_solver import Drawn

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Site:
    """What `Network.attach` put on a bus: a load for consumption and a static generator for export."""

    name: str
    bus: int
    load: int
    sgen: int
    reactive: Characteristic | None = None


class SitesFlow:
    """Power flows of a network with sites that draw given powers.

    Parameters
    ----------
    solver
        Of the network.
    sites
        On it.
    own
        What its own elements do.
    p_mw, q_mvar
        What each site draws; shape (sites,).
    ruled
        Sites whose reactive power is not `q_mvar`, but what their characteristics ask for.

    Attributes
    ----------
    drawn
        What the sites drew in the last power flow.
    """

    def __init__(
        self,
        solver: Solver,
        sites: Sequence[Site],
        own: Powers,
        p_mw: Array,
        q_mvar: Array,
        ruled: Sequence[int],
    ) -> None:
        self._solver, self._sites, self._own = solver, sites, own
        self._p_mw, self._q_mvar, self._ruled = p_mw, q_mvar, ruled
        self._buses = [site.bus for site in sites]
        self.drawn: list[Drawn] = []

    def solve(self) -> Result:
        """One power flow in which network and characteristics agree."""
        start = self._asked(np.ones(len(self._solver.supplied)))
        if not any(self._by_voltage(n) for n in self._ruled):
            return self._with(start)
        at_lowest = self._asked(np.zeros(len(self._solver.supplied)))
        settled = _settled(lambda q_mvar: self._asked(self._with(q_mvar).vm_pu), start, at_lowest)
        if settled is None:
            return unsolved(*self._solver.sizes, self._p_mw, start)
        return self._with(settled)

    def _with(self, q_mvar: Array) -> Result:
        """One power flow in which the sites draw this reactive power."""
        powers = zip(self._p_mw.tolist(), q_mvar.tolist(), strict=True)
        self.drawn = [
            Drawn(site.load, site.sgen, *power) for site, power in zip(self._sites, powers, strict=True)
        ]
        return self._solver.step(self._own, self.drawn, self._buses, self._p_mw, q_mvar)

    def _asked(self, vm_pu: Array) -> Array:
        """Reactive powers at these voltages, by bus: of those that are ruled by characteristic, none without supply."""
        q_mvar = self._q_mvar.copy()
        for n in self._ruled:
            rule, bus = self._sites[n].reactive, self._buses[n]
            assert rule is not None
            vm = float(vm_pu[self._solver.place_of(bus)])
            q_mvar[n] = rule.drawn_mvar(float(self._p_mw[n]), vm) if self._solver.supplied[bus] else 0.0
        return q_mvar

    def _by_voltage(self, site: int) -> bool:
        rule = self._sites[site].reactive
        return rule is not None and rule.kind == "qv"


def _settled(asked: Callable[[Array], Array], *starts: Array) -> Array | None:
    """Reactive powers that settle, from the first start with a solution: at nominal voltage, else at the lowest."""
    for start in starts:
        if np.isfinite(asked(start)).all():
            return settle(asked, start)
    return None
