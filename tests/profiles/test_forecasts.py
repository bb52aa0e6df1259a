"""Forecasts as they were issued: read from their files, and what a policy is told of them, step by step."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from scenarios.series import read_series
from scenarios.span import Span
from scenarios.study import Study
from simulators.errors import InputError
from simulators.profiles.forecasts import read_forecasts
from simulators.profiles.site import load_site
from simulators.quantities.forecast import Issued, forecast
from tests.profiles import samples

LB = 0.45359237


def historical(folder: Path) -> Path:
    """WattTime's forecast/historical: two issues an hour apart, three values each."""
    data = [
        {
            "generated_at": f"2024-01-01T{hour:02d}:00:00+00:00",
            "forecast": [
                {
                    "point_time": f"2024-01-01T{hour:02d}:{minute:02d}:00+00:00",
                    "value": 900.0 + 10 * hour + minute,
                }
                for minute in (0, 5, 10)
            ],
        }
        for hour in (1, 0)
    ]
    meta = {"region": "CAISO_NORTH", "signal_type": "co2_moer", "units": "lbs_co2_per_mwh"}
    return samples.written(folder, "forecasts.json", [json.dumps({"data": data, "meta": meta})])


def test_sgip_has_thirty_six_values_per_row(tmp_path):
    read = read_forecasts(samples.sgip(tmp_path, forecasts=True))
    assert (read.values.shape, read.lead_s, read.kind) == ((36, 36), 300, "marginal")
    np.testing.assert_allclose(read.values[0], 400 + np.arange(36))


def test_watttime_counts_from_the_time_of_issue(tmp_path):
    read = read_forecasts(historical(tmp_path))
    assert pd.Timestamp(read.at_s[0], unit="s") == pd.Timestamp("2024-01-01")  # the newest came first
    np.testing.assert_allclose(read.values[0, :2], LB * np.array([905.0, 910.0]))
    one = read_forecasts(samples.watttime_v3(tmp_path, forecast=True))
    assert len(one.at_s) == 1
    np.testing.assert_allclose(one.values[0, :3], LB * np.array([901.0, 902.0, 903.0]))


def test_a_list_of_both_times_is_read(tmp_path):
    rows = [
        f"2023-06-08 0{hour}:00:00,2023-06-08 0{hour}:{minute:02d}:00,{400 + hour + minute}"
        for hour in (0, 1)
        for minute in (5, 10, 15)
    ]
    file = samples.written(tmp_path, "f.csv", ["request_time,forecast_time,Caiso_North", *rows])
    read = read_forecasts(file)
    np.testing.assert_allclose(read.values[:, :3], [[405, 410, 415], [406, 411, 416]])
    with pytest.raises(InputError, match="no forecasts as issued"):
        read_forecasts(samples.electricity_maps(tmp_path, new=True))


def test_a_policy_hears_the_latest_issue_and_no_later_one():
    now = [100.0, 110.0, 120.0, 130.0]
    told = Issued(
        now, 600, 3600, issued_s=[600.0, 1200.0], lead_s=300, forecasts=[[1, 2, 3, 4], [5, 6, 7, 8]]
    )
    assert told.at(0).tolist() == [100.0] * 6  # nothing was issued yet
    # issued at 600: 300 s ahead 1, 600 s ahead 2, ...; beyond the last value that one holds
    assert told.at(1).tolist() == [110.0, 2.0, 4.0, 4.0, 4.0, 4.0]
    assert told.at(2).tolist() == [120.0, 6.0, 8.0, 8.0, 8.0, 8.0]
    assert told.at(3).tolist() == [130.0, 8.0, 8.0, 8.0, 8.0, 8.0]
    with pytest.raises(InputError, match="one row of values for every time of issue"):
        forecast("file", now, 600, 3600, issued_s=[0.0], lead_s=300, forecasts=[[1.0], [2.0]])


def planned(span: Span, **leaves: object):
    study = Study().changed(site="germany", forecast="file", without=["pv", "wind"], **leaves).site
    return read_series(study, load_site("germany"), span)


def test_a_run_takes_the_forecasts_of_its_own_time(tmp_path):
    file = samples.sgip(tmp_path, forecasts=True)
    span = Span(datetime(2020, 6, 1, 1, 2, tzinfo=UTC), 60, 30)
    read = planned(span, carbon=str(file))
    assert read.forecasts["issued_s"][0] == -120.0  # the issue that is out when the run begins
    assert read.forecasts["issued_s"][-1] < 30 * 60
    assert any(one.what == "carbon forecasts" and one.kind == "marginal" for one in read.inputs)
    with pytest.raises(InputError, match="none in the run from 2021-01-01"):
        read_forecasts(file).for_run(datetime(2021, 1, 1, tzinfo=UTC), 3600)


def test_marginal_forecasts_are_not_told_of_an_average(tmp_path):
    file = samples.sgip(tmp_path, forecasts=True)
    average = samples.written(
        tmp_path, "ci.csv",
        ["time,avg_ci", *(f"{t:%Y-%m-%dT%H:%M}Z,300" for t in pd.date_range("2020-06-01", periods=4, freq="h"))],
    )  # fmt: skip
    span = Span(datetime(2020, 6, 1, tzinfo=UTC), 300, 12)
    with pytest.raises(
        InputError, match="forecasts are of the marginal carbon intensity, the policy sees the average"
    ):
        planned(span, carbon=str(average), carbon_forecast=str(file))
    with pytest.raises(InputError, match="--forecast file: no file of forecasts"):
        planned(Span(datetime(2023, 6, 5, tzinfo=UTC), 300, 12))
