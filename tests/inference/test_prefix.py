"""The prefix cache: what is found, shared, overwritten, and what it spares."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.errors import InputError
from simulators.inference.batching.blocks import NO_KEY
from simulators.inference.batching.host import Fetching
from simulators.inference.batching.policies import limits_for
from simulators.inference.batching.prefix import cache_of
from simulators.inference.cluster import Cluster
from simulators.inference.replica import Replica
from simulators.inference.request_records import hashes_of, records_of
from simulators.inference.routing import router
from simulators.quantities.requests import RequestBlock
from simulators.traffic.traces import open_trace

from .random_cases import random_cases
from .runs import FLAT, Hashes, Job, Run, both, flat_tables, records
from .test_equality import GRID_S, cases, random_tables

FOUR = {"block_tokens": 4, "hash_tokens": 4}


def conversations(random: np.random.Generator, jobs: list[Job], unit: int) -> tuple[list[Job], Hashes]:
    """Jobs made turns of a few conversations on a few system prompts; now and then one repeats another word for word.

    The hashes of a turn go on over its output, which the next turn begins with; those of the last unit of a turn that
    is repeated cover less than a unit.
    """
    open_turns: list[list[int]] = []
    made: list[Job] = []
    hashes: list[tuple[int, ...]] = []
    tokens: list[int] = []
    fresh = 1000
    for at, prompt, output in jobs:
        draw = random.random()
        if made and draw < 0.15:
            known, covered, prompt = hashes[-1], tokens[-1], made[-1][1]
            output = max(output, covered - prompt)
        else:
            before = (
                list(open_turns[random.integers(len(open_turns))])
                if open_turns and draw < 0.7
                else list(range(random.integers(0, 5)))
            )
            total = min(max(prompt, len(before) * unit + 1), 110) + output
            prompt = total - output
            full = total // unit if random.random() < 0.5 else -(-prompt // unit)
            known = (*before, *range(fresh, fresh + full))[:full]
            fresh += full
            covered = min(full * unit, total) if full * unit <= total else prompt
            open_turns.append(list(known[: total // unit]))
        made.append((at, prompt, output))
        hashes.append(tuple(known))
        tokens.append(covered)
    return made, Hashes(hashes, tokens)


@pytest.mark.parametrize("mode", ["on", "unlimited"])
@random_cases(60)
@given(data=st.data())
def test_any_workload(mode: str, data: st.DataObject) -> None:
    """Times, energies, hits and blocks overwritten are those of the plain implementation."""
    case: dict[str, Any] = data.draw(cases("vllm_v1"))
    unit = case["block_tokens"] * data.draw(st.sampled_from([1, 1, 3]))
    random = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    case["jobs"], hashes = conversations(random, case["jobs"], unit)
    both(
        tables=random_tables(*case.pop("table_choice")),
        prefix_cache=mode,
        hash_tokens=unit,
        hashes=hashes,
        **case,
    )


def test_a_prefix_is_taken_over_but_for_its_last_token() -> None:
    """Blocks of four: of ten tokens two blocks are known; of eight the last token, so the last block, is computed."""
    jobs = [(0.0, 10, 1), (5.0, 10, 1), (10.0, 8, 1), (15.0, 10, 1)]
    hashes = Hashes([(7, 8, 9), (7, 8, 9), (7, 8), (7, 1, 9)], [10, 10, 8, 10])
    run, _ = both(
        jobs, flat_tables(), FLAT, "vllm_v1", total_blocks=40, prefix_cache="on", hashes=hashes, **FOUR
    )
    assert run.requests.cached_tokens.tolist() == [0, 8, 4, 4]  # a gap ends the chain: 9 is not found again
    assert run.iterations.prefill_tokens.tolist() == [10, 2, 4, 6]


def test_who_runs_at_once_shares_blocks_that_count_once() -> None:
    """Nine blocks of four: three prompts of four blocks fit only because three of each are the same."""
    jobs = [(0.0, 15, 3), (1.0, 15, 3), (1.0, 15, 3)]
    hashes = Hashes([(1, 2, 3, 4), (1, 2, 3, 5), (1, 2, 3, 6)], [15, 15, 15])
    run, _ = both(
        jobs, flat_tables(), FLAT, "vllm_v1", total_blocks=9, prefix_cache="on", hashes=hashes, **FOUR
    )
    assert run.requests.scheduled_at.tolist() == [0.0, 1.0, 1.0]
    assert run.iterations.kv_blocks_used.tolist()[:2] == [4, 3 + 3]


def test_the_least_recently_used_goes_first_and_the_end_of_a_prompt_before_its_start() -> None:
    """Six blocks: the third request overwrites 3, the fourth 5, though 4 came before it."""
    jobs = [(0.0, 12, 1), (5.0, 8, 1), (10.0, 8, 1), (15.0, 12, 1), (20.0, 9, 1)]
    hashes = Hashes([(1, 2, 3), (4, 5), (6, 7), (1, 2, 3), (4, 5, 9)], [12, 8, 8, 12, 9])
    run, _ = both(
        jobs, flat_tables(), FLAT, "vllm_v1", total_blocks=6, prefix_cache="on", hashes=hashes, **FOUR
    )
    assert run.requests.cached_tokens.tolist() == [0, 0, 0, 8, 4]


def test_who_is_evicted_finds_its_own_blocks_again() -> None:
    random = np.random.default_rng(1)
    jobs = [
        (float(t), int(p), int(d))
        for t, p, d in zip(range(40), *random.integers(1, 80, (2, 40)), strict=True)
    ]
    jobs, hashes = conversations(random, jobs, 16)
    for mode in ("on", "unlimited"):
        run, server = both(
            jobs, flat_tables(0.5, 0.01), FLAT, "vllm_v1", total_blocks=17, batch_cap=16, max_batch_tokens=160,
            prefix_cache=mode, hash_tokens=16, hashes=hashes, drive={"step_s": 10.0},
        )  # fmt: skip
        assert run.requests.restarts.sum() > 10
        assert (server.cache.overwritten > 100) == (mode == "on")
        assert (run.requests.hit_tokens > run.requests.cached_tokens)[run.requests.restarts > 0].any()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (
            {"scheduler": "sarathi", "prefix_cache": "on"},
            "--prefix-cache on: expected with --scheduler vllm_v1",
        ),
        (
            {"scheduler": "vllm_v1", "prefix_cache": "yes"},
            "--prefix-cache yes: unknown, expected one of off, on",
        ),
        ({"scheduler": "vllm_v1", "prefix_cache": "on", "block_tokens": 48}, "--block-tokens 48: .* divisor"),
    ],
)
def test_what_no_cache_can_do_is_told(options: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        limits_for(options.pop("scheduler"), total_blocks=100, **options)


# --- the tier in host memory -------------------------------------------------------------------------------------


def behind_host_memory(data: st.DataObject) -> dict[str, Any]:
    """A case of `both` in which blocks are overwritten and asked for again; on one data-parallel rank, but for time."""
    case: dict[str, Any] = data.draw(cases("vllm_v1"))
    unit = case["block_tokens"] * data.draw(st.sampled_from([1, 1, 3]))
    random = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    case["total_blocks"] = data.draw(st.integers(112, 240)) // case["block_tokens"]
    gaps = random.integers(0, data.draw(st.sampled_from([2, 40])), 40) * GRID_S
    lengths = random.integers(1, [[80], [20]], (2, 40))
    jobs = [(float(t), int(p), int(d)) for t, p, d in zip(np.cumsum(gaps), *lengths, strict=True)]
    case["jobs"], case["hashes"] = conversations(random, jobs, unit)
    case["fetching"] = Fetching(
        data.draw(st.sampled_from([0.0, 0.01, 0.5, 8.0])),
        data.draw(st.sampled_from([0.0, 0.125])),
        data.draw(st.sampled_from([1, 4])),
    )
    room = data.draw(st.sampled_from([0, 200, 800, 10**6, 10**6]))
    case["tables"] = random_tables(*case.pop("table_choice"))
    return case | {
        "prefix_cache": "on",
        "hash_tokens": unit,
        "host_blocks": max(1, room // case["block_tokens"]),
    }


@random_cases(60)
@given(data=st.data())
def test_host_memory_is_that_of_the_plain_implementation(data: st.DataObject) -> None:
    both(**behind_host_memory(data))


TURNS = [(0.0, 17, 1), (50.0, 17, 1), (100.0, 17, 1), (150.0, 17, 1)]
"""On six blocks of four, each overwrites what the one before the last left, but for its first block."""
OTHERS = Hashes([(1, 2, 3, 4, 5), (6, 7, 8, 9, 5), (1, 2, 3, 4, 5), (6, 7, 8, 9, 5)], [17] * 4)


def offloaded(host_blocks: int, fetching: Fetching = Fetching()) -> Run:  # noqa: B008
    run, _ = both(
        TURNS, flat_tables(), FLAT, "vllm_v1", total_blocks=6, prefix_cache="on", hashes=OTHERS,
        host_blocks=host_blocks, fetching=fetching, **FOUR,
    )  # fmt: skip
    return run


def test_a_batch_lasts_as_long_as_its_layers_wait_for_their_blocks() -> None:
    """Three blocks of 2 s beside 1 s of work on two layers, one after the other; GPUs that wait draw 100 W of 300."""
    run = offloaded(100, Fetching(block_s=2.0, latency_s=0.25, layers=2))
    assert run.requests.cached_tokens.tolist() == [0, 0, 16, 16]
    lasts = run.iterations.duration_s.tolist()
    assert lasts == [1.0, 1.0, *[pytest.approx(0.25 + 6.0 + 0.5)] * 2]
    watts = (300.0 * 1.0 + 100.0 * (lasts[2] - 1.0)) / lasts[2]
    assert run.iterations.power_w.tolist() == pytest.approx([300.0, 300.0, watts, watts])
    assert run.requests.prefill_j.tolist()[2] == pytest.approx(watts * lasts[2])
    hidden = offloaded(100, Fetching(block_s=0.1, latency_s=0.0, layers=2))
    assert hidden.iterations.duration_s.tolist()[2:] == [pytest.approx(1.0 + 0.3 / 2)] * 2


def test_host_memory_forgets_the_least_recently_used_and_the_end_of_a_prompt_first() -> None:
    """The first block of two prompts of four is still on the GPUs; of the others host memory has what fits."""
    assert offloaded(8).requests.cached_tokens.tolist() == [0, 0, 16, 16]
    assert offloaded(7).requests.cached_tokens.tolist() == [0, 0, 12, 12]
    assert offloaded(4).requests.cached_tokens.tolist() == [0, 0, 4, 4]
    assert offloaded(100).replica.counter("host_written") == 8  # each block once


def test_a_replica_whose_model_leaves_forgets_its_host_memory_too() -> None:
    replica = offloaded(100).replica
    replica.lose_memory()
    hashes = Hashes(OTHERS.of[3:], OTHERS.tokens[3:])
    replica.enqueue(records([(1000.0, 17, 1)], hashes), 0, 1, hashes.flat())
    replica.advance(2000.0, np.zeros((1, 5)), 0.0, 2000.0)
    assert replica.take_finished()["cached_tokens"].tolist() == [0]


# --- a recorded conversation trace -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def conversation() -> RequestBlock:
    """Mooncake's conversation trace, each answer one token: what is found depends on the prompts alone."""
    path = Path(__file__).resolve().parents[3] / "shared/data/traces/mooncake_conversation_trace.jsonl.gz"
    if not path.exists():
        pytest.skip("the trace is not here")
    block = open_trace(path, check=False).take(np.inf)
    return replace(block, decode_tokens=np.ones(len(block), np.int64))


def replayed(block: RequestBlock, mode: str, total_blocks: int, host_blocks: int = 0) -> Replica:
    limits = limits_for(
        "vllm_v1", total_blocks=total_blocks, max_batch_tokens=8192, block_tokens=512, prefix_cache=mode,
    )  # fmt: skip
    replica = Replica(limits, flat_tables(1e-3), FLAT, host_blocks=host_blocks)
    rows = records_of(block)
    taken = replica.enqueue(rows, 0, len(rows), hashes_of(block, rows, 512))
    assert taken == len(rows)
    replica.advance(1e5, np.zeros((1, 5)), 0.0, 1e5)
    assert replica.completed == taken
    return replica


@pytest.mark.shared
def test_a_recorded_trace_hits_as_often_as_counted_by_hand(conversation: RequestBlock) -> None:
    """36.6 % of the blocks with an unlimited cache; counted with a set, but for last blocks, which are not full."""
    seen: set[int] = set()
    blocks, hits, of_last = 0, 0, 0
    for hashes, prompt in zip(conversation.hash_ids, conversation.prefill_tokens.tolist(), strict=True):
        found = [h in seen for h in hashes.tolist()]
        blocks, hits = blocks + len(found), hits + sum(found)
        of_last += sum(found) - min(sum(found), (prompt - 1) // 512)
        seen.update(hashes.tolist())
    assert len(seen) == 182_790
    replica = replayed(conversation, "unlimited", 400)
    assert replica.counter("prompt_blocks") == blocks
    assert replica.counter("hit_blocks") == hits - of_last
    assert round(replica.counter("hit_blocks") / blocks, 3) == round(hits / blocks, 3) == 0.366
    known = cache_of(replica.state).keys
    full = {
        h for i, row in enumerate(conversation.hash_ids) for h in row[: conversation.prefill_tokens[i] // 512]
    }
    assert np.count_nonzero(known != NO_KEY) >= len(full) == len(np.unique(known[known != NO_KEY]))


@pytest.mark.shared
def test_hits_grow_with_the_capacity_up_to_the_bound(conversation: RequestBlock) -> None:
    bound = replayed(conversation, "unlimited", 400).counter("hit_blocks")
    hits = [
        replayed(conversation, "on", n).counter("hit_blocks") for n in (400, 2000, 10_000, 50_000, 200_000)
    ]
    assert hits == sorted(hits)
    assert 0 < hits[0] < 0.5 * bound
    assert hits[-1] == bound


@pytest.mark.shared
def test_host_memory_makes_a_small_cache_a_large_one(conversation: RequestBlock) -> None:
    """All of it with room for everything, whatever the GPUs keep; else no less than without, and more with more."""
    bound = replayed(conversation, "unlimited", 400).counter("hit_blocks")
    alone = replayed(conversation, "on", 400).counter("hit_blocks")
    found = [replayed(conversation, "on", 400, n) for n in (400, 10_000, 10**9)]
    hits = [replica.counter("hit_blocks") for replica in found]
    assert alone <= hits[0] < hits[1] < hits[2] == bound
    by_gpus = [r.counter("hit_blocks") - r.counter("host_hit_blocks") for r in found]
    assert all(0 < hit < bound for hit in by_gpus)
    c = found[-1].state.counters[0]
    assert c.host_used == c.host_written <= c.host_room < 10**6  # room comes with what is kept


# --- behind a router that looks at the replicas ------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["on", "unlimited"])
def test_a_router_that_looks_hands_the_hashes_over_too(mode: str) -> None:
    """Requests sent one by one to the only replica find what they find when they are handed over at once."""
    random = np.random.default_rng(11)
    arrivals = np.cumsum(random.exponential(0.4, 400))
    jobs = [
        (float(t), int(p), int(d))
        for t, p, d in zip(arrivals, *random.integers(1, 60, (2, 400)), strict=True)
    ]
    made, hashes = conversations(random, jobs, 4)
    at, prompts, outputs = (np.array(column) for column in zip(*made, strict=True))
    block = RequestBlock.of(at, prompts, outputs)
    ids = np.empty(len(made), object)
    ids[:] = [np.array(each, np.int64) for each in hashes.of]
    block = replace(block, hash_ids=ids, request_id=np.arange(len(made)))
    found = []
    for name in ("round_robin", "least_outstanding"):
        limits = limits_for("vllm_v1", total_blocks=60, prefix_cache=mode, **FOUR)
        cluster = Cluster(
            [Replica(limits, flat_tables(0.05), FLAT)], router(name, 1, np.random.default_rng(0))
        )
        rows = [cluster.advance(20.0 * (k + 1), part).finished for k, part in enumerate(parts(block, 20.0))]
        rows.append(cluster.advance(1e6, block[:0]).finished)
        found.append(np.concatenate(rows))
    assert len(found[0]) == 400
    assert found[0]["cached_tokens"].sum() > 0
    for name in ("request_id", "completed_at", "cached_tokens"):
        np.testing.assert_array_equal(found[0][name], found[1][name])


def parts(block: RequestBlock, step_s: float) -> list[RequestBlock]:
    edges = np.searchsorted(block.released_at, np.arange(0.0, block.released_at[-1] + step_s, step_s))
    return [block[first:last] for first, last in zip(edges, [*edges[1:], len(block)], strict=True)]
