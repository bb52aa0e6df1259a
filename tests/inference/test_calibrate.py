"""Calibration: recovers known coefficients, keeps data sheets intact, names what is wrong with a file; and measure's
parts."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from simulators.errors import InputError
from simulators.inference import calibrate, measure
from simulators.inference.catalogue import gpu, model
from simulators.inference.power.fit import errors, family, fit, fit_class, laws, predict_w
from simulators.inference.power.law import busy_power_w
from simulators.inference.power.laws import law_for, utilisation_law
from simulators.inference.power.measurements import POINT, read_measurements
from simulators.inference.power.sheet import class_table, with_class_table
from simulators.inference.power.work import work_of

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT / ".." / "shared" / "data" / "gpu_power" / "mlenergy_v3_give.csv"
TRUTH = {"busy": 0.3, "memory": 0.4, "compute": 0.9, "waiting": 0.5}
UTILISATION_HEADER = "gpu,model,mfu,mbu,comm,power_w\n"


def synthetic(models: int = 4, rows: int = 12, noise: float = 0.0) -> pd.DataFrame:
    """Operating points that follow `TRUTH` on an H100."""
    rng = np.random.default_rng(11)
    law = utilisation_law(115.3, 700.0, **TRUTH)
    made = []
    for i in range(models):
        for _ in range(rows):
            mfu, mbu, comm = rng.uniform(0, 0.05), rng.uniform(0.05, 0.5), rng.uniform(0, 0.15)
            watts = busy_power_w(law, mfu, mbu, comm) * np.exp(noise * rng.standard_normal())
            made.append(("h100", f"maker/model-{i}", "dense", "dense", mfu, mbu, comm, 0.0, 1.0, watts))
    return pd.DataFrame(made, columns=list(POINT))


def write(path: Path, points: pd.DataFrame) -> Path:
    points[["gpu", "model", "mfu", "mbu", "comm", "power_w"]].to_csv(path, index=False)
    return path


def test_a_fit_finds_the_coefficients_data_were_made_with():
    shares = fit_class(synthetic(), "dense", 115.3, 700.0)
    assert shares == pytest.approx(TRUTH, abs=1e-3)


def test_leaving_models_out_sees_noise_and_not_more():
    found = fit(synthetic(noise=0.05), "h100", 115.3)
    row = errors(found.points).iloc[0]
    assert 2 < row["in_sample_%"] < 6
    assert row["in_sample_%"] < row["left_out_%"] < 8


def test_a_model_unlike_the_others_is_only_seen_when_it_is_left_out():
    points = synthetic()
    odd = points["model"] == "maker/model-3"
    points.loc[odd, "power_w"] *= 0.6
    out = fit(points, "h100", 115.3).points
    error = (out["left_out_w"] / out["power_w"] - 1).abs()
    assert error[odd.to_numpy()].mean() > 0.5
    assert error[~odd.to_numpy()].mean() < 0.2


def test_communication_on_one_gpu_leaves_its_term_at_zero():
    points = synthetic().assign(comm=0.0)
    assert fit_class(points, "dense", 115.3, 700.0)["waiting"] == 0.0


def test_waiting_for_the_host_draws_idle_power():
    points = synthetic(1, 3).assign(wait=0.5)
    law_of = laws({"dense": TRUTH}, 115.3, 700.0)
    busy = predict_w(points.assign(wait=0.0), law_of)
    assert predict_w(points, law_of) == pytest.approx(0.5 * busy + 0.5 * 115.3)


def test_variants_of_a_model_are_left_out_together():
    assert family("Qwen/Qwen3-235B-A22B-Instruct-2507-FP8") == family("Qwen/Qwen3-235B-A22B-Thinking-2507")
    assert family("Qwen/Qwen3-8B") != family("Qwen/Qwen3-32B")
    assert family("Qwen/Qwen3-30B-A3B-Instruct-2507") != family("Qwen/Qwen3-VL-30B-A3B-Instruct")


def test_operating_point_of_the_generic_layout(tmp_path):
    path = tmp_path / "m.csv"
    path.write_text(
        "# measured by hand\ngpu,model,tp,batch,context,tokens_per_s,power_w\n"
        "h100,meta-llama/Llama-3.1-8B,1,8,500,1000,486\nh100,meta-llama/Llama-3.1-8B,2,8,500,1000,300\n"
    )
    one, two = read_measurements(path).to_dict("records")
    shape, sheet = model("meta-llama/Llama-3.1-8B"), gpu("h100")
    iteration_s = 8 / 1000
    weights = 2 * (shape.active_parameters + shape.vocab * shape.hidden)
    cache = 8 * 500 * 131072  # 32 layers, 8 KV heads of 128, key and value, 2 bytes
    assert one["mbu"] == pytest.approx((weights + cache) / iteration_s / sheet.memory_bandwidth)
    flops = 1000 * (2 * shape.active_parameters + 4 * 32 * 32 * 128 * 500)
    assert one["mfu"] == pytest.approx(flops / sheet.peak("bf16"))
    assert one["comm"] == 0.0
    assert two["mbu"] == pytest.approx(one["mbu"] / 2)
    sent = 2 * 0.5 * 8 * 4096 * 2
    assert two["comm"] == pytest.approx(2 * 32 * (10e-6 + sent / sheet.link_bandwidth) / iteration_s)


def test_a_model_known_by_size_only_comes_close_to_its_shape():
    shape = work_of("Qwen/Qwen3-30B-A3B", "bf16")
    guess = work_of("someone/new", "bf16", (30.5e9, 3.3e9))
    assert guess.routed
    assert guess.kernel_class == "moe"
    for batch in (1, 8, 64, 512):
        assert guess.weight_bytes(batch) == pytest.approx(shape.weight_bytes(batch), rel=0.2)
    assert work_of("someone/new", "fp8", (235e9, 22e9)).kernel_class == "moe_fp8"
    with pytest.raises(InputError):
        work_of("someone/new")


ML = {
    "model_id": "Qwen/Qwen3-8B", "task": "lm-arena-chat", "architecture": "Dense Transformer", "total_params_b": 8,
    "active_params_b": 8, "precision": "bfloat16", "gpu": "H100", "num_gpus": 1, "avg_batch_size": 8,
    "avg_output_len": 600, "output_tokens_per_s": 1000, "avg_power_w_per_gpu": 480,
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"output_tokens_per_s": "fast"}, "data row 1, output_tokens_per_s: 'fast'"),
        ({"avg_power_w_per_gpu": -3}, "data row 1, avg_power_w_per_gpu"),
        ({"avg_batch_size": 0}, "avg_batch_size"),
        ({"gpu": "H1000"}, "data row 1.*H1000"),
        ({"precision": "float3"}, "data row 1.*float3"),
    ],
)
def test_a_bad_value_is_named_with_file_row_and_column(tmp_path, change, message: str):
    path = tmp_path / "bad.csv"
    pd.DataFrame([ML | change]).to_csv(path, index=False)
    with pytest.raises(InputError, match=message) as caught:
        read_measurements(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "not a measurement file"),
        ("", "cannot be read"),
        (UTILISATION_HEADER, "no rows"),
        (UTILISATION_HEADER + "h100,m,0.1,0.5,2,300\n", "comm"),
        ("gpu,model,mfu,mbu,comm,power_w,class\nh100,m,0.1,0.5,0,300,sparse\n", "class: 'sparse'"),
        (
            "gpu,model,tp,batch,context,tokens_per_s,power_w\nh100,nobody/nothing,1,8,500,900,400\n",
            "data row 1.*nothing",
        ),
        (UTILISATION_HEADER + "h100,m,0.1,0.5,0,300\n", "expected at least"),
        (UTILISATION_HEADER + 9 * "h100,m,0.1,0.5,0,3000\n", "above the 700 W limit"),
        (UTILISATION_HEADER + 9 * "a100,m,0.1,0.5,0,300\n", "no rows of h100"),
    ],
)
def test_the_command_ends_with_one_line_and_code_2(tmp_path, text: str, message: str):
    path = tmp_path / "bad.csv"
    path.write_text(text)
    run = CliRunner().invoke(
        calibrate.app, ["--measurements", str(path), "--gpu", "h100", "--plot", str(tmp_path / "p.png")]
    )
    assert run.exit_code == 2
    lines = run.stderr.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert re.search(message, lines[0])


def test_the_command_writes_only_the_fitted_table(tmp_path):
    sheet = tmp_path / "h100.toml"
    before = (ROOT / "data" / "gpus" / "h100.toml").read_text()
    sheet.write_text(before)
    file = write(tmp_path / "m.csv", synthetic())
    arguments = [
        "--measurements",
        str(file),
        "--gpu",
        "h100",
        "--out",
        str(sheet),
        "--plot",
        str(tmp_path / "p.png"),
    ]
    run = CliRunner().invoke(calibrate.app, arguments)
    assert run.exit_code == 0, run.stderr
    after = sheet.read_text()
    dense = tomllib.loads(after)["power"]["utilisation"]["dense"]
    assert dense == pytest.approx(TRUTH, abs=2e-3)
    start = before.index("[power.utilisation.dense]")
    end = before.index("[power.utilisation.moe]")
    assert after.startswith(before[:start])
    assert after.endswith(before[end:])
    assert (tmp_path / "p.png").stat().st_size > 5000
    again = CliRunner().invoke(calibrate.app, arguments)
    assert again.exit_code == 0
    assert sheet.read_text() == after


def test_a_table_is_added_where_there_is_none():
    text = "tdp_w = 700 # W\n"
    table = class_table("moe", {"busy": 0.1, "memory": 0.2, "compute": 0.3, "waiting": 0.0}, ["by hand"])
    added = with_class_table(text, "moe", table)
    assert added.startswith(text)
    assert tomllib.loads(added)["power"]["utilisation"]["moe"]["compute"] == 0.3
    assert with_class_table(added, "moe", table) == added


def test_out_must_be_a_data_sheet(tmp_path):
    file = write(tmp_path / "m.csv", synthetic())
    run = CliRunner().invoke(
        calibrate.app, ["--measurements", str(file), "--gpu", "h100", "--out", str(tmp_path / "none.toml")]
    )
    assert run.exit_code == 2
    assert "none.toml" in run.stderr


@pytest.mark.shared
def test_shipped_coefficients_are_those_the_tool_finds():
    if not SHARED.exists():
        pytest.skip("reference data absent")
    points = read_measurements(SHARED, calibrate.vision_waits())
    for name in ("h100", "b200"):
        sheet = gpu(name)
        for group, rows in points[points["gpu"] == name].groupby("kernel_class"):
            shipped = sheet.power["utilisation"][group]
            found = fit_class(rows, str(group), sheet.power["states"]["loaded_idle"]["power_w"], sheet.tdp_w)
            assert shipped == pytest.approx(found, abs=6e-5)


@pytest.mark.shared
def test_the_calibrated_law_meets_its_goals_on_models_it_has_not_seen():
    if not SHARED.exists():
        pytest.skip("reference data absent")
    for name, dense, mixture in (("h100", 8.0, 12.0), ("b200", 8.0, 12.0)):
        found = calibrate.calibrate(SHARED, gpu(name))
        left_out = errors(found.points).set_index("architecture")["left_out_%"]
        assert left_out["dense"] <= dense
        assert left_out["MoE"] <= mixture
        published = predict_w(found.points, lambda gpu_name, _: law_for(gpu(gpu_name), "mfu"))
        assert np.mean(np.abs(published / found.points["power_w"] - 1)) > 0.5


def test_measure_explains_itself_where_it_cannot_run(tmp_path):
    run = subprocess.run(
        [sys.executable, "-m", "simulators.inference.measure", "--out", str(tmp_path / "m.csv")],
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    if run.returncode == 0:
        pytest.skip("this machine has an NVIDIA GPU")
    assert run.returncode == 2
    assert run.stderr.startswith("error: measure needs")
    assert len(run.stderr.strip().splitlines()) == 1


def test_measure_keeps_to_what_fits():
    shape, sheet = model("meta-llama/Meta-Llama-3-8B"), gpu("h100")
    pairs = measure.grid(shape, sheet, [1, 64, 256], [1024, 16384])
    assert (64, 1024) in pairs
    assert (256, 16384) not in pairs
    with pytest.raises(InputError, match="does not fit"):
        measure.grid(model("meta-llama/Meta-Llama-3-70B"), sheet, [1], [256])
    with pytest.raises(InputError, match="choose a dense one"):
        measure.grid(model("Qwen/Qwen3-30B-A3B"), sheet, [1], [256])
    assert measure.whole_numbers("8,1,8", "--batches") == [1, 8]
    for bad in ("", "0,1", "a", "1.5"):
        with pytest.raises(InputError, match="--batches"):
            measure.whole_numbers(bad, "--batches")


def test_what_measure_writes_calibrate_reads(tmp_path):
    ramp = [measure.Sample(0.1 * i, 50.0 if i < 20 else 300.0, 1980, 2619, 40) for i in range(60)]
    means = measure.summary(ramp)
    assert means["power_w"] == pytest.approx(300.0)
    assert means["samples"] == 40
    with pytest.raises(InputError, match="measure longer"):
        measure.summary(ramp[:5])
    stamp = {
        "gpu": "h100",
        "model": "meta-llama/Llama-3.2-3B",
        "precision": "bf16",
        "tp": 1,
        "driver": "580.1",
        "date": "2026-01-01",
    }
    path = tmp_path / "m.csv"
    measure.write_rows(path, [stamp | {"batch": 4, "context": 1024, "tokens_per_s": 700.0} | means])
    point = read_measurements(path).iloc[0]
    assert point["power_w"] == 300.0
    assert 0.2 < point["mbu"] < 0.5
