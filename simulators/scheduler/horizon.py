"""The best use of deferrable work, replicas, battery and grid over the coming blocks of time: a linear programme.

The site's power against its rate of requests enters as its lower convex hull (`Fleet.hull`), so the optimum is a bound
that no schedule with the same forecasts beats. Solved by HiGHS (Q. Huangfu, J. A. J. Hall, Mathematical Programming
Computation 10, 2018) through SciPy.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from simulators.quantities.facts import BatteryFacts

if TYPE_CHECKING:
    from scipy import sparse

Array = NDArray[np.float64]

WEAR = 1e-3
"""What moving a Wh through the battery costs beside its losses, as a share of the mean signal: breaks ties."""

LATENESS = 1e-5
"""What waiting a block costs a request, as a share of what it costs to serve it: breaks ties towards early."""


@dataclass(frozen=True)
class Problem:
    """What is known of the coming blocks; arrays have shape (blocks,).

    Attributes
    ----------
    block_s
        Length of a block, s.
    interactive_per_s
        Requests that cannot wait, 1/s.
    available, due
        Deferrable requests that are there by the end of each block, and that must have left by then; both in sum.
    generation_w
        Own generation, W.
    signal
        Cost of a kWh from the grid: carbon intensity or price.
    lines
        The site's power: W per 1/s, and W at 0, of each line; shape (lines, 2).
    most_per_s
        The highest rate of requests, 1/s.
    battery, stored_wh
        Its limits, None without one; what it holds now, Wh.
    import_limit_w
        Of the connection, W; what must be taken beyond costs a thousand times the signal.
    """

    block_s: float
    interactive_per_s: Array
    available: Array
    due: Array
    generation_w: Array
    signal: Array
    lines: Array
    most_per_s: float
    battery: BatteryFacts | None = None
    stored_wh: float = 0.0
    import_limit_w: float = inf


@dataclass(frozen=True)
class Solution:
    """What to do in each block; arrays have shape (blocks,).

    Attributes
    ----------
    released_per_s
        Deferrable requests let go, 1/s.
    battery_w
        At its terminals, charging positive, W.
    meter_w, import_w
        Power of the site and from the grid, W.
    objective
        Signal times import, in sum, e.g. g; without what is stored in the end.
    """

    released_per_s: Array
    battery_w: Array
    meter_w: Array
    import_w: Array
    objective: float


def solve(problem: Problem) -> Solution:
    """The cheapest schedule that lets every request leave in time.

    What cannot leave in time at the highest rate leaves as soon as it can.

    Examples
    --------
    Two hours, the second cleaner: all that can wait does.

    >>> two = np.ones(2)
    >>> found = solve(Problem(3600.0, 1.0 * two, 3600.0 * two, np.array([0.0, 3600.0]), 0.0 * two,
    ...     np.array([300.0, 100.0]), np.array([[200.0, 500.0]]), most_per_s=5.0))
    >>> found.released_per_s.round(6).tolist(), round(found.objective, 6)
    ([0.0, 1.0], 300.0)
    """
    from scipy.optimize import linprog

    blocks, hours = len(problem.signal), problem.block_s / 3600.0
    released, due = _reachable(problem)
    signal = np.maximum(problem.signal, 0.0) if np.any(problem.signal < 0) else problem.signal
    scale = float(np.mean(signal)) or 1.0
    cost = signal / scale
    names = ("left", "meter", "import", "over", "spill", "charge", "discharge", "stored")
    at = {name: k * blocks + np.arange(blocks) for k, name in enumerate(names)}
    low, high, costs = (np.full(len(names) * blocks, value) for value in (0.0, np.inf, 0.0))
    low[at["left"]], high[at["left"]] = due, released
    high[at["import"]] = problem.import_limit_w
    high[at["over"]] = np.inf if np.isfinite(problem.import_limit_w) else 0.0
    costs[at["import"]], costs[at["over"]] = cost, 1e3 * (1.0 + cost)
    served = float(problem.lines[:, 0].mean()) / problem.block_s  # W of a block that a request takes
    costs[at["left"]] = -LATENESS * max(served, 1e-9)
    _battery_terms(problem, at, low, high, costs)
    rows = _balance(problem, at, hours)
    limits = _power(problem, at)
    solved = linprog(
        costs,
        A_ub=limits[0],
        b_ub=limits[1],
        A_eq=rows[0],
        b_eq=rows[1],
        bounds=np.column_stack((low, high)),
        method="highs-ds",
    )
    if solved.status != 0:
        raise RuntimeError(f"plan of {blocks} blocks: {solved.message}")
    x = solved.x
    rate = np.diff(np.concatenate(([0.0], x[at["left"]]))) / problem.block_s
    imported = x[at["import"]] + x[at["over"]]
    return Solution(
        released_per_s=np.maximum(rate, 0.0),
        battery_w=x[at["charge"]] - x[at["discharge"]],
        meter_w=x[at["meter"]],
        import_w=imported,
        objective=float((signal * imported).sum() * hours / 1e3),
    )


def _reachable(problem: Problem) -> tuple[Array, Array]:
    """Most requests that can have left by the end of each block, and those that must, as far as that can be."""
    room = np.maximum(problem.most_per_s - problem.interactive_per_s, 0.0) * problem.block_s
    most, before = np.empty(len(room)), 0.0
    for k, (fits, there) in enumerate(zip(room, problem.available, strict=True)):
        most[k] = before = max(before, min(there, before + fits))
    return most, np.minimum(np.maximum.accumulate(problem.due), most)


def _battery_terms(
    problem: Problem, at: dict[str, NDArray[np.intp]], low: Array, high: Array, costs: Array
) -> None:
    """Limits of the battery; what it holds in the end is worth the mean signal, as it is settled."""
    battery = problem.battery
    if battery is None:
        for name in ("charge", "discharge", "stored"):
            high[at[name]] = 0.0
        return
    high[at["charge"]], high[at["discharge"]] = battery.charge_w, battery.discharge_w
    low[at["stored"]] = np.minimum(battery.soc_min * battery.capacity_wh, problem.stored_wh)
    high[at["stored"]] = np.maximum(battery.soc_max * battery.capacity_wh, problem.stored_wh)
    costs[at["charge"]] = costs[at["discharge"]] = WEAR
    costs[at["stored"][-1]] = -battery.discharge_efficiency * 3600.0 / problem.block_s


def _balance(
    problem: Problem, at: dict[str, NDArray[np.intp]], hours: float
) -> tuple[sparse.csr_array, Array]:
    """Supply is use in every block, and what the battery holds follows from what it held."""
    from scipy import sparse

    blocks = len(problem.signal)
    battery = problem.battery
    here = np.arange(blocks)
    parts = [
        ("import", 1.0),
        ("over", 1.0),
        ("discharge", 1.0),
        ("charge", -1.0),
        ("spill", -1.0),
        ("meter", -1.0),
    ]
    rows = [here] * len(parts)
    columns = [at[name] for name, _ in parts]
    values = [np.full(blocks, sign) for _, sign in parts]
    right = [-problem.generation_w]
    if battery is not None:
        rows += [blocks + here, blocks + here[1:], blocks + here, blocks + here]
        columns += [at["stored"], at["stored"][:-1], at["charge"], at["discharge"]]
        values += [
            np.ones(blocks), -np.ones(blocks - 1),
            np.full(blocks, -battery.charge_efficiency * hours),
            np.full(blocks, hours / battery.discharge_efficiency),
        ]  # fmt: skip
        right.append(np.concatenate(([problem.stored_wh], np.zeros(blocks - 1))))
    width = 8 * blocks
    matrix = sparse.csr_array(
        (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))),
        shape=(sum(map(len, right)), width),
    )
    return matrix, np.concatenate(right)


def _power(problem: Problem, at: dict[str, NDArray[np.intp]]) -> tuple[sparse.csr_array, Array]:
    """The site draws at least what each line says at its rate, and its rate stays below the highest."""
    from scipy import sparse

    blocks, block_s = len(problem.signal), problem.block_s
    here = np.arange(blocks)
    rows, columns, values, right = [], [], [], []
    for k, (slope, base) in enumerate(problem.lines):
        rows += [k * blocks + here, k * blocks + here[1:], k * blocks + here]
        columns += [at["left"], at["left"][:-1], at["meter"]]
        values += [np.full(blocks, slope / block_s), np.full(blocks - 1, -slope / block_s), -np.ones(blocks)]
        right.append(-base - slope * problem.interactive_per_s)
    k = len(problem.lines)
    rows += [k * blocks + here, k * blocks + here[1:]]
    columns += [at["left"], at["left"][:-1]]
    values += [np.full(blocks, 1 / block_s), np.full(blocks - 1, -1 / block_s)]
    right.append(np.maximum(problem.most_per_s - problem.interactive_per_s, 0.0))
    # what has left does not come back
    rows += [(k + 1) * blocks + here, (k + 1) * blocks + here[1:]]
    columns += [at["left"], at["left"][:-1]]
    values += [-np.ones(blocks), np.ones(blocks - 1)]
    right.append(np.zeros(blocks))
    matrix = sparse.csr_array(
        (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))),
        shape=((k + 2) * blocks, 8 * blocks),
    )
    return matrix, np.concatenate(right)
