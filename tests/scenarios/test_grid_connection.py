"""A site of more than its connection's firm limit: what a policy that keeps it costs, and that it is kept."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from scenarios import grid_integration
from simulators.grid.studies.connection import curtailment
from tests.conftest import call_app

BUS = ("connection", "--network", "mv_oberrhein", "--bus", "100")
SITE = (
    *("--model", "meta-llama/Meta-Llama-3-8B", "--gpu", "h100", "--tp", "4", "--replicas", "4", "--rate", "20"),
    *("--lengths", "fixed:400:80", "--iteration-time", "roofline", "--deferrable-share", "0"),
    *("--start", "2023-06-05T17:00", "--days", "0.02", "--mw", "12"),
    *("--without", "wind", "--without", "battery", "--pv-kw", "2000"),
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("connection") / "run"
    ended = call_app(grid_integration.app(), *BUS, *SITE, "--ramp-mw-per-min", "2", "--out", out)
    assert ended.code == 0, ended.err
    assert "curtailed against the firm limit" in ended.out
    return out


def test_no_hour_of_violation_is_left_where_there_were_some(folder):
    """The limit is what the bus hosts; it is kept from the first step on, before anything was measured."""
    summary = json.loads((folder / "summary.json").read_text())
    series = pd.read_parquet(folder / "timeseries.parquet")
    assert summary["firm_mw"] == pytest.approx(4.82, abs=0.02)
    assert summary["violation_hours_without"] == pytest.approx(len(series) / 12)
    assert summary["violation_hours_with"] == 0.0
    assert series["line_loading_max_percent_with"].max() <= 100.0
    assert series["import_mw_with"].max() <= summary["firm_mw"]
    assert summary["kept"] is True
    assert summary["ramp_kept"] is True


def test_what_is_curtailed_is_what_lies_beyond_the_limit(folder):
    summary = json.loads((folder / "summary.json").read_text())
    load_mw = pd.read_parquet(folder / "timeseries.parquet")["import_mw_without"].to_numpy()
    beyond = [max(0.0, mw - summary["firm_mw"]) * 300 / 3600 for mw in load_mw.tolist()]
    assert summary["curtailed_mwh"] == pytest.approx(sum(beyond), rel=1e-9)
    assert summary["curtailed_hours"] == pytest.approx(np.count_nonzero(beyond) / 12)
    assert curtailment(load_mw, load_mw, 1.0) == (0.0, 0.0, 0.0)


def test_a_cap_costs_time_and_never_raises_power(folder):
    without, answered = json.loads((folder / "summary.json").read_text())["runs"]
    series = pd.read_parquet(folder / "timeseries.parquet")
    assert (series["facility_mw_with"] <= series["facility_mw_without"] * (1 + 1e-9)).all()
    assert answered["facility_mwh"] < without["facility_mwh"]
    assert answered["ttft_p50_s"] > without["ttft_p50_s"]
    assert answered["output_tokens"] > 0.9 * without["output_tokens"]
    assert (folder / "figures" / "connection.png").stat().st_size > 20_000


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("connection",), "--bus: not given"),
        ((*BUS, "--firm-mw", "0"), "--firm-mw"),
        ((*BUS, "--starts", ","), "--starts: expected dates"),
        ((*BUS, "--starts", "2023-06-05", "--start", "2023-06-05"), "no --start beside them"),
        ((*BUS, "--starts", "soon"), "'soon' given"),
    ],
)
def test_what_it_does_not_take_is_one_line(arguments, named, tmp_path):
    ended = call_app(grid_integration.app(), *arguments, "--out", tmp_path / "run")
    assert ended.code == 2
    assert named in ended.err
    assert ended.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_who_may_not_write_there_hears_it_before_anything_is_simulated(tmp_path, monkeypatch):
    (tmp_path / "notes.txt").write_text("mine")
    monkeypatch.setattr("scenarios.grid_connection.simulate_plan", lambda *_: pytest.fail("simulated first"))
    ended = call_app(
        grid_integration.app(),
        "connection",
        "--bus",
        "100",
        "--days",
        "0.05",
        "--firm-mw",
        "4",
        "--out",
        tmp_path,
    )
    assert str(tmp_path) in ended.complaint
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
