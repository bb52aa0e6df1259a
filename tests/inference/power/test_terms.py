"""Units of work against hand-computed bytes and FLOP, and their prices against a plain sum."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.inference.catalogue import gpu, model
from simulators.inference.catalogue.sizes import model_of_size
from simulators.inference.power.terms import UNPACKED_ROWS, Amounts, Coefficients, amounts, joules
from simulators.inference.timing.sampling import RANDOM_SHARE

H100, B200 = gpu("h100"), gpu("b200")
MODELS = (
    "meta-llama/Llama-3.1-8B",
    "Qwen/Qwen3-30B-A3B",
    "Qwen/Qwen3-235B-A22B-FP8",
    "openai/gpt-oss-120b",
    "nvidia/NVIDIA-Nemotron-Nano-12B-v2",
    "deepseek-ai/DeepSeek-V3",
)


def work(name: str, sheet=H100, tp: int = 1, **how: object) -> Amounts:
    return amounts(model(name), sheet, tp, max_tokens=512, **how)


def test_a_dense_model_reads_its_weights_and_head_and_multiplies_them():
    found = work("meta-llama/Llama-3.1-8B")
    attention = 4096 * (2 * 32 * 128 + 2 * 8 * 128)
    layers = 32 * (attention + 3 * 4096 * 14336)
    assert found.weights == 2 * (layers + 128256 * 4096)  # the embedding is looked up, not read
    assert found.flop16_per_token == 2 * layers
    assert found.kv_per_token == 32 * 2 * 8 * 128 * 2
    assert found.flop16_per_pair == 32 * 2 * 2 * 32 * 128
    nothing = (found.kv_per_sequence, found.flop8_per_token, found.padded, found.logits_per_sequence)
    assert nothing == (0, 0, 0, 0)
    assert not found.experts.any()
    assert not found.unpacked.any()


def test_two_gpus_and_two_stages_share_the_work():
    one, split = work("meta-llama/Llama-3.1-8B"), work("meta-llama/Llama-3.1-8B", tp=2, pp=2)
    for name in ("weights", "kv_per_token", "flop16_per_token", "flop16_per_pair"):
        assert getattr(split, name) == pytest.approx(getattr(one, name) / 4)


def test_eight_bit_weights_multiply_in_eight_bit_where_the_gpu_can():
    wide = work("meta-llama/Llama-3.1-8B")
    narrow = work("meta-llama/Llama-3.1-8B", precision="fp8")
    assert narrow.weights == wide.weights / 2 + 128256 * 4096  # the head stays in 16 bit
    assert (narrow.flop8_per_token, narrow.flop16_per_token) == (wide.flop16_per_token, 0)
    assert narrow.flop16_per_pair == wide.flop16_per_pair  # attention stays in 16 bit
    on_a100 = work("meta-llama/Llama-3.1-8B", gpu("a100"), precision="fp8")
    assert (on_a100.flop8_per_token, on_a100.flop16_per_token) == (0, wide.flop16_per_token)
    assert work("meta-llama/Llama-3.1-8B", gpu("a100"), precision="int8").flop8_per_token > 0
    assert work("meta-llama/Llama-3.1-8B", kv_precision="fp8").kv_per_token == wide.kv_per_token / 2


def test_a_mixture_reads_the_experts_its_tokens_use():
    found = work("Qwen/Qwen3-30B-A3B", tp=2)
    expert = 3 * 2048 * 768 / 2 * 2  # B on one of two GPUs
    assert found.experts[0] == 0
    assert found.experts[1] == pytest.approx(48 * 8 * expert)
    assert found.experts[7] == pytest.approx(48 * 128 * (1 - (1 - 8 / 128) ** 7) * expert)
    assert found.experts[512] == pytest.approx(48 * 128 * expert)
    assert found.flop16_per_token == pytest.approx(2 * model("Qwen/Qwen3-30B-A3B").active_parameters / 2)
    assert (found.padded, found.unpacked.any()) == (0, False)


@pytest.mark.parametrize(
    ("name", "how", "pads"),
    [
        ("Qwen/Qwen3-235B-A22B-FP8", {"version": "0.11.1"}, True),
        ("Qwen/Qwen3-235B-A22B-FP8", {"version": "0.14.0"}, False),
        ("Qwen/Qwen3-235B-A22B-FP8", {}, False),  # the newest
        ("Qwen/Qwen3-235B-A22B-FP8", {"version": "0.5.2", "framework": "sglang"}, False),
        ("Qwen/Qwen3-235B-A22B", {"version": "0.11.1"}, False),  # bf16
        ("deepseek-ai/DeepSeek-V3", {"version": "0.11.1"}, False),  # kernels of its own
        ("meta-llama/Llama-4-Maverick-17B-128E-Instruct-FP8", {"version": "0.11.1"}, False),
        ("Qwen/Qwen3-32B-FP8", {"version": "0.11.1"}, False),  # no experts
    ],
)
def test_only_general_fp8_experts_of_old_servers_are_padded(name: str, how: dict[str, str], pads: bool):
    found = work(name, tp=4, **how)
    expected = 2 * 128 * 94 * 128 * (3 * 4096 * 1536) / 4  # 128 rows of every local expert
    assert found.padded == (pytest.approx(expected) if pads else 0)
    half = work(name, tp=8, **how)
    assert half.padded == pytest.approx(found.padded / 2)


def test_four_bit_experts_are_unpacked_where_there_are_no_four_bit_units():
    unpacked, native = work("openai/gpt-oss-120b"), work("openai/gpt-oss-120b", B200)
    expert = 3 * 2880 * 2880
    assert unpacked.unpacked[1] == pytest.approx(2 * UNPACKED_ROWS * 36 * 4 * expert)
    assert unpacked.unpacked[512] == pytest.approx(2 * UNPACKED_ROWS * 36 * 128 * expert, rel=1e-6)
    assert not native.unpacked.any()
    np.testing.assert_array_equal(unpacked.experts, native.experts)
    assert unpacked.flop16_per_token > 0


def test_a_hybrid_reads_and_writes_its_state_for_every_sequence():
    found = work("nvidia/NVIDIA-Nemotron-Nano-12B-v2")
    mamba, attention = 28, 6
    assert found.kv_per_sequence == 2 * 4 * mamba * 128 * 80 * 128  # 32 bit, there and back
    assert found.kv_per_token == attention * 2 * 8 * 128 * 2
    assert work("nvidia/NVIDIA-Nemotron-Nano-12B-v2", tp=2).kv_per_sequence == found.kv_per_sequence / 2


def test_logits_are_counted_as_they_are_sampled():
    every = {s: work("meta-llama/Llama-3.1-8B", sampling=s) for s in ("greedy", "random", "sorted")}
    counted = [found.logits_per_sequence for found in every.values()]
    assert counted == [0, RANDOM_SHARE * 128256, 128256]


price = st.floats(0.0, 1.0)
coefficients = st.builds(Coefficients, *[price] * len(Coefficients._fields))


@settings(max_examples=50, deadline=None)  # the first reads the catalogue
@given(coefficients, st.sampled_from(MODELS), st.integers(1, 512), st.integers(0, 64), st.integers(0, 9000))
def test_prices_times_units_is_a_plain_sum(c, name: str, tokens: int, sequences: int, cached: int):
    found = work(name, tp=8, version="0.11.1", sampling="sorted")
    each = joules(c, found)
    pairs = 3.5 * tokens * tokens
    total = each.per_tokens[tokens] + each.per_sequence * sequences
    total += each.per_pair * pairs + each.per_cached * cached
    units = {
        "weights": found.weights,
        "experts": found.experts[tokens],
        "kv": found.kv_per_token * cached + found.kv_per_sequence * sequences,
        "flop16": found.flop16_per_token * tokens + found.flop16_per_pair * pairs,
        "flop8": found.flop8_per_token * tokens,
        "padded": found.padded,
        "unpacked": found.unpacked[tokens],
        "logits": found.logits_per_sequence * sequences,
    }
    assert set(units) == set(Coefficients._fields) - {"active"}
    assert total == pytest.approx(sum(getattr(c, term) * count for term, count in units.items()))
    assert each.per_tokens[0] == 0
    assert (np.diff(each.per_tokens) >= 0).all()


@pytest.mark.parametrize(
    ("name", "parameters", "active"),
    [
        ("Qwen/Qwen3-30B-A3B", 30.5e9, 3.3e9),
        ("Qwen/Qwen3-235B-A22B", 235e9, 22e9),
        ("Qwen/Qwen3-Coder-480B-A35B-Instruct", 480e9, 35e9),
        ("openai/gpt-oss-120b", 117e9, 5.1e9),
        ("openai/gpt-oss-20b", 21e9, 3.6e9),
        ("deepseek-ai/DeepSeek-V3", 671e9, 37e9),
        ("MiniMaxAI/MiniMax-M2.5", 230e9, 10e9),
        ("zai-org/GLM-5", 744e9, 40e9),
        ("Qwen/Qwen3-8B", 8.2e9, 8.2e9),
        ("meta-llama/Llama-3.1-70B", 70.6e9, 70.6e9),
    ],
)
def test_a_model_known_by_size_only_comes_close_to_its_shape(name: str, parameters: float, active: float):
    shape, guess = model(name), model_of_size("someone/new", parameters, active)
    assert bool(guess.num_experts) == bool(shape.num_experts)
    known, guessed = (amounts(one, H100, 1, precision="bf16", max_tokens=512) for one in (shape, guess))
    for tokens in (1, 8, 64, 512):
        read = [found.weights + found.experts[tokens] for found in (known, guessed)]
        assert read[1] == pytest.approx(read[0], rel=0.12)
    assert guessed.flop16_per_token == pytest.approx(known.flop16_per_token, rel=0.06)


@settings(deadline=None)
@given(st.floats(3e9, 1e12), st.floats(0.03, 1.0))
def test_a_model_of_any_size_has_that_size(parameters: float, share: float):
    guess = model_of_size("someone/new", parameters, share * parameters)
    assert guess.parameters == pytest.approx(parameters, rel=0.1)
    assert bool(guess.num_experts) == (share < 0.8)
    assert 0 < guess.active_parameters <= guess.parameters
    assert amounts(guess, H100, 1, max_tokens=8).weights > 0
