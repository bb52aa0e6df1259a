"""A battery: energy in, less energy out, nothing lost unaccounted.

The functions take and return plain numbers in named tuples, so that the same code runs as Python, one step at a time,
and compiled over whole series (`run`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import exp, inf, log1p, sqrt
from typing import NamedTuple

from simulators.errors import InputError
from simulators.loops import in_loops

ROUND_TRIP_EFFICIENCY = 0.85
"""AC-to-AC round trip of utility-scale lithium-ion storage.

W. Cole, A. W. Frazier, C. Augustine, "Cost Projections for Utility-Scale Battery Storage: 2021 Update",
NREL/TP-6A20-79236, 2021. Split evenly over charging and discharging here.
"""


class Spec(NamedTuple):
    """What a battery can do within steps of one length, as numbers.

    Attributes
    ----------
    capacity_wh, charge_w, discharge_w, charge_efficiency, discharge_efficiency, soc_min, soc_max, taper_from, standby_w
        As in `BatteryConfig`.
    kept
        Share of the stored energy left after a step without use.
    hours
        Length of a step, h.
    """

    capacity_wh: float
    charge_w: float
    discharge_w: float
    charge_efficiency: float
    discharge_efficiency: float
    soc_min: float
    soc_max: float
    taper_from: float
    standby_w: float
    kept: float
    hours: float


class Store(NamedTuple):
    """What is in a battery, and its sums since the start, Wh.

    ``energy = initial + charged - discharged - lost - faded``.

    Attributes
    ----------
    energy_wh
        Stored energy.
    charged_wh, discharged_wh
        Taken in and given at the terminals.
    lost_wh
        Conversion losses, self-discharge and standby.
    faded_wh
        Stored energy for which an ageing battery had no room any more.
    moved_wh
        Put into the store and drawn from it; twice the capacity is one equivalent full cycle.
    """

    energy_wh: float
    charged_wh: float = 0.0
    discharged_wh: float = 0.0
    lost_wh: float = 0.0
    faded_wh: float = 0.0
    moved_wh: float = 0.0


@in_loops
def charging_w(spec: Spec, start_wh: float, wished_w: float) -> float:
    """Mean power that the converter takes in a step when `wished_w` is offered throughout, W.

    Above the state of charge `taper_from` the limit falls linearly with it, to nothing at 1. That is a linear
    differential equation, solved exactly: however long the steps, the same energy is taken.
    """
    full_wh = spec.soc_max * spec.capacity_wh
    if start_wh >= full_wh:
        return 0.0
    power_w = wished_w if wished_w < spec.charge_w else spec.charge_w
    most_w = (full_wh - start_wh) / spec.charge_efficiency / spec.hours
    if spec.taper_from < 1.0 and power_w > 0.0:
        gain_w = power_w * spec.charge_efficiency
        span_wh = spec.capacity_wh * (1.0 - spec.taper_from)
        bend_wh = spec.capacity_wh - span_wh * (power_w / spec.charge_w)
        if start_wh + gain_w * spec.hours > bend_wh:
            bend_at_h = (bend_wh - start_wh) / gain_w if start_wh < bend_wh else 0.0
            from_wh = bend_wh if start_wh < bend_wh else start_wh
            rate_per_h = spec.charge_w * spec.charge_efficiency / span_wh
            left = exp(-rate_per_h * (spec.hours - bend_at_h))
            end_wh = spec.capacity_wh - (spec.capacity_wh - from_wh) * left
            power_w = (end_wh - start_wh) / spec.charge_efficiency / spec.hours
    return power_w if power_w < most_w else most_w


@in_loops
def discharging_w(spec: Spec, start_wh: float, wished_w: float, floor: float) -> float:
    """Mean power that the converter gives when `wished_w` is asked for, W; down to a state of charge `floor`."""
    stock_wh = start_wh - floor * spec.capacity_wh
    if stock_wh <= 0.0:
        return 0.0
    power_w = wished_w if wished_w < spec.discharge_w else spec.discharge_w
    most_w = stock_wh * spec.discharge_efficiency / spec.hours
    return power_w if power_w < most_w else most_w


@in_loops
def possible_w(spec: Spec, store: Store, wished_w: float, floor: float) -> float:
    """Mean power at the terminals when `wished_w` is asked for throughout a step, W; charging is positive.

    Standby goes on top of what the converter takes, and is first covered by what the store has.
    """
    start_wh = store.energy_wh * spec.kept
    converter_w = wished_w - spec.standby_w
    if converter_w > 0.0:
        return charging_w(spec, start_wh, converter_w) + spec.standby_w
    return spec.standby_w - discharging_w(spec, start_wh, -converter_w, floor)


class Return(NamedTuple):
    """What the battery must hold again, and by when.

    Attributes
    ----------
    target_wh, left_h
        That charge, and the time left for it after this step, h; < 0: no more.
    room_w
        Most that can be counted on to charge with until then, W.
    """

    target_wh: float
    left_h: float
    room_w: float = inf


@in_loops
def returning_w(spec: Spec, store: Store, back: Return) -> tuple[float, float]:
    """Lowest and highest power in this step from which the charge can still be reached in the time after it, W.

    Neither self-discharge nor a taper nor standby in that time is foreseen.
    """
    start_wh = store.energy_wh * spec.kept
    charge_w = back.room_w if back.room_w < spec.charge_w else spec.charge_w
    least_wh = back.target_wh - charge_w * spec.charge_efficiency * back.left_h - start_wh
    most_wh = back.target_wh + spec.discharge_w / spec.discharge_efficiency * back.left_h - start_wh
    least = least_wh / spec.charge_efficiency if least_wh > 0.0 else least_wh * spec.discharge_efficiency
    most = most_wh / spec.charge_efficiency if most_wh > 0.0 else most_wh * spec.discharge_efficiency
    return least / spec.hours + spec.standby_w, most / spec.hours + spec.standby_w


@in_loops
def stepped(spec: Spec, store: Store, power_w: float) -> Store:
    """The store after a step with a constant terminal power, W, that is possible.

    Self-discharge acts first, on the energy at the start: with constant power the energy is off by at most the share
    lost in a step times what is charged or drawn in it. What standby lacks is drawn from the store, as far as there
    is any.
    """
    kept_wh = store.energy_wh * spec.kept
    charged_wh, discharged_wh = store.charged_wh, store.discharged_wh
    lost_wh, moved_wh = store.lost_wh + (store.energy_wh - kept_wh), store.moved_wh
    terminal_wh = power_w * spec.hours
    if terminal_wh > 0.0:
        charged_wh += terminal_wh
    elif terminal_wh < 0.0:
        discharged_wh -= terminal_wh
    inner_wh = terminal_wh - spec.standby_w * spec.hours
    if inner_wh > 0.0:
        stored_wh = inner_wh * spec.charge_efficiency
        lost_wh += terminal_wh - stored_wh
        moved_wh += stored_wh
        kept_wh += stored_wh
    elif inner_wh < 0.0:
        drawn_wh = -inner_wh / spec.discharge_efficiency
        if drawn_wh > kept_wh:
            drawn_wh = kept_wh
        lost_wh += drawn_wh + terminal_wh
        moved_wh += drawn_wh
        kept_wh -= drawn_wh
    else:
        lost_wh += terminal_wh
    if kept_wh > spec.capacity_wh:
        kept_wh = spec.capacity_wh  # what rounding carries past a bound in the last step to it
    return Store(kept_wh, charged_wh, discharged_wh, lost_wh, store.faded_wh, moved_wh)


@dataclass(frozen=True)
class BatteryConfig:
    """What a battery can do. Power is at its terminals, energy is what is stored inside.

    Attributes
    ----------
    capacity_wh
        Energy stored at a state of charge of 1, Wh.
    max_charge_w, max_discharge_w
        Limits of the converter, W; None: the capacity in one hour for charging, the same for discharging.
    charge_efficiency, discharge_efficiency
        Energy stored per energy taken in, energy given per energy drawn from the store; above 0, at most 1.
    soc_min, soc_max, soc_initial
        State of charge that dispatch keeps to, and the one at the start; 0 to 1.
    self_discharge_per_day
        Share of the stored energy lost in a day without use; 0 to below 1. It may sink the charge below
        `soc_min`.
    taper_from
        State of charge above which the charging limit falls linearly, to nothing at 1; above 0. 1: it does not.
    standby_w
        What control and cooling of the battery draw all the time, W: from the store, from the site where that is empty.
    """

    capacity_wh: float
    max_charge_w: float | None = None
    max_discharge_w: float | None = None
    charge_efficiency: float = sqrt(ROUND_TRIP_EFFICIENCY)
    discharge_efficiency: float = sqrt(ROUND_TRIP_EFFICIENCY)
    soc_min: float = 0.0
    soc_max: float = 1.0
    soc_initial: float = 0.5
    self_discharge_per_day: float = 0.0
    taper_from: float = 1.0
    standby_w: float = 0.0

    def __post_init__(self) -> None:
        for name in ("capacity_wh", "max_charge_w", "max_discharge_w"):
            value = getattr(self, name)
            if value is not None and not (0 < value < inf):
                raise InputError(f"battery: {name} is {value}, expected a positive number")
        for name in ("charge_efficiency", "discharge_efficiency", "taper_from"):
            if not 0 < getattr(self, name) <= 1:
                raise InputError(f"battery: {name} is {getattr(self, name)}, expected above 0 and at most 1")
        if not 0 <= self.soc_min <= self.soc_initial <= self.soc_max <= 1:
            raise InputError(
                f"battery: state of charge is {self.soc_initial} within {self.soc_min} to {self.soc_max}, "
                "expected 0 <= soc_min <= soc_initial <= soc_max <= 1"
            )
        if not 0 <= self.self_discharge_per_day < 1:
            raise InputError(
                f"battery: self_discharge_per_day is {self.self_discharge_per_day}, expected 0 to below 1"
            )
        if not 0 <= self.standby_w < inf:
            raise InputError(f"battery: standby_w is {self.standby_w}, expected a number >= 0")

    @property
    def charge_limit_w(self) -> float:
        """Largest charging power, W."""
        return self.capacity_wh if self.max_charge_w is None else self.max_charge_w

    @property
    def discharge_limit_w(self) -> float:
        """Largest discharging power, W."""
        return self.capacity_wh if self.max_discharge_w is None else self.max_discharge_w

    def spec(self, step_s: float) -> Spec:
        """The same as numbers, for steps of `step_s`."""
        return _spec(self, step_s)

    def store(self) -> Store:
        """What is in it at the start."""
        return Store(self.soc_initial * self.capacity_wh)


@lru_cache(maxsize=64)
def _spec(config: BatteryConfig, step_s: float) -> Spec:
    leak = config.self_discharge_per_day
    return Spec(
        capacity_wh=float(config.capacity_wh),
        charge_w=float(config.charge_limit_w),
        discharge_w=float(config.discharge_limit_w),
        charge_efficiency=float(config.charge_efficiency),
        discharge_efficiency=float(config.discharge_efficiency),
        soc_min=float(config.soc_min),
        soc_max=float(config.soc_max),
        taper_from=float(config.taper_from),
        standby_w=float(config.standby_w),
        kept=exp(log1p(-leak) * step_s / 86400.0) if leak else 1.0,
        hours=step_s / 3600.0,
    )


def settled_wh(spec: Spec, store: Store, target_wh: float) -> float:
    """What the terminals must take to bring the store to a target, Wh; negative: what they would give.

    Examples
    --------
    >>> config = BatteryConfig(1000.0, charge_efficiency=0.9, discharge_efficiency=0.9)
    >>> [round(settled_wh(config.spec(60), config.store(), target), 6) for target in (590.0, 400.0)]
    [100.0, -90.0]
    """
    missing_wh = target_wh - store.energy_wh
    return missing_wh / spec.charge_efficiency if missing_wh > 0 else missing_wh * spec.discharge_efficiency
