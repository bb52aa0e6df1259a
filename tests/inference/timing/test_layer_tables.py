"""Tables from a profile by layers: its own values at its points, and what lies between and beside them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from simulators.errors import InputError
from simulators.inference.catalogue import gpu, kv_blocks, model, weight_bytes_per_gpu
from simulators.inference.catalogue.layout import Layout
from simulators.inference.serving import Serving, build_cluster
from simulators.inference.timing import stage_tables
from simulators.inference.timing.all_to_all import all_to_all_s
from simulators.inference.timing.collectives import collective_seconds
from simulators.inference.timing.imbalance import by_chance
from simulators.inference.timing.kernels import kernels
from simulators.inference.timing.layer_tables import KERNEL_GAP_S
from simulators.inference.timing.measured import _more
from simulators.inference.timing.seconds import stage_seconds
from simulators.inference.timing.work import experts_touched
from tests.conftest import spawn

from .layers import (
    CACHED,
    CHUNKS,
    CONTEXTS,
    DECODES,
    DENSE,
    MLP,
    PADDING_US,
    TOKENS,
    decode_us,
    dense_us,
    moe_us,
    prefill_us,
    sample_us,
    write_profile,
)

LLAMA, QWEN, SHEET = model("meta-llama/Llama-3.1-8B"), model("Qwen/Qwen3-30B-A3B"), gpu("rtx-pro-6000")
US = 1e-6


def layers_us(tokens: float, layers: int, mlp: bool = True) -> float:
    """All dense operators of an iteration; a layer has two norms."""
    once = dense_us("embedding", tokens) + dense_us("final_layernorm", tokens)
    names = [name for name in DENSE if name not in ("embedding", "final_layernorm")] + list(
        MLP if mlp else ()
    )
    return once + layers * (sum(dense_us(name, tokens) for name in names) + dense_us("layernorm", tokens))


@pytest.fixture
def tables(tmp_path):
    write_profile(tmp_path)
    return stage_tables(
        "profile", LLAMA, SHEET, max_tokens=256, max_batch=16, profile_dir=tmp_path, overhead_s=0.0
    )


def test_values_at_the_profiled_points(tables):
    for n in TOKENS:
        assert tables.token_s[n] == pytest.approx(layers_us(n, 32) * US)
    for n in DECODES:
        assert tables.sequence_s[n] == pytest.approx((sample_us("lm_head", n) + sample_us("sampler", n)) * US)
        for k, context in enumerate(CONTEXTS):
            assert tables.decode_s[n, k] == pytest.approx(32 * decode_us(n, context) * US)
    assert tables.decode_kv.tolist() == list(CONTEXTS)
    for i, chunk in enumerate(CHUNKS):
        for k, cached in enumerate(CACHED):
            assert tables.prefill_s[i, k] == pytest.approx(32 * prefill_us(chunk, cached) * US)


def test_straight_lines_between_them(tables):
    assert tables.token_s[100] == pytest.approx(layers_us(100, 32) * US)
    assert tables.decode_s[3, 1] == pytest.approx(32 * (decode_us(2, 64) + decode_us(4, 64)) / 2 * US)
    # a context between two, and one beyond the last
    for context in (160, 2048):
        alone = stage_seconds(tables, [context] * 4, []) - tables.token_s[4] - tables.sequence_s[4]
        assert alone == pytest.approx(32 * decode_us(4, context) * US)
    assert stage_seconds(tables, [], [(256, 0)]) > stage_seconds(tables, [], [(128, 0)])


@pytest.mark.parametrize(
    ("decodes", "context", "chunk", "cached"), [(4, 256, 64, 0), (8, 64, 128, 256), (1, 16, 16, 0)]
)
def test_decodes_beside_a_prompt(tables, decodes, context, chunk, cached):
    found = stage_seconds(tables, [context] * decodes, [(chunk, cached)])
    found -= tables.token_s[decodes + chunk] + tables.sequence_s[decodes + 1]
    measured = decode_us(decodes, context, mixed=True) + prefill_us(chunk, cached)
    measured += PADDING_US * decodes * (chunk - CHUNKS[0])
    assert found == pytest.approx(32 * measured * US, rel=0.01)


def test_gaps_between_kernels_unless_said_otherwise(tmp_path, tables):
    with_gaps = stage_tables("profile", LLAMA, SHEET, max_tokens=256, max_batch=16, profile_dir=tmp_path)
    # two norms, six products and element-wise operators, the cache's write and attention; four kernels once
    gaps_s = (32 * (2 + 6 + 2) + 4) * KERNEL_GAP_S
    assert with_gaps.token_s[8] - tables.token_s[8] == pytest.approx(gaps_s)
    given = stage_tables(
        "profile", LLAMA, SHEET, max_tokens=256, max_batch=16, profile_dir=tmp_path, overhead_s=(1e-3, 1e-5)
    )
    assert given.token_s[8] - tables.token_s[8] == pytest.approx(1e-3)
    assert given.sequence_s[8] - tables.sequence_s[8] == pytest.approx(8e-5)


def experts(folder, **options):
    return stage_tables(
        "profile", QWEN, SHEET, max_tokens=256, max_batch=16, profile_dir=folder, overhead_s=0.0, **options
    )


def test_experts_by_tokens_and_how_many_they_use(tmp_path):
    tables = experts(write_profile(tmp_path, experts=True))
    for n in (1, 16, 256):
        used = float(experts_touched(QWEN, np.array(float(n))))
        routed = 48 * moe_us(n, used)
        assert tables.token_s[n] == pytest.approx((layers_us(n, 48, mlp=False) + routed) * US)


def test_ranks_share_experts_requests_and_work(tmp_path):
    write_profile(tmp_path, experts=True)
    one, two = experts(tmp_path), experts(tmp_path, data_parallel=2)
    # 16 decodes: 8 on each rank, which sees half the experts and half of the pairs
    used = float(experts_touched(QWEN, np.array(16.0)))
    exchange_s = 48 * (
        collective_seconds(SHEET, "all_gather", 2, np.array([16 * 2.0 * (2048 + 128)]))[0]
        + collective_seconds(SHEET, "reduce_scatter", 2, np.array([16 * 2.0 * 2048]))[0]
    )
    # the busier rank sets the time, and the other waits for it
    load = float(by_chance(QWEN, 2, np.array(16.0)))
    busiest_us = moe_us(8 * load, float(experts_touched(QWEN, np.array(16 * load))) / 2)
    waits_s = 48 * (busiest_us - moe_us(8, used / 2)) * US
    kernels_us = layers_us(8, 48, mlp=False) + 48 * busiest_us
    assert waits_s > 0
    assert two.comm_s[16] == pytest.approx(exchange_s + waits_s)
    assert two.token_s[16] == pytest.approx(kernels_us * US + exchange_s)
    assert two.decode_s[16] == pytest.approx(one.decode_s[8])
    assert two.sequence_s[15] == pytest.approx(one.sequence_s[8])
    # a prompt is one rank's, of two each rank has one
    assert two.prefill_s[:, :-2] == pytest.approx(one.prefill_s)
    alone, both, apart = (
        stage_seconds(two, [], chunks) for chunks in ([(128, 0)], [(64, 0), (64, 0)], [(127, 0), (1, 0)])
    )
    on_one_s = layers_us(128, 48, mlp=False) * US + prefill_us(128, 0) * 48 * US
    rest_s = two.token_s[128] - layers_us(64, 48, mlp=False) * US + two.sequence_s[1]
    assert alone == pytest.approx(on_one_s + rest_s)
    assert both == pytest.approx(
        rest_s + layers_us(64, 48, mlp=False) * US + prefill_us(64, 0) * 48 * US, rel=1e-3
    )
    assert both < apart < alone
    assert two.flops_per_token == one.flops_per_token / 2
    assert two.kv_bytes_per_token == one.kv_bytes_per_token / 2
    assert one.weight_bytes[1] / 2 < two.weight_bytes[1] < one.weight_bytes[1]


def test_ranks_are_gpus_with_half_the_experts_each(tmp_path):
    write_profile(tmp_path, experts=True)
    options = {"model": "Qwen/Qwen3-30B-A3B", "gpu": "rtx-pro-6000", "iteration_time": f"profile:{tmp_path}"}
    cluster, facts = build_cluster(Serving(data_parallel=2, replicas=2, **options))
    assert cluster.gpu_count == facts["gpus"] == 4
    experts_bytes = weight_bytes_per_gpu(QWEN, 1, 1) - weight_bytes_per_gpu(QWEN, 1, 1, experts=0)
    spared = experts_bytes / 2 / (2 * 2 * 128 * 4 * 48 * 16)
    assert facts["kv_blocks"] == pytest.approx(2 * (kv_blocks(QWEN, SHEET, 1, 1) + spared), abs=2)
    with pytest.raises(InputError, match=r"--data-parallel 2: .* has no experts to share"):
        build_cluster(Serving(data_parallel=2, **options | {"model": "meta-llama/Llama-3.1-8B"}))


def test_exchange_without_measurements_is_the_links(tmp_path):
    sheet = gpu("rtx-4090")
    size = np.array([32e6])
    half = collective_seconds(sheet, "all_gather", 2, size)[0] - 10e-6
    assert half == pytest.approx(16e6 / sheet.link_bandwidth)
    assert collective_seconds(sheet, "all_reduce", 2, size)[0] - 10e-6 == pytest.approx(2 * half)
    assert collective_seconds(sheet, "all_reduce", 1, size)[0] == 0
    measured = collective_seconds(SHEET, "all_reduce", 2, np.array([1048576.0, 2.0**28, 2.0**30]))
    assert measured[0] == pytest.approx(72e-6, rel=0.01)
    assert measured[2] == pytest.approx(4 * measured[1])


def test_from_the_command_line(tmp_path):
    profile = write_profile(tmp_path / "profile" / "tp1").parent
    typed = (
        *("-m", "simulators.inference", "--model", "meta-llama/Llama-3.1-8B", "--gpu", "rtx-pro-6000"),
        *("--iteration-time", f"profile:{profile}", "--async-scheduling", "--out", tmp_path / "out"),
        *("--rate", 4, "--lengths", "fixed:100:20", "--num-requests", 40),
    )
    ended = spawn(*typed)
    assert ended.code == 0, ended.err
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["requests_completed"] == 40
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    read = [entry["file"].rsplit("/", 1)[-1] for entry in config["inputs"]]
    assert {"attention.csv", "dense.csv", "per_sequence.csv"} <= set(read)
    # paged, as a server has it: not the slots of Vidur's profiles
    assert config["facts"]["kv_blocks"] == kv_blocks(LLAMA, SHEET, 1, 1)
    (profile / "tp1" / "dense.csv").unlink()
    assert spawn(*typed).complaint.endswith("dense.csv is missing")


def test_a_small_all_reduce_over_nodes_takes_what_the_network_does():
    """Published: 99 us for 32 and 64 KiB, 108 us for 128 KiB, 321 us for 8 MiB on four nodes of eight B200."""
    size = np.array([2.0**15, 2.0**16, 2.0**17, 2.0**23])
    found = collective_seconds(gpu("b200"), "all_reduce", 32, size)
    np.testing.assert_allclose(found[:3], [99e-6, 99e-6, 108e-6], rtol=0.08)
    assert 150e-6 < found[3] < 321e-6
    # there and back over two doublings; a rack with one NVLink has no such hop
    assert collective_seconds(gpu("b200"), "all_reduce", 8, size)[0] == pytest.approx(
        found[0] - 72e-6, abs=1e-6
    )
    assert collective_seconds(gpu("b200"), "all_gather", 32, size)[0] < found[0] - 36e-6
    assert collective_seconds(gpu("gb200"), "all_reduce", 16, size)[0] < 40e-6


@pytest.mark.parametrize(("kind", "longer_us"), [("measured", 40), ("roofline", 25)])
def test_tensor_parallelism_over_nodes_pays_for_the_network(kind, longer_us):
    """Two small all-reduces per layer, 122, over two nodes: one request is decoded slower than on one."""
    shape = model("deepseek-ai/DeepSeek-R1")

    def seconds(gpus: int) -> float:
        tables = stage_tables(
            kind,
            shape,
            gpu("h100"),
            tp=gpus,
            precision="fp8",
            max_tokens=512,
            max_batch=4,
            max_context=2048,
            framework="trtllm",
            expert_parallel=gpus,
        )
        return stage_seconds(tables, [1024], [])

    assert seconds(16) > seconds(8) + 122 * longer_us * 1e-6


def test_ranks_over_nodes_pay_for_an_all_reduce_once():
    """Where tokens are sent to their experts, one exchange replaces what the engine counts, with the network's hops."""
    shape, sheet, layout = model("deepseek-ai/DeepSeek-R1"), gpu("h100"), Layout(tp=16, ranks=2, experts=32)
    found = kernels(shape, sheet, layout, "fp8", "fp8", "trtllm")
    longer_s, _ = _more(found, shape, sheet, layout, "fp8", None)(lambda tokens: 0.0, 1)
    reduced_s = collective_seconds(sheet, "all_reduce", 16, np.array([2.0 * shape.hidden]))[0]
    sent_s = all_to_all_s(sheet, shape, 32, "fp8", np.array([1 / 16]))[0]
    exchanged_s = shape.num_layers * reduced_s + shape.moe_layers * sent_s
    assert longer_s + found.prompt_tokens(1)[1] == pytest.approx(exchanged_s)
