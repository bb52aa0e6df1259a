"""The table by the hour: rules of the schema, local time over a change of clocks, and that it can be read again."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest

from simulators.profiles.fileref import FileRef
from simulators.recorder.hourly import hourly, write_hourly


def steps(start: str, count: int, step_s: int, sites: tuple[str, ...] = ("a",)) -> pd.DataFrame:
    rng = np.random.default_rng(5)
    times = pd.date_range(start, periods=count, freq=f"{step_s}s")
    n = count * len(sites)
    return pd.DataFrame(
        {
            "time": np.repeat(times, len(sites)),
            "site": list(sites) * count,
            "facility_mw": rng.uniform(0, 1, n),
            "arrived": rng.integers(0, 9, n).astype(float),
            "stored_mwh": rng.uniform(0, 1, n),
            "vm_min_pu": rng.uniform(0.9, 1, n),
            "line_loading_max_percent": rng.uniform(0, 90, n),
            "own_column": 1.0,
        }
    )


def test_every_column_by_its_rule():
    frame = steps("2024-03-01T00:00Z", 150, 60, ("a", "b"))
    found = hourly(frame, 60, {"a": "UTC", "b": "Asia/Tokyo"})
    assert len(found) == 6
    assert found["covered[s]"].tolist() == [3600, 3600, 3600, 3600, 1800, 1800]
    second = frame[
        (frame.site == "b") & (frame.time >= "2024-03-01T01:00Z") & (frame.time < "2024-03-01T02:00Z")
    ]
    row = found[(found.site == "b") & (found["time[UTC]"] == "2024-03-01T01:00Z")].iloc[0]
    assert row["facility_mw[MW]"] == pytest.approx(second.facility_mw.mean(), rel=1e-12)
    assert row["arrived[1]"] == second.arrived.sum()
    assert row["stored_mwh[MWh]"] == second.stored_mwh.iloc[-1]
    assert row["vm_min_pu[p.u.]"] == second.vm_min_pu.min()
    assert row["line_loading_max_percent[%]"] == second.line_loading_max_percent.max()
    assert row["time[local]"] == "2024-03-01T10:00+09:00"
    assert not [name for name in found if "own_column" in name]


def test_energy_is_kept():
    frame = steps("2024-03-01T00:20Z", 1000, 60)
    found = hourly(frame, 60, {"a": "UTC"})
    assert (found["facility_mw[MW]"] * found["covered[s]"]).sum() == pytest.approx(
        frame.facility_mw.sum() * 60, rel=1e-12
    )


def test_where_steps_reach_over_the_hour_a_row_says_when_its_first_begins():
    found = hourly(steps("2024-03-01T00:05Z", 12, 600), 600, {"a": "UTC"})
    assert found["time[UTC]"].tolist() == ["2024-03-01T00:05Z", "2024-03-01T01:05Z"]
    assert found["covered[s]"].tolist() == [3600, 3600]
    found = hourly(steps("2024-03-01T00:20Z", 5, 1200), 1200, {"a": "UTC"})
    assert found["time[UTC]"].tolist() == ["2024-03-01T00:00Z", "2024-03-01T01:00Z"]


def test_a_price_is_in_the_currency_of_the_run():
    frame = steps("2024-03-01T00:00Z", 2, 3600).assign(price_per_kwh=0.25)
    assert "price_per_kwh[EUR/kWh]" in hourly(frame, 3600, {}, {"price_per_kwh": "EUR/kWh"})
    assert "price_per_kwh[1/kWh]" in hourly(frame, 3600, {})


def test_local_time_says_its_offset_where_clocks_change():
    found = hourly(steps("2024-10-26T23:00Z", 12, 900), 900, {"a": "Europe/Berlin"})
    assert found["time[local]"].tolist() == [
        "2024-10-27T01:00+02:00",
        "2024-10-27T02:00+02:00",
        "2024-10-27T02:00+01:00",
    ]


def test_it_is_read_again_as_a_profile(tmp_path):
    frame = steps("2024-03-01T00:00Z", 48, 3600)
    file = tmp_path / "hourly.csv"
    write_hourly(file, frame, 3600, {"a": "Europe/Berlin"})
    text = file.read_text()
    back = pd.read_csv(io.StringIO(text), float_precision="round_trip")
    assert back["facility_mw[MW]"].tolist() == frame.facility_mw.tolist()
    profile = FileRef(path=file, column="facility_mw").read("load")
    np.testing.assert_allclose(profile.values, frame.facility_mw * 1e6, rtol=1e-12)
