"""The main scenario as a user runs it: whole results, the same again, compared with no policy, or stopped halfway."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.conftest import ROOT, Ended, files_below, spawn

from .runs import MORNING, SMALL, Result, main_scenario, result

SNAPSHOT = Path(__file__).resolve().parents[1] / "snapshots" / "solar_datacenter.json"
KEYS = {
    "energy_mwh": "it facility pv wind grid_import grid_export battery_charge battery_discharge curtailed",
    "carbon_kg": "operational embodied total own_supply",
    "renewable": "offset_ratio matched_ratio self_consumption_ratio",
    "inference": "requests_arrived requests_completed requests_running requests_waiting requests_rejected "
    "prefill_tokens decode_tokens ttft_s tpot_s e2e_s gpu_power_w_mean mfu_mean energy_j_per_output_token",
    "balance": "max_relative_residual",
}
POLICY = ("--policy", "carbon", "--defer-hours", "0.5", "--carbon")


@pytest.fixture(scope="session")
def waves(tmp_path_factory) -> Path:
    """Carbon intensity that changes between clean and dirty every half hour."""
    file = tmp_path_factory.mktemp("waves") / "waves.csv"
    times = pd.date_range("2017-06-05T16:00Z", periods=8, freq="30min").strftime("%Y-%m-%dT%H:%MZ")
    rows = [f"{at},{value}" for at, value in zip(times, [500, 100] * 4, strict=True)]
    file.write_text("time,ci[gCO2eq/kWh]\n" + "\n".join(rows) + "\n")
    return file


@pytest.fixture(scope="session")
def shown(tmp_path_factory, waves) -> tuple[Ended, Result]:
    """A run in a process of its own, with its report and its comparison."""
    out = tmp_path_factory.mktemp("shown") / "run"
    ended = spawn(
        "scenarios/solar_datacenter.py", *SMALL, *MORNING, *POLICY, waves, "--battery-kwh", 0.1, "--out", out
    )
    return ended, Result(out)


def test_results_are_complete_and_the_user_is_told_where(shown):
    ended, run = shown
    assert ended.code == 0, ended.err
    assert ended.err == ""  # no progress bar where nobody looks
    assert str(run.folder / "report.html") in ended.out
    assert "Requests completed" in ended.out
    names = files_below(run.folder)
    assert {"summary.json", "timeseries.parquet", "requests.parquet", "config.json", "report.html"} <= names
    assert any(name.startswith("figures/") and name.endswith(".png") for name in names)
    assert [path.name for path in run.folder.parent.iterdir()] == ["run"]


def test_the_summary_has_what_it_must(shown):
    _, run = shown
    summary = run.summary
    for part, names in KEYS.items():
        for name in names.split():
            value = summary[part][name]
            if name in ("ttft_s", "tpot_s", "e2e_s"):
                assert 0 < value["p50"] <= value["p95"] <= value["p99"]
            else:
                assert value >= 0
    assert summary["wall_s"] > 0
    assert summary["simulated_s"] == 8640
    assert summary["balance"]["max_relative_residual"] <= 1e-9
    counts = summary["inference"]
    rest = sum(counts[f"requests_{name}"] for name in ("running", "waiting", "rejected"))
    assert counts["requests_arrived"] == counts["requests_completed"] + rest > 1000


def test_the_report_opens_offline(shown):
    _, run = shown
    html = (run.folder / "report.html").read_text(encoding="utf-8")
    assert 'src="http' not in html
    assert '<link rel="stylesheet" href="http' not in html
    for word in ("offset", "matched", "battery", "carbon", "latency"):
        assert word in html.lower(), word


def test_the_policy_is_compared_with_none_at_equal_work(shown):
    _, run = shown
    summary, comparison = run.summary, run.summary["scheduling"]
    other = Result(run.folder / "comparison")
    assert other.options["policy"] == comparison["baseline_policy"] == "none"
    assert comparison["completed_requests"] == summary["inference"]["requests_completed"]
    assert comparison["completed_requests_baseline"] == other.summary["inference"]["requests_completed"]
    assert comparison["completed_requests"] == pytest.approx(comparison["completed_requests_baseline"], abs=3)
    work = summary["inference"]["decode_tokens"] / other.summary["inference"]["decode_tokens"]
    ours, theirs = (
        one["carbon_kg"]["operational"] + one["carbon_kg"]["battery_settlement"]
        for one in (summary, other.summary)
    )
    saved = theirs * work - ours
    assert comparison["kg_saved"] == pytest.approx(saved, rel=1e-9)
    assert comparison["kg_saved"] > 0
    requests = run.requests
    delays = (requests.released_at - requests.arrived_at)[lambda delay: delay > 0]
    assert comparison["requests_delayed"] == len(delays) > 50
    assert comparison["mean_delay_s"] == pytest.approx(delays.mean())
    assert delays.max() <= 1800 + 1e-6


def test_both_runs_served_the_same_requests(shown):
    _, run = shown
    ours, theirs = run.requests, Result(run.folder / "comparison").requests
    both = ours.index.intersection(theirs.index)
    columns = ["arrived_at", "prefill_tokens", "decode_tokens", "deferrable"]
    pd.testing.assert_frame_equal(ours.loc[both, columns], theirs.loc[both, columns])


def test_a_configuration_runs_again_to_the_same_bytes(shown, tmp_path):
    """Its config.json is all it takes; only the clock differs."""
    _, run = shown
    ended = main_scenario("--config", run.folder / "config.json", "--no-report", "--out", tmp_path / "again")
    assert ended.code == 0, ended.err
    again = Result(tmp_path / "again")
    assert again.summary_bytes == run.summary_bytes
    assert (
        len(again.summary_bytes.splitlines())
        == len((again.folder / "summary.json").read_bytes().splitlines()) - 1
    )
    for table in ("timeseries.parquet", "requests.parquet"):
        pd.testing.assert_frame_equal(
            pd.read_parquet(again.folder / table), pd.read_parquet(run.folder / table), check_exact=True
        )


def test_a_toml_file_holds_options(tmp_path):
    file = tmp_path / "site.toml"
    file.write_text(
        'start = "2017-06-05T09:00"\ndays = 0.02\nmodel = "meta-llama/Meta-Llama-3-8B"\ngpu = "a100"\ntp = 1\n'
        'replicas = 1\nrate = 0.3\nwithout = ["wind"]\npv-kw = 3.0\nreport = false\ncompare = false\n'
    )
    ended = main_scenario("--config", file, "--rate", 0.5, "--out", tmp_path / "run")
    assert ended.code == 0, ended.err
    options = Result(tmp_path / "run").options
    assert (options["rate"], options["pv_kw"], options["without"]) == (0.5, 3.0, ["wind"])
    file.write_text("pv_kw = -3\n")
    assert main_scenario("--config", file).complaint == (
        f"--pv-kw: -3 given (in {file}), expected a number above 0; leave it out with --without pv"
    )


def test_another_seed_is_another_day(tmp_path):
    first, second = (
        result(tmp_path / str(seed), *MORNING, "--days", 0.02, "--seed", seed) for seed in (1, 2)
    )
    assert first.summary["inference"]["requests_arrived"] != second.summary["inference"]["requests_arrived"]
    assert first.summary["energy_mwh"]["pv"] == second.summary["energy_mwh"]["pv"]


def test_the_length_of_a_step_moves_nothing_but_the_rounding(tmp_path):
    """Requests are served in continuous time: the step only sets how often the parts meet."""
    minute, quarter = (
        result(tmp_path / str(step), *MORNING, "--days", 0.0625, "--step", step) for step in (60, 900)
    )
    columns = ["arrived_at", "scheduled_at", "prefill_completed_at", "completed_at"]
    pd.testing.assert_frame_equal(minute.requests[columns], quarter.requests[columns], rtol=0, atol=1e-9)
    assert minute.summary["energy_mwh"]["it"] == pytest.approx(quarter.summary["energy_mwh"]["it"], rel=1e-9)
    assert minute.summary["energy_mwh"]["pv"] == pytest.approx(quarter.summary["energy_mwh"]["pv"], rel=2e-3)


def test_an_older_result_is_replaced_and_what_the_user_laid_into_it_stays(tmp_path):
    out = tmp_path / "run"
    result(out, *MORNING, "--days", 0.02)
    (out / "my notes.txt").write_text("irreplaceable")
    result(out, *MORNING, "--days", 0.03)
    assert len(Result(out).series) == 43
    assert (out / "my notes.txt").read_text() == "irreplaceable"
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_wrong_input_ends_the_process_with_2_and_one_line(tmp_path):
    ended = spawn("scenarios/solar_datacenter.py", "--site", "atlantis", "--out", tmp_path / "run")
    assert "atlantis" in ended.complaint
    assert list(tmp_path.iterdir()) == []


def processes_naming(text: str) -> list[int]:
    """Processes with `text` on their command line, this one apart."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if text in command and int(entry.name) != os.getpid():
            found.append(int(entry.name))
    return found


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopping_halfway_keeps_what_there_is(tmp_path, number):
    """Ctrl-C in the middle: a readable folder that says it is incomplete, and nobody left computing."""
    out = tmp_path / "long"
    process = subprocess.Popen(
        [sys.executable, "scenarios/solar_datacenter.py", *SMALL, "--days", "6", "--rate", "0.02",
         "--checkpoint-hours", "3", "--out", str(out)],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 120
        while not (tmp_path / "long.incomplete" / "checkpoint.npz").exists():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline, "nothing was written"
            time.sleep(0.05)
        assert processes_naming("comparison.json")
        process.send_signal(number)
        out_text, err = process.communicate(timeout=240)
    finally:
        if process.poll() is None:
            process.kill()
    assert process.returncode == 128 + number, err
    kept = tmp_path / "long.incomplete"
    assert str(kept) in err
    assert "Traceback" not in err
    assert out_text == ""
    assert [path.name for path in tmp_path.iterdir()] == ["long.incomplete"]
    note = (kept / "INCOMPLETE.txt").read_text()
    assert number.name in note
    series = pd.read_parquet(kept / "timeseries.parquet")
    assert 100 < len(series) < 6 * 1440
    assert f"{len(series) * 60} s of {6 * 86400} s" in note
    assert pd.read_parquet(kept / "requests.parquet").completed_at.max() <= len(series) * 60
    assert not processes_naming(str(tmp_path))


def assert_close(ours: Any, theirs: Any, where: str = "summary") -> None:
    """Equal keys, equal whole numbers, equal numbers to 1e-6: other processors round otherwise."""
    assert type(ours) is type(theirs), where
    if isinstance(theirs, dict):
        assert set(ours) == set(theirs), where
        for name in theirs:
            assert_close(ours[name], theirs[name], f"{where}.{name}")
    elif isinstance(theirs, list):
        assert len(ours) == len(theirs), where
        for number, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            assert_close(one, other, f"{where}[{number}]")
    elif isinstance(theirs, float):
        assert ours == pytest.approx(theirs, rel=1e-6, abs=1e-12), where
    else:
        assert ours == theirs, where


def test_the_figures_are_those_of_last_time(tmp_path, waves):
    """What changed them must be meant. `WATTLOOP_SNAPSHOTS=write` renews the file."""
    run = result(tmp_path / "run", *MORNING, *POLICY, waves)
    summary = run.summary
    # a clock, rounding, files and sources rather than figures
    for name in ("wall_s", "balance", "series", "assumptions"):
        del summary[name]
    if os.environ.get("WATTLOOP_SNAPSHOTS") == "write":
        SNAPSHOT.write_text(json.dumps(summary, indent=1, sort_keys=True) + "\n")
    assert_close(summary, json.loads(SNAPSHOT.read_text()))
