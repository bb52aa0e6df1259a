"""Many power flows of one network where nothing feeds back from one to the next."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulators.grid.flow.compiled import compiled
from simulators.grid.flow.model import ITERATIONS, Flow
from simulators.grid.flow.newton import Complexes, Reals, System, newton, work_for
from simulators.grid.flow.terminals import Terminals, load_elements

CHAIN = 96
"""Power flows that start from each other's voltages. Fixed, so that results do not depend on the number of threads."""

THREADS = 2


@dataclass(frozen=True)
class Batch:
    """Power flows in order.

    Attributes
    ----------
    v_pu, fed_mva
        Voltages and what sources feed in, by node; shape (flows, nodes). NaN without a solution.
    loading_percent
        Of lines, then transformers; shape (flows, elements).
    losses_mw
        Of all branches; shape (flows,).
    solved
        Shape (flows,).
    """

    v_pu: Complexes
    fed_mva: Complexes
    loading_percent: Reals
    losses_mw: Reals
    solved: NDArray[np.bool_]


def solve_batch(flow: Flow, drawn_mva: Complexes) -> Batch:
    """Solve the power flow for every row of `drawn_mva`, on all threads.

    Parameters
    ----------
    flow
        The network.
    drawn_mva
        What each node draws; shape (flows, nodes).
    """
    flows, nodes = drawn_mva.shape
    v_pu = np.empty((flows, nodes), np.complex128)
    fed = np.empty((flows, nodes), np.complex128)
    loading = np.tile(np.append(flow.loading_percent, 0.0), (flows, 1))
    losses, solved = np.empty(flows), np.empty(flows, np.bool_)
    s_pu = -drawn_mva / flow.base_mva

    def chain(first: int) -> None:
        rows = slice(first, first + CHAIN)
        _chain(
            flow.system, flow.terminals, s_pu[rows], flow.v_pu, flow.tolerance_pu, ITERATIONS,
            v_pu[rows], fed[rows], loading[rows], losses[rows], solved[rows],
        )  # fmt: skip

    on_threads(chain, range(0, flows, CHAIN))
    fed = fed * flow.base_mva + drawn_mva
    return Batch(v_pu, fed, loading[:, :-1], losses * flow.base_mva, solved)


def on_threads(work: Callable[[int], None], items: range) -> None:
    """Do all of it; compiled code lets other threads run."""
    with ThreadPoolExecutor(THREADS) as pool:
        for _ in pool.map(work, items):
            pass


@compiled
def _chain(
    system: System,
    terminals: Terminals,
    s_pu: Complexes,
    start_pu: Complexes,
    tolerance_pu: float,
    most: int,
    v_pu: Complexes,
    fed_pu: Complexes,
    loading: Reals,
    losses: Reals,
    solved: NDArray[np.bool_],
) -> None:
    """Power flows one after another, each from the last one's voltages, else from the start."""
    work, now = work_for(system), start_pu.copy()
    for row in range(len(s_pu)):
        solved[row] = newton(system, s_pu[row], now, work, tolerance_pu, most) >= 0
        if not solved[row]:
            now[:] = start_pu
            solved[row] = newton(system, s_pu[row], now, work, tolerance_pu, most) >= 0
        if solved[row]:
            v_pu[row] = now
            fed_pu[row] = work.power
            losses[row] = load_elements(terminals, now, loading[row])
        else:
            v_pu[row] = np.nan
            fed_pu[row] = np.nan
            loading[row] = np.nan
            losses[row] = np.nan
            now[:] = start_pu
