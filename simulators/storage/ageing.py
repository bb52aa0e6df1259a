"""How a battery ages: capacity lost and resistance gained, with time and with use.

The law is that of a commercial LFP/graphite cell: M. Naumann, M. Schimpe, P. Keil, H. C. Hesse, A. Jossen, "Analysis
and modeling of calendar aging of a commercial LiFePO4/graphite cell", Journal of Energy Storage 17, 2018, 153-169,
and M. Naumann, F. B. Spingler, A. Jossen, "Analysis and modeling of cycle aging of a commercial LiFePO4/graphite
cell", Journal of Power Sources 451, 2020, 227666. Capacity is lost with the square root of time and of the equivalent
full cycles, resistance grows linearly; what is already lost is carried over to new conditions, so the length of a
step has no part in it. A half cycle is booked when it ends, with its depth and mean rate.
"""

from __future__ import annotations

from math import exp, sqrt
from typing import NamedTuple

from simulators.loops import in_loops
from simulators.quantities.factor import Assumption, Factor
from simulators.storage.battery import Spec, Store, stepped

GAS_J_PER_MOL_K = 8.314462618
REFERENCE_K = 298.15

_CALENDAR = "Naumann et al. 2018, J. Energy Storage 17; range: twice and half, a choice for other cells"
_CYCLE = "Naumann et al. 2020, J. Power Sources 451; range: twice and half, a choice for other cells"

CALENDAR_LOSS = Factor(
    1.2571e-5, 0.6e-5, 2.5e-5, "1/s^0.5", f"capacity lost with time at 25 degC: {_CALENDAR}"
)
CALENDAR_RISE = Factor(
    3.4194e-10, 1.7e-10, 6.8e-10, "1/s", f"resistance gained with time at 25 degC: {_CALENDAR}"
)
CYCLE_LOSS = Factor(1.0, 0.5, 2.0, "1", f"capacity lost with use, times the published law: {_CYCLE}")
_CONVERTER = "a choice; most are the converter's (Schimpe et al. 2018, Applied Energy 210)"
OHMIC_SHARE = Factor(
    0.3, 0.1, 0.6, "1", f"conversion losses that grow with the cells' resistance: {_CONVERTER}"
)
TEMPERATURE = Factor(25.0, 15.0, 35.0, "degC", "cells in a cooled container, a choice")

LOSS_EA_J, RISE_EA_J = 17126.0, 71827.0
"""Activation energies of loss and rise with time, J/mol (2018)."""


class Law(NamedTuple):
    """How fast a battery ages at its temperature, as numbers; `on` is whether it does at all."""

    on: bool
    loss_per_root_s: float
    rise_per_s: float
    cycle_loss: float
    ohmic_share: float


NO_AGEING = Law(False, 0.0, 0.0, 0.0, 0.0)


class Age(NamedTuple):
    """What a battery has lost, shares of what it was new, and the half cycle it is in.

    Attributes
    ----------
    calendar_loss, cycle_loss, calendar_rise, cycle_rise
        Of capacity; of resistance.
    heading, depth, busy_h
        Whether it charges (1) or discharges (-1); how far the charge has moved that way, and in how many hours.
    """

    calendar_loss: float = 0.0
    cycle_loss: float = 0.0
    calendar_rise: float = 0.0
    cycle_rise: float = 0.0
    heading: float = 0.0
    depth: float = 0.0
    busy_h: float = 0.0


def lfp(temperature_c: float = TEMPERATURE.value) -> Law:
    """The law of LFP cells at a temperature.

    Examples
    --------
    What ten years at half charge cost of the capacity, without use:

    >>> [round(0.60225 * lfp(at).loss_per_root_s * (10 * 365 * 86400) ** 0.5, 3) for at in (25.0, 40.0)]
    [0.134, 0.187]
    """
    kelvin = temperature_c + 273.15
    loss, rise = (
        exp(-energy / GAS_J_PER_MOL_K * (1 / kelvin - 1 / REFERENCE_K)) for energy in (LOSS_EA_J, RISE_EA_J)
    )
    return Law(
        True, CALENDAR_LOSS.value * loss, CALENDAR_RISE.value * rise, CYCLE_LOSS.value, OHMIC_SHARE.value
    )


@in_loops
def with_half_cycle(law: Law, age: Age) -> Age:
    """The age with the half cycle it is in booked, and none begun."""
    if age.depth <= 0.0 or age.busy_h <= 0.0:
        return age
    rate, cycles = age.depth / age.busy_h, age.depth / 2.0
    off = age.depth - 0.6
    stress = law.cycle_loss * (0.0630 * rate + 0.0971) * (4.0253 * off * off * off + 1.0923) / 100.0
    virtual = age.cycle_loss / stress
    loss = stress * sqrt(virtual * virtual + cycles)
    rise = (0.0021 - 0.0020 * rate) * (6.8477 * age.depth + 0.9182) / 100.0
    rise = rise if rise > 0.0 else 0.0
    return Age(
        age.calendar_loss, loss, age.calendar_rise, age.cycle_rise + rise * cycles, age.heading, 0.0, 0.0
    )


@in_loops
def aged(law: Law, age: Age, before: float, after: float, hours: float) -> Age:
    """The age after a step that moved the state of charge from `before` to `after`."""
    moved = after - before
    heading = 1.0 if moved > 0.0 else -1.0 if moved < 0.0 else age.heading
    if heading != age.heading:
        age = with_half_cycle(law, age)
    soc = (before + after) / 2.0
    off = soc - 0.5
    stress = law.loss_per_root_s * (2.8575 * off * off * off + 0.60225)
    virtual = age.calendar_loss / stress
    loss = stress * sqrt(virtual * virtual + hours * 3600.0)
    rise = law.rise_per_s * (1.5604 - 3.3903 * off * off)
    return Age(
        loss,
        age.cycle_loss,
        age.calendar_rise + rise * hours * 3600.0,
        age.cycle_rise,
        heading,
        age.depth + abs(moved),
        age.busy_h + (hours if moved != 0.0 else 0.0),
    )


@in_loops
def worn(spec: Spec, law: Law, age: Age) -> Spec:
    """What a battery of that age still can do."""
    if not law.on:
        return spec
    left = 1.0 - age.calendar_loss - age.cycle_loss
    grown = 1.0 + law.ohmic_share * (age.calendar_rise + age.cycle_rise)
    charge = 1.0 - (1.0 - spec.charge_efficiency) * grown
    discharge = 1.0 - (1.0 - spec.discharge_efficiency) * grown
    return Spec(
        spec.capacity_wh * (left if left > 0.05 else 0.05),
        spec.charge_w,
        spec.discharge_w,
        charge if charge > 0.05 else 0.05,
        discharge if discharge > 0.05 else 0.05,
        spec.soc_min,
        spec.soc_max,
        spec.taper_from,
        spec.standby_w,
        spec.kept,
        spec.hours,
    )


@in_loops
def shrunk(spec: Spec, store: Store) -> Store:
    """The store in a battery that has become smaller; what has no room any more is booked as faded."""
    over_wh = store.energy_wh - spec.capacity_wh
    if over_wh <= 0.0:
        return store
    return Store(
        spec.capacity_wh,
        store.charged_wh,
        store.discharged_wh,
        store.lost_wh,
        store.faded_wh + over_wh,
        store.moved_wh,
    )


@in_loops
def moved(spec: Spec, law: Law, store: Store, age: Age, power_w: float) -> tuple[Store, Age]:
    """Store and age after a step with a terminal power, W; `spec` is that of the new battery."""
    now = worn(spec, law, age)
    after = stepped(now, store, power_w)
    if law.on:
        age = aged(law, age, store.energy_wh / now.capacity_wh, after.energy_wh / now.capacity_wh, spec.hours)
        after = shrunk(worn(spec, law, age), after)
    return after, age


def assumptions(temperature: Factor = TEMPERATURE) -> list[Assumption]:
    """What a run with ageing rests on."""
    return [
        Assumption("battery_temperature_c", temperature),
        Assumption("battery_calendar_loss", CALENDAR_LOSS),
        Assumption("battery_calendar_rise", CALENDAR_RISE),
        Assumption("battery_cycle_loss", CYCLE_LOSS),
        Assumption("battery_ohmic_share", OHMIC_SHARE),
    ]
