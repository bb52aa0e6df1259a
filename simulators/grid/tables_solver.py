"""The power flow as pandapower does it, on its tables: the oracle, and the way out where arrays do not do.

Within a run only the power of loads, storage and static generators changes, so a step starts from the last voltages
and reuses the admittance matrix. When that fails, the kept state is worthless (every later step would fail from it):
it is dropped, and the step is solved again from nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandapower
from numpy.typing import NDArray
from pandapower.powerflow import LoadflowNotConverged

from simulators.errors import InputError
from simulators.grid.draws import SIGNS, Powers

_RECYCLE = {"bus_pq": True, "gen": False, "trafo": False}
_RETRY_ITERATIONS = 50

_WORTH_COMPILING = 20
"""Power flows after which pandapower's own compilation, which every process pays anew, has paid off."""
_UNSOLVED = (LoadflowNotConverged, FloatingPointError)

Array = NDArray[np.float64]


class Drawn(NamedTuple):
    """What a site draws: rows of its load and its static generator, MW (negative: export) and MVar."""

    load: int
    sgen: int
    p_mw: float
    q_mvar: float


class TablesSolver:
    """Power flows of one ``pandapowerNet``, whose tables it writes and whose result tables it leaves.

    Parameters
    ----------
    net
        The network.
    enforce_q_lims
        Hold generators at their reactive limits; steps then start from nothing, several times slower.
    """

    def __init__(self, net: Any, enforce_q_lims: bool) -> None:
        self.net = net
        self._enforce_q_lims = enforce_q_lims
        self._warm = False
        self._solved = 0

    def state(self) -> dict[str, int]:
        """For `simulators.kept`.

        Raises
        ------
        InputError
            If the next power flow starts from the tables of the last one: these are not kept.
        """
        if self._warm:
            raise InputError("a network solved by pandapower's tables cannot be kept")
        return {"solved": self._solved}

    def restore(self, values: Mapping[str, int]) -> None:
        """Go on from a kept `state`."""
        self._solved = values["solved"]

    def forget(self) -> None:
        """Start the next power flow from nothing: the network's tables are others."""
        self._warm = False

    def write(self, powers: Powers, sites: list[Drawn]) -> None:
        """Give every element its power; those of sites stand behind the network's own."""
        for name in SIGNS:
            table, own = self.net[name], powers[name]
            rest = len(table) - len(own.p_mw)
            table["p_mw"] = np.concatenate([own.p_mw, np.zeros(rest)])
            if "q_mvar" in table:
                table["q_mvar"] = np.concatenate([own.q_mvar, np.zeros(rest)])
            table["scaling"] = 1.0
        for site in sites:
            self.net.load.at[site.load, "p_mw"] = max(site.p_mw, 0.0)
            self.net.load.at[site.load, "q_mvar"] = site.q_mvar
            self.net.sgen.at[site.sgen, "p_mw"] = max(-site.p_mw, 0.0)

    def solve(self) -> bool:
        """Run the power flow from the last voltages, else as pandapower starts, else from a DC solution or flat.

        A DC solution does not exist where a branch has resistance only.
        """
        net = self.net
        self._solved += 1
        numba = self._solved > _WORTH_COMPILING
        if self._warm:
            try:
                pandapower.runpp(net, init="results", recycle=_RECYCLE, numba=numba)
                return True
            except _UNSOLVED:
                self._warm = False
        retry = {"max_iteration": _RETRY_ITERATIONS}
        resistive = not net.line.x_ohm_per_km.all() or not (net.impedance.xft_pu * net.impedance.xtf_pu).all()
        for options in ({}, {"init": "flat" if resistive else "dc", **retry}):
            net["_ppc"] = None
            try:
                pandapower.runpp(net, enforce_q_lims=self._enforce_q_lims, numba=numba, **options)
            except _UNSOLVED:
                continue
            # A file may ask for another algorithm, which keeps nothing; limits change which buses hold a voltage;
            # pandapower takes the generators that stand for DC lines out of its tables after every power flow.
            keeps = net["_options"]["algorithm"] == "nr" and net.dcline.empty
            self._warm = keeps and not self._enforce_q_lims
            return True
        return False
