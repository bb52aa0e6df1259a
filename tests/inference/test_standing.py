"""Batches of which only what changes is looked at are those of which every member is."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.inference.batching.standing import REBUILT_AFTER, pop, sift_up
from simulators.inference.replica import Replica
from simulators.inference.serving import Serving, build_cluster

from .runs import Job, assert_same_requests, records, run_replica


@settings(max_examples=30)
@given(st.lists(st.integers(0, 2**40), max_size=30))
def test_a_heap_gives_its_entries_in_order(entries):
    heap = np.zeros(max(1, len(entries)), np.int64)
    for i, entry in enumerate(entries):
        heap[i] = entry
        sift_up(heap, i)
    assert [pop(heap, size) for size in range(len(entries), 0, -1)] == sorted(entries)


def busy(count: int, per_s: float) -> list[Job]:
    """Requests that keep a replica's batch large; some of one token, and many that end together."""
    random = np.random.default_rng(7)
    at = np.cumsum(random.exponential(1 / per_s, count))
    prompts, outputs = random.integers(1, 1500, count), random.choice([1, 2, 40, 200, 333], count)
    return [(float(t), int(p), int(d)) for t, p, d in zip(at, prompts, outputs, strict=True)]


@cache
def served(policy: str) -> Replica:
    cluster, _ = build_cluster(Serving(model="meta-llama/Llama-3.1-8B", gpu="a100", scheduler=policy))
    return cluster.replicas[0]


@pytest.mark.parametrize("policy", ["vllm", "vllm_v1", "sarathi"])
@pytest.mark.parametrize("blocks", [500, 29_000])
def test_a_full_replica_over_many_iterations(policy, blocks):
    """Through evictions, when members are looked at one by one for a while, and where the sums begin anew."""
    like, jobs = served(policy), busy(300, 12.0)
    limits = like.limits._replace(total_blocks=blocks, watermark=blocks // 100)
    walked, stood = (
        run_replica(Replica(limits, like.tables, like.law, log=log), jobs, step_s=97.0)
        for log in (True, False)
    )
    one, other = (run.replica.state.counters[0] for run in (walked, stood))
    assert one.latest == 0.0 != other.latest, "only who keeps a log looks at every member of every batch"
    assert one.batches > 2 * REBUILT_AFTER
    assert (one.evictions > 10) == (blocks == 500)
    for name in ("batches", "batch_sizes", "evictions", "prefill_tokens", "decode_tokens"):
        assert one[name] == other[name], name
    assert other.kv_block_s == pytest.approx(one.kv_block_s, rel=1e-9)
    np.testing.assert_allclose(stood.meter, walked.meter, rtol=1e-9)
    assert_same_requests(stood.requests, walked.requests)


def test_what_is_unfinished_is_told_up_to_date():
    """Energy and tokens of requests that a standing batch keeps as sums, in the middle of it."""
    like, jobs = served("vllm_v1"), busy(60, 20.0)
    replicas = [Replica(like.limits, like.tables, like.law, log=log) for log in (True, False)]
    told = [unfinished_at(replica, jobs, 4.0) for replica in replicas]
    for name in ("processed", "blocks", "prefilled", "restarts"):
        assert told[0][name].tolist() == told[1][name].tolist(), name
    for name in ("prefill_j", "decode_j"):
        np.testing.assert_allclose(told[1][name], told[0][name], rtol=1e-9, err_msg=name)


def unfinished_at(replica: Replica, jobs: list[Job], until: float) -> np.ndarray:
    """What is unfinished then, by request; with what is finished it carries what the meter says."""
    rows, bins = records(jobs), np.zeros((1, 5))
    replica.enqueue(rows, 0, len(rows))
    replica.advance(until, bins, 0.0, until)
    unfinished = replica.unfinished(until)
    replica.meter_in_flight(bins, 0.0, until)
    finished = replica.take_finished()
    carried = [rows["prefill_j"].sum() + rows["decode_j"].sum() for rows in (unfinished, finished)]
    assert sum(carried) == pytest.approx(bins[:, :2].sum(), rel=1e-12)
    return unfinished[np.argsort(unfinished["request_id"])]
