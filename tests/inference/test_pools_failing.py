"""Replicas that prefill, and ones that decode, fail and come back: nothing is lost but work, and that is counted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.inference import attribution
from simulators.inference.batching.host import Fetching
from simulators.inference.cluster import Cluster
from simulators.inference.conservation import Conservation
from simulators.inference.drive import Driver
from simulators.inference.failures import Failures
from simulators.inference.fleet import build_fleet
from simulators.inference.link import Link
from simulators.inference.metrics import Metrics
from simulators.inference.options import Group
from simulators.inference.outages import Breakdowns, Outage, Timetable
from simulators.inference.pools import Pools
from simulators.inference.power.law import PowerLaw
from simulators.inference.power.states import State
from simulators.inference.reliability import Reliability
from simulators.inference.request_records import hashes_of, records_of
from simulators.inference.routing import router
from simulators.inference.standby import IdleRule
from simulators.inference.tenant_shares import TenantShares
from simulators.inference.timing.tables import LOOKUP, StageTables
from simulators.kept import digests, keep
from simulators.quantities.commands import Awake
from simulators.quantities.requests import RequestBlock
from simulators.restored import restore
from simulators.traffic.options import workload_from_options
from simulators.traffic.stream import Stream

from .oracle import Server
from .oracle_pools import Fault, Way, serve_with_a_fault
from .oracle_shares import Shares
from .oracle_speculation import Drafter
from .random_cases import random_cases
from .runs import FLAT, Fed, Job, flat_tables, plain_power_w
from .test_cluster import busy_jobs
from .test_equality import random_tables
from .test_pools import LINK, TIMES, finish, known, made_for, of_role, table
from .test_speculation import random_drafter

OFF = State(name="off", power_w=20.0, leave_s=3.0, leave_j=200.0)


def pools(
    jobs: Sequence[Job],
    outages: Sequence[Outage] = (),
    tables: Sequence[StageTables] | None = None,
    options: dict[str, Any] | None = None,
    *,
    counts: tuple[int, int] = (1, 2),
    link: Link = LINK,
    law: PowerLaw = FLAT,
    router_name: str = "round_robin",
    first_token: str = "transfer",
    hashes: Sequence[tuple[int, ...]] | None = None,
    drafters: Sequence[Drafter] | None = None,
    by_chance: int | None = None,
    rule: IdleRule | None = None,
    copies: float = 1.0,
    tenants: Sequence[int] | None = None,
    shares: TenantShares | None = None,
) -> Fed:
    """Two pools in which replicas are out as listed, and by chance from a seed on."""
    made: list[Cluster] = []
    for k, (role, count) in enumerate(zip(("prefill", "decode"), counts, strict=True)):
        drafter, own = (drafters or (None, None))[k], (tables or [flat_tables(), flat_tables()])[k]
        states = {"off": OFF}
        replicas = [
            made_for(role, options or {}, own, law, drafter, states=states, group=role) for _ in range(count)
        ]
        for replica in replicas[1:]:
            replica.standby.rule = rule
        for replica in replicas if shares else ():
            replica.share(shares)
        name = router_name if k == 0 or router_name != "cache_aware" else "least_outstanding"
        routers = [router(name, count, np.random.default_rng(seed + k)) for seed in (5, 6)]
        cluster = Cluster(replicas, routers[0], 3, gpus_per_host=1)
        first = sum(len(one.replicas) for one in made)
        listed = [
            one._replace(replicas=(one.replicas[0] - first,))
            for one in outages
            if 0 <= one.replicas[0] - first < count
        ]
        breakdowns = None
        if by_chance is not None:
            breakdowns = Breakdowns([(n,) for n in range(count)], [60.0] * count, 5.0, by_chance, first)
        again = router(
            name if name == "round_robin" else "least_outstanding", count, np.random.default_rng(7)
        )
        cluster.fail_by(Failures(Timetable(listed, breakdowns), replicas, cluster.parking, again))
        made.append(cluster)
    together = Pools(made[0], made[1], [link] * counts[0], first_token, copies)
    return Fed(together, Stream(iter([known(jobs, hashes, tenants)])))


def test_a_replica_that_decodes_fails() -> None:
    """A prompt of 10 takes 1 s, its cache 0.325 s, tokens 2 and 3 are there at 3.325 s; the failure at 3.8 s ends a
    batch. With 13 tokens to prefill the fourth comes at 4.8 s, the cache 0.385 s later, two more tokens then."""
    c = pools([(0.0, 10, 6)], [Outage(3.8, 1e5, (1,))])
    metrics = Metrics()
    for interval in (intervals := finish(c, then_s=2.0)):
        metrics.add(interval)
    (one,) = table(intervals).itertuples()
    assert (one.scheduled_at, one.prefill_completed_at, one.handed_at) == (0.0, 1.325, 1.325)
    assert (one.completed_at, one.restarts, one.replica) == (pytest.approx(7.185), 1, 2)
    assert (one.prefill_tokens, one.decode_tokens) == (10, 6)
    assert (one.prefill_j, one.decode_j) == pytest.approx((300.0, 4 * 300.0))
    summary = metrics.summary(c.cluster)
    assert summary["failures"]["lost_work_j"] == pytest.approx(300.0 + 0.475 * 300.0)
    assert summary["failures"]["lost_tokens"] == 0
    assert summary["failures"]["requests_interrupted"] == summary["failures"]["failures"] == 1
    assert (summary["prefill_tokens"], summary["decode_tokens"]) == (23, 6)
    assert summary["pools"]["transfer"]["bytes"] == 100.0 * 23


@pytest.mark.parametrize(("first_token", "tokens"), [("transfer", 10), ("prefill", 11)])
def test_a_replica_that_prefills_fails_with_caches_that_it_had_not_sent(
    first_token: str, tokens: int
) -> None:
    """The cache of 1 s is half way at 1.5 s; prefilled again by the other replica, from whatever users have."""
    link = LINK._replace(s_per_token=0.1, latency_s=0.0)
    c = pools([(0.0, 10, 6)], [Outage(1.5, 1e5, (0,))], counts=(2, 1), link=link, first_token=first_token)
    intervals = finish(c)
    (one,) = table(intervals).itertuples()
    kept = tokens - 10
    assert one.prefill_completed_at == pytest.approx(1.0 if kept else 2.5 + 1.0)
    assert one.completed_at == pytest.approx(2.5 + 0.1 * tokens + (5 - kept))
    assert (one.prefill_tokens, one.decode_tokens, one.restarts) == (10, 6, 1)
    assert one.prefill_j + one.decode_j == pytest.approx((6 - kept) * 300.0)
    tally = c.tally_at(c.now)
    assert (tally.lost_j, tally.lost_tokens) == (pytest.approx(300.0), 1 - kept)
    assert sum(i.transfer_j for i in intervals) == pytest.approx(1.5 * 10.0 + 1.0 * kept)
    assert c.transfers.cut_off == 1


def test_a_cache_on_its_way_to_a_replica_that_fails_is_sent_once_more() -> None:
    """From 1.5 s on, to the other one; the prompt is not computed again. With nobody there it waits."""
    link = LINK._replace(s_per_token=0.1, latency_s=0.0)
    for until, there in ((1e5, 2.5), (20.0, 20.0 + 3.0 + 1.0)):
        out = [Outage(1.5, until, (1,))] + ([Outage(0.5, 30.0, (2,))] if until == 20.0 else [])
        c = pools([(0.0, 10, 3)], out, link=link)
        intervals = finish(c)
        (one,) = table(intervals).itertuples()
        assert (one.handed_at, one.restarts) == (pytest.approx(there), 0)
        assert one.completed_at == pytest.approx(there + 2.0)
        assert (c.transfers.cut_off, c.tally_at(c.now).lost_j) == (1, 0.0)
        assert sum(i.transfer_j for i in intervals) == pytest.approx(15.0)


def case(data: st.DataObject) -> dict[str, Any]:
    """Options of `pools`: two pools in which anything may fail at any time."""
    seed = data.draw(st.integers(0, 2**32))
    random = np.random.default_rng(seed)
    jobs = busy_jobs(
        int(random.integers(100)), data.draw(st.integers(1, 50)), float(random.choice([0.5, 3.0]))
    )
    counts = (data.draw(st.integers(1, 3)), data.draw(st.integers(1, 3)))
    outages = [
        Outage(float(at), float(at + lasts), (int(n),), bool(random.random() < 0.3))
        for n, at, lasts in zip(
            random.integers(0, sum(counts), 5),
            random.uniform(0, 60, 5),
            random.uniform(0.1, 40, 5),
            strict=True,
        )
    ]
    own = [random_tables(int(n), LOOKUP, grid=False) for n in random.integers(0, 99, 2)]
    given: dict[str, Any] = {
        "jobs": jobs, "outages": outages[: data.draw(st.integers(0, 5))], "counts": counts,
        "tables": own if random.random() < 0.5 else [flat_tables(0.1, 0.01)] * 2,
        "link": Link(
            float(random.choice([0.0, 0.01, 0.1])), 0.0, 64.0, 10.0, latency_s=float(random.choice([0.0, 0.5])),
            overlap=float(random.choice([0.0, 0.7])), joules_per_byte=0.01,
        ),
        "options": {
            "scheduler": str(random.choice(["vllm_v1", "sarathi"])), "total_blocks": int(random.choice([24, 200])),
            "batch_cap": 8, "stages": int(random.choice([1, 2])), "max_model_len": 256,
        },
        "router_name": str(random.choice(["round_robin", "random", "least_outstanding", "power_of_two"])),
        "first_token": str(random.choice(["transfer", "prefill"])),
        "by_chance": data.draw(st.sampled_from([None, 3])),
        "rule": data.draw(st.sampled_from([None, IdleRule(OFF, 4.0)])),
        "copies": data.draw(st.sampled_from([1.0, 2.5])),
    }  # fmt: skip
    if random.random() < 0.5:
        given["options"] |= {"stages": 1} | cached(random)
        given["router_name"] = str(random.choice(["cache_aware", "least_outstanding"]))
        given["hashes"] = alike(jobs)
    if random.random() < 0.5:
        one, two = (random_drafter(random, each, 3, grid=False) for each in given["tables"])
        given["drafters"] = [one, Drafter(3, one.acceptance, one.key, two.drafting)]
    return given


def alike(jobs: Sequence[Job]) -> list[tuple[int, ...]]:
    """Prompts in blocks of 4 tokens, each of which begins as every fifth other."""
    return [
        tuple(range(20 * (k % 5), 20 * (k % 5) + -(-prompt // 4))) for k, (_, prompt, _) in enumerate(jobs)
    ]


def cached(random: np.random.Generator) -> dict[str, Any]:
    """A prefix cache, and host memory behind it or none."""
    fetching = Fetching(float(random.choice([0.01, 0.3])), 0.01, int(random.choice([1, 4])))
    return {
        "scheduler": "vllm_v1", "prefix_cache": "on", "block_tokens": 4, "hash_tokens": 4,
        "total_blocks": int(random.choice([20, 40])),
        "host_blocks": int(random.choice([0, 10, 1000])), "fetching": fetching,
    }  # fmt: skip


@random_cases(12)
@given(data=st.data())
def test_requests_tokens_and_joules_are_conserved_whatever_fails(data: st.DataObject) -> None:
    """Sum over requests + idle + transfers + lost work = meter, output tokens once each, in two cuts of time."""
    given = case(data)
    awake = data.draw(st.sampled_from([None, *range(2, sum(given["counts"]) + 1)]))
    runs = []
    for step_s in (11.0, 37.0):
        c = pools(**given)
        if awake is not None:
            assert c.command(Awake(awake), at=5.5) is None
        metrics, intervals = Metrics(copies=c.copies), []
        while not c.idle:
            assert c.now < 1e6, "something waits for ever"
            intervals.append(c.advance(c.now + step_s))
            metrics.add(intervals[-1])
            live = c.unfinished()
            assert c.requests_j() == pytest.approx((live["prefill_j"] + live["decode_j"]).sum(), rel=1e-9)
            assert (live["prefill_tokens"] + live["decode_tokens"]).sum() == sum(
                given["jobs"][n][1] + given["jobs"][n][2] for n in live["request_id"]
            )
        summary, done = metrics.summary(c.cluster), table(intervals)
        meter = attribution.phases(intervals)
        rows = attribution.request_table(np.concatenate([i.finished for i in intervals]), c.unfinished())
        rows["busy_j"] *= c.copies
        assert abs(attribution.residual(rows, meter)) < 1e-9
        assert len(done) + c.rejected == c.received == len(given["jobs"])
        assert [*zip(done.prefill_tokens, done.decode_tokens, strict=True)] == [
            given["jobs"][n][1:] for n in done.index
        ]
        assert summary["decode_tokens"] == pytest.approx(c.copies * done.decode_tokens.sum())
        assert meter["lost_work_j"] == pytest.approx(c.copies * c.tally_at(c.now).lost_j)
        order = ("released_at", "scheduled_at", "prefill_completed_at", "completed_at")
        assert (np.diff(done[list(order)].to_numpy(), axis=1) >= 0).all()
        assert (done.released_at == done.arrived_at).all()
        assert ((done.draft_j + done.rejected_j) <= (done.prefill_j + done.decode_j) * (1 + 1e-9)).all()
        assert c.cluster._resumed.requests_j == 0
        assert not c.cluster._contents._known
        runs.append((done, summary))
    (ours, mine), (theirs, yours) = runs
    assert list(ours.replica) == list(theirs.replica)
    for column in TIMES:
        np.testing.assert_allclose(ours[column], theirs[column], rtol=1e-9, err_msg=column)
    assert mine["failures"]["lost_work_j"] == pytest.approx(
        yours["failures"]["lost_work_j"], rel=1e-9, abs=1e-9
    )


def contents_of(
    jobs: Sequence[Job], hashes: list[tuple[int, ...]] | None
) -> list[tuple[tuple[int, ...], int]]:
    """Hashes of each job, and the tokens that they stand for."""
    if hashes is None:
        return [((), 0)] * len(jobs)
    rows = records_of(known(jobs, hashes))
    hashes_of(known(jobs, hashes), rows, 4)
    return list(zip(hashes, rows["hashed_tokens"].tolist(), strict=True))


def as_the_plain_servers(
    data: st.DataObject,
    among: Callable[[Pools, RequestBlock], Fed] | None = None,
    own: Callable[[pd.DataFrame], pd.DataFrame] = lambda done: done,
) -> tuple[int, int]:
    """Hold a random case to the oracle's servers, which know of no failure: each is run with what comes to it.

    The pools may be `among` others; then `own` tells which requests are theirs.

    Returns
    -------
    tuple
        Requests, and those that went on from tokens that they had.
    """
    random = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    tables = [random_tables(int(n), LOOKUP, grid=False) for n in random.integers(0, 99, 2)]
    unit_s = float(tables[0].token_s[1])
    jobs = [(at * 4 * unit_s, *job) for at, *job in busy_jobs(int(random.integers(100)), 30, 1.0)]
    fault = Fault(
        data.draw(st.sampled_from(["prefill", "decode"])),
        int(random.integers(2)),
        float(random.uniform(0, jobs[-1][0])),
    )
    link = Link(
        float(random.choice([0.0, 0.02, 0.2])) * unit_s, float(random.choice([0.0, 0.3])) * unit_s, 64.0, 10.0,
        latency_s=float(random.choice([0.0, 0.5])) * unit_s, overlap=float(random.choice([0.0, 0.5, 1.0])),
        joules_per_byte=0.01,
    )  # fmt: skip
    options = {"scheduler": str(random.choice(["vllm_v1", "sarathi"])), "total_blocks": 40, "batch_cap": 4}
    first_token = str(random.choice(["transfer", "prefill"]))
    drafters, hashes, shares, tenants = None, None, None, [0] * len(jobs)
    if data.draw(st.booleans()):
        one, two = (random_drafter(random, each, 3, grid=False) for each in tables)
        drafters = [one, Drafter(3, one.acceptance, one.key, two.drafting)]
    if data.draw(st.booleans()):
        options |= cached(random)
        hashes = alike(jobs)
    if data.draw(st.booleans()):
        shares = TenantShares.read(str(random.choice(["*=1", "0=1,4=2", "7=0.1,*=3"])))
        tenants = random.choice([0, 4, 7], len(jobs)).tolist()
    replica = fault.number + (2 if fault.role == "decode" else 0)
    out = [Outage(fault.at, 1e9, (replica,))]
    c = pools(
        jobs,
        out,
        tables,
        options,
        counts=(2, 2),
        link=link,
        first_token=first_token,
        drafters=drafters,
        hashes=hashes,
        tenants=tenants,
        shares=shares,
    )
    if among is not None:
        c = among(c.cluster, known(jobs, hashes, tenants))
    done = own(table(finish(c, then_s=1e3)))

    def make(role: str) -> Server:
        pool = int(role == "decode")
        own = tables[pool]
        return Server(
            tables=own, watts=lambda mfu, mbu, work: plain_power_w(FLAT, own, mfu, mbu, work),
            drafter=drafters[pool] if drafters else None, idle_w=FLAT.idle_w,
            shares=Shares(shares.weights, shares.others) if shares else None, **of_role(options, role),
        )  # fmt: skip

    way = Way(link.s_per_token, link.s_per_request, link.latency_s, link.overlap)
    found = serve_with_a_fault(
        jobs, make, way, fault, first_token == "prefill", contents_of(jobs, hashes), tenants
    )
    assert sorted(found) == list(done.index)
    if among is None:  # what a cache had counts once
        assert done.cached_tokens.sum() == sum(r.counter("hit_tokens") for r in c.replicas)
    for name in ("prefill_completed_at", "completed_at", "prefill_j", "decode_j", "rejected_j"):
        theirs = [getattr(found[i], name) for i in done.index]
        np.testing.assert_allclose(done[name], theirs, rtol=1e-9, atol=1e-12, err_msg=name)
    return len(done), sum(one.had > 0 for one in found.values())


@random_cases(12)
@given(data=st.data())
def test_a_failure_is_as_the_plain_servers_have_it(data: st.DataObject) -> None:
    as_the_plain_servers(data)


def everything() -> tuple[Driver, dict[str, list[Any]]]:
    """Conversations, prefix caches with host memory, drafts, shares, pools of two kinds of GPUs, power caps, replicas
    that fail by chance."""
    common = {
        "iteration_time": "roofline", "speculate": 3, "acceptance": "0.7", "prefix_cache": "on", "hash_tokens": 64,
        "kv_blocks": 4000, "batch_cap": 48, "power_cap_w": 380.0, "kv_link_gb_s": 4.0,
        "host_cache_gib": 20.0, "tenant_shares": "*=1",
    }  # fmt: skip
    groups = [
        Group(role="prefill", gpu="h100", replicas=2, **common),
        Group(role="decode", gpu="a100", replicas=2, **common),
        Group(role="decode", gpu="h100", replicas=2, **common),
    ]
    often = Reliability(failing="replica", mtbf_hours=0.03, repair_hours=0.002)
    cluster, _ = build_fleet(
        groups, router_name="cache_aware", seed=3, bins_per_interval=4, reliability=often
    )
    talks = {"turns": 4.0, "gap_s": 20.0, "gap_cv": 0.2, "prompts": 2, "prompt_tokens": 96, "prompt_cv": 0.0}
    workload = workload_from_options(
        rate_per_s=20.0, lengths="uniform:50:800:1", num_requests=2500, seed=8, hash_tokens=64, sessions=talks
    )
    driver = Driver(cluster, workload)
    return driver, {"all": [cluster, workload]}


def test_all_features_at_once_lose_no_request_token_or_joule() -> None:
    """Also when the run is kept half way and taken up by another one, to the last bit."""
    (driver, all_of_it), (other, of_other) = everything(), everything()
    constant = digests(of_other)
    metrics, intervals, kept = Metrics(), [], b""
    while not driver.idle:
        intervals.append(driver.advance(driver.cluster.now + 7.0))
        metrics.add(intervals[-1])
        if len(intervals) == 12:
            kept = keep(all_of_it, constant)
    finished = np.concatenate([i.finished for i in intervals])
    summary, meter = metrics.summary(driver.cluster), attribution.phases(intervals)
    rows = attribution.request_table(finished, driver.cluster.unfinished())
    assert abs(attribution.residual(rows, meter)) < 1e-9
    assert min(meter[name] for name in ("idle_j", "transition_j", "transfer_j", "lost_work_j")) > 0
    assert driver.cluster.received == 2500 == len(finished) + driver.cluster.rejected
    assert len(np.unique(finished["request_id"])) == len(finished)
    assert summary["decode_tokens"] == finished["decode_tokens"].sum()
    assert summary["failures"]["requests_interrupted"] > 20
    assert all(c.failures.tally.lost_j > 0 for c in driver.cluster.clusters)
    assert summary["speculation"]["tokens_accepted"] > 0 < summary["prefix_cache"]["block_hit_ratio"]
    assert summary["prefix_cache"]["host_hit_blocks"] > 100
    moved_j = summary["prefix_cache"]["host_j"] + summary["pools"]["transfer"]["energy_j"]
    assert moved_j == pytest.approx(meter["transfer_j"], rel=1e-9)
    assert summary["prefix_cache"]["host_j"] > 0.01 * meter["transfer_j"]
    assert {r.group.split(" on ")[1] for r in driver.cluster.replicas} == {
        "h100, prefill",
        "a100, decode",
        "h100, decode",
    }
    restore(of_other, kept)
    other.arrived = sum(i.received for i in intervals[:12])
    other._conservation = Conservation(other.cluster)
    again = [other.advance(i.ends_at) for i in intervals[12:]]
    assert [i.energy_j for i in again] == [i.energy_j for i in intervals[12:]]
    assert b"".join(i.finished.tobytes() for i in again) == b"".join(
        i.finished.tobytes() for i in intervals[12:]
    )
