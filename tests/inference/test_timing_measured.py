"""Tables sampled from measured kernels say what the kernels' own engine says."""

import numpy as np
import pytest

from simulators.errors import InputError
from simulators.inference.catalogue import gpu, model
from simulators.inference.catalogue.layout import Layout
from simulators.inference.timing.host import host_overhead_s
from simulators.inference.timing.kernels import kernels
from simulators.inference.timing.measured import geometric_grid, measured_tables, token_grid
from simulators.inference.timing.seconds import stage_seconds
from simulators.inference.timing.tables import INTERPOLATE
from simulators.inference.timing.unlisted import LAUNCH_S, unlisted_s

CASES = [
    ("meta-llama/Llama-3.1-8B", "a100", 1),
    ("Qwen/Qwen3-30B-A3B", "h100", 2),
    ("openai/gpt-oss-120b", "h100", 2),
]


@pytest.mark.parametrize(("name", "card", "tp"), CASES)
def test_tables_agree_with_the_engine(name, card, tp):
    """Decode, whole prompts and mixed steps at random sizes; the tables' error is printed.

    Small kernels the engine does not list are added to what it says.
    """
    shape, sheet = model(name), gpu(card)
    handle = kernels(shape, sheet, Layout(tp)).handle
    tables = measured_tables(shape, sheet, Layout(tp), max_context=16384)

    def unlisted(tokens):
        return float(unlisted_s(shape, sheet, tp, "vllm", np.array([float(tokens)]), 0.0)[0][0])

    rng = np.random.default_rng(3)
    errors = {"decode": [], "prefill": [], "mixed": []}
    for _ in range(60):
        batch, context = int(rng.integers(1, 257)), int(np.exp(rng.uniform(np.log(32), np.log(16000))))
        theirs = handle.decode_step_latency(batch, context - 1, 2) * 1e-3 + unlisted(batch)
        errors["decode"].append(stage_seconds(tables, [context] * batch, []) / theirs - 1)
        prompt = int(np.exp(rng.uniform(np.log(64), np.log(8192))))
        theirs = handle.predict_prefill_latency(1, prompt, 0) * 1e-3 + unlisted(prompt)
        errors["prefill"].append(stage_seconds(tables, [], [(prompt, 0)]) / theirs - 1)
        decodes = int(rng.integers(1, 128))
        theirs = handle.mixed_step_latency(prompt, decodes, prompt, 2) * 1e-3
        theirs += unlisted(prompt + decodes)
        errors["mixed"].append(stage_seconds(tables, [prompt] * decodes, [(prompt, 0)]) / theirs - 1)
    for kind, values in errors.items():
        median = float(np.median(np.abs(values)))
        print(f"{name} on {card}: {kind}: median error {median:.2%}, bias {np.mean(values):+.2%}")
        assert median < 0.02, kind


def test_parts_of_a_stage():
    shape, sheet = model("meta-llama/Llama-3.1-70B"), gpu("a100")
    one = measured_tables(shape, sheet, Layout(4), max_tokens=1024, max_batch=64, max_context=4096)
    two = measured_tables(shape, sheet, Layout(4, 2), max_tokens=1024, max_batch=64, max_context=4096)
    assert one.mode == INTERPOLATE
    assert one.token_s.shape == one.comm_s.shape == (1025,)
    assert one.sequence_s.shape == (65,)
    assert one.decode_s.shape == (65, len(one.decode_kv))
    assert (one.decode_s[0] == 0).all()
    assert (one.comm_s[1:] > 0).all()
    assert (one.comm_s[1:] < one.token_s[1:]).all()
    np.testing.assert_allclose(two.token_s, one.token_s / 2)
    np.testing.assert_allclose(two.sequence_s, one.sequence_s)  # the LM head is on the last stage only
    assert (two.send_s[1:] > 0).all()
    # decoding reads the weights: not faster than the memory allows
    floor = one.weight_bytes[1] / one.peak_bytes
    assert stage_seconds(one, [16], []) > 0.8 * floor
    # more context or a longer chunk never takes less time
    assert (np.diff(one.prefill_s, axis=1) >= 0).all()


def test_building_says_nothing(capfd):
    measured_tables(model("Qwen/Qwen3-8B"), gpu("h200"), max_tokens=256, max_batch=8, max_context=512)
    assert capfd.readouterr().out == ""


def test_a_model_nobody_shipped_is_written_out_for_the_engine():
    size = {"max_tokens": 512, "max_batch": 16, "max_context": 1024}
    shipped = measured_tables(model("meta-llama/Llama-3.1-8B"), gpu("a100"), **size)
    same_shape = measured_tables(model("meta-llama/Meta-Llama-3-8B"), gpu("a100"), **size)
    np.testing.assert_allclose(same_shape.token_s, shipped.token_s)
    np.testing.assert_allclose(same_shape.decode_s, shipped.decode_s)


@pytest.mark.parametrize(
    ("name", "card", "options", "message"),
    [
        ("microsoft/phi-2", "a100", {}, "MLPs without a gate, which.*roofline"),
        (
            "meta-llama/Llama-2-7b-hf",
            "a40",
            {},
            "no kernels were measured on a40; use --iteration-time roofline",
        ),
        ("google/gemma-3-12b-it", "h100", {}, "not assembled for.*roofline"),
        ("meta-llama/Llama-3.1-8B", "a100", {"precision": "fp8"}, "roofline"),
        ("meta-llama/Llama-3.1-8B", "a100", {"framework": "orca"}, "framework: 'orca' is unknown"),
    ],
)
def test_what_was_not_measured_is_an_input_error(name, card, options, message):
    with pytest.raises(InputError, match=message) as error:
        measured_tables(model(name), gpu(card), **options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"head_dim": 80}, "head_size: 80.*roofline"),
        ({"gated": False}, "MLPs without a gate"),
        ({"query_gate": True}, "attention with a gate"),
    ],
)
def test_a_shape_like_no_measured_one_is_an_input_error(change, message):
    other = model("meta-llama/Meta-Llama-3-8B").model_copy(update=change)
    with pytest.raises(InputError, match=message):
        measured_tables(other, gpu("a100"))


def test_grids_hold_their_ends():
    assert token_grid(8192)[[0, -1]].tolist() == [1, 8192]
    assert token_grid(100)[[0, -1]].tolist() == [1, 100]
    assert geometric_grid(1, 1.1).tolist() == [1, 2]
    grid = geometric_grid(4096, 1.2)
    assert grid[0] == 1
    assert grid[-1] == 4096
    assert (np.diff(grid) >= 1).all()


def test_precision_of_an_alias_reaches_the_kernels():
    """An FP8 checkpoint that differs from its bf16 twin by name only is faster, not the same."""
    size = {"max_tokens": 128, "max_batch": 16, "max_context": 1024}
    plain = measured_tables(model("Qwen/Qwen3-VL-30B-A3B-Instruct"), gpu("h100"), **size)
    smaller = measured_tables(model("Qwen/Qwen3-VL-30B-A3B-Instruct"), gpu("h100"), precision="fp8", **size)
    alias = model("Qwen/Qwen3-VL-30B-A3B-Instruct").model_copy(update={"precision": "fp8"})
    np.testing.assert_allclose(measured_tables(alias, gpu("h100"), **size).token_s, smaller.token_s)
    assert smaller.token_s[16] < 0.9 * plain.token_s[16]


def test_nested_quantisation_is_left_to_the_engine():
    shape = model("moonshotai/Kimi-K2.5")
    assert shape.precision == "int4"
    tables = measured_tables(shape, gpu("b200"), Layout(8), max_tokens=64, max_batch=8, max_context=1024)
    assert stage_seconds(tables, [512] * 4, []) > 2e-3


def test_block_scaled_weights_are_not_timed_with_the_host_s_launch():
    """230 B parameters, 10 B active, on four B200: a decode takes some milliseconds, not tens."""
    tables = measured_tables(
        model("MiniMaxAI/MiniMax-M2.5"), gpu("b200"), Layout(4), max_tokens=64, max_batch=8
    )
    assert 2e-3 < stage_seconds(tables, [1024] * 4, []) < 9e-3


def test_tables_of_the_smallest_size():
    shape, sheet = model("meta-llama/Llama-3.1-8B"), gpu("a100")
    small = measured_tables(shape, sheet, max_tokens=1, max_batch=1, max_context=1)
    large = measured_tables(shape, sheet, max_tokens=512, max_batch=32, max_context=4096)
    assert stage_seconds(small, [1], []) == pytest.approx(stage_seconds(large, [1], []))


SMALL = {"max_tokens": 1024, "max_batch": 64, "max_context": 1024}


@pytest.mark.parametrize("framework", ["vllm", "trtllm"])
def test_no_format_is_slower_than_a_wider_one_and_no_rows_than_more(framework):
    """TensorRT-LLM's NVFP4 products of few rows were measured at up to twice the time of FP8."""
    shape, sheet = model("meta-llama/Llama-3.1-70B"), gpu("b200")
    fp4, fp8 = (
        measured_tables(shape, sheet, Layout(8), precision=name, framework=framework, **SMALL).token_s[1:]
        for name in ("fp4", "fp8")
    )
    assert (fp4 <= fp8 * (1 + 1e-9)).all()
    assert (np.diff(fp4) >= -1e-12).all()
    assert (np.diff(fp8) >= -1e-12).all()


def test_experts_on_blackwell_are_the_fastest_of_the_three_tables():
    """vLLM's table of gpt-oss has no kernel with MXFP8 activations, which its servers run there."""
    shape = model("openai/gpt-oss-120b")
    vllm, sglang = (
        measured_tables(shape, gpu("b200"), Layout(), framework=name, **SMALL) for name in ("vllm", "sglang")
    )
    assert vllm.token_s[1024] == pytest.approx(sglang.token_s[1024], rel=0.1)


def test_experts_of_deepgemm_are_for_servers_that_run_it():
    """Thousands of tokens on experts of eight B200 take SGLang's FlashInfer three times as long as DeepGEMM, which
    TensorRT-LLM has, and SGLang behind DeepEP on ranks of two hosts."""
    shape, tokens = model("deepseek-ai/DeepSeek-R1"), 2048

    def experts_s(card: str, framework: str) -> float:
        layout = Layout(tp=1, ranks=8, experts=8)
        return kernels(shape, gpu(card), layout, "fp8", "fp8", framework).prompt_experts(tokens)

    assert experts_s("b200", "sglang") > 2.5 * experts_s("b200", "trtllm")
    assert experts_s("gb200", "sglang") == pytest.approx(experts_s("gb200", "trtllm"))


@pytest.mark.parametrize("card", ["b200", "h100"])
def test_experts_a_framework_has_no_measurements_of_are_borrowed(card):
    tables = measured_tables(model("openai/gpt-oss-120b"), gpu(card), Layout(4), framework="trtllm", **SMALL)
    own = measured_tables(model("openai/gpt-oss-120b"), gpu(card), Layout(4), framework="vllm", **SMALL)
    assert tables.token_s[8] == pytest.approx(own.token_s[8], rel=0.5)


def test_small_kernels_the_tables_leave_out():
    tokens, sheet = np.array([1.0, 8192.0]), gpu("h100")
    llama = unlisted_s(model("meta-llama/Llama-3.1-70B"), sheet, 8, "vllm", tokens, 1e-5)
    assert llama[0][0] == pytest.approx(80 * LAUNCH_S, rel=0.01)  # one rotation per layer
    assert llama[0][1] > 1.2 * llama[0][0]
    assert not llama[1].any()
    inside = unlisted_s(model("meta-llama/Llama-3.1-70B"), sheet, 8, "trtllm", tokens, 1e-5)
    assert not inside[0][0]
    normed = unlisted_s(model("Qwen/Qwen3-32B"), sheet, 8, "vllm", tokens, 1e-5)
    assert normed[0][0] == pytest.approx(64 * 3 * LAUNCH_S, rel=0.01)
    spread = unlisted_s(model("MiniMaxAI/MiniMax-M2.5"), sheet, 4, "vllm", tokens, 1e-5)
    assert spread[1] == pytest.approx(62e-5)  # its norm spans the heads of all GPUs
    assert not unlisted_s(model("deepseek-ai/DeepSeek-R1"), sheet, 8, "vllm", tokens, 1e-5)[0].any()


@pytest.mark.parametrize(
    ("framework", "version", "as_version"),
    [
        ("vllm", "0.11.1", "0.13.0"),
        ("vllm", "v0.14.0rc1", "0.19"),
        ("vllm", None, "1.2"),
        ("vllm", "nightly-5b8c30d", None),
        ("trtllm", "1.2.0rc6.post2", None),
    ],
)
def test_host_time_is_that_of_the_version(framework, version, as_version):
    assert host_overhead_s(framework, version) == host_overhead_s(framework, as_version)


def test_host_time_that_is_hidden_is_shorter():
    assert host_overhead_s("vllm", "0.14") < host_overhead_s("vllm", "0.13")
    with pytest.raises(
        InputError, match="framework: 'orca' is unknown, expected one of vllm, sglang, trtllm"
    ):
        host_overhead_s("orca")
