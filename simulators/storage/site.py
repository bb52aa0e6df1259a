"""A site's battery, its rule and its connection to the grid, carried from interval to interval."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Any, NamedTuple

from numpy.typing import ArrayLike

from simulators.errors import InputError
from simulators.storage.ageing import NO_AGEING, Age, Law, moved, with_half_cycle, worn
from simulators.storage.battery import BatteryConfig, Return, Spec, Store, possible_w, settled_wh
from simulators.storage.connection import FIXED, Connection, Moment, exchanged, foreseen_w, room_w, settle
from simulators.storage.dispatch import Horizon, Rule, SelfConsumption, Situation
from simulators.storage.exchange import Exchange
from simulators.storage.horizon import Planner

NO_BATTERY = Spec(1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 0.0, 1.0, 1.0)
"""Stands in where there is none: it holds nothing and takes nothing."""


RIDE_H = 1.0
"""How long a battery is made to last where load is shed for want of power, h. A choice, 0.25 to 4 h: short, and it is
used up at full load; long, and load is shed that it could have carried."""


class Given(NamedTuple):
    """What a site is given for one interval, means.

    Attributes
    ----------
    load_w, pv_w, wind_w, other_w
        Consumption; generation of PV, wind and whatever else, W.
    ci_g_per_kwh, price_per_kwh
        Of grid power; NaN where there is none.
    spilled_w
        Generation that a command leaves unused, W.
    """

    load_w: float
    pv_w: float
    wind_w: float
    other_w: float
    ci_g_per_kwh: float
    price_per_kwh: float
    spilled_w: float = 0.0

    @property
    def generation_w(self) -> float:
        """All generation, W."""
        return self.pv_w + self.wind_w + self.other_w


class Site:
    """A site between intervals.

    Parameters
    ----------
    battery
        What it can do; None: there is none.
    rule
        What it does.
    connection
        To the grid.
    step_s
        Length of an interval, s.
    return_by_s
        When the battery must hold again what it held at the start, s from there, as far as the connection brings it;
        None: never.

    ahead
        What is known of the coming steps, for a rule that plans; see `Planner`.

    law
        How the battery ages.

    Attributes
    ----------
    planner
        Of a rule that plans, once it knows what is ahead.
    store, age, before_w, rooms_w, islanded
        What is in the battery; what it has lost with time and use; exchange in the last interval, W, NaN before the
        first; sum over the intervals of what there was to charge with, W, inf if the rule plans; whether the grid was
        away in the last.
    """

    def __init__(
        self,
        battery: BatteryConfig | None = None,
        rule: Rule | None = None,
        connection: Connection | None = None,
        step_s: int = 60,
        return_by_s: int | None = None,
        ahead: Mapping[str, ArrayLike] | None = None,
        law: Law = NO_AGEING,
    ) -> None:
        if return_by_s is not None and (return_by_s <= 0 or return_by_s % step_s):
            raise InputError(f"storage: return_by_s is {return_by_s}, expected whole steps of {step_s} s")
        self.battery = battery
        self.rule = rule or SelfConsumption()
        self.connection = connection or Connection()
        self.step_s = step_s
        self.return_by_s = 0 if return_by_s is None else return_by_s
        self.spec = battery.spec(step_s) if battery else NO_BATTERY
        self.store = battery.store() if battery else Store(0.0)
        self.limits = self.connection.limits(step_s, getattr(self.rule, "reserve", 0.0))
        self.initial_wh = self.store.energy_wh
        self.planner: Planner | None = None
        if ahead is not None:
            self.look(ahead)
        self._planned: list[tuple[int, float]] = []
        self.law = law if battery else NO_AGEING
        self.age = Age()
        self.too_fast = 0
        self.before_w = float("nan")
        self.rooms_w = inf if isinstance(self.rule, Horizon) else 0.0
        self.islanded = False

    @property
    def now(self) -> Spec:
        """What the battery can do at its age."""
        return worn(self.spec, self.law, self.age)

    @property
    def soc(self) -> float:
        """State of charge, 0 to 1; 0 without a battery."""
        return self.store.energy_wh / self.now.capacity_wh

    def look(self, ahead: Mapping[str, ArrayLike]) -> None:
        """Tell a rule that plans what is known of the coming steps."""
        if isinstance(self.rule, Horizon) and self.battery:
            self.planner = Planner(self.rule, self.step_s, ahead)

    def plan(self, step: int) -> tuple[int, float]:
        """What a rule that plans wants in a step: a mode and a power, W; planned anew once per interval."""
        if self.planner is None:
            raise InputError(
                "battery dispatch 'horizon': is told of no series, expected carbon intensity or price"
            )
        place = step % self.planner.every
        if place == 0:
            end = (self.return_by_s // self.step_s, self.initial_wh)
            self._planned = self.planner.plan(step, self.now, self.store, self.limits, end)
        return self._planned[place]

    def wants(self, now_s: int, given: Given) -> tuple[int, float]:
        """What the rule wants of the battery in an interval: a mode and a power, W."""
        if isinstance(self.rule, Horizon):
            step = now_s // self.step_s
            if self.planner is not None:
                self.planner.seen(step, given.load_w)
            return self.plan(step)
        return FIXED, self.rule.power_w(self.situation(now_s, given))

    def situation(self, now_s: int, given: Given) -> Situation:
        """What the rule sees of an interval."""
        return Situation(
            given.load_w,
            given.generation_w - given.spilled_w,
            given.ci_g_per_kwh,
            given.price_per_kwh,
            self.soc if self.battery else float("nan"),
            now_s,
            self.step_s,
        )

    def range_w(self) -> tuple[float, float]:
        """Lowest and highest power of the battery in the coming interval, W, whatever the connection leaves of it."""
        return (
            possible_w(self.now, self.store, -float("inf"), self.spec.soc_min),
            possible_w(self.now, self.store, float("inf"), self.spec.soc_min),
        )

    def available_w(self, flows: Exchange) -> float:
        """What the load could have had in the last interval, whose flows these are, and could for an hour on, W.

        The grid up to its limits, own generation, and the battery as if it had to last `RIDE_H`.
        """
        grid_w = 0.0
        if not self.islanded:
            grid_w = min(self.limits.import_w, max(self.before_w, 0.0) + self.limits.ramp_w)
        now = self.now
        stock_wh = max(0.0, self.store.energy_wh - now.soc_min * now.capacity_wh) * now.discharge_efficiency
        battery_w = min(now.discharge_w, stock_wh / RIDE_H) if self.battery else 0.0
        return grid_w + flows.generation_w + battery_w

    def advance(self, now_s: int, given: Given, wished_w: float, mode: int = FIXED) -> Exchange:
        """Close the balance of an interval in which the rule wants `wished_w` of the battery."""
        self.islanded = bool(self.connection.islanded(1, self.step_s, now_s // self.step_s)[0])
        moment = Moment(
            given.load_w,
            given.generation_w,
            given.pv_w,
            given.wind_w,
            given.spilled_w,
            given.price_per_kwh < 0.0,
            self.islanded,
            mode,
            wished_w,
        )
        now = self.now
        free_w = room_w(now, self.limits, moment)
        self.rooms_w += free_w
        back = Return(
            self.initial_wh,
            (self.return_by_s - now_s - self.step_s) / 3600.0,
            foreseen_w(free_w, self.rooms_w / (now_s // self.step_s + 1)),
        )
        found = settle(now, self.store, self.limits, back, self.before_w, moment)
        self.store, self.age = moved(self.spec, self.law, self.store, self.age, found[0])
        self.before_w = found[1]
        self.too_fast += found[4]
        return exchanged(self.limits, moment, found)

    def summary(self, max_residual: float) -> dict[str, Any]:
        """Figures of battery and connection so far, plain values."""
        store, age = self.store, with_half_cycle(self.law, self.age)
        return {
            "max_relative_residual": max_residual,
            "initial_wh": self.initial_wh,
            "final_wh": store.energy_wh,
            "charged_wh": store.charged_wh,
            "discharged_wh": store.discharged_wh,
            "lost_wh": store.lost_wh,
            "settled_wh": settled_wh(self.now, store, self.initial_wh) if self.battery else 0.0,
            "faded_wh": store.faded_wh,
            "cycles": store.moved_wh / 2 / self.spec.capacity_wh,
            "capacity_lost": age.calendar_loss + age.cycle_loss,
            "resistance_gained": age.calendar_rise + age.cycle_rise,
            "too_fast_s": self.too_fast * self.step_s,
        }
