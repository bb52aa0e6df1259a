"""Life-cycle emissions of own supply: what making, building and taking down PV, wind and battery comes to.

Used where the boundary is the life cycle (`accounting`). A plant's factor is per kWh that it generates, a battery's per
kWh of capacity over its life: both accrue whether or not the energy was of use.
"""

from __future__ import annotations

from dataclasses import dataclass

from simulators.errors import InputError
from simulators.quantities.factor import Factor

YEAR_S = 365.25 * 86400.0

_AR5 = "IPCC AR5, WG III (2014), annex III, table A.III.2"
PER_KWH = "gCO2eq/kWh generated"

PV_ROOFTOP = Factor(41.0, 26.0, 60.0, PER_KWH, f"{_AR5}: solar PV, rooftop; median, minimum to maximum")
PV_UTILITY = Factor(48.0, 18.0, 180.0, PER_KWH, f"{_AR5}: solar PV, utility; median, minimum to maximum")
WIND_ONSHORE = Factor(
    11.0, 7.0, 56.0, PER_KWH, f"{_AR5}: wind, onshore; median, minimum to maximum (small machines lie high)"
)
BATTERY = Factor(
    83.5,
    61.0,
    106.0,
    "kgCO2eq/kWh of capacity",
    "E. Emilsson, L. Dahllöf, IVL C444 (2019): making lithium-ion batteries, 61 to 106; the middle",
)
BATTERY_LIFE = Factor(
    15.0,
    10.0,
    20.0,
    "years",
    "W. Cole et al., NREL/TP-6A20-79236 (2021): 15 years; the range is a judgement, from a usual warranty up",
)
UTILITY_W = 1e6
"""From this rating on PV counts as utility scale: the U.S. Energy Information Administration's line, 1 MW."""


@dataclass(frozen=True)
class Supply:
    """Life-cycle emissions of one part of the own supply in a run.

    Attributes
    ----------
    kg, low_kg, high_kg
        kgCO2eq, and with the ends of the factor's range; all three the same for a factor of the user's own.
    factor
        What it was computed with.
    """

    kg: float
    low_kg: float
    high_kg: float
    factor: Factor


def of_generation(kind: str, generated_kwh: float, rated_w: float, own_g: float | None = None) -> Supply:
    """Of PV or wind: all it generated, exported and curtailed energy included, as exports earn no credit.

    Parameters
    ----------
    kind
        ``pv`` or ``wind``.
    generated_kwh, rated_w
        Energy of the run, kWh, and rating of the plant, W.
    own_g
        The user's own factor, gCO2eq/kWh.

    Examples
    --------
    >>> of_generation("pv", 100.0, rated_w=20e3).kg
    4.1
    """
    if kind not in ("pv", "wind"):
        raise InputError(f"life cycle: {kind!r} is unknown, expected pv or wind")
    known = WIND_ONSHORE if kind == "wind" else PV_UTILITY if rated_w >= UTILITY_W else PV_ROOFTOP
    factor = known.own(own_g)
    kg, low_kg, high_kg = (generated_kwh * g / 1e3 for g in (factor.value, factor.low, factor.high))
    return Supply(kg, low_kg, high_kg, factor)


def of_battery(
    capacity_kwh: float, span_s: float, own_kg: float | None = None, life: Factor = BATTERY_LIFE
) -> Supply:
    """Of a battery: its making, spread evenly over its life (time share, as of all hardware here).

    Parameters
    ----------
    capacity_kwh, span_s
        Capacity, kWh, and length of the run, s.
    own_kg
        The user's own factor, kgCO2eq per kWh of capacity.
    life
        Years over which it is spread.

    Examples
    --------
    >>> round(of_battery(40.0, 7 * 86400.0).kg, 3)
    4.267
    """
    factor = BATTERY.own(own_kg)
    years = span_s / YEAR_S
    kg, low_kg, high_kg = (
        capacity_kwh * each * years / lasts
        for each, lasts in ((factor.value, life.value), (factor.low, life.high), (factor.high, life.low))
    )
    return Supply(kg, low_kg, high_kg, factor)
