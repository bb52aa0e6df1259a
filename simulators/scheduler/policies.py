"""Policies: when to hold deferrable requests back, and how fast to let them go.

A policy only ever asks. Whatever it decides, the inference room releases a held request at its deadline
at the latest and never holds one that is not deferrable, so no policy can break a deadline.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from math import inf, isnan, nan
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from simulators.errors import InputError


@dataclass(frozen=True)
class Observation:
    """What a policy sees at the start of a step. A quantity that is not connected is NaN (an empty forecast).

    Attributes
    ----------
    time_s, step_s
        Start and length of the step, s.
    ci_g_per_kwh
        Carbon intensity of grid power in this step.
    ci_forecast_g_per_kwh
        The same for the coming steps, the first of them this one; shape (horizon,).
    generation_w
        Own generation in this step, W.
    load_w
        Power at the meter in the step before, W.
    soc
        State of charge of the battery at the end of the step before, 0 to 1.
    held, waiting
        Requests held back, and queued, at the end of the step before.
    price_per_kwh
        Price of grid power in this step.
    vm_pu
        Voltage at the site's bus in the step before, per unit.
    """

    time_s: int
    step_s: int
    ci_g_per_kwh: float = nan
    ci_forecast_g_per_kwh: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    generation_w: float = nan
    load_w: float = nan
    soc: float = nan
    held: float = 0.0
    waiting: float = 0.0
    price_per_kwh: float = nan
    vm_pu: float = nan


@dataclass(frozen=True)
class Decision:
    """What to do in the coming step.

    Attributes
    ----------
    hold
        Keep deferrable requests back.
    release_rate_per_s
        Otherwise, how many of those held to let go per second; inf lets all go at once.
    """

    hold: bool
    release_rate_per_s: float = inf


class Policy(Protocol):
    """Anything that decides."""

    def decide(self, observation: Observation) -> Decision:
        """The decision for the step that starts at the observation."""
        ...


HOLD = Decision(hold=True, release_rate_per_s=0.0)


def _release(held: float, over_s: float) -> Decision:
    """Let `held` requests go evenly over `over_s` (at once if that is 0)."""
    return Decision(False, held / over_s if held > 0 and over_s > 0 else inf)


def _quantile(ascending: Sequence[float] | NDArray[np.float64], share: float) -> float:
    """`numpy.quantile` of sorted values, without its fixed cost of about a tenth of a millisecond."""
    at = share * (len(ascending) - 1)
    below = int(at)
    low, high = ascending[below], ascending[min(below + 1, len(ascending) - 1)]
    return float(low + (high - low) * (at - below))


def _need(value: float, attribute: str, name: str) -> float:
    if isnan(value):
        raise InputError(f"policy {name!r}: needs {attribute}, which is not connected")
    return value


def _check(good: bool, name: str, what: str) -> None:
    if not good:
        raise InputError(f"policy {name!r}: expected {what}")


@dataclass(frozen=True)
class NoPolicy:
    """Never holds anything."""

    def decide(self, observation: Observation) -> Decision:
        return Decision(hold=False)


@dataclass(frozen=True)
class CarbonThreshold:
    """Hold while grid power is dirty for the hours that matter, release while it is clean.

    The threshold is fixed, or moves along as the `quantile` of the forecast over the coming `window_s`.
    The window should be as long as requests may be deferred: only then can waiting pay off. (Threshold
    waiting as in P. Wiesner, I. Behnke, D. Scheinert, K. Gontarska, L. Thamsen, "Let's Wait Awhile",
    Middleware 2021.)

    Attributes
    ----------
    quantile
        Share of the coming window that counts as clean, above 0 to 1.
    window_s
        How far ahead to look, s; a shorter forecast is used as far as it goes.
    threshold_g_per_kwh
        Fixed threshold in place of the quantile.
    spread
        Release evenly over the rest of the clean spell, so that no flood ends it; else at once.
    least_spread_s
        Release over at least this time, s, however short the spell.
    surplus_is_clean
        Own generation above the load counts as clean, whatever the grid's intensity.
    """

    quantile: float = 0.3
    window_s: float = 8 * 3600.0
    threshold_g_per_kwh: float | None = None
    spread: bool = True
    least_spread_s: float = 0.0
    surplus_is_clean: bool = True

    def __post_init__(self) -> None:
        _check(0 < self.quantile <= 1, "carbon", f"a quantile above 0 to 1, not {self.quantile}")
        _check(self.window_s > 0, "carbon", f"a positive window, not {self.window_s} s")
        limit = self.threshold_g_per_kwh
        _check(limit is None or limit >= 0, "carbon", f"a threshold >= 0 g/kWh, not {limit}")

    def decide(self, observation: Observation) -> Decision:
        now = _need(observation.ci_g_per_kwh, "CI[gCO2eq/kWh]", "carbon")
        steps = max(1, round(self.window_s / observation.step_s))
        ahead = observation.ci_forecast_g_per_kwh[:steps]
        if self.threshold_g_per_kwh is not None:
            threshold = self.threshold_g_per_kwh
        elif len(ahead):
            threshold = _quantile(np.sort(ahead), self.quantile)
        else:
            raise InputError("policy 'carbon': needs CI_forecast[gCO2eq/kWh], or a fixed threshold")
        surplus = self.surplus_is_clean and observation.generation_w > observation.load_w
        if now > threshold and not surplus:
            return HOLD
        if not self.spread:
            return Decision(hold=False)
        dirty = np.flatnonzero(ahead > threshold)
        clean_steps = int(dirty[0]) if len(dirty) else max(len(ahead), 1)
        spell_s = max(clean_steps, 1) * observation.step_s
        return _release(observation.held, max(spell_s, self.least_spread_s))


@dataclass(frozen=True)
class Unhurried:
    """Another policy, but nothing is released while requests queue: deferred work must not delay the rest.

    Attributes
    ----------
    policy
        Who decides otherwise.
    most_waiting
        Requests that may queue at the replicas, >= 0.
    """

    policy: Policy
    most_waiting: float = 8.0

    def decide(self, observation: Observation) -> Decision:
        decision = self.policy.decide(observation)
        return HOLD if observation.waiting > self.most_waiting else decision


@dataclass
class SolarFollowing:
    """Hold while own generation does not carry the load, release while it does, or while the battery is full.

    Holding lowers the very load it looks at. Generation is therefore measured against the load seen when
    requests last flowed, and requests once released flow until it falls below `hold_below` of the load.

    Attributes
    ----------
    release_at
        Generation over load from which requests are released, > 0.
    hold_below
        Generation over load below which they are held again, at most `release_at`.
    soc_release
        Release too from this state of charge on (more than 1: never).
    spread_s
        Release those held evenly over this time, s; 0: at once.
    """

    release_at: float = 1.0
    hold_below: float = 0.8
    soc_release: float = 0.95
    spread_s: float = 900.0
    _released: bool = field(default=False, init=False, repr=False)
    _flowing_load_w: float = field(default=0.0, init=False, repr=False)

    def __post_init__(self) -> None:
        _check(self.release_at > 0, "solar", f"release_at above 0, not {self.release_at}")
        _check(0 <= self.hold_below <= self.release_at, "solar", "0 <= hold_below <= release_at")
        _check(self.spread_s >= 0, "solar", f"spread_s >= 0, not {self.spread_s}")

    def decide(self, observation: Observation) -> Decision:
        generation_w = _need(observation.generation_w, "P_gen[MW]", "solar")
        load_w = _need(observation.load_w, "P_load[MW]", "solar")
        if self._released:
            self._flowing_load_w = load_w
        limit = self.hold_below if self._released else self.release_at
        carried = generation_w >= limit * max(load_w, self._flowing_load_w)
        full = not isnan(observation.soc) and observation.soc >= self.soc_release
        self._released = full or (generation_w > 0 and carried)
        return _release(observation.held, self.spread_s) if self._released else HOLD


@dataclass
class PriceThreshold:
    """Hold while grid power is dear, release while it is cheap.

    Dear is above a fixed threshold, or above the `quantile` of the prices seen over the last `window_s`.

    Attributes
    ----------
    quantile
        Share of the past window that counts as cheap, above 0 to 1.
    window_s
        How far back to look, s.
    threshold_per_kwh
        Fixed threshold in place of the quantile.
    spread_s
        Release those held evenly over this time, s; 0: at once.
    """

    quantile: float = 0.3
    window_s: float = 86400.0
    threshold_per_kwh: float | None = None
    spread_s: float = 900.0
    _seen: deque[tuple[int, float]] = field(default_factory=deque, init=False, repr=False)
    _ascending: list[float] = field(default_factory=list, init=False, repr=False)

    def __post_init__(self) -> None:
        _check(0 < self.quantile <= 1, "price", f"a quantile above 0 to 1, not {self.quantile}")
        _check(self.window_s > 0, "price", f"a positive window, not {self.window_s} s")
        _check(self.spread_s >= 0, "price", f"spread_s >= 0, not {self.spread_s}")

    def decide(self, observation: Observation) -> Decision:
        now = _need(observation.price_per_kwh, "price[1/kWh]", "price")
        if self.threshold_per_kwh is not None:
            threshold = self.threshold_per_kwh
        else:
            self._seen.append((observation.time_s, now))
            insort(self._ascending, now)
            while self._seen[0][0] <= observation.time_s - self.window_s:
                _, old = self._seen.popleft()
                del self._ascending[bisect_left(self._ascending, old)]
            threshold = _quantile(self._ascending, self.quantile)
        return HOLD if now > threshold else _release(observation.held, self.spread_s)


@dataclass
class VoltageThreshold:
    """Hold while the site's bus sags, release once it has recovered.

    Attributes
    ----------
    hold_below_pu, release_at_pu
        Voltages, per unit; the second is at least the first. EN 50160 allows 0.9 to 1.1.
    spread_s
        Release those held evenly over this time, s; 0: at once.
    """

    hold_below_pu: float = 0.95
    release_at_pu: float = 0.97
    spread_s: float = 900.0
    _holding: bool = field(default=False, init=False, repr=False)

    def __post_init__(self) -> None:
        _check(0 < self.hold_below_pu <= self.release_at_pu, "voltage", "0 < hold_below_pu <= release_at_pu")
        _check(self.spread_s >= 0, "voltage", f"spread_s >= 0, not {self.spread_s}")

    def decide(self, observation: Observation) -> Decision:
        voltage_pu = _need(observation.vm_pu, "vm_pu[1]", "voltage")
        self._holding = voltage_pu < (self.release_at_pu if self._holding else self.hold_below_pu)
        return HOLD if self._holding else _release(observation.held, self.spread_s)


POLICIES: dict[str, Callable[..., Policy]] = {
    "none": NoPolicy,
    "carbon": CarbonThreshold,
    "solar": SolarFollowing,
    "price": PriceThreshold,
    "voltage": VoltageThreshold,
}


def policy(name: str, **options: Any) -> Policy:
    """The policy called `name`, one of `POLICIES`; `options` are its attributes.

    Raises
    ------
    InputError
        If the name or an option is unknown, or an option is out of range.
    """
    if name not in POLICIES:
        raise InputError(f"policy: {name!r} is unknown, expected one of {', '.join(POLICIES)}")
    made = POLICIES[name]
    known = [option.name for option in fields(made) if option.init]  # type: ignore[arg-type]
    if unknown := set(options) - set(known):
        raise InputError(
            f"policy {name!r}: unknown option {sorted(unknown)[0]!r}, "
            f"expected one of {', '.join(known) or 'none at all'}"
        )
    return made(**options)
