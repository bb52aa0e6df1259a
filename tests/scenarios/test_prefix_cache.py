"""A site whose replicas keep prefixes: what its summary says, and what it asks for."""

import json

import pytest

from scenarios import Study, simulate
from simulators.errors import InputError

STUDY = Study().changed(
    days=0.01,
    model="meta-llama/Meta-Llama-3-8B",
    gpu="a100",
    tp=1,
    replicas=1,
    prefix_cache="on",
    policy="none",
)


def test_a_trace_with_hashes_hits(tmp_path):
    trace = tmp_path / "turns.jsonl"
    turns = [
        {"timestamp": 20_000 * n, "input_length": 1100, "output_length": 8, "hash_ids": [1, 2, 100 + n]}
        for n in range(20)
    ]
    trace.write_text("".join(json.dumps(turn) + "\n" for turn in turns))
    found = simulate(STUDY.changed(trace=str(trace))).figures.inference
    cache = found.prefix_cache
    assert cache.prompt_blocks == 60
    assert cache.hit_blocks == 19 * 2  # all but the first turn find the two blocks they share
    assert cache.block_hit_ratio == pytest.approx(38 / 60)
    assert cache.hit_tokens == 19 * 1024
    off = simulate(STUDY.changed(trace=str(trace), prefix_cache="off")).figures.inference
    assert off.prefix_cache is None
    assert off.gpu_energy_j.prefill > 2 * found.gpu_energy_j.prefill


def test_without_hashes_it_would_find_nothing_and_says_so():
    with pytest.raises(InputError, match="--prefix-cache: nothing is known of what is in the requests"):
        simulate(STUDY.changed(rate=1.0))


def test_conversations_need_no_trace(tmp_path):
    talks = STUDY.changed(
        days=0.01, rate=1.0, lengths="fixed:100:50", session_turns=4.0, session_gap=30.0, replicas=2,
        router="session_sticky", deferrable_share=0.0, hash_tokens=64,
        kv_blocks=400, host_cache_gib=5.0,
    )  # fmt: skip
    result = simulate(talks)
    found = result.figures.inference
    assert found.requests_completed == pytest.approx(864, rel=0.25)
    assert found.prefix_cache.block_tokens == 64
    assert 0.5 < found.prefix_cache.token_hit_ratio < 1.0
    told = {entry.name: entry for entry in result.figures.assumptions}
    assert told["session_turns"].value == 4.0
    assert told["host_bytes_moved"].low < told["host_bytes_moved"].value
    cache = found.prefix_cache
    assert 0.1 < cache.host_block_hit_ratio < cache.block_hit_ratio
    assert cache.host_written_gib > 0
    assert cache.host_fetched_gib >= cache.host_hit_blocks * 64 * 2**17 / 2**30  # 128 KiB a token
    assert cache.host_j == pytest.approx(found.gpu_energy_j.transfer)
    assert told["system_prompt_tokens"].low < told["system_prompt_tokens"].value
    spread = simulate(talks.changed(router="round_robin")).figures.inference
    assert spread.requests_completed == found.requests_completed
    assert spread.prefix_cache.hit_tokens < found.prefix_cache.hit_tokens


def test_a_trace_with_a_damaged_row_says_which(tmp_path):
    trace = tmp_path / "turns.jsonl"
    rows = [
        {"timestamp": n, "input_length": 1100, "output_length": 8, "hash_ids": [1, 2, 3][: 3 - n // 2]}
        for n in range(3)
    ]
    trace.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(InputError, match=r"turns\.jsonl: row 3 .*: hash_ids is 2 numbers, expected 3"):
        simulate(STUDY.changed(trace=str(trace)))
