"""Power flows of one network: on arrays where they hold all of it, else on pandapower's tables."""

from __future__ import annotations

from copy import copy as shallow_copy
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulators.errors import InputError
from simulators.grid.draws import Draws, NodePower, Powers
from simulators.grid.flow.model import Flow, Solution, Unsupported, flow_of
from simulators.grid.flow.retap import Retap
from simulators.grid.limits import Limits, Violation
from simulators.grid.readout import Reader
from simulators.grid.result import Result, unsolved
from simulators.grid.tables_solver import Drawn, TablesSolver
from simulators.grid.taps import TapChangers

_SAME = 1e-6
"""How near arrays must come to pandapower's own results where it solves to 1e-8 of the base; relative above 1."""

DOUBTFUL_PU = 0.8
"""Newton's method has a second solution of low voltages; below this, pandapower's start decides which one counts."""

Array = NDArray[np.float64]
Complexes = NDArray[np.complex128]


class Solver:
    """Power flows of one network.

    Parameters
    ----------
    net
        A ``pandapowerNet``; without sites, unless `draws` is given.
    name
        For messages.
    limits
        What results are held against.
    enforce_q_lims
        Whether generators are held at their reactive limits.
    arrays
        Whether to solve on arrays at all.
    taps
        Tap changers that hold a voltage, if any.
    draws
        Elements of the network, where its tables hold sites behind them.

    Attributes
    ----------
    flow
        The network on arrays; None where it holds what these do not, and `why` then says what.
    nodes
        Where its elements are on them.
    sizes
        How many buses, lines and transformers there are.
    solution
        The last power flow on arrays; None where the last one was pandapower's.

    Raises
    ------
    InputError
        If the network as it is has no solution.
    """

    def __init__(
        self,
        net: Any,
        name: str,
        limits: Limits,
        enforce_q_lims: bool,
        arrays: bool,
        taps: TapChangers | None = None,
        draws: Draws | None = None,
    ) -> None:
        self.tables, self.taps = TablesSolver(net, enforce_q_lims), taps
        if draws is not None:
            self.tables.write(draws.own, [])
        if taps is not None:
            taps.write(net)
        if not _first(self.tables, name):
            raise InputError(f"network {name}: its power flow has no solution even without a site")
        self.draws = Draws.of(net) if draws is None else draws
        self.reader = Reader(net, limits, len(self.draws.own["load"].p_mw))
        self.supplied = dict(zip(net.bus.index.tolist(), net.res_bus.vm_pu.notna().tolist(), strict=True))
        self.flow: Flow | None = None
        self.nodes: NodePower | None = None
        self.why = ""
        self.enforced = bool(net["_options"]["enforce_q_lims"])
        self.sizes = (len(net.bus), len(net.line), len(net.trafo) + len(net.trafo3w))
        self._at = {bus: at for at, bus in enumerate(net.bus.index.tolist())}
        self.solution: Solution | None = None
        self._retap: Retap | None = None
        try:
            if not arrays:
                raise Unsupported("arrays are not wanted")
            flow, self.nodes = self._build(net)
            self._retap = None if taps is None else Retap(net, flow, taps.rows)
            self.flow = flow
        except Unsupported as reason:
            self.why = str(reason)
        self._tapped = None if taps is None else taps.position
        self._last_pu: Complexes | None = None
        self.forget()

    def copy(self, net: Any) -> Solver:
        """The same for a copy of its network, as if it had not been used."""
        twin = shallow_copy(self)
        twin.tables = TablesSolver(net, self.tables._enforce_q_lims)
        twin.taps = shallow_copy(self.taps)
        twin.forget()
        return twin

    def forget(self) -> None:
        """Start the next power flow from nothing."""
        self.tables.forget()
        self.solution = None
        self._set_taps()
        self._last_pu = None if self.flow is None else self.flow.v_pu

    def forget_arrays(self) -> None:
        """Leave every power flow to pandapower."""
        self.flow, self.why, self._retap = None, "arrays are not wanted", None
        self.forget()

    def step(
        self, powers: Powers, sites: list[Drawn], buses: list[int], p_mw: Array, q_mvar: Array
    ) -> Result:
        """One power flow with sites at `buses` that draw `p_mw` and `q_mvar`; shape (sites,).

        A site at a bus that has lost its supply draws nothing, and what it would have is unserved.
        """
        lost = [number for number, bus in enumerate(buses) if not self.supplied[bus]]
        if lost:
            served = np.isin(np.arange(len(buses)), lost, invert=True)
            dark = [
                site._replace(p_mw=0.0, q_mvar=0.0) if not served[n] else site for n, site in enumerate(sites)
            ]
            result = self._step(powers, dark, buses, p_mw * served, q_mvar * served)
            lost_mw = dict.fromkeys((buses[n] for n in lost), 0.0)
            for n in lost:
                lost_mw[buses[n]] += max(float(p_mw[n]), 0.0)
            return _unserved(result, lost_mw)
        return self._step(powers, sites, buses, p_mw, q_mvar)

    def retap(self, result: Result) -> bool:
        """Let tap changers move by what a power flow says; whether any did."""
        taps = self.taps
        if taps is None or not result.converged:
            return False
        moves = taps.moves(result.vm_pu)
        if not moves.any():
            return False
        taps.position = taps.position + moves
        self.tables.forget()
        self._set_taps()
        return True

    def _set_taps(self) -> None:
        """Bring the network on arrays to the positions of the tap changers, which other solvers may have moved."""
        if self._retap is None or self.taps is None or self.taps.position is self._tapped:
            return
        self.flow, self._tapped = self._retap.at(self.taps.position), self.taps.position

    def again_on_tables(self, powers: Powers, sites: list[Drawn]) -> bool:
        """A power flow that was on arrays once more by pandapower, for its result tables; whether it has a solution."""
        self._write(powers, sites)
        return self.tables.solve()

    def _write(self, powers: Powers, sites: list[Drawn]) -> None:
        """Give the tables powers and positions of taps."""
        self.tables.write(powers, sites)
        if self.taps is not None:
            self.taps.write(self.tables.net)

    def _step(
        self, powers: Powers, sites: list[Drawn], buses: list[int], p_mw: Array, q_mvar: Array
    ) -> Result:
        result = self._on_arrays(powers, buses, p_mw, q_mvar)
        if result is not None:
            return result
        self._write(powers, sites)
        if self.tables.solve():
            return self.reader.of_tables(self.tables.net, p_mw, q_mvar, powers)
        return unsolved(*self.sizes, p_mw, q_mvar)

    def place_of(self, bus: int) -> int:
        """Where a bus is in the network's order."""
        return self._at[bus]

    def node_of(self, bus: int) -> int:
        """Where a bus is on the arrays; -1 without supply."""
        assert self.flow is not None
        return int(self.flow.node[self._at[bus]])

    def _on_arrays(self, powers: Powers, buses: list[int], p_mw: Array, q_mvar: Array) -> Result | None:
        flow, self.solution = self.flow, None
        if flow is None or self.nodes is None or self._last_pu is None:
            return None
        drawn = self.nodes.drawn(powers)
        for bus, p, q in zip(buses, p_mw.tolist(), q_mvar.tolist(), strict=True):
            if self.supplied[bus]:
                drawn[self.node_of(bus)] += complex(p, q)
        solution = flow.solve(drawn, self._last_pu)
        if solution is None or np.abs(solution.v_pu).min() < DOUBTFUL_PU:
            self._last_pu = flow.v_pu
            solution = flow.solve(drawn, flow.v_pu)
        result = None if solution is None else self.result(solution, powers, p_mw, q_mvar)
        if result is not None and solution is not None:
            self._last_pu, self.solution = solution.v_pu, solution
        return result

    def result(self, solution: Solution, powers: Powers, p_mw: Array, q_mvar: Array) -> Result | None:
        """What a power flow on arrays says; None where pandapower has to be asked."""
        assert self.flow is not None
        if np.abs(solution.v_pu).min() < DOUBTFUL_PU:
            return None
        if self.enforced and self._beyond(self.flow, solution.fed_mva, powers):
            return None
        return self.reader.of_arrays(self.flow, solution, p_mw, q_mvar, powers)

    @staticmethod
    def _beyond(flow: Flow, fed_mva: Complexes, powers: Powers) -> bool:
        """Whether a generator that holds its voltage gives more reactive power than it can."""
        sources = flow.sources
        q_mvar = flow.source_powers(fed_mva, powers["gen"].p_mw)[1]
        outside = (q_mvar > sources.q_high_mvar) | (q_mvar < sources.q_low_mvar)
        return bool((outside & ~sources.slack).any())

    def _build(self, net: Any) -> tuple[Flow, NodePower]:
        """The network on arrays, and where its elements are, if these say what pandapower says.

        What arrays hold does not depend on reactive limits, so they are made from a power flow without.
        """
        if self.enforced:
            free = TablesSolver(net, False)
            if not free.solve():
                raise Unsupported("no solution without reactive limits")
        flow = flow_of(net)
        if (self.enforced or self.reader.counts_sources) and flow.sources.shared.any():
            raise Unsupported("several generators at one bus, each with its limits")
        nodes = NodePower(net, self.draws, flow.node, flow.drawn_mva)
        none = np.zeros(0)
        by_tables = self.reader.of_tables(net, none, none, self.draws.own)
        solution = flow.solve(nodes.drawn(self.draws.own), flow.v_pu)
        if solution is None:
            raise Unsupported("no solution on arrays")
        by_arrays = self.reader.of_arrays(flow, solution, none, none, self.draws.own)
        for field in (
            "vm_pu",
            "line_loading_percent",
            "trafo_loading_percent",
            "p_loss_mw",
            "p_slack_mw",
            "q_slack_mvar",
        ):
            ours, theirs = np.asarray(getattr(by_arrays, field)), np.asarray(getattr(by_tables, field))
            if not np.allclose(ours, theirs, rtol=_SAME, atol=_SAME, equal_nan=True):
                raise Unsupported(f"{field} differs from pandapower's")
        return flow, nodes


def _unserved(result: Result, lost_mw: dict[int, float]) -> Result:
    """The result with the load of sites at buses without supply."""
    violations = tuple(
        replace(found, value=found.value + lost_mw[found.index])
        if found.kind == "no supply" and found.index in lost_mw
        else found
        for found in result.violations
    )
    told = {found.index for found in violations if found.kind == "no supply"}
    more = [Violation("bus", bus, "no supply", p, 0.0) for bus, p in lost_mw.items() if bus not in told]
    return replace(result, violations=(*more, *violations)) if result.converged else result


def _first(tables: TablesSolver, name: str) -> bool:
    """The power flow of the network as it came; what pandapower does not take at all is wrong with the network."""
    try:
        return tables.solve()
    except Exception as error:  # pandapower raises whatever its tables trip over
        words = f"{type(error).__name__}: {error}"
        raise InputError(f"network {name}: pandapower cannot solve it ({words})") from error
