"""Which replica a request goes to.

A router that does not look at the replicas assigns requests beforehand: `assign(count, among)` spreads the next ones
over so many replicas. One that `looks` names `candidates`, of which the one with the fewest unfinished requests, queued
and running, when the request comes gets it; so does any router where replicas may sleep (`batching/route.py`). Two take
what is in the requests into account: the conversation, or the hashes of the prompt.
"""

from __future__ import annotations

from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from simulators.errors import InputError, nearest
from simulators.quantities.requests import RequestBlock


class Router(Protocol):
    """What spreads requests over the replicas of a cluster."""

    looks: ClassVar[bool]

    def assign(self, count: int, among: int) -> NDArray[np.int64]:
        """Which of `among` replicas each of the next `count` requests goes to, whatever they do; shape (count,)."""
        ...

    def candidates(self, count: int) -> NDArray[np.int64]:
        """Two replicas for each of the next `count` requests, of which the less loaded gets it; shape (count, 2).

        Twice the same where nothing is to be compared, `ANY` (-1) for all of them.
        """
        ...


ANY = -1
"""A candidate that stands for all replicas."""


def _twice(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.column_stack((numbers, numbers))


class RoundRobin:
    """One after the other."""

    looks: ClassVar[bool] = False

    def __init__(self, replicas: int) -> None:
        self._replicas = replicas
        self._next = 0

    def assign(self, count: int, among: int) -> NDArray[np.int64]:
        chosen = (self._next + np.arange(count)) % among
        self._next = (self._next + count) % among
        return chosen

    def candidates(self, count: int) -> NDArray[np.int64]:
        return _twice(self.assign(count, self._replicas))


class Independent:
    """Several clusters side by side: a request goes to one of them at random, there to one replica after the other.

    Requests that come at the same time, as many as there are clusters, go to one each. Arrivals by chance that are
    split by chance are as many independent streams (thinning of a Poisson process). The replica in place k is of the
    cluster k modulo their number.
    """

    looks: ClassVar[bool] = False

    def __init__(self, replicas: int, clusters: int, rng: np.random.Generator) -> None:
        self._replicas = replicas
        self._rng = rng
        self._turns = np.zeros(clusters, dtype=np.int64)

    def assign(self, count: int, among: int) -> NDArray[np.int64]:
        return self.assign_at(np.arange(count, dtype=np.float64), among)

    def assign_at(self, released_at: NDArray[np.float64], among: int) -> NDArray[np.int64]:
        """As `assign`, of requests at these times, s, ascending; shape (count,)."""
        clusters, count = len(self._turns), len(released_at)
        chosen = self._rng.integers(clusters, size=count)
        starts = np.flatnonzero(np.diff(released_at, prepend=-np.inf) > 0.0)
        together = starts[np.diff(starts, append=count) == clusters]
        chosen[together[:, None] + np.arange(clusters)] = np.arange(clusters)
        order = np.argsort(chosen, kind="stable")
        each = np.bincount(chosen, minlength=clusters)
        turn = np.empty(count, dtype=np.int64)
        turn[order] = (
            np.arange(count) - np.repeat(np.cumsum(each) - each, each) + np.repeat(self._turns, each)
        )
        self._turns += each
        size = (among - np.arange(clusters) + clusters - 1) // clusters
        places: NDArray[np.int64] = np.where(
            size[chosen] > 0, chosen + clusters * (turn % np.maximum(size[chosen], 1)), chosen % among
        )
        return places

    def candidates(self, count: int) -> NDArray[np.int64]:
        return _twice(self.assign(count, self._replicas))


class Random:
    """Uniformly at random."""

    looks: ClassVar[bool] = False

    def __init__(self, replicas: int, rng: np.random.Generator) -> None:
        self._replicas = replicas
        self._rng = rng

    def assign(self, count: int, among: int) -> NDArray[np.int64]:
        return self._rng.integers(among, size=count)

    def candidates(self, count: int) -> NDArray[np.int64]:
        return _twice(self.assign(count, self._replicas))


class _Looking:
    looks: ClassVar[bool] = True

    def assign(self, count: int, among: int) -> NDArray[np.int64]:
        raise NotImplementedError("this router must see the replicas at each arrival")


class LeastOutstanding(_Looking):
    """The replica with the fewest unfinished requests, running ones included; the first of equals."""

    def candidates(self, count: int) -> NDArray[np.int64]:
        return np.full((count, 2), ANY, dtype=np.int64)


class PowerOfTwo(_Looking):
    """The less loaded of two replicas drawn at random (Mitzenmacher, IEEE TPDS 12(10), 2001)."""

    def __init__(self, replicas: int, rng: np.random.Generator) -> None:
        self._replicas = replicas
        self._rng = rng

    def candidates(self, count: int) -> NDArray[np.int64]:
        if self._replicas == 1:
            return np.zeros((count, 2), dtype=np.int64)
        # the second among the others; row by row, so that it is the same however requests come in portions
        pairs = self._rng.integers([self._replicas, self._replicas - 1], size=(count, 2))
        pairs[:, 1] += pairs[:, 1] >= pairs[:, 0]
        return pairs


class SessionSticky:
    """All turns of a conversation to one replica, by a hash of its number; whoever would go to one that sleeps goes to
    the next.

    Of requests that are turns of none, a conversation is told by the second hash of the prompt, which stands for the
    first one too (the first is often the same for all: of Mooncake's conversation trace in 12,031 of 12,031 requests).
    """

    looks: ClassVar[bool] = False

    def __init__(self, replicas: int) -> None:
        self._replicas = replicas
        self._keys = np.zeros(0, np.int64)

    def see(self, requests: RequestBlock) -> None:
        """Take note of the requests that are assigned next.

        Raises
        ------
        InputError
            If nothing tells their conversations.
        """
        if len(requests) and requests.session is None and requests.hash_ids is None:
            raise InputError(
                "--router session_sticky: nothing tells which requests belong together, expected --session-turns or a "
                "trace with hash_ids (Mooncake)"
            )
        keys = np.full(len(requests), -1) if requests.session is None else requests.session.copy()
        for i in np.flatnonzero(keys < 0):
            hashes = () if requests.hash_ids is None else requests.hash_ids[i]
            keys[i] = hashes[min(1, len(hashes) - 1)] if len(hashes) else requests.request_id[i]
        self._keys = keys

    def assign(self, count: int, among: int) -> NDArray[np.int64]:
        keys, self._keys = self._keys[:count], self._keys[count:]
        return (_mixed(keys) % np.uint64(among)).astype(np.int64)

    def candidates(self, count: int) -> NDArray[np.int64]:
        return _twice(self.assign(count, self._replicas))


def _mixed(keys: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Numbers that look random, each from one key: the finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014)."""
    z = keys.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


class CacheAware(LeastOutstanding):
    """The replica that was sent the longest part of the prompt before, unless loads are far apart (`batching.known`).

    Attributes
    ----------
    known
        What each replica was sent.
    """

    def __init__(self, replicas: int) -> None:
        from simulators.inference.batching.known import (
            nothing_known,
        )  # compiled: names of routers need none of it

        self.known = nothing_known(replicas)


INDEPENDENT = "independent"
"""Name of the router of several clusters; their number follows after a colon."""
CACHE_AWARE = "cache_aware"
"""Name of the router that knows what it sent."""
BY_CONTENT = ("session_sticky", CACHE_AWARE)
"""Names of the routers to which it matters what is in the requests."""
CONTENT_BLIND = ("round_robin", "random", "least_outstanding", "power_of_two")
"""Names of those to which it does not."""
ROUTERS = (*CONTENT_BLIND, *BY_CONTENT)


def router(name: str, replicas: int, rng: np.random.Generator) -> Router:
    """The router called `name`.

    Raises
    ------
    InputError
        Unknown name.

    Examples
    --------
    >>> router("round_robin", 2, np.random.default_rng(0)).assign(3, 2).tolist()
    [0, 1, 0]
    """
    if name == "round_robin":
        return RoundRobin(replicas)
    if name == "random":
        return Random(replicas, rng)
    of_clusters, _, number = name.partition(":")
    if of_clusters == INDEPENDENT and number.isdecimal() and 1 <= int(number) <= replicas:
        return Independent(replicas, int(number), rng)
    if name == "least_outstanding":
        return LeastOutstanding()
    if name == "power_of_two":
        return PowerOfTwo(replicas, rng)
    if name == "session_sticky":
        return SessionSticky(replicas)
    if name == CACHE_AWARE:
        return CacheAware(replicas)
    hint = nearest(name, ROUTERS)
    raise InputError(f"--router {name}: unknown, expected one of {', '.join(ROUTERS)}{hint}")


def among_ready(
    router: Router, released_at: NDArray[np.float64], ready_at: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Assign requests to the replicas that are ready when each is released; shape (n,).

    Parameters
    ----------
    router
        One that looks at nothing.
    released_at
        When requests are released, s, ascending.
    ready_at
        From when on each replica may be sent some, s; -inf: always, inf: never. Who comes before any is ready
        waits for the first.

    Examples
    --------
    >>> turns = among_ready(RoundRobin(2), np.array([0.0, 1.0, 2.0, 3.0]), np.array([-np.inf, 2.0]))
    >>> turns.tolist()
    [0, 0, 0, 1]
    """
    first_at = ready_at.min()
    if first_at == ready_at.max():
        return _spread(router, released_at, len(ready_at))
    ready_at = np.where(ready_at == first_at, -np.inf, ready_at)
    turns = np.unique(ready_at[np.isfinite(ready_at)])
    edges = [0, *np.searchsorted(released_at, turns).tolist(), len(released_at)]
    numbers = np.empty(len(released_at), dtype=np.int64)
    for first, last, at in zip(edges[:-1], edges[1:], [-np.inf, *turns.tolist()], strict=True):
        serving = np.flatnonzero(ready_at <= at)
        numbers[first:last] = serving[_spread(router, released_at[first:last], len(serving))]
    return numbers


def _spread(router: Router, released_at: NDArray[np.float64], among: int) -> NDArray[np.int64]:
    if isinstance(router, Independent):
        return router.assign_at(released_at, among)
    return router.assign(len(released_at), among)
