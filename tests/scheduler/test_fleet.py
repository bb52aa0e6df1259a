"""The power of a site under its levers, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.errors import InputError
from simulators.scheduler.fleet import Fleet
from tests.scheduler.curves import facts

FLEET = Fleet(facts())


def test_a_replica_serves_what_the_targets_allow():
    assert FLEET.most_per_replica == pytest.approx(8.0)
    assert [FLEET.needed(rate) for rate in (0.0, 7.9, 8.1, 16.0, 25.0, 99.0)] == [1, 1, 2, 2, 4, 4]
    assert Fleet(facts(), headroom=0.5).most_per_replica == pytest.approx(4.0)
    assert Fleet(facts(copies=10)).most_per_s == pytest.approx(320.0)
    assert Fleet(facts(), awake=False).needed(1.0) == 4


def test_the_slowest_clock_that_keeps_the_targets_is_taken():
    slow, fast = FLEET.setting(1, 3.9), FLEET.setting(1, 4.1)
    assert (slow.mode.clock, fast.mode.clock) == (0.5, 1.0)
    # one replica, one server that is on, the other replica on it parked
    assert slow.meter_w == pytest.approx(0.5 * 1390.0 + 200.0 + 500.0)
    assert Fleet(facts(), clock=False).setting(1, 3.9).meter_w == pytest.approx(1390.0 + 200.0 + 500.0)
    assert FLEET.setting(3, 3.0).meter_w == pytest.approx(3 * 0.5 * 1100.0 + 200.0 + 1000.0)


def test_without_parking_all_servers_stay_on():
    assert Fleet(facts(), awake=False, clock=False).setting(4, 4.0).meter_w == pytest.approx(
        4 * 1100.0 + 1000.0
    )


def test_a_target_nobody_keeps_is_served_as_fast_as_can_be():
    fleet = Fleet(facts(slo_tpot_s=1e-9, slo_ttft_s=1e-9))
    assert fleet.most_per_replica > 0
    assert fleet.setting(4, 4.0).mode.clock == 1.0


@given(st.floats(0, 32), st.integers(1, 4))
def test_no_setting_draws_less_than_the_hull(rate, replicas):
    if rate > replicas * FLEET.most_per_replica:
        return
    bound = (FLEET.hull[:, 0] * rate + FLEET.hull[:, 1]).max()
    assert FLEET.setting(replicas, rate).meter_w >= bound * (1 - 1e-9)


def test_the_hull_rises_ever_steeper():
    assert (np.diff(FLEET.hull[:, 0]) > 0).all()
    assert (FLEET.hull[:, 0] * 0.0 + FLEET.hull[:, 1]).max() == pytest.approx(0.5 * 1000.0 + 200.0 + 500.0)


def test_a_replica_is_woken_ahead_of_need():
    """A replica on a server that is on takes a minute, one whose server is off five."""
    asked = []

    def soon(lead_s: float) -> float:
        asked.append(lead_s)
        return 10.0 if lead_s > 120 else 5.0

    assert FLEET.ahead_of_need(5.0, soon, 60.0) == 2
    assert asked == [60.0 + 120.0, 60.0 + 240.0 + 120.0, 60.0 + 120.0]
    assert FLEET.ahead_of_need(5.0, lambda lead_s: 5.0, 60.0) == 1
    assert FLEET.ahead_of_need(5.0, lambda lead_s: 30.0, 60.0) == 4


def test_without_a_curve_it_is_named():
    with pytest.raises(InputError, match="needs load_curve"):
        _ = Fleet(facts(curve=None)).hull
