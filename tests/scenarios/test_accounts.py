"""Boundaries, the battery's settlement and own plants, from the study to the figures."""

from __future__ import annotations

import numpy as np
import pytest

from scenarios import Result, Study, simulate
from scenarios.plain import plain_figures
from scenarios.summary import compare
from simulators.errors import InputError
from simulators.report import account
from simulators.report.progress import summary_table
from tests.conftest import call_app
from tests.scenarios.runs import hourly_file

SMALL = Study().changed(
    days=0.125, start="2017-06-05T20:00", step=300, model="meta-llama/Meta-Llama-3-8B", gpu="a100", tp=1, replicas=1,
    rate=0.3, pv_kw=0.5, wind_kw=5, battery_kwh=2.0, iteration_time="roofline",
)  # fmt: skip
"""An evening: the battery empties into the load."""
GERMANY = SMALL.changed(site="germany", start="2023-06-05T20:00")


@pytest.fixture(scope="module")
def evening() -> Result:
    return simulate(SMALL)


def test_the_initial_charge_is_not_free(evening):
    """A day that emptied its battery came out 35 % cleaner than it was."""
    carbon, cost, battery = evening.figures.carbon_kg, evening.figures.import_cost, evening.figures.storage
    frame = evening.timeseries
    imported = frame["import_mw"]
    mean_g = (imported * frame["carbon_intensity_g_per_kwh"]).sum() / imported.sum()
    mean_price = (imported * frame["price_per_kwh"]).sum() / imported.sum()
    missing_kwh = 0.5 * 2.0 - frame["stored_mwh"].iloc[-1] * 1e3
    assert missing_kwh > 0.5
    owed_kwh = missing_kwh / np.sqrt(0.85)
    assert battery.settled_mwh * 1e3 == pytest.approx(owed_kwh, rel=1e-9)
    assert battery.stored_change_mwh * 1e3 == pytest.approx(-missing_kwh, rel=1e-9)
    assert (battery.soc_start, battery.mean_over) == (0.5, "import")
    assert battery.soc_end == pytest.approx(frame["stored_mwh"].iloc[-1] * 1e3 / 2.0)
    assert carbon.battery_settlement == pytest.approx(owed_kwh * mean_g / 1e3, rel=1e-9)
    assert cost.battery_settlement == pytest.approx(owed_kwh * mean_price, rel=1e-9)
    assert cost.total == pytest.approx(cost.value + cost.battery_settlement)
    assert carbon.total == pytest.approx(carbon.operational + carbon.battery_settlement + carbon.embodied)


def test_the_settlement_is_told_everywhere(evening):
    summary = evening.to_json()
    assert summary["carbon_kg"]["battery_settlement"] > 0
    assert summary["storage"]["settled_mwh"] > 0
    page, terminal = account.section(summary), summary_table(summary)
    assert "The battery began at 50.0 % and ended at 10.0 %" in page
    assert "Battery back at its start" in page
    for words in ("Carbon, battery back at its start", "Cost", "Battery, start and end"):
        assert words in terminal


def test_a_difference_within_rounding_is_none(evening):
    figures = evening.figures
    carbon = figures.carbon_kg
    rounded = figures.model_copy(
        update={"carbon_kg": carbon.model_copy(update={"operational": carbon.operational * (1 + 4e-16)})}
    )
    assert rounded.carbon_kg.settled != carbon.settled
    found = compare("carbon", rounded, figures)
    assert (found.kg_saved, found.kg_saved_relative) == (0.0, 0.0)


def test_a_policy_that_empties_the_battery_has_saved_nothing_by_that(evening):
    full = simulate(SMALL.changed(dispatch="none"))
    saved = compare("emptying", evening.figures, full.figures)
    before = full.figures.carbon_kg.operational
    work = evening.figures.inference.decode_tokens / full.figures.inference.decode_tokens
    unsettled = before * work - evening.figures.carbon_kg.operational
    assert unsettled > 0.2 * before  # what it looked like
    assert saved.kg_saved < 0.05 * before  # a round trip's losses, and the evening's intensity


def test_a_battery_that_ends_as_it_began_is_brought_back():
    for step in (60, 300, 900):
        result = simulate(SMALL.changed(soc_end="start", step=step))
        battery = result.figures.storage
        assert battery.soc_end == pytest.approx(0.5, abs=1e-9), step
        assert result.figures.carbon_kg.battery_settlement == pytest.approx(0.0, abs=1e-9)
        assert result.timeseries["charge_mw"].sum() > 0  # from the grid, at the end
        assert result.timeseries["discharge_mw"].sum() > 0
        assert result.figures.balance.max_relative_residual < 1e-9
    assert "nothing to settle" in account.section(result.to_json())


def test_a_closed_connection_keeps_what_no_load_takes():
    """Noon, a full site that may not export: coming back from above waits for the load, and the rest is settled."""
    noon = SMALL.changed(
        start="2017-06-05T11:00", pv_kw=6, export_limit_kw=0.0, soc_end="start", battery_kwh=20
    )
    battery = simulate(noon).figures.storage
    assert battery.soc_end >= 0.5 - 1e-9


def test_without_import_the_mean_is_over_time():
    still = SMALL.changed(
        start="2017-06-05T10:00", pv_kw=40, soc_start=0.5, days=0.05, without=["wind"], step=60
    )
    figures = simulate(still).figures
    assert figures.energy_mwh.grid_import == 0.0
    assert figures.storage.mean_over == "time"
    assert figures.carbon_kg.battery_settlement < 0 < figures.storage.stored_change_mwh
    assert "as nothing was imported" in account.section(plain_figures(figures))


def test_without_an_average_series_the_settlement_is_null_with_its_reason(evening):
    figures = simulate(SMALL.changed(without=["carbon", "price"])).figures
    carbon = figures.carbon_kg
    assert (carbon.battery_settlement, carbon.total) == (None, None)
    assert "no average carbon intensity" in carbon.reasons["battery_settlement"]
    assert figures.storage.settled_mwh == pytest.approx(evening.figures.storage.settled_mwh)
    assert figures.import_cost is None


def test_the_settlement_does_not_hang_on_the_step():
    """The same load and series in steps of 60 and 300 s; the battery's own bound is wider than this."""
    fine, coarse = (simulate(SMALL.changed(step=step)).figures for step in (60, 300))
    assert coarse.storage.settled_mwh == pytest.approx(fine.storage.settled_mwh, rel=1e-6)
    assert coarse.carbon_kg.battery_settlement == pytest.approx(fine.carbon_kg.battery_settlement, rel=0.02)
    assert coarse.own_supply["battery"].kg == pytest.approx(fine.own_supply["battery"].kg, rel=1e-12)
    assert coarse.own_supply["pv"].kg == pytest.approx(fine.own_supply["pv"].kg, rel=1e-3, abs=1e-9)


def test_a_life_cycle_series_brings_own_supply_into_the_account():
    """Own PV and wind counted 0 g/kWh beside a grid with its life cycle."""
    figures = simulate(GERMANY).figures
    carbon, supply = figures.carbon_kg, figures.own_supply
    assert carbon.boundary == "life-cycle"
    assert carbon.own_supply == pytest.approx(sum(part.kg for part in supply.values()))
    assert supply["pv"].kg == pytest.approx(figures.energy_mwh.pv * 41.0, rel=1e-9, abs=1e-12)
    assert supply["wind"].kg == pytest.approx(figures.energy_mwh.wind * 11.0, rel=1e-9)
    assert supply["battery"].kg == pytest.approx(2.0 * 83.5 * 0.125 / 365.25 / 15, rel=1e-9)
    assert (supply["wind"].low_kg, supply["wind"].high_kg) == pytest.approx(
        (supply["wind"].kg * 7 / 11, supply["wind"].kg * 56 / 11)
    )
    assert carbon.total == pytest.approx(
        carbon.operational + carbon.battery_settlement + carbon.own_supply + carbon.embodied
    )


def test_the_switch_moves_grid_and_own_supply_together():
    whole, burnt = simulate(GERMANY), simulate(GERMANY.changed(boundary="operational"))
    assert burnt.figures.carbon_kg.own_supply == 0.0
    assert burnt.figures.carbon_kg.operational < whole.figures.carbon_kg.operational
    entry = next(one for one in burnt.plan.inputs if one.what == "carbon intensity")
    assert (entry.basis, entry.column) == ("direct", "direct[gCO2eq/kWh]")
    for one in (whole, burnt):  # both numbers, whichever counts
        for name, other in (("life-cycle", whole), ("operational", burnt)):
            found, carbon = one.figures.boundaries[name], other.figures.carbon_kg
            assert found.total == pytest.approx(carbon.total, rel=1e-12)
            assert found.grid == pytest.approx(carbon.operational, rel=1e-12)
    page = account.section(burnt.to_json())
    assert "Operational, counted here" in page
    assert "IPCC AR5" in page


def test_a_series_of_the_other_boundary_is_refused(tmp_path):
    life = hourly_file(tmp_path, "lifecycle[gCO2eq/kWh]", [400.0])
    with pytest.raises(
        InputError, match=r"is life cycle, but --boundary operational counts direct emissions; exp"
    ):
        simulate(SMALL.changed(carbon=str(life), boundary="operational"))
    direct = hourly_file(tmp_path, "direct[gCO2eq/kWh]", [300.0])
    with pytest.raises(InputError, match=r"expected a life cycle series, or --boundary operational"):
        simulate(SMALL.changed(carbon=str(direct), boundary="life-cycle"))


def test_a_column_that_was_named_is_not_changed_for_another(tmp_path):
    both = hourly_file(tmp_path, "lifecycle[gCO2eq/kWh],direct[gCO2eq/kWh]", [400.0], [300.0])
    named = SMALL.changed(carbon={"path": str(both), "column": "lifecycle"})
    assert simulate(named).figures.carbon_kg.boundary == "life-cycle"
    with pytest.raises(InputError, match="is life cycle, but --boundary operational"):
        simulate(named.changed(boundary="operational"))


def test_a_series_that_does_not_say_is_flagged(evening):
    assert any("does not say whether it is direct or life cycle" in note for note in evening.notes)
    counted = simulate(SMALL.changed(boundary="life-cycle"))
    assert any("counts as life cycle" in note for note in counted.notes)
    assert counted.figures.carbon_kg.own_supply > 0
    assert counted.figures.boundaries == evening.figures.boundaries


def test_a_marginal_series_settles_the_battery_in_a_line_of_its_own(tmp_path, evening):
    moer = hourly_file(tmp_path, "marginal_carbon_intensity[gCO2eq/kWh]", [500.0, 600.0, 700.0])
    result = simulate(SMALL.changed(marginal=str(moer)))
    carbon, battery = result.figures.carbon_kg, result.figures.storage
    assert 500.0 < carbon.settlement_marginal / battery.settled_mwh < 700.0
    assert carbon.battery_settlement == evening.figures.carbon_kg.battery_settlement


def test_toml_says_the_boundary():
    said = Study.from_toml("""
        [[sites]]
        accounting = {boundary = "life-cycle", pv_g_per_kwh = 30}
        storage = {soc_end = "start"}
        """).site
    assert (said.accounting.boundary, said.accounting.pv_g_per_kwh, said.storage.soc_end) == (
        *("life-cycle", 30.0, "start"),
    )
    with pytest.raises(InputError, match="boundary"):
        Study().changed(boundary="scope 4")


def test_factors_of_ones_own(evening):
    own = SMALL.changed(boundary="life-cycle", pv_g_per_kwh=0.0, wind_g_per_kwh=40.0, battery_kg_per_kwh=0.0)
    figures = simulate(own).figures
    assert figures.carbon_kg.own_supply == pytest.approx(figures.energy_mwh.wind * 40.0)


def test_two_sites_are_counted_within_one_boundary():
    both = Study(run=SMALL.run, sites=(SMALL.site.model_copy(update={"name": "west"}),
                                       SMALL.site.model_copy(update={"name": "east"})))  # fmt: skip
    west, east = both.sites
    east = east.model_copy(update={"place": GERMANY.site.place})
    run = both.run.model_copy(update={"start": "2022-06-20T20:00"})
    west = west.model_copy(update={"place": west.place.model_copy(update={"align": "calendar"})})
    result = simulate(Study(run=run, sites=(west, east)))
    assert [f.carbon_kg.boundary for f in result.sites.values()] == ["operational", "life-cycle"]
    carbon = result.figures.carbon_kg
    assert carbon.boundary == "life-cycle"
    expected = sum(f.boundaries["life-cycle"].total for f in result.sites.values())
    assert carbon.total == pytest.approx(expected, rel=1e-12)
    assert set(result.figures.own_supply) == {
        f"{s}: {k}" for s in ("west", "east") for k in ("pv", "wind", "battery")
    }
    assert "east: PV" in account.section(result.to_json())


def test_the_turbine_is_told(evening):
    wind = evening.figures.plants["wind"]
    assert (wind.model, wind.hub_height_m, wind.rated_kw) == ("Bergey Excel 10", 24.0, 5.0)
    assert wind.machines == pytest.approx(5 / 12.555)
    mean_kw = evening.timeseries["wind_mw"].mean() * 1e3
    assert wind.capacity_factor == pytest.approx(mean_kw / 5.0, rel=1e-9)
    page = account.section(evening.to_json())
    for words in ("Bergey Excel 10", "24 m", "Capacity factor"):
        assert words in page
    assert "Bergey Excel 10, hub at 24 m, capacity factor" in summary_table(evening.to_json())


def test_a_turbine_of_ones_own_choice():
    chosen = simulate(SMALL.changed(wind_turbine="E-126/4200", wind_hub_height=135.0, days=0.05)).figures
    assert chosen.plants["wind"].model == "E-126/4200"
    with pytest.raises(InputError, match=r"--wind-turbine: Excel 10 given, but .* gives wind per unit"):
        simulate(GERMANY.changed(wind_turbine="Excel 10"))
    with pytest.raises(InputError, match=r"wind turbine: 'Excel 11' is unknown.*did you mean Excel 10"):
        simulate(SMALL.changed(wind_turbine="Excel 11"))


def test_turbines_are_listed():
    from scenarios import catalogue

    listed = call_app(catalogue.app("turbines"))
    assert listed.code == 0
    assert "Excel 10" in listed.out
    assert "E-126/4200" in listed.out
