"""What a server adds to the kernels of its tables: host, sampling, padding of experts, exchange of tokens."""

from __future__ import annotations

import numpy as np
import pytest

from simulators.errors import InputError
from simulators.inference.catalogue import Model, gpu, model
from simulators.inference.catalogue.layout import Layout
from simulators.inference.timing import StageTables, host_seconds, stage_tables
from simulators.inference.timing.experts import EXCHANGE_S, PADDED_PEAK, beyond_tables_s
from simulators.inference.timing.host import host_overhead_s
from simulators.inference.timing.sampling import RANDOM_SHARE, SORTED_S_PER_LOGIT, sampling_s
from simulators.inference.timing.seconds import stage_seconds

QWEN, LLAMA = model("Qwen/Qwen3-235B-A22B-FP8"), model("meta-llama/Llama-3.1-8B")


def tables(shape: Model, tp: int = 1, pp: int = 1, **how: object) -> StageTables:
    size = {"max_tokens": 128, "max_batch": 16, "max_context": 512}
    return stage_tables("roofline", shape, gpu("h100"), tp, pp, **size, **how)


@pytest.mark.parametrize(
    ("sampling", "logits"), [("greedy", 0), ("random", RANDOM_SHARE * 128256), ("sorted", 128256)]
)
def test_sampling_takes_its_time_for_every_sequence(sampling: str, logits: float):
    plain, drawn = tables(LLAMA, overhead_s=0.0), tables(LLAMA, overhead_s=0.0, sampling=sampling)
    assert sampling_s(128256, sampling) == pytest.approx(SORTED_S_PER_LOGIT * logits)
    more = SORTED_S_PER_LOGIT * logits * np.arange(len(plain.sequence_s))
    np.testing.assert_allclose(drawn.sequence_s - plain.sequence_s, more, atol=1e-15)
    np.testing.assert_array_equal(drawn.token_s, plain.token_s)


def test_sampling_grows_with_the_vocabulary_as_measured():
    """ML.ENERGY v3 on H100, us per sequence: 55 (128 k logits), 51 (152 k), 107 (262 k), without sorting 34 (201 k)."""
    for vocab, sampling, us in (
        (128_256, "sorted", 55), (151_936, "sorted", 51), (262_208, "sorted", 107), (201_088, "random", 34),
    ):  # fmt: skip
        assert 1e6 * sampling_s(vocab, sampling) == pytest.approx(us, rel=0.25)


def test_the_host_is_added_once_per_iteration_and_per_sequence():
    plain, slow = tables(LLAMA, overhead_s=0.0), tables(LLAMA, overhead_s=(1e-3, 1e-4))
    difference = stage_seconds(slow, [5, 6], [(7, 0)]) - stage_seconds(plain, [5, 6], [(7, 0)])
    assert difference == pytest.approx(1e-3 + 3e-4)
    assert slow.token_s[0] == 0.0


@pytest.mark.parametrize(
    ("framework", "version", "expected"),
    [
        ("vllm", None, (2e-4, 1e-5)),
        ("vllm", "nightly", (2e-4, 1e-5)),
        ("vllm", "0.13.9", (8e-4, 3e-5)),
        ("vllm", "v0.14", (2e-4, 1e-5)),
        ("sglang", "0.5.1", (6e-4, 1.5e-5)),
        ("trtllm", None, (4e-4, 1e-5)),
    ],
)
def test_the_host_s_time_is_the_framework_s(
    framework: str, version: str | None, expected: tuple[float, float]
):
    assert host_overhead_s(framework, version) == expected
    assert host_seconds("roofline", framework, version, None) == expected
    made, plain = tables(LLAMA, framework=framework, version=version), tables(LLAMA, overhead_s=0.0)
    assert made.token_s[1] - plain.token_s[1] == pytest.approx(expected[0])
    assert made.sequence_s[4] - plain.sequence_s[4] == pytest.approx(4 * expected[1])


def test_profiles_hold_their_waiting_themselves():
    assert host_seconds("profile", "vllm", None, None) == (0.0, 0.0)
    assert (
        host_seconds("profile", "vllm", None, 1e-3)
        == host_seconds("measured", "vllm", None, 1e-3)
        == (1e-3, 0.0)
    )


def test_an_unknown_framework_is_named():
    with pytest.raises(
        InputError, match="framework: 'orca' is unknown, expected one of vllm, sglang, trtllm"
    ):
        host_overhead_s("orca")


def test_padding_of_experts_takes_the_time_of_its_products_in_old_servers():
    new, old = (tables(QWEN, 4, version=version, overhead_s=0.0) for version in (None, "0.11.1"))
    flops = 2 * 128 * 94 * 128 * (3 * 4096 * 1536) / 4
    seconds = flops / (PADDED_PEAK * gpu("h100").peak("fp8"))
    np.testing.assert_allclose((old.token_s - new.token_s)[1:], seconds)
    assert old.token_s[0] == 0.0
    np.testing.assert_array_equal(old.sequence_s, new.sequence_s)
    # ML.ENERGY v3 on four H100: 160 to 184 us a layer
    assert 155e-6 < seconds / 94 < 190e-6
    staged = tables(QWEN, 4, 2, version="0.11.1", overhead_s=0.0)
    staged_new = tables(QWEN, 4, 2, overhead_s=0.0)
    assert (staged.token_s - staged_new.token_s)[1] == pytest.approx(
        seconds / 4
    )  # half the layers, twice the GPUs


@pytest.mark.parametrize(("ranks", "shows"), [(1, False), (2, False), (4, True), (8, True)])
def test_experts_spread_whole_exchange_tokens_from_four_ranks_on(ranks: int, shows: bool):
    shape, layout = model("Qwen/Qwen3-235B-A22B"), Layout(8, experts=ranks)
    found = beyond_tables_s(shape, gpu("b200"), layout, "bf16", "vllm", "0.11.1")
    assert found == pytest.approx(94 * EXCHANGE_S if shows else 0.0)
    for framework, version in (("vllm", None), ("vllm", "0.14"), ("sglang", "0.5")):
        assert beyond_tables_s(shape, gpu("b200"), layout, "bf16", framework, version) == 0.0
    assert beyond_tables_s(LLAMA, gpu("b200"), layout, "bf16", "vllm", "0.11.1") == 0.0
