"""Waiting for the cleanest slot, against figures computed apart from the project."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.errors import InputError
from simulators.profiles.site import load_site
from simulators.quantities.facts import SiteFacts
from simulators.scheduler.observation import Observation
from simulators.scheduler.policies.wait import WaitAwhile, best_start

HOUR_S = 3600


@given(st.lists(st.floats(0, 1000), min_size=1, max_size=40), st.data())
def test_the_best_start_is_the_best_of_all(signal, data):
    length = data.draw(st.integers(1, len(signal)))
    sums = [sum(signal[k : k + length]) for k in range(len(signal) - length + 1)]
    assert sums[best_start(signal, length)] == pytest.approx(min(sums), abs=1e-9)


def test_a_slot_longer_than_the_window_is_refused():
    with pytest.raises(InputError, match="a slot of 3 steps, expected 1 to 2"):
        best_start([1.0, 2.0], 3)


def started(rule: WaitAwhile, ahead: np.ndarray) -> int:
    """The hour in which the policy lets go what it holds, told the coming hours in every one."""
    for k in range(len(ahead)):
        seen = Observation(k * HOUR_S, HOUR_S, ci_forecast_g_per_kwh=ahead[k:])
        if not next(iter(rule.decide(seen))).hold:
            return k
    raise AssertionError("it never released")


@pytest.mark.parametrize(("hours", "percent"), [(1, 1.7), (2, 2.8), (4, 4.7), (8, 19.7)])
def test_a_nightly_job_saves_what_was_computed_apart(hours, percent):
    """Every midnight (UTC) of 2023, German mix: a job of an hour that may move by so many hours either way."""
    profile = load_site("germany").carbon.read("carbon")
    signal = profile.means(datetime(2023, 1, 1, tzinfo=UTC), HOUR_S, 365 * 24)
    fixed, moved = [], []
    for midnight in range(24, len(signal) - hours, 24):
        ahead = signal[midnight - hours : midnight + hours + 1]
        fixed.append(signal[midnight])
        moved.append(ahead[started(WaitAwhile(slot_s=HOUR_S), ahead)])
    assert 100 * (1 - np.mean(moved) / np.mean(fixed)) == pytest.approx(percent, abs=0.1)


def test_it_releases_through_its_slot_and_then_looks_again():
    rule = WaitAwhile(slot_s=2 * HOUR_S, window_s=4 * HOUR_S)
    signal = np.array([300.0, 100.0, 200.0, 400.0, 90.0, 80.0, 500.0, 500.0])
    holds = [
        next(iter(rule.decide(Observation(k * HOUR_S, HOUR_S, ci_forecast_g_per_kwh=signal[k:])))).hold
        for k in range(6)
    ]
    assert holds == [True, False, False, True, False, False]


def test_the_window_is_what_the_deadlines_leave():
    ahead = np.array([300.0, 200.0, 100.0, 50.0])
    facts = SiteFacts(defer_window_s=2 * HOUR_S + 900, serve_s=900)
    seen = Observation(0, HOUR_S, ci_forecast_g_per_kwh=ahead[[1, 2, 3, 0]], facts=facts)
    assert next(iter(WaitAwhile().decide(seen))).hold  # 100 within two hours
    late = Observation(0, HOUR_S, ci_forecast_g_per_kwh=np.array([100.0, 200.0, 50.0]), facts=facts)
    assert not next(iter(WaitAwhile().decide(late))).hold  # 50 lies beyond
