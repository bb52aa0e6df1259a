"""Which deployments of a search are worth a run, which are on the front, and which is best.

A deployment is left out only where its estimate, bettered by as much as estimates were found to be off (`MARGINS`),
is impossible, breaks a target, or is beaten in every figure by one that was run and keeps the targets. What is left
out is then neither the best nor on the front, as long as the margins hold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from scenarios.search_figures import OBJECTIVES
from simulators.inference.options import Serving

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


class Margins(NamedTuple):
    """How much better than estimated a deployment may be, as shares of the estimate.

    Attributes
    ----------
    power
        J, cost and carbon per token.
    ttft, tpot
        The latencies.
    capacity
        What full batches complete.
    """

    power: float
    ttft: float
    tpot: float
    capacity: float


MARGINS = {
    False: Margins(power=0.06, ttft=0.4, tpot=0.2, capacity=0.1),
    True: Margins(power=0.1, ttft=0.75, tpot=0.35, capacity=0.3),
}
"""Without and with a pipeline of several stages: wider than the worst of 90 deployments drawn at random, as those of
`tests/benchmarks/search.py` are. Estimate over run was up to +3 and +5 % for energy, +41 and +213 % for TTFT p99, +12
and +23 % for TPOT p99. That is no bound: one that is estimated worse still would be left out wrongly. Estimates that
are too good cost a run and no more; where the KV cache thrashes they are far too good (TTFT p99 -97 %)."""

FRONT = ("j_per_output_token", "cost_per_million_tokens", "tpot_s", "tokens_per_s_per_gpu")
"""What the front is of: the last the more the better, the others the less."""
ALIKE = 0.01
"""A deployment that is beaten but for less than this share is not on the front: runs are no more exact than that."""


class Targets(NamedTuple):
    """Latencies to be kept at a percentile, s."""

    ttft_s: float
    tpot_s: float
    percentile: float = 99.0

    def kept(self, row: Mapping[str, Any]) -> bool:
        """Whether a run kept them, served everybody and was not overloaded."""
        return self.excess(row) <= 1.0 and not row["rejected"] and row["saturation"] != "overloaded"

    def excess(self, row: Mapping[str, Any]) -> float:
        """The worse of both latencies over its target, 1; inf where nothing was finished.

        Examples
        --------
        >>> round(Targets(1.0, 0.05).excess({"ttft_s": 0.5, "tpot_s": 0.06}), 6)
        1.2
        """
        if row["ttft_s"] is None:
            return float("inf")
        return float(max(row["ttft_s"] / self.ttft_s, (row["tpot_s"] or 0.0) / self.tpot_s))


def hopeless(serving: Serving, figures: Mapping[str, float], targets: Targets) -> str:
    """Why an estimate rules a deployment out; empty if it does not.

    Examples
    --------
    >>> figures = {"utilisation": 0.5, "ttft_s": 9.0, "tpot_s": 0.01}
    >>> hopeless(Serving(), figures, Targets(1.0, 0.05))
    'TTFT p99 about 9 s'
    """
    margins = MARGINS[serving.pp > 1]
    if figures["utilisation"] * (1.0 - margins.capacity) > 1.0:
        return f"overloaded: {figures['utilisation']:.0%} of what full batches complete"
    for name, target, margin in (
        ("ttft_s", targets.ttft_s, margins.ttft),
        ("tpot_s", targets.tpot_s, margins.tpot),
    ):
        if figures[name] * (1.0 - margin) > target:
            return f"{name[:4].upper()} p{targets.percentile:g} about {figures[name]:.3g} s"
    return ""


def dimensions(objective: str, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Figures that the front is of, as far as they are known: `FRONT`, and the objective."""
    names = dict.fromkeys([*FRONT, OBJECTIVES[objective][0]])
    return [name for name in names if all(row.get(name) is not None for row in rows)]


def less_is_better(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Array:
    """Figures so that less is better in each; shape (rows, names)."""
    signs = np.array([-1.0 if name == "tokens_per_s_per_gpu" else 1.0 for name in names])
    values = np.array([[row[name] for name in names] for row in rows], dtype=np.float64)
    found: Array = values.reshape(-1, len(names)) * signs
    return found


def at_best(serving: Serving, row: Mapping[str, Any], names: Sequence[str]) -> Array:
    """The least (as `less_is_better`) that a deployment's figures may be, by its estimate; -inf: not estimated."""
    margins = MARGINS[serving.pp > 1]
    least = []
    for name in names:
        value = row.get(name)
        if value is None or np.isnan(value):
            least.append(-np.inf)
        elif name == "tokens_per_s_per_gpu":
            least.append(
                -value * (1.0 + margins.capacity) if row["utilisation"] > 1.0 - margins.capacity else -value
            )
        elif name == "tpot_s":
            least.append(value * (1.0 - margins.tpot))
        else:
            least.append(value * (1.0 - margins.power))
    return np.array(least)


def beaten(figures: Array, by: Array, alike: float = 0.0) -> Mask:
    """Which rows another is at least as good as in everything, and better in something; shape (n,).

    Parameters
    ----------
    figures, by
        The less the better; shapes (n, names) and (m, names).
    alike
        Share by which the other one may be worse if it is better by more in something.

    Examples
    --------
    >>> beaten(np.array([[1.0, 2.0], [2.0, 2.0], [0.5, 9.0]]), np.array([[1.0, 2.0]])).tolist()
    [False, True, False]
    """
    found = np.zeros(len(figures), dtype=bool)
    for other in by:
        slack = alike * np.abs(other)
        found |= (other - slack <= figures).all(axis=1) & (other + slack < figures).any(axis=1)
    return found


def front(figures: Array) -> Mask:
    """Which rows no other beats; of equal ones the first.

    Differences below `ALIKE` count as none: rows are taken in order, and one that is beaten by a row taken before it
    does not count any more.

    Examples
    --------
    >>> front(np.array([[1.0, 2.0], [1.001, 2.0], [2.0, 1.0], [2.0, 2.0]])).tolist()
    [True, False, True, False]
    """
    taken, behind = np.zeros(len(figures), dtype=bool), beaten(figures, figures)
    for at in np.lexsort(figures.T[::-1]):
        same = (np.abs(figures[taken] - figures[at]) <= ALIKE * np.abs(figures[at])).all(axis=1).any()
        taken[at] = not (same or behind[at] or beaten(figures[[at]], figures[taken], ALIKE)[0])
    return taken
