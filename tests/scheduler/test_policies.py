"""Policies hold when they should and let go in time."""

from math import inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.errors import InputError
from simulators.scheduler.policies import Decision, Observation, Policy, Unhurried, policy


def seen(**values) -> Observation:
    if "ci_forecast_g_per_kwh" in values:
        ahead = np.asarray(values["ci_forecast_g_per_kwh"], dtype=float)
        values |= {"ci_forecast_g_per_kwh": ahead, "ci_g_per_kwh": ahead[0]}
    return Observation(**({"time_s": 0, "step_s": 900} | values))


def test_none_never_holds():
    assert policy("none").decide(seen()) == Decision(hold=False, release_rate_per_s=inf)


def test_carbon_holds_until_a_cleaner_hour():
    day = [500.0] * 4 + [200.0] * 4 + [400.0] * 24
    rule = policy("carbon", quantile=0.25, window_s=8 * 900)
    assert rule.decide(seen(ci_forecast_g_per_kwh=day)).hold
    assert not rule.decide(seen(ci_forecast_g_per_kwh=day[4:])).hold
    assert not rule.decide(seen(ci_forecast_g_per_kwh=day[8:])).hold  # flat: nothing to wait for


def test_carbon_looks_no_further_than_its_window():
    day = [500.0] * 8 + [100.0] * 8
    assert policy("carbon", window_s=16 * 900).decide(seen(ci_forecast_g_per_kwh=day)).hold
    assert not policy("carbon", window_s=4 * 900).decide(seen(ci_forecast_g_per_kwh=day)).hold


def test_carbon_spreads_the_release_over_the_clean_spell():
    ahead = [200.0] * 4 + [500.0] * 8
    rule = policy("carbon", quantile=0.3, window_s=12 * 900)
    assert rule.decide(seen(ci_forecast_g_per_kwh=ahead, held=72)).release_rate_per_s == 72 / 3600
    assert rule.decide(seen(ci_forecast_g_per_kwh=ahead)).release_rate_per_s == inf
    flood = policy("carbon", quantile=0.3, window_s=12 * 900, spread=False)
    assert flood.decide(seen(ci_forecast_g_per_kwh=ahead, held=72)).release_rate_per_s == inf


def test_carbon_empties_the_queue_by_the_end_of_the_spell():
    ahead, held = [200.0] * 4 + [500.0] * 8, 72.0
    rule = policy("carbon", threshold_g_per_kwh=300.0)
    for step in range(4):
        decision = rule.decide(seen(ci_forecast_g_per_kwh=ahead[step:], held=held))
        held = max(0.0, held - decision.release_rate_per_s * 900)
    assert held == pytest.approx(0.0, abs=1e-9)


def test_carbon_with_a_fixed_threshold_needs_no_forecast():
    rule = policy("carbon", threshold_g_per_kwh=300.0)
    assert rule.decide(seen(ci_g_per_kwh=301.0)).hold
    assert not rule.decide(seen(ci_g_per_kwh=300.0)).hold


@given(st.lists(st.floats(0, 1000), min_size=1, max_size=60), st.floats(0.01, 1.0), st.integers(0, 500))
def test_carbon_always_releases_in_its_cleanest_step(ahead, quantile, held):
    ahead = [min(ahead), *ahead]
    decision = policy("carbon", quantile=quantile).decide(seen(ci_forecast_g_per_kwh=ahead, held=held))
    assert not decision.hold
    assert decision.release_rate_per_s > 0


def test_solar_follows_generation_without_flapping():
    rule = policy("solar", spread_s=0)
    steps = [(0, 500), (400, 500), (500, 500), (450, 500), (390, 500), (450, 500)]
    holds = [rule.decide(seen(generation_w=float(g), load_w=float(p))).hold for g, p in steps]
    assert holds == [True, True, False, False, True, True]


def test_solar_remembers_the_load_that_holding_took_away():
    rule = policy("solar", spread_s=0)
    steps = [(500, 400), (300, 500), (300, 100), (450, 100), (500, 100)]
    holds = [rule.decide(seen(generation_w=float(g), load_w=float(p))).hold for g, p in steps]
    assert holds == [False, True, True, True, False]


def test_solar_at_night_without_load_still_holds_and_a_full_battery_releases():
    rule = policy("solar", spread_s=600.0)
    assert rule.decide(seen(generation_w=0.0, load_w=0.0)).hold
    decision = rule.decide(seen(generation_w=0.0, load_w=10.0, soc=0.96, held=30))
    assert decision == Decision(hold=False, release_rate_per_s=30 / 600)


def test_price_against_a_threshold_and_against_the_past_day():
    fixed = policy("price", threshold_per_kwh=0.3)
    assert fixed.decide(seen(price_per_kwh=0.31)).hold
    assert not fixed.decide(seen(price_per_kwh=-0.1)).hold
    moving = policy("price", quantile=0.5, window_s=4 * 900)
    prices = [1.0, 2.0, 3.0, 1.5, 1.0, 1.0, 1.0, 1.0, 1.2]
    holds = [moving.decide(seen(time_s=900 * i, price_per_kwh=price)).hold for i, price in enumerate(prices)]
    assert holds == [False, True, True, False, False, False, False, False, True]


@given(st.lists(st.floats(-100, 1000), min_size=1, max_size=80), st.floats(0.01, 1.0), st.integers(1, 20))
def test_price_threshold_is_the_quantile_of_its_window(prices, quantile, window):
    rule = policy("price", quantile=quantile, window_s=window * 900)
    for i, price in enumerate(prices):
        threshold = np.quantile(prices[max(0, i - window + 1) : i + 1], quantile)
        if abs(price - threshold) > 1e-9:
            assert rule.decide(seen(time_s=900 * i, price_per_kwh=price)).hold == (price > threshold)
        else:
            rule.decide(seen(time_s=900 * i, price_per_kwh=price))


def test_voltage_recovers_before_release():
    rule = policy("voltage")
    assert [rule.decide(seen(vm_pu=v)).hold for v in (1.0, 0.96, 0.94, 0.96, 0.975)] == [
        False,
        False,
        True,
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("rule", "observation", "attribute"),
    [
        (policy("carbon"), seen(), "CI"),
        (policy("carbon"), seen(ci_g_per_kwh=5.0), "CI_forecast"),
        (policy("solar"), seen(load_w=1.0), "P_gen"),
        (policy("solar"), seen(generation_w=1.0), "P_load"),
        (policy("price"), seen(), "price"),
        (policy("voltage"), seen(), "vm_pu"),
    ],
)
def test_a_missing_connection_is_named(rule: Policy, observation, attribute):
    with pytest.raises(InputError, match=f"needs {attribute}"):
        rule.decide(observation)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("green", {}, "'green' is unknown, expected one of none, carbon, solar, price, voltage"),
        ("carbon", {"quantil": 0.3}, "unknown option 'quantil', expected one of quantile, window_s"),
        ("solar", {"_released": True}, "unknown option '_released'"),
        ("carbon", {"quantile": 0.0}, "a quantile above 0 to 1"),
        ("carbon", {"window_s": -1}, "a positive window"),
        ("carbon", {"threshold_g_per_kwh": -1}, "a threshold >= 0"),
        ("solar", {"hold_below": 1.5}, "hold_below <= release_at"),
        ("solar", {"release_at": 0.0}, "release_at above 0"),
        ("price", {"spread_s": -1}, "spread_s >= 0"),
        ("voltage", {"hold_below_pu": 0.99}, "hold_below_pu <= release_at_pu"),
    ],
)
def test_bad_choice_is_named(name, options, message):
    with pytest.raises(InputError, match=message):
        policy(name, **options)


def test_own_surplus_counts_as_clean():
    dirty = seen(ci_g_per_kwh=500.0, generation_w=2.0, load_w=1.0)
    assert not policy("carbon", threshold_g_per_kwh=300.0).decide(dirty).hold
    assert policy("carbon", threshold_g_per_kwh=300.0, surplus_is_clean=False).decide(dirty).hold


def test_a_short_clean_spell_is_no_flood():
    decision = policy("carbon", threshold_g_per_kwh=300.0, least_spread_s=3600.0).decide(
        seen(ci_g_per_kwh=100.0, held=7200)
    )
    assert decision.release_rate_per_s == 2.0


def test_unhurried_holds_while_requests_queue():
    rule = Unhurried(policy("none"), most_waiting=3)
    assert not rule.decide(seen(waiting=3)).hold
    assert rule.decide(seen(waiting=4)).hold
