"""The command of fast loads, from options to files."""

import json

import pandas as pd
import pytest

from scenarios.grid_integration import app

from ..conftest import call_app


def run(*arguments):
    return call_app(app(), "fast", *arguments)


def test_a_fast_load_leaves_its_voltages_and_verdicts(tmp_path):
    load = ("--bus", "9", "--low-mw", "1", "--high-mw", "2", "--period-s", "0.5", "--seconds", "30")
    out = tmp_path / "fast"
    done = run("--network", "cigre_mv", *load, "--short-circuit-mva", "5000", "--out", str(out))
    assert done.code == 0, done.err
    assert "highest flicker (P_st)" in done.out
    assert "P_st is of 30 s" in done.out
    summary = json.loads((out / "summary.json").read_text())
    assert summary["p_st"][0] > 1.0
    assert summary["error_of_reading_between_power_flows_pu"] < 1e-9
    frame = pd.read_parquet(out / "fast.parquet")
    assert len(frame) == 3000
    assert frame.p_mw.mean() == pytest.approx(1.7)
    assert {path.name for path in (out / "figures").iterdir()} == {"fast.png", "network.png"}
    again = run(
        "--network",
        "cigre_mv",
        "--bus",
        "9",
        "--power",
        str(out / "fast.parquet"),
        "--mw",
        "1",
        "--out",
        str(out),
    )
    assert again.code == 0, again.err
    scaled = pd.read_parquet(out / "fast.parquet")
    assert scaled.p_mw.max() == pytest.approx(1.0)
    assert json.loads((out / "config.json").read_text())["inputs"][0]["what"] == "power of the load"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "--bus: not given"),
        (("--bus", "9", "--power", "nowhere.csv"), "nowhere.csv: no such file; expected the power"),
        (("--bus", "9", "--low-mw", "9"), "--low-mw: 9 is above --high-mw 5"),
        (("--bus", "9", "--lamp", "110V"), "lamp"),
        (("--bus", "9", "--sample-s", "0"), "sample"),
        (("--bus", "none", "--network", "cigre_mv"), "bus 'none'"),
    ],
)
def test_what_it_does_not_take_is_one_line(arguments, said, tmp_path):
    done = run(*arguments, "--out", str(tmp_path / "run"))
    assert said in done.complaint
    assert list(tmp_path.iterdir()) == []
