"""Clusters side by side under one roof: services, each for tenants of its own, or independent pools of the same kind.

They share no replica, so an interval is simulated one after the other, and each is as if it were alone.

**Services.** A fleet whose groups name tenants (``serves``) is so many clusters: requests go to the groups that name
their tenant, and to those that name none if nobody does. In some of them prefill and decode may be apart. A tenant whom
nobody serves is refused.

**Independent pools.** As `routing.Independent` has it for replicas that do both: a request goes by chance to one of
several clusters, here each with its own pools.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from simulators.inference.apart import Apart
from simulators.inference.batching.state import Records
from simulators.inference.cluster import Cluster
from simulators.inference.interval import BOTH, POOLS, Interval, joined, taken
from simulators.inference.pools import Pools
from simulators.inference.routing import Independent
from simulators.quantities.requests import RequestBlock

AnyCluster: TypeAlias = "Cluster | Pools | SideBySide"
"""Replicas that serve: each does all for anybody, prefill and decode are apart, or clusters of either kind are."""


class SideBySide(Apart["AnyCluster"]):
    """Clusters that have requests of their own; it is used like `Cluster`.

    Parameters
    ----------
    clusters
        One copy of each; where prefill and decode are apart in it, pools.
    copies
        How many of all stand for one.

    Attributes
    ----------
    replicas
        Those of the first cluster, then those of the second, and so on.
    received
        Requests of one copy since the start.
    """

    def __init__(self, clusters: Sequence[AnyCluster], copies: float = 1.0) -> None:
        super().__init__(clusters, copies)
        self._first = np.cumsum([0, *(len(one.replicas) for one in self.clusters)])

    def places(self, requests: RequestBlock) -> NDArray[np.int64]:
        """Which cluster each of the next requests goes to; -1: none takes it. Shape (requests,)."""
        raise NotImplementedError

    @property
    def completed(self) -> int:
        """Requests of one copy completed in the intervals so far."""
        return sum(one.completed for one in self.clusters)

    @property
    def outstanding(self) -> int:
        """Requests received and neither completed nor rejected."""
        return sum(one.outstanding for one in self.clusters)

    def unfinished(self) -> Records:
        """Requests of one copy that are not finished, with the energy spent on each so far."""
        return joined([self._numbered(k, one.unfinished()) for k, one in enumerate(self.clusters)])

    def waiting_records(self) -> Records:
        """Requests of one copy that have arrived and hold no KV blocks."""
        return joined([self._numbered(k, one.waiting_records()) for k, one in enumerate(self.clusters)])

    def requests_j(self) -> float:
        """Energy on the requests that are not finished, batches in flight included, of one copy, J."""
        return sum(one.requests_j() for one in self.clusters)

    def advance(self, until: float, requests: RequestBlock) -> Interval:
        """Simulate the interval from the present to `until`, s; see `Cluster.advance`."""
        to = self.places(requests)
        refused = int(np.count_nonzero(to < 0))
        self.received += len(requests)
        self._refused += refused
        intervals = [one.advance(until, requests[to == number]) for number, one in enumerate(self.clusters)]
        finished = joined([self._numbered(k, part.finished) for k, part in enumerate(intervals)])
        finished = taken(finished, np.argsort(finished["completed_at"], kind="stable"))
        interval = replace(self.together(intervals, refused), finished=finished, **_by_role(intervals))
        return interval if self.copies == 1 else interval.times(self.copies)

    def _numbered(self, number: int, requests: Records) -> Records:
        """Requests of one cluster, with their replicas numbered as here."""
        requests["replica"] += self._first[number]
        return requests


class Services(SideBySide):
    """Clusters with tenants of their own.

    Parameters
    ----------
    clusters, copies
        As of `SideBySide`.
    tenants
        Whom each serves; nobody named: all whom no other names.

    Examples
    --------
    >>> from simulators.inference.fleet import build_fleet
    >>> from simulators.inference.options import Group
    >>> groups = [Group(gpu="h100", iteration_time="roofline", serves=(4,)), Group(iteration_time="roofline")]
    >>> services, facts = build_fleet(groups)
    >>> block = RequestBlock.of(np.zeros(3), np.full(3, 512), np.full(3, 64))
    >>> block.tenant[:] = [4, 0, 9]
    >>> services.advance(60.0, block).finished["replica"].tolist()
    [0, 1, 1]
    """

    def __init__(
        self, clusters: Sequence[AnyCluster], tenants: Sequence[frozenset[int]], copies: float = 1.0
    ) -> None:
        super().__init__(clusters, copies)
        self._tenants = [np.array(sorted(named), dtype=np.int64) for named in tenants]
        self._rest = next((number for number, named in enumerate(tenants) if not named), -1)

    def places(self, requests: RequestBlock) -> NDArray[np.int64]:
        to = np.full(len(requests), self._rest)
        for number, named in enumerate(self._tenants):
            to[np.isin(requests.tenant, named)] = number
        return to


class IndependentPools(SideBySide):
    """Equal pools that split the requests by chance.

    Parameters
    ----------
    clusters, copies
        As of `SideBySide`.
    rng
        Draws for each request where it goes.

    Examples
    --------
    >>> from simulators.inference.fleet import Serving, build_fleet
    >>> two = [Serving(gpu="h100", prefill_replicas=2, replicas=2, iteration_time="roofline")]
    >>> pools, facts = build_fleet(two, router_name="independent:2")
    >>> at_once = RequestBlock.of(np.zeros(2), np.full(2, 512), np.full(2, 64))
    >>> sorted(pools.advance(60.0, at_once).finished["replica"].tolist())  # each a prefill and a decode
    [1, 3]
    """

    def __init__(self, clusters: Sequence[AnyCluster], rng: np.random.Generator, copies: float = 1.0) -> None:
        super().__init__(clusters, copies)
        self._chance = Independent(len(clusters), len(clusters), rng)

    def places(self, requests: RequestBlock) -> NDArray[np.int64]:
        return self._chance.assign_at(requests.released_at, len(self.clusters))


def plain_in(cluster: AnyCluster) -> list[Cluster]:
    """The clusters in a cluster none of whose replicas are apart: those of pools one by one, prefill first."""
    return [cluster] if isinstance(cluster, Cluster) else cluster.plain


def pools_in(cluster: AnyCluster) -> list[Pools]:
    """The clusters side by side whose prefill and decode are apart; itself, if they are."""
    if isinstance(cluster, SideBySide):
        return [pools for one in cluster.clusters for pools in pools_in(one)]
    return [cluster] if isinstance(cluster, Pools) else []


def _by_role(parts: Sequence[Interval]) -> dict[str, Any]:
    """`Interval.pool_w` and `Interval.roles` of clusters side by side; nothing where every replica does both."""
    if all(part.roles is None for part in parts):
        return {}
    watts = np.zeros((len(parts[0].series), len(POOLS)))
    for part in parts:
        if part.pool_w is not None:
            watts += part.pool_w
        else:  # to host memory and back
            watts[:, POOLS.index("transfer_w")] += part.transfer_j / (part.ends_at - part.begins_at)
    roles = [
        np.full(len(part.by_replica), BOTH, np.int8) if part.roles is None else part.roles for part in parts
    ]
    return {"pool_w": watts, "roles": np.concatenate(roles)}
