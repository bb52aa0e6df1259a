"""Results side by side: figures as the runs told them, differing options named, other work refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from scenarios import compare_results
from scenarios.finished import other_work, read_finished
from simulators.recorder.manifest import MANIFEST
from tests.conftest import Ended, call_app
from tests.scenarios.runs import MORNING, QUICK, Result, simulate

CHANGES = {
    "base": (),
    "slow": ("--clock-limit", "0.7", "--policy", "carbon", "--slo-tpot", "0.015"),
    "coarse": ("--step", "120"),
    "other": ("--seed", "3"),
}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    below = tmp_path_factory.mktemp("results")
    for name, changes in CHANGES.items():
        ended = simulate(*MORNING, *QUICK, *changes, "--out", below / name)
        assert ended.code == 0, ended.err
    return {name: below / name for name in CHANGES}


def compare(*arguments: object) -> Ended:
    return call_app(compare_results.app(), *arguments)


def test_figures_stand_side_by_side_with_changes_ranges_and_what_differs(results, tmp_path: Path):
    ended = compare(results["base"], results["slow"], "--out", tmp_path / "out")
    assert ended.code == 0, ended.err
    table = pd.read_csv(tmp_path / "out" / "table.csv").set_index(["figure", "result"])
    told = {name: Result(results[name]).summary for name in ("base", "slow")}
    energy = {name: found["energy_j_per_output_token"]["gpu"] for name, found in told.items()}
    row = table.loc["Energy per output token, at the GPUs", "slow"]
    assert row["value"] == pytest.approx(energy["slow"], rel=1e-12)
    assert row["change"] == pytest.approx(energy["slow"] / energy["base"] - 1, rel=1e-9)
    assert row["change"] < 0  # a lower clock
    assert row["change_low"] <= row["change"] <= row["change_high"]
    assert row["low"] == told["slow"]["uncertainty"]["j_per_output_token_gpu"]["low"]
    # the same inputs moved in both: narrower than one's low end against the other's high end
    base = table.loc["Energy per output token, at the GPUs", "base"]
    assert row["change_high"] - row["change_low"] < row["high"] / base["low"] - row["low"] / base["high"]
    assert table.loc["Cost, the whole bill", "slow"]["unit"] == "USD"
    assert "serving.clock_limit: 1 / 0.7" in ended.out
    assert "control.policy: none / carbon" in ended.out
    assert ended.out.count("\n  ") == 3, ended.out  # slo_tpot is the third; where results lie is none
    assert [line.split()[-2:] for line in ended.out.splitlines() if line.startswith("Targets kept")] == [
        ["yes", "no"]
    ]
    report = (tmp_path / "out" / "report.html").read_text()
    assert "serving.clock_limit" in report
    assert (tmp_path / "out" / "comparison.png").stat().st_size > 10_000


def test_other_requests_are_refused_unless_asked_for(results, tmp_path: Path):
    folders = (results["base"], results["slow"], results["other"])
    refused = compare(*folders, "--out", tmp_path / "out")
    assert "not the same requests: run.seed is 42 in base and 3 in other" in refused.complaint
    assert not (tmp_path / "out").exists()
    taken = compare(*folders, "--different-requests", "--out", tmp_path / "out")
    assert taken.code == 0, taken.err
    assert "Totals cannot be compared" in taken.out
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["notes"]


def test_what_was_recorded_tells_too(results, tmp_path: Path):
    base, coarse = (read_finished(results[name], name) for name in ("base", "coarse"))
    assert other_work(base, coarse) == ""  # other steps, the same requests
    for table, column, reason in (
        ("requests", "prefill_tokens", "request 7 has prefill_tokens"),
        ("timeseries", "arrived", "requests arrived"),
    ):
        changed = tmp_path / table
        shutil.copytree(results["base"], changed)
        (changed / MANIFEST).unlink()
        frame = pd.read_parquet(changed / f"{table}.parquet")
        rows = frame["request_id"] == 7 if table == "requests" else frame.index == 5
        frame.loc[rows, column] += 1
        frame.to_parquet(changed / f"{table}.parquet")
        assert reason in other_work(base, read_finished(changed, table))


def _cut(folder: Path) -> None:
    path = folder / "summary.json"
    path.write_text(path.read_text()[:200])


def _says(file: str, text: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / file).write_text(text)

    return change


def _without(*files: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        for file in files:
            (folder / file).unlink()

    return change


def _wrong_figure(folder: Path) -> None:
    summary = json.loads((folder / "summary.json").read_text())
    summary["energy_mwh"]["facility"] = "much"
    (folder / "summary.json").write_text(json.dumps(summary))


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (_without("summary.json"), "has no summary.json"),
        (_without("config.json"), "has no config.json"),
        (_cut, "not valid JSON"),
        (_says("summary.json", '{"energy_mwh": NaN}'), "energy_mwh is nan, expected a finite number"),
        (_says("summary.json", "[" * 100_000), "nested too deeply"),
        (_says("config.json", "[]"), "holds no table of names"),
        (_says("config.json", '{"options": {"study": 3}}'), "holds no study"),
        (_wrong_figure, "energy_mwh.facility"),
        (_says("requests.parquet", "PAR1 it is not"), "requests.parquet: cannot be read"),
    ],
)
def test_a_damaged_result_is_one_line(results, tmp_path: Path, damage: Callable[[Path], None], reason: str):
    damaged = tmp_path / "damaged"
    shutil.copytree(results["base"], damaged)
    (damaged / MANIFEST).unlink()
    damage(damaged)
    assert reason in compare(results["base"], damaged, "--out", tmp_path / "out").complaint


def test_what_is_no_result_is_one_line(results, tmp_path: Path):
    base = results["base"]
    changed = tmp_path / "changed"
    shutil.copytree(base, changed)
    summary = changed / "summary.json"
    summary.write_text(summary.read_text().replace("1", "2", 1))
    for folders, reason in (
        ((base,), "1 results given"),
        ((base, base), "given twice"),
        ((base, tmp_path / "none"), "no such folder"),
        ((base, base / "config.json"), "no such folder"),
        ((base, tmp_path), "has no config.json"),
        ((base, changed), "is not as it was written"),
    ):
        assert reason in compare(*folders, "--out", tmp_path / "out").complaint
