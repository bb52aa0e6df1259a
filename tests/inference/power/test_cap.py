"""Power cap and clock limit: identity without one, slower arithmetic under one."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.errors import InputError
from simulators.inference.catalogue import gpu
from simulators.inference.power.cap import LOWEST_CLOCK, at_clock, capped, check_cap, compute_share
from simulators.inference.power.law import busy_power_w
from simulators.inference.power.laws import law_for

share = st.floats(0.0, 1.0)
LAW = law_for(gpu("h100"), "utilisation")
PREFILL = (0.55, 0.03, 0.0)
DECODE = (0.02, 0.65, 0.0)


@settings(deadline=None)  # the first call compiles
@given(share, share, share, st.floats(1e-4, 10.0))
def test_no_cap_changes_nothing(mfu: float, mbu: float, comm: float, dt_s: float):
    assert capped(LAW, math.inf, dt_s, mfu, mbu, comm) == (dt_s, busy_power_w(LAW, mfu, mbu, comm))
    assert at_clock(LAW, 1.0, dt_s, mfu, mbu, comm) == (dt_s, busy_power_w(LAW, mfu, mbu, comm))


@settings(deadline=None)  # the first call compiles
@given(share, share, share, st.floats(200.0, 700.0))
def test_a_cap_is_kept_and_never_speeds_up(mfu: float, mbu: float, comm: float, cap_w: float):
    duration, watts = capped(LAW, cap_w, 1.0, mfu, mbu, comm)
    assert duration >= 1.0
    slowest = at_clock(LAW, LOWEST_CLOCK, 1.0, mfu, mbu, comm)[1]
    assert watts <= max(cap_w, slowest) * (1 + 1e-9)


def test_a_cap_of_60_percent_slows_prefill_and_barely_decode():
    cap_w = 0.6 * 700
    prefill = capped(LAW, cap_w, 1.0, *PREFILL)
    decode = capped(LAW, cap_w, 1.0, *DECODE)
    assert prefill[1] == pytest.approx(cap_w, rel=1e-6)
    assert prefill[0] > 1.3
    assert decode[0] < 1.05
    # power times time: both spend less energy on the same work
    assert prefill[0] * prefill[1] < busy_power_w(LAW, *PREFILL)
    assert decode[0] * decode[1] < busy_power_w(LAW, *DECODE)


def test_half_the_clock_doubles_arithmetic_and_leaves_memory_alone():
    assert at_clock(LAW, 0.5, 1.0, 0.5, 0.0, 0.0)[0] == pytest.approx(2.0)
    assert at_clock(LAW, 0.5, 1.0, 0.0, 0.5, 0.0)[0] == 1.0
    assert at_clock(LAW, 0.5, 1.0, 0.5, 0.0, 1.0)[0] == 1.0
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
