"""The default site worked out again from its files alone: parquet, config.json, pandas and NumPy, none of our own code.

Two days of it, so that the suite stays quick; `WATTLOOP_DAYS=7` for its whole week.

Constants stand here a second time, from their sources; what a study says is read from config.json.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from tests.scenarios.runs import Result, main_scenario

pytestmark = pytest.mark.slow

BOOKS = (
    "--ppa-share", 0.4, "--go-mwh", 0.1, "--go-g-per-kwh", 12, "--residual-mix", 430, "--residual-mix-low", 400,
    "--residual-mix-high", 460, "--residual-mix-source", "a test", "--fees-per-kwh", 0.05, "--demand-per-kw", 18,
    "--standing-per-month", 90, "--feed-in-per-kwh", 0.03, "--building",
)  # fmt: skip
"""Contracts and a tariff: they change nothing of what is simulated."""
DAYS = int(os.environ.get("WATTLOOP_DAYS", "2"))
YEAR_S = 365.25 * 86400
EFFICIENCY = 0.85  # of the battery, there and back: `storage.battery`


class Week:
    """The run's files, and what is worked out from them."""

    def __init__(self, folder: Path) -> None:
        result = Result(folder)
        self.folder, self.summary, self.options = folder, result.summary, result.options
        self.facts: dict[str, Any] = next(iter(result.config["facts"].values()))
        self.rows, self.requests = result.series, result.requests
        self.step_s = self.options["step"]
        self.hours = self.step_s / 3600
        self.kwh = {
            name: self.rows[name] * 1e3 * self.hours for name in self.rows.columns if name.endswith("_mw")
        }
        self.imported = self.kwh["import_mw"]

    @property
    def settled_kwh(self) -> float:
        """What brings the battery back to its start: charged with its losses, or given with them."""
        start_kwh = self.options["soc_start"] * self.options["battery_kwh"]
        missing = start_kwh - self.rows.stored_mwh.iloc[-1] * 1e3
        one_way = EFFICIENCY**0.5
        return missing / one_way if missing > 0 else missing * one_way

    def mean(self, column: str) -> float:
        """Mean over the import."""
        return float((self.imported * self.rows[column]).sum() / self.imported.sum())

    @property
    def embodied_kg(self) -> dict[str, float]:
        """Eight H100 (HGX H100, 1312 kg for eight), one server (2500 kg), six years; the building over twenty."""
        gpus, servers = self.facts["gpus"], int(np.ceil(self.facts["gpus"] / 8))
        share = len(self.rows) * self.step_s / YEAR_S
        # nameplate of the IT: 700 W each, hosts at full load, fans 15 %, power supply 95 %
        host_w = 2 * 280 + 360 + 4 * 20 + 30
        it_kw = (gpus * 700 + servers * host_w) / 0.85 / 0.95 / 1e3
        return {
            "gpu": gpus * 1312 / 8 * share / 6,
            "server": servers * 2500 * share / 6,
            "building": it_kw * 180 * share / 20,
        }


@pytest.fixture(scope="session")
def week(tmp_path_factory) -> Week:
    out = tmp_path_factory.mktemp("week") / "run"
    ended = main_scenario("--no-report", "--no-compare", *BOOKS, "--days", DAYS, "--out", out)
    assert ended.code == 0, ended.err
    return Week(out)


def same(found: float | None, expected: float) -> None:
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_it_is_the_default_site(week):
    assert len(week.rows) == DAYS * 1440
    assert week.requests.index.is_unique
    assert (week.options["rate"], week.options["pv_kw"], week.options["battery_kwh"]) != (None, None, None)


def test_energy(week):
    energy = week.summary["energy_mwh"]
    for name, column in {
        "it": "it_mw", "facility": "facility_mw", "pv": "pv_mw", "wind": "wind_mw", "grid_import": "import_mw",
        "grid_export": "export_mw", "battery_charge": "charge_mw", "battery_discharge": "discharge_mw",
        "curtailed": "curtailed_mw",
    }.items():  # fmt: skip
        same(energy[name], week.kwh[column].sum() / 1e3)
    r = week.rows
    supply = r.pv_mw + r.wind_mw + r.import_mw + r.discharge_mw
    use = r.facility_mw + r.export_mw + r.charge_mw + r.curtailed_mw
    np.testing.assert_allclose(supply, use, rtol=1e-9)


def test_the_battery_and_its_settlement(week):
    """The charge at the end follows from the flows alone; what is missing is charged again at the import's mean."""
    storage, carbon = week.summary["storage"], week.summary["carbon_kg"]
    one_way = EFFICIENCY**0.5
    stored = week.kwh["charge_mw"].sum() * one_way - week.kwh["discharge_mw"].sum() / one_way
    start = week.options["soc_start"] * week.options["battery_kwh"]
    assert week.rows.stored_mwh.iloc[-1] * 1e3 == pytest.approx(start + stored, rel=1e-9)
    same(storage["settled_mwh"], week.settled_kwh / 1e3)
    same(storage["stored_change_mwh"], stored / 1e3)
    same(carbon["battery_settlement"], week.settled_kwh * week.mean("carbon_intensity_g_per_kwh") / 1e3)
    same(week.summary["import_cost"]["battery_settlement"], week.settled_kwh * week.mean("price_per_kwh"))


def test_carbon_by_location(week):
    carbon, intensity = week.summary["carbon_kg"], week.rows.carbon_intensity_g_per_kwh
    operational = (week.imported * intensity).sum() / 1e3
    same(carbon["operational"], operational)
    same(week.summary["scope2"]["location_kg"], operational)
    same(carbon["without_own_supply"], (week.kwh["facility_mw"] * intensity).sum() / 1e3)
    parts = week.embodied_kg
    for kind, kg in parts.items():
        same(week.summary["embodied"][kind]["kg"], kg)
    same(carbon["embodied"], sum(parts.values()))
    settled = week.settled_kwh * week.mean("carbon_intensity_g_per_kwh") / 1e3
    same(carbon["total"], operational + settled + sum(parts.values()))


def test_own_supply_within_the_life_cycle(week):
    days = len(week.rows) * week.step_s / 86400
    battery = week.options["battery_kwh"] * 83.5 * days / 365.25 / 15
    own = {
        "pv": week.kwh["pv_mw"].sum() * 41 / 1e3,
        "wind": week.kwh["wind_mw"].sum() * 11 / 1e3,
        "battery": battery,
    }
    for kind, kg in own.items():
        same(week.summary["own_supply"][kind]["kg"], kg)
    same(week.summary["boundaries"]["life-cycle"]["own_supply"], sum(own.values()))
    same(
        week.summary["boundaries"]["life-cycle"]["total"],
        week.summary["carbon_kg"]["total"] + sum(own.values()),
    )


def test_carbon_by_contracts(week):
    scope2, whole = week.summary["scope2"], week.imported.sum()
    agreement = week.options["ppa_share"] * whole
    guarantees = min(week.options["go_mwh"] * 1e3, whole - agreement)
    rest = whole - agreement - guarantees
    kg = (guarantees * week.options["go_g_per_kwh"] + rest * week.options["residual_mix"]) / 1e3
    same(scope2["ppa_mwh"], agreement / 1e3)
    same(scope2["go_mwh"], guarantees / 1e3)
    same(scope2["residual_mwh"], rest / 1e3)
    same(scope2["market_kg"], kg)
    settled = week.settled_kwh * kg / whole
    same(scope2["market_settlement_kg"], settled)
    same(scope2["market_total_kg"], kg + settled + sum(week.embodied_kg.values()))


def test_renewable_ratios(week):
    r, ratios = week.rows, week.summary["renewable"]
    made, load = (r.pv_mw + r.wind_mw - r.curtailed_mw).to_numpy(), r.facility_mw.to_numpy()
    surplus = np.maximum(made - load, 0.0)
    share, stored, own = 0.0, week.options["soc_start"] * week.options["battery_kwh"] / 1e3, np.zeros(len(r))
    rows = zip(r.charge_mw, surplus, r.discharge_mw, r.stored_mwh, strict=True)
    for i, (charge, over, discharge, end) in enumerate(rows):
        if charge > 0 and end > stored:  # own and grid energy mix evenly
            share += (min(charge, over) / charge - share) * (end - stored) / end
        stored, own[i] = end, discharge * share
    same(ratios["matched_ratio"], np.minimum(load, made + own).sum() / load.sum())
    delivered = made - np.minimum(r.charge_mw, surplus) + own
    intensity = r.carbon_intensity_g_per_kwh
    same(ratios["offset_ratio"], (delivered * intensity).sum() / (load * intensity).sum())
    left = np.minimum(r.export_mw + r.curtailed_mw, r.pv_mw + r.wind_mw)
    same(ratios["self_consumption_ratio"], 1 - left.sum() / (r.pv_mw + r.wind_mw).sum())
    assert ratios["carbon_free_ratio"] is None  # this file does not hold it
    assert "carbon-free share" in week.summary["reasons"]["renewable.carbon_free_ratio"]


def test_the_bill(week):
    o, cost = week.options, week.summary["cost"]
    local = week.rows.time.dt.tz_convert("America/Los_Angeles")
    energy = (week.imported * week.rows.price_per_kwh).sum()
    same(week.summary["import_cost"]["value"], energy)
    same(cost["energy"], energy)
    same(cost["fees"], week.imported.sum() * o["fees_per_kwh"])
    quarters = week.rows.assign(local=local).resample("15min", on="time").import_mw.mean() * 1e3
    june = len(week.rows) * week.step_s / (30 * 86400)
    assert set(local.dt.month) == {6}
    same(cost["months"]["2017-06"]["peak_kw"], quarters.max())
    same(cost["demand"], o["demand_per_kw"] * quarters.max() * june)
    same(cost["standing"], o["standing_per_month"] * june)
    same(cost["export_revenue"], week.kwh["export_mw"].sum() * o["feed_in_per_kwh"])
    same(cost["settlement"], week.settled_kwh * (week.mean("price_per_kwh") + o["fees_per_kwh"]))
    lines = ("energy", "fees", "demand", "standing", "settlement")
    same(cost["total"], sum(cost[name] for name in lines) - cost["export_revenue"])


def test_energy_and_carbon_per_token_and_request(week):
    r, tokens = week.rows, week.rows.decode_tokens.sum()
    per_token, sci = week.summary["energy_j_per_output_token"], week.summary["sci"]
    gpu, meter = (r[name].sum() * 1e6 * week.step_s / tokens for name in ("gpu_mw", "facility_mw"))
    same(per_token["gpu"], gpu)
    same(per_token["meter"], meter)
    same(week.summary["inference"]["energy_j_per_output_token"], gpu)
    done, energy = len(week.requests), week.kwh["facility_mw"].sum()
    operational = (week.imported * r.carbon_intensity_g_per_kwh).sum() / 1e3
    settled = week.settled_kwh * week.mean("carbon_intensity_g_per_kwh") / 1e3
    embodied = sum(week.embodied_kg.values())
    intensity = 1e3 * (operational + settled) / energy
    same(sci["energy_kwh"], energy)
    same(sci["intensity_g_per_kwh"], intensity)
    same(sci["g_per_request"], (energy * intensity + 1e3 * embodied) / done)
    same(sci["g_per_output_token"], (energy * intensity + 1e3 * embodied) / tokens)
    gross = (week.kwh["facility_mw"] * r.carbon_intensity_g_per_kwh).sum()
    same(sci["g_per_request_grid"], (gross + 1e3 * embodied) / done)


def test_requests_and_latencies(week):
    r, served, done = week.rows, week.summary["inference"], week.requests
    assert served["requests_arrived"] == r.arrived.sum()
    assert served["requests_completed"] == r.completed.sum() == len(done)
    assert served["decode_tokens"] == pytest.approx(r.decode_tokens.sum(), rel=1e-12)
    same(served["gpu_power_w_mean"], r.gpu_mw.mean() * 1e6 / week.facts["gpus"])
    ttft = (done.prefill_completed_at - done.released_at).to_numpy()
    for level in (50, 95, 99):  # of a sketch, which says its error
        found = served["ttft_s"][f"p{level}"]
        assert found == pytest.approx(np.percentile(ttft, level), rel=2 * served["latency_error"])


def test_ranges_lie_around_the_figures(week):
    found, s = week.summary["uncertainty"], week.summary
    values = {
        "facility_mwh": s["energy_mwh"]["facility"],
        "operational_kg": s["carbon_kg"]["operational"],
        "market_kg": s["scope2"]["market_kg"],
        "total_kg": s["carbon_kg"]["total"],
        "import_cost": s["import_cost"]["value"],
        "cost": s["cost"]["total"],
        "j_per_output_token_gpu": s["energy_j_per_output_token"]["gpu"],
        "j_per_output_token_meter": s["energy_j_per_output_token"]["meter"],
        "sci_g_per_request": s["sci"]["g_per_request"],
        "sci_g_per_output_token": s["sci"]["g_per_output_token"],
    }
    for name, value in values.items():
        same(found[name]["value"], value)
        assert found[name]["low"] < value < found[name]["high"], name
        assert len(found[name]["drivers"]) == 3, name


def test_every_column_says_its_unit_and_what_it_is(week):
    for table in ("timeseries", "requests"):
        for field in pq.read_schema(week.folder / f"{table}.parquet"):
            assert field.metadata, f"{table}: {field.name}"
            assert field.metadata.get(b"label"), f"{table}: {field.name}"
            assert field.name == "site" or field.metadata.get(b"unit"), f"{table}: {field.name}"


def test_the_hourly_table_adds_up_to_the_same_energy(week):
    table = pd.read_csv(week.folder / "timeseries_hourly.csv", float_precision="round_trip")
    assert len(table) == 24 * DAYS
    assert table["time[local]"].iloc[0] == "2017-06-05T00:00-07:00"
    same((table["facility_mw[MW]"] * table["covered[s]"] / 3600).sum(), week.kwh["facility_mw"].sum() / 1e3)
    assert table["completed[1]"].sum() == week.rows.completed.sum()


def test_what_it_rests_on_is_listed_with_sources(week):
    listed = {entry["name"]: entry for entry in week.summary["assumptions"]}
    for name, value in {
        "gpu_embodied_kg": 164, "server_embodied_kg": 2500, "hardware_life_years": 6, "building_kg_per_kw": 180,
        "pv_g_per_kwh": 41, "wind_g_per_kwh": 11, "battery_kg_per_kwh": 83.5, "residual_mix": 430,
    }.items():  # fmt: skip
        assert listed[name]["value"] == pytest.approx(value), name
    for name, entry in listed.items():
        assert entry["source"], name
        assert entry["unit"], name
        assert entry["low"] <= entry["value"] <= entry["high"], name
    assert listed["residual_mix"]["source"] == "a test"
