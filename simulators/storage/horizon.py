"""What a receding-horizon rule is told of the coming hours, and when it plans anew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulators.errors import InputError
from simulators.quantities.forecast import Forecast, forecast
from simulators.storage.battery import Spec, Store
from simulators.storage.connection import Limits
from simulators.storage.dispatch import Horizon
from simulators.storage.planner import Outlook, Terms, optimum

Array = NDArray[np.float64]

SERIES = ("load_w", "generation_w", "ci_g_per_kwh", "price_per_kwh")
"""What may be known ahead: means over every step of the run."""


class Planner:
    """Plans for one site.

    Parameters
    ----------
    rule
        What is to be minimised, how far ahead, and what is known.
    step_s
        Length of a step, s.
    ahead
        Series of `SERIES` for the whole run, as far as there are any; what of them the rule sees depends on its
        forecast. Without a load it is expected to be as it was a day before, whatever the forecast.

    Raises
    ------
    InputError
        If a series that the rule needs is missing, or steps and intervals do not fit.
    """

    def __init__(self, rule: Horizon, step_s: int, ahead: Mapping[str, ArrayLike]) -> None:
        self._rule = rule
        self._step_s = step_s
        known = {name: np.asarray(values, dtype=np.float64) for name, values in ahead.items()}
        signal = _signal(rule, known)
        self._steps = len(signal)
        interval_s = max(step_s, int(rule.interval_min * 60))
        if interval_s % step_s:
            raise InputError(
                f"battery dispatch 'horizon': interval_min is {rule.interval_min:g}, "
                f"expected a multiple of the step ({step_s} s)"
            )
        self.every = interval_s // step_s
        self._intervals = max(1, round(rule.hours * 3600 / interval_s))
        self._load = np.zeros(self._steps)
        load = known.get("load_w")
        generation = known.get("generation_w", np.zeros(self._steps))
        self._told = (
            self._forecast("persistence", self._load)
            if load is None
            else self._forecast(rule.forecast, load),
            self._forecast(rule.forecast, generation),
            self._forecast(rule.forecast, signal),
        )

    def _forecast(self, name: str, values: Array) -> Forecast:
        if len(values) != self._steps:
            raise InputError(
                f"battery dispatch 'horizon': a series has {len(values)} values, expected {self._steps}"
            )
        return forecast(name, values, self._step_s, self._intervals * self.every * self._step_s)

    def seen(self, step: int, load_w: float) -> None:
        """Note the load of a step."""
        if step < self._steps:
            self._load[step] = load_w

    def plan(
        self, step: int, spec: Spec, store: Store, limits: Limits, end: tuple[int, float]
    ) -> tuple[int, float]:
        """What the battery is to do from `step` on, for `every` steps: a mode and a power, W.

        Parameters
        ----------
        step
            Its number.
        spec, store, limits
            Battery and connection.
        end
            When the battery must hold a charge again, in steps (0: never), and that charge, Wh.
        """
        left = self._steps - step
        if left <= 0:
            raise InputError(
                f"battery dispatch 'horizon': is told of {self._steps} steps, the run goes on at step {step}"
            )
        intervals = min(self._intervals, -(-left // self.every))
        load_w, generation_w, signal = (
            told.at(step)[: intervals * self.every].reshape(intervals, self.every) for told in self._told
        )
        net_w = load_w - generation_w
        swing_w = net_w.max(axis=1) - net_w.mean(axis=1)
        seen = Outlook(load_w.mean(axis=1), generation_w.mean(axis=1), signal.mean(axis=1), swing_w)
        back = end[0] and step + intervals * self.every >= end[0]
        terms = Terms(
            store.energy_wh,
            max(spec.soc_min, limits.reserve) * spec.capacity_wh,
            self.every * spec.hours,
            spec.kept**self.every,
            end[1] if back else 0.0,
        )
        scale_w = max(spec.charge_w, spec.discharge_w)
        return optimum(spec, limits, seen, terms).first(scale_w)


def _signal(rule: Horizon, known: Mapping[str, Array]) -> Array:
    """What is minimised, per kWh of import."""
    parts: dict[str, tuple[str, float]] = {
        "carbon": ("ci_g_per_kwh", rule.per_kg / 1e3 if rule.objective == "carbon+price" else 1.0),
        "price": ("price_per_kwh", 1.0),
    }
    found: Any = 0.0
    for part in rule.objective.split("+"):
        name, weight = parts[part]
        series = known.get(name)
        if series is None or np.any(np.isnan(series)):
            raise InputError(
                f"battery dispatch 'horizon': objective {rule.objective} needs {name}, which is not given"
            )
        found = found + weight * series
    return np.asarray(found)
