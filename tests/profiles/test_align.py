"""A series of one year in a run of another: same date and hour, or the same weekday beside it."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from simulators.errors import InputError
from simulators.profiles.fileref import FileRef
from simulators.profiles.profile import Profile


def year(first: str, hours: int = 8760, **more) -> Profile:
    """Every hour has its own number, counted from the first."""
    start = pd.Timestamp(first, tz="UTC").to_pydatetime()
    return Profile("price", "EUR/kWh", start, 3600, np.arange(hours, dtype=float), "p", **more)


def dates(profile: Profile, numbers: np.ndarray) -> pd.DatetimeIndex:
    return pd.DatetimeIndex([pd.Timestamp(profile.start) + pd.Timedelta(hours=float(n)) for n in numbers])


def test_calendar_keeps_date_and_hour():
    profile = year("2023-01-01", align="calendar")
    run = profile.means(datetime(2017, 6, 5, 7, tzinfo=UTC), 3600, 48)
    there = dates(profile, run)
    assert there[0] == pd.Timestamp("2023-06-05 07:00", tz="UTC")
    assert (np.diff(run) == 1).all()


def test_weekday_keeps_weekday_and_hour_and_stays_within_three_days():
    profile = year("2023-01-01", align="weekday")
    for start in (datetime(2017, 6, 5, tzinfo=UTC), datetime(2024, 9, 12, 3, tzinfo=UTC)):
        there = dates(profile, profile.means(start, 3600, 24 * 14))[0]
        assert (there.dayofweek, there.hour) == (start.weekday(), start.hour)
        assert abs((there - pd.Timestamp(start).replace(year=2023)).total_seconds()) <= 3.5 * 86400


@pytest.mark.parametrize("align", ["calendar", "weekday"])
def test_a_run_over_new_year_takes_both_ends_of_a_year(align):
    profile = year("2023-01-01", align=align)
    there = dates(profile, profile.means(datetime(2019, 12, 30, tzinfo=UTC), 3600, 24 * 4))
    if align == "calendar":
        assert [f"{day:%m-%d}" for day in there[::24]] == ["12-30", "12-31", "01-01", "01-02"]
    run = pd.date_range("2019-12-30", periods=96, freq="h", tz="UTC")
    if align == "weekday":
        assert (there.dayofweek == run.dayofweek).all()


def test_the_leap_day_takes_the_28th():
    profile = year("2023-01-01", align="calendar")
    there = dates(profile, profile.means(datetime(2024, 2, 28, tzinfo=UTC), 86400, 3) - 11.5)
    assert [f"{day:%m-%d}" for day in there] == ["02-28", "02-28", "03-01"]


def test_finer_and_coarser_steps_have_the_same_mean():
    profile = year("2023-01-01", align="calendar")
    start = datetime(2017, 6, 5, 0, 20, tzinfo=UTC)
    fine, coarse = profile.means(start, 300, 48), profile.means(start, 14400, 1)
    assert fine.mean() == pytest.approx(coarse[0], rel=1e-12)


def test_several_years_use_the_nearest():
    profile = year("2021-01-01", hours=3 * 8760, align="calendar")
    assert dates(profile, profile.means(datetime(2026, 5, 1, tzinfo=UTC), 3600, 1))[0].year == 2023


def test_a_date_that_the_file_lacks_is_refused():
    profile = year("2023-06-01", hours=24 * 10, align="calendar")
    with pytest.raises(InputError, match="has no counterpart of 07-01 00:00"):
        profile.means(datetime(2017, 7, 1, tzinfo=UTC), 3600, 1)


def test_nothing_moves_unless_asked_and_the_message_says_how(tmp_path):
    file = tmp_path / "p.csv"
    hours = pd.date_range("2023-01-01", periods=8760, freq="h")
    file.write_text("time,price[EUR/kWh]\n" + "".join(f"{t:%Y-%m-%dT%H:%M}Z,0.1\n" for t in hours))
    start = datetime(2017, 6, 5, tzinfo=UTC)
    with pytest.raises(
        InputError, match="--price-align calendar to use this one at the same days of the year"
    ):
        FileRef(path=file).read("price").means(start, 3600, 24)
    assert FileRef(path=file, align="weekday").read("price").means(start, 3600, 24) == pytest.approx(
        [0.1] * 24
    )


@pytest.mark.parametrize(
    ("source", "run"), [("2023-01-01", 2024), ("2024-01-01", 2023), ("2021-01-01", 2028)]
)
@pytest.mark.parametrize("align", ["calendar", "weekday"])
def test_every_hour_of_a_leap_year_and_of_both_clock_changes_has_its_counterpart(source, run, align):
    """No hour is lost or doubled where clocks change: all of it is in UTC; only a leap day has to share."""
    hours = 8784 if pd.Timestamp(source).is_leap_year else 8760
    profile = year(source, hours, align=align)
    wanted = pd.date_range(f"{run}-01-01", f"{run}-12-31 23:00", freq="h", tz="UTC")
    there = dates(profile, profile.means(wanted[0].to_pydatetime(), 3600, len(wanted)))
    assert (there.hour == wanted.hour).all()
    if align == "weekday":
        assert (there.dayofweek == wanted.dayofweek).all()
        apart = np.abs((there.dayofyear - wanted.dayofyear).to_numpy())
        assert np.minimum(apart, 366 - apart).max() <= 5  # half a week, and the leap day in between
        return
    leap = (wanted.month == 2) & (wanted.day == 29)
    assert (there[~leap].strftime("%m-%d %H") == wanted[~leap].strftime("%m-%d %H")).all()
    assert len(set(there[~leap])) == int((~leap).sum())
