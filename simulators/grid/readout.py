"""From a power flow, on pandapower's tables or on arrays, to a `Result`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulators.grid.draws import Powers
from simulators.grid.flow.model import Flow, Solution
from simulators.grid.limits import Limits, Violation
from simulators.grid.result import Result
from simulators.grid.source_limits import SourceLimits
from simulators.grid.supply import Supply

Array = NDArray[np.float64]


class Reader:
    """Reads the power flows of one network.

    Parameters
    ----------
    net
        A solved ``pandapowerNet``.
    limits
        What its results are held against, besides the limits of its sources and the supply of its buses.
    loads
        How many of its loads are its own; those of sites stand behind.
    """

    def __init__(self, net: Any, limits: Limits, loads: int) -> None:
        self._limits = limits
        self.sources = SourceLimits(net)
        self._supply = Supply(net, loads)
        # Lines, transformers, impedances, DC lines: pandapower gives the loss of each in one column name.
        self._lossy = [e for e in net if f"res_{e}" in net and len(net[e]) and "pl_mw" in net[f"res_{e}"]]
        self._lines = len(net.line)
        self._source_rows = {
            name: net[f"res_{name}"][["p_mw", "q_mvar"]].to_numpy() for name in ("ext_grid", "gen")
        }

    @property
    def counts_sources(self) -> bool:
        """Whether any source has a limit."""
        return self.sources.any

    def of_tables(self, net: Any, p_mw: Array, q_mvar: Array, powers: Powers) -> Result:
        """The network's last power flow, in which its sites took `p_mw` and its own elements had `powers`."""
        vm_pu = net.res_bus.vm_pu.to_numpy(copy=True)
        line = net.res_line.loading_percent.to_numpy(copy=True)
        trafo = np.concatenate(
            [net.res_trafo.loading_percent.to_numpy(), net.res_trafo3w.loading_percent.to_numpy()]
        ).astype(np.float64)
        slack_gens = (net.gen.slack & net.gen.in_service).to_numpy(dtype=bool)
        return Result(
            converged=True,
            vm_pu=vm_pu,
            va_degree=net.res_bus.va_degree.to_numpy(copy=True),
            line_loading_percent=line,
            trafo_loading_percent=trafo,
            p_loss_mw=float(
                sum(np.nansum(net[f"res_{element}"].pl_mw.to_numpy()) for element in self._lossy)
            ),
            p_slack_mw=_fed_in(net, "p_mw", slack_gens),
            q_slack_mvar=_fed_in(net, "q_mvar", slack_gens),
            site_p_mw=p_mw.copy(),
            site_q_mvar=q_mvar.copy(),
            violations=self._violations(vm_pu, line, trafo, net, powers),
        )

    def of_arrays(self, flow: Flow, solution: Solution, p_mw: Array, q_mvar: Array, powers: Powers) -> Result:
        """The same of a power flow on arrays."""
        v_pu = np.where(flow.node >= 0, solution.v_pu[flow.node], complex(np.nan, np.nan))
        vm_pu = np.abs(v_pu)
        line, trafo = np.split(solution.loading_percent, [self._lines])
        slack = flow.slack_mva(solution.fed_mva)
        sources = self.of_sources(flow, solution, powers) if self.sources.any else {}
        return Result(
            converged=True,
            vm_pu=vm_pu,
            va_degree=np.degrees(np.angle(v_pu)),
            line_loading_percent=line,
            trafo_loading_percent=trafo,
            p_loss_mw=solution.losses_mw,
            p_slack_mw=slack.real,
            q_slack_mvar=slack.imag,
            site_p_mw=p_mw.copy(),
            site_q_mvar=q_mvar.copy(),
            violations=self._violations(vm_pu, line, trafo, sources, powers),
        )

    def of_sources(self, flow: Flow, solution: Solution, powers: Powers) -> dict[str, dict[str, Array]]:
        """Powers of sources as pandapower's result tables have them."""
        p_mw, q_mvar = flow.source_powers(solution.fed_mva, powers["gen"].p_mw)
        tables = {}
        for name, rows in self._source_rows.items():
            table, of_table = rows.copy(), flow.sources.table == name
            table[flow.sources.row[of_table]] = np.stack([p_mw[of_table], q_mvar[of_table]], axis=1)
            tables[f"res_{name}"] = {"p_mw": table[:, 0], "q_mvar": table[:, 1]}
        return tables

    def _violations(
        self, vm_pu: Array, line: Array, trafo: Array, sources: Mapping[str, Any], powers: Powers
    ) -> tuple[Violation, ...]:
        return (
            *self._supply.check(powers),
            *self._limits.check(vm_pu, line, trafo),
            *self.sources.check(sources),
        )


def _fed_in(net: Any, column: str, slack_gens: NDArray[np.bool_]) -> float:
    """What external grids and slack generators feed in, MW or MVar."""
    return float(np.nansum(net.res_ext_grid[column]) + net.res_gen[column].to_numpy()[slack_gens].sum())
