"""Services of which some have prefill and decode apart: each is what the plain implementation has of it alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.inference import attribution
from simulators.inference.cluster import Cluster
from simulators.inference.interval import Interval
from simulators.inference.pools import Pools
from simulators.inference.routing import Independent
from simulators.inference.services import IndependentPools, Services, SideBySide
from simulators.inference.tenant_shares import TenantShares
from simulators.quantities.requests import RequestBlock
from simulators.traffic.stream import Stream

from .oracle import Request, Server
from .oracle_pools import serve
from .random_cases import random_cases
from .runs import Fed, Job
from .test_pools import (
    assert_same_replicas,
    assert_same_served,
    behind_a_router,
    drawn,
    finish,
    known,
    requests_of,
    servers_of,
    table,
    two_pools,
    way_of,
)
from .test_pools_failing import as_the_plain_servers
from .test_shares import WEIGHTS

NUMBERS = 10_000
"""Requests of one service are numbered from so many times its place on."""
TENANTS = (0, 4, 7)


class Numbered:
    """Requests that have their numbers, in order of arrival."""

    def __init__(self, block: RequestBlock) -> None:
        self._left = block[np.argsort(block.arrived_at, kind="stable")]

    @property
    def exhausted(self) -> bool:
        return len(self._left) == 0

    def advance(self, now: float, until: float) -> RequestBlock:
        upto = int(np.searchsorted(self._left.arrived_at, until))
        taken, self._left = self._left[:upto], self._left[upto:]
        return taken


def fed(services: SideBySide, parts: Sequence[RequestBlock]) -> Fed:
    """Services and their requests, which are numbered from `NUMBERS` times their place on."""
    numbered = [
        replace(part, request_id=NUMBERS * place + np.arange(len(part))) for place, part in enumerate(parts)
    ]
    c = Fed(services, Stream(iter(())))
    c.source = Numbered(RequestBlock.concatenate(numbered))  # type: ignore[assignment]
    return c


@dataclass
class Service:
    """One of several: its case, as `drawn` has it, and the tenants and shares that it is given."""

    place: int
    apart: bool
    jobs: list[Job]
    given: dict[str, Any]
    counts: tuple[int, int]
    hashes: list[tuple[int, ...]] | None
    link: Any
    tenants: list[int]

    def cluster(self, log: bool) -> Cluster | Pools:
        if self.apart:
            return two_pools(**self.given, counts=self.counts, link=self.link, log=log)
        one = self._of_one()
        return behind_a_router("both", count=self.counts[0], log=log, **one)

    def _of_one(self) -> dict[str, Any]:
        own = dict(self.given)
        drafters = own.pop("drafters")
        return own | {"tables": own["tables"][0], "drafter": drafters[0] if drafters else None}

    def block(self) -> RequestBlock:
        return known(self.jobs, self.hashes, self.tenants)

    def served(self) -> tuple[list[Request], list[Server]]:
        """What the oracle makes of its requests, and its servers."""
        requests = requests_of(
            self.jobs, self.given["options"], self.hashes, self.tenants, NUMBERS * self.place
        )
        if self.apart:
            servers = servers_of(**self.given, counts=self.counts)
            requests = [r for r in requests if all(pool[0].could_run(r) for pool in servers)]
            serve(requests, *servers, [way_of(self.link)] * self.counts[0])
            return requests, [*servers[0], *servers[1]]
        first = self.given | {"tables": self.given["tables"][:1]}
        [servers] = servers_of(**first, counts=self.counts[:1], roles=("both",))
        for n, server in enumerate(servers):
            server.run([r for r in requests[n :: len(servers)] if server.could_run(r)])
        return [r for r in requests if servers[0].could_run(r)], servers


def drawn_service(data: st.DataObject, place: int, apart: bool) -> Service:
    case = drawn(data)
    jobs, counts, hashes = case.pop("jobs"), case.pop("counts"), case.pop("hashes")
    link = case.pop("link")
    case.pop("steps")
    random = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    tenants = (random.choice(TENANTS, len(jobs)) + 10 * place).tolist()
    shares = None
    if data.draw(st.booleans()):
        read = TenantShares.read(data.draw(st.sampled_from(WEIGHTS)))
        shares = TenantShares({tenant + 10 * place: w for tenant, w in read.weights.items()}, read.others)
    return Service(place, apart, jobs, case | {"shares": shares}, counts, hashes, link, tenants)


def check_services(data: st.DataObject) -> int:
    """Two or three services, at least one of them with pools, in any cut of time; returns how many requests."""
    apart = data.draw(st.sampled_from([(True, False), (False, True), (True, True), (False, True, True)]))
    services = [drawn_service(data, place, own) for place, own in enumerate(apart)]
    steps = data.draw(st.lists(st.sampled_from([0.37, 1.7, 30.0, 411.1]), max_size=6))
    named = [frozenset(tenant + 10 * k for tenant in TENANTS) for k in range(len(services) - 1)]
    blocks = [service.block() for service in services]
    theirs = [service.served() for service in services]
    for log in (True, False):
        c = fed(Services([one.cluster(log) for one in services], [*named, frozenset()]), blocks)
        intervals = finish(c, steps)
        done, first = table(intervals), 0
        assert len(done) + c.rejected == c.received == sum(map(len, blocks))
        adds_up(c, intervals)
        for service, one, (requests, servers) in zip(services, c.clusters, theirs, strict=True):
            own = done[done.index // NUMBERS == service.place]
            assert_same_served(own, requests)
            assert own.replica.between(first, first + len(one.replicas) - 1).all()
            first += len(one.replicas)
            if log:
                assert_same_replicas(one.replicas, servers, own)
    return len(done)


def adds_up(c: Fed, intervals: Sequence[Interval]) -> None:
    """Joules of requests, idle, transfers, lost work; by bin, by replica and by role; requests are checked by `Fed`."""
    meter = attribution.phases(intervals)
    rows = attribution.request_table(np.concatenate([i.finished for i in intervals]), c.unfinished())
    rows["busy_j"] *= c.copies
    assert abs(attribution.residual(rows, meter)) <= 1e-9
    series_j = sum(i.power_w.sum() * (i.ends_at - i.begins_at) / len(i.series) for i in intervals)
    by_replica_j = sum(i.by_replica[:, :3].sum() + i.transfer_j for i in intervals)
    assert [series_j, by_replica_j] == pytest.approx([meter["meter_j"]] * 2, rel=1e-9)
    for one in intervals:
        assert one.pool_w is not None
        assert one.roles is not None
        pools_j = one.pool_w.sum(axis=0) * (one.ends_at - one.begins_at) / len(one.series)
        told_j = [one.prefill_pool_j, one.decode_pool_j, one.transfer_j]
        assert pools_j == pytest.approx(told_j, rel=1e-9, abs=1e-9)
        assert len(one.roles) == len(c.replicas)


@random_cases(3)
@given(data=st.data())
def test_any_services(data: st.DataObject) -> None:
    check_services(data)


def check_services_that_fail(data: st.DataObject) -> int:
    """Pools of which a replica fails, beside a service that goes on; both are as the oracle has them."""
    beside = drawn_service(data, 1, apart=False)
    found: list[pd.DataFrame] = []

    def among_services(pools: Pools, block: RequestBlock) -> Fed:
        services = Services([pools, beside.cluster(log=False)], [frozenset(TENANTS), frozenset()])
        return fed(services, [block, beside.block()])

    def own(done: pd.DataFrame) -> pd.DataFrame:
        found.append(done[done.index >= NUMBERS])
        return done[done.index < NUMBERS]

    count, _ = as_the_plain_servers(data, among_services, own)
    assert_same_served(found[0], beside.served()[0])
    return count + len(found[0])


@random_cases(3)
@given(data=st.data())
def test_a_failure_is_that_of_its_service(data: st.DataObject) -> None:
    check_services_that_fail(data)


def check_independent_pools(data: st.DataObject) -> int:
    """Requests that are split by chance among two or three pools are served there as the oracle has it."""
    service = drawn_service(data, 0, apart=True)
    jobs, count = service.jobs, data.draw(st.sampled_from([2, 3]))
    steps = data.draw(st.lists(st.sampled_from([0.37, 1.7, 30.0, 411.1]), max_size=6))
    own = [service.cluster(log=True) for _ in range(count)]
    c = fed(IndependentPools(own, np.random.default_rng(5)), [service.block()])
    intervals = finish(c, steps)
    done = table(intervals)
    adds_up(c, intervals)
    arrived_at = np.array([job[0] for job in jobs])
    chosen = Independent(count, count, np.random.default_rng(5)).assign_at(arrived_at, count)
    theirs = requests_of(jobs, service.given["options"], service.hashes, service.tenants)
    for place, pools in enumerate(own):
        servers = servers_of(**service.given, counts=service.counts)
        requests = [r for r, to in zip(theirs, chosen, strict=True) if to == place]
        requests = [r for r in requests if all(pool[0].could_run(r) for pool in servers)]
        serve(requests, *servers, [way_of(service.link)] * service.counts[0])
        found = done[done.index.isin([r.request_id for r in requests])]
        assert_same_served(found, requests)
        assert (found.replica // len(pools.replicas) == place).all()
        assert_same_replicas(pools.replicas, [*servers[0], *servers[1]], found)
    return len(done)


@random_cases(3)
@given(data=st.data())
def test_independent_pools(data: st.DataObject) -> None:
    check_independent_pools(data)


PAIRS: tuple[Callable[[st.DataObject], int], ...] = (
    check_services,
    check_services_that_fail,
    check_independent_pools,
)
"""What the benchmark runs many of."""
