"""How well a run keeps to real time: how late its steps are."""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np

from simulators.quantities.sketch import Sketch
from simulators.report.labels import seconds


class Lateness:
    """Measures how long after its moment each step is recorded.

    Parameters
    ----------
    rt_factor
        Seconds of the wall clock per simulated second.
    step_s
        Length of a step, s.
    """

    def __init__(self, rt_factor: float, step_s: int) -> None:
        self.rt_factor = rt_factor
        self._step_s = step_s
        self._late = Sketch()
        self._most_s = 0.0
        self._began, self._from_s = time.perf_counter(), 0

    def begin(self, from_s: int = 0) -> None:
        """The step that begins at `from_s` is due now."""
        self._began, self._from_s = time.perf_counter(), from_s

    def reached(self, simulated_s: int) -> None:
        """The step that ends at `simulated_s` is recorded; it was due when it began."""
        due_s = (simulated_s - self._from_s - self._step_s) * self.rt_factor
        late_s = max(0.0, time.perf_counter() - self._began - due_s)
        self._most_s = max(self._most_s, late_s)
        self._late.add(np.array([late_s]))

    def figures(self) -> dict[str, float]:
        """For ``summary.json``: the factor, the steps, how late they were at most and at the 99th percentile, s."""
        return {
            "rt_factor": self.rt_factor,
            "step_wall_s": self._step_s * self.rt_factor,
            "steps": self._late.count,
            "late_max_s": self._most_s,
            "late_p99_s": self._late.quantile(0.99),
        }


def words(figures: Mapping[str, float]) -> str:
    """How a run kept to real time, in a line.

    Examples
    --------
    >>> words({"rt_factor": 0.01, "step_wall_s": 0.6, "steps": 60, "late_max_s": 0.02, "late_p99_s": 0.004})
    'real time: a step every 600 ms, recorded at most 20 ms late, 99 % within 4 ms'
    """
    told = (
        f"real time: a step every {seconds(figures['step_wall_s'])}, recorded at most {seconds(figures['late_max_s'])} "
        f"late, 99 % within {seconds(figures['late_p99_s'])}"
    )
    return (
        told if figures["late_max_s"] < figures["step_wall_s"] else f"{told}; it did not keep up throughout"
    )
