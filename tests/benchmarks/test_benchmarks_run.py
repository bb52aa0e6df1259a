"""The benchmarks run and print what they promise; no timing is asserted."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parents[2]
BENCHMARKS = ROOT / "tests" / "benchmarks"
SHARED = ROOT / ".." / "shared" / "data"


def benchmark(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCHMARKS / name), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, cwd=ROOT)


def test_speed_prints_one_json_line_per_case():
    done = benchmark("inference_speed.py", "--quick")
    assert done.returncode == 0, done.stderr
    cases = [json.loads(line) for line in done.stdout.splitlines()]
    assert [case["requests"] for case in cases] == [10_000, 10_000]
    assert all(case["requests_per_s"] > 0 and case["peak_rss_mib"] > 0 for case in cases)


def test_energy_chain_prints_one_json_line_per_case():
    done = benchmark("energy_chain.py", "--quick")
    assert done.returncode == 0, done.stderr
    cases = {case["case"]: case for case in map(json.loads, done.stdout.splitlines())}
    assert set(cases) == {"plain", "mosaik", "sizings"}
    assert cases["plain"]["import_mwh"] == cases["mosaik"]["import_mwh"]
    assert cases["sizings"]["sizings"] == 100


@pytest.mark.shared
def test_power_keeps_its_goals():
    if not (SHARED / "gpu_power").is_dir():
        pytest.skip("the measurements lie beside the checkout, not in it")
    done = benchmark("power_accuracy.py", "--json", "--every", "20")
    assert done.returncode == 0, done.stderr + done.stdout  # 1 would be a missed goal
    assert json.loads(done.stdout)


@pytest.mark.shared
def test_silicon_reads_any_rows(tmp_path):
    rows = SHARED / "gpu_latency" / "aic_silicon_sample_give.csv.gz"
    if not rows.is_file():
        pytest.skip("the measurements lie beside the checkout, not in it")
    frame = pd.read_csv(rows)
    some = frame[(frame["system"] == "h100_sxm") & frame["model_path"].str.contains("Qwen3-32B")].iloc[::40]
    some.to_csv(tmp_path / "some.csv.gz", index=False)
    done = benchmark("silicon_accuracy.py", "--rows", str(tmp_path / "some.csv.gz"), "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)


LOGS = SHARED / "gpu_latency" / "vllm_truth"


@pytest.mark.shared
def test_vllm_logs_are_replayed_within_their_goals():
    if not LOGS.is_dir():
        pytest.skip("the measurements lie beside the checkout, not in it")
    done = benchmark("truth/vllm_logs.py", "--json")
    assert done.returncode == 0, done.stderr + done.stdout  # 1 would be a missed goal
    logs = {(entry["log"], entry["source"]): entry for entry in json.loads(done.stdout)}
    assert len(logs) == 2 * len(list(LOGS.glob("*/requests.jsonl")))
    for (_, source), entry in logs.items():
        assert source == "measured" or (entry["correlation"] >= 0.98 and not entry["missed"])


@pytest.mark.shared
def test_vllm_logs_say_what_is_wrong_with_one(tmp_path):
    if not LOGS.is_dir():
        pytest.skip("the measurements lie beside the checkout, not in it")
    log = next(LOGS.glob("*Llama*"))
    for name in ("meta.json", "requests.jsonl", "hardware.json"):
        (tmp_path / name).write_text((log / name).read_text())
    lines = (log / "requests.jsonl").read_text().splitlines()
    for broken, said in (
        (lines[0].replace("queued_ts", "x"), "line 1, column queued_ts: expected a number"),
        ("{", "no log"),
    ):
        (tmp_path / "requests.jsonl").write_text("\n".join([broken, *lines[1:]]))
        done = benchmark("truth/vllm_logs.py", "--logs", str(tmp_path), "--json")
        assert done.returncode == 2
        assert said in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_a_horizon_saves_nearly_all_there_is_to_save():
    done = benchmark("dispatch.py", "--days", "7", "--every", "3", "--json")
    assert done.returncode == 0, done.stderr + done.stdout  # 1 would be a missed goal
    cases = json.loads(done.stdout)
    assert {case["objective"] for case in cases} == {"carbon", "price", "carbon+price"}
    assert all(case["optimum_saves"] > 0.005 for case in cases)
    assert all(case["persistence"]["cost"] < 1.02 * case["self_consumption"] for case in cases)


def test_power_flow_prints_the_ratio_to_runpp_in_one_run():
    for arguments in (("cigre_mv", "case118", "--steps", "5"), ("cigre_mv", "--taps", "--steps", "30")):
        done = benchmark("power_flow.py", "--networks", *arguments, "--json")
        assert done.returncode == 0, done.stderr
        for case in map(json.loads, done.stdout.splitlines()):
            assert case["on_arrays"]
            assert case["ratio"] > 0
            for name, value in case.items():
                assert "difference" not in name or value < 1e-8, name
