"""A load from a file in place of the cluster: what is known stays, what is not has a reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from scenarios import SiteStudy, Study, simulate
from scenarios.build import build
from scenarios.scope2 import carried_mw
from simulators.errors import InputError
from simulators.report import series, tables
from simulators.report.labels import RunMeta
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
    result = simulate(ENERGY.changed(load=file, own_supply="site"))
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
    metered = simulate(study.changed(load_at="meter", pue=None)).timeseries
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


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"policy": "carbon"}, "--policy: carbon given, but has no effect on a load from a file"),
        ({"pue": 1.4}, "--pue: 1.4 given, .* measured at the meter"),
        ({"heat_reuse_share": 0.3}, "--heat-reuse-share: 0.3 given"),
        ({"ups": "eco", "pue_model": "load"}, "given, but has no effect on a load"),
        (
            {"gpu_embodied_kg": 150.0},
            "--gpu-embodied-kg: 150.0 given, .* what hardware draws it is not known",
        ),
        ({"building": True}, "--building: True given"),
        ({"load_at": "it", "host_idle_w": 300.0}, "--host-idle-w: 300.0 given, .* servers' plugs"),
    ],
)
def test_an_option_that_a_measured_load_does_not_read_is_refused(tmp_path, given, complaint):
    with pytest.raises(InputError, match=complaint):
        ENERGY.changed(load=load_file(tmp_path), **given)


def test_what_a_measured_load_reads_may_be_given_and_a_cluster_beside_it_reads_the_rest(tmp_path):
    file = load_file(tmp_path)
    ENERGY.changed(load=file, grid_water=2.0, tp=2, rate=3.0)  # the cluster that the power is of
    ENERGY.changed(load=file, load_at="it", pue=1.3, heat_reuse_share=0.3)
    sites = [{"name": "measured", "measured": {"load": str(file)}}, {"name": "served"}]
    Study(sites=sites).changed(policy="carbon", pue=1.3)


def test_assumptions_of_a_load_at_the_servers_leave_out_what_is_within_them(tmp_path):
    result = simulate(ENERGY.changed(load=load_file(tmp_path), load_at="it"))
    names = {entry.name for entry in result.figures.assumptions}
    assert not {"host_idle_w", "host_full_w", "fan_share", "psu_efficiency"} & names
    assert {"pue", "power_chain_efficiency", "wue", "grid_water"} <= names


def test_a_load_at_the_servers_has_the_ranges_of_its_building(tmp_path):
    """Of a constant PUE all that the meter says is known in closed form: 1.1 to 1.4 around 1.2."""
    study = ENERGY.changed(
        load=load_file(tmp_path), load_at="it", residual_mix=500.0, residual_mix_high=600.0
    )
    figures = simulate(study).figures
    found = figures.uncertainty
    it_mwh = figures.energy_mwh.it
    assert found.reason is None
    assert (found.facility_mwh.low, found.facility_mwh.high) == pytest.approx((1.1 * it_mwh, 1.4 * it_mwh))
    assert found.facility_mwh.drivers[0].name.startswith("PUE")
    for name, value in (
        ("operational_kg", figures.carbon_kg.operational),
        ("market_kg", figures.scope2.market_kg),
        ("cost", figures.cost.total),
    ):
        one = getattr(found, name)
        assert one.low < one.value < one.high, name
        assert one.value == pytest.approx(value), name
    named = simulate(study.changed(pue=1.2)).figures.uncertainty
    assert named.facility_mwh is None
    assert named.cost is None
    assert [driver.name for driver in named.market_kg.drivers] == ["residual mix"]


def test_a_known_figure_of_several_sites_has_no_reason_to_be_missing(tmp_path):
    file = str(load_file(tmp_path))
    sites = [{"name": name, "measured": {"load": file}} for name in ("a", "b")]
    carbon = simulate(Study(run=ENERGY.run, sites=sites)).figures.carbon_kg
    assert carbon.operational > 0
    assert carbon.battery_settlement is not None
    assert set(carbon.reasons) == {"embodied", "total"}


def test_load_that_was_not_met_is_an_energy_and_the_table_of_the_report_closes(tmp_path):
    study = ENERGY.changed(load=load_file(tmp_path), outage=("2017-06-05T02:00/2017-06-05T04:00",))
    result = simulate(study)
    energy = result.figures.energy_mwh
    assert energy.unserved == pytest.approx(result.figures.connection.unserved_mwh)
    assert energy.unserved > 0
    supply = energy.pv + energy.wind + energy.battery_discharge + energy.grid_import + energy.unserved
    use = energy.facility + energy.battery_charge + energy.grid_export + energy.curtailed
    assert supply == pytest.approx(use, rel=1e-12)
    page = tables.energy(result.to_json())
    sums = [row.split("</td>")[1] for row in page.split("<tr")[1:] if "Supply" in row or "Use" in row]
    assert len(sums) == 2
    assert sums[0] == sums[1]
    assert "Load not met" in page
    assert "Load not met" not in tables.energy(simulate(ENERGY.changed(load=load_file(tmp_path))).to_json())


def test_the_map_of_covered_hours_is_the_matched_ratio_where_the_grid_charges_the_battery(tmp_path):
    study = ENERGY.changed(
        load=load_file(tmp_path), days=1, pv_kw=150, battery_kwh=200, dispatch="horizon:objective=carbon"
    )
    result = simulate(study)
    carried = carried_mw(result.timeseries, result.figures.storage)
    load = result.timeseries["facility_mw"]
    assert carried.sum() / load.sum() == pytest.approx(result.figures.renewable.matched_ratio, rel=1e-12)
    frame = result.timeseries.assign(**{series.CARRIED: carried})
    meta = RunMeta("x", 900, "America/Los_Angeles")
    matrix = series.coverage(series.indexed(frame, meta))
    local = series.indexed(frame, meta)
    hourly = load.groupby(local.index.hour).sum()
    mean = (matrix.iloc[:, 0] * hourly).sum() / hourly.sum()
    assert mean == pytest.approx(result.figures.renewable.matched_ratio, rel=1e-9)
    without = series.coverage(series.indexed(result.timeseries, meta))
    assert (without.iloc[:, 0] * hourly).sum() / hourly.sum() > mean + 0.01  # grid power in the battery


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
