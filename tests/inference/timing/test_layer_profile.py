"""Profiles by layers are found, read and refused: one line for each fault, with file, row and column."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from simulators.errors import InputError
from simulators.inference.catalogue import gpu, model
from simulators.inference.timing import stage_tables
from simulators.inference.timing.layer_profile import is_layer_profile, read_layer_profile

from .layers import write_profile

LLAMA, SHEET = model("meta-llama/Llama-3.1-8B"), gpu("rtx-pro-6000")


def read(folder: Path, tp: int = 1):
    return stage_tables("profile", LLAMA, SHEET, tp, max_tokens=256, max_batch=16, profile_dir=folder)


@pytest.mark.parametrize("prefix", ["", "profile_"])
def test_files_are_found_with_and_without_a_prefix(tmp_path, prefix):
    assert is_layer_profile(write_profile(tmp_path, prefix))
    assert read(tmp_path).token_s[8] > 0


def test_sub_folders_are_degrees_of_tensor_parallelism(tmp_path):
    write_profile(tmp_path / "tp1")
    write_profile(tmp_path / "tp2")
    (tmp_path / "meta.yaml").write_text("tp_degrees: [1, 2]\nmodel: meta-llama/Llama-3.1-8B\n")
    assert read_layer_profile(tmp_path, LLAMA, SHEET, 2).tp == 2
    # two all-reduces per layer are not in the profile
    assert read(tmp_path, tp=2).comm_s[8] > 0
    assert read(tmp_path, tp=1).comm_s[8] == 0
    with pytest.raises(InputError, match="tp 4 was not profiled, found tp1, tp2"):
        read(tmp_path, tp=4)


@pytest.mark.parametrize(
    ("name", "meta", "tp"),
    [("tp2", "", 2), ("x", "tp_degrees: [4]\n", 4), ("x", "tp_degrees: [1, 2]\n", 1), ("x", "", 1)],
)
def test_files_without_a_sub_folder_have_one_degree(tmp_path, name, meta, tp):
    folder = write_profile(tmp_path / name, meta=meta)
    assert read_layer_profile(folder, LLAMA, SHEET, tp).tp == tp
    with pytest.raises(InputError, match=f"measured with tp {tp}, not {8}; expected a sub-folder tp8"):
        read(folder, tp=8)


def test_another_model_or_gpu_is_refused(tmp_path):
    write_profile(tmp_path, meta="model: Qwen/Qwen3-32B\ngpu: NVIDIA GeForce RTX 4090\n")
    with pytest.raises(InputError, match=r"measured with Qwen/Qwen3-32B \(num_layers 64\), not meta"):
        read(tmp_path)
    (tmp_path / "meta.yaml").write_text("model: my/own\ngpu: NVIDIA GeForce RTX 4090\n")
    with pytest.raises(InputError, match="measured on NVIDIA GeForce RTX 4090, not on NVIDIA RTX PRO 6000"):
        read(tmp_path)
    (tmp_path / "meta.yaml").write_text("model: my/own\ngpu: NVIDIA X1\n")
    assert read(tmp_path).token_s[8] > 0


@pytest.mark.parametrize("stem", ["dense", "per_sequence", "attention"])
def test_a_missing_file_is_named(tmp_path, stem):
    write_profile(tmp_path)
    (tmp_path / f"{stem}.csv").unlink()
    with pytest.raises(InputError, match=rf"{stem}\.csv is missing"):
        read(tmp_path)


def test_experts_need_their_file(tmp_path):
    write_profile(tmp_path)
    with pytest.raises(InputError, match=r"moe\.csv is missing"):
        stage_tables("profile", model("Qwen/Qwen3-30B-A3B"), SHEET, profile_dir=tmp_path)


@pytest.mark.parametrize(
    ("stem", "column"),
    [("dense", "tokens"), ("per_sequence", "layer"), ("attention", "kv_decode"), ("attention", "time_us")],
)
def test_a_missing_column_is_named(tmp_path, stem, column):
    path = write_profile(tmp_path) / f"{stem}.csv"
    pd.read_csv(path).drop(columns=column).to_csv(path, index=False)
    with pytest.raises(InputError, match=rf"{stem}\.csv: column '{column}' is missing"):
        read(tmp_path)


@pytest.mark.parametrize("stem", ["dense", "per_sequence", "attention"])
@pytest.mark.parametrize("value", ["-1", "", "inf", "fast"])
def test_a_time_that_is_none_is_named_with_its_row(tmp_path, stem, value):
    path = write_profile(tmp_path) / f"{stem}.csv"
    lines = path.read_text().splitlines()
    lines[3] = lines[3].rpartition(",")[0] + f",{value}"
    path.write_text("\n".join(lines))
    with pytest.raises(InputError, match=rf"{stem}\.csv: row 4, column time_us: .* expected a time") as error:
        read(tmp_path)
    assert "\n" not in str(error.value)


def test_a_count_is_whole(tmp_path):
    path = write_profile(tmp_path) / "dense.csv"
    path.write_text(path.read_text().replace("embedding,2,", "embedding,2.5,"))
    with pytest.raises(
        InputError, match=r"dense\.csv: row 3, column tokens: .*2\.5.* expected a whole number"
    ):
        read(tmp_path)


@pytest.mark.parametrize("stem", ["dense", "per_sequence", "attention"])
def test_a_row_that_stands_there_twice_is_named(tmp_path, stem):
    path = write_profile(tmp_path) / f"{stem}.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, lines[1]]))
    with pytest.raises(InputError, match=rf"{stem}\.csv: row {len(lines) + 1}, .* stands there twice"):
        read(tmp_path)


def test_an_empty_table_is_named(tmp_path):
    (write_profile(tmp_path) / "dense.csv").write_text("layer,tokens,time_us\n")
    with pytest.raises(InputError, match=r"dense\.csv: holds no row"):
        read(tmp_path)


def test_layers_are_neither_missing_nor_unknown(tmp_path):
    path = write_profile(tmp_path) / "dense.csv"
    whole = path.read_text()
    path.write_text(whole + "kv_a_proj,1,3.0\n")
    row = len(whole.splitlines()) + 1
    with pytest.raises(
        InputError, match=rf"dense\.csv, row {row}, column layer: 'kv_a_proj' given, expected one of"
    ):
        read(tmp_path)
    path.write_text("\n".join(line for line in whole.splitlines() if "o_proj" not in line))
    with pytest.raises(InputError, match=r"dense\.csv, column layer: no row of o_proj"):
        read(tmp_path)


def test_attention_needs_decodes_and_prompts_alone(tmp_path):
    path = write_profile(tmp_path) / "attention.csv"
    whole = pd.read_csv(path)
    whole[whole["prefill_chunk"] > 0].to_csv(path, index=False)
    with pytest.raises(InputError, match=r"attention\.csv, column kv_decode: 0 contexts"):
        read(tmp_path)
    whole[whole["n_decode"] > 0].to_csv(path, index=False)
    with pytest.raises(InputError, match=r"attention\.csv, column prefill_chunk: 0 values"):
        read(tmp_path)


def test_columns_of_later_versions(tmp_path):
    path = write_profile(tmp_path) / "attention.csv"
    before = read(tmp_path)
    whole = pd.read_csv(path).assign(layer="attention", decode_q_len=1)
    speculative = whole.assign(decode_q_len=4, time_us=99.0)
    pd.concat([whole, speculative]).to_csv(path, index=False)
    after = read(tmp_path)
    assert (after.decode_s == before.decode_s).all()
    whole.assign(layer="indexer").to_csv(path, index=False)
    with pytest.raises(InputError, match=r"attention\.csv: row 2, column layer: 'indexer' given"):
        read(tmp_path)


def test_models_with_other_attention_are_refused(tmp_path):
    write_profile(tmp_path)
    with pytest.raises(InputError, match="windowed attention, expected full attention"):
        stage_tables("profile", model("google/gemma-3-12b-it"), SHEET, profile_dir=tmp_path)
