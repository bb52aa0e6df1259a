"""The power flows of a run in which nothing feeds back: solved many at a time, handed out one by one."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from simulators.grid.background.background import Background
from simulators.grid.flow.batch import CHAIN, solve_batch
from simulators.grid.flow.model import Solution
from simulators.grid.network import Network
from simulators.grid.result import Result

_BLOCK = 28 * CHAIN
"""Power flows held in memory at a time."""

Array = NDArray[np.float64]


def results(network: Network, background: Background, p_mw: Array) -> Iterator[Result]:
    """One result for each step, equal to those of `Network.step`.

    Parameters
    ----------
    network
        With its sites.
    background
        What its own elements do.
    p_mw
        What each site draws; shape (steps, sites).
    """
    if network.feeds_back:
        for step in range(background.steps):
            yield network.step(p_mw[step], powers=background.at(step))
        return
    q_mvar = network.reactive_mvar(p_mw)
    solver = network.solver
    for first in range(0, background.steps, _BLOCK):
        steps = range(first, min(first + _BLOCK, background.steps))
        if solver.flow is None or solver.nodes is None:
            for step in steps:
                yield network.step(p_mw[step], q_mvar[step], powers=background.at(step))
            continue
        block = slice(steps.start, steps.stop)
        drawn = background.drawn(solver.nodes, block)
        for number, site in enumerate(network.sites):
            drawn[:, solver.node_of(site.bus)] += p_mw[block, number] + 1j * q_mvar[block, number]
        batch = solve_batch(solver.flow, drawn)
        for row, step in enumerate(steps):
            powers = background.at(step)
            solution = Solution(
                batch.v_pu[row], batch.fed_mva[row], batch.loading_percent[row], float(batch.losses_mw[row])
            )
            result = solver.result(solution, powers, p_mw[step], q_mvar[step]) if batch.solved[row] else None
            yield result or network.step(p_mw[step], q_mvar[step], powers=powers)
