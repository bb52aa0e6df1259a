"""Rules that decide what a battery does in one interval.

A rule sees the interval's load, generation and signals and answers with the terminal power it wishes for
(charging positive); what the battery and the connection to the grid can do then bounds it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isnan, nan
from numbers import Real
from typing import Any, ClassVar, Protocol

from simulators.errors import InputError, nearest
from simulators.own_code import fault_line, load_class, made, own_file, parse_options


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
class Simple:
    """A rule without memory that looks at load and generation alone; it takes whole series (arrays) as well.

    Attributes
    ----------
    reserve
        State of charge it keeps for outages, 0 to 1.
    """

    reserve: ClassVar[float] = 0.0

    def power_w(self, situation: Situation) -> float:
        raise NotImplementedError


@dataclass(frozen=True)
class NoDispatch(Simple):
    """The battery rests."""

    def power_w(self, situation: Situation) -> float:
        return 0.0 * situation.load_w


@dataclass(frozen=True)
class SelfConsumption(Simple):
    """Store every surplus, cover every deficit."""

    def power_w(self, situation: Situation) -> float:
        return situation.generation_w - situation.load_w


@dataclass(frozen=True)
class PeakShaving(Simple):
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
class Reserve(SelfConsumption):
    """`SelfConsumption` with what lies above a share; that is kept for outages, and filled from the grid if need be.

    Attributes
    ----------
    share
        State of charge kept as long as the grid is there, 0 to 1.
    """

    share: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise InputError(f"dispatch: share is {self.share}, expected 0 to 1")

    @property
    def reserve(self) -> float:  # type: ignore[override]
        return self.share


@dataclass(frozen=True)
class Horizon:
    """Once an hour, minimise what import in the coming hours causes less what export earns, and do the plan's first.

    Attributes
    ----------
    objective
        ``carbon``, ``price`` or ``carbon+price``.
    hours, interval_min
        How far it looks ahead, h, and the length of its first intervals, min: as many whole steps as fit, at least one.
    forecast
        What it is told of generation, carbon intensity, price and, if that is known beforehand, load: ``perfect``,
        ``persistence`` (as a day before, see `horizon`) or ``noisy``.
    per_kg
        Price of a kilogram of carbon in ``carbon+price``, in the unit of the price.
    reserve
        State of charge it keeps for outages, 0 to 1.
    """

    objective: str = "carbon"
    hours: float = 48.0
    interval_min: float = 15.0
    forecast: str = "perfect"
    per_kg: float = 0.1
    reserve: float = 0.0

    def __post_init__(self) -> None:
        for name, known in (
            ("objective", ("carbon", "price", "carbon+price")),
            ("forecast", ("perfect", "persistence", "noisy")),
        ):
            value = getattr(self, name)
            if value not in known:
                hint = nearest(str(value), known)
                raise InputError(f"dispatch: {name} is {value!r}, expected one of {', '.join(known)}{hint}")
        for name in ("hours", "interval_min"):
            if not 0 < getattr(self, name) < inf:
                raise InputError(f"dispatch: {name} is {getattr(self, name)}, expected a positive number")
        if not 0 <= self.per_kg < inf:
            raise InputError(f"dispatch: per_kg is {self.per_kg}, expected a number >= 0")
        if not 0 <= self.reserve <= 1:
            raise InputError(f"dispatch: reserve is {self.reserve}, expected 0 to 1")


@dataclass(frozen=True)
class OwnRule:
    """A user's own rule; where it fails, its file is named."""

    spec: str
    rule: Dispatch

    reserve: ClassVar[float] = 0.0

    def power_w(self, situation: Situation) -> float:
        where = f"battery rule {self.spec} at {situation.start_s} s"
        try:
            wished_w: Any = self.rule.power_w(situation)
        except InputError:
            raise
        except (Exception, SystemExit) as error:
            raise InputError(f"{where}: {fault_line(error)}") from error
        if isinstance(wished_w, bool) or not isinstance(wished_w, Real) or isnan(wished_w):
            raise InputError(f"{where}: asks for {wished_w!r}, expected a number of W")
        return float(wished_w)


Rule = Simple | Horizon | OwnRule
"""What a site may be given."""

DISPATCHES: dict[str, type[Any]] = {
    "none": NoDispatch,
    "self-consumption": SelfConsumption,
    "peak-shaving": PeakShaving,
    "reserve": Reserve,
    "horizon": Horizon,
}


def dispatch(name: str, **options: Any) -> Rule:
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
    bundled: Rule = made(DISPATCHES[name], parse_options(rest, what) | options, what)
    return bundled
