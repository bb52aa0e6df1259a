"""Times as many hands write them: layouts, zones, labels, several columns; each with what it means in UTC."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from simulators.errors import InputError
from simulators.profiles.clock import label_of, zone_of
from simulators.profiles.readers import read_csv_profile
from tests.profiles import samples

HOURS = pd.date_range("2024-01-13", periods=48, freq="h")
MIDNIGHT = datetime(2024, 1, 13, tzinfo=UTC)


def table(folder: Path, header: str, rows: list[str]) -> Path:
    return samples.written(folder, "t.csv", [header, *rows])


def price(folder: Path, times: list[str], header: str = "time"):
    return read_csv_profile(
        table(folder, f"{header},price[EUR/MWh]", [f"{t},{i}" for i, t in enumerate(times)]), "price"
    )


@pytest.mark.parametrize(
    ("layout", "hours"),
    [
        ("%Y-%m-%d %I:%M %p", 0), ("%Y%m%d %H%M", 0), ("%Y%m%dT%H%M", 0), ("%Y%m%dT%H%M%S", 0), ("%d.%m.%y %H:%M", 0),
        ("%d-%b-%Y %H:%M", 0), ("%d %b %Y %H:%M", 0), ("%Y-%m-%d %H:%M CET", -1), ("%Y-%m-%d %H:%M:%S EST", 5),
        ("%Y-%m-%d %H:%M:%S +0100", -1), ("%Y-%m-%dT%H+01", -1), ("%Y-%m-%d %H:%M Z", 0), ("%m/%d/%Y %I:%M %p", 0),
        ("%d.%m.%Y %H:%M:%S", 0), ("%Y/%m/%d %H:%M:%S", 0), ("%d-%m-%Y %H:%M", 0),
    ],
)  # fmt: skip
def test_layouts(tmp_path, layout, hours):
    profile = price(tmp_path, [t.strftime(layout) for t in HOURS])
    assert (profile.start, profile.step_s) == (MIDNIGHT + pd.Timedelta(hours=hours), 3600)
    np.testing.assert_allclose(profile.values, np.arange(48) / 1000)


@pytest.mark.parametrize("per_second", [1, 10**3, 10**6, 10**9])
def test_counts_since_1970(tmp_path, per_second):
    assert price(tmp_path, [str(int(t.timestamp()) * per_second) for t in HOURS]).start == MIDNIGHT


def test_a_spreadsheets_days_are_no_seconds(tmp_path):
    with pytest.raises(InputError, match=r"row 2 .* is a spreadsheet's count of days"):
        price(tmp_path, [f"{45304 + i / 24:.6f}" for i in range(48)])


def test_midnight_at_24_is_the_end_of_an_hour(tmp_path):
    times = [f"2024-01-{13 + i // 24} {i % 24 + 1:02d}:00" for i in range(48)]
    profile = price(tmp_path, times)
    assert (profile.start, len(profile.values)) == (MIDNIGHT, 48)


@pytest.mark.parametrize(
    ("header", "cells"),
    [
        ("Date,Hour", lambda t: f"{t:%Y-%m-%d},{t.hour}"),
        ("Date,Hour", lambda t: f"{t:%Y-%m-%d},{t.hour + 1}"),
        ("Date,HourEnding", lambda t: f"{t:%Y-%m-%d},{t.hour + 1:02d}:00"),
        ("Date,Time", lambda t: f"{t:%d.%m.%Y},{t:%H:%M}"),
        ("Year,Month,Day,Hour", lambda t: f"{t.year},{t.month},{t.day},{t.hour}"),
        ("Year,Month,Day,Hour,Minute", lambda t: f"{t.year},{t.month},{t.day},{t.hour},{t.minute}"),
    ],
)
def test_times_in_several_columns(tmp_path, header, cells):
    rows = [f"{cells(t)},{i}" for i, t in enumerate(HOURS)]
    profile = read_csv_profile(table(tmp_path, f"{header},price[EUR/MWh]", rows), "price")
    assert (profile.start, profile.step_s, len(profile.values)) == (MIDNIGHT, 3600, 48)


def test_hours_that_may_be_either_are_refused(tmp_path):
    rows = [f"2024-01-13,{hour},1" for hour in range(1, 24)]
    with pytest.raises(
        InputError, match="hours in column 'Hour' run from 1 to 23; expected 0 to 23, or 1 to 24"
    ):
        read_csv_profile(table(tmp_path, "Date,Hour,price[EUR/MWh]", rows), "price")


@pytest.mark.parametrize(
    "header", ["Interval End", "End time", "period_end", "PeriodEnd", "Hour Ending", "Datum bis"]
)
def test_ends_are_known_by_their_name(tmp_path, header):
    """`Interval End` and `End time` were taken as starts: an hour late."""
    assert label_of(header) == "end"
    assert price(tmp_path, [f"{t:%Y-%m-%d %H:%M}" for t in HOURS], header).start == datetime(
        2024, 1, 12, 23, tzinfo=UTC
    )


@pytest.mark.parametrize(
    "header", ["time", "Interval Start", "from", "Datum von", "weekend_time", "trend time"]
)
def test_starts_are_the_rest(header):
    assert label_of(header) == "start"


@pytest.mark.parametrize(
    "header",
    ["End,Start", "Interval End,Interval Start", "Datetime (Local),Datetime (UTC)", "Local time,UTC time"],
)
def test_of_several_times_the_start_in_utc_is_taken(tmp_path, header):
    """The local one, eight hours off, and the end, an hour off, were taken where they stood first."""
    first = pd.Timedelta(hours=1) if "End" in header else pd.Timedelta(hours=-8)
    rows = [f"{t + first:%Y-%m-%d %H:%M},{t:%Y-%m-%d %H:%M},{i}" for i, t in enumerate(HOURS)]
    assert read_csv_profile(table(tmp_path, f"{header},price[EUR/MWh]", rows), "price").start == MIDNIGHT


@pytest.mark.parametrize(
    "header", ["Time (CET)", "Datetime (Local)", "time [CET/CEST]", "local_time", "Zeit (MEZ)"]
)
def test_a_local_time_is_asked_for_its_zone(tmp_path, header):
    """They were taken as UTC."""
    times = [f"{t:%Y-%m-%d %H:%M}" for t in HOURS]
    with pytest.raises(
        InputError, match=r"local by their name; expected their zone: --price-timezone Europe/Berlin"
    ):
        price(tmp_path, times, header)
    path = table(tmp_path, f"{header},price[EUR/MWh]", [f"{t},{i}" for i, t in enumerate(times)])
    assert read_csv_profile(path, "price", timezone="Europe/Berlin").start == datetime(
        2024, 1, 12, 23, tzinfo=UTC
    )
    offsets = [f"{t}+05:00" for t in times]
    assert price(tmp_path, offsets, header).start == datetime(2024, 1, 12, 19, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "zone"),
    [
        ("Datetime (UTC)", "UTC"), ("utc_timestamp", "UTC"), ("time [Europe/Vienna]", "Europe/Vienna"), ("time", None),
        ("cet_cest_timestamp", "local"), ("Time (UTC+1)", "local"), ("timestamp_gmt", "UTC"), ("datetime", None),
    ],
)  # fmt: skip
def test_zones_in_headers(header, zone):
    assert zone_of(header) == zone


@pytest.mark.parametrize("change", ["2024-03-31", "2024-10-27"])
def test_a_zone_in_the_header_holds_through_clock_changes(tmp_path, change):
    utc = pd.date_range(pd.Timestamp(change, tz="UTC") - pd.Timedelta(hours=6), periods=60, freq="15min")
    local = [f"{t:%Y-%m-%d %H:%M}" for t in utc.tz_convert("Europe/Berlin")]
    profile = price(tmp_path, local, "time [Europe/Berlin]")
    assert (profile.start, len(profile.values)) == (utc[0], 60)


def test_the_newest_row_may_come_first(tmp_path):
    times = [f"{t:%Y-%m-%dT%H:%M}Z" for t in HOURS[::-1]]
    profile = price(tmp_path, times)
    assert profile.start == MIDNIGHT
    np.testing.assert_allclose(profile.values, np.arange(48)[::-1] / 1000)
    del times[20]
    with pytest.raises(InputError, match=r"row 21 .*1 row missing before 2024-01-14 04:00"):
        price(tmp_path, times)


NAIVE = HOURS.tz_localize(None)


@pytest.mark.parametrize(
    "frame",
    [
        lambda v, t: v.set_index(t), lambda v, t: v.set_index(t.rename("when")), lambda v, t: v.assign(time=t),
        lambda v, t: v.assign(a="x", t=t).set_index(["a", "t"]), lambda v, t: v.set_index(t.tz_convert("Asia/Tokyo")),
        lambda v, t: v.set_index(NAIVE.astype(str)), lambda v, t: v.set_index(NAIVE.to_period("h")),
    ],
)  # fmt: skip
def test_parquet_as_pandas_writes_it(tmp_path, frame):
    values = pd.DataFrame({"price[EUR/MWh]": np.arange(48.0)})
    frame(values, HOURS.tz_localize("UTC")).to_parquet(tmp_path / "p.parquet")
    profile = read_csv_profile(tmp_path / "p.parquet", "price")
    assert (profile.start, profile.step_s, profile.column) == (MIDNIGHT, 3600, "price[EUR/MWh]")


def test_csv_as_pandas_writes_it(tmp_path):
    berlin = pd.date_range("2024-03-30", periods=48, freq="h", tz="Europe/Berlin")
    pd.Series(np.arange(48.0), index=berlin).to_csv(tmp_path / "series.csv")
    assert read_csv_profile(tmp_path / "series.csv", "price", unit="EUR/MWh").start == berlin[0]
    frame = pd.DataFrame({"time": HOURS, "DE_LU": np.arange(48.0) / 1000})
    frame.to_csv(tmp_path / "frame.csv")
    counted = read_csv_profile(tmp_path / "frame.csv", "price")
    assert (counted.column, counted.start) == ("DE_LU", MIDNIGHT)
