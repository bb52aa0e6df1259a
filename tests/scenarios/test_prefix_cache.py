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
