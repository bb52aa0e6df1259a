"""Prefill and decode apart: times, energies and evictions of the plain implementation, every joule in its place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from simulators.inference import attribution
from simulators.inference.batching.host import Fetching
from simulators.inference.batching.policies import APART, limits_for
from simulators.inference.cluster import Cluster
from simulators.inference.interval import Interval
from simulators.inference.link import Link
from simulators.inference.metrics import Metrics
from simulators.inference.pools import Pools
from simulators.inference.power.law import PowerLaw
from simulators.inference.replica import Replica
from simulators.inference.request_records import hashes_of, records_of
from simulators.inference.routing import BY_CONTENT, ROUTERS, router
from simulators.inference.tenant_shares import TenantShares
from simulators.inference.timing.tables import LOOKUP, StageTables, with_drafting
from simulators.kept import digests, keep
from simulators.quantities.commands import Awake, BatchCap, ClockLimit, PowerCap
from simulators.quantities.requests import RequestBlock
from simulators.restored import restore
from simulators.traffic.stream import Stream

from .oracle import Request, Server
from .oracle_clock import metered
from .oracle_pools import Way, serve
from .oracle_shares import Shares
from .oracle_speculation import Drafter
from .random_cases import random_cases
from .runs import FLAT, Fed, Job, assert_same_cache, flat_tables, plain_power_w
from .test_cluster import block
from .test_equality import LAWS, cases, random_tables, workloads
from .test_prefix import conversations
from .test_speculation import random_drafter

TIMES = ("scheduled_at", "prefill_completed_at", "decoding_at", "completed_at")
LINK = Link(0.02, 0.0, 100.0, 0.0, latency_s=0.125, joules_per_byte=0.01)


def pools(
    jobs: Sequence[Job],
    *given: Any,
    hashes: Sequence[tuple[int, ...]] | None = None,
    tenants: Sequence[int] | None = None,
    **options: Any,
) -> Fed:
    """The pools that `two_pools` makes, and their requests."""
    return Fed(two_pools(*given, **options), Stream(iter([known(jobs, hashes, tenants)])))


def two_pools(
    tables: Sequence[StageTables],
    law: PowerLaw,
    options: dict[str, Any],
    counts: tuple[int, int] = (1, 1),
    link: Link = LINK,
    bins: int = 1,
    log: bool = False,
    router_name: str = "round_robin",
    first_token: str = "transfer",
    drafters: Sequence[Drafter] | None = None,
    shares: TenantShares | None = None,
) -> Pools:
    """Two pools whose replicas have these options, tables each; only those that prefill have a prefix cache."""
    made = []
    for k, (role, count, own) in enumerate(zip(("prefill", "decode"), counts, tables, strict=True)):
        drafter = drafters[k] if drafters else None
        made.append(behind_a_router(role, options, own, law, count, drafter, shares, router_name, bins, log))
    return Pools(*made, [link] * counts[0], first_token)


def behind_a_router(
    role: str,
    options: dict[str, Any],
    tables: StageTables,
    law: PowerLaw,
    count: int,
    drafter: Drafter | None = None,
    shares: TenantShares | None = None,
    router_name: str = "round_robin",
    bins: int = 1,
    log: bool = False,
) -> Cluster:
    """So many equal replicas."""
    replicas = [made_for(role, options, tables, law, drafter, log=log) for _ in range(count)]
    for replica in replicas if shares else ():
        replica.share(shares)
    return Cluster(replicas, router(router_name, count, np.random.default_rng(5)), bins)


def made_for(
    role: str,
    options: dict[str, Any],
    tables: StageTables,
    law: PowerLaw,
    drafter: Drafter | None = None,
    **more: Any,
) -> Replica:
    """A replica of a pool; what it moves to host memory and back takes 1 J for each block."""
    given = of_role(options, role)
    names = ("gpus", "attribution", "host_blocks", "fetching")
    own = {name: given.pop(name) for name in names if name in given}
    fetching = own.pop("fetching", Fetching())
    limits = limits_for(**given, depth=drafter.depth if drafter else 0)
    built = with_drafting(tables, drafter.drafting) if drafter else tables
    replica = Replica(limits, built, law, **own, **more)
    replica.fetch_from_host(fetching, block_bytes=100.0, joules_per_byte=0.01)
    if drafter:
        replica.speculate(drafter.acceptance, drafter.key)
    return replica


def of_role(options: dict[str, Any], role: str) -> dict[str, Any]:
    """Options of the replicas of a pool."""
    given = {"scheduler": "vllm_v1", "total_blocks": 200} | options | {"role": role}
    return given | ({"prefix_cache": "off", "host_blocks": 0} if role == "decode" else {})


def known(
    jobs: Sequence[Job], hashes: Sequence[tuple[int, ...]] | None, tenants: Sequence[int] | None = None
) -> RequestBlock:
    """Jobs as a block, with what is in them and who sent them."""
    made = block(jobs)
    made.tenant[:] = 0 if tenants is None else tenants
    if hashes is None:
        return made
    ids = np.empty(len(hashes), object)
    ids[:] = [np.array(each, np.int64) for each in hashes]
    return replace(made, hash_ids=ids)


def finish(c: Fed, steps: Sequence[float] = (), then_s: float = 50.0, limit_s: float = 1e6) -> list[Interval]:
    """Advance through `steps`, then evenly until everything is done; every interval is checked."""
    intervals, now = [], 0.0
    for length_s in steps:
        now += length_s
        intervals.append(c.advance(now))
    while not c.idle:
        assert now < limit_s, "something waits for ever"
        now += then_s
        intervals.append(c.advance(now))
    return intervals


def table(intervals: Sequence[Interval]) -> pd.DataFrame:
    return pd.DataFrame(np.concatenate([i.finished for i in intervals])).set_index("request_id").sort_index()


def as_the_oracle(
    jobs: Sequence[Job],
    tables: Sequence[StageTables],
    law: PowerLaw,
    options: dict[str, Any],
    counts: tuple[int, int],
    link: Link,
    steps: Sequence[float] = (),
    hashes: Sequence[tuple[int, ...]] | None = None,
    drafters: Sequence[Drafter] | None = None,
    tenants: Sequence[int] | None = None,
    shares: TenantShares | None = None,
) -> pd.DataFrame:
    """Serve jobs by pools and by the oracle, and hold the one to the other."""
    given: dict[str, Any] = {"hashes": hashes, "drafters": drafters, "tenants": tenants, "shares": shares}
    runs = [pools(jobs, tables, law, options, counts, link, log=log, **given) for log in (True, False)]
    ours = [table(finish(c, steps)) for c in runs]
    servers = servers_of(tables, law, options, counts, drafters, shares)
    requests = requests_of(jobs, options, hashes, tenants)
    requests = [r for r in requests if servers[0][0].could_run(r) and servers[1][0].could_run(r)]
    serve(requests, *servers, [way_of(link)] * counts[0])
    for found in ours:
        assert_same_served(found, requests)
    assert_same_replicas(runs[0].replicas, [*servers[0], *servers[1]], ours[0])
    return ours[0]


def servers_of(
    tables: Sequence[StageTables],
    law: PowerLaw,
    options: dict[str, Any],
    counts: Sequence[int],
    drafters: Sequence[Drafter] | None = None,
    shares: TenantShares | None = None,
    roles: Sequence[str] = ("prefill", "decode"),
) -> list[list[Server]]:
    """The oracle's servers of replicas in these roles, with tables each."""
    return [
        [
            Server(
                tables=own, watts=lambda mfu, mbu, work, own=own: plain_power_w(law, own, mfu, mbu, work),
                drafter=drafters[k] if drafters else None, idle_w=law.idle_w,
                shares=Shares(shares.weights, shares.others) if shares else None, **of_role(options, role),
            )
            for _ in range(count)
        ]
        for k, (role, count, own) in enumerate(zip(roles, counts, tables, strict=True))
    ]  # fmt: skip


def requests_of(
    jobs: Sequence[Job],
    options: dict[str, Any],
    hashes: Sequence[tuple[int, ...]] | None = None,
    tenants: Sequence[int] | None = None,
    first: int = 0,
) -> list[Request]:
    """Jobs as the oracle takes them, numbered from `first` on."""
    requests = [Request(first + i, *job) for i, job in enumerate(jobs)]
    for request, tenant in zip(requests, tenants or (), strict=False):
        request.tenant = tenant
    if hashes is not None:
        rows = records_of(known(jobs, hashes))
        hashes_of(known(jobs, hashes), rows, options["hash_tokens"])
        for request, of, tokens in zip(requests, hashes, rows["hashed_tokens"].tolist(), strict=True):
            request.hashes, request.hashed_tokens = of, tokens
    return requests


def way_of(link: Link) -> Way:
    return Way(link.s_per_token, link.s_per_request, link.latency_s, link.overlap)


def assert_same_served(found: pd.DataFrame, requests: Sequence[Request]) -> None:
    """What became of the requests of replicas is what became of the oracle's."""
    assert list(found.index) == [r.request_id for r in requests]
    assert found.restarts.tolist() == [r.restarts for r in requests]
    assert found.cached_tokens.tolist() == [r.cached_tokens for r in requests]
    for name in (*TIMES, "prefill_j", "decode_j", "cached_j", "draft_j", "rejected_j"):
        theirs = [getattr(r, name) for r in requests]
        np.testing.assert_allclose(found[name], theirs, rtol=1e-9, atol=1e-12, err_msg=name)


def assert_same_replicas(replicas: Sequence[Replica], servers: Sequence[Server], found: pd.DataFrame) -> None:
    """Batches, caches and meters of replicas that keep a log, and that have served what was `found`."""
    for replica, server in zip(replicas, servers, strict=True):
        log = replica.take_log()
        batches = sorted(server.iterations, key=lambda i: (i.batch_id, i.stage))
        log = log[np.lexsort((log["stage"], log["batch_id"]))]
        for name in ("batch_size", "tokens", "decode_batch_size", "kv_blocks_used", "waiting"):
            assert log[name].tolist() == [getattr(i, name) for i in batches], name
        np.testing.assert_allclose(log["start_s"], [i.start_s for i in batches], rtol=1e-9, atol=1e-12)
        assert_same_cache(replica, server)
    read = sum(metered(server.busy, np.array([0.0, 1e9]))[0, :2] for server in servers)
    np.testing.assert_allclose(read, [found.prefill_j.sum(), found.decode_j.sum()], rtol=1e-9)


def drawn(data: st.DataObject) -> dict[str, Any]:
    """A case for `as_the_oracle`."""
    scheduler = data.draw(st.sampled_from(APART))
    case = data.draw(cases(scheduler))
    case.pop("built_with", None)
    case.pop("drive")
    jobs, law, choice = case.pop("jobs"), case.pop("law"), case.pop("table_choice")
    seed, mode, grid = choice
    counts = (data.draw(st.integers(1, 2)), data.draw(st.integers(1, 2)))
    random = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    tables = [random_tables(seed, mode, grid), random_tables(seed + 1, mode, grid)]
    link = Link(
        float(random.choice([0.0, 0.001, 0.03, 0.2])), float(random.choice([0.0, 0.3])), 64.0, 10.0,
        latency_s=float(random.choice([0.0, 0.5])), overlap=float(random.choice([0.0, 0.5, 1.0])), joules_per_byte=0.01,
    )  # fmt: skip
    steps = data.draw(st.lists(st.sampled_from([0.37, 1.7, 30.0, 411.1]), max_size=6))
    case["scheduler"], hashes = scheduler, None
    if scheduler == "vllm_v1" and data.draw(st.booleans()):
        unit = case["hash_tokens"] = case["block_tokens"] * data.draw(st.sampled_from([1, 3]))
        case["prefix_cache"] = data.draw(st.sampled_from(["on", "unlimited"]))
        jobs, found = conversations(random, jobs, unit)
        hashes = found.of
    drafters = None
    if data.draw(st.booleans()):
        depth = int(random.choice([1, 3, 16]))
        one, two = (random_drafter(random, own, depth, grid) for own in tables)
        drafters = [one, replace(two, key=one.key, acceptance=one.acceptance)]
    return {
        "jobs": jobs, "tables": tables, "law": law, "counts": counts, "link": link, "steps": steps, "options": case,
        "hashes": hashes, "drafters": drafters,
    }  # fmt: skip


@random_cases(10)
@given(data=st.data())
def test_any_workload(data: st.DataObject) -> None:
    as_the_oracle(**drawn(data))


@pytest.mark.parametrize(("first_token", "at"), [("transfer", 1.325), ("prefill", 1.0)])
def test_a_request_by_hand(first_token: str, at: float) -> None:
    """A prompt of 10 takes 1 s, its cache 0.2 + 0.125 s, each of three more tokens 1 s."""
    made = pools(
        [(0.0, 10, 4), (2.0, 7, 1)], [flat_tables(), flat_tables()], FLAT, {}, first_token=first_token
    )
    [interval] = finish(made)
    short, request = interval.finished
    assert short["completed_at"] == 3.0  # who wants one token is done with it
    assert request["prefill_completed_at"] == at
    assert request["handed_at"] == request["decoding_at"] == 1.325
    assert request["completed_at"] == 4.325
    assert request["released_at"] == request["arrived_at"] == 0.0
    assert [request["prefill_j"], request["decode_j"]] == pytest.approx([300.0, 900.0])
    assert interval.transfer_j == pytest.approx(10.0)  # 1000 B at 0.01 J/B
    assert interval.by_replica[:, :3].sum(axis=1) == pytest.approx([2 * 300 + 48 * 100, 3 * 300 + 47 * 100])


@pytest.mark.parametrize(("first_token", "at"), [("decode", 4.325), ("transfer", 2.325), ("prefill", 2.0)])
def test_who_waits_for_a_place_to_decode(first_token: str, at: float) -> None:
    """Two requests, one place: the second one's cache is there while the first decodes until 4.325."""
    made = [
        Cluster([made_for(role, options, flat_tables(), FLAT)], router("round_robin", 1, np.random.default_rng(5)), 1)
        for role, options in (("prefill", {}), ("decode", {"batch_cap": 1}))
    ]  # fmt: skip
    jobs = [(0.0, 10, 4), (1.0, 10, 4)]
    [interval] = finish(Fed(Pools(*made, [LINK], first_token), Stream(iter([known(jobs, None, None)]))))
    second = interval.finished[1]
    assert second["handed_at"] == 2.325
    assert second["decoding_at"] == 4.325
    assert second["prefill_completed_at"] == at
    assert second["completed_at"] == 7.325


def test_caches_share_links() -> None:
    """Two senders and one receiver: one cache of 1 s after the other, whoever sends; half of it beside the prompt."""
    jobs = [(0.0, 50, 2), (0.0, 50, 2), (0.0, 50, 2)]
    tables = [flat_tables(), flat_tables()]
    options = {"max_batch_tokens": 50}
    for overlap, there in ((0.0, [2.0, 3.0, 4.0]), (0.5, [1.5, 2.5, 3.5]), (1.0, [1.0, 2.0, 3.0])):
        link = LINK._replace(latency_s=0.0, overlap=overlap)
        [interval] = finish(pools(jobs, tables, FLAT, options, (2, 1), link))
        assert sorted(interval.finished["handed_at"]) == pytest.approx(there)


def drawn_pools(data: st.DataObject) -> tuple[dict[str, Any], list[float]]:
    random = np.random.default_rng(data.draw(st.integers(0, 99)))
    tables = [random_tables(int(n), LOOKUP, grid=False) for n in random.integers(0, 99, 2)]
    options = {
        "jobs": data.draw(workloads(grid=False)),
        "tables": tables,
        "law": data.draw(st.sampled_from(LAWS[2:4])),
        "options": {"scheduler": data.draw(st.sampled_from(APART)), "batch_cap": 8, "total_blocks": 40},
        "counts": (data.draw(st.integers(1, 3)), data.draw(st.integers(1, 3))),
        "link": LINK._replace(s_per_token=0.4, overlap=data.draw(st.sampled_from([0.0, 0.7]))),
        "router_name": data.draw(st.sampled_from(sorted(set(ROUTERS) - set(BY_CONTENT)))),
        "bins": data.draw(st.sampled_from([1, 7])),
    }
    return options, data.draw(st.lists(st.sampled_from([0.37, 1.7, 30.0, 411.1]), min_size=1, max_size=12))


@settings(max_examples=12, deadline=None, derandomize=True, phases=(Phase.generate,))
@given(data=st.data())
def test_any_cut_of_time_gives_the_same_and_all_adds_up_at_any_moment(data: st.DataObject) -> None:
    """Also with caches under way; and a run that is kept and restored goes on to the last bit."""
    options, steps = drawn_pools(data)
    whole = table(finish(pools(**options), then_s=1e5))
    c = pools(**options)
    fresh = keepable(pools(**options))
    constant = digests(fresh)
    intervals: list[Interval] = []
    now, kept = 0.0, None
    for length_s in steps:
        now += length_s
        intervals.append(c.advance(now))
        if kept is None and c.transfers.under_way:
            kept, kept_at = keep(keepable(c), constant), len(intervals)
        meter = attribution.phases(intervals)
        finished = np.concatenate([i.finished for i in intervals])
        assert abs(attribution.residual(attribution.request_table(finished, c.unfinished()), meter)) <= 1e-12
        assert meter["meter_j"] == pytest.approx(sum(i.energy_j for i in intervals), rel=1e-13)
        series_j = sum(i.power_w.sum() * (i.ends_at - i.begins_at) / len(i.series) for i in intervals)
        pools_j = sum(i.prefill_pool_j + i.decode_pool_j + i.transfer_j for i in intervals)
        assert [series_j, pools_j] == pytest.approx([meter["meter_j"]] * 2, rel=1e-12)
    while not c.idle:
        now += 1e4
        intervals.append(c.advance(now))
    ours = table(intervals)
    assert list(ours.index) == list(whole.index)
    assert list(ours.replica) == list(whole.replica)
    for name in TIMES:
        np.testing.assert_allclose(ours[name], whole[name], rtol=1e-12, err_msg=name)
    np.testing.assert_allclose(ours.prefill_j + ours.decode_j, whole.prefill_j + whole.decode_j, rtol=1e-9)
    if kept is not None:
        restored = restore(fresh, kept)["pools"]
        rest = block(options["jobs"])
        rest = replace(rest, request_id=np.arange(len(rest)))
        for interval in intervals[kept_at:]:
            now = rest.arrived_at
            again = restored.advance(
                interval.ends_at, rest[(now >= interval.begins_at) & (now < interval.ends_at)]
            )
            assert again.finished.tobytes() == interval.finished.tobytes()
            assert again.transfer_j == interval.transfer_j


def keepable(c: Fed) -> dict[str, Pools]:
    return {"pools": c.cluster}


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (BatchCap(5), None),
        (PowerCap(250.0), None),
        (ClockLimit(0.8), None),
        (Awake(1), "1 replicas awake: expected 2 (one for each pool or service) to 2"),
        (BatchCap(0), "batch cap 0"),
        (PowerCap(20.0), "power cap: 20 W"),
    ],
)
def test_commands_hold_for_both_pools_or_for_none(command: Any, why: str | None) -> None:
    c = pools([(0.0, 5, 5)], [flat_tables(), flat_tables()], FLAT, {}).cluster
    before = [(r.limits, r.law) for r in c.replicas]
    reason = c.command(command)
    if why is None:
        assert reason is None
        assert all(old != (r.limits, r.law) for old, r in zip(before, c.replicas, strict=True))
    else:
        assert reason is not None
        assert why in reason
        assert all(old[0] == r.limits and old[1] is r.law for old, r in zip(before, c.replicas, strict=True))


def test_what_could_never_decode_is_refused_at_the_door() -> None:
    """A prompt of 190 would fit the pool that prefills; with 20 tokens more it would never fit the other."""
    options = {"total_blocks": 13, "batch_cap": 8}
    c = pools([(0.0, 190, 20), (0.0, 150, 20)], [flat_tables(), flat_tables()], FLAT, options)
    interval = finish(c)[0]
    assert (interval.rejected, c.rejected, interval.prefill_tokens) == (1, 1, 150)


@pytest.mark.parametrize(
    ("link", "options", "label"),
    [
        (LINK, {}, "stable"),
        (LINK._replace(latency_s=9.0), {}, "overloaded"),  # a cache in 9 s, a request every 4 s
        (LINK, {"batch_cap": 1}, "overloaded"),  # answers of 10 s, one at a time
    ],
)
def test_a_link_or_a_decode_pool_that_falls_behind_never_looks_stable(
    link: Link, options: dict[str, Any], label: str
) -> None:
    jobs = [(4.0 * n, 5, 10) for n in range(300)]
    c = pools(jobs, [flat_tables(), flat_tables()], FLAT, options, link=link)
    metrics = Metrics()
    for until in range(60, 1201, 60):
        metrics.add(c.advance(float(until)))
    assert metrics.summary(c.cluster)["saturation"]["label"] == label
