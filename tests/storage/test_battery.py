"""A battery keeps its books, its bounds and its word."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.errors import InputError
from simulators.storage.battery import Battery, BatteryConfig

configs = st.builds(
    lambda capacity, charge, discharge, into, out, bounds, at, leak: BatteryConfig(
        capacity,
        charge * capacity,
        discharge * capacity,
        into,
        out,
        bounds[0],
        bounds[1],
        bounds[0] + at * (bounds[1] - bounds[0]),
        leak,
    ),
    st.floats(1.0, 1e8),
    st.floats(0.01, 10.0),
    st.floats(0.01, 10.0),
    st.floats(0.3, 1.0),
    st.floats(0.3, 1.0),
    st.tuples(st.floats(0.0, 1.0), st.floats(0.0, 1.0)).map(sorted),
    st.floats(0.0, 1.0),
    st.sampled_from([0.0, 0.0, 0.02, 0.5]),
)


@given(configs, st.lists(st.floats(-2.0, 2.0), max_size=40), st.sampled_from([1, 60, 900, 3600]))
def test_books_and_bounds_hold(config, wishes, dt_s):
    battery = Battery(config)
    initial_wh = battery.energy_wh
    for wish in wishes:
        low_w, high_w = battery.feasible_range(dt_s)
        assert -config.discharge_limit_w <= low_w <= 0.0 <= high_w <= config.charge_limit_w
        battery.step(min(max(wish * config.capacity_wh, low_w), high_w), dt_s)
        balance_wh = initial_wh + battery.charged_wh - battery.discharged_wh - battery.lost_wh
        scale_wh = config.capacity_wh + battery.charged_wh + battery.discharged_wh
        assert abs(battery.energy_wh - balance_wh) <= 1e-12 * scale_wh * (1 + len(wishes))
        assert battery.soc <= config.soc_max + 1e-12
        if config.self_discharge_per_day == 0.0:
            assert battery.soc >= config.soc_min - 1e-12
        assert battery.energy_wh >= 0.0


def test_round_trip_loses_fifteen_percent():
    battery = Battery(BatteryConfig(1000.0, soc_initial=0.0))
    battery.step(500.0, 3600)
    assert battery.energy_wh == pytest.approx(500.0 * 0.85**0.5)
    battery.step(-425.0, 3600)
    assert battery.energy_wh == pytest.approx(0.0, abs=1e-9)
    assert battery.lost_wh == pytest.approx(75.0)


def test_full_and_empty_are_reached_exactly():
    battery = Battery(BatteryConfig(100.0, 1e4, 1e4, 0.9, 0.9, 0.2, 0.8, 0.5))
    battery.step(battery.feasible_range(60)[1], 60)
    assert battery.soc == pytest.approx(0.8, abs=1e-12)
    assert battery.feasible_range(60)[1] == pytest.approx(0.0, abs=1e-6)
    battery.step(battery.feasible_range(60)[0], 60)
    assert battery.soc == pytest.approx(0.2, abs=1e-12)


def test_self_discharge_for_a_day():
    battery = Battery(BatteryConfig(1000.0, soc_initial=1.0, self_discharge_per_day=0.1))
    for _ in range(24):
        battery.step(0.0, 3600)
    assert battery.energy_wh == pytest.approx(900.0)
    assert battery.lost_wh == pytest.approx(100.0)


@pytest.mark.parametrize("power_w", [51.0, -51.0, float("nan")])
def test_impossible_power_is_refused(power_w):
    battery = Battery(BatteryConfig(1000.0, 50.0, 50.0))
    with pytest.raises(ValueError, match=r"-50\.0 to 50\.0 W possible"):
        battery.step(power_w, 60)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"capacity_wh": 0.0}, "capacity_wh is 0"),
        ({"capacity_wh": float("nan")}, "capacity_wh is nan"),
        ({"max_charge_w": -1.0}, "max_charge_w is -1"),
        ({"charge_efficiency": 1.2}, "charge_efficiency is 1"),
        ({"soc_min": 0.6}, "state of charge is 0"),
        ({"soc_max": 1.1, "soc_initial": 1.05}, "expected 0 <= soc_min"),
        ({"self_discharge_per_day": 1.0}, "self_discharge_per_day is 1"),
    ],
)
def test_bad_configuration_is_named(change, message):
    with pytest.raises(InputError, match=message):
        BatteryConfig(**({"capacity_wh": 100.0} | change))


@given(configs, st.lists(st.floats(-2.0, 2.0), max_size=20), st.sampled_from([60, 900, 3600]))
def test_a_battery_that_must_return_does(config, wishes, dt_s):
    """Whatever is wished for: once the time is over, it holds what it was to hold."""
    config = replace(config, self_discharge_per_day=0.0)
    battery = Battery(config)
    target_wh = battery.energy_wh
    for i, wish in enumerate(wishes):
        low_w, high_w = battery.returning_range(target_wh, dt_s, (len(wishes) - 1 - i) * dt_s)
        possible = battery.feasible_range(dt_s)
        assert possible[0] <= low_w <= high_w <= possible[1]
        battery.step(min(max(wish * config.capacity_wh, low_w), high_w), dt_s)
    assert battery.energy_wh == pytest.approx(target_wh, abs=1e-9 * config.capacity_wh)


@given(configs, st.floats(0.0, 1.0))
def test_what_settles_a_battery_brings_it_back(config, used):
    config = replace(config, self_discharge_per_day=0.0)
    battery = Battery(config)
    start_wh = battery.energy_wh
    for side in (0, 1):
        battery.step(used * battery.feasible_range(3600)[side], 3600)
        owed_wh = battery.settled_wh(start_wh)
        hours = 1.0 + abs(owed_wh) / min(config.charge_limit_w, config.discharge_limit_w)
        battery.step(owed_wh / hours, 3600 * hours)
        assert battery.energy_wh == pytest.approx(start_wh, abs=1e-9 * config.capacity_wh)
