"""Policies in a whole site: what bare means, which signals they get, and what they do to who cannot wait."""

from __future__ import annotations

import pytest

from scenarios import Study, simulate
from tests.scenarios.runs import everything

BUSY = Study().changed(
    start="2017-06-05T09:00", days=0.1, model="meta-llama/Meta-Llama-3-8B", gpu="a100", tp=1, replicas=1,
    rate=0.3, pv_kw=2.0, wind_kw=0.5, battery_kwh=0.5, defer_hours=1.0, deferrable_share=0.5,
)  # fmt: skip

OWN = """
from simulators.scheduler.policies.carbon import CarbonThreshold
from simulators.scheduler.policy import HOLD, release


class Renamed(CarbonThreshold):
    pass


class Flood:
    needs = {"queue"}

    def __init__(self, most_waiting: float):
        self.most_waiting = most_waiting

    def decide(self, observation):
        early = observation.time_s < 3600
        return [HOLD if early else release(observation, 0.0, self.most_waiting)]


class Placebo:
    needs = {"carbon", "carbon_forecast", "queue"}

    def __init__(self):
        self.rule = CarbonThreshold(surplus_is_clean=False)

    def decide(self, observation):
        from dataclasses import replace

        wrong = 1000.0 - observation.ci_forecast_g_per_kwh
        return self.rule.decide(replace(observation, ci_g_per_kwh=wrong[0], ci_forecast_g_per_kwh=wrong))
"""


def test_without_a_policy_nothing_is_held_however_much_queues():
    result = simulate(BUSY.changed(policy="none", rate=6.0, batch_cap=4, days=0.02))
    assert result.timeseries.waiting.max() > 100
    assert (result.timeseries.held == 0).all()
    assert (result.timeseries.hold == 0).all()


@pytest.fixture
def own(tmp_path) -> str:
    file = tmp_path / "mine.py"
    file.write_text(OWN, encoding="utf-8")
    return str(file)


def test_the_carbon_rule_under_another_name_does_the_same(own):
    """Signals and their reach come from what a policy needs, not from its name."""
    bundled, renamed = (
        simulate(BUSY.changed(policy=policy), keep_requests=True) for policy in ("carbon", f"{own}:Renamed")
    )
    assert bundled.timeseries.held.max() > 10
    before, after = (everything(result) for result in (bundled, renamed))
    assert before == after.replace(f"{own}:Renamed", "carbon")


def test_a_placebo_is_told_the_same_and_does_the_opposite(own):
    held = []
    for policy in ("carbon:surplus_is_clean=false", f"{own}:Placebo"):
        frame = simulate(BUSY.changed(policy=policy)).timeseries
        clean = frame.carbon_intensity_g_per_kwh <= frame.carbon_intensity_g_per_kwh.median()
        held.append((frame.hold[clean].mean(), frame.hold[~clean].mean()))
    (right_clean, right_dirty), (wrong_clean, wrong_dirty) = held
    assert right_dirty > right_clean
    assert wrong_clean > wrong_dirty


def test_what_is_let_go_at_once_does_not_flood_the_site(own):
    """Without a limit an hour's requests come in one step and queue; with it they take the slots that are free."""
    most = []
    for limit in ("0.03", "inf"):
        study = BUSY.changed(policy=f"{own}:Flood:most_waiting={limit}", rate=2.0, defer_hours=4.0)
        frame = simulate(study).timeseries
        assert frame.held.max() > 2000
        assert frame.held.iloc[-30] == 0
        most.append(frame.waiting.max())
    assert most[0] < 128
    assert most[1] > 10 * most[0]
