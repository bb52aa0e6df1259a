"""A battery keeps its books, its bounds and its word."""

from dataclasses import replace
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.errors import InputError
from simulators.storage.battery import BatteryConfig, Return, possible_w, returning_w, settled_wh, stepped

configs = st.builds(
    lambda capacity, charge, discharge, into, out, bounds, at, leak, taper, standby: BatteryConfig(
        capacity,
        charge * capacity,
        discharge * capacity,
        into,
        out,
        bounds[0],
        bounds[1],
        bounds[0] + at * (bounds[1] - bounds[0]),
        leak,
        taper,
        standby * capacity,
    ),
    st.floats(1.0, 1e8),
    st.floats(0.01, 10.0),
    st.floats(0.01, 10.0),
    st.floats(0.3, 1.0),
    st.floats(0.3, 1.0),
    st.tuples(st.floats(0.0, 1.0), st.floats(0.0, 1.0)).map(sorted),
    st.floats(0.0, 1.0),
    st.sampled_from([0.0, 0.0, 0.02, 0.5]),
    st.sampled_from([1.0, 1.0, 0.8, 0.3]),
    st.sampled_from([0.0, 0.0, 1e-3]),
)
plain = configs.map(lambda config: replace(config, self_discharge_per_day=0.0, taper_from=1.0, standby_w=0.0))


def range_w(config, store, dt_s):
    spec = config.spec(dt_s)
    return tuple(possible_w(spec, store, wish, spec.soc_min) for wish in (-inf, inf))


def used(config, power_w, dt_s, store=None):
    return stepped(config.spec(dt_s), store or config.store(), power_w)


@given(configs, st.lists(st.floats(-2.0, 2.0), max_size=40), st.sampled_from([1, 60, 900, 3600]))
def test_books_and_bounds_hold(config, wishes, dt_s):
    spec, store = config.spec(dt_s), config.store()
    for wish in wishes:
        low_w, high_w = range_w(config, store, dt_s)
        slack_w = 1e-9 * (config.charge_limit_w + config.standby_w)
        assert (
            -config.discharge_limit_w <= low_w <= high_w <= config.charge_limit_w + config.standby_w + slack_w
        )
        assert low_w <= config.standby_w
        assert high_w >= 0.0
        power_w = possible_w(spec, store, wish * config.capacity_wh, spec.soc_min)
        assert low_w - slack_w <= power_w <= high_w + slack_w
        store = stepped(spec, store, power_w)
        balance_wh = config.store().energy_wh + store.charged_wh - store.discharged_wh - store.lost_wh
        scale_wh = config.capacity_wh + store.charged_wh + store.discharged_wh
        assert abs(store.energy_wh - balance_wh) <= 1e-12 * scale_wh * (1 + len(wishes))
        soc = store.energy_wh / config.capacity_wh
        assert soc <= config.soc_max + 1e-12
        if config.self_discharge_per_day == 0.0:
            assert soc >= config.soc_min - 1e-12
        assert store.energy_wh >= 0.0


@pytest.mark.parametrize("taper_from", [1.0, 0.7])
@pytest.mark.parametrize("power_w", [150.0, 480.0, -300.0])
def test_the_same_hours_in_any_steps(taper_from, power_w):
    """Constant input: without self-discharge equal to rounding, with it within the share that is lost in a step."""
    hours = 5
    for leak in (0.0, 0.02):
        config = BatteryConfig(
            1000.0, 500.0, 500.0, soc_initial=0.4, taper_from=taper_from, self_discharge_per_day=leak
        )
        ends, moved = [], []
        for dt_s in (60, 300, 900, 3600):
            spec, store = config.spec(dt_s), config.store()
            for _ in range(hours * 3600 // dt_s):
                store = stepped(spec, store, possible_w(spec, store, power_w, 0.0))
            ends.append(store.energy_wh)
            moved.append(store.charged_wh + store.discharged_wh)
        bound_wh = 1e-9 + (1 - config.spec(3600).kept) * (1000.0 + max(moved))
        assert max(ends) - min(ends) <= bound_wh
        assert max(moved) - min(moved) <= bound_wh * hours


def test_round_trip_loses_fifteen_percent():
    config = BatteryConfig(1000.0, soc_initial=0.0)
    store = used(config, 500.0, 3600)
    assert store.energy_wh == pytest.approx(500.0 * 0.85**0.5)
    store = used(config, -425.0, 3600, store)
    assert store.energy_wh == pytest.approx(0.0, abs=1e-9)
    assert store.lost_wh == pytest.approx(75.0)
    assert store.moved_wh == pytest.approx(2 * 500.0 * 0.85**0.5)


def test_full_and_empty_are_reached_exactly():
    config = BatteryConfig(100.0, 1e4, 1e4, 0.9, 0.9, 0.2, 0.8, 0.5)
    store = used(config, range_w(config, config.store(), 60)[1], 60)
    assert store.energy_wh == pytest.approx(80.0, abs=1e-10)
    assert range_w(config, store, 60)[1] == pytest.approx(0.0, abs=1e-6)
    store = used(config, range_w(config, store, 60)[0], 60, store)
    assert store.energy_wh == pytest.approx(20.0, abs=1e-10)


def test_self_discharge_for_a_day():
    config = BatteryConfig(1000.0, soc_initial=1.0, self_discharge_per_day=0.1)
    store = config.store()
    for _ in range(24):
        store = used(config, 0.0, 3600, store)
    assert store.energy_wh == pytest.approx(900.0)
    assert store.lost_wh == pytest.approx(100.0)


def test_near_full_the_charging_limit_falls_linearly():
    config = BatteryConfig(1000.0, 1000.0, 1000.0, 1.0, 1.0, soc_initial=0.9, taper_from=0.8)
    store = config.store()
    assert range_w(config, store, 1e-3)[1] == pytest.approx(500.0, rel=1e-5)  # half-way between 0.8 and 1
    after = used(config, range_w(config, store, 720)[1], 720)
    # dE/dt = (1000 - E) * 5 per hour for a fifth of an hour
    assert after.energy_wh == pytest.approx(1000.0 - 100.0 * 2.718281828459045**-1.0)
    assert range_w(config, store, 3600)[0] == pytest.approx(-900.0)  # discharging does not taper


def test_standby_comes_from_the_store_and_from_the_site_when_that_is_empty():
    config = BatteryConfig(1000.0, 500.0, 500.0, 1.0, 0.5, soc_initial=0.1, standby_w=20.0)
    spec, store = config.spec(3600), config.store()
    taken = []
    for _ in range(4):
        power_w = possible_w(spec, store, 0.0, 0.0)
        store = stepped(spec, store, power_w)
        taken.append(round(power_w, 9))
    assert taken == [0.0, 0.0, 10.0, 20.0]  # 40 Wh drawn for each hour of 20 W, then what is missing
    assert (store.energy_wh, store.charged_wh) == (0.0, 30.0)
    assert store.lost_wh == pytest.approx(130.0)
    assert range_w(config, store, 3600) == (20.0, 520.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"capacity_wh": 0.0}, "capacity_wh is 0"),
        ({"capacity_wh": float("nan")}, "capacity_wh is nan"),
        ({"max_charge_w": -1.0}, "max_charge_w is -1"),
        ({"charge_efficiency": 1.2}, "charge_efficiency is 1"),
        ({"taper_from": 0.0}, "taper_from is 0"),
        ({"standby_w": -1.0}, "standby_w is -1"),
        ({"soc_min": 0.6}, "state of charge is 0"),
        ({"soc_max": 1.1, "soc_initial": 1.05}, "expected 0 <= soc_min"),
        ({"self_discharge_per_day": 1.0}, "self_discharge_per_day is 1"),
    ],
)
def test_bad_configuration_is_named(change, message):
    with pytest.raises(InputError, match=message):
        BatteryConfig(**({"capacity_wh": 100.0} | change))


@given(plain, st.lists(st.floats(-2.0, 2.0), max_size=20), st.sampled_from([60, 900, 3600]))
def test_a_battery_that_must_return_does(config, wishes, dt_s):
    """Whatever is wished for: once the time is over, it holds what it was to hold."""
    spec, store = config.spec(dt_s), config.store()
    target_wh = store.energy_wh
    for i, wish in enumerate(wishes):
        least_w, most_w = returning_w(spec, store, Return(target_wh, (len(wishes) - 1 - i) * dt_s / 3600))
        wished_w = min(max(wish * config.capacity_wh, least_w), most_w)
        store = stepped(spec, store, possible_w(spec, store, wished_w, spec.soc_min))
    assert store.energy_wh == pytest.approx(target_wh, abs=1e-9 * config.capacity_wh)


@given(plain, st.floats(0.0, 1.0))
def test_what_settles_a_battery_brings_it_back(config, share):
    store = config.store()
    start_wh = store.energy_wh
    for side in (0, 1):
        store = used(config, share * range_w(config, store, 3600)[side], 3600, store)
        owed_wh = settled_wh(config.spec(3600), store, start_wh)
        hours = 1.0 + abs(owed_wh) / min(config.charge_limit_w, config.discharge_limit_w)
        store = used(config, owed_wh / hours, 3600 * hours, store)
        assert store.energy_wh == pytest.approx(start_wh, abs=1e-9 * config.capacity_wh)
