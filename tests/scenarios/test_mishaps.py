"""What people hand over by mistake, to commands and in files: one line, and nothing read as something else."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from scenarios.grid_connection import ConnectionStudy, _starts
from scenarios.grid_fast import Modulation
from scenarios.new_study import write_study
from scenarios.sizes import parse_sizes
from scenarios.study import Study
from scenarios.sweep_grid import read_studies, variants
from simulators.errors import InputError
from simulators.grid.studies.fast_series import read_fast
from simulators.inference.catalogue.models import model
from simulators.options import Tree
from simulators.paths import DATA
from simulators.profiles.site import load_site
from simulators.traffic.traces import open_trace

LLAMA = {
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 4096, "intermediate_size": 14336,
    "num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 8, "vocab_size": 128256,
}  # fmt: skip


@pytest.mark.parametrize("given", ["", "  "])
def test_an_empty_value_is_not_the_default(given: str) -> None:
    tree = Tree(Study, None, ())
    with pytest.raises(InputError, match=r"--site: .* given, expected a value"):
        tree.checked(tree.place({"site": given}, "here: "))


@pytest.mark.parametrize("name", ["", "."])
def test_a_new_study_needs_a_name(name: str) -> None:
    with pytest.raises(InputError, match="expected a name of letters"):
        write_study(Path(name))


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", "pv_kw\n1_000\n", "--pv-kw: '1_000' given"),
        ("a.json", '[{"seed": 1, "seed": 2}]', "'seed' stands twice"),
        ("a.json", "[" * 100_000, "nested too deeply"),
        ("a.json", "[{", "expected a JSON list of tables"),
        ("a.csv", "pv_kw\x00\n1\n", "NUL"),
    ],
)
def test_studies_of_a_sweep_say_what_they_mean(name: str, text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        variants(Study(), (), path)
    assert said in str(caught.value)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes of POSIX")
def test_studies_are_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    for path in (tmp_path / "pipe.csv", tmp_path, Path("/dev/null")):
        with pytest.raises(InputError, match=r"is a (pipe|folder)"):
            read_studies(path)


def test_sizes_and_starts_are_read_before_anything_is_simulated() -> None:
    with pytest.raises(ValueError, match="expected numbers"):
        parse_sizes("0,1_000")
    for starts, said in {
        "2016-01-11,2016-13-11": "'2016-13-11' given",
        "2016-01-11,2016-01-11": "a date twice",
        "2016-01-11,": "dates with commas between",
    }.items():
        with pytest.raises(InputError, match=said):
            _starts(ConnectionStudy(starts=starts), Study())


def test_a_modulation_that_its_samples_cannot_show_is_refused() -> None:
    with pytest.raises(ValueError, match="fewer than two samples"):
        Modulation(period_s=1e-6)
    assert Modulation(period_s=0.02).made().p_mw.max() > 4.9


@pytest.mark.parametrize(
    ("header", "first", "said"),
    [
        ("timestamp,power_w", 1_700_000_000_000, "thousandths of a second"),
        ("time_s,power_mW", 0, "thousandths of a W"),
    ],
)
def test_fast_power_in_other_units_is_refused(header: str, first: int, said: str, tmp_path: Path) -> None:
    path = tmp_path / "power.csv"
    path.write_text("\n".join([header, *(f"{first + i * 100},3e6" for i in range(5))]))
    with pytest.raises(InputError, match=said):
        read_fast(path)


@pytest.mark.parametrize("first", [1_700_000_000, 1_700_000_000_000])
def test_a_trace_does_not_begin_in_1970(first: int, tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    path.write_text(f"arrived_at,prefill_tokens,decode_tokens\n{first},10,5\n{first + 1},10,5\n")
    with pytest.raises(InputError, match="counts from 1970"):
        open_trace(path)


@pytest.mark.parametrize(
    ("site", "old", "new", "said"),
    [
        ("california", "longitude = -117.4350", "longitude = 117.4350", "those in the west negative"),
        ("germany", "Europe/Berlin", "Berlin", "expected an IANA name such as Europe/Berlin"),
    ],
)
def test_a_site_is_where_its_clock_says(site: str, old: str, new: str, said: str, tmp_path: Path) -> None:
    text = (DATA / "sites" / f"{site}.toml").read_text()
    path = tmp_path / "mine.toml"
    path.write_text(text.replace(old, new))
    with pytest.raises(InputError, match=said):
        load_site(path)
    path.write_text(text.replace("America/Los_Angeles", "UTC"))  # labels in UTC are a choice
    assert load_site(path).timezone in ("UTC", "Europe/Berlin")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model_type": "t5", "is_encoder_decoder": True}, "decoder-only"),
        ({"model_type": "bert", "architectures": ["BertModel"]}, "decoder-only"),
        ({"model_type": "mamba"}, "decoder-only"),
        ({"architectures": ["LlamaForSequenceClassification"]}, "that of a decoder"),
        ({"quantization_config": {"quant_method": "quip"}}, "quantization_config is 'quip'"),
        ({"quantization_config": "awq"}, "expected a table"),
    ],
)
def test_what_is_no_decoder_or_unknown_weights_is_no_llama(
    changes: dict[str, Any], said: str, tmp_path: Path
) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(LLAMA | changes))
    with pytest.raises(InputError, match=said):
        model(path)


@pytest.mark.parametrize(
    ("entry", "precision"),
    [
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "int4"),
        ({"quant_method": "gptq", "bits": 8}, "int8"),
        ({"quant_method": "awq", "bits": 4}, "int4"),
        ({"quant_algo": "MIXED_PRECISION", "quantized_layers": {"a": {"quant_algo": "NVFP4"}}}, "fp4"),
    ],
)
def test_the_weights_of_a_checkpoint(entry: dict[str, Any], precision: str, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(LLAMA | {"quantization_config": entry}))
    assert model(path).precision == precision
