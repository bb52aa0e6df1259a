"""Policies in a whole site: what bare means, which signals they get, and what they do to who cannot wait."""

from __future__ import annotations

import pytest

from scenarios import Study, simulate
from simulators.report.progress import summary_table
from simulators.report.shares import tenant_shares
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


def test_deadlines_are_kept_and_told_by_class():
    """Held to the last moment: complete by the deadline, where the release alone came before it."""
    study = BUSY.changed(policy="price:threshold_per_kwh=0.0", defer_hours=0.5)
    result = simulate(study, keep_requests=True)
    done, figures = result.requests, result.figures.inference
    held = done[done.released_at > done.arrived_at]
    assert len(held) > 500
    assert (done.completed_at <= done.deadline).all()
    assert (done.deadline[~done.deferrable] == float("inf")).all()
    classes = figures.classes
    assert (classes.deferrable.deadlines, classes.deferrable.deadlines_missed) == (done.deferrable.sum(), 0)
    assert classes.interactive.requests == (~done.deferrable).sum()
    assert classes.interactive.deadlines == 0


def test_a_deadline_that_cannot_be_kept_is_missed_whoever_decides():
    result = simulate(BUSY.changed(policy="none", rate=6.0, batch_cap=4, days=0.02, defer_hours=0.1))
    classes = result.figures.inference.classes
    assert 100 < classes.deferrable.deadlines_missed <= classes.deferrable.deadlines
    assert result.to_json()["inference"]["classes"]["deferrable"]["deadlines_missed"] > 100
    assert "Deadlines missed" in summary_table(result.to_json())
    assert "tenants" not in result.to_json()["inference"]


def test_tenants_share_a_site_by_weight_and_the_report_says_how(tmp_path):
    trace = tmp_path / "trace.csv"
    rows = [f"{0.8 * k:.1f},400,120,{k % 2}" for k in range(1000)]
    trace.write_text("arrived_at,prefill_tokens,decode_tokens,tenant\n" + "\n".join(rows) + "\n")
    study = BUSY.changed(
        policy="none", days=0.01, trace=str(trace), deferrable_share=0.0, batch_cap=1, tenant_shares="1=4,9=1"
    )
    summary = simulate(study).to_json()
    told = summary["inference"]["tenant_shares"]
    assert told["unseen"] == [9]
    assert told["tenants"]["1"]["service_share"] > 0.55 > 0.45 > told["tenants"]["0"]["service_share"]
    tokens = [summary["inference"]["tenants"][name]["interactive"]["decode_tokens"] for name in ("0", "1")]
    assert tokens[1] > 1.2 * tokens[0] > 0
    assert "service_of_an_output_token" in {one["name"] for one in summary["assumptions"]}
    assert "tenant 1 (weight 4)" in summary_table(summary)
    page = tenant_shares(summary)
    assert "Shares of tenants" in page
    assert "no request came from tenant 9" in page


def test_tenants_are_told_apart_where_there_are_several(tmp_path):
    trace = tmp_path / "trace.csv"
    rows = [f"{10 * k},200,20,{k % 2},{10 * k + 300 if k % 3 else ''}" for k in range(100)]
    trace.write_text("arrived_at,prefill_tokens,decode_tokens,tenant,deadline\n" + "\n".join(rows) + "\n")
    study = BUSY.changed(policy="none", days=0.02, trace=str(trace), deferrable_share=0.0)
    figures = simulate(study).to_json()["inference"]
    assert sorted(figures["tenants"]) == ["0", "1"]
    assert figures["tenants"]["0"]["deferrable"]["deadlines"] == sum(
        k % 3 > 0 and k % 2 == 0 for k in range(100)
    )
