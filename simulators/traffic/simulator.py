"""Traffic in a mosaik world: sources of requests with their gates, and the router between sites."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
from mosaik_api_v3.types import CreateResult, ModelDescription

from simulators.adapter import Adapter, Given
from simulators.errors import InputError
from simulators.paths import shown
from simulators.quantities.commands import Command, Release, Route, command_from_plain
from simulators.quantities.facts import DUE_S, DUE_SPANS
from simulators.quantities.geography import Geography
from simulators.quantities.requests import RequestBlock
from simulators.traffic.options import workload_files, workload_from_plain
from simulators.traffic.routing import SiteRouter
from simulators.traffic.source import SERVE_S, Source

Refused = list[dict[str, Any]]


class _Part(Protocol):
    """An entity: a source, a router or one of its destinations."""

    def advance(self, given: Given, begins_at: float, until: float) -> None: ...

    def requests(self) -> RequestBlock: ...

    def output(self, attribute: str) -> Any: ...

    def summary(self) -> dict[str, Any]: ...


class Origin:
    """A source and what it let go in the present step; counts and rates are of all copies of the site."""

    def __init__(self, source: Source, copies: float = 1, files: Sequence[tuple[str, Path]] = ()) -> None:
        if not 0 < copies < inf:
            raise InputError(f"traffic: {copies!r} copies, expected a number above 0")
        self._source = source
        self._files = files
        self._copies = int(copies) if copies == int(copies) else copies
        self._block = RequestBlock.concatenate([])
        self._arrived = self._deferrable = 0
        self._until = 0.0
        self._refused: Refused = []

    @classmethod
    def of_workload(
        cls,
        workload: Mapping[str, Any],
        span_s: float | None = None,
        serve_s: float = SERVE_S,
        copies: float = 1,
    ) -> Origin:
        """From plain values."""
        source = Source(workload_from_plain(workload), span_s, serve_s)
        return cls(source, copies, workload_files(workload))

    def advance(self, given: Given, begins_at: float, until: float) -> None:
        before, deferrable_before = self._source.arrived, self._source.deferrable
        self._until = until
        self._source.arrive(until)  # first, so that a tenant whose first requests these are can be named
        self._refused = _refusals(given.joined("commands"), Release.kind, self._take)
        self._block = self._source.advance(begins_at, until)
        self._arrived = self._source.arrived - before
        self._deferrable = self._source.deferrable - deferrable_before

    def _take(self, command: Command) -> str | None:
        if isinstance(command, Release) and isinstance(command.rate_per_s, int | float):
            command = replace(command, rate_per_s=command.rate_per_s / self._copies)
        return self._source.command(command)

    def requests(self) -> RequestBlock:
        """Those let go."""
        return self._block

    def output(self, attribute: str) -> Any:
        match attribute:
            case "arrived[1]":
                return self._arrived * self._copies
            case "deferrable[1]":
                return self._deferrable * self._copies
            case "held_due[1]":
                spans = self._source.due(self._until, DUE_S, DUE_SPANS)
                return [count * self._copies for count in spans]
            case "held[1]":
                return self._source.held * self._copies
            case "tenants":
                return self._tenants()
            case _:
                return self._refused

    def _tenants(self) -> dict[str, list[Any]]:
        """Counts by tenant, as columns."""
        tenants, block = self._source.tenants, self._source.arrivals
        rows = np.searchsorted(tenants, block.tenant)
        came, may_wait = (
            np.bincount(which, minlength=len(tenants)) for which in (rows, rows[block.deferrable])
        )
        due = [self._source.due(self._until, DUE_S, DUE_SPANS, tenant) for tenant in tenants]
        return {
            "tenant": tenants,
            "arrived": [count * self._copies for count in came.tolist()],
            "deferrable": [count * self._copies for count in may_wait.tolist()],
            "held": [sum(spans) * self._copies for spans in due],
            "held_due": [[count * self._copies for count in spans] for spans in due],
        }

    def summary(self) -> dict[str, Any]:
        return {
            "arrived": self._source.arrived * self._copies,
            "held": self._source.held * self._copies,
            "inputs": [{"what": what, "file": shown(path)} for what, path in self._files],
        }


class _Destination:
    """What a router sends to one site in the present step."""

    def __init__(self) -> None:
        self.block = RequestBlock.concatenate([])

    def advance(self, given: Given, begins_at: float, until: float) -> None:
        """The router it belongs to has stepped before it."""

    def requests(self) -> RequestBlock:
        return self.block

    def output(self, attribute: str) -> Any:
        raise ValueError(f"{attribute}: a destination has requests alone")

    def summary(self) -> dict[str, Any]:
        return {}


class _Crossing:
    """A router, its destinations by site, and how many requests went where."""

    def __init__(self, eid: str, router: SiteRouter) -> None:
        self._eid = eid
        self._router = router
        self.destinations = {site: _Destination() for site in router.sites}
        self._routed = {origin: dict.fromkeys(router.sites, 0) for origin in router.sites}
        self._refused: Refused = []

    def advance(self, given: Given, begins_at: float, until: float) -> None:
        self._refused = []
        for sender, commands in given.by_source("commands").items():
            origin = self._origin(sender)

            def take(command: Command, origin: str = origin) -> str | None:
                return self._router.command(origin, command)

            self._refused += _refusals(commands or [], Route.kind, take)
        parts: dict[str, list[RequestBlock]] = {site: [] for site in self._router.sites}
        for sender, requests in given.by_source("requests").items():
            origin = self._origin(sender)
            block = RequestBlock.from_plain([requests])
            for site, part in self._router.route(origin, block, begins_at, until).items():
                parts[site].append(part)
                self._routed[origin][site] += len(part)
        for site, destination in self.destinations.items():
            destination.block = RequestBlock.from_plain(parts[site])

    def _origin(self, sender: str) -> str:
        """The site that an entity is of: its id is the site's name, or ends with it after a hyphen."""
        for site in sorted(self._router.sites, key=len, reverse=True):
            if sender == site or sender.endswith(f"-{site}"):
                return site
        sites = ", ".join(self._router.sites)
        raise InputError(
            f"{self._eid}: {sender} is connected, expected an entity named after a site ({sites})"
        )

    def requests(self) -> RequestBlock:
        return RequestBlock.concatenate([])  # they are at its destinations

    def output(self, attribute: str) -> Any:
        return self._refused

    def summary(self) -> dict[str, Any]:
        return {"routed": self._routed}


def _refusals(commands: Sequence[Any], kind: str, take: Callable[[Command], str | None]) -> Refused:
    """Carry out the commands of a kind; those refused with the reason, others left to whom they concern."""
    refused: Refused = []
    for plain in commands:
        if plain.get("kind") != kind:
            continue
        try:
            reason = take(command_from_plain(plain))
        except InputError as error:
            reason = str(error)
        if reason is not None:
            refused.append({"kind": kind, "reason": reason})
    return refused


class Traffic(Adapter[_Part]):
    """Requests of sites, step by step.

    A ``Source`` makes them, holds back those a controller wants held (command ``release``) and hands out the ones
    released in the step. A ``Router`` takes those of several sources, each entity named after its site, and gives every
    site its share at the child ``<router>-<site>``; the weights of an origin change by the command ``route`` of the
    controller named after it. Requests are columns as `RequestBlock.to_plain` makes them. Of a site that stands for
    `copies` of its cluster, each request stands for so many: counts are times the copies, and release rates of all.
    ``held_due[1]`` counts those held by when they must leave, in spans of a quarter of an hour from the step's end on;
    ``tenants`` are columns of such counts, a row for each tenant that has sent a request so far.
    """

    TAKES: ClassVar[tuple[str, ...]] = (Release.kind, Route.kind)
    MODELS: ClassVar[dict[str, ModelDescription]] = {
        "Source": {
            "public": True,
            "params": ["workload", "span_s", "serve_s", "copies"],
            "attrs": [
                *(
                    "commands",
                    "requests",
                    "arrived[1]",
                    "deferrable[1]",
                    "held[1]",
                    "held_due[1]",
                    "tenants",
                    "refused",
                ),
            ],
        },
        "Router": {
            "public": True,
            "params": ["sites", "weights", "seed", "geography"],
            "attrs": ["commands", "requests", "refused"],
        },
        "Destination": {"public": False, "params": [], "attrs": ["requests"]},
    }

    def make(self, eid: str, model: str, **parameters: Any) -> _Part:
        """A source or a router from plain values."""
        if model == "Source":
            return _made(eid, Origin.of_workload, parameters)
        return _made(eid, lambda **plain: _Crossing(eid, _router(**plain)), parameters)

    def children(self, eid: str) -> dict[str, list[CreateResult]]:
        """A router's destinations, one per site."""
        router = self.entities[eid]
        if not isinstance(router, _Crossing):
            return {}
        named = {f"{eid}-{site}": destination for site, destination in router.destinations.items()}
        self.entities.update(named)
        return {"children": [{"eid": name, "type": "Destination"} for name in named]}

    def advance(self, eid: str, entity: _Part, given: Given) -> None:
        """Make or route the requests of one step."""
        entity.advance(given, float(self.now), float(self.now + self.step_size))

    def outputs(self, eid: str, entity: _Part, attributes: list[str]) -> dict[str, Any]:
        """Requests and counts of the present step."""
        return {
            attribute: entity.requests().to_plain() if attribute == "requests" else entity.output(attribute)
            for attribute in attributes
        }

    def within(self, eid: str, attributes: list[str]) -> dict[str, Any]:
        """The same with requests as the block that they are."""
        entity = self.entities[eid]
        return {
            attribute: entity.requests() if attribute == "requests" else entity.output(attribute)
            for attribute in attributes
        }

    def summarise(self, eid: str, entity: _Part) -> dict[str, Any]:
        """Requests so far, and the files a source read."""
        return entity.summary()


def _router(geography: Mapping[str, Any] | None = None, **plain: Any) -> SiteRouter:
    return SiteRouter(**plain, geography=Geography.from_plain(**geography) if geography else None)


def _made(eid: str, make: Callable[..., _Part], parameters: Mapping[str, Any]) -> _Part:
    """A part; whatever is wrong is said with the entity's id."""
    try:
        return make(**parameters)
    except InputError as error:
        raise InputError(f"{eid}: {error}") from None
