"""The connection to the grid, and how a site's balance closes in one interval.

In every interval ``generation + import + discharge + unserved = load + export + charge + curtailed``. What the
connection does not carry is dealt with in this order:

- too much import (limit, ramp, outage): the battery charges less, then discharges whatever its rule wants, as far as
  its floor; what is left of the load is *unserved*;
- too much export (limit, ramp, outage, negative price): a battery discharges less; the rest of the generation is
  *curtailed*;
- a ramp holds in both directions, so the battery also takes what is left over when the load falls, and gives what is
  missing when generation does, though no load is shed and nothing curtailed for that. What then is still too fast
  happens anyway and is counted (`Exchange.too_fast`);
- in an outage nothing is exchanged: the battery balances the site whatever its rule is, down to its lowest charge.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isfinite, isnan
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.errors import InputError
from simulators.loops import in_loops
from simulators.storage.battery import Return, Spec, Store, possible_w, returning_w
from simulators.storage.exchange import ROUNDING, Exchange

FIXED, FOLLOW, COVER, STORE = 0, 1, 2, 3
"""What a rule may want of the battery: a power; the site's balance; at most a power to cover a deficit, but all surplus
stored; at most a power of a surplus, but every deficit covered."""


class Limits(NamedTuple):
    """What the connection allows in steps of one length, as numbers.

    Attributes
    ----------
    import_w, export_w
        Most that is taken and given, W; inf: no limit.
    ramp_w
        Most by which the exchange may change from one step to the next, W.
    wind_first
        Whether wind is curtailed before PV.
    no_paid_export
        Whether nothing is exported while the price is negative.
    reserve
        State of charge kept for outages, 0 to 1; below it the battery is filled.
    """

    import_w: float
    export_w: float
    ramp_w: float
    wind_first: bool
    no_paid_export: bool
    reserve: float


class Moment(NamedTuple):
    """One interval as the site sees it: means, W.

    Attributes
    ----------
    load_w, generation_w
        Consumption; all generation.
    pv_w, wind_w
        Of which PV and wind.
    spilled_w
        Generation that a command leaves unused.
    negative_price, islanded
        Whether the price is below 0; whether the grid is away.
    mode, wished_w
        What the rule wants: `FIXED`, `FOLLOW`, `COVER` or `STORE`, and a power at the battery's terminals.
    """

    load_w: float
    generation_w: float
    pv_w: float
    wind_w: float
    spilled_w: float
    negative_price: bool
    islanded: bool
    mode: int
    wished_w: float


@in_loops
def room_w(spec: Spec, limits: Limits, moment: Moment) -> float:
    """What battery and import limit leave to charge with beside the site's own balance, W, >= 0."""
    room = limits.import_w + moment.generation_w - moment.spilled_w - moment.load_w
    room = 0.0 if room < 0.0 else room
    return room if room < spec.charge_w else spec.charge_w


@in_loops
def wished(mode: int, power_w: float, surplus_w: float) -> float:
    """What a rule wants at the battery's terminals, W, given the site's surplus (negative: deficit), W."""
    if mode == FOLLOW:
        return surplus_w
    if mode == COVER:
        return surplus_w if surplus_w > power_w else power_w
    if mode == STORE:
        return surplus_w if surplus_w < power_w else power_w
    return power_w


@in_loops
def foreseen_w(room_w: float, mean_w: float) -> float:
    """What can be counted on to charge with later on, W, by what there is now and was in the mean.

    A mean of inf, of a site whose rule plans its return by itself, is all that the battery can.
    """
    return room_w if room_w < mean_w < inf else mean_w


@in_loops
def battery_w(spec: Spec, store: Store, limits: Limits, back: Return, moment: Moment) -> float:
    """Power of the battery that its rule, its charge and its return leave, W."""
    surplus_w = moment.generation_w - moment.spilled_w - moment.load_w
    floor = spec.soc_min
    wish_w = surplus_w
    if not moment.islanded:
        wish_w = wished(moment.mode, moment.wished_w, surplus_w)
        if limits.reserve > floor:
            floor = limits.reserve
            missing_wh = floor * spec.capacity_wh - store.energy_wh * spec.kept
            fill_w = missing_wh / spec.charge_efficiency / spec.hours + spec.standby_w
            if missing_wh > 0.0 and wish_w < fill_w:
                wish_w = fill_w
    power_w = possible_w(spec, store, wish_w, floor)
    if back.left_h >= 0.0:
        least_w, most_w = returning_w(spec, store, back)
        if power_w < least_w:
            power_w = possible_w(spec, store, least_w, floor)
        elif power_w > most_w:
            power_w = possible_w(spec, store, most_w, floor)
    return power_w


@in_loops
def open_w(limits: Limits, moment: Moment) -> tuple[float, float]:
    """Most that the connection gives and takes in an interval, its ramp aside, W."""
    if moment.islanded:
        return 0.0, 0.0
    return limits.import_w, 0.0 if moment.negative_price and limits.no_paid_export else limits.export_w


@in_loops
def settle(
    spec: Spec, store: Store, limits: Limits, back: Return, before_w: float, moment: Moment
) -> tuple[float, float, float, float, bool]:
    """Close the balance of one interval.

    Parameters
    ----------
    spec, store, limits, back, moment
        The battery, the connection, and the interval.
    before_w
        Exchange in the interval before, W; NaN in the first.

    Returns
    -------
    tuple
        Power of the battery (charging positive), exchange (import positive), unserved load and curtailed generation, W;
        whether the exchange changed faster than allowed.
    """
    import_w, export_w = open_w(limits, moment)
    ramped = not moment.islanded and limits.ramp_w < inf and not isnan(before_w)
    rise_w = before_w + limits.ramp_w if ramped else inf
    fall_w = before_w - limits.ramp_w if ramped else -inf
    rise_w = rise_w if rise_w > -export_w else -export_w  # a limit that comes at once goes before a ramp
    fall_w = fall_w if fall_w < import_w else import_w
    net_w = moment.load_w - (moment.generation_w - moment.spilled_w)
    power_w = battery_w(spec, store, limits, back, moment)
    exchange_w = net_w + power_w
    high_w = import_w if import_w < rise_w else rise_w
    low_w = -export_w if -export_w > fall_w else fall_w
    if exchange_w > high_w:
        floor = spec.soc_min if moment.islanded or limits.reserve < spec.soc_min else limits.reserve
        least_w = possible_w(spec, store, -inf, floor)
        least_w = least_w if least_w < 0.0 else 0.0  # standby is not worth shedding load
        if high_w - net_w >= least_w:
            power_w, exchange_w = high_w - net_w, high_w
        else:
            power_w, exchange_w = least_w, net_w + least_w
    elif exchange_w < low_w:
        most_w = power_w if power_w > 0.0 else 0.0
        if exchange_w < fall_w:
            most_w = possible_w(spec, store, inf, spec.soc_min)
        if low_w - net_w <= most_w:
            power_w, exchange_w = low_w - net_w, low_w
        else:
            power_w, exchange_w = most_w, net_w + most_w
    larger_w = moment.load_w if moment.load_w > moment.generation_w else moment.generation_w
    if abs(exchange_w) <= ROUNDING * larger_w:
        exchange_w = 0.0  # what rounding leaves where a battery covers everything is no exchange
    unserved_w, curtailed_w = 0.0, 0.0
    shed_w = rise_w if before_w > 0.0 else limits.ramp_w
    shed_w = import_w if not ramped or import_w < shed_w else shed_w
    spill_w = fall_w if before_w < 0.0 else -limits.ramp_w
    spill_w = -export_w if not ramped or -export_w > spill_w else spill_w
    if exchange_w > shed_w:
        unserved_w, exchange_w = exchange_w - shed_w, shed_w
    elif exchange_w < spill_w:
        curtailed_w, exchange_w = spill_w - exchange_w, spill_w
    too_fast = exchange_w > rise_w + ROUNDING * abs(rise_w) or exchange_w < fall_w - ROUNDING * abs(fall_w)
    return power_w, exchange_w, unserved_w, curtailed_w + moment.spilled_w, too_fast


@in_loops
def shares(limits: Limits, moment: Moment, curtailed_w: float) -> tuple[float, float]:
    """What of the curtailed generation is PV and wind, W; what is neither comes last."""
    first_w = moment.wind_w if limits.wind_first else moment.pv_w
    second_w = moment.pv_w if limits.wind_first else moment.wind_w
    first_w = curtailed_w if curtailed_w < first_w else first_w
    rest_w = curtailed_w - first_w
    second_w = rest_w if rest_w < second_w else second_w
    return (second_w, first_w) if limits.wind_first else (first_w, second_w)


@in_loops
def exchanged(limits: Limits, moment: Moment, found: tuple[float, float, float, float, bool]) -> Exchange:
    """What `settle` found, as flows."""
    power_w, exchange_w, unserved_w, curtailed_w, too_fast = found
    pv_w, wind_w = shares(limits, moment, curtailed_w)
    return Exchange(
        moment.load_w,
        moment.generation_w,
        power_w if power_w > 0.0 else 0.0,
        -power_w if power_w < 0.0 else 0.0,
        exchange_w if exchange_w > 0.0 else 0.0,
        -exchange_w if exchange_w < 0.0 else 0.0,
        curtailed_w,
        unserved_w,
        pv_w,
        wind_w,
        1.0 if too_fast else 0.0,
    )


@dataclass(frozen=True)
class Connection:
    """The connection of a site.

    Attributes
    ----------
    import_limit_w, export_limit_w
        Most that is taken and given, W, >= 0.
    ramp_w_per_s
        Most by which the exchange may change, W/s, above 0.
    outages
        When the grid is away: start and end, s from the start of the run. A step that an outage touches is islanded.
    curtail_first
        Which generation is curtailed first: wind or pv.
    no_paid_export
        Whether nothing is exported while the price is negative.

    Examples
    --------
    >>> Connection(outages=((90, 130),)).islanded(4, 60).tolist()
    [False, True, True, False]
    """

    import_limit_w: float = inf
    export_limit_w: float = inf
    ramp_w_per_s: float = inf
    outages: Sequence[tuple[float, float]] = ()
    curtail_first: Literal["wind", "pv"] = "wind"
    no_paid_export: bool = False

    def __post_init__(self) -> None:
        for name, what in (("import_limit_w", "import limit"), ("export_limit_w", "export limit")):
            if not getattr(self, name) >= 0:
                raise InputError(f"storage: {what} is {getattr(self, name)} W, expected a number >= 0")
        if not self.ramp_w_per_s > 0:
            raise InputError(f"storage: ramp limit is {self.ramp_w_per_s} W/s, expected a positive number")
        if self.curtail_first not in ("wind", "pv"):
            raise InputError(f"storage: curtail_first is {self.curtail_first!r}, expected one of wind, pv")
        for start_s, end_s in self.outages:
            if not (isfinite(start_s) and start_s < end_s):
                raise InputError(
                    f"storage: outage from {start_s} to {end_s} s, expected an end after its start"
                )

    def limits(self, step_s: int, reserve: float = 0.0) -> Limits:
        """The same as numbers, for steps of `step_s`."""
        return Limits(
            float(self.import_limit_w),
            float(self.export_limit_w),
            float(self.ramp_w_per_s) * step_s,
            self.curtail_first == "wind",
            self.no_paid_export,
            float(reserve),
        )

    def islanded(self, steps: int, step_s: int, first: int = 0) -> NDArray[np.bool_]:
        """Whether the grid is away in each of so many steps, from step number `first` on; shape (steps,)."""
        begins = (first + np.arange(steps)) * step_s
        away = np.zeros(steps, dtype=np.bool_)
        for start_s, end_s in self.outages:
            away |= (begins < end_s) & (begins + step_s > start_s)
        return away
