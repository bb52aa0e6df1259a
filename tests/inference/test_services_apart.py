"""Services of which some have prefill and decode apart: each is what the plain implementation has of it alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from simulators.errors import InputError
from simulators.inference import attribution
from simulators.inference.cluster import Cluster
from simulators.inference.conservation import Conservation
from simulators.inference.drive import Driver
from simulators.inference.fleet import build_fleet
from simulators.inference.interval import Interval
from simulators.inference.metrics import Metrics
from simulators.inference.options import Group
from simulators.inference.pools import Pools
from simulators.inference.reliability import Reliability
from simulators.inference.routing import Independent
from simulators.inference.services import IndependentPools, Services, SideBySide, pools_in
from simulators.inference.tenant_shares import TenantShares
from simulators.kept import digests, keep
from simulators.quantities.commands import Awake, BatchCap, PowerCap
from simulators.quantities.requests import RequestBlock
from simulators.restored import restore
from simulators.traffic.options import workload_from_options
from simulators.traffic.stream import Stream

from .oracle import Request, Server
from .oracle_pools import serve
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


SETTINGS: dict[str, Any] = {
    "deadline": None,
    "derandomize": True,
    "suppress_health_check": list(HealthCheck),
    "phases": (Phase.generate,),
}


@settings(max_examples=3, **SETTINGS)
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


@settings(max_examples=3, **SETTINGS)
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


@settings(max_examples=3, **SETTINGS)
@given(data=st.data())
def test_independent_pools(data: st.DataObject) -> None:
    check_independent_pools(data)


PAIRS: tuple[Callable[[st.DataObject], int], ...] = (
    check_services,
    check_services_that_fail,
    check_independent_pools,
)
"""What the benchmark runs many of."""


COMMON = {
    "iteration_time": "roofline", "prefix_cache": "on", "hash_tokens": 64, "kv_blocks": 4000, "batch_cap": 48,
    "host_cache_gib": 20.0, "tenant_shares": "*=1",
}  # fmt: skip
DRAFTS = {"speculate": 3, "acceptance": "0.7", "kv_link_gb_s": 4.0}
GROUPS = [
    Group(gpu="h100", role="decode", serves=(1, 2), replicas=2, **COMMON | DRAFTS),
    Group(gpu="h100", replicas=2, **COMMON),
    Group(gpu="a100", role="prefill", serves=(2, 1), replicas=2, **COMMON | DRAFTS),
    Group(
        model="meta-llama/Meta-Llama-3-70B", gpu="h100", tp=4, prefill_replicas=1, serves=(3,),
        **COMMON | {"host_cache_gib": 0.0},
    ),
]  # fmt: skip
FAILS = Reliability(failing="replica", mtbf_hours=0.05, repair_hours=0.002)


def everything() -> tuple[Driver, dict[str, list[Any]]]:
    """Two services with pools, one with drafts, one of a model of its own, and one without; all with prefix caches, two
    with host memory; shares, caps of power and of batches, replicas that fail by chance, of two and a half copies."""
    cluster, _ = build_fleet(
        GROUPS, router_name="cache_aware", seed=3, bins_per_interval=4, reliability=FAILS, copies=2.5
    )
    assert cluster.command(PowerCap(380.0), 20.0) is None
    assert cluster.command(BatchCap(40), 40.0) is None
    talks = {"turns": 4.0, "gap_s": 20.0, "gap_cv": 0.2, "prompts": 2, "prompt_tokens": 96, "prompt_cv": 0.0}
    workload = workload_from_options(
        rate_per_s=20.0, lengths="uniform:50:800:1", num_requests=2000, seed=8, hash_tokens=64, sessions=talks
    )
    return Driver(cluster, ByTenant(workload)), {"all": [cluster, workload]}


class ByTenant:
    """Requests of a workload, conversations of five tenants."""

    def __init__(self, workload: Any) -> None:
        self._workload = workload

    @property
    def exhausted(self) -> bool:
        return bool(self._workload.exhausted)

    def take(self, until: float) -> RequestBlock:
        block = self._workload.take(until)
        assert block.session is not None or not len(block)
        return replace(block, tenant=block.session % 5) if len(block) else block


def test_all_features_at_once_lose_no_request_token_or_joule() -> None:
    """Also when the run is kept half way and taken up by another one, to the last bit."""
    (driver, all_of_it), (other, of_other) = everything(), everything()
    constant = digests(of_other)
    metrics, intervals, kept = Metrics(copies=2.5), [], b""
    while not driver.idle:
        intervals.append(driver.advance(driver.cluster.now + 7.0))
        metrics.add(intervals[-1])
        if len(intervals) == 12:
            kept = keep(all_of_it, constant)
    c = driver.cluster
    assert isinstance(c, Services)
    assert [type(one) for one in c.clusters] == [Pools, Cluster, Pools]
    adds_up(c, intervals)  # type: ignore[arg-type]
    finished = np.concatenate([i.finished for i in intervals])
    assert c.received == 2000 == len(finished) + c.rejected
    assert len(np.unique(finished["request_id"])) == len(finished)
    for tenant, replicas in enumerate(((4, 5), (0, 1, 2, 3), (0, 1, 2, 3), (6, 7), (4, 5))):
        assert set(finished["replica"][finished["tenant"] == tenant]) <= set(replicas)
    summary = metrics.summary(c)
    assert summary["decode_tokens"] == 2.5 * finished["decode_tokens"].sum()
    assert summary["failures"]["requests_interrupted"] > 20
    assert all(one.failures.tally.failures > 0 for one in c.plain if one.failures is not None)
    assert summary["speculation"]["tokens_accepted"] > 0 < summary["prefix_cache"]["host_hit_blocks"]
    pools, groups = summary["pools"], summary["groups"]
    assert [pools[name]["replicas"] for name in ("prefill", "decode")] == [2.5 * 3, 2.5 * 3]
    assert [pools[name]["gpus"] for name in ("prefill", "decode")] == [2.5 * 6, 2.5 * 6]
    for role in ("prefill", "decode"):
        own_j = [group["gpu_energy_j"]["total"] for name, group in groups.items() if name.endswith(role)]
        assert len(own_j) == 2
        assert pools[role]["energy_j"] == pytest.approx(sum(own_j))
    moved_j = pools["transfer"]["energy_j"] + summary["prefix_cache"]["host_j"]
    total_j = sum(group["gpu_energy_j"]["total"] for group in groups.values()) + moved_j
    assert total_j == pytest.approx(summary["gpu_energy_j"]["total"], rel=1e-9)
    assert pools["transfer"]["requests"] == 2.5 * sum(one.transfers.count for one in pools_in(c))
    assert 0 < pools["transfer"]["link_busy_mean"] < 1
    restore(of_other, kept)
    other.arrived = round(sum(i.received for i in intervals[:12]) / 2.5)
    other._conservation = Conservation(other.cluster)
    again = [other.advance(i.ends_at) for i in intervals[12:]]
    assert [i.energy_j for i in again] == [i.energy_j for i in intervals[12:]]
    assert b"".join(i.finished.tobytes() for i in again) == b"".join(
        i.finished.tobytes() for i in intervals[12:]
    )


def test_a_service_with_pools_is_as_if_it_were_alone() -> None:
    """In the first place even where routers draw, and wherever it stands where they do not; without drafts, whose draws
    go by the numbers of requests."""
    block = RequestBlock.of(np.arange(300) * 0.1, np.full(300, 400), np.full(300, 60))
    block.tenant[:] = np.arange(300) % 4
    named = np.isin(block.tenant, (1, 2))
    plain = {"prefix_cache": "off", "host_cache_gib": 0.0, "speculate": 0, "acceptance": None}
    for router_name, order in (("power_of_two", (0, 1, 2)), ("least_outstanding", (1, 0, 2))):
        groups = [GROUPS[k].model_copy(update=plain) for k in order]
        found = []
        for own, requests in ((groups, block), ([g for g in groups if g.serves], block[named])):
            cluster, _ = build_fleet(own, router_name=router_name, seed=7)
            found.append(table(finish(Fed(cluster, Stream(iter([requests]))))))
        ours, alone = (
            done[done.tenant.isin((1, 2))].drop(columns="replica").reset_index(drop=True) for done in found
        )
        pd.testing.assert_frame_equal(ours, alone)
        assert len(alone) == 150


def test_replicas_are_numbered_service_by_service(tmp_path: Path) -> None:
    path = tmp_path / "outages.csv"
    path.write_text("replica,start,end\n1,5,50\n3,5,50\n5,6,50\n7,6,50\n")
    made, facts = build_fleet(GROUPS, reliability=Reliability(failures=path))
    made.advance(10.0, RequestBlock.concatenate([]))
    assert isinstance(made, Services)
    assert [one.parking.down for one in made.plain] == [{1}, {1}, {1}, set(), {0}]
    assert facts["kv_link"]["bytes_per_token"] == 131072 * 33 / 32  # of the first service
    assert made.command(Awake(4)) == "4 replicas awake: expected 5 (one for each pool or service) to 8"
    assert made.command(Awake(6)) is None
    assert made.command(BatchCap(10**6)) is not None
    path.write_text("replica,start,end\n8,5,50\n")
    with pytest.raises(InputError, match="replica 8, expected one of 0 to 7"):
        build_fleet(GROUPS, reliability=Reliability(failures=path))


def test_independent_clusters_have_pools_of_their_own() -> None:
    """Of every group as many replicas each, also beside other services; what does not divide is told."""
    groups = [group.model_copy(update={"prefix_cache": "off", "host_cache_gib": 0.0}) for group in GROUPS[:3]]
    made, _ = build_fleet(groups, router_name="independent:2", reliability=FAILS)
    assert isinstance(made, Services)
    assert [type(one) for one in made.clusters] == [IndependentPools, Cluster]
    assert [len(one.replicas) for one in made.plain] == [1, 1, 1, 1, 2]
    assert [replica.group.rpartition(" ")[2] for replica in made.replicas[:4]] == ["prefill", "decode"] * 2
    block = RequestBlock.of(np.arange(300) * 0.1, np.full(300, 400), np.full(300, 60))
    block.tenant[:] = np.arange(300) % 3
    intervals = finish(c := Fed(made, Stream(iter([block]))))
    adds_up(c, intervals)
    served = table(intervals).replica
    assert served.isin([1, 3]).sum() == 200
    assert abs((served == 1).sum() - 100) < 30
    with pytest.raises(
        InputError, match="--independent 3: expected a divisor of the 2 replicas that only decode"
    ):
        build_fleet(groups, router_name="independent:3")


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (
            {2: {"role": "both"}},
            "groups that serve tenants 1, 2 with the roles both, decode, expected both prefill",
        ),
        (
            {1: {"role": "prefill"}},
            "groups that serve all other tenants with the roles prefill, expected both",
        ),
        (
            {2: {"kv_precision": "fp8"}},
            "groups that serve tenants 1, 2 with KV caches of .* expected one model",
        ),
        (
            {0: {"speculate": 2}, 2: DRAFTS | {"draft_share": 0.0}},
            "groups that serve tenants 1, 2 with roles have",
        ),
        ({3: {"hash_tokens": 128}}, "--hash-tokens: groups with 64 and 128, expected one for all"),
    ],
)
def test_what_does_not_go_together_in_a_service_is_one_line(
    changed: dict[int, dict[str, Any]], told: str
) -> None:
    groups = [group.model_copy(update=changed.get(k, {})) for k, group in enumerate(GROUPS)]
    with pytest.raises(InputError, match=told) as error:
        build_fleet(groups)
    assert "\n" not in str(error.value)
