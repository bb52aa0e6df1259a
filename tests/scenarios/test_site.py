"""Swapping profiles is a flag: what a run then reads, and how every broken file is refused."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from simulators.recorder.summary import sha256
from simulators.traffic.source import SERVE_S
from tests.conftest import ROOT, files_below

from .runs import DATA, MORNING, QUICK, Result, result, simulate

START = pd.Timestamp("2017-06-05T16:00Z")
"""`MORNING` in UTC."""


def profile(path: Path, column: str, values: object, hours: int = 6, start: pd.Timestamp = START) -> Path:
    """An hourly CSV file that covers the small run."""
    times = pd.date_range(start, periods=hours, freq="h").strftime("%Y-%m-%dT%H:%MZ")
    pd.DataFrame({"time": times, column: np.broadcast_to(np.asarray(values), hours)}).to_csv(
        path, index=False
    )
    return path


@pytest.fixture(scope="module")
def california(tmp_path_factory) -> Result:
    return result(tmp_path_factory.mktemp("california") / "run", *MORNING)


def test_inputs_are_named_with_their_checksums(california):
    inputs = {entry["what"]: entry for entry in california.config["inputs"]}
    assert set(inputs) == {
        "site", "carbon intensity", "price", "weather for PV", "weather for wind", "daily shape of the traffic",
        "GPU data sheet", "model",
    }  # fmt: skip
    for entry in inputs.values():
        assert entry["sha256"] == sha256(ROOT / entry["file"])
    assert inputs["carbon intensity"]["kind"] == "average"
    assert inputs["carbon intensity"]["file"].endswith("california_2016-2017.csv")


def test_series_are_those_of_the_files_at_that_hour(california):
    series = california.series
    with (DATA / "carbon" / "california_2016-2017.csv").open() as file:
        rows = {row[0]: row[1] for row in csv.reader(file) if row[0].startswith("2017-06-05")}
    assert series.carbon_intensity_g_per_kwh.iloc[0] == pytest.approx(float(rows["2017-06-05T16:00Z"]))
    assert series.carbon_intensity_g_per_kwh.iloc[60] == pytest.approx(float(rows["2017-06-05T17:00Z"]))
    assert series.price_per_kwh.iloc[0] > 0
    assert 0 < series.pv_mw.max() <= 2e-3


def test_another_carbon_file_changes_carbon_and_no_energy(california, tmp_path):
    carbon = profile(tmp_path / "mine.csv", "ci[gCO2eq/kWh]", [100.0, 300.0, 200.0, 100.0, 100.0, 100.0])
    other = result(tmp_path / "run", *MORNING, "--carbon", carbon)
    assert other.summary["energy_mwh"] == california.summary["energy_mwh"]
    assert other.summary["inference"] == california.summary["inference"]
    assert other.summary["carbon_kg"]["operational"] != california.summary["carbon_kg"]["operational"]
    assert set(other.series.carbon_intensity_g_per_kwh) == {100.0, 200.0, 300.0}
    assert {"what": "carbon intensity", "file": str(carbon), "sha256": sha256(carbon)}.items() <= (
        next(e for e in other.config["inputs"] if e["what"] == "carbon intensity").items()
    )


def test_units_of_a_carbon_file_are_read_from_its_header(california, tmp_path):
    values = california.series.carbon_intensity_g_per_kwh.iloc[[0, 60, 120, -1]].to_numpy()
    carbon = profile(tmp_path / "kilograms.csv", "ci[kgCO2eq/kWh]", values[[0, 1, 2, 3, 3, 3]] / 1e3)
    other = result(tmp_path / "run", *MORNING, "--carbon", carbon)
    assert other.summary["carbon_kg"]["operational"] == pytest.approx(
        california.summary["carbon_kg"]["operational"], rel=1e-12
    )


def test_price_pv_and_wind_files(tmp_path):
    files = {
        "--price": profile(tmp_path / "price.csv", "price[EUR/MWh]", 80.0),
        "--pv-profile": profile(tmp_path / "pv.csv", "pv[1]", 0.25),
        "--wind-profile": profile(tmp_path / "wind.csv", "wind[1]", 0.5),
    }
    run = result(tmp_path / "run", *MORNING, *(part for pair in files.items() for part in pair))
    series = run.series
    assert set(series.price_per_kwh.round(12)) == {0.08}
    assert run.summary["import_cost"]["unit"] == "EUR"
    assert set(series.pv_mw.round(12)) == {0.25 * 2e-3}
    assert set(series.wind_mw.round(12)) == {0.5 * 0.5e-3}


def test_a_weather_file_takes_the_place_of_both_weathers(tmp_path):
    greensboro = DATA / "weather" / "greensboro_tmy3.csv.gz"
    run = result(tmp_path / "run", *MORNING, "--weather", greensboro)
    inputs = {entry["what"]: entry["file"] for entry in run.config["inputs"]}
    assert inputs["weather for PV"] == inputs["weather for wind"]
    assert (ROOT / inputs["weather for PV"]).samefile(greensboro)


def test_germany_runs_with_what_it_has(tmp_path):
    run = result(tmp_path / "run", "--site", "germany")
    assert "price_per_kwh" not in run.series
    assert "import_cost" not in run.summary
    assert {entry["what"] for entry in run.config["inputs"]} >= {"PV per unit", "wind per unit"}
    assert run.summary["energy_mwh"]["wind"] > 0
    assert run.summary["balance"]["max_relative_residual"] <= 1e-9
    complaint = simulate(*QUICK, "--site", "germany", "--policy", "price", "--out", tmp_path / "x").complaint
    assert complaint == "--policy price: site germany has no price, expected --price FILE"


def test_parts_can_be_left_out(tmp_path):
    run = result(
        tmp_path / "run",
        *MORNING,
        "--without",
        "pv",
        "--without",
        "wind",
        "--without",
        "battery",
        "--no-node-overhead",
    )
    series, summary = run.series, run.summary
    np.testing.assert_allclose(series.import_mw, series.facility_mw, rtol=1e-12)
    np.testing.assert_allclose(series.it_mw, series.gpu_mw, rtol=1e-12)
    assert {name: ratio for name, ratio in summary["renewable"].items() if ratio is not None} == {
        "offset_ratio": 0.0, "matched_ratio": 0.0, "self_consumption_ratio": 0.0
    }  # fmt: skip
    for name in ("pv", "wind", "battery_charge", "battery_discharge", "grid_export", "curtailed"):
        assert summary["energy_mwh"][name] == 0.0
    assert summary["energy_mwh"]["facility"] == pytest.approx(1.2 * summary["energy_mwh"]["it"])


def test_a_trace_brings_its_requests(tmp_path):
    file = tmp_path / "trace.csv"
    file.write_text("arrived_at,prefill_tokens,decode_tokens\n10,100,20\n70,200,30\n9000,1,1\n")
    run = result(tmp_path / "run", *MORNING, "--trace", file)
    done = run.requests
    assert done[["arrived_at", "prefill_tokens", "decode_tokens"]].to_numpy().tolist() == [
        [10, 100, 20],
        [70, 200, 30],
    ]
    assert run.summary["inference"]["requests_arrived"] == 2  # the third comes after the end
    assert {"what": "request trace", "file": str(file), "sha256": sha256(file)}.items() <= (
        next(e for e in run.config["inputs"] if e["what"] == "request trace").items()
    )


def test_the_time_of_day_shapes_the_traffic(tmp_path):
    night = result(tmp_path / "night", "--start", "2017-06-05T02:00", "--days", 0.04)
    noon = result(tmp_path / "noon", "--start", "2017-06-05T13:00", "--days", 0.04)
    arrived = [run.summary["inference"]["requests_arrived"] for run in (night, noon)]
    assert arrived[1] > 1.3 * arrived[0]


def test_policies_see_the_same_requests_and_finish_the_same_work(tmp_path):
    runs = [
        result(tmp_path / name, *MORNING, "--policy", name, "--defer-hours", 0.5)
        for name in ("none", "carbon", "solar")
    ]
    none, carbon, solar = (run.requests for run in runs)
    assert none.deferrable.sum() > 100
    for other in (carbon, solar):
        both = none.index.intersection(other.index)
        assert len(both) > 0.99 * len(none)
        columns = ["arrived_at", "prefill_tokens", "decode_tokens", "deferrable"]
        pd.testing.assert_frame_equal(none.loc[both, columns], other.loc[both, columns])
        assert (other.released_at > other.arrived_at).any()
        # nothing is held into the end of the run: the same work is done
        assert other.released_at.max() <= 144 * 60
        held = other[other.released_at > other.arrived_at]
        assert held.released_at.max() <= 144 * 60 - SERVE_S / 2
    assert (none.released_at == none.arrived_at).all()
    assert len({run.summary["inference"]["requests_arrived"] for run in runs}) == 1


def broken(path: Path, change: str) -> Path:
    """An hourly carbon file with one thing wrong in its third row (line 4)."""
    lines = profile(path, "ci[gCO2eq/kWh]", 100.0).read_text().splitlines()
    if change == "nan":
        lines[3] = lines[3].replace("100.0", "nan")
    elif change == "text":
        lines[3] = lines[3].replace("100.0", "much")
    elif change == "negative":
        lines[3] = lines[3].replace("100.0", "-5.0")
    elif change == "duplicate":
        lines[3] = lines[2]
    elif change == "unsorted":
        lines[2], lines[3] = lines[3], lines[2]
    elif change == "gap":
        del lines[3]
    elif change == "column":
        lines[0] = "time,temperature[degC]"
    elif change == "short":
        del lines[3:]
    elif change == "empty":
        lines = []
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("nan", "row 4"),
        ("text", "row 4"),
        ("negative", "row 4"),
        ("duplicate", "row 4"),
        ("unsorted", "row"),
        ("gap", "row"),
        ("column", "temperature"),
        ("short", "2017-06-05"),
        ("empty", "empty"),
    ],
)
def test_a_broken_file_is_one_line_with_file_and_row(tmp_path, change, expected):
    file = broken(tmp_path / "carbon.csv", change)
    complaint = simulate(*MORNING, "--carbon", file, "--out", tmp_path / "run").complaint
    assert str(file) in complaint
    assert expected in complaint
    assert files_below(tmp_path) == {"carbon.csv"}


def test_negative_irradiance_names_file_and_row(tmp_path):
    lines = (DATA / "weather" / "california_2016-2017.csv").read_text().splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("2017-06-05T18:00"))
    cells = lines[at].split(",")
    cells[1] = "-50.0"
    lines[at] = ",".join(cells)
    file = tmp_path / "weather.csv"
    file.write_text("\n".join(lines) + "\n")
    complaint = simulate(*MORNING, "--weather", file, "--out", tmp_path / "run").complaint
    assert f"{file}: " in complaint
    assert f"row {at + 1}" in complaint
    assert "-50" in complaint
    assert files_below(tmp_path) == {"weather.csv"}


BAD = {
    "--site atlantis": "atlantis",
    "--site /no/site.toml": "/no/site.toml",
    "--carbon /no/carbon.csv": "/no/carbon.csv",
    "--weather /no/weather.csv": "/no/weather.csv",
    "--price /no/price.csv": "/no/price.csv",
    "--pv-profile /no/pv.csv": "/no/pv.csv",
    "--wind-profile /no/wind.csv": "/no/wind.csv",
    "--trace /no/trace.csv": "/no/trace.csv: no such file",
    "--config /no/config.toml": "--config /no/config.toml: no such file",
    "--model gpt-9": "model: 'gpt-9' is unknown",
    "--gpu a1000": "gpu: 'a1000' has no data sheet",
    "--model meta-llama/Meta-Llama-3-70B": "does not fit on a100",
    "--tp 3": "tp: 3 does not divide",
    "--policy greedy": "greedy",
    "--forecast oracle --policy carbon": "oracle",
    "--router fastest": "--router fastest: unknown",
    "--scheduler fifo": "--scheduler fifo: unknown",
    "--power-law loud": "power law: 'loud' is unknown",
    "--lengths fixed:0:1": "at least 1",
    "--diurnal martian": "martian",
    "--days 0": "--days: '0' given",
    "--days 4000": "--days: '4000' given",
    "--days 400": "2017-08-01",
    "--start 2031-01-01": "2031-01-01",
    "--start noon": "--start: 'noon' given",
    "--step 0": "--step: '0' given",
    "--pv-kw 0": "--pv-kw: '0' given, expected a number above 0; leave it out with --without pv",
    "--wind-kw -1": "--wind-kw: '-1' given",
    "--battery-kwh 0": "--battery-kwh: '0' given",
    "--battery-kwh nan": "--battery-kwh: 'nan' given",
    "--rate 0": "--rate: '0' given",
    "--replicas 0": "--replicas: '0' given",
    "--pue 0.5": "--pue: '0.5' given",
    "--soc-start 0.05": "--soc-start: 0.05 given, expected at least --soc-min 0.1",
}


@pytest.mark.parametrize("options", BAD)
def test_a_wrong_option_is_one_line_and_leaves_nothing(tmp_path, options):
    complaint = simulate("--out", tmp_path / "run", *options.split()).complaint
    assert BAD[options] in complaint
    assert files_below(tmp_path) == set()


def test_a_broken_trace_is_found_before_the_run(tmp_path):
    file = tmp_path / "trace.csv"
    file.write_text("arrived_at,prefill_tokens,decode_tokens\n0,10,5\n900,10,5\n800,10,5\n")
    complaint = simulate(*MORNING, "--trace", file, "--out", tmp_path / "run").complaint
    assert f"{file}: row 4" in complaint
    assert files_below(tmp_path) == {"trace.csv"}


def test_somebody_elses_folder_is_left_alone(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("irreplaceable")
    complaint = simulate(*QUICK, *MORNING, "--out", tmp_path / "run").complaint
    assert str(tmp_path / "run") in complaint
    assert files_below(tmp_path) == {"run/thesis.txt"}
