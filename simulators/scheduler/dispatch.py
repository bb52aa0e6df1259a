"""Dispatchers: what all sites do together; above all, which site serves whose requests.

A dispatcher sees every site and may command each of them, beside the site's own policy.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import ceil, inf, isfinite
from typing import Any, ClassVar, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from simulators.errors import InputError, nearest
from simulators.own_code import load_class, made, own_file, parse_options
from simulators.quantities.commands import Awake, Command, Route
from simulators.quantities.geography import Geography
from simulators.scheduler.fleet import Fleet
from simulators.scheduler.observation import NEEDS, Observation
from simulators.scheduler.policy import expect

Commands = Mapping[str, Iterable[Command]]
Array = NDArray[np.float64]

SMOOTH_S = 600.0
"""Arrivals are averaged over so long, s: chance does not move requests from site to site."""


class Dispatcher(Protocol):
    """Anything that decides for all sites; `needs` as of a policy, of every site."""

    @property
    def needs(self) -> frozenset[str]: ...

    def decide(self, seen: Mapping[str, Observation], geography: Geography) -> Commands:
        """Commands by site for the step that starts at the observations; ``Route`` is of a site as an origin."""
        ...


@dataclass(frozen=True)
class Home:
    """Every site serves its own requests: the baseline."""

    needs: ClassVar[frozenset[str]] = frozenset()

    def decide(self, seen: Mapping[str, Observation], geography: Geography) -> Commands:
        return {}


@dataclass(frozen=True)
class Spread:
    """Every site that may serve a request gets the same share: what mere spreading does."""

    needs: ClassVar[frozenset[str]] = frozenset()

    def decide(self, seen: Mapping[str, Observation], geography: Geography) -> Commands:
        found = {}
        for origin, now in seen.items():
            sites = geography.open_to(origin, now.time_s, now.time_s + now.step_s)
            found[origin] = [Route(dict.fromkeys(sites, 1.0 / len(sites)))]
        return found


def cheapest(rates: Array, costs: Array, most: Array, allowed: NDArray[np.bool_], ties: Array) -> Array:
    """How much of each origin's requests each site serves so that the sum of rates times costs is least, 1/s.

    A transport problem (F. L. Hitchcock, Journal of Mathematics and Physics 20, 1941), solved by HiGHS. What exceeds
    all that may serve it goes where it costs least.

    Parameters
    ----------
    rates
        Requests per second by origin; shape (origins,).
    costs, most
        Cost of a request, and highest rate, by site; shape (sites,).
    allowed, ties
        Which site may serve whom; what decides between equal costs, least first; shape (origins, sites).

    Examples
    --------
    The cheapest is filled first, then the next.

    >>> all_may = np.ones((2, 2), dtype=bool)
    >>> cheapest(np.array([3.0, 2.0]), np.array([9.0, 4.0]), np.array([4.0, 4.0]), all_may,
    ...     np.array([[0.0, 1.0], [1.0, 0.0]])).sum(axis=0).round(6).tolist()
    [1.0, 4.0]
    """
    from scipy.optimize import linprog

    origins, sites = allowed.shape
    scale = float(np.abs(costs).max()) or 1.0
    tie = ties / (float(ties.max()) or 1.0)
    price = np.broadcast_to(costs / scale, allowed.shape) + 1e-6 * tie
    width = origins * sites
    equal = np.kron(np.eye(origins), np.ones(sites))
    limit = np.kron(np.ones(origins), np.eye(sites))
    high = np.where(allowed.ravel(), np.inf, 0.0)
    solved = linprog(
        np.concatenate((price.ravel(), np.full(sites, 1e3))),
        A_ub=np.hstack((limit, -np.eye(sites))),
        b_ub=most,
        A_eq=np.hstack((equal, np.zeros((origins, sites)))),
        b_eq=rates,
        bounds=np.column_stack((np.zeros(width + sites), np.concatenate((high, np.full(sites, np.inf))))),
        method="highs",
    )
    if solved.status != 0:
        raise RuntimeError(f"dispatch of {origins} origins to {sites} sites: {solved.message}")
    found: Array = np.maximum(solved.x[:width], 0.0).reshape(origins, sites)
    return found


@dataclass
class Greedy:
    """Requests go where they cost least, as far as residency, latency and capacity allow; idle replicas are parked.

    Attributes
    ----------
    objective
        ``carbon``, ``price`` or ``latency``: what is least; between equals the nearest.
    most_ms
        Longest round trip that is taken, ms; an origin with no site within it goes to its nearest. inf: any.
    target
        Share of the rate at which a site just keeps its targets that it is loaded to, above 0 to 1.
    park
        Park replicas that no site needs, wake them before requests are moved there, and switch empty servers off.
    stay_s
        A replica is parked only if it was not needed for so long, s.

    Examples
    --------
    >>> sorted(Greedy().needs)
    ['arrivals_forecast', 'carbon', 'load_curve', 'queue', 'replicas']
    """

    objective: str = "carbon"
    most_ms: float = inf
    target: float = 0.9
    park: bool = True
    stay_s: float = 900.0
    _fleets: dict[str, Fleet] = field(default_factory=dict, init=False, repr=False)
    _needed_at: dict[tuple[str, int], float] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        known = ("carbon", "price", "latency")
        expect(
            self.objective in known,
            "greedy",
            f"objective {', '.join(known[:2])} or latency, not {self.objective}",
        )
        expect(self.most_ms > 0, "greedy", f"most_ms above 0, not {self.most_ms}")
        expect(0 < self.target <= 1, "greedy", f"a target above 0 to 1, not {self.target}")
        expect(self.stay_s >= 0, "greedy", f"stay_s >= 0, not {self.stay_s}")

    @property
    def needs(self) -> frozenset[str]:
        """What it decides with."""
        signal = {"carbon": {"carbon"}, "price": {"price"}, "latency": set()}[self.objective]
        return frozenset({*signal, "queue", "replicas", "arrivals_forecast", "load_curve"})

    def decide(self, seen: Mapping[str, Observation], geography: Geography) -> Commands:
        for name, now in seen.items():
            if name not in self._fleets:
                self._fleets[name] = Fleet(now.facts, clock=False, chunk=False)
        names = list(seen)
        first = next(iter(seen.values()))
        allowed = self._allowed(names, geography, first.time_s, first.time_s + first.step_s)
        rates = np.array([_expected_per_s(seen[name]) for name in names])
        costs = np.array([self._cost(seen[name], self._fleets[name]) for name in names])
        trips = np.array([[geography.between_s(origin, site) for site in names] for origin in names])
        each = np.array([self.target * self._fleets[name].most_per_replica for name in names])
        replicas = np.array([seen[name].facts.replicas for name in names])
        wanted = cheapest(rates, costs, each * replicas, allowed, trips)
        parks = {name: self.park and isfinite(seen[name].facts.replica_off_w) for name in names}
        awake = np.array([seen[name].awake if parks[name] and seen[name].awake >= 1 else seen[name].facts.replicas
                          for name in names])  # fmt: skip
        given = cheapest(rates, costs, each * awake, allowed, trips)  # to those that serve already
        commands: dict[str, list[Command]] = {}
        for k, name in enumerate(names):
            # without requests the shares of a single one
            share = (
                given[k] if rates[k] > 0 else cheapest(np.eye(len(names))[k], costs, each, allowed, trips)[k]
            )
            commands[name] = [
                Route({site: float(v) for site, v in zip(names, share / share.sum(), strict=True)})
            ]
            if parks[name]:
                needed = max(ceil(plan[:, k].sum() / each[k] - 1e-6) for plan in (wanted, given))
                count = self._kept(seen[name], name, min(max(needed, 1), int(replicas[k])))
                commands[name].append(Awake(count, "host_off" if count < replicas[k] else "off"))
        return commands

    def _allowed(
        self, names: list[str], geography: Geography, begins_at: float, until: float
    ) -> NDArray[np.bool_]:
        """Who may serve whom, within the longest round trip where one is."""
        rows = []
        for origin in names:
            sites = geography.open_to(origin, begins_at, until)
            close = [site for site in sites if 1e3 * geography.between_s(origin, site) <= self.most_ms]
            close = close or [min(sites, key=lambda site: geography.between_s(origin, site))]
            rows.append([site in close for site in names])
        return np.array(rows)

    def _cost(self, seen: Observation, fleet: Fleet) -> float:
        """Of a request on a replica that is loaded to the target: its energy times the signal; 0 for latency."""
        if self.objective == "latency":
            return 0.0
        signal = seen.ci_g_per_kwh if self.objective == "carbon" else seen.price_per_kwh
        if signal != signal:
            raise InputError(f"dispatch 'greedy': site {seen.site} has no {self.objective}, expected one")
        rate = self.target * fleet.most_per_replica
        return signal * fleet.setting(1, rate).meter_w / rate

    def _kept(self, seen: Observation, name: str, needed: int) -> int:
        """Replicas that are needed, or were a short while ago."""
        for count in range(1, needed + 1):
            self._needed_at[name, count] = seen.time_s
        return max(count for (site, count), at in self._needed_at.items()
                   if site == name and seen.time_s - at <= self.stay_s)  # fmt: skip


def _expected_per_s(seen: Observation) -> float:
    """Mean rate of an origin in the coming minutes, now and when a replica told to wake now would serve, 1/s."""
    step_s = seen.facts.forecast_step_s or seen.step_s
    smooth, told = max(1, ceil(SMOOTH_S / step_s)), seen.arrivals_forecast_per_s
    lead = ceil((seen.facts.wake_s + seen.facts.boot_s) / step_s)
    windows = [told[:smooth], told[lead : lead + smooth]]
    return max((float(window.mean()) for window in windows if len(window)), default=0.0)


DISPATCHERS: dict[str, type[Any]] = {"home": Home, "spread": Spread, "greedy": Greedy}


def dispatcher(spec: str) -> Dispatcher:
    """The dispatcher a specification names: ``greedy:objective=price``, or a user's own ``FILE.py:CLASS``.

    Raises
    ------
    InputError
        If name or parameter is unknown, or the user's class cannot be had.

    Examples
    --------
    >>> dispatcher("greedy:most_ms=100").most_ms
    100
    """
    if own_file(spec) is not None:
        cls, rest = load_class(spec, "dispatch")
        if not callable(getattr(cls, "decide", None)):
            raise InputError(f"dispatch {spec}: has no method decide(seen, geography)")
        return cast(Dispatcher, made(cls, parse_options(rest, f"dispatch {spec}"), f"dispatch {spec}"))
    name, _, rest = spec.partition(":")
    if name not in DISPATCHERS:
        raise InputError(
            f"dispatch: {name!r} is unknown, expected one of {', '.join(DISPATCHERS)} or FILE.py:CLASS"
            f"{nearest(name, list(DISPATCHERS))}"
        )
    what = f"dispatch {name!r}"
    return cast(Dispatcher, made(DISPATCHERS[name], parse_options(rest, what), what))


def dispatcher_needs(spec: str) -> frozenset[str]:
    """The signals a dispatcher asks for, of every site; of a user's own class that does not say, all.

    Examples
    --------
    >>> dispatcher_needs("home")
    frozenset()
    """
    needs = getattr(dispatcher(spec), "needs", None)
    wanted = frozenset(NEEDS) if needs is None else frozenset([needs] if isinstance(needs, str) else needs)
    if unknown := sorted(wanted - set(NEEDS)):
        raise InputError(f"dispatch {spec}: needs {unknown[0]!r}, expected some of {', '.join(NEEDS)}")
    return wanted
