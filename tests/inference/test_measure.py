"""What `measure` can say without a GPU: why it does not run, what fits, and rows that calibrate reads."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from simulators.errors import InputError
from simulators.inference import measure
from simulators.inference.catalogue import gpu, model
from simulators.inference.power.measurements import read_measurements

ROOT = Path(__file__).resolve().parents[2]


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
    used = point["weights"] / gpu("h100").memory_bandwidth
    assert 0.2 < used < 0.5
