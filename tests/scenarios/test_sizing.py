"""Sizes of PV and battery: each row is a run of its own, the best are marked."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from scenarios import Study, simulate, sizing
from scenarios.sizes import OBJECTIVES, sized, sizings
from tests.conftest import call_app
from tests.scenarios.test_measured import load_file

RUN = (
    "--workers",
    "1",
    "--start",
    "2017-06-05",
    "--days",
    "2",
    "--step",
    "900",
    "--try-pv-kw",
    "0,30,200",
    "--try-battery-kwh",
    "0,60",
)


@pytest.fixture(scope="module")
def load(tmp_path_factory) -> Path:
    return load_file(tmp_path_factory.mktemp("load"), days=4)


@pytest.fixture(scope="module")
def study(load) -> Study:
    return Study().changed(load=load, start="2017-06-05", days=2, step=900)


def test_every_row_is_what_a_run_of_its_own_gives(study):
    table = sizings(study, [0.0, 30.0, 200.0], [0.0, 60.0])
    assert len(table) == 6
    for row in table.itertuples():
        alone = simulate(sized(study, row.pv_kw, row.battery_kwh).changed(engine="mosaik")).figures
        energy, account = alone.energy_mwh, alone.boundaries["operational"]
        assert (row.import_mwh, row.pv_mwh) == (energy.grid_import, energy.pv)
        assert row.operational_kg == account.grid + account.battery_settlement
        assert row.matched_ratio == alone.renewable.matched_ratio
        assert row.cost == alone.cost.total


def test_the_best_of_each_objective_is_marked(study):
    table = sizings(study, [0.0, 30.0, 200.0], [0.0, 60.0], cost_per_year=(5000.0, 10.0))
    for name, (_, _, end) in OBJECTIVES.items():
        if table[name].notna().any():
            marked = table[table["best"].str.split(", ").map(lambda names, name=name: name in names)]
            assert set(marked[name]) == {end(table[name])}
    # 5000 a year for every kW: none is the cheapest
    assert table.loc[table["best"].str.contains("cost"), "pv_kw"].tolist() == [0.0]


def test_what_own_supply_costs_is_in_proportion_to_size_and_time(study):
    free, owned = (sizings(study, [30.0], [60.0], costs)["cost"][0] for costs in ((0.0, 0.0), (80.0, 40.0)))
    assert owned - free == pytest.approx((30 * 80 + 60 * 40) * 2 / 365)


def test_the_command_writes_table_figure_and_configuration(tmp_path, load):
    out = tmp_path / "out"
    ended = call_app(sizing.app(), "--load", load, *RUN, "--out", out)
    assert ended.code == 0, ended.err
    assert {"table.csv", "table.parquet", "sizing.png", "summary.json", "config.json"} <= {
        file.name for file in out.iterdir()
    }
    table, text = pd.read_parquet(out / "table.parquet"), pd.read_csv(out / "table.csv")
    np.testing.assert_allclose(table["import_mwh"], text["import_mwh"])
    assert "at the edge of what was tried" in ended.out
    config = json.loads((out / "config.json").read_text())
    assert any(entry["what"] == "load" for entry in config["inputs"])


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--try-pv-kw", "ten"), "--try-pv-kw"),
        (("--try-battery-kwh", "-5"), "--try-battery-kwh"),
        (("--try-pv-kw", "nan"), "--try-pv-kw"),
    ],
)
def test_sizes_that_are_none_are_refused(tmp_path, load, arguments, expected):
    ended = call_app(sizing.app(), "--load", load, *arguments, "--out", tmp_path / "out")
    assert expected in ended.complaint
    assert "expected numbers >= 0" in ended.complaint


def test_a_sizing_needs_a_load(tmp_path):
    assert "--load: not given" in call_app(sizing.app(), "--out", tmp_path / "out").complaint


def test_sizes_that_leave_load_unserved_are_not_the_best(study):
    """What is not delivered costs and emits nothing: the smallest sizes were the best behind a small connection."""
    limited = study.changed(import_limit_kw=45.0, soc_start=1.0, soc_end="start")
    table = sizings(limited, [0.0], [0.0, 200.0]).set_index("battery_kwh")
    assert table.loc[0.0, "unserved_mwh"] > table.loc[200.0, "unserved_mwh"] + 0.01
    assert table.loc[0.0, "operational_kg"] < table.loc[200.0, "operational_kg"]
    assert table.loc[0.0, "best"] == ""
    assert {"operational_kg", "cost"} <= set(table.loc[200.0, "best"].split(", "))
