"""What a receding-horizon rule is told of the coming hours, and when it plans anew.

The intervals of a plan are unequal: short ones in the first hours, of which one is carried out, hours up to a day, and
longer ones beyond. After the forecast a day is added that is taken to be as the last one known: without it, a plan
would count what is stored at its end for nothing. A plan holds for about an hour.

A persistence forecast of what is minimised is corrected by what is known (`_corrected`): the present value tells by
how much today differs from yesterday, and how alike the last days were how far their ups and downs are to be believed.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import exp
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulators.errors import InputError
from simulators.quantities.forecast import DAY_S, Forecast, forecast
from simulators.storage.battery import Spec, Store
from simulators.storage.connection import Limits
from simulators.storage.dispatch import Horizon
from simulators.storage.outlook import outlook

Array = NDArray[np.float64]
Order = tuple[int, float]

SERIES = ("load_w", "generation_w", "ci_g_per_kwh", "price_per_kwh", "cost_per_kwh", "worth_per_kwh")
"""What may be known ahead: means over every step of the run. `cost_per_kwh` is what a kWh of import costs with all that
comes on top, and goes before `price_per_kwh`; `worth_per_kwh` is what a kWh of export earns."""

FINE_H, DAY_H, LONG_H = 6.0, 24.0, 3.0
"""How long a plan's intervals are short, until when they are an hour, and how long they are then, h. A choice: within
0.1 % of the saving of short ones throughout, in a fifth of the time."""

LEVEL_H = 24.0
"""Time in which a difference from yesterday fades to a third, h. A choice, of the passage of weather."""

ALIKE_DAYS = 7
"""So many days tell how alike days are."""


class Grid(NamedTuple):
    """Intervals of a plan in steps: first step of each; how many steps are known, in all, and until the next plan."""

    starts: NDArray[np.intp]
    known: int
    total: int
    every: int

    @classmethod
    def of(cls, rule: Horizon, step_s: int) -> Grid:
        """Intervals for a rule, of whole steps.

        Examples
        --------
        >>> grid = Grid.of(Horizon(hours=24.0), 900)
        >>> len(grid.starts), grid.known, grid.total, grid.every
        (50, 96, 192, 4)
        """
        short = max(1, int(rule.interval_min * 60) // step_s)
        hour = short * max(1, round(3600 / (short * step_s)))
        day = hour * max(1, round(DAY_S / (hour * step_s)))
        known = hour * max(1, round(rule.hours * 3600 / (hour * step_s)))
        total = known + day
        fine = min(total, hour * max(1, round(FINE_H * 3600 / (hour * step_s))))
        until = max(fine, min(known, hour * round(DAY_H * 3600 / (hour * step_s))))
        long = hour * max(1, round(LONG_H * 3600 / (hour * step_s)))
        parts = np.arange(0, fine, short), np.arange(fine, until, hour), np.arange(until, total, long)
        return cls(np.concatenate(parts), known, total, hour)


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
        forecast. Without a load it is expected to be as it was a day before, whatever the forecast. After the run's
        end days are as its last one.

    Attributes
    ----------
    every
        How many steps a plan holds.

    Raises
    ------
    InputError
        If a series that the rule needs is missing, or of another length.
    """

    def __init__(self, rule: Horizon, step_s: int, ahead: Mapping[str, ArrayLike]) -> None:
        self._rule = rule
        self._step_s = step_s
        self._per_day = max(1, DAY_S // step_s)
        known = {name: np.asarray(values, dtype=np.float64) for name, values in ahead.items()}
        self._cost, worth = _signals(rule, known)
        self._steps = len(self._cost)
        self._grid = Grid.of(rule, step_s)
        self.every = self._grid.every
        self._load = np.zeros(self._steps)
        load = known.get("load_w")
        generation = known.get("generation_w", np.zeros(self._steps))
        self._told = (
            self._forecast("persistence", self._load)
            if load is None
            else self._forecast(rule.forecast, load),
            self._forecast(rule.forecast, generation),
            self._forecast(rule.forecast, self._cost),
            self._forecast(rule.forecast, worth),
        )

    def _forecast(self, name: str, values: Array) -> Forecast:
        if len(values) != self._steps:
            raise InputError(
                f"battery dispatch 'horizon': a series has {len(values)} values, expected {self._steps}"
            )
        if name != "persistence":  # which looks back alone, into what is still being filled
            values = self._longer(values, len(values) + self._grid.known)
        return forecast(name, values, self._step_s, self._grid.known * self._step_s)

    def _longer(self, values: Array, steps: int) -> Array:
        """A series of so many steps: cut, or with days as its last one."""
        missing = steps - len(values)
        if missing <= 0:
            return values[:steps]
        day = values[-self._per_day :]
        return np.concatenate([values, np.resize(day, missing)])

    def seen(self, step: int, load_w: float) -> None:
        """Note the load of a step."""
        if step < self._steps:
            self._load[step] = load_w

    def plan(
        self, step: int, spec: Spec, store: Store, limits: Limits, end: tuple[int, float]
    ) -> list[Order]:
        """What the battery is to do in `step` and those after it, `every` in all: a mode and a power, W, each.

        Parameters
        ----------
        step
            Its number.
        spec, store, limits
            Battery and connection.
        end
            When the battery must hold a charge again, in steps (0: never), and that charge, Wh.
        """
        if step >= self._steps:
            raise InputError(
                f"battery dispatch 'horizon': is told of {self._steps} steps, the run goes on at step {step}"
            )
        starts, total = self._grid.starts, self._grid.total
        back = end[0] > step and step + total >= end[0]
        if back:
            total = end[0] - step
            starts = starts[starts < total]
        load_w, generation_w, cost, worth = (told.at(step) for told in self._told)
        if self._rule.forecast == "persistence":
            cost = self._corrected(step, cost)
        seen = outlook(
            self._longer(load_w - generation_w, total),
            self._longer(cost, total),
            self._longer(worth, total),
            spec.hours,
            limits,
            starts,
        )
        lengths = np.diff(np.append(starts, total))
        from simulators.storage.planner import (
            Terms,
            optimum,
        )  # with it SciPy's solvers: only who plans needs them

        terms = Terms(
            store.energy_wh,
            max(spec.soc_min, limits.reserve) * spec.capacity_wh,
            spec.kept**lengths,
            end[1] if back else 0.0,
        )
        plan, scale_w = optimum(spec, seen, terms), max(spec.charge_w, spec.discharge_w)
        orders: list[Order] = []
        for i in range(int(np.searchsorted(starts, self.every))):
            mode, power_w = plan.order(i, scale_w)
            orders += [(mode, power_w + spec.standby_w)] * int(lengths[i])
        return orders

    def _corrected(self, step: int, told: Array) -> Array:
        """A persistence forecast with the level of now, and of its ups and downs what the last days make likely."""
        day, past = self._per_day, self._cost[: step + 1]
        if len(past) <= day:
            return np.full(len(told), told[0])
        fade = exp(-self._step_s / 3600.0 / LEVEL_H) ** np.arange(len(told))
        levelled = told + (past[-1] - past[-1 - day]) * fade
        levelled[0] = told[0]
        recent = past[-(ALIKE_DAYS + 1) * day :]
        alike = _alike(recent[day:], recent[:-day]) if len(recent) >= 2 * day else 0.0
        mean = float(levelled.mean())
        return np.asarray(mean + alike * (levelled - mean))


def _alike(values: Array, before: Array) -> float:
    """Correlation of a series with its values of a day before, 0 to 1: negative or unknown counts as none.

    Examples
    --------
    >>> _alike(np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0, 6.0])), _alike(np.ones(3), np.ones(3))
    (1.0, 0.0)
    """
    one, other = values - values.mean(), before - before.mean()
    scale = float(np.sqrt((one @ one) * (other @ other)))
    return min(1.0, max(0.0, round(float(one @ other) / scale, 12))) if scale > 0 else 0.0


def _signals(rule: Horizon, known: Mapping[str, Array]) -> tuple[Array, Array]:
    """What a kWh of import costs and one of export earns, in the unit of the objective."""
    cost: Array | float = 0.0
    worth: Array | None = None
    for part in rule.objective.split("+"):
        name = "ci_g_per_kwh" if part == "carbon" else "price_per_kwh"
        series = known.get("cost_per_kwh", known.get(name)) if part == "price" else known.get(name)
        if series is None or np.any(np.isnan(series)):
            raise InputError(
                f"battery dispatch 'horizon': objective {rule.objective} needs {name}, which is not given"
            )
        weight = rule.per_kg / 1e3 if part == "carbon" and rule.objective != "carbon" else 1.0
        cost = cost + weight * series
        worth = known.get("worth_per_kwh") if part == "price" else worth
    costs = np.asarray(cost)
    return costs, np.zeros(len(costs)) if worth is None else worth
