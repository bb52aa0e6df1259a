"""Contracts, carbon-free shares, tariffs, assumptions and ranges, from the study to the figures."""

from __future__ import annotations

import numpy as np
import pytest

from scenarios import Result, Study, simulate
from scenarios.headline import Headline, Moved
from simulators.errors import InputError
from simulators.report import books
from simulators.report.progress import summary_table
from tests.scenarios.runs import hourly_file

SMALL = Study().changed(
    days=0.125, start="2017-06-05T20:00", step=300, model="meta-llama/Meta-Llama-3-8B", gpu="h100", tp=1, replicas=1,
    rate=0.3, pv_kw=0.5, wind_kw=5, battery_kwh=2.0, iteration_time="roofline",
)  # fmt: skip
"""An evening: the battery empties into the load."""
GREEN = {"residual_mix": 600.0, "residual_mix_low": 500.0, "residual_mix_high": 650.0}


@pytest.fixture(scope="module")
def evening() -> Result:
    return simulate(SMALL.changed(ppa_share=0.25, go_mwh=0.0005, **GREEN))


def test_market_based_stands_beside_location_based(evening):
    scope2, carbon, energy = evening.figures.scope2, evening.figures.carbon_kg, evening.figures.energy_mwh
    covered = scope2.ppa_mwh + scope2.go_mwh
    assert scope2.location_kg == carbon.operational
    assert scope2.go_mwh == pytest.approx(0.0005)
    assert scope2.market_kg == pytest.approx((energy.grid_import - covered) * 600)
    mean = scope2.market_kg / energy.grid_import
    assert scope2.market_settlement_kg == pytest.approx(evening.figures.storage.settled_mwh * mean)
    assert scope2.market_total_kg == pytest.approx(
        scope2.market_kg + scope2.market_settlement_kg + carbon.own_supply + carbon.embodied
    )
    assert evening.figures.sci.g_per_request == pytest.approx(
        1e3 * carbon.total / evening.figures.inference.requests_completed
    )  # contracts leave it alone


def test_without_a_residual_mix_there_is_a_reason_and_no_guess():
    figures = simulate(SMALL.changed(go_share=0.5)).figures
    assert (figures.scope2.market_kg, figures.scope2.market_total_kg) == (None, None)
    assert "no residual mix was given" in figures.reasons["scope2.market_kg"]
    assert figures.uncertainty.market_kg is None
    assert "no residual mix" in books.carbon(
        {"scope2": figures.scope2.model_dump(), "reasons": figures.reasons}
    )


def test_the_carbon_free_part_of_the_grid_is_read_beside_its_intensity(tmp_path):
    file = hourly_file(
        tmp_path,
        "Carbon Intensity gCO₂eq/kWh (direct),Carbon Intensity gCO₂eq/kWh (LCA),Low Carbon Percentage,"
        "Renewable Percentage",
        [300.0], [350.0], [40.0, 60.0], [20.0],
    )  # fmt: skip
    result = simulate(SMALL.changed(carbon=str(file)))
    frame, figures = result.timeseries, result.figures
    assert set(frame["grid_carbon_free"].round(9)) <= {0.4, 0.6}
    direct = np.minimum(frame.facility_mw, frame.pv_mw + frame.wind_mw)
    rest = frame.facility_mw - direct  # the battery began with energy of no known origin
    by_hand = (direct + rest * frame.grid_carbon_free).sum() / frame.facility_mw.sum()
    assert figures.renewable.carbon_free_ratio == pytest.approx(by_hand, rel=1e-9)
    assert figures.renewable.carbon_free_ratio > figures.renewable.matched_ratio
    assert any(entry.what == "grid's carbon-free share" for entry in result.inputs)
    other = hourly_file(tmp_path, "cfe[1]", [0.9])
    told = simulate(SMALL.changed(carbon_free=str(other))).figures
    assert told.renewable.carbon_free_ratio > 0.9


def test_a_file_without_it_says_so(evening):
    assert evening.figures.renewable.carbon_free_ratio is None
    assert "--carbon-free" in evening.figures.reasons["renewable.carbon_free_ratio"]
    assert not any("carbon-free" in note for note in evening.notes)


def test_a_share_that_cannot_be_read_is_told_and_stops_nothing(tmp_path):
    file = hourly_file(
        tmp_path, "Carbon Intensity gCO₂eq/kWh (LCA),Low Carbon Percentage", [350.0], [40.0, float("nan")]
    )
    result = simulate(SMALL.changed(carbon=str(file)))
    assert result.figures.renewable.carbon_free_ratio is None
    assert any("carbon-free share could not be read" in note for note in result.notes)


def test_a_plant_under_contract_counts_hour_by_hour(tmp_path):
    file = hourly_file(tmp_path, "output[kW]", [0.2, 5.0])
    result = simulate(SMALL.changed(ppa_profile=str(file), **GREEN))
    frame, figures = result.timeseries, result.figures
    covered = np.minimum(frame.import_mw, frame.contracted_mw)
    assert set(frame.contracted_mw.round(12)) == {0.0002, 0.005}
    assert figures.scope2.ppa_mwh == pytest.approx(covered.sum() * 300 / 3600)
    assert figures.renewable.matched_ratio_with_contract > figures.renewable.matched_ratio
    gas = simulate(SMALL.changed(ppa_profile=str(file), ppa_g_per_kwh=400.0, **GREEN)).figures
    assert gas.renewable.matched_ratio_with_contract is None
    assert "factor above 0" in gas.reasons["renewable.matched_ratio_with_contract"]


def test_a_bare_bill_is_the_import_and_the_settlement(evening):
    cost, before = evening.figures.cost, evening.figures.import_cost
    assert cost.energy == pytest.approx(before.value)
    assert cost.settlement == pytest.approx(before.battery_settlement)
    assert cost.total == pytest.approx(before.total)
    assert (cost.unit, cost.fees, cost.demand, cost.export_revenue) == ("USD", 0.0, 0.0, 0.0)


def test_a_tariff_of_ones_own_needs_no_series():
    study = SMALL.changed(
        without=["price"], energy_price=0.1, time_of_use=["0.5 20-22 mon"], demand_per_kw=10.0, currency="eur"
    )
    result = simulate(study)
    cost, frame = result.figures.cost, result.timeseries
    local = frame.time.dt.tz_convert("America/Los_Angeles")
    price = np.where((local.dt.hour >= 20) & (local.dt.hour < 22), 0.5, 0.1)
    assert cost.energy == pytest.approx((frame.import_mw * 1e3 * 300 / 3600 * price).sum())
    assert cost.unit == "EUR"
    assert result.figures.import_cost is None
    peak = frame.set_index("time").import_mw.resample("15min").mean().max() * 1e3
    assert cost.months["2017-06"].peak_kw == pytest.approx(peak)
    table = summary_table(result.to_json())
    assert "demand charge" in table


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"currency": "EUR"}, "--currency: EUR given, but the price series is in USD"),
        ({"without": ["price"], "fees_per_kwh": 0.1}, "no price of energy is known"),
        (
            {"without": ["price"], "energy_price": 0.1, "export_at_price": True},
            "--export-at-price: no price series",
        ),
        ({"time_of_use": ["0.3 8-9"]}, "given without --energy-price"),
        ({"energy_price": 0.1, "time_of_use": ["0.3 morning"]}, "'morning' is no hours, weekdays or months"),
        ({"ppa_share": 0.5, "ppa_kwh": 3.0}, "expected one of them"),
    ],
)
def test_what_does_not_go_together_is_one_line(said, words):
    with pytest.raises(InputError, match=words):
        simulate(SMALL.changed(**said))


def test_toml_says_a_tariff_and_contracts():
    site = Study.from_toml("""
        [[sites]]
        accounting = {ppa_profile = "wind.csv", residual_mix = 620, residual_mix_source = "AIB 2023"}
        [sites.tariff]
        energy_price = 0.2
        time_of_use = [{price = 0.4, hours = "16-21", weekdays = "mon-fri"}, "0.1 0-6"]
        """).site
    assert site.tariff.time_of_use == ("0.4 16-21 mon-fri", "0.1 0-6")
    assert site.accounting.residual.source == "AIB 2023"
    assert site.accounting.ppa_profile.path.name == "wind.csv"


def test_hardware_of_ones_own_and_a_building():
    plain = simulate(SMALL).figures
    own = simulate(
        SMALL.changed(
            gpu_embodied_kg=328.0, server_embodied_kg=0.0, hardware_life_years=12.0, building_kg_per_kw=100.0
        )
    ).figures
    assert own.embodied["gpu"].kg == pytest.approx(plain.embodied["gpu"].kg)
    assert own.embodied["server"].kg == 0.0
    assert own.embodied["building"].source == "the study's own"
    assert own.carbon_kg.embodied == pytest.approx(sum(part.kg for part in own.embodied.values()))
    assert "building" not in plain.embodied


def test_only_what_was_used_is_listed(evening):
    names = {entry.name for entry in evening.figures.assumptions}
    assert {"gpu_embodied_kg", "residual_mix", "ppa_g_per_kwh", "pv_g_per_kwh", "battery_life_years"} <= names
    assert "building_kg_per_kw" not in names
    bare = simulate(SMALL.changed(without=["pv", "wind", "battery"])).figures
    names = {entry.name for entry in bare.assumptions}
    assert not names & {
        "pv_g_per_kwh",
        "wind_g_per_kwh",
        "battery_kg_per_kwh",
        "residual_mix",
        "ppa_g_per_kwh",
    }
    table = books.assumptions(evening.to_json())
    assert "residual_mix" in table
    assert "<details>" in table


def test_a_moved_load_goes_through_export_import_and_bill():
    """Noon: what is drawn more ends the export first, what is drawn less is exported."""
    result = simulate(
        SMALL.changed(
            start="2017-06-05T10:00", pv_kw=3.0, battery_kwh=0.2, energy_price=0.3, feed_in_per_kwh=0.1
        )
    )
    headline = Headline(result.plan, "site", result.figures, result.timeseries)
    base = headline.at(Moved())
    load_j = result.figures.energy_mwh.facility * 3.6e9
    for change_j in (-0.2 * load_j, 0.2 * load_j):
        into, out = headline.exchange_w(change_j)
        net = (result.timeseries.import_mw - result.timeseries.export_mw).to_numpy() * 1e6
        moved = result.timeseries.facility_mw.to_numpy() * 1e6 * change_j / load_j
        np.testing.assert_allclose(into - out, net + moved, atol=1e-6)  # nothing is lost
        assert (np.minimum(into, out) < 1e-6).all()
        there = headline.at(Moved(meter_j=change_j))
        assert np.sign(there["cost"] - base["cost"]) == np.sign(change_j)
    assert base["cost"] == pytest.approx(result.figures.cost.total)
    assert base["total_kg"] == pytest.approx(result.figures.carbon_kg.total)


def test_an_export_limit_holds_when_less_is_drawn():
    result = simulate(
        SMALL.changed(start="2017-06-05T10:00", pv_kw=3.0, battery_kwh=0.2, export_limit_kw=0.3)
    )
    headline = Headline(result.plan, "site", result.figures, result.timeseries)
    _, out = headline.exchange_w(-0.3 * result.figures.energy_mwh.facility * 3.6e9)
    assert out.max() <= 300 * (1 + 1e-9)


def test_every_headline_figure_has_its_own_drivers(evening):
    found = evening.figures.uncertainty
    for name in (
        "operational_kg",
        "market_kg",
        "total_kg",
        "cost",
        "sci_g_per_request",
        "sci_g_per_output_token",
    ):
        one = getattr(found, name)
        assert one.low < one.value < one.high, name
        widths = [driver.high - driver.low for driver in one.drivers]
        assert len(widths) == 3
        assert widths == sorted(widths, reverse=True)
    assert found.market_kg.value == pytest.approx(evening.figures.scope2.market_kg)
    assert found.cost.value == pytest.approx(evening.figures.cost.total)


def test_a_factor_moves_what_it_is_part_of_and_nothing_else(evening):
    headline = Headline(evening.plan, "site", evening.figures, evening.timeseries)
    base = headline.at(Moved())
    residual = headline.at(Moved(factors={"residual mix": 1200.0}))
    assert {name for name in base if residual[name] != base[name]} == {"market_kg"}
    assert residual["market_kg"] == pytest.approx(2 * base["market_kg"])
    life = headline.at(Moved(factors={"hardware life": 3.0}))
    assert {name for name in base if life[name] != base[name]} == {
        *("total_kg", "sci_g_per_request", "sci_g_per_output_token"),
    }
    assert life["total_kg"] - base["total_kg"] == pytest.approx(evening.figures.carbon_kg.embodied)


def test_own_factors_have_no_range():
    life_cycle = SMALL.changed(boundary="life-cycle")
    spread = simulate(life_cycle).figures.uncertainty.total_kg
    own = simulate(
        life_cycle.changed(
            pv_g_per_kwh=41.0, wind_g_per_kwh=11.0, battery_kg_per_kwh=83.5, battery_life_years=15.0,
            gpu_embodied_kg=164.0, server_embodied_kg=2500.0, hardware_life_years=6.0,
        )
    ).figures.uncertainty.total_kg  # fmt: skip
    assert own.value == pytest.approx(spread.value)
    assert own.high - own.low < spread.high - spread.low


def test_two_sites_add_up(evening):
    west = SMALL.site.model_copy(update={"name": "west"})
    east = SMALL.changed(**GREEN, energy_price=0.4).site.model_copy(update={"name": "east"})
    result = simulate(Study(run=SMALL.run, sites=(west, east)))
    both, sites = result.figures, result.sites
    assert both.cost.total == pytest.approx(sum(f.cost.total for f in sites.values()))
    assert set(both.cost.months) == {"west: 2017-06", "east: 2017-06"}
    assert both.scope2.market_kg is None  # the west has no residual mix
    assert "west: scope2.market_kg" in both.reasons
    assert both.sci.energy_kwh == pytest.approx(sum(f.sci.energy_kwh for f in sites.values()))
    assert both.uncertainty.total_kg.value == pytest.approx(both.carbon_kg.total)
    names = [entry.name for entry in both.assumptions]
    assert "gpu_embodied_kg" in names
    assert "east: residual_mix" in names


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        (
            {"go_g_per_kwh": 30.0},
            "--go-g-per-kwh: 30 given, but has an effect only with --go-share or --go-mwh",
        ),
        ({"ppa_g_per_kwh": 30.0}, "--ppa-g-per-kwh: 30 given, but has an effect only with --ppa-share"),
        (
            {"ppa_share": 0.7, "go_share": 0.6},
            "--go-share: 0.6 given beside --ppa-share 0.7, expected at most all",
        ),
        (
            {"building_life_years": 30.0},
            "--building-life-years: 30 given, but has an effect only with --building",
        ),
        ({"residual_mix": 500.0, "residual_mix_low": 600.0}, "500 given, expected at least 600 gCO2eq/kWh"),
        (
            {"residual_mix": 500.0, "residual_mix_low": 100.0, "residual_mix_high": 400.0},
            "500 given, expected at least 100 and at most 400 gCO2eq/kWh",
        ),
    ],
)
def test_contracts_that_contradict_themselves_are_refused(given, complaint):
    with pytest.raises(InputError, match=complaint):
        SMALL.changed(**given)


def test_a_moved_load_goes_no_further_than_the_connection():
    """While the grid is away nothing is imported, at the limit no more; what is drawn less was unserved first."""
    result = simulate(
        SMALL.changed(
            outage=("2017-06-05T21:00/2017-06-05T22:00",), import_limit_kw=1.0, battery_kwh=0.2, shed=False
        )
    )
    frame = result.timeseries
    headline = Headline(result.plan, "site", result.figures, frame)
    load_j = result.figures.energy_mwh.facility * 3.6e9
    away = frame.islanded.to_numpy() == 1
    more, _ = headline.exchange_w(0.3 * load_j)
    assert more[away].max() == 0
    assert more.max() <= 1000 * (1 + 1e-9)
    less, out = headline.exchange_w(-0.1 * load_j)
    assert (out == frame.export_mw.to_numpy() * 1e6).all()
    served_w = np.maximum(0.1 * frame.facility_mw - frame.unserved_mw, 0).to_numpy() * 1e6
    np.testing.assert_allclose(less, np.maximum(frame.import_mw * 1e6 - served_w, 0), atol=1e-6)
