"""Flows, carbon and coverage against numbers worked out by hand."""

from datetime import date

import numpy as np
import pandas as pd
import pytest

from simulators.quantities.latencies import LatencyRecord
from simulators.report import series
from simulators.report.charts import Charts
from simulators.report.labels import RunMeta
from tests.report import synthetic


def frame(**columns):
    n = len(next(iter(columns.values())))
    return pd.DataFrame({"time": pd.date_range(synthetic.START, periods=n, freq="1h"), **columns})


def test_flows_split_surplus_in_proportion_to_generation():
    flows = series.power_flows(
        frame(pv_mw=[3.0], wind_mw=[1.0], facility_mw=[2.0], charge_mw=[1.5], export_mw=[0.5])
    )
    assert flows.iloc[0][["pv", "wind", "battery", "grid", "load"]].tolist() == [1.5, 0.5, 0.0, 0.0, 2.0]


def test_flows_charge_the_battery_from_the_grid_when_nothing_is_generated():
    flows = series.power_flows(frame(pv_mw=[0.0], facility_mw=[2.0], charge_mw=[1.0], import_mw=[3.0]))
    assert flows.iloc[0][["pv", "grid", "charge"]].tolist() == [0.0, 2.0, 1.0]


def test_supply_to_the_load_adds_up_to_the_load_in_every_row():
    flows = series.power_flows(synthetic.timeseries(days=2))
    supply = flows[["pv", "wind", "battery", "grid"]].sum(axis=1)
    np.testing.assert_allclose(supply, flows["load"], rtol=1e-12)
    assert (flows.to_numpy() >= -1e-15).all()


def test_carbon_is_import_times_intensity_and_the_sum_is_in_kg():
    rows = frame(import_mw=[1.0, 0.0], facility_mw=[2.0, 1.0], carbon_intensity_g_per_kwh=[100.0, 300.0])
    flows = series.carbon_flows(rows, 1800)
    assert flows["rate"].tolist() == [100.0, 0.0]  # 1 MW at 100 g/kWh: 1000 kWh/h x 0.1 kg/kWh
    assert flows["total"].tolist() == [50.0, 50.0]
    assert flows["total_without"].tolist() == [100.0, 250.0]


def test_coverage_is_by_local_hour_and_a_surplus_does_not_carry_over():
    n = 48
    pv = np.where(np.arange(n) % 2 == 0, 3.0, 0.0)  # half an hour of plenty, half an hour of nothing
    rows = pd.DataFrame(
        {
            "time": pd.date_range(synthetic.START, periods=n, freq="30min"),
            "pv_mw": pv,
            "facility_mw": 1.0,
            "export_mw": np.where(pv > 0, 2.0, 0.0),
            "import_mw": np.where(pv > 0, 0.0, 1.0),
        }
    )
    matrix = series.coverage(series.indexed(rows, synthetic.META))
    assert matrix.shape == (24, 1)
    assert matrix.columns[0] == date(2016, 8, 1)
    np.testing.assert_allclose(matrix.to_numpy(), 0.5)


def test_coverage_leaves_hours_outside_the_run_empty_and_survives_the_end_of_summer_time():
    rows = frame(pv_mw=[1.0] * 49, facility_mw=[2.0] * 49, import_mw=[1.0] * 49)
    rows["time"] = pd.date_range("2016-11-05 08:00", periods=49, freq="1h", tz="UTC")
    matrix = series.coverage(series.indexed(rows, RunMeta("x", 3600, "America/Los_Angeles")))
    assert matrix.shape == (24, 3)
    assert np.isnan(matrix.iloc[0, 0])
    assert matrix.iloc[1, 0] == 0.5
    assert matrix.notna().to_numpy().sum() == 48  # 49 hours, two of them called one o'clock


@pytest.mark.parametrize(
    ("rows", "step_s", "most", "width_s"),
    [(600, 1, 700, 1), (10_080, 60, 700, 900), (525_600, 60, 700, 86_400), (10_000, 7, 700, 105)],
)
def test_interval_of_a_picture_fits_its_width(rows, step_s, most, width_s):
    assert series.bin_s(rows, step_s, most) == width_s
    assert rows * step_s / width_s <= most


def test_percentiles_over_time_keep_empty_hours_and_bring_the_record_to_local_time():
    record = LatencyRecord()
    record.add(
        {
            "arrived_at": [10.0, 20.0, 7300.0],
            "prefill_completed_at": [11.0, 23.0, 7305.0],
            "completed_at": [11.0, 23.0, 7305.0],
            "decode_tokens": [1, 1, 1],
        }
    )
    spread = series.over_time(record, "ttft_s", pd.Timestamp(synthetic.START))
    assert list(spread) == ["p50", "p95", "p99"]
    assert spread["p50"].isna().tolist() == [False, True, False]
    assert spread["p50"].iloc[0] == pytest.approx(2.0, rel=0.005)
    assert spread.index[2] == pd.Timestamp(synthetic.START) + pd.Timedelta(hours=2)
    assert series.over_time(LatencyRecord(), "ttft_s", pd.Timestamp(synthetic.START)).empty


def test_percentiles_of_a_run_shorter_than_their_period_are_drawn():
    """A step has two ends, the last one too."""
    record = LatencyRecord()
    record.add(
        {
            "arrived_at": [10.0, 20.0],
            "prefill_completed_at": [11.0, 23.0],
            "completed_at": [11.0, 23.0],
            "decode_tokens": [1, 1],
        }
    )
    drawn = Charts(synthetic.timeseries(days=0.04), synthetic.META).latency_over_time(record)
    (p99,) = [trace for trace in drawn.data if trace.name == "p99" and trace.yaxis == "y"]
    assert len(p99.y) == 2
    assert p99.y[0] == p99.y[1] == pytest.approx(2.98, rel=0.005)
    assert p99.dx == 1e3 * record.period_s


def test_sites_add_up_as_the_schema_says():
    both = pd.DataFrame(
        {
            "time": np.repeat(pd.date_range(synthetic.START, periods=2, freq="1h"), 2),
            "site": ["b", "a"] * 2,
            "pv_mw": [1.0, 2.0, np.nan, 3.0],
            "wind_mw": [np.nan] * 4,
            "mfu": [0.1, 0.3, 0.2, 0.2],
            "soc": [0.5, 0.6, 0.5, 0.5],
            "carbon_intensity_g_per_kwh": [300.0, np.nan, 300.0, np.nan],
            "slack_mw": [7.0, 7.0, np.nan, np.nan],
        }
    )
    whole = series.all_sites(both)
    assert list(whole) == [
        "time",
        "pv_mw",
        "wind_mw",
        "mfu",
        "slack_mw",
    ]  # soc and intensity are not the sites' both
    assert whole["pv_mw"].tolist() == [3.0, 3.0]
    assert whole["wind_mw"].isna().all()
    np.testing.assert_allclose(whole["mfu"], [0.2, 0.2])
    assert whole["slack_mw"].fillna(-1.0).tolist() == [7.0, -1.0]
    assert series.sites(both) == ["b", "a"]
    pd.testing.assert_frame_equal(series.all_sites(both[both["site"] == "a"]), series.of_site(both, "a"))
    with pytest.raises(KeyError, match="no site 'c', there is b, a"):
        series.of_site(both, "c")


def test_marginal_flows_use_the_marginal_column():
    rows = frame(import_mw=[1.0], carbon_intensity_g_per_kwh=[100.0], marginal_intensity_g_per_kwh=[700.0])
    assert series.carbon_kinds(rows) == ["average", "marginal"]
    assert series.carbon_flows(rows, 3600, "marginal")["total"].tolist() == [700.0]
