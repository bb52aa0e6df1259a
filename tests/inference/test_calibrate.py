"""The command that fits prices: what it writes, what it refuses, and the prices that are shipped."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pandas as pd
import pytest

from simulators.inference import calibrate
from simulators.inference.catalogue import gpu, model
from simulators.inference.power.fit import MIN_ROWS, errors, mape
from simulators.inference.power.law import busy_power_w
from simulators.inference.power.laws import law_for
from simulators.inference.power.prices import prices
from simulators.inference.power.terms import Coefficients

from ..conftest import call_app
from .power.points import TRUTH

ROOT = Path(__file__).resolve().parents[2]
SHEET = (ROOT / "data" / "gpus" / "h100.toml").read_text(encoding="utf-8")
SHARED = ROOT / ".." / "shared" / "data" / "gpu_power" / "mlenergy_v3_give.csv"
HEADER = "gpu,model,tp,batch,context,tokens_per_s,power_w\n"
UTILISATION_HEADER = "gpu,model,mfu,mbu,comm,power_w\n"


def runs(path: Path, models: int = 3) -> Path:
    """Runs of dense models of three makers on an H100 that follow `TRUTH`, in the utilisation layout."""
    sheet = gpu("h100")
    rows = []
    for k in range(models):
        for i in range(10):
            mfu, mbu, comm = 0.01 * (i + 1) + 0.002 * k, 0.08 * (1 + (3 * i + k) % 7), 0.02 * (i % 3)
            watts = 115.3 + TRUTH.active * (1 - comm)
            watts += TRUTH.weights * mbu * sheet.memory_bandwidth + TRUTH.flop16 * mfu * sheet.peak("bf16")
            rows.append((sheet.name, f"maker{k}/model-{k}", mfu, mbu, comm, watts))
    pd.DataFrame(rows, columns=UTILISATION_HEADER.strip().split(",")).to_csv(path, index=False)
    return path


def call(tmp_path: Path, *arguments: object):
    told = ["--gpu", "h100", "--plot", tmp_path / "p.png", *arguments]
    return call_app(calibrate.app, *told)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "not a measurement file"),
        (HEADER + "h100,nobody/nothing,1,8,500,900,400\n", "data row 1.*nothing"),
        (UTILISATION_HEADER + "h100,m,0.1,0.5,0,300\n", f"1 rows of h100, expected at least {MIN_ROWS}"),
        (UTILISATION_HEADER + 9 * "h100,m,0.1,0.5,0,3000\n", "above the 700 W limit"),
        (UTILISATION_HEADER + 9 * "a100,m,0.1,0.5,0,300\n", "no rows of h100; the file has a100"),
    ],
)
def test_the_command_ends_with_one_line_and_code_2(tmp_path, text: str, message: str):
    path = tmp_path / "bad.csv"
    path.write_text(text)
    run = call(tmp_path, "--measurements", path)
    assert run.code == 2
    lines = run.err.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert re.search(message, lines[0])


@pytest.mark.parametrize("label", ["physics", "auto", "mfu", "table", "two words", "", "1st", "x" * 41])
def test_a_set_of_prices_needs_a_name_of_its_own(tmp_path, label: str):
    run = call(tmp_path, "--measurements", runs(tmp_path / "m.csv"), "--name", label)
    assert run.code == 2
    assert run.err.startswith("error: --name: ")


def test_the_command_writes_only_its_set_and_a_run_finds_it(tmp_path):
    sheet, file = tmp_path / "h100.toml", runs(tmp_path / "m.csv")
    sheet.write_text(SHEET)
    arguments = ("--measurements", file, "--out", sheet, "--name", "mine", "--source", "my servers")
    run = call(tmp_path, *arguments)
    assert run.code == 0, run.err
    assert "use them with --power-law mine" in run.out
    after = sheet.read_text()
    assert after.startswith(SHEET)
    written = tomllib.loads(after)["power"]["energy"]["mine"]
    assert (written["basis"], written["source"]) == ("fitted", "my servers")
    assert written["weights"] == pytest.approx(1e12 * TRUTH.weights, rel=0.03)
    assert written["active"] == pytest.approx(TRUTH.active, rel=0.1)
    assert written["low"] <= 1 <= written["high"]
    assert (tmp_path / "p.png").stat().st_size > 5000
    shape = model("meta-llama/Llama-3.1-8B")
    mine, auto = (law_for(gpu(str(sheet)), kind, shape) for kind in ("mine", "auto"))
    assert mine.active_w == pytest.approx(written["active"])
    assert (
        auto.active_w == prices(gpu("h100"), "mlenergy_v3").active
    )  # the first of a sheet's sets stays the default
    assert 115.3 < busy_power_w(mine, 0.0, 0.0, 300.0) < 700
    assert call(tmp_path, *arguments).code == 0
    assert sheet.read_text() == after


def test_the_report_shows_prices_errors_and_interval(tmp_path):
    run = call(tmp_path, "--measurements", runs(tmp_path / "m.csv"))
    assert run.code == 0, run.err
    for term in Coefficients._fields:
        assert re.search(rf"^{term} +[0-9.e+]+  (W|pJ)$", run.out, re.MULTILINE), term
    assert "left_out_%" in run.out
    assert re.search(r"interval: 0\.\d\d to 1\.\d\d times the power above idle \(models of makers", run.out)


def test_out_must_be_a_data_sheet(tmp_path):
    run = call(tmp_path, "--measurements", runs(tmp_path / "m.csv"), "--out", tmp_path / "none.toml")
    assert run.code == 2
    assert "none.toml" in run.err


@pytest.fixture(scope="module")
def shipped():
    """The fit to all rows that the shipped prices are from."""
    if not SHARED.exists():
        pytest.skip("reference data absent")
    return calibrate.calibrate("h100", SHARED)


@pytest.mark.shared
@pytest.mark.parametrize("name", ["h100", "b200"])
def test_shipped_prices_are_those_the_tool_finds(shipped, name: str):
    sheet = prices(gpu(name), "mlenergy_v3")
    assert sheet.coefficients == pytest.approx(shipped.coefficients[name], rel=0.01)
    assert (sheet.low, sheet.high) == pytest.approx(shipped.spread, rel=0.01)
    assert sheet.interval == shipped.spread_from


@pytest.mark.shared
@pytest.mark.parametrize("name", ["h100", "b200"])
def test_the_fitted_prices_meet_their_goals_on_models_they_have_not_seen(shipped, name: str):
    points = shipped.points[shipped.points["gpu"] == name]
    found = errors(points).set_index("architecture")
    assert found.loc["dense", "left_out_%"] <= 8
    assert found.loc["MoE", "left_out_%"] <= 10
    assert found.loc["hybrid", "left_out_%"] <= 12
    within = (points["power_w"] >= points["low_w"]) & (points["power_w"] <= points["high_w"])
    assert within.mean() > 0.8
    assert mape(points["in_sample_w"].to_numpy(), points["power_w"].to_numpy()) < 0.08
