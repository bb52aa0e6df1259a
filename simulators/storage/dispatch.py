"""Rules that decide what a battery does in one interval.

A rule sees the interval's load, generation and signals and answers with the terminal power it wishes for
(charging positive); the battery's feasible range then bounds it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isnan, nan
from numbers import Real
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import ArrayLike

from simulators.errors import InputError
from simulators.options import nearest
from simulators.own_code import first_line, load_class, made, own_file, parse_options


@dataclass(frozen=True)
class Situation:
    """What a rule sees: means over the coming interval.

    Attributes
    ----------
    load_w, generation_w
        Of the site, W.
    ci_g_per_kwh, price_per_kwh
        Carbon intensity and price of grid power; NaN where not connected.
    soc
        State of charge at the interval's start, 0 to 1; NaN if it is not known.
    start_s, step_s
        Start of the interval from the run's start, and its length, s.
    """

    load_w: float
    generation_w: float
    ci_g_per_kwh: float = nan
    price_per_kwh: float = nan
    soc: float = nan
    start_s: int = 0
    step_s: int = 0


class Dispatch(Protocol):
    """A rule."""

    def power_w(self, situation: Situation) -> float:
        """Terminal power wished for, W; charging is positive."""
        ...


@dataclass(frozen=True)
class NoDispatch:
    """The battery rests."""

    def power_w(self, situation: Situation) -> float:
        return 0.0


@dataclass(frozen=True)
class SelfConsumption:
    """Store every surplus, cover every deficit."""

    def power_w(self, situation: Situation) -> float:
        return situation.generation_w - situation.load_w


@dataclass(frozen=True)
class PeakShaving:
    """Keep the grid import at or below a limit; refill from what the limit leaves, and from surplus.

    Attributes
    ----------
    import_limit_w
        Most to take from the grid as long as the battery lasts, W, >= 0.
    """

    import_limit_w: float

    def __post_init__(self) -> None:
        if not 0 <= self.import_limit_w < inf:
            raise InputError(f"dispatch: import_limit_w is {self.import_limit_w}, expected a number >= 0")

    def power_w(self, situation: Situation) -> float:
        return self.import_limit_w - (situation.load_w - situation.generation_w)


@dataclass(frozen=True)
class ThresholdDispatch:
    """Fill from the grid while it is good, cover deficits while it is bad, store surplus always.

    Between the two thresholds the battery keeps its charge for worse hours.

    Attributes
    ----------
    charge_at_or_below
        Grid signal up to which the battery charges from the grid as well.
    discharge_at_or_above
        Grid signal from which it covers the deficit; above `charge_at_or_below`.
    grid_charge_w
        Most it takes from the grid, W.
    """

    charge_at_or_below: float
    discharge_at_or_above: float
    grid_charge_w: float = inf

    signal: ClassVar[str]

    def __post_init__(self) -> None:
        if not self.charge_at_or_below < self.discharge_at_or_above:
            raise InputError(
                f"dispatch: charge_at_or_below is {self.charge_at_or_below}, "
                f"expected less than discharge_at_or_above ({self.discharge_at_or_above})"
            )
        if not self.grid_charge_w > 0:
            raise InputError(f"dispatch: grid_charge_w is {self.grid_charge_w}, expected a positive number")

    def power_w(self, situation: Situation) -> float:
        surplus_w = situation.generation_w - situation.load_w
        value = self._value(situation)
        if isnan(value):
            raise InputError(f"dispatch: the rule needs {self.signal}, which is not connected")
        if value <= self.charge_at_or_below:
            return max(surplus_w, 0.0) + self.grid_charge_w
        if surplus_w >= 0 or value >= self.discharge_at_or_above:
            return surplus_w
        return 0.0

    def _value(self, situation: Situation) -> float:
        raise NotImplementedError


@dataclass(frozen=True)
class CarbonAware(ThresholdDispatch):
    """`ThresholdDispatch` on the grid's carbon intensity, g/kWh."""

    signal: ClassVar[str] = "CI[gCO2eq/kWh]"

    def _value(self, situation: Situation) -> float:
        return situation.ci_g_per_kwh


@dataclass(frozen=True)
class PriceAware(ThresholdDispatch):
    """`ThresholdDispatch` on the grid's price, per kWh."""

    signal: ClassVar[str] = "price[1/kWh]"

    def _value(self, situation: Situation) -> float:
        return situation.price_per_kwh


@dataclass(frozen=True)
class OwnRule:
    """A user's own rule; where it fails, its file is named."""

    spec: str
    rule: Dispatch

    def power_w(self, situation: Situation) -> float:
        where = f"battery rule {self.spec} at {situation.start_s} s"
        try:
            wished_w: Any = self.rule.power_w(situation)
        except InputError:
            raise
        except (Exception, SystemExit) as error:
            raise InputError(f"{where}: {first_line(error)}") from error
        if isinstance(wished_w, bool) or not isinstance(wished_w, Real) or isnan(wished_w):
            raise InputError(f"{where}: asks for {wished_w!r}, expected a number of W")
        return float(wished_w)


def thresholds(
    values: ArrayLike, charge_quantile: float = 0.25, discharge_quantile: float = 0.6
) -> dict[str, float]:
    """Options of a `ThresholdDispatch` from a signal's series (of the past, or known beforehand).

    Raises
    ------
    InputError
        If the quantiles are out of order, or the series is so flat that they coincide.
    """
    if not 0 <= charge_quantile < discharge_quantile <= 1:
        raise InputError("dispatch: expected 0 <= charge_quantile < discharge_quantile <= 1")
    low, high = np.quantile(np.asarray(values, dtype=np.float64), [charge_quantile, discharge_quantile])
    if not low < high:
        raise InputError("dispatch: the signal is too flat to tell good hours from bad ones")
    return {"charge_at_or_below": float(low), "discharge_at_or_above": float(high)}


DISPATCHES: dict[str, type[Any]] = {
    "none": NoDispatch,
    "self-consumption": SelfConsumption,
    "carbon": CarbonAware,
    "price": PriceAware,
    "peak-shaving": PeakShaving,
}


def dispatch(name: str, **options: Any) -> Dispatch:
    """The rule called `name`, one of `DISPATCHES`; ``name:option=value,...``; or a user's own, ``FILE.py:CLASS``.

    An own rule is a class with ``power_w(situation)``; `options` go to it.

    Raises
    ------
    InputError
        If the name or an option is unknown, one is missing, or the own class cannot be had.

    Examples
    --------
    >>> dispatch("peak-shaving:import_limit_w=2000").power_w(Situation(load_w=2500.0, generation_w=0.0))
    -500.0
    """
    if own_file(name) is not None:
        own, rest = load_class(name, "battery rule")
        what = f"battery rule {name}"
        if not callable(getattr(own, "power_w", None)):
            raise InputError(f"{what}: has no method power_w(situation), expected one that returns W")
        return OwnRule(name, made(own, parse_options(rest, what) | options, what))
    name, _, rest = name.partition(":")
    if name not in DISPATCHES:
        hint = nearest(name, list(DISPATCHES))
        raise InputError(
            f"battery dispatch: {name!r} is unknown, expected one of {', '.join(DISPATCHES)}{hint}"
        )
    what = f"battery dispatch {name!r}"
    bundled: Dispatch = made(DISPATCHES[name], parse_options(rest, what) | options, what)
    return bundled
