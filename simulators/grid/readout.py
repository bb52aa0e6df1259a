"""From pandapower's result tables to a `Result`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulators.grid.limits import Limits
from simulators.grid.result import Result
from simulators.grid.source_limits import SourceLimits
from simulators.grid.supply import unsupplied

Array = NDArray[np.float64]


class Reader:
    """Reads the result tables of one network.

    Parameters
    ----------
    net
        A solved ``pandapowerNet``.
    limits
        What its results are held against, besides the limits of its sources and the supply of its buses.
    """

    def __init__(self, net: Any, limits: Limits) -> None:
        self._limits = limits
        self._sources = SourceLimits(net)
        # Lines, transformers, impedances, DC lines: pandapower gives the loss of each in one column name.
        self._lossy = [e for e in net if f"res_{e}" in net and len(net[e]) and "pl_mw" in net[f"res_{e}"]]

    def read(self, net: Any, p_mw: Array, q_mvar: Array) -> Result:
        """The network's last power flow, in which its sites took `p_mw` and `q_mvar`."""
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
            violations=(
                *unsupplied(net, vm_pu),
                *self._limits.check(vm_pu, line, trafo),
                *self._sources.check(net),
            ),
        )


def _fed_in(net: Any, column: str, slack_gens: NDArray[np.bool_]) -> float:
    """What external grids and slack generators feed in, MW or MVar."""
    return float(np.nansum(net.res_ext_grid[column]) + net.res_gen[column].to_numpy()[slack_gens].sum())
