"""The linear programme: by hand, in its limits, and monotone in what a site is given."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from simulators.quantities.facts import BatteryFacts
from simulators.scheduler.horizon import Problem, solve

HOURS = 24
BATTERY = BatteryFacts(10_000.0, 5000.0, 5000.0, 0.9, 0.9)


def problem(seed: int = 0, window: int = 4, **changes) -> Problem:
    """A day of hours with chance loads, sun and intensities; whatever arrives may wait `window` hours."""
    rng = np.random.default_rng(seed)
    arriving = 3600 * rng.uniform(0, 4, HOURS)
    there = np.cumsum(arriving)
    due = np.concatenate((np.zeros(window), there[: HOURS - window]))
    due[-1] = there[-1]
    given = Problem(
        block_s=3600.0,
        interactive_per_s=rng.uniform(0, 6, HOURS),
        available=there,
        due=due,
        generation_w=np.maximum(0.0, 4000 * np.sin(np.pi * (np.arange(HOURS) - 6) / 12)),
        signal=rng.uniform(100, 600, HOURS),
        lines=np.array([[100.0, 2000.0], [300.0, 1000.0], [500.0, -1000.0]]),
        most_per_s=20.0,
    )
    return replace(given, **changes)


def check(p: Problem) -> float:
    """A solution keeps every limit; returns what it costs."""
    found = solve(p)
    left = np.cumsum(found.released_per_s) * p.block_s
    assert (left <= p.available + 1e-3).all()
    assert (left >= p.due - 1e-3).all()
    rate = p.interactive_per_s + found.released_per_s
    assert (rate <= p.most_per_s + 1e-6).all()
    power = (p.lines[:, :1] * rate + p.lines[:, 1:]).max(axis=0)
    assert (found.meter_w >= power - 1e-3).all()
    net = found.meter_w + found.battery_w - p.generation_w
    assert (found.import_w >= net - 1e-3).all()
    if p.battery is None:
        assert (found.battery_w == 0).all()
    else:
        moved = np.where(found.battery_w > 0, 0.9 * found.battery_w, found.battery_w / 0.9)
        stored = p.stored_wh + np.cumsum(moved)
        assert (stored >= -1e-3).all()
        assert (stored <= p.battery.capacity_wh + 1e-3).all()
    assert found.objective == pytest.approx(float((p.signal * found.import_w).sum()) * p.block_s / 3.6e6)
    return found.objective


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 6), st.integers(1, 6))
def test_a_longer_wait_never_costs_more(seed, window, longer):
    assert check(problem(seed, window + longer)) <= check(problem(seed, window)) * (1 + 1e-6)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.floats(0, 3000))
def test_more_sun_never_costs_more(seed, more_w):
    base = problem(seed)
    assert check(replace(base, generation_w=base.generation_w + more_w)) <= check(base) * (1 + 1e-6)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.floats(1.0, 4.0))
def test_a_larger_battery_never_costs_more_once_what_it_holds_is_settled(seed, times):
    def settled(size: float) -> float:
        battery = replace(BATTERY, capacity_wh=size * 1e4, charge_w=size * 5e3, discharge_w=size * 5e3)
        p = problem(seed, battery=battery, stored_wh=5000.0)
        found = solve(p)
        check(p)
        held = 5000.0 + np.sum(np.where(found.battery_w > 0, 0.9 * found.battery_w, found.battery_w / 0.9))
        return found.objective - p.signal.mean() * 0.9 * (held - 5000.0) / 1e3

    wear = 1e-3 * 600 * 24 * times * 10  # what breaks ties may move the optimum by as much, g
    assert settled(times) <= settled(1.0) + wear


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.0, 2.0))
@example(76, 0.0625)  # what breaks ties moved the optimum
def test_knowing_better_never_costs_more(seed, noise):
    """A schedule made with a wrong intensity, paid for at the right one."""
    p = problem(seed)
    wrong = p.signal * np.exp(noise * np.random.default_rng(seed + 1).standard_normal(HOURS))
    followed = solve(replace(p, signal=wrong))
    paid = float((p.signal * followed.import_w).sum()) * p.block_s / 3.6e6
    assert check(p) <= paid * (1 + 1e-6)


def test_what_cannot_leave_in_time_leaves_as_soon_as_it_can():
    p = problem(most_per_s=1.0, interactive_per_s=np.full(HOURS, 0.5))
    found = solve(p)
    left = np.cumsum(found.released_per_s) * 3600
    assert found.released_per_s.max() <= 0.5 + 1e-9
    assert left[-1] == pytest.approx(HOURS * 1800.0)


def test_beyond_the_connection_only_what_must_be():
    base = problem(lines=np.array([[500.0, 500.0]]))
    limit = 4000.0
    found = solve(replace(base, import_limit_w=limit, battery=BATTERY, stored_wh=9000.0))
    free = solve(replace(base, battery=BATTERY, stored_wh=9000.0))
    assert free.import_w.max() > limit
    assert np.maximum(found.import_w - limit, 0).sum() < 0.25 * np.maximum(free.import_w - limit, 0).sum()


def test_without_anything_to_shift_the_power_is_that_of_the_load():
    base = problem(available=np.zeros(HOURS), due=np.zeros(HOURS))
    found = solve(base)
    power = (base.lines[:, :1] * base.interactive_per_s + base.lines[:, 1:]).max(axis=0)
    np.testing.assert_allclose(found.import_w, np.maximum(power - base.generation_w, 0.0), atol=1e-3)
