"""Power cap and clock limit: identity without one, slower arithmetic under one."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.errors import InputError
from simulators.inference.catalogue import gpu, model
from simulators.inference.power.cap import LOWEST_CLOCK, at_clock, capped, check_cap, compute_share
from simulators.inference.power.laws import law_for

share = st.floats(0.0, 1.0)
LAW = law_for(gpu("h100"), "auto", model("meta-llama/Llama-3.1-8B"))
PREFILL = (690.0, 0.9)
"""Power at full clock, W, and share of the time bound by it."""
DECODE = (520.0, 0.03)
watts = st.floats(LAW.idle_w, 700.0)


@settings(deadline=None)  # the first call compiles
@given(watts, share, st.floats(1e-4, 10.0))
def test_no_cap_changes_nothing(drawn_w: float, bound: float, dt_s: float):
    assert capped(LAW, math.inf, dt_s, drawn_w, bound) == (dt_s, drawn_w)
    assert at_clock(LAW, 1.0, dt_s, drawn_w, bound) == (dt_s, drawn_w)


@settings(deadline=None)  # the first call compiles
@given(watts, share, st.floats(200.0, 700.0))
def test_a_cap_is_kept_and_never_speeds_up(drawn_w: float, bound: float, cap_w: float):
    duration, kept_w = capped(LAW, cap_w, 1.0, drawn_w, bound)
    assert duration >= 1.0
    slowest = at_clock(LAW, LOWEST_CLOCK, 1.0, drawn_w, bound)[1]
    assert kept_w <= max(cap_w, slowest) * (1 + 1e-9)


@settings(deadline=None)  # the first call compiles
@given(watts, share, st.floats(LOWEST_CLOCK, 1.0))
def test_a_lower_clock_never_costs_more_for_the_same_work(drawn_w: float, bound: float, clock: float):
    """Of the energy above idle: the longer wait at idle power is not the work's."""
    duration, slow_w = at_clock(LAW, clock, 1.0, drawn_w, bound)
    assert LAW.idle_w <= slow_w <= drawn_w * (1 + 1e-12)
    assert duration * (slow_w - LAW.idle_w) <= (drawn_w - LAW.idle_w) * (1 + 1e-9) + 1e-9


def test_a_cap_of_60_percent_slows_prefill_and_barely_decode():
    cap_w = 0.6 * 700
    prefill, decode = capped(LAW, cap_w, 1.0, *PREFILL), capped(LAW, cap_w, 1.0, *DECODE)
    assert prefill[1] == pytest.approx(cap_w, rel=1e-6)
    assert prefill[0] > 1.2
    assert decode[0] < 1.05
    # power times time: both spend less energy on the same work
    assert prefill[0] * prefill[1] < PREFILL[0]
    assert decode[0] * decode[1] < DECODE[0]


def test_half_the_clock_doubles_arithmetic_and_leaves_memory_alone():
    assert at_clock(LAW, 0.5, 1.0, 500.0, 1.0)[0] == pytest.approx(2.0)
    assert at_clock(LAW, 0.5, 1.0, 500.0, 0.0)[0] == 1.0


def test_arithmetic_s_share_follows_from_the_roofline():
    assert compute_share(0.5, 0.0, 0.0) == 1.0
    assert compute_share(0.0, 0.5, 0.0) == 0.0
    assert compute_share(0.3, 0.1, 0.2) == pytest.approx(0.6)
    assert compute_share(0.5, 0.0, 1.0) == 0.0  # no clock hurries a link
    assert compute_share(0.0, 0.0, 0.0) == 0.0


def test_an_unreachable_cap_ends_at_the_lowest_clock():
    just_above_idle = LAW.idle_w + 0.1
    assert capped(LAW, just_above_idle, 1.0, *DECODE) == at_clock(LAW, LOWEST_CLOCK, 1.0, *DECODE)


@pytest.mark.parametrize("cap_w", [0.0, 100.0, LAW.idle_w, float("nan")])
def test_a_cap_below_idle_is_refused(cap_w: float):
    with pytest.raises(InputError, match="power cap"):
        check_cap(LAW, cap_w)


def test_a_cap_above_idle_is_accepted():
    assert check_cap(LAW, 420.0) == 420.0
    assert check_cap(LAW, math.inf) == math.inf
