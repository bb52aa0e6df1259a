"""Policies that hold power: by what is measured, by nameplate, by the network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.errors import InputError
from simulators.quantities.commands import ClockLimit, PowerCap
from simulators.quantities.facts import SiteFacts
from simulators.scheduler.observation import Observation
from simulators.scheduler.policies import policy
from simulators.scheduler.policies.bunch import Bunch
from simulators.scheduler.policies.consolidate import Consolidate
from simulators.scheduler.policies.consolidate_clock import ConsolidateClock
from simulators.scheduler.policies.droop import Droop
from simulators.scheduler.policies.watt import WattBudget
from simulators.scheduler.policy import HOLD
from tests.scheduler.curves import facts

FACTS = SiteFacts(gpus=8, gpu_limit_w=700.0, gpu_idle_w=115.0, meter_per_gpu_w=1.5)


def meter_w(cap_w: float) -> float:
    """A site whose GPUs draw their cap, up to 600 W each, and whose servers and cooling draw more."""
    return 1500.0 + 1.5 * 8 * min(cap_w, 600.0)


@pytest.mark.parametrize("budget_w", [4000.0, 6000.0, 8000.0])
def test_a_watt_budget_is_met_by_feedback(budget_w):
    rule, load_w = WattBudget(budget_w=budget_w), 0.0
    for step in range(60):
        [command] = rule.decide(Observation(60 * step, 60, load_w=load_w, facts=FACTS))
        assert isinstance(command, PowerCap)
        load_w = meter_w(command.watts)
    assert load_w == pytest.approx(budget_w, rel=1e-3)


def test_a_budget_that_cannot_be_kept_caps_as_low_as_can_be():
    rule = WattBudget(budget_w=100.0)
    caps = [next(rule.decide(Observation(60 * k, 60, load_w=3000.0, facts=FACTS))).watts for k in range(20)]
    assert caps[-1] == pytest.approx(1.05 * 115.0)
    assert [next(rule.decide(Observation(60 * k, 60, load_w=0.0, facts=FACTS))).watts for k in range(9)][
        -1
    ] > 150


def test_a_budget_kept_ahead_holds_whatever_comes():
    """Servers busy and every GPU at its cap: the budget to the watt; what own generation carries comes on top."""
    site = replace(FACTS, host_w=1500.0, host_busy_w=200.0)
    for of, own_w in (("load", 0.0), ("import", 800.0)):
        rule = WattBudget(budget_w=6000.0, of=of, ahead=True)
        for step, load_w in enumerate((0.0, 100.0, 9e4)):
            seen = Observation(60 * step, 60, load_w=load_w, import_w=load_w, generation_w=own_w, facts=site)
            [command] = rule.decide(seen)
            worst_w = 1700.0 + 1.5 * 8 * command.watts
            assert worst_w - own_w == pytest.approx(6000.0, rel=1e-12)
    with pytest.raises(InputError, match="of=load or of=import"):
        policy("watt:of=export")
    assert policy("watt:of=import").needs == {"load", "exchange", "generation"}


def test_without_a_budget_nothing_is_capped():
    [command] = policy("watt").decide(Observation(60, 60, load_w=9e9, facts=FACTS))
    assert command == PowerCap(700.0)


@given(st.floats(0.8, 1.1), st.floats(0, 150))
def test_droop_is_monotone_and_holds_while_power_is_short(vm_pu, loading):
    commands = list(
        Droop().decide(Observation(0, 60, vm_pu=vm_pu, line_loading_percent=loading, facts=FACTS))
    )
    worse = list(
        Droop().decide(Observation(0, 60, vm_pu=vm_pu - 0.01, line_loading_percent=loading + 5, facts=FACTS))
    )
    assert worse[0].watts <= commands[0].watts <= 700.0
    assert (commands[1] == HOLD) == (commands[0].watts < 700.0)


def test_droop_goes_by_what_is_connected():
    lines = list(Droop().decide(Observation(0, 60, line_loading_percent=90.0, facts=FACTS)))
    assert lines[0].watts == pytest.approx(0.7 * 700.0)
    with pytest.raises(InputError, match="needs vm_pu"):
        list(Droop().decide(Observation(0, 60, facts=FACTS)))


def test_droop_settles_where_following_at_once_would_swing():
    """A network whose loading follows the cap a step late, steeply: 85 % at the least cap, 130 % at the most."""

    def loadings(rise: float) -> np.ndarray:
        rule, loading, seen = Droop(rise=rise), 0.0, []
        for step in range(200):
            watts = next(
                rule.decide(Observation(60 * step, 60, line_loading_percent=loading, facts=FACTS))
            ).watts
            loading = 85.0 + 45.0 * (watts / 700.0 - 0.4) / 0.6
            seen.append(loading)
        return np.array(seen[-50:])

    assert np.ptp(loadings(1.0)) > 30.0
    assert np.ptp(loadings(0.1)) < 5.0
    assert loadings(0.1).max() < 100.0


def test_bunching_takes_the_time_that_requests_may_wait():
    rule = Bunch()
    site = SiteFacts(defer_window_s=8 * 3600.0)
    holds = [next(rule.decide(Observation(1800 * k, 1800, facts=site))).hold for k in range(32)]
    assert holds == 2 * ([True] * 12 + [False] * 4)


def test_consolidate_follows_the_load_and_parks_late():
    rule = Consolidate(target=1.0, stay_s=600.0)
    rates = [5.0] * 5 + [20.0] * 40 + [5.0] * 60
    awake = []
    for k, rate in enumerate(rates):
        ahead = np.array([rate, rate])
        seen = Observation(
            60 * k,
            60,
            arrived=60 * rate,
            awake=awake[-1] if awake else 4.0,
            arrivals_forecast_per_s=ahead,
            facts=facts(),
        )
        commands = list(rule.decide(seen))
        assert len(commands) == 1
        awake.append(commands[0].replicas)
    assert awake[4] == 1
    assert awake[5] == 3
    assert awake[45 + 9] == 3
    assert awake[-1] == 1


def test_a_slower_clock_where_it_is_fast_enough():
    def clock(rate: float) -> float:
        rule = ConsolidateClock(target=1.0)
        seen = Observation(0, 60, awake=1.0, arrivals_forecast_per_s=np.array([rate]), facts=facts())
        return next(one.share for one in rule.decide(seen) if isinstance(one, ClockLimit))

    assert (clock(3.9), clock(4.1)) == (0.5, 1.0)


def test_where_nothing_is_known_of_parking_it_is_named():
    seen = Observation(
        0, 60, arrivals_forecast_per_s=np.array([1.0]), facts=facts(replica_off_w=float("inf"))
    )
    with pytest.raises(InputError, match="nothing is known of parking this GPU"):
        list(Consolidate().decide(seen))
