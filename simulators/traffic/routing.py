"""The router between sites: which site serves a request that originated at another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulators.errors import InputError
from simulators.quantities.commands import Command, Route
from simulators.quantities.geography import Geography
from simulators.quantities.requests import RequestBlock


class SiteRouter:
    """Sends each request to a site drawn with the weights of its origin.

    Every origin draws from a stream of its own, one number per request in order of release. So a request's way depends
    on the seed, its place in that order and the weights at that time, never on how time is cut into steps or on what
    other origins send. A site that is down gets none: its share goes to the origin's other sites in proportion to
    theirs, or, if they have none, to the nearest.

    Parameters
    ----------
    sites
        Names of the sites; each is an origin and a destination.
    weights
        Shares by origin and destination, in sum 1 for each origin. An origin that is missing serves its own requests.
    seed
        Seed of the draws, >= 0.
    geography
        Where requests may be served and when a site is down; None: anywhere, and none ever is.

    Raises
    ------
    InputError
        If weights are none.

    Examples
    --------
    >>> router = SiteRouter(["ber", "sfo"], {"sfo": {"ber": 0.25, "sfo": 0.75}}, seed=1)
    >>> block = RequestBlock.of(np.arange(1000.0), np.full(1000, 512), np.full(1000, 128))
    >>> {site: len(part) for site, part in router.route("ber", block).items()}
    {'ber': 1000, 'sfo': 0}
    >>> 200 < len(router.route("sfo", block)["ber"]) < 300
    True
    >>> router.command("sfo", Route({"ber": 0.5}))
    'the weights sum to 0.5, expected 1'
    """

    def __init__(
        self,
        sites: Sequence[str],
        weights: Mapping[str, Mapping[str, float]] | None = None,
        seed: int = 42,
        geography: Geography | None = None,
    ) -> None:
        if not sites or len(set(sites)) != len(sites):
            raise InputError(
                f"router: sites {', '.join(sites) or 'none'}, expected one or more different names"
            )
        if seed < 0:
            raise InputError(f"router: the seed must be a whole number >= 0, got {seed}")
        self.sites = list(sites)
        self._geography = geography or Geography(tuple(sites))
        self._shares: dict[str, NDArray[np.float64]] = {}
        self._rng: dict[str, np.random.Generator] = {}
        for number, site in enumerate(self.sites):
            self._set(site, {self._home(site): 1.0})
            child = np.random.SeedSequence(seed, spawn_key=(1_000_033, number))
            self._rng[site] = np.random.default_rng(child)
        for origin, shares in (weights or {}).items():
            if origin not in self._rng:
                raise InputError(f"router: origin {origin}: unknown, expected one of {', '.join(self.sites)}")
            if reason := self.command(origin, Route(shares)):
                raise InputError(f"router: origin {origin}: {reason}")

    def _home(self, origin: str) -> str:
        """The site of an origin, or the nearest one that may serve it."""
        allowed = self._geography.allowed(origin)
        return (
            origin if origin in allowed else min(allowed, key=lambda s: self._geography.between_s(origin, s))
        )

    def command(self, origin: str, command: Command) -> str | None:
        """Set the weights of an origin from the next step on; None, or why the command is refused."""
        if not isinstance(command, Route):
            return f"the router does not take {command.kind}, expected {Route.kind}"
        weights: Any = command.weights
        if not isinstance(weights, Mapping):
            return f"the weights are {weights!r}, expected a share by site"
        for site, share in weights.items():
            if site not in self._rng:
                return f"site {site} is unknown, expected one of {', '.join(self.sites)}"
            if not isinstance(share, int | float) or not 0 <= share < np.inf:
                return f"the weight of {site} is {share!r}, expected a number >= 0"
            if share > 0 and site not in self._geography.allowed(origin):
                allowed = ", ".join(self._geography.allowed(origin))
                return f"site {site} may not serve {origin}, expected one of {allowed}"
        total = sum(weights.values())
        if abs(total - 1) > 1e-6:
            return f"the weights sum to {total:g}, expected 1"
        self._set(origin, weights)
        return None

    def _set(self, origin: str, weights: Mapping[str, float]) -> None:
        self._shares[origin] = np.array([weights.get(site, 0.0) for site in self.sites])

    def shares(self, origin: str, begins_at: float = 0.0, until: float = 0.0) -> NDArray[np.float64]:
        """Shares of an origin's requests by site in a step, in sum 1, with those of sites that are down elsewhere."""
        open_sites = self._geography.open_to(origin, begins_at, until)
        found: NDArray[np.float64] = np.where(
            [site in open_sites for site in self.sites], self._shares[origin], 0.0
        )
        if not found.any():
            nearest = min(open_sites, key=lambda site: self._geography.between_s(origin, site))
            found[self.sites.index(nearest)] = 1.0
        found /= found.sum()
        return found

    def route(
        self, origin: str, block: RequestBlock, begins_at: float = 0.0, until: float = 0.0
    ) -> dict[str, RequestBlock]:
        """The requests of `block`, let go in [begins_at, until), s, by the site that serves them, each in its order."""
        draws = self._rng[origin].random(len(block))
        cumulative = np.cumsum(self.shares(origin, begins_at, until))
        cumulative /= cumulative[-1]
        chosen = np.searchsorted(cumulative, draws, side="right")
        return {site: block[chosen == number] for number, site in enumerate(self.sites)}
