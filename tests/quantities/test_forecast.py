"""Forecasts: what is known, what is assumed, what is noise."""

import numpy as np
import pytest

from simulators.errors import InputError
from simulators.quantities.forecast import Noisy, Perfect, Persistence, forecast

HOURS = 100.0 + np.arange(24 * 4) % 24 + np.arange(24 * 4) // 24 * 1000.0


def test_perfect_sees_the_future_and_repeats_its_end():
    ahead = Perfect(HOURS, 3600, 6 * 3600)
    np.testing.assert_array_equal(ahead.at(20), HOURS[20:26])
    np.testing.assert_array_equal(ahead.at(94), [*HOURS[94:], *[HOURS[-1]] * 4])


def test_persistence_repeats_yesterday_and_knows_now():
    ahead = Persistence(HOURS, 3600, 48 * 3600).at(30)
    assert ahead[0] == HOURS[30]
    np.testing.assert_array_equal(ahead[1:25], HOURS[7:31])
    np.testing.assert_array_equal(ahead[25:], HOURS[7:30])


def test_persistence_never_sees_the_future():
    changed = HOURS.copy()
    changed[31:] = -1.0
    for issue in range(31):
        np.testing.assert_array_equal(
            Persistence(HOURS, 3600).at(issue), Persistence(changed, 3600).at(issue)
        )


def test_persistence_on_the_first_day_holds_the_latest_value():
    ahead = Persistence(HOURS, 3600).at(3)
    assert ahead[0] == HOURS[3]
    np.testing.assert_array_equal(ahead[1:21], HOURS[3])
    np.testing.assert_array_equal(ahead[21:], HOURS[:3])


def test_noise_is_reproducible_grows_and_spares_now():
    flat = np.full(3000, 400.0)
    one, two = Noisy(flat, 3600, relative_error=0.1, seed=7), Noisy(flat, 3600, relative_error=0.1, seed=7)
    two.at(5)
    np.testing.assert_array_equal(one.at(9), two.at(9))
    assert not np.array_equal(one.at(9), one.at(10))
    assert not np.array_equal(one.at(9), Noisy(flat, 3600, relative_error=0.1, seed=8).at(9))
    errors = np.array([one.at(i) for i in range(2000)]) / 400.0 - 1.0
    assert np.all(errors[:, 0] == 0.0)
    assert errors[:, -1].std() == pytest.approx(0.1 * np.sqrt(23 / 24), rel=0.05)
    assert errors[:, 6].std() == pytest.approx(0.05, rel=0.05)


def test_noise_of_zero_is_perfect():
    np.testing.assert_array_equal(Noisy(HOURS, 3600, relative_error=0.0).at(11), Perfect(HOURS, 3600).at(11))


def test_by_name():
    made = forecast("noisy", HOURS, 3600, 7200, relative_error=0.2, seed=1)
    assert len(made.at(0)) == 2


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: forecast("oracle", HOURS, 3600), "expected one of perfect, persistence, seasonal, noisy"),
        (lambda: forecast("perfect", HOURS, 3600, seed=1), "unknown option 'seed'"),
        (lambda: Perfect([], 3600), "one number for every step"),
        (lambda: Perfect([1.0, np.nan], 3600), "one number for every step"),
        (lambda: Perfect(HOURS, 3600, 1800), "expected a multiple of the step"),
        (lambda: Persistence(HOURS, 7000, 7000), "a divisor of a day"),
        (lambda: Noisy(HOURS, 3600, relative_error=-1.0), "relative_error is -1"),
    ],
)
def test_bad_input_is_named(build, message):
    with pytest.raises(InputError, match=message):
        build()


def test_seasonal_looks_a_week_back_and_a_day_until_it_can():
    hours = np.arange(24 * 15, dtype=float)
    told = forecast("seasonal", hours, 3600, horizon_s=2 * 86400)
    later = told.at(24 * 8)
    assert later[0] == 24 * 8
    assert (later[1:] == hours[24 * 8 + 1 : 24 * 10] - 24 * 7).all()
    daily = forecast("persistence", hours, 3600, horizon_s=2 * 86400)
    assert (told.at(24 * 2) == daily.at(24 * 2)).all()


def test_a_coarse_forecast_is_the_mean_of_the_fine_one():
    values = np.arange(100.0)
    fine = forecast("perfect", values, 60, horizon_s=1200)
    coarse = forecast("perfect", values, 60, horizon_s=1200, mean_s=600)
    assert coarse.at(7).tolist() == [fine.at(7)[:10].mean(), fine.at(7)[10:].mean()]
    with pytest.raises(InputError, match="means over 90 s, expected whole steps of 60 s"):
        forecast("perfect", values, 60, mean_s=90)
