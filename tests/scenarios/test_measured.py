"""A load from a file in place of the cluster: what is known stays, what is not has a reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from scenarios import SiteStudy, Study, simulate
from scenarios.build import build
from simulators.errors import InputError
from tests.scenarios.runs import MORNING, Result, main_scenario
from tests.scenarios.runs import simulate as simulate_cluster

ENERGY = Study().changed(start="2017-06-05", days=0.5, step=900)


def load_file(folder: Path, days: float = 2.0, step_s: int = 60, unit: str = "kW") -> Path:
    """40 kW, and a wave with a peak of 60 kW at every noon UTC."""
    times = pd.date_range("2017-06-05", periods=int(days * 86400 / step_s), freq=f"{step_s}s", tz="UTC")
    wave = np.sin(2 * np.pi * (np.arange(len(times)) * step_s / 86400 - 0.25))
    file = folder / "load.csv"
    pd.DataFrame({"time": times, f"load[{unit}]": 40.0 + 20.0 * wave}).to_csv(file, index=False)
    return file


def test_a_load_file_stands_for_the_cluster(tmp_path):
    file = load_file(tmp_path)
    result = simulate(ENERGY.changed(load=file))
    given = pd.read_csv(file)["load[kW]"].to_numpy() / 1e3
    minutes = 7 * 60  # the run starts at midnight in California
    expected = given[minutes : minutes + 12 * 60].reshape(-1, 15).mean(axis=1)
    np.testing.assert_allclose(result.timeseries["facility_mw"], expected, rtol=1e-12)
    figures = result.figures
    assert figures.energy_mwh.facility == pytest.approx(expected.sum() * 0.25, rel=1e-12)
    assert figures.carbon_kg.operational is not None
    assert figures.carbon_kg.operational > 0
    assert figures.import_cost is not None
    assert 0 < figures.renewable.matched_ratio < 1
    assert not {"gpu_mw", "arrived", "it_mw"} & set(result.timeseries)


def test_what_a_measured_load_cannot_tell_is_null_with_its_reason(tmp_path):
    figures = simulate(ENERGY.changed(load=load_file(tmp_path))).to_json()
    assert figures["inference"] is None
    assert figures["energy_mwh"]["it"] is None
    assert figures["carbon_kg"]["embodied"] is None
    assert figures["carbon_kg"]["total"] is None
    assert {"inference", "energy_mwh.it"} <= set(figures["reasons"])
    assert {"embodied", "total"} <= set(figures["carbon_kg"]["reasons"])
    assert "measured" in figures["uncertainty"]["reason"]


def test_a_load_at_the_servers_goes_through_the_facility(tmp_path):
    study = ENERGY.changed(load=load_file(tmp_path), load_at="it", pue=1.5)
    result = simulate(study)
    series = result.timeseries
    np.testing.assert_allclose(series["facility_mw"], 1.5 * series["it_mw"], rtol=1e-12)
    metered = simulate(study.changed(load_at="meter")).timeseries
    np.testing.assert_allclose(series["it_mw"], metered["facility_mw"], rtol=1e-12)
    assert result.figures.energy_mwh.it == pytest.approx(series["it_mw"].sum() * 0.25)


def test_scaling_puts_the_highest_value_of_the_file_at_the_given_power(tmp_path):
    scaled = simulate(ENERGY.changed(load=load_file(tmp_path), load_scale_to_mw=5.0, step=60, days=1))
    assert scaled.timeseries["facility_mw"].max() == pytest.approx(5.0)
    assert any("scaled" in note for note in scaled.notes)


def test_the_power_of_an_earlier_run_is_a_load(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    assert simulate_cluster(*MORNING, "--no-compare", "--no-report", "--out", first).code == 0
    table = first / "timeseries.parquet"
    ended = main_scenario(
        "--load", table, *MORNING, "--days", "0.1", "--pv-kw", "2", "--wind-kw", "0.5", "--battery-kwh", "0.5",
        "--out", second,
    )  # fmt: skip
    assert ended.code == 0, ended.err
    before, after = Result(first), Result(second)
    for column in ("facility_mw", "import_mw", "stored_mwh", "pv_mw"):
        np.testing.assert_allclose(after.series[column], before.series[column], rtol=1e-12, atol=1e-15)
    for figure in ("operational", "battery_settlement", "without_own_supply"):
        assert after.summary["carbon_kg"][figure] == pytest.approx(
            before.summary["carbon_kg"][figure], rel=1e-12
        )
    page = (second / "report.html").read_text()
    assert "load from" in page
    assert "Requests completed" not in page
    assert not (second / "requests.parquet").exists()
    assert {file.name for file in (second / "figures").iterdir()} >= {
        "power_balance.png",
        "carbon.png",
        "battery.png",
    }


def test_sites_with_and_without_a_cluster_share_a_world(tmp_path):
    serving = SiteStudy(name="serving").model_copy(update={"without": ("wind",)})
    tree = ENERGY.model_dump() | {
        "sites": [
            serving.model_dump(),
            serving.model_dump() | {"name": "measured", "measured": {"load": load_file(tmp_path)}},
        ]
    }
    study = Study.model_validate(tree)
    study = study.model_copy(update={"run": study.run.model_copy(update={"days": 0.03})})
    result = simulate(study)
    assert result.figures.inference == result.sites["serving"].inference or result.figures.served.groups
    assert result.sites["measured"].inference is None
    assert result.figures.energy_mwh.it is None
    assert result.figures.carbon_kg.embodied is None
    assert result.figures.energy_mwh.facility == pytest.approx(
        sum(figures.energy_mwh.facility for figures in result.sites.values())
    )


@pytest.mark.parametrize(
    ("leaves", "expected"),
    [
        ({"load_scale_to_mw": 5.0}, "--load-scale-to-mw: given without a load"),
        ({"mw": 5.0, "load": "there"}, "--mw: the load is a file, expected --load-scale-to-mw"),
        ({"load": "there", "days": 5.0}, "load covers 2017-06-05"),
        ({"load": "nowhere.csv"}, "nowhere.csv"),
    ],
)
def test_what_is_wrong_with_a_load_is_told_in_one_line(tmp_path, leaves, expected):
    if leaves.get("load") == "there":
        leaves = leaves | {"load": load_file(tmp_path)}
    with pytest.raises(InputError) as told:
        simulate(ENERGY.changed(**leaves))
    assert expected in str(told.value)
    assert "\n" not in str(told.value)


def test_a_battery_plans_with_what_the_bill_charges_and_pays(tmp_path):
    """The series is dear at other times than the tariff: who looked at it would pay more."""
    tariff = {"energy_price": 0.2, "time_of_use": ("0.5 6-9",), "fees_per_kwh": 0.05, "feed_in_per_kwh": 0.1}
    study = ENERGY.changed(load=load_file(tmp_path), soc_end="start", pv_kw=80.0, **tariff)
    storage = study.site.storage.model_copy(update={"dispatch": "horizon:objective=price"})
    planned = study.model_copy(update={"sites": (study.site.model_copy(update={"storage": storage}),)})
    bills = {each.site.storage.dispatch: simulate(each).figures.cost.total for each in (study, planned)}
    assert bills["horizon:objective=price"] < 0.97 * bills["self-consumption"]
    config = next(entity.config for entity in build(planned).entities if entity.part == "storage")
    cost = np.array(config["ahead"]["cost_per_kwh"])
    assert set(np.round(cost, 12)) == {0.25, 0.55}
    assert np.flatnonzero(cost > 0.5).tolist() == list(range(24, 36))
    assert set(config["ahead"]["worth_per_kwh"]) == {0.1}
