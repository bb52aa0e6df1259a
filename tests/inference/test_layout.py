"""Experts and attention spread over GPUs: weights and memory add up, time and energy follow, refusals are one line."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.errors import InputError
from simulators.inference.catalogue import gpu, kv_blocks, model
from simulators.inference.catalogue.layout import Layout, layout_of
from simulators.inference.catalogue.memory import kv_bytes_per_token_per_gpu, weight_bytes_per_gpu
from simulators.inference.power.terms import amounts
from simulators.inference.replica import NO_HASHES
from simulators.inference.serving import Serving, build_cluster, build_replicas
from simulators.inference.speculation import waiting_per_request
from simulators.inference.timing import stage_tables
from simulators.inference.timing.all_to_all import all_to_all_s, formula_s, is_measured, nodes_of
from simulators.inference.timing.imbalance import as_measured, busiest, by_chance, most
from simulators.inference.timing.sampling import sampling_s
from simulators.inference.timing.seconds import stage_seconds

from .runs import records

QWEN, DEEPSEEK, LLAMA = "Qwen/Qwen3-235B-A22B", "deepseek-ai/DeepSeek-R1", "meta-llama/Llama-3.1-8B"
SIZE = {"max_tokens": 2048, "max_batch": 64, "max_context": 1100}


def tables(name=QWEN, card="h100", kind="roofline", tp=8, **options):
    return stage_tables(kind, model(name), gpu(card), tp, **SIZE | options)


@given(
    name=st.sampled_from([QWEN, DEEPSEEK, "openai/gpt-oss-120b"]),
    tp=st.sampled_from([1, 2, 4, 8]),
    ranks=st.sampled_from([1, 2, 4, 8, 16]),
)
@settings(max_examples=25, deadline=None, derandomize=True)
def test_gpus_hold_the_model_and_do_its_work(name, tp, ranks):
    """Experts once, everything else once for each rank; FLOP of a token and bytes of its cache once."""
    shape, gpus = model(name), tp * ranks
    held = gpus * weight_bytes_per_gpu(shape, tp, 1, experts=shape.num_experts / ranks)
    whole, without = weight_bytes_per_gpu(shape, 1, 1), weight_bytes_per_gpu(shape, 1, 1, experts=0)
    assert held == pytest.approx(whole - without + ranks * without)
    one, many = amounts(shape, gpu("h100"), 1), amounts(shape, gpu("h100"), tp, ranks=ranks)
    for field in ("flop16_per_token", "flop8_per_token", "flop16_per_pair", "logits_per_sequence"):
        assert gpus * getattr(many, field) == pytest.approx(getattr(one, field))
    # a token's cache lies on one rank; with latent attention, or few heads, on each of its GPUs
    per_gpu = kv_bytes_per_token_per_gpu(shape, tp, 1)
    assert many.kv_per_token * ranks == pytest.approx(per_gpu)
    assert many.experts[64] * gpus == pytest.approx(one.experts[64])


def test_experts_lie_on_all_ranks_unless_told():
    assert layout_of(model(QWEN), 1, 1, 8) == Layout(1, 1, 8, 8)
    assert layout_of(model(QWEN), 8, 2) == Layout(8, 2, 1, 1)
    assert layout_of(model(QWEN), 4, 1, 2, 2) == Layout(4, 1, 2, 2)


def test_memory_left_for_the_cache():
    """Every rank has attention and shared weights of its own, and blocks for its own requests."""
    shape, sheet = model(DEEPSEEK), gpu("b200")
    for ranks in (1, 2, 4, 8):
        tp = 8 // ranks
        weights = weight_bytes_per_gpu(shape, tp, 1, experts=shape.num_experts / ranks)
        free = (0.9 * sheet.memory_bytes - weights) / (16 * kv_bytes_per_token_per_gpu(shape, tp, 1))
        assert kv_blocks(shape, sheet, tp, 1, ranks=ranks) == ranks * int(free)
    # latent attention: eight ranks hold eight times as many tokens, less what their weights take
    assert 4 < kv_blocks(shape, sheet, 1, 1, ranks=8) / kv_blocks(shape, sheet, 8, 1) < 8
    narrow, wide = (kv_blocks(shape, sheet, 1, 1, ranks=8, kv_precision=kv) for kv in ("fp8", "bf16"))
    assert narrow == pytest.approx(2 * wide, abs=8)


@pytest.mark.parametrize("rule", ["paged", "slots"])
def test_a_cache_in_8_bit_holds_twice_the_tokens(rule):
    narrow, wide = (
        kv_blocks(model(LLAMA), gpu("a100"), 1, 1, rule=rule, kv_precision=kv) for kv in ("fp8", "bf16")
    )
    assert narrow == pytest.approx(2 * wide, rel=0.02)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": LLAMA, "data_parallel": 2}, "--data-parallel 2: .* has no experts to share"),
        ({"model": LLAMA, "expert_parallel": 2, "tp": 2}, "--expert-parallel 2: .* has no experts"),
        (
            {"expert_parallel": 3, "tp": 4, "data_parallel": 2},
            r"--expert-parallel 3: expected a divisor of the 8 GPUs of a stage \(tp 4 x data-parallel 2\)",
        ),
        ({"tp": 1, "data_parallel": 3}, "--expert-parallel 3: expected a divisor of the 128 experts"),
        ({"tp": 8, "expert_imbalance": 1.5}, "--expert-imbalance 1.5: no GPU has experts of its own"),
        (
            {"tp": 8, "decode_context_parallel": 4},
            "--decode-context-parallel 4: expected a divisor of 2, the GPUs that hold the same KV heads",
        ),
        ({"model": LLAMA, "tp": 8, "decode_context_parallel": 2}, "expected a divisor of 1"),
        (
            {"data_parallel": 2, "kv_rule": "slots"},
            "--kv-rule slots: .* expected paged with --data-parallel 2",
        ),
        ({"tp": 3}, "tp: 3 does not divide the 64 attention heads"),
    ],
)
@pytest.mark.parametrize("kind", ["auto", "roofline"])
def test_an_impossible_layout_is_one_line(options, message, kind):
    with pytest.raises(InputError, match=message) as error:
        build_replicas(Serving(**{"model": QWEN, "gpu": "h100", "iteration_time": kind} | options))
    assert "\n" not in str(error.value)


def test_imbalance_by_chance_is_that_of_random_draws():
    rng = np.random.default_rng(7)
    shape = model(QWEN)
    for gpus, tokens in ((2, 4), (8, 4), (8, 64), (32, 64)):
        experts = [shape.num_experts // gpus] * gpus
        drawn = rng.multivariate_hypergeometric(experts, shape.experts_per_token, (300, tokens)).sum(axis=1)
        factor = (drawn.max(axis=1) * gpus / (tokens * shape.experts_per_token)).mean()
        assert by_chance(shape, gpus, np.array([float(tokens)]))[0] == pytest.approx(factor, rel=0.05)


@given(gpus=st.sampled_from([2, 4, 8, 16, 32]), taste=st.floats(1, 8), tokens=st.integers(1, 10**5))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_imbalance_is_bounded_and_fades(gpus, taste, tokens):
    shape, at = model(QWEN), np.array([float(tokens), 4.0 * tokens])
    now, later = busiest(shape, gpus, at, taste)
    assert 1 <= later <= now <= most(shape, gpus) <= gpus
    assert now >= min(taste, most(shape, gpus))
    assert (as_measured(shape, gpus, at) >= 1).all()
    assert np.array_equal(as_measured(shape, gpus, at), as_measured(shape, gpus, at, seed=0))
    assert by_chance(shape, 1, at).tolist() == [1, 1]


@pytest.mark.parametrize("card", ["h100", "b200", "gb200", "a100"])
def test_all_to_all_takes_longer_with_tokens_nodes_and_width(card):
    shape, sheet, tokens = model(DEEPSEEK), gpu(card), np.array([1.0, 32.0, 128.0, 4096.0, 65536.0, 3e5])
    times = all_to_all_s(sheet, shape, 8, "fp8", tokens)
    assert (np.diff(times) > 0).all()
    assert 20e-6 < times[0] < 100e-6
    narrower = all_to_all_s(sheet, model("Qwen/Qwen3-30B-A3B"), 8, "fp8", tokens)
    assert narrower[3] < times[3]
    assert all_to_all_s(sheet, shape, 1, "fp8", tokens).tolist() == [0] * 6
    if nodes_of(sheet, 32) > 1:
        assert (all_to_all_s(sheet, shape, 32, "fp8", tokens) > times).all() or card == "b200"
    # the formula, where it can be held against measurements
    assert is_measured(sheet, shape, 8) == (card != "a100")
    if card != "a100":
        ratio = formula_s(sheet, shape, 8, "fp8", tokens[:5]) / times[:5]
        print(card, "formula over measured", ratio.round(2))
        assert (ratio > 0.5).all()
        assert (ratio < 1.7).all()


@pytest.mark.parametrize(
    ("name", "card", "kind", "framework"),
    [
        (QWEN, "h100", "measured", "vllm"),
        (QWEN, "h100", "roofline", "vllm"),
        (DEEPSEEK, "b200", "roofline", "vllm"),
    ],
)
def test_time_of_layouts(name, card, kind, framework):
    """More work never takes less; a prompt alone on its rank takes longer than shared out; imbalance costs."""
    options = {"kind": kind, "framework": framework}
    spread = tables(name, card, tp=2, data_parallel=4, **options)
    uneven = tables(name, card, tp=2, data_parallel=4, imbalance=3.0, **options)
    split = tables(name, card, tp=2, data_parallel=4, expert_parallel=1, **options)
    for found in (spread, uneven, split):
        assert (np.diff(found.token_s[1:]) > -1e-9).all()
        assert (found.comm_s <= found.token_s + 1e-12).all()
        decode = [stage_seconds(found, [1000] * n, []) for n in (1, 4, 16, 64)]
        assert decode == sorted(decode)
        one, four, five = (stage_seconds(found, [], [(1000, 0)] * n) for n in (1, 4, 5))
        assert four / 4 < one < four < five
        whole, pieces = stage_seconds(found, [], [(2000, 0)]), stage_seconds(found, [], [(500, 0)] * 4)
        assert pieces < whole
    assert (uneven.token_s >= spread.token_s - 1e-12).all() or kind == "measured"
    assert (uneven.token_s > 1.05 * spread.token_s).any()
    # what the busiest GPU takes longer, the others wait: no work is added
    assert uneven.flops_per_token == spread.flops_per_token
    assert np.array_equal(uneven.weight_bytes, spread.weight_bytes)
    if kind == "roofline":
        np.testing.assert_allclose(uneven.comm_s - spread.comm_s, uneven.token_s - spread.token_s, atol=1e-12)


@pytest.mark.parametrize("kind", ["measured", "roofline"])
def test_each_rank_has_a_host_for_its_own_requests(kind):
    """Of 64 requests over 4 ranks a process prepares and hands out 16, all ranks at the same time."""
    options = {"kind": kind, "tp": 2, "data_parallel": 4, "overhead_s": (0.0, 0.0), "sampling": "greedy"}
    without, whole = tables(**options), tables(**options | {"overhead_s": (0.0, 1e-3)})
    longer_s = whole.sequence_s - without.sequence_s
    assert longer_s[[1, 4, 5, 64]] == pytest.approx([1e-3, 1e-3, 2e-3, 16e-3])
    drawn_s = tables(**options | {"sampling": "sorted"}).sequence_s - without.sequence_s
    assert drawn_s[[1, 64]] == pytest.approx(np.array([1, 16]) * sampling_s(model(QWEN).vocab, "sorted"))


def test_drafting_ranks_have_a_host_each_too():
    """What the host takes moves from tokens to requests, and no more than there is of it."""
    table = tables(tp=2, data_parallel=4, overhead_s=(0.0, 1e-3))
    moved = waiting_per_request(table, 1e-3, stages=1, ranks=4)
    np.testing.assert_allclose(moved.sequence_s, tables(tp=2, data_parallel=4, overhead_s=0.0).sequence_s)
    assert moved.decode_s[64, 5] - table.decode_s[64, 5] == pytest.approx(16e-3)


@pytest.mark.parametrize(("kind", "ranks"), [("h100", 16), ("gb200", 32)])
def test_ranks_beyond_a_node_send_tokens_to_the_gpus_of_their_experts_alone(kind, ranks):
    """DeepSeek-R1: within a node collectives, beyond it all-to-all, 58 layers of it; in a rack of NVLink, too."""
    sheet, shape = gpu(kind), model(DEEPSEEK)
    options = {"kind": "measured", "framework": "sglang", "tp": 1}
    found = tables(DEEPSEEK, kind, data_parallel=ranks, **options)
    sent_s = 58 * all_to_all_s(sheet, shape, ranks, shape.precision, np.array([4.0]))[0]
    waits_s = found.comm_s[4 * ranks] - sent_s
    assert 0 <= waits_s < 0.2 * found.token_s[4 * ranks]


@pytest.mark.parametrize("kind", ["measured", "roofline"])
def test_tokens_dealt_out_among_gpus_with_the_same_heads(kind):
    """Twice the cache, half of it read by each; pays for an exchange where contexts are long."""
    options = {"kind": kind, "max_tokens": 256, "max_batch": 32, "max_context": 40_000}
    whole, dealt = tables(**options), tables(context_parallel=2, **options)
    near, far = (
        stage_seconds(dealt, [n] * 32, []) / stage_seconds(whole, [n] * 32, []) for n in (100, 40_000)
    )
    assert 1 < near < 1.2
    assert 0.5 < far < 0.9
    assert dealt.kv_bytes_per_token == whole.kv_bytes_per_token / 2
    np.testing.assert_array_equal(dealt.token_s, whole.token_s)
    # a chunk without anything before it has nothing to gather
    assert stage_seconds(dealt, [], [(200, 0)]) == stage_seconds(whole, [], [(200, 0)])
    assert stage_seconds(dealt, [], [(200, 20_000)]) > stage_seconds(whole, [], [(200, 20_000)])
    shape, sheet = model(QWEN), gpu("h100")
    one, two = (kv_blocks(shape, sheet, 8, 1, context=n) for n in (1, 2))
    assert two == pytest.approx(2 * one, abs=1)
    assert amounts(shape, sheet, 8, context=2).kv_per_token == amounts(shape, sheet, 8).kv_per_token / 2
    with pytest.raises(InputError, match="--decode-context-parallel 2: profiles hold attention of whole"):
        tables(kind="profile", context_parallel=2, profile_dir="none")


def test_what_a_layout_rests_on_is_told():
    options = {"model": DEEPSEEK, "gpu": "b200", "precision": "fp4", "iteration_time": "roofline"}
    for extra in ({"tp": 8}, {"data_parallel": 8}, {"data_parallel": 8, "expert_imbalance": 2.0}):
        cluster, facts = build_cluster(Serving(**options, **extra))
        assert cluster.gpu_count == facts["gpus"] == 8
        assert bool(facts.get("layout")) == ("data_parallel" in extra)
        for entry in facts.get("layout", ()):
            assert entry["low"] <= entry["value"] <= entry["high"]


def test_power_of_waiting_is_idle():
    """The same batch with uneven experts takes longer, and draws less meanwhile."""

    def run(**extra):
        serving = Serving(
            model=QWEN,
            gpu="h100",
            tp=1,
            data_parallel=8,
            iteration_time="roofline",
            max_batch_tokens=32768,
            **extra,
        )
        (replica,), _ = build_replicas(serving)
        replica.enqueue(records([(0.0, 1000, 50)] * 8), 0, 8, NO_HASHES)
        bins = np.zeros((1, 5))
        replica.advance(1000.0, bins, 0.0, 1000.0)
        assert replica.outstanding == 0
        assert replica.state.counters[0].attributed_j == pytest.approx(bins[0, :2].sum())
        return bins[0]

    even, uneven = run(), run(expert_imbalance=4.0)
    assert uneven[2] > even[2]
    assert uneven[:2].sum() > even[:2].sum()  # for as long as they wait, GPUs idle
    assert uneven[:2].sum() / uneven[2] < even[:2].sum() / even[2]
    assert uneven[3] == pytest.approx(even[3])
