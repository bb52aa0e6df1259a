"""A bill by hand: time of use over a change of clocks, demand by quarter hours and months, exports, settlement."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from simulators.tariff.local import LocalTimes
from simulators.tariff.options import TariffOptions
from simulators.tariff.periods import Period
from simulators.tariff.tariff import Tariff

BERLIN = ZoneInfo("Europe/Berlin")


def times(
    start: datetime, step_s: int, steps: int, zone: str = "Europe/Berlin", billing_s: int = 900
) -> LocalTimes:
    return LocalTimes.of(start, step_s, steps, zone, billing_s)


def test_time_of_use_follows_the_local_clock_when_it_changes():
    """The Sunday of the spring change has 23 hours; a price from 16 to 21 h still holds for five of them."""
    start = datetime(2024, 3, 31, tzinfo=BERLIN)
    local = times(start, 3600, 23)
    tariff = Tariff(flat=0.2, periods=(Period.parsed("0.5 16-21"),))
    price = tariff.energy_price(local)
    by_hand = [
        0.5 if 16 <= hour.hour < 21 else 0.2
        for hour in pd.date_range(pd.Timestamp(start), periods=23, freq="h")
    ]
    assert price.tolist() == by_hand
    assert (price == 0.5).sum() == 5


def test_the_first_period_that_holds_counts():
    local = times(datetime(2024, 7, 1, tzinfo=BERLIN), 3600, 168)  # a Monday
    tariff = Tariff(flat=0.1, periods=(Period.parsed("0.6 18-20 mon-fri"), Period.parsed("0.3 6-22 jul")))
    price = tariff.energy_price(local).reshape(7, 24)
    assert price[0, [5, 6, 18, 19, 20, 22]].tolist() == [0.1, 0.3, 0.6, 0.6, 0.3, 0.1]
    assert price[5, 18] == 0.3  # Saturday


@pytest.mark.parametrize(
    ("text", "hours"),
    [("1 22-6", {22, 23, 0, 1, 2, 3, 4, 5}), ("1 0-24", set(range(24))), ("1 7-9,12-13", {7, 8, 12})],
)
def test_hours_of_a_period(text, hours):
    local = times(datetime(2024, 7, 1, tzinfo=BERLIN), 3600, 24)
    assert set(np.flatnonzero(Period.parsed(text).holds(local)).tolist()) == hours


def test_months_and_weekdays_may_go_over_the_end():
    assert Period.parsed("1 nov-feb").months == (11, 12, 1, 2)
    assert Period.parsed("1 sat-mon").weekdays == (5, 6, 0)
    assert Period.parsed("1 sunday,Wednesday").weekdays == (6, 2)


@pytest.mark.parametrize(
    "text", ["", "cheap 16-21", "0.3 25-26", "0.3 16-16", "0.3 monday-", "0.3 16", "0.3 xyz", "nan 1-2"]
)
def test_what_is_no_period_is_refused(text):
    with pytest.raises(ValueError, match="expected a price and when it holds"):
        Period.parsed(text)


def test_the_peak_is_that_of_quarter_hours_not_of_minutes():
    load_w = np.full(60, 1e3)
    load_w[20:23] = 31e3  # three minutes in the second quarter
    bill = Tariff(flat=0.0, demand=10.0).bill(
        times(datetime(2024, 6, 1, tzinfo=BERLIN), 60, 60), import_w=load_w, export_w=np.zeros(60)
    )
    month = bill.months["2024-06"]
    assert month.peak_kw == pytest.approx(1.0 + 3 * 30 / 15)
    assert month.share == pytest.approx(1 / (30 * 24))
    assert bill.demand == pytest.approx(10.0 * 7.0 / (30 * 24))


def test_every_month_has_its_own_peak_and_a_whole_one_its_whole_charge():
    start = datetime(2024, 2, 1, tzinfo=BERLIN)
    days = 29 + 31
    local = times(start, 3600, days * 24 - 1)  # March has a change of clocks
    load_w = np.where(local.month == 2, 5e3, 8e3)
    bill = Tariff(flat=0.0, demand=2.0, standing=30.0).bill(local, import_w=load_w, export_w=0 * load_w)
    assert {name: (m.peak_kw, m.share) for name, m in bill.months.items()} == {
        "2024-02": (5.0, pytest.approx(1.0)),
        "2024-03": (8.0, pytest.approx(1.0)),
    }
    assert bill.demand == pytest.approx(2.0 * 13)
    assert bill.standing == pytest.approx(60.0)


def test_billing_intervals_stay_whole_when_clocks_go_back():
    """Two real hours share the wall clock's 02:00 to 03:00; their quarters are not one."""
    local = times(datetime(2024, 10, 27, tzinfo=BERLIN), 60, 25 * 60)
    _, counts = np.unique(local.slot, return_counts=True)
    assert set(counts.tolist()) == {15}


def test_lines_by_hand():
    n = 96
    rng = np.random.default_rng(3)
    into, out = rng.uniform(0, 5e3, n), rng.uniform(0, 2e3, n)
    series = rng.uniform(-0.05, 0.4, n)
    local = times(datetime(2024, 6, 3, tzinfo=BERLIN), 900, n)
    tariff = Tariff(fees=0.07, demand=5.0, standing=12.0, export_at_series=True)
    bill = tariff.bill(local, import_w=into, export_w=out, series=series, settled_kwh=3.0)
    kwh = into / 1e3 / 4
    assert bill.energy == pytest.approx((kwh * series).sum(), rel=1e-12)
    assert bill.fees == pytest.approx(kwh.sum() * 0.07, rel=1e-12)
    assert bill.export_revenue == pytest.approx((out / 1e3 / 4 * series).sum(), rel=1e-12)
    assert bill.settlement == pytest.approx(3.0 * ((kwh * series).sum() / kwh.sum() + 0.07), rel=1e-12)
    assert bill.demand == pytest.approx(5.0 * into.max() / 1e3 / 30, rel=1e-12)
    assert bill.total == pytest.approx(
        bill.energy + bill.fees + bill.demand + 12.0 / 30 + bill.settlement - bill.export_revenue
    )


def test_without_a_price_there_is_no_bill():
    local = LocalTimes.of(datetime(2024, 1, 1, tzinfo=UTC), 60, 1, "UTC")
    with pytest.raises(ValueError, match="needs its series"):
        Tariff().bill(local, import_w=[1.0], export_w=[0.0])
    assert Tariff().energy_price(local) is None


def test_options_say_what_does_not_go_together():
    with pytest.raises(ValidationError, match="given without --energy-price"):
        TariffOptions(time_of_use=("0.3 8-9",))
    with pytest.raises(ValidationError, match="expected one of them"):
        TariffOptions(feed_in_per_kwh=0.1, export_at_price=True)
    with pytest.raises(ValidationError, match="expected some of price, hours"):
        TariffOptions(time_of_use=[{"price": 1.0, "days": "mon"}])
    assert not TariffOptions().stated
    assert TariffOptions(fees_per_kwh=0.1).stated
