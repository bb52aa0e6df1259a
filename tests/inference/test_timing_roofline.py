"""The roofline against measured kernels and against what physics allows; choosing between the models."""

import numpy as np
import pytest

from simulators.errors import InputError
from simulators.inference.catalogue import gpu, gpu_names, model
from simulators.inference.catalogue.layout import Layout
from simulators.inference.timing import INTERPOLATE, resolve_kind, stage_tables
from simulators.inference.timing.measured import measured_tables
from simulators.inference.timing.roofline import roofline_tables
from simulators.inference.timing.seconds import stage_flops, stage_seconds
from simulators.inference.timing.work import experts_touched

BATCHES = [
    ([1024] * 8, []),
    ([4096] * 64, []),
    ([], [(1024, 0)]),
    ([], [(8192, 0)]),
    ([1024] * 32, [(512, 512)]),
]


@pytest.mark.parametrize(
    ("name", "card", "tp"),
    [
        ("meta-llama/Llama-3.1-8B", "a100", 1),
        ("Qwen/Qwen3-32B", "h100", 2),
        ("mistralai/Mixtral-8x7B-v0.1", "h100", 2),
    ],
)
def test_close_to_measured_kernels(name, card, tp):
    """Two of the three models took no part in the fit."""
    ours, theirs = (build(model(name), gpu(card), Layout(tp)) for build in (roofline_tables, measured_tables))
    errors = [abs(stage_seconds(ours, *batch) / stage_seconds(theirs, *batch) - 1) for batch in BATCHES]
    print(f"{name} on {card}: {np.round(errors, 3)}")
    assert np.median(errors) < 0.20
    assert max(errors) < 0.45


@pytest.mark.parametrize("card", gpu_names())
def test_never_faster_than_the_data_sheet(card):
    sheet, shape = gpu(card), model("microsoft/phi-2")
    tables = roofline_tables(shape, sheet)
    for decodes, prompts in BATCHES:
        seconds = stage_seconds(tables, decodes, prompts)
        flops = stage_flops(tables, decodes, prompts)
        pairs_counted_twice = sum(chunk**2 for chunk, _ in prompts) * tables.flops_per_pair / 2
        assert (flops - pairs_counted_twice) / seconds < sheet.peak_flops["bf16"]
        tokens = len(decodes) + sum(chunk for chunk, _ in prompts)
        read = tables.weight_bytes[tokens] + tables.kv_bytes_per_token * sum(decodes)
        assert read / seconds < sheet.memory_bandwidth


def test_tensor_and_pipeline_parallelism_pay_off_less_than_ideally():
    shape, sheet = model("meta-llama/Llama-3.1-70B"), gpu("h100")
    one, four = roofline_tables(shape, sheet), roofline_tables(shape, sheet, Layout(4))
    speedup = stage_seconds(one, [2048] * 32, []) / stage_seconds(four, [2048] * 32, [])
    assert 2.5 < speedup < 4.0
    staged = roofline_tables(shape, sheet, Layout(1, 4))
    np.testing.assert_allclose(staged.decode_s, one.decode_s / 4)
    assert four.comm_s[64] > 0
    assert one.comm_s[64] == 0


def test_experts_touched():
    shape = model("Qwen/Qwen3-30B-A3B")
    touched = experts_touched(shape, np.array([0.0, 1.0, 16.0, 10000.0]))
    assert touched[0] == 0
    assert touched[1] == pytest.approx(8)
    assert touched[3] == pytest.approx(128)
    rng = np.random.default_rng(1)
    drawn = [len({e for _ in range(16) for e in rng.choice(128, 8, replace=False)}) for _ in range(2000)]
    assert touched[2] == pytest.approx(np.mean(drawn), rel=0.01)
    tables = roofline_tables(shape, gpu("h100"))
    assert tables.weight_bytes[1] < 0.2 * tables.weight_bytes[-1] < 0.2 * 2 * shape.parameters


def test_windows_limit_what_is_read():
    windowed = roofline_tables(model("google/gemma-3-12b-it"), gpu("h100"))
    step = stage_seconds(windowed, [32000] * 64, []) - stage_seconds(windowed, [16000] * 64, [])
    all_layers = 64 * 16000 * 48 * 2 * 8 * 256 * 2 / 3350e9
    assert 0.1 * all_layers < step < 0.3 * all_layers


def test_auto_takes_measurements_where_there_are_some():
    shape = model("meta-llama/Llama-3.1-8B")
    kind, why = resolve_kind("auto", shape, gpu("a100"), 1)
    assert kind == "measured"
    assert "a100_sxm" in why
    kind, why = resolve_kind("auto", shape, gpu("a40"), 1)
    assert kind == "roofline"
    assert "a40" in why
    assert stage_tables("auto", shape, gpu("a40"), max_tokens=64, max_batch=4).mode == INTERPOLATE
    with pytest.raises(InputError, match="'guess' is unknown"):
        stage_tables("guess", shape, gpu("a40"))
    with pytest.raises(InputError, match="profile:DIR"):
        stage_tables("profile", shape, gpu("a40"))
