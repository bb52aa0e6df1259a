"""The summary's figures, worked out again from the time series and the requests on disk."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from scenarios.summary import ENERGY_COLUMNS
from simulators.quantities.latencies import ERROR, latencies

from .runs import Result, result

HOURS = 60 / 3600


@pytest.fixture(scope="module")
def sunny(tmp_path_factory) -> Result:
    """From surplus, with a battery that fills and an export limit that bites, into the evening; a policy that holds."""
    return result(
        tmp_path_factory.mktemp("sunny") / "run",
        "--start", "2017-06-05T14:00", "--days", 0.2, "--export-limit-kw", 0.2, "--pv-kw", 4,
        "--policy", "solar", "--defer-hours", 1, "--deferrable-share", 0.5,
    )  # fmt: skip


def test_the_run_is_worth_testing(sunny):
    series = sunny.series
    for column in ("import_mw", "export_mw", "curtailed_mw", "charge_mw", "discharge_mw", "pv_mw", "wind_mw"):
        assert (series[column] > 1e-6).any(), column
    assert series["held"].max() > 0


def test_energies_are_sums_of_the_series(sunny):
    series, summary = sunny.series, sunny.summary
    assert len(series) == 288
    for name, column in ENERGY_COLUMNS.items():
        assert summary["energy_mwh"][name] == pytest.approx(series[column].sum() * HOURS, rel=1e-12), name


def test_every_interval_balances(sunny):
    s = sunny.series
    supply = s.pv_mw + s.wind_mw + s.import_mw + s.discharge_mw
    use = s.facility_mw + s.export_mw + s.charge_mw + s.curtailed_mw
    np.testing.assert_allclose(supply, use, rtol=1e-9)
    assert sunny.summary["balance"]["max_relative_residual"] <= 1e-9
    assert (s.export_mw <= 0.2e-3 * (1 + 1e-12)).all()
    np.testing.assert_allclose(s.it_mw + s.cooling_mw + s.losses_mw, s.facility_mw, rtol=1e-12)
    np.testing.assert_allclose(s.prefill_mw + s.decode_mw + s.idle_mw, s.gpu_mw, rtol=1e-12)
    assert s.soc.between(0.1 - 1e-9, 1 + 1e-9).all()


def test_carbon_is_import_times_intensity(sunny):
    s, kg = sunny.series, sunny.summary["carbon_kg"]
    by_hand_kg = (s.import_mw * 1e3 * HOURS * s.carbon_intensity_g_per_kwh / 1e3).sum()
    assert kg["operational"] == pytest.approx(by_hand_kg, rel=1e-9)
    # back to half of 0.5 kWh; the battery ends fuller than it began, and would give what is over
    change_kwh = s.stored_mwh.iloc[-1] * 1e3 - 0.25
    settled_kwh = -change_kwh * (np.sqrt(0.85) if change_kwh > 0 else 1 / np.sqrt(0.85))
    mean_g = (s.import_mw * s.carbon_intensity_g_per_kwh).sum() / s.import_mw.sum()
    assert kg["battery_settlement"] == pytest.approx(settled_kwh * mean_g / 1e3, rel=1e-9)
    assert kg["total"] == pytest.approx(kg["operational"] + kg["battery_settlement"] + kg["embodied"])
    assert kg["embodied"] > 0
    without_kg = (s.facility_mw * HOURS * s.carbon_intensity_g_per_kwh).sum()
    assert kg["without_own_supply"] == pytest.approx(without_kg, rel=1e-9)


def test_the_two_renewable_ratios_by_hand(sunny):
    s, ratios = sunny.series, sunny.summary["renewable"]
    made, used, dirty = s.pv_mw + s.wind_mw, s.facility_mw, s.carbon_intensity_g_per_kwh
    made = made - s.curtailed_mw
    own_share, stored, own_mw = 0.0, 0.25e-3, []
    for charge, surplus, discharge, end in zip(
        s.charge_mw, np.maximum(made - used, 0.0), s.discharge_mw, s.stored_mwh, strict=True
    ):
        if charge > 0:
            own_share += (min(charge, surplus) / charge - own_share) * (end - stored) / end
        stored = end
        own_mw.append(discharge * own_share)
    delivered = made - np.minimum(s.charge_mw, np.maximum(made - used, 0.0)) + np.array(own_mw)
    assert ratios["offset_ratio"] == pytest.approx((delivered * dirty).sum() / (used * dirty).sum(), rel=1e-9)
    direct = np.minimum(made, used).sum() / used.sum()
    assert direct <= ratios["matched_ratio"] <= 1.0
    assert 0 < ratios["self_consumption_ratio"] < 1.0


def test_request_figures_are_those_of_the_requests(sunny):
    s, figures, done = sunny.series, sunny.summary["inference"], sunny.requests
    assert s.arrived.sum() == figures["requests_arrived"]
    assert s.completed.sum() == figures["requests_completed"] == len(done)
    present = figures["requests_running"] + figures["requests_waiting"] + figures["requests_rejected"]
    assert figures["requests_arrived"] == figures["requests_completed"] + present
    assert done.index.is_unique
    for name, values in latencies(done.reset_index()).items():
        if name in ("ttft_s", "tpot_s", "e2e_s"):
            assert figures[name]["p95"] == pytest.approx(np.nanquantile(values, 0.95), rel=2 * ERROR), name
    assert figures["mfu_mean"] == pytest.approx(s.mfu.mean(), rel=1e-9)
    assert figures["gpu_power_w_mean"] == pytest.approx(s.gpu_mw.mean() * 1e6, rel=1e-9)
    assert figures["energy_j_per_output_token"] == pytest.approx(
        s.gpu_mw.sum() * 1e6 * 60 / s.decode_tokens.sum(), rel=1e-9
    )


def test_requests_lie_within_the_run_and_keep_their_deadlines(sunny):
    done = sunny.requests
    assert done.completed_at.max() <= 288 * 60
    assert (done.released_at >= done.arrived_at).all()
    assert (done.released_at <= done.arrived_at + 3600).all()
    held = done[done.released_at > done.arrived_at]
    assert len(held) > 10
    assert held.deferrable.all()
    energy_j = sunny.summary["inference"]["gpu_energy_j"]
    # what is still running at the end has its share, too
    assert done.energy_j.sum() == pytest.approx(energy_j["prefill"] + energy_j["decode"], rel=0.01)
    assert done.energy_j.sum() <= (energy_j["prefill"] + energy_j["decode"]) * (1 + 1e-12)


def test_price_times_import_is_the_bill(sunny):
    s = sunny.series
    by_hand = (s.import_mw * 1e3 * HOURS * s.price_per_kwh).sum()
    assert sunny.summary["import_cost"]["value"] == pytest.approx(by_hand, rel=1e-9)
    assert sunny.summary["import_cost"]["unit"] == "USD"


def test_rows_are_labelled_with_utc(sunny):
    series = sunny.series
    assert pd.Timestamp(series.get("time", series.index)[0]) == pd.Timestamp("2017-06-05T21:00Z")
