"""Definitions against closed forms, properties, and the published case."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.carbon import accounting

SHARED = Path(__file__).resolve().parents[2] / ".." / "shared"
SOLAR = SHARED / "data" / "weather" / "solcast2022_global.zip"
GRID = SHARED / "data" / "carbon" / "watttime2023_caiso-north_actual.csv"


def amounts(highest):
    """Physical amounts: down to a millionth, so that a ratio of two stays a number."""
    values = st.floats(0, highest).map(lambda value: round(value, 6))
    return st.lists(values, min_size=8, max_size=8).map(np.array)


watts, intensities = amounts(1e6), amounts(900)


@pytest.mark.shared
def test_published_case_with_a_flat_load():
    """arXiv 2507.11417's case with its two files from their first rows: 236 W for 24.9 h, PV of 600 W."""
    if not (SOLAR.exists() and GRID.exists()):
        pytest.skip("reference data is not there")
    with zipfile.ZipFile(SOLAR) as archive:
        text = archive.read("solcast2022_global_actual.csv").decode("utf-8")
    steps = round(24.9 * 60)
    solar = pd.read_csv(io.StringIO(text))["San Francisco"].to_numpy()
    generation = 600.0 * np.repeat(solar, 5)[:steps]
    ci = np.repeat(pd.read_csv(GRID)["Caiso_North"].to_numpy(), 5)[:steps]
    load = np.full(steps, 236.0)
    offset = accounting.offset_ratio(generation, load, ci)
    gross = accounting.operational_kg(load, ci, 60)
    matched = accounting.matched_ratio(load, generation)
    print(f"published case: offset {offset:.1%}, gross {gross:.2f} kg, matched without battery {matched:.1%}")
    assert offset == pytest.approx(0.693, abs=0.005)
    assert gross == pytest.approx(2.47, rel=0.02)
    assert matched == pytest.approx(0.444, abs=0.005)


def test_operational_carbon_by_hand():
    # 2 kW for an hour at 300 g/kWh, 1 kW for an hour at 500 g/kWh
    assert accounting.operational_kg([2000.0, 1000.0], [300.0, 500.0], 3600) == pytest.approx(1.1)
    assert accounting.energy_kwh([2000.0, 1000.0], 3600) == pytest.approx(3.0)


def test_shifting_load_to_a_cleaner_hour_saves():
    saved = accounting.consequence_kg([2000.0, 0.0], [500.0, 1500.0], [600.0, 200.0], 3600)
    assert saved == pytest.approx(-0.9 + 0.3)


def test_embodied_carbon_by_hand():
    assert accounting.embodied_kg([150.0, 2500.0], [3600.0, 7200.0], 36000.0) == pytest.approx(515.0)


def test_the_two_ratios_differ_when_the_sun_shines_at_the_wrong_time():
    load, ci = np.full(4, 100.0), np.full(4, 400.0)
    generation = np.array([0.0, 0.0, 400.0, 0.0])
    assert accounting.offset_ratio(generation, load, ci) == 1.0
    assert accounting.matched_ratio(load, generation) == 0.25
    assert accounting.self_consumption_ratio(generation, [0, 0, 300.0, 0]) == 0.25


def test_offset_ratio_weighs_by_intensity():
    assert accounting.offset_ratio([100.0, 0.0], [100.0, 100.0], [100.0, 300.0]) == 0.25


def test_ratios_of_nothing_are_zero():
    zero = np.zeros(3)
    assert accounting.offset_ratio(zero, zero, zero) == 0.0
    assert accounting.matched_ratio(zero, zero) == 0.0
    assert accounting.self_consumption_ratio(zero, zero) == 0.0


def test_battery_from_own_surplus_counts_and_from_the_grid_does_not():
    load = np.array([100.0, 100.0, 100.0])
    generation = np.array([200.0, 0.0, 0.0])
    charge, discharge = np.array([100.0, 0.0, 0.0]), np.array([0.0, 50.0, 30.0])
    stored = np.array([90.0, 35.0, 2.0])
    own = accounting.own_discharge_w(load, generation, charge, discharge, stored, initial_wh=0.0)
    np.testing.assert_array_equal(own, discharge)
    assert accounting.matched_ratio(load, generation, own) == pytest.approx(180 / 300)
    grid = accounting.own_discharge_w(load, np.zeros(3), charge, discharge, stored, initial_wh=0.0)
    np.testing.assert_array_equal(grid, np.zeros(3))


def test_stored_energy_mixes():
    # 100 Wh of unknown origin, then 50 Wh own and 50 Wh grid energy: a quarter is own
    own = accounting.own_discharge_w(
        [0.0, 300.0],
        [50.0, 0.0],
        [100.0, 0.0],
        [0.0, 120.0],
        [200.0, 80.0],
        initial_wh=100.0,
    )
    np.testing.assert_allclose(own, [0.0, 30.0])
    known = accounting.own_discharge_w(
        [0.0, 300.0], [0.0, 0.0], [0.0, 0.0], [0.0, 80.0], [100.0, 20.0], 100.0, initial_own_share=1.0
    )
    np.testing.assert_allclose(known, [0.0, 80.0])


@given(watts, watts, intensities, st.floats(0.0, 3.0))
def test_ratios_stay_in_their_ranges(load, generation, ci, factor):
    matched = accounting.matched_ratio(load, generation)
    assert 0.0 <= matched <= 1.0 + 1e-12
    assert matched <= accounting.matched_ratio(load, generation * (1.0 + factor)) + 1e-12
    export = np.maximum(generation - load, 0.0)
    assert 0.0 <= accounting.self_consumption_ratio(generation, export) <= 1.0
    scaled = accounting.offset_ratio(factor * generation, load, ci)
    assert scaled == pytest.approx(factor * accounting.offset_ratio(generation, load, ci), rel=1e-9)


@given(watts, watts, intensities)
def test_without_export_the_import_is_what_was_not_matched(load, generation, ci):
    generation = np.minimum(load, generation)
    flat = np.full(8, 400.0)
    left = accounting.operational_kg(load - generation, flat, 60)
    gross = accounting.operational_kg(load, flat, 60)
    assert left == pytest.approx(
        gross * (1 - accounting.matched_ratio(load, generation)), abs=1e-9 + 1e-9 * gross
    )
    assert accounting.operational_kg(load, ci, 60) >= accounting.operational_kg(load - generation, ci, 60)


@given(watts, watts, st.floats(0.5, 1.0))
def test_own_discharge_never_exceeds_what_own_generation_put_in(load, generation, efficiency):
    stored_wh, charge, discharge, stored = 0.0, [], [], []
    for used, made in zip(load, generation, strict=True):
        wish = made - used
        charge.append(max(wish, 0.0))
        discharge.append(min(max(-wish, 0.0), stored_wh))
        stored_wh += charge[-1] * efficiency - discharge[-1]
        stored.append(stored_wh)
    own = accounting.own_discharge_w(load, generation, charge, discharge, stored, 0.0)
    assert np.all(own <= np.array(discharge) * (1 + 1e-9))
    np.testing.assert_allclose(own, discharge, rtol=1e-9, atol=1e-9)
    assert 0.0 <= accounting.matched_ratio(load, generation, own) <= 1.0 + 1e-12


def test_account_gathers_everything():
    result = accounting.account(
        step_s=3600,
        ci_g_per_kwh=[400.0, 200.0],
        load_w=[1000.0, 1000.0],
        generation_w=[2000.0, 0.0],
        import_w=[0.0, 500.0],
        export_w=[400.0, 0.0],
        curtailed_w=[100.0, 0.0],
        charge_w=[500.0, 0.0],
        discharge_w=[0.0, 500.0],
        stored_wh=[500.0, 0.0],
        initial_wh=0.0,
        embodied_kg=0.05,
    )
    assert result.operational_kg == pytest.approx(0.1)
    assert result.total_kg == pytest.approx(0.15)
    assert result.gross_kg == pytest.approx(0.6)
    delivered = (2000 - 100 - 500) * 400 + 500 * 200  # what was charged counts when it comes out
    assert result.offset_ratio == pytest.approx(delivered / 600e3)
    assert result.matched_ratio == pytest.approx(0.75)
    assert result.self_consumption_ratio == pytest.approx(0.75)


FLOWS = {
    "step_s": 3600,
    "load_w": [1000.0, 1000.0],
    "generation_w": [500.0, 0.0],
    "import_w": [500.0, 1000.0],
    "export_w": [0.0, 0.0],
    "curtailed_w": [0.0, 0.0],
    "charge_w": [0.0, 0.0],
    "discharge_w": [0.0, 0.0],
    "stored_wh": [0.0, 0.0],
    "initial_wh": 0.0,
    "embodied_kg": 0.05,
}


def test_a_marginal_series_alone_is_never_booked_as_emissions():
    """A marginal rate came out as operational carbon, under a note that called it an average."""
    result = accounting.account(**FLOWS, marginal_g_per_kwh=[600.0, 500.0])
    assert result.consequence_marginal_kg == pytest.approx(0.8)
    for name in ("operational_kg", "total_kg", "gross_kg", "offset_ratio"):
        assert getattr(result, name) is None
    missing = {"operational", "battery_settlement", "total", "without_own_supply", "offset_ratio"}
    assert set(result.reasons) == missing
    assert all("no average carbon intensity" in reason for reason in result.reasons.values())
    assert (result.embodied_kg, result.matched_ratio) == (0.05, pytest.approx(0.25))
    assert result.self_consumption_ratio == 1.0


def test_a_marginal_series_beside_an_average_one_changes_no_emission():
    average = accounting.account(**FLOWS, ci_g_per_kwh=[400.0, 200.0])
    both = accounting.account(**FLOWS, ci_g_per_kwh=[400.0, 200.0], marginal_g_per_kwh=[600.0, 500.0])
    assert average.consequence_marginal_kg is None
    assert both.consequence_marginal_kg == pytest.approx(0.8)
    assert both.operational_kg == average.operational_kg == pytest.approx(0.4)
    assert both.total_kg == pytest.approx(0.45)
    assert (both.gross_kg, both.offset_ratio) == (average.gross_kg, average.offset_ratio)
    assert not both.reasons


def test_without_any_intensity_the_ratios_of_energy_remain():
    result = accounting.account(**FLOWS)
    assert (result.operational_kg, result.consequence_marginal_kg) == (None, None)
    assert result.matched_ratio == pytest.approx(0.25)


def test_nothing_that_was_not_delivered_offsets():
    """Offset was 142 % at a site that could not export: its battery was filled, and its fill counted as offset."""
    closed = FLOWS | {
        "generation_w": [3000.0, 0.0],
        "import_w": [0.0, 1000.0],
        "charge_w": [1500.0, 0.0],
        "curtailed_w": [500.0, 0.0],
        "stored_wh": [1380.0, 1380.0],
    }
    result = accounting.account(**closed, ci_g_per_kwh=[300.0, 300.0])
    assert result.offset_ratio == pytest.approx(0.5) == result.matched_ratio
    assert result.self_consumption_ratio == pytest.approx(1 - 500 / 3000)


def test_generation_curtailed_on_command_carries_no_load_and_fills_no_battery():
    """A controller may spill generation while the load imports: the spilled part counted as matched."""
    spilled = FLOWS | {"generation_w": [2000.0, 0.0], "curtailed_w": [1500.0, 0.0]}
    assert accounting.account(**spilled, ci_g_per_kwh=[1.0, 1.0]).matched_ratio == pytest.approx(0.25)
    filled = spilled | {
        "import_w": [1500.0, 0.0], "charge_w": [1000.0, 0.0], "discharge_w": [0.0, 1000.0], "stored_wh": [1000.0, 0.0],
    }  # fmt: skip
    assert accounting.account(**filled, ci_g_per_kwh=[1.0, 1.0]).matched_ratio == pytest.approx(0.25)


@given(watts, watts, intensities, st.floats(0.5, 1.0), st.floats(0.0, 5e5))
def test_without_export_offset_never_passes_one(load, generation, ci, efficiency, power):
    stored_wh, flows = 0.0, []
    for used, made in zip(load, generation, strict=True):
        charge = min(max(made - used, 0.0), power)
        discharge = min(max(used - made, 0.0), stored_wh, power)
        stored_wh += charge * efficiency - discharge
        flows.append(
            (max(made - used, 0.0) - charge, max(used - made, 0.0) - discharge, charge, discharge, stored_wh)
        )
    curtailed, imported, charge, discharge, stored = np.array(flows).T
    result = accounting.account(
        step_s=3600, load_w=load, generation_w=generation, import_w=imported, export_w=np.zeros(8),
        curtailed_w=curtailed, charge_w=charge, discharge_w=discharge, stored_wh=stored, initial_wh=0.0,
        ci_g_per_kwh=ci,
    )  # fmt: skip
    rounding = 1e-9 * float(np.dot(load + generation, ci)) / (float(np.dot(load, ci)) or 1.0)
    assert -rounding <= result.offset_ratio <= 1.0 + rounding


def test_the_battery_is_settled_at_the_mean_of_the_import():
    # (500 * 400 + 1000 * 200) / 1500 g/kWh; 600 Wh to bring back
    result = accounting.account(**FLOWS, ci_g_per_kwh=[400.0, 200.0], settled_wh=600.0)
    assert result.settlement_kg == pytest.approx(0.6 * 400 / 1.5 / 1e3)
    assert result.total_kg == pytest.approx(0.4 + result.settlement_kg + 0.05)
    fuller = accounting.account(**FLOWS, ci_g_per_kwh=[400.0, 200.0], settled_wh=-600.0)
    assert fuller.settlement_kg == -result.settlement_kg
    none = accounting.account(**FLOWS, marginal_g_per_kwh=[600.0, 500.0], settled_wh=600.0)
    assert none.settlement_kg is None
    assert none.settlement_marginal_kg == pytest.approx(0.6 * 800 / 1.5 / 1e3)


def test_without_import_the_settlement_takes_the_mean_over_time():
    assert accounting.mean_of_import(np.zeros(4), [100.0, 200.0, 300.0, 400.0]) == 250.0


def test_own_supply_is_part_of_the_total():
    result = accounting.account(**FLOWS, ci_g_per_kwh=[400.0, 200.0], own_supply_kg=0.2)
    assert result.total_kg == pytest.approx(0.4 + 0.2 + 0.05)


@given(watts, intensities, st.sampled_from([1, 4, 60]))
def test_the_settlement_does_not_depend_on_the_step(imported, ci, parts):
    fine = accounting.mean_of_import(np.repeat(imported, parts), np.repeat(ci, parts))
    assert fine == pytest.approx(accounting.mean_of_import(imported, ci), rel=1e-9, abs=1e-9)


@given(watts, watts, intensities, st.sampled_from([4, 15]))
def test_an_account_does_not_depend_on_the_step(load, generation, ci, parts):
    """The same flows in hours and in parts of hours: every figure to 1e-9."""
    stored_wh, flows = 5e5, []
    for used, made in zip(load, generation, strict=True):
        charge = 0.5 * max(made - used, 0.0)
        discharge = min(0.5 * max(used - made, 0.0), stored_wh)
        stored_wh += 0.9 * charge - discharge
        net = used + charge - made - discharge
        flows.append((max(net, 0.0), max(-net, 0.0), charge, discharge, stored_wh))
    imported, exported, charge, discharge, stored = np.array(flows).T
    before = np.concatenate(([5e5], stored[:-1]))
    within = (before + (stored - before) * np.arange(1, parts + 1)[:, None] / parts).T.ravel()
    names = ("load_w", "generation_w", "import_w", "export_w", "charge_w", "discharge_w", "ci_g_per_kwh")
    series = dict(zip(names, (load, generation, imported, exported, charge, discharge, ci), strict=True))
    once = {"initial_wh": 5e5, "settled_wh": 5e5 - stored_wh, "curtailed_w": np.zeros(8), "stored_wh": stored}
    hours = accounting.account(step_s=3600, **series, **once)
    fine = {name: np.repeat(values, parts) for name, values in series.items()}
    once |= {"curtailed_w": np.zeros(8 * parts), "stored_wh": within}
    short = accounting.account(step_s=3600 / parts, **fine, **once)
    for name in ("settlement_kg", "total_kg", "offset_ratio", "matched_ratio", "self_consumption_ratio"):
        assert getattr(short, name) == pytest.approx(getattr(hours, name), rel=1e-9, abs=1e-9), name
