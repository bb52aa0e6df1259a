"""Newton's method for the power flow, on arrays and compiled.

The unknowns of a node are the step of its angle and the relative step of its magnitude, the equations its active and
reactive power, so the Jacobian consists of 2 x 2 blocks (Tinney, Hart, Power Flow Solution by Newton's Method, IEEE
Trans. PAS-86, 1967, 1449-1460). It has the structure of the admittance matrix, which does not change: where its
elimination fills in is found once (`simulators.grid.flow.pattern`), and every iteration eliminates anew along it,
without pivoting between nodes, which the diagonal dominance of admittances allows, and with full blocks within them,
which resistive lines need.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.grid.flow.compiled import compiled

Reals = NDArray[np.float64]
Complexes = NDArray[np.complex128]
Indices = NDArray[np.int32]

PQ, PV, FIXED = 0, 1, 2
"""What is known of a node: its power; its active power and magnitude; its voltage (slack, or without supply)."""

_HOPELESS_PU = 1e6
"""A mismatch that no start in reach of a solution has, p.u."""


class System(NamedTuple):
    """The equations of a network, nodes in the order of elimination.

    Attributes
    ----------
    start, column, y_pu
        The admittance matrix by rows: the entries of row i are those from ``start[i]`` to ``start[i + 1]``, p.u.
    kind
        `PQ`, `PV` or `FIXED`, by node.
    upper_start, upper, lower_start, lower
        Columns above and below the diagonal that hold anything once it is eliminated, by rows, ascending.
    """

    start: Indices
    column: Indices
    y_pu: Complexes
    kind: NDArray[np.int8]
    upper_start: Indices
    upper: Indices
    lower_start: Indices
    lower: Indices


class Work(NamedTuple):
    """Memory for one power flow after another; each thread needs its own."""

    flow: Complexes
    power: Complexes
    step: Reals
    pivot: Reals
    upper: Reals
    row: Reals


@compiled
def work_for(system: System) -> Work:
    """Memory that `newton` needs for a system."""
    nodes = len(system.kind)
    return Work(
        np.empty(len(system.y_pu), np.complex128),
        np.empty(nodes, np.complex128),
        np.empty((nodes, 2)),
        np.empty((nodes, 4)),
        np.empty((len(system.upper), 4)),
        np.empty((nodes, 4)),
    )


@compiled
def newton(
    system: System, s_pu: Complexes, v_pu: Complexes, work: Work, tolerance_pu: float, most: int
) -> int:
    """Solve the power flow in place.

    Parameters
    ----------
    system
        The network.
    s_pu
        Power that flows into the network at each node, p.u.; shape (nodes,). Reactive power of `PV` nodes and all of
        `FIXED` ones do not matter.
    v_pu
        Voltages to start from, then the solution, p.u.; shape (nodes,). Magnitudes of `PV` nodes and voltages of
        `FIXED` ones stay.
    work
        From `work_for`; afterwards ``work.power`` holds the power that really flows in at each node, p.u.
    tolerance_pu
        Largest mismatch of active or reactive power at a node, p.u.
    most
        Iterations before giving up.

    Returns
    -------
    int
        Iterations, -1 if there is no solution from here; `v_pu` is then of no use.
    """
    for iteration in range(most + 1):
        worst = _mismatch(system, s_pu, v_pu, work)
        if worst <= tolerance_pu:
            return iteration
        if iteration == most or not worst < _HOPELESS_PU:
            return -1
        if not _eliminate(system, work):
            return -1
        _move(system, v_pu, work)
    return -1


@compiled
def _mismatch(system: System, s_pu: Complexes, v_pu: Complexes, work: Work) -> float:
    """Powers at the voltages and what they miss; returns the largest miss."""
    worst = 0.0
    for i in range(len(v_pu)):
        total = 0j
        for at in range(system.start[i], system.start[i + 1]):
            current = system.y_pu[at] * v_pu[system.column[at]]
            work.flow[at] = v_pu[i] * current.conjugate()
            total += work.flow[at]
        work.power[i] = total
        work.step[i, 0] = 0.0
        work.step[i, 1] = 0.0
        if system.kind[i] != FIXED:
            missing = s_pu[i] - total
            work.step[i, 0] = missing.real
            if not abs(missing.real) <= worst:  # NaN is the worst
                worst = abs(missing.real)
            if system.kind[i] == PQ:
                work.step[i, 1] = missing.imag
                if not abs(missing.imag) <= worst:
                    worst = abs(missing.imag)
    return worst


@compiled
def _eliminate(system: System, work: Work) -> bool:
    """Row by row: the Jacobian's upper factor, the inverse of its pivots, and the right-hand side carried along.

    In one piece and entry by entry: numba pays for every slice, and for every array handed to a function.
    """
    flow, power, step, pivot, upper, row = work
    for i in range(len(system.kind)):
        if system.kind[i] == FIXED:
            pivot[i, 0], pivot[i, 1], pivot[i, 2], pivot[i, 3] = 1.0, 0.0, 0.0, 1.0
            for at in range(system.upper_start[i], system.upper_start[i + 1]):
                upper[at, 0], upper[at, 1], upper[at, 2], upper[at, 3] = 0.0, 0.0, 0.0, 0.0
            continue
        for at in range(system.lower_start[i], system.lower_start[i + 1]):
            j = system.lower[at]
            row[j, 0], row[j, 1], row[j, 2], row[j, 3] = 0.0, 0.0, 0.0, 0.0
        for at in range(system.upper_start[i], system.upper_start[i + 1]):
            j = system.upper[at]
            row[j, 0], row[j, 1], row[j, 2], row[j, 3] = 0.0, 0.0, 0.0, 0.0
        free = (
            1.0 if system.kind[i] == PQ else 0.0
        )  # else its magnitude stays, in place of its second equation
        for at in range(system.start[i], system.start[i + 1]):
            j, p, q = system.column[at], flow[at].real, flow[at].imag
            row[j, 0], row[j, 1], row[j, 2], row[j, 3] = q, p, -p * free, q * free
        row[i, 0] -= power[i].imag
        row[i, 1] += power[i].real
        row[i, 2] += power[i].real * free
        row[i, 3] += power[i].imag * free + (1.0 - free)
        right_0, right_1 = step[i, 0], step[i, 1]
        for at in range(system.lower_start[i], system.lower_start[i + 1]):
            k = system.lower[at]
            l_0 = row[k, 0] * pivot[k, 0] + row[k, 1] * pivot[k, 2]
            l_1 = row[k, 0] * pivot[k, 1] + row[k, 1] * pivot[k, 3]
            l_2 = row[k, 2] * pivot[k, 0] + row[k, 3] * pivot[k, 2]
            l_3 = row[k, 2] * pivot[k, 1] + row[k, 3] * pivot[k, 3]
            right_0 -= l_0 * step[k, 0] + l_1 * step[k, 1]
            right_1 -= l_2 * step[k, 0] + l_3 * step[k, 1]
            for entry in range(system.upper_start[k], system.upper_start[k + 1]):
                j = system.upper[entry]
                row[j, 0] -= l_0 * upper[entry, 0] + l_1 * upper[entry, 2]
                row[j, 1] -= l_0 * upper[entry, 1] + l_1 * upper[entry, 3]
                row[j, 2] -= l_2 * upper[entry, 0] + l_3 * upper[entry, 2]
                row[j, 3] -= l_2 * upper[entry, 1] + l_3 * upper[entry, 3]
        step[i, 0], step[i, 1] = right_0, right_1
        determinant = row[i, 0] * row[i, 3] - row[i, 1] * row[i, 2]
        if determinant == 0.0:
            return False
        pivot[i, 0], pivot[i, 1] = row[i, 3] / determinant, -row[i, 1] / determinant
        pivot[i, 2], pivot[i, 3] = -row[i, 2] / determinant, row[i, 0] / determinant
        for at in range(system.upper_start[i], system.upper_start[i + 1]):
            j = system.upper[at]
            upper[at, 0], upper[at, 1], upper[at, 2], upper[at, 3] = (
                row[j, 0],
                row[j, 1],
                row[j, 2],
                row[j, 3],
            )
    return True


@compiled
def _move(system: System, v_pu: Complexes, work: Work) -> None:
    """Substitute back and take the step."""
    upper, step, pivot = work.upper, work.step, work.pivot
    for i in range(len(system.kind) - 1, -1, -1):
        right_0, right_1 = step[i, 0], step[i, 1]
        for entry in range(system.upper_start[i], system.upper_start[i + 1]):
            j = system.upper[entry]
            right_0 -= upper[entry, 0] * step[j, 0] + upper[entry, 1] * step[j, 1]
            right_1 -= upper[entry, 2] * step[j, 0] + upper[entry, 3] * step[j, 1]
        step[i, 0] = pivot[i, 0] * right_0 + pivot[i, 1] * right_1
        step[i, 1] = pivot[i, 2] * right_0 + pivot[i, 3] * right_1
        if system.kind[i] != FIXED:
            turn = complex(math.cos(step[i, 0]), math.sin(step[i, 0]))
            v_pu[i] *= (1.0 + step[i, 1]) * turn
