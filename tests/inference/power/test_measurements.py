"""Layouts of measured runs, and what is said about a file that has none of them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from simulators.errors import InputError
from simulators.inference.catalogue import gpu
from simulators.inference.power.measurements import (
    GEMMA_IMAGE,
    LONGEST_OTHER,
    MLENERGY_VLLM,
    POINT,
    PROMPT_TOKENS,
    prompt_length,
    read_measurements,
)
from simulators.inference.power.points import Deployment, Load, prompt_tokens_per_s, rates

ML = {
    "model_id": "Qwen/Qwen3-8B", "task": "lm-arena-chat", "architecture": "Dense Transformer", "total_params_b": 8,
    "active_params_b": 8, "precision": "bfloat16", "gpu": "H100", "num_gpus": 1, "avg_batch_size": 8,
    "avg_output_len": 600, "output_tokens_per_s": 1000, "avg_power_w_per_gpu": 480,
}  # fmt: skip
GENERIC_HEADER = "gpu,model,tp,batch,context,tokens_per_s,power_w"
UTILISATION_HEADER = "gpu,model,mfu,mbu,comm,power_w"


def ml(path: Path, **change: object) -> Path:
    pd.DataFrame([ML | change]).to_csv(path, index=False)
    return path


def test_the_generic_layout(tmp_path):
    path = tmp_path / "m.csv"
    path.write_text(
        f"# measured by hand\n{GENERIC_HEADER},precision,sampling,version,prefill_tokens_per_s\n"
        "h100,meta-llama/Llama-3.1-8B,1,8,500,1000,486,,,,\n"
        "H100-SXM,Qwen/Qwen3-235B-A22B,8,16,500,400,400,fp8,sorted,0.11.1,800\n"
    )
    frame = read_measurements(path)
    assert tuple(frame.columns) == POINT
    one, two = frame.to_dict("records")
    assert (one["gpu"], one["architecture"], one["power_w"]) == ("h100", "dense", 486)
    plain = rates(Deployment("meta-llama/Llama-3.1-8B", "h100", 1), Load(8, 500, 1000))
    assert {term: one[term] for term in plain} == pytest.approx(plain)
    assert (two["gpu"], two["architecture"]) == ("h100", "MoE")
    deployment = Deployment("Qwen/Qwen3-235B-A22B", "h100", 8, 1, "fp8", "sorted", "0.11.1")
    fed = rates(deployment, Load(16, 500, 400, 2.0))
    assert {term: two[term] for term in fed} == pytest.approx(fed)
    assert two["padded"] > 0
    assert two["logits"] == pytest.approx(151936 * 400)


def test_a_version_is_no_number(tmp_path):
    """0.10 before 0.14 and after 0.9, also where every row has one that reads as a number."""
    path = tmp_path / "m.csv"
    row = "h100,Qwen/Qwen3-235B-A22B-FP8,8,16,500,400,400"
    path.write_text(f"{GENERIC_HEADER},version\n{row},0.10\n{row},0.14\n{row},\n")
    old, mended, newest = read_measurements(path)["padded"]
    assert old > 0
    assert mended == newest == 0


def test_the_layout_of_ml_energy(tmp_path):
    point = read_measurements(ml(tmp_path / "m.csv")).iloc[0]
    deployment = Deployment("Qwen/Qwen3-8B", "h100", 1, 1, "bf16", "sorted", MLENERGY_VLLM, 8e9, 8e9)
    load = Load(8, 100 + 300, 1000, 100 / 600)
    expected = rates(deployment, load)
    assert {term: point[term] for term in expected} == pytest.approx(expected)
    assert (point["architecture"], point["power_w"]) == ("dense", 480)
    greedy = read_measurements(
        ml(tmp_path / "g.csv", model_id="openai/gpt-oss-120b", precision="mxfp4")
    ).iloc[0]
    assert greedy["logits"] == pytest.approx(0.4 * 201088 * 1000)  # top-p 1: nothing is sorted
    assert greedy["unpacked"] > 0
    ranks = read_measurements(ml(tmp_path / "d.csv", dp=4, num_gpus=4)).iloc[0]
    assert ranks["weights"] == pytest.approx(point["weights"] / 4)


def test_the_layout_of_utilisation(tmp_path):
    path = tmp_path / "m.csv"
    path.write_text(f"{UTILISATION_HEADER}\nh100,someone/dense,0.1,0.5,0.2,400\n")
    point = read_measurements(path).iloc[0]
    assert point["weights"] == pytest.approx(0.5 * 3350e9)
    assert point["flop16"] == pytest.approx(0.1 * gpu("h100").peak("bf16"))
    assert point["active"] == pytest.approx(0.8)
    assert point[["experts", "kv", "flop8", "padded", "unpacked", "logits"]].sum() == 0


def test_prompts_are_known_or_taken_from_what_they_delay():
    deployment = Deployment("Qwen/Qwen3-8B", "h100", 1)
    for task, tokens in PROMPT_TOKENS.items():
        assert prompt_length(task, deployment, 8, 600, 1000, 7.0) == tokens
    # a mean of 8 ms between tokens, 1 ms above the median: prompts of the output's 100 tokens x 8 requests in between
    found = prompt_length("other", deployment, 8, 100, 1000, 7.0)
    assert found == pytest.approx(1e-3 * prompt_tokens_per_s(deployment) * 100 / 8)
    assert prompt_length("other", deployment, 8, 600, 1000, 9.0) == 0  # the median above the mean
    assert prompt_length("other", deployment, 8, 6000, 1000, 1.0) == LONGEST_OTHER
    assert prompt_length("other", deployment, 8, 600, 1000, None) == LONGEST_OTHER
    gemma = Deployment("google/gemma-3-12b-it", "h100", 1)
    assert prompt_length("image-chat", gemma, 8, 600, 1000, None) == GEMMA_IMAGE


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"output_tokens_per_s": "fast"}, "data row 1, output_tokens_per_s: 'fast'"),
        ({"avg_power_w_per_gpu": -3}, "data row 1, avg_power_w_per_gpu: '-3', expected a number > 0"),
        ({"avg_batch_size": 0}, "avg_batch_size"),
        ({"gpu": "H1000"}, "data row 1.*H1000"),
        ({"precision": "float3"}, "data row 1.*float3"),
        ({"dp": -1}, "data row 1, dp: '-1', expected a number >= 0"),
        ({"num_gpus": 3}, "data row 1: tp: 3 does not divide"),
    ],
)
def test_a_bad_value_is_named_with_file_row_and_column(tmp_path, change, message: str):
    path = ml(tmp_path / "bad.csv", **change)
    with pytest.raises(InputError, match=message) as caught:
        read_measurements(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "not a measurement file"),
        ("gpu,model,tp,batch,context,power_w\n", "the generic layout needs the column.s. tokens_per_s"),
        ("", "the file is empty"),
        (f"{UTILISATION_HEADER}\n", "no rows"),
        (
            f"{UTILISATION_HEADER}\nh100,m,0.1,0.5,2,300\n",
            "data row 1, comm: 2, expected a share within 0..1",
        ),
        (
            f"{GENERIC_HEADER}\nh100,nobody/nothing,1,8,500,900,400\n",
            "data row 1: model: 'nobody/nothing' is unknown",
        ),
        (
            f"{GENERIC_HEADER},sampling\nh100,Qwen/Qwen3-8B,1,8,500,900,400,beam\n",
            "sampling: 'beam', expected one",
        ),
        (
            f"{GENERIC_HEADER}\nh100,Qwen/Qwen3-8B,1,8,500,900,400\n,Qwen/Qwen3-8B,1,8,500,900,400\n",
            "data row",
        ),
    ],
)
def test_a_file_that_is_none_is_named_in_one_line(tmp_path, text: str, message: str):
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read_measurements(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_measurements(tmp_path / "none.csv")
