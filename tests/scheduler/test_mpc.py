"""The joint policy on a site worked out by hand: what it plans, and what it commands."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from simulators.errors import InputError
from simulators.quantities.commands import Awake, BatteryPower, ChunkBudget, ClockLimit, Command, Release
from simulators.quantities.facts import BatteryFacts, SiteFacts
from simulators.quantities.load_curve import LoadCurve
from simulators.scheduler.observation import Observation
from simulators.scheduler.policies import policy
from simulators.scheduler.policies.mpc import JointMpc
from tests.scheduler.curves import facts, mode

BLOCKS = 96
BATTERY = BatteryFacts(20_000.0, 10_000.0, 10_000.0, 0.95, 0.95)


def seen(
    site: SiteFacts | None = None, interactive: float = 3.0, deferrable: float = 2.0, **values
) -> Observation:
    """Noon of a day in which the coming hours are dirty and those after them clean."""
    carbon = np.where(np.arange(BLOCKS) < 8, 500.0, 100.0)
    given = {
        "time_s": 0, "step_s": 60, "ci_forecast_g_per_kwh": carbon, "soc": 0.5, "generation_w": 0.0, "load_w": 3000.0,
        "generation_forecast_w": np.zeros(BLOCKS), "awake": 1.0,
        "arrivals_forecast_per_s": np.full(BLOCKS, interactive + deferrable),
        "deferrable_forecast_per_s": np.full(BLOCKS, deferrable), "facts": site or facts(),
    }  # fmt: skip
    return Observation(**(given | values))


def commanded(rule: JointMpc, observation: Observation) -> dict[type[Command], Command]:
    return {type(command): command for command in rule.decide(observation)}


def test_what_can_wait_waits_for_the_clean_hours_and_then_runs():
    rule = JointMpc()
    first = commanded(rule, seen())
    assert first[Release] == Release(True, 0.0, queue=True)
    assert first[Awake] == Awake(1, "host_off")
    assert first[ClockLimit] == ClockLimit(0.5)  # 3 requests a second are served at half clock
    assert BatteryPower not in first
    clean = seen(time_s=7200, held=14_400, held_due=np.full(96, 150.0), arrived=300, deferrable=120)
    later = commanded(rule, replace(clean, ci_forecast_g_per_kwh=np.full(BLOCKS, 100.0)))
    assert later[Release].rate_per_s > 2.0
    assert not later[Release].hold


def test_what_is_due_leaves_however_dirty_it_is():
    due = np.zeros(96)
    due[0] = 3600.0
    found = commanded(JointMpc(), seen(held=3600, held_due=due))
    assert found[Release].rate_per_s == pytest.approx(4.0, rel=0.05)


def test_replicas_for_what_cannot_wait_are_awake_before_it_comes():
    arrivals = np.full(BLOCKS, 5.0)
    arrivals[1:] = 30.0
    rule = JointMpc(spare=0.0)
    observation = seen(deferrable=0.0, arrivals_forecast_per_s=arrivals)
    assert commanded(rule, observation)[Awake].replicas == 1
    soon = replace(observation, time_s=600, arrived=300)
    assert (
        commanded(rule, soon)[Awake].replicas == 3
    )  # its server takes five minutes, the next one's is then on
    assert commanded(rule, replace(soon, time_s=780))[Awake].replicas == 4
    rule = JointMpc(spare=0.0)
    commanded(rule, replace(observation, arrivals_forecast_per_s=np.where(arrivals > 6, 15.0, 5.0)))
    assert [commanded(rule, replace(soon, time_s=t))[Awake].replicas for t in (600, 780)] == [1, 2]


def test_more_than_was_foreseen_counts():
    rule = JointMpc(spare=0.0)
    assert commanded(rule, seen(deferrable=0.0))[Awake].replicas == 1
    surge = [seen(deferrable=0.0, time_s=60 * k, arrived=60 * 20) for k in range(1, 40)]
    assert [commanded(rule, one)[Awake].replicas for one in surge][-1] == 3


def test_levers_that_are_not_to_be_used_are_left_alone():
    bare = JointMpc(defer=False, awake=False, clock=False, chunk=False, battery=False)
    assert commanded(bare, seen()) == {}
    site = facts(battery=BATTERY)
    assert set(commanded(JointMpc(), seen(site))) == {Release, Awake, ClockLimit, BatteryPower}
    both = replace(site, curve=LoadCurve((mode(1.0), mode(0.5), mode(1.0, 1024))))
    assert commanded(JointMpc(), seen(both))[ChunkBudget] == ChunkBudget(4096)
    unknown = facts(replica_off_w=float("inf"))
    assert Awake not in commanded(JointMpc(), seen(unknown))


def test_a_site_without_plants_discharges_no_more_than_it_draws():
    found = commanded(JointMpc(), seen(facts(battery=BATTERY), generation_w=float("nan")))
    assert found[BatteryPower].watts == pytest.approx(-3000.0)


def test_the_battery_gives_in_dirty_hours_no_more_than_is_drawn():
    site = facts(battery=BATTERY)
    carbon = np.where(np.arange(BLOCKS) < 8, 900.0, 50.0)
    giving = commanded(JointMpc(defer=False), seen(site, soc=0.9, load_w=700.0, ci_forecast_g_per_kwh=carbon))
    assert giving[BatteryPower].watts == pytest.approx(-700.0)
    empty = commanded(JointMpc(defer=False), seen(site, soc=0.0, ci_forecast_g_per_kwh=carbon))
    assert empty[BatteryPower].watts == pytest.approx(0.0, abs=1e-6)
    dirtier = np.where(np.arange(BLOCKS) < 2, 50.0, 900.0)
    filling = commanded(JointMpc(defer=False), seen(site, soc=0.2, ci_forecast_g_per_kwh=dirtier))
    assert filling[BatteryPower].watts > 1000.0


def test_it_says_which_signals_it_needs_and_what_is_missing():
    assert "carbon_forecast" in policy("mpc").needs
    assert "price_forecast" in policy("mpc:objective=cost").needs
    assert "price_forecast" not in policy("mpc").needs
    with pytest.raises(InputError, match="'mpc': needs forecasts of signal and arrivals"):
        commanded(JointMpc(), seen(ci_forecast_g_per_kwh=np.zeros(0)))
    with pytest.raises(InputError, match="needs SoC"):
        commanded(JointMpc(), seen(facts(battery=BATTERY), soc=float("nan")))


def test_the_end_of_the_run_is_the_end_of_the_plan():
    """An hour before the end all must go, though it is dirty."""
    site = facts(end_s=3600.0, arrivals_end_s=0.0)
    found = commanded(JointMpc(), seen(site, held=1000, held_due=np.full(96, 1000 / 96)))
    assert found[Release].rate_per_s > 0


def test_the_upper_bound_plans_to_the_end_and_less_often_in_long_runs():
    rule = policy("oracle")
    assert isinstance(rule, JointMpc)
    assert rule.solve_every_s(facts(end_s=7 * 86_400.0)) == 900.0
    assert 900.0 < rule.solve_every_s(facts(end_s=30 * 86_400.0)) <= 86_400.0
    assert rule.solve_every_s(facts(end_s=365 * 86_400.0)) == 86_400.0
    later = seen(facts(end_s=2 * 86_400.0), held=100, held_due=np.full(96, 100 / 96))
    assert Release in commanded(rule, later)
