"""Fair shares of tenants: the plain implementation's batches, the published bound, and nothing lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.errors import InputError
from simulators.inference import attribution
from simulators.inference.__main__ import app
from simulators.inference.batching.policies import POLICIES, SPECULATE, limits_for
from simulators.inference.batching.shares import tenants_of
from simulators.inference.fleet import build_fleet, read_groups
from simulators.inference.metrics import Metrics
from simulators.inference.options import Group, Serving
from simulators.inference.reliability import Reliability
from simulators.inference.replica import Replica
from simulators.inference.serving import build_cluster
from simulators.inference.tenant_shares import OUTPUT, TenantShares
from simulators.kept import digests, keep
from simulators.quantities.commands import BatchCap, PowerCap
from simulators.quantities.requests import RequestBlock
from simulators.restored import restore
from simulators.traffic.stream import Stream
from tests.conftest import call_app

from .random_cases import random_cases
from .runs import FLAT, Fed, Job, both, flat_tables, records
from .test_cluster import requests
from .test_equality import GRID_S, cases, random_tables
from .test_pools import as_the_oracle, drawn
from .test_prefix import conversations
from .test_speculation import random_drafter

WEIGHTS = ("*=1", "0=1,4=2", "7=0.1,*=3")
SMALL = Serving(gpu="a100", iteration_time="roofline", batch_cap=16)


@st.composite
def shared(draw: st.DrawFn, scheduler: str) -> dict[str, Any]:
    """A case of `both` with tenants, in half of them more than can be served, in bursts of one tenant or another."""
    case = draw(cases(scheduler))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    if draw(st.booleans()):
        gaps = random.choice([0, 0, 1, 8, 60], 40) * GRID_S
        lengths = random.choice([1, 5, 20, 90], 40), random.integers(1, 70, 40)
        case["jobs"] = [(float(t), int(p), int(d)) for t, p, d in zip(np.cumsum(gaps), *lengths, strict=True)]
        case["drive"] = {"step_s": 1024.0}
        case["batch_cap"] = max(case["stages"], draw(st.sampled_from([4, 64])))
    count = len(case["jobs"])
    bursts = np.repeat(random.choice([0, 4, 7], count), random.integers(1, 5, count))
    case["tables"] = random_tables(*case.pop("table_choice"))
    shares = TenantShares.read(draw(st.sampled_from(WEIGHTS)))
    return case | {"tenants": bursts[:count].tolist(), "shares": shares}


def check_plain(data: st.DataObject, scheduler: str) -> None:
    """Batches, times, energies and evictions of the plain implementation, and the service it counts."""
    both(**data.draw(shared(scheduler)))


def check_with_a_prefix_cache(data: st.DataObject) -> None:
    """The same with what a cache has, which is no service."""
    case = data.draw(shared("vllm_v1"))
    unit = case["block_tokens"] * data.draw(st.sampled_from([1, 3]))
    random = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    case["jobs"], hashes = conversations(random, case["jobs"], unit)
    both(
        prefix_cache=data.draw(st.sampled_from(["on", "unlimited"])), hash_tokens=unit, hashes=hashes, **case
    )


def check_with_drafts(data: st.DataObject) -> None:
    """The same where a batch brings more tokens of some requests than of others."""
    scheduler = data.draw(st.sampled_from(SPECULATE))
    case = data.draw(shared(scheduler))
    random = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    both(drafter=random_drafter(random, case["tables"], data.draw(st.sampled_from([1, 3, 5])), False), **case)


def check_with_pools(data: st.DataObject) -> None:
    """The same where each of two pools shares what it does itself."""
    case = drawn(data)
    random = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    shares = TenantShares.read(data.draw(st.sampled_from(WEIGHTS)))
    as_the_oracle(**case, tenants=random.choice([0, 4, 7], len(case["jobs"])).tolist(), shares=shares)


PAIRS = (check_with_a_prefix_cache, check_with_drafts, check_with_pools)


@pytest.mark.parametrize("scheduler", POLICIES)
@random_cases(4)
@given(data=st.data())
def test_any_workload(scheduler: str, data: st.DataObject) -> None:
    check_plain(data, scheduler)


@pytest.mark.parametrize("check", PAIRS)
@random_cases(4)
@given(data=st.data())
def test_any_workload_with(check: Any, data: st.DataObject) -> None:
    check(data)


@pytest.mark.parametrize("scheduler", ["vllm", "vllm_v1", "sarathi"])
def test_a_turn_that_comes_while_others_decode(scheduler: str) -> None:
    """Tenant 0's long prompt does not fit; every token that it gets for another brings tenant 4's turn nearer."""
    jobs = [(0.0, 10, 60), (4.5, 90, 5), (4.5, 5, 5), (9.0, 5, 5)]
    run, _ = both(
        jobs, flat_tables(), FLAT, scheduler,
        total_blocks=100, block_tokens=1, tenants=[0, 0, 4, 4], shares=TenantShares.read("4=0.5"),
        drive={"step_s": 1024.0},
    )  # fmt: skip
    begun = run.requests.scheduled_at
    assert begun[2] == 5.0
    assert begun[2] + 10.0 < begun[3] < run.requests.completed_at[0] == begun[1]


def crowd(count: int, seed: int = 3) -> tuple[list[Job], list[int]]:
    """Requests of two tenants that are all there at once: one asks long questions, the other for long answers."""
    random = np.random.default_rng(seed)
    tenants = random.integers(0, 2, count)
    prompts = np.where(tenants == 0, random.integers(40, 60, count), random.integers(1, 10, count))
    outputs = np.where(tenants == 0, random.integers(5, 15, count), random.integers(20, 40, count))
    return [(0.0, int(p), int(d)) for p, d in zip(prompts, outputs, strict=True)], tenants.tolist()


def test_two_tenants_who_wait_get_service_by_their_weights_within_the_published_bound() -> None:
    """At no two moments does service over weight differ by more than twice the larger of the longest prompt and two
    times what the cache holds; first come, first served goes by what they ask for."""
    jobs, tenants = crowd(1200)
    blocks, tokens = 30, 16

    def seen(text: str) -> np.ndarray:
        replica = Replica(limits_for("vllm_v1", total_blocks=blocks, batch_cap=8), flat_tables(), FLAT)
        replica.share(TenantShares.read(text))
        replica.enqueue(records(jobs, tenants=tenants), 0, len(jobs))
        at, served = 0.0, []
        while len(set(replica.waiting_records()["tenant"])) == 2 or at == 0.0:
            at += 7.0
            replica.advance(at, np.zeros((1, 5)), at - 7.0, 7.0)
            served.append(tenants_of(replica.state)[2])
        return np.array(served[:-1])

    bound = 2 * max(60, int(OUTPUT.value) * blocks * tokens)
    for text, weights in (("0=1,1=2", (1.0, 2.0)), ("*=1", (1.0, 1.0)), ("0=3", (3.0, 1.0))):
        had = seen(text)
        over = had / weights
        apart = over[:, 0] - over[:, 1]
        assert np.ptp(apart) <= bound / min(weights)
        assert np.ptp(apart) < 0.03 * over[-1].sum()  # which is far less than all
        assert had[-1, 1] / had[-1, 0] == pytest.approx(weights[1] / weights[0], rel=0.03)


def test_nothing_is_held_back() -> None:
    """Of equal requests, as many tokens come by any moment as first come, first served, to within a batch."""
    random = np.random.default_rng(5)
    jobs = [(float(at), 40, 20) for at in np.cumsum(random.exponential(0.8, 500))]
    tenants = random.choice([0, 0, 0, 1], 500).tolist()
    counts = []
    for shares in (None, TenantShares.read("1=5")):
        replica = Replica(limits_for("vllm_v1", total_blocks=100, batch_cap=8), flat_tables(), FLAT)
        if shares:
            replica.share(shares)
        replica.enqueue(records(jobs, tenants=tenants), 0, len(jobs))
        seen = []
        for at in np.arange(10.0, 2000.0, 10.0):
            replica.advance(at, np.zeros((1, 5)), at - 10.0, 10.0)
            seen.append(sum(replica.counts()[:2]))
        assert replica.completed == len(jobs)
        counts.append(np.array(seen))
    assert np.abs(counts[0] - counts[1]).max() <= 8 * 40
    assert counts[0][-1] == counts[1][-1] == 500 * 60


def sent(every_s: float, until: float, tenant: int) -> RequestBlock:
    random = np.random.default_rng(tenant)
    at = np.cumsum(random.exponential(every_s, int(until / every_s)))
    made = RequestBlock.of(at, np.full(len(at), 400), random.integers(10, 110, len(at)))
    made.tenant[:] = tenant
    return made


def mixed(*blocks: RequestBlock) -> RequestBlock:
    """Several tenants' requests as one block, numbered by arrival."""
    both = RequestBlock.concatenate(blocks)
    both = both[np.argsort(both.arrived_at, kind="stable")]
    both.request_id[:] = np.arange(len(both))
    return both


def finish(c: Fed, step_s: float) -> list[Any]:
    intervals = []
    while not c.idle:
        intervals.append(c.advance(c.now + step_s))
    return intervals


def test_a_flood_does_not_drown_a_light_tenant() -> None:
    """Its time to first token stays near that without others (0.04 s, 0.25 with, for it still waits until somebody
    leaves); first come, first served it waits behind the whole flood (190 s)."""
    light, flood = sent(1.0, 120.0, 1), sent(0.012, 120.0, 0)
    p99 = {}
    for name, block, shares in (
        ("alone", mixed(light), None),
        ("first come", mixed(light, flood), None),
        ("shares", mixed(light, flood), "*=1"),
    ):
        serving = SMALL.model_copy(update={"replicas": 2, "tenant_shares": shares})
        made, _ = build_cluster(serving, router_name="least_outstanding")
        c = Fed(made, Stream(iter([block])))
        done = requests(finish(c, 30.0))
        own = done[done.tenant == 1]
        assert len(done) == len(block)
        p99[name] = np.quantile(own.prefill_completed_at - own.arrived_at, 0.99)
    assert p99["first come"] > 20.0 * p99["shares"]
    assert p99["shares"] < p99["alone"] + 0.5


FLEET = """
iteration_time = "roofline"
batch_cap = 8
tenant_shares = {1 = 2, 99 = 4}

[[groups]]
gpu = "a100"
replicas = 2
serves = [1, 2]

[[groups]]
gpu = "h100"
replicas = 2
prefill_replicas = 0
"""


def test_nothing_is_lost_whatever_else_happens(tmp_path: Path) -> None:
    """Services, failures, a cap of power and one of the batch, more tenants than there is room for at first: requests,
    tokens and joules are all there, the same bytes however time is cut, and after an interruption."""
    path = tmp_path / "fleet.toml"
    path.write_text(FLEET, encoding="utf-8")
    groups = read_groups(path, Group())
    block = mixed(*(sent(3.0 if tenant else 0.1, 60.0, tenant) for tenant in range(14)))
    fails = Reliability(failing="replica", mtbf_hours=0.02, repair_hours=0.003)

    def made() -> Fed:
        cluster, _ = build_fleet(groups, reliability=fails, seed=5)
        assert cluster.command(PowerCap(300.0), 12.0) is None
        assert cluster.command(BatchCap(6), 24.0) is None
        return Fed(cluster, Stream(iter([block])))

    c, metrics = made(), Metrics()
    intervals = []
    while not c.idle:
        intervals.append(c.advance(c.now + 30.0))
        metrics.add(intervals[-1])
    summary = metrics.summary(c.cluster)
    assert summary["failures"]["requests_interrupted"] > 0
    assert summary["requests_completed"] == len(block)
    assert summary["decode_tokens"] == block.decode_tokens.sum()
    table = attribution.request_table(np.concatenate([i.finished for i in intervals]), c.cluster.unfinished())
    assert abs(attribution.residual(table, attribution.phases(intervals))) < 1e-9
    told = summary["tenant_shares"]
    assert sorted(map(int, told["tenants"])) == list(range(14))
    assert told["unseen"] == [99]
    assert told["tenants"]["1"]["weight"] == 2.0
    assert sum(one["service_share"] for one in told["tenants"].values()) == pytest.approx(1.0)
    least = int(block.prefill_tokens.sum() + OUTPUT.value * block.decode_tokens.sum())
    assert (
        sum(one["service_tokens"] for one in told["tenants"].values()) >= least
    )  # what was lost was service too
    for tenant, kinds in summary["tenants"].items():
        own = block[block.tenant == int(tenant)]
        assert kinds["interactive"]["decode_tokens"] == own.decode_tokens.sum()
        assert kinds["interactive"]["prefill_tokens"] == own.prefill_tokens.sum()

    broken, taken_up = made(), made()
    constant = digests({"all": [taken_up.cluster, taken_up.source]})
    first = [broken.advance(broken.now + 4.0) for _ in range(10)]
    restore(
        {"all": [taken_up.cluster, taken_up.source]}, keep({"all": [broken.cluster, broken.source]}, constant)
    )
    while not taken_up.idle:
        now = taken_up.now
        first.append(taken_up.cluster.advance(now + 11.0, taken_up.source.advance(now, now + 11.0)))
    again = requests(first)
    pd.testing.assert_frame_equal(requests(intervals)[again.columns], again, rtol=1e-12)


def test_a_fleet_in_which_only_some_share() -> None:
    """Each replica has its own rule, behind a router that looks at all of them."""
    groups = [SMALL, SMALL.model_copy(update={"tenant_shares": "*=1"})]
    made, _ = build_fleet(groups, router_name="least_outstanding")
    block = mixed(sent(0.05, 20.0, 0), sent(0.5, 20.0, 1))
    done = requests(finish(Fed(made, Stream(iter([block]))), 10.0))
    assert len(done) == len(block)
    assert {replica.shares is None for replica in made.replicas} == {True, False}


def test_the_command_tells_what_each_tenant_had(tmp_path: Path) -> None:
    trace = tmp_path / "trace.csv"
    rows = [f"{0.01 * k},{300},{40},{k % 2}" for k in range(300)]
    trace.write_text("arrived_at,prefill_tokens,decode_tokens,tenant\n" + "\n".join(rows) + "\n")
    common = (
        "--requests",
        trace,
        "--iteration-time",
        "roofline",
        "--batch-cap",
        4,
        "--out",
        tmp_path / "out",
    )
    ended = call_app(app(), *common, "--tenant-shares", "0=1,1=3,8=1")
    assert ended.code == 0, ended.err
    assert "tenant 1 (weight 3) 50.0 %; no request came from tenant 8" in ended.out
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["tenant_shares"]["tenants"]["1"]["service_tokens"] == 150 * (300 + 2 * 40)
    waited = [summary["tenants"][name]["interactive"]["ttft_s"]["p50"] for name in ("0", "1")]
    assert waited[1] < 0.7 * waited[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0=-1", "'0=-1': expected a weight of"),
        ("0=0", "'0=0': expected a weight of"),
        ("*=nan", "expected a weight of"),
        ("3=inf", "expected a weight of"),
        ("0=1_0", "expected a weight of"),
        ("0=1,,4=2", "'': expected TENANT=WEIGHT"),
        ("first=1", "a tenant's number or"),
        ("-1=2", "a tenant's number or"),
        ("7", "expected TENANT=WEIGHT"),
        ("7=1,7=2", "tenant 7 is named twice"),
        ("*=1,*=1", "is named twice"),
        (f"{2**31}=1", "expected a tenant's number, 0 to 2147483647"),
    ],
)
def test_what_is_no_share_is_told_in_one_line(text: str, message: str, tmp_path: Path) -> None:
    given = ("--rate", 1, "--num-requests", 1, "--lengths", "fixed:9:9", "--out", tmp_path / "out")
    ended = call_app(app(), *given, "--tenant-shares", text)
    assert ended.code == 2
    assert ended.err.count("\n") == 1
    assert ended.err.startswith("error: --tenant-shares: ")
    assert message in ended.err


@pytest.mark.parametrize("table", ["{first = 1}", "{0 = true}", "{0 = -2}", "3", "[1, 2]", '""'])
def test_so_is_one_in_a_fleet(table: str, tmp_path: Path) -> None:
    path = tmp_path / "fleet.toml"
    path.write_text(f"[[groups]]\ntenant_shares = {table}\n", encoding="utf-8")
    with pytest.raises(InputError, match="group 1, tenant_shares") as error:
        read_groups(path, Group())
    assert "\n" not in str(error.value)
