"""Clusters: however time is cut the requests come out the same; requests and joules add up in every interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.inference.batching.policies import POLICIES, limits_for
from simulators.inference.cluster import Cluster
from simulators.inference.interval import Interval
from simulators.inference.power.laws import mfu_law
from simulators.inference.replica import Replica
from simulators.inference.routing import CONTENT_BLIND, router
from simulators.inference.timing.tables import LOOKUP, StageTables
from simulators.quantities.requests import RequestBlock
from simulators.traffic.stream import Stream

from .runs import FLAT, Fed, Job, flat_tables, run_replica
from .test_equality import random_tables, workloads

LAW = mfu_law(100.0, 400.0)
TIMES = ("released_at", "scheduled_at", "prefill_completed_at", "completed_at")


def block(jobs: Sequence[Job], patience_s: float | None = None) -> RequestBlock:
    """Jobs as a workload's block; every other one may be held for `patience_s`."""
    arrived_at, prompts, outputs = (np.array(column) for column in zip(*jobs, strict=True))
    made = RequestBlock.of(arrived_at, prompts, outputs)
    if patience_s is not None:
        made.deferrable[::2] = True
        made.deadline[::2] = made.arrived_at[::2] + patience_s
    return made


def cluster(
    jobs: Sequence[Job],
    tables: StageTables | None = None,
    *,
    replicas: int = 1,
    router_name: str = "round_robin",
    scheduler: str = "vllm_v1",
    gpus: int = 1,
    law: Any = LAW,
    bins: int = 1,
    patience_s: float | None = None,
    seed: int = 3,
    **limits: Any,
) -> Fed:
    bounds = limits_for(scheduler, **{"total_blocks": 200, "batch_cap": 8, "max_model_len": 256} | limits)
    chosen = router(router_name, replicas, np.random.default_rng(seed))
    made = [Replica(bounds, tables or flat_tables(0.5), law, gpus) for _ in range(replicas)]
    workload = Stream(iter([block(jobs, patience_s)]))
    return Fed(Cluster(made, chosen, bins), workload)


def finish(c: Fed, step_s: float = 50.0, limit_s: float = 1e5) -> list[Interval]:
    """Advance until everything is done, with the run's own check at every interval."""
    intervals: list[Interval] = []
    while not c.idle:
        until = (intervals[-1].ends_at if intervals else 0.0) + step_s
        assert until < limit_s, "something waits for ever"
        intervals.append(c.advance(until))
    return intervals


def requests(intervals: Sequence[Interval]) -> pd.DataFrame:
    """All finished requests by number."""
    return pd.DataFrame(np.concatenate([i.finished for i in intervals])).set_index("request_id").sort_index()


def busy_jobs(seed: int, count: int = 120, rate_per_s: float = 1.0) -> list[Job]:
    """A stream that keeps a replica or two of `flat_tables(0.5)` busy, with pauses."""
    random = np.random.default_rng(seed)
    arrived_at = np.cumsum(random.exponential(1 / rate_per_s, count))
    lengths = random.integers(1, 30, (2, count))
    return list(zip(arrived_at.tolist(), lengths[0].tolist(), lengths[1].tolist(), strict=True))


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_any_cut_of_time_gives_the_same_requests(data):
    """Steps are how the rest of the site looks in; they must not touch what is served."""
    jobs = data.draw(workloads(grid=False))
    tables = random_tables(data.draw(st.integers(0, 99)), LOOKUP, grid=False)
    options: dict[str, Any] = {
        "replicas": data.draw(st.integers(1, 3)),
        "router_name": data.draw(st.sampled_from(CONTENT_BLIND)),
        "scheduler": data.draw(st.sampled_from(sorted(POLICIES))),
        "total_blocks": 40,
    }
    whole = finish(cluster(jobs, tables, **options), step_s=1e5, limit_s=1e7)
    cut = cluster(jobs, tables, **options)
    intervals, now = [], 0.0
    for length_s in data.draw(st.lists(st.sampled_from([0.013, 1.7, 30.0, 411.1]), max_size=30)):
        now += length_s
        intervals.append(cut.advance(now))
    while not cut.idle:
        now += 1e4
        intervals.append(cut.advance(now))
    ours, theirs = requests(intervals), requests(whole)
    assert list(ours.index) == list(theirs.index)
    assert list(ours.replica) == list(theirs.replica)
    for name in TIMES:  # a stretch of iterations that is cut in two adds up to the same but for rounding
        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-12, err_msg=name)
    np.testing.assert_allclose(ours.decode_j + ours.prefill_j, theirs.decode_j + theirs.prefill_j, rtol=1e-9)


@pytest.mark.parametrize("name", ["round_robin", "random"])
@pytest.mark.parametrize("scheduler", ["vllm", "sarathi"])
def test_replicas_are_alone_with_their_requests(name, scheduler):
    """A cluster under a stateless router is so many replicas, each fed its share by hand."""
    jobs = busy_jobs(1)
    together = requests(finish(cluster(jobs, replicas=3, router_name=name, scheduler=scheduler)))
    if name == "round_robin":
        expected = np.arange(len(jobs)) % 3
    else:
        expected = np.random.default_rng(3).integers(3, size=len(jobs))
    assert list(together.replica) == list(expected)
    for number in range(3):
        limits = limits_for(scheduler, total_blocks=200, batch_cap=8, max_model_len=256)
        mine = [job for job, to in zip(jobs, expected, strict=True) if to == number]
        alone = run_replica(Replica(limits, flat_tables(0.5), LAW, log=True), mine).requests
        for column in ("scheduled_at", "prefill_completed_at", "completed_at"):
            assert list(together[together.replica == number][column]) == list(alone[column])


def outstanding_before(done: pd.DataFrame, i: int, replicas: int) -> list[int]:
    """Earlier requests that are not finished when the i-th comes, by replica."""
    earlier = done.iloc[:i]
    open_ = earlier[earlier.completed_at > done.arrived_at.iloc[i]]
    return [int((open_.replica == k).sum()) for k in range(replicas)]


def test_least_outstanding_counts_those_that_run():
    """Every single choice, checked against the completions the run itself led to."""
    done = requests(finish(cluster(busy_jobs(2), replicas=3, router_name="least_outstanding")))
    chosen = [int(np.argmin(outstanding_before(done, i, 3))) for i in range(len(done))]
    assert list(done.replica) == chosen
    assert done.scheduled_at.eq(done.arrived_at).any()  # some ran at once, so running ones had to be counted


def test_power_of_two_compares_the_two_it_drew():
    done = requests(finish(cluster(busy_jobs(2), replicas=4, router_name="power_of_two", seed=8)))
    pairs = router("power_of_two", 4, np.random.default_rng(8)).candidates(len(done))
    for i, chosen in enumerate(done.replica):
        first, second = pairs[i]
        assert first != second
        load = outstanding_before(done, i, 4)
        assert chosen == (first if load[first] <= load[second] else second)


def test_seeds_of_routers_change_who_serves_only_where_there_is_a_choice():
    jobs = busy_jobs(4)
    a, b, again = (
        requests(finish(cluster(jobs, replicas=2, router_name="random", seed=seed))) for seed in (1, 2, 1)
    )
    pd.testing.assert_frame_equal(a, again)
    assert list(a.replica) != list(b.replica)


def test_requests_are_conserved_while_some_are_held():
    c = cluster(busy_jobs(5, count=300, rate_per_s=2.0), replicas=2, patience_s=70.0)
    totals = dict.fromkeys(("received", "completed", "rejected"), 0)
    most_held = 0
    intervals = []
    for number in range(40):
        c.release(number % 3 != 2, 0.5)
        interval = c.advance((number + 1) * 10.0)
        intervals.append(interval)
        for name in totals:
            totals[name] += getattr(interval, name)
        present = interval.running + interval.waiting + c.held
        assert c.arrived == totals["completed"] + totals["rejected"] + present
        most_held = max(most_held, c.held)
    assert c.idle
    assert totals == {"received": 300, "completed": 300, "rejected": 0}
    assert most_held > 10
    done = requests(intervals)
    held = done[done.released_at > done.arrived_at]
    assert set(held.deferrable) == {1}
    assert (done.released_at <= done.arrived_at + 70.0).all()
    assert (done.scheduled_at >= done.released_at).all()


@pytest.mark.parametrize("scheduler", sorted(POLICIES))
def test_what_cannot_run_is_counted_and_nothing_waits_for_ever(scheduler):
    """Prompts and totals around every bound: the token budget (32), the cache (10 blocks of 16), the longest length."""
    sizes = [1, 31, 32, 33, 63, 64, 65, 127, 128, 129, 143, 144, 145, 158, 159, 160, 161, 200]
    jobs = [(0.1 * k, p, d) for k, (p, d) in enumerate((p, d) for p in sizes for d in (1, 2, 15, 16, 17, 33))]
    c = cluster(
        jobs,
        scheduler=scheduler,
        total_blocks=10,
        max_batch_tokens=32,
        chunk_size=32,
        max_model_len=64,
        watermark=0.2,
    )
    intervals = finish(c)
    done = requests(intervals)
    assert len(done) + c.rejected == len(jobs)
    assert sum(i.rejected for i in intervals) == c.rejected > 0
    assert not done.completed_at.isna().any()
    total = done.prefill_tokens + done.decode_tokens
    assert total.max() <= 161  # the last token is handed out, not kept
    if scheduler == "vllm":
        assert done.prefill_tokens.max() == 32
    elif scheduler in ("vllm_v1", "sarathi"):
        assert done.prefill_tokens.max() > 32  # cut into chunks instead


@pytest.mark.parametrize("stages", [1, 2])
@pytest.mark.parametrize("scheduler", ["vllm", "vllm_v1", "sarathi"])
def test_joules_add_up(scheduler, stages):
    c = cluster(
        busy_jobs(6), replicas=2, router_name="random", scheduler=scheduler, gpus=2, bins=7, stages=stages
    )
    for interval in (intervals := finish(c, step_s=13.3)):
        span_s = interval.ends_at - interval.begins_at
        parts = (interval.prefill_j, interval.decode_j, interval.idle_j)
        np.testing.assert_allclose(interval.series[:, :3].mean(axis=0) * span_s, parts, rtol=1e-12, atol=1e-9)
        assert interval.series[:, 3].mean() == pytest.approx(interval.mfu, rel=1e-12, abs=0)
        assert interval.series[:, 4].mean() == pytest.approx(interval.mbu, rel=1e-12, abs=0)
        assert 0 <= interval.busy <= 1
        assert 0 <= interval.kv_use <= 1
        assert interval.idle_j >= 0
        assert interval.energy_j >= 100.0 * c.gpu_count * span_s * (1 - 1e-12)  # no GPU below its idle power
    meter_j = sum(i.energy_j for i in intervals)
    idle_j = sum(i.idle_j for i in intervals)
    done = requests(intervals)
    assert (done.prefill_j + done.decode_j).sum() + idle_j == pytest.approx(meter_j, rel=1e-12, abs=0)
    assert done.prefill_j.sum() == pytest.approx(sum(i.prefill_j for i in intervals), rel=1e-12)
    tokens = done.prefill_tokens.sum(), done.decode_tokens.sum()
    assert done.restarts.sum() == 0
    assert sum(i.prefill_tokens for i in intervals) == tokens[0]
    assert sum(i.decode_tokens for i in intervals) == tokens[1]


def test_mean_power_of_an_interval_by_hand():
    """Ten prompt tokens and three outputs from 2.5 s on, 1 s per iteration, 2 GPUs of 300 W busy and 100 W idle."""
    c = cluster([(2.5, 10, 3)], flat_tables(1.0), gpus=2, law=FLAT, bins=10)
    interval = c.advance(10.0)
    assert interval.prefill_j == pytest.approx(2 * 300 * 1.0)
    assert interval.decode_j == pytest.approx(2 * 300 * 2.0)
    assert interval.idle_j == pytest.approx(2 * 100 * 7.0)
    assert interval.busy == pytest.approx(0.3)
    watts = [200, 200, 400, 600, 600, 400, 200, 200, 200, 200]
    np.testing.assert_allclose(interval.series[:, :3].sum(axis=1), watts, rtol=1e-12)
    np.testing.assert_allclose(interval.series[2:6, 0], [300, 300, 0, 0], atol=1e-9)
    # 12 tokens of 1 FLOP each on GPUs of 1000 FLOP/s: a table's FLOPs are those of one GPU
    assert interval.mfu == pytest.approx(12 / (1000 * 10))
    assert interval.completed == 1
    assert (interval.prefill_tokens, interval.decode_tokens) == (10, 3)


def test_an_iteration_across_a_step_is_metered_on_both_sides():
    c = cluster([(2.5, 10, 3)], flat_tables(1.0), law=FLAT)
    first, second = c.advance(4.0), c.advance(10.0)
    assert (first.prefill_j, first.decode_j, first.idle_j) == pytest.approx((300.0, 150.0, 250.0))
    assert (second.prefill_j, second.decode_j, second.idle_j) == pytest.approx((0.0, 450.0, 450.0))
    assert (first.running, second.running) == (1, 0)


def test_the_stages_of_a_pipeline_idle_while_others_work():
    """Two stages of 1 s: each of the three iterations keeps one GPU busy for 1 s after the other."""
    c = cluster([(0.0, 10, 3)], flat_tables(1.0), law=FLAT, stages=2)
    interval = c.advance(10.0)
    assert interval.busy == pytest.approx(6 / 20)
    assert interval.energy_j == pytest.approx(6 * 300 + 14 * 100)
    assert interval.finished["completed_at"].tolist() == [6.0]


def test_an_idle_cluster_draws_its_idle_power():
    c = cluster([(99.0, 1, 1)], replicas=3, gpus=2, law=FLAT)
    interval = c.advance(60.0)
    assert interval.energy_j == pytest.approx(6 * 100 * 60)
    assert (interval.received, interval.busy, interval.mfu, len(interval.finished)) == (0, 0.0, 0.0, 0)


def test_replicas_of_two_kinds_side_by_side():
    """The GPUs of each replica count with their own idle power and peak."""
    limits = limits_for("vllm", total_blocks=200)
    pair = [Replica(limits, flat_tables(1.0), FLAT, 1), Replica(limits, flat_tables(2.0), LAW, 4)]
    workload = Stream(iter([block([(0.0, 5, 2), (0.0, 5, 2)])]))
    c = Fed(Cluster(pair, router("round_robin", 2, np.random.default_rng(0))), workload)
    interval = c.advance(10.0)
    assert interval.finished["completed_at"].tolist() == [2.0, 4.0]
    assert interval.idle_j == pytest.approx(100 * 8.0 + 4 * 100 * 6.0)
