"""The loop is closed: carbon, the grid and caps act on the power of the same or the next interval."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from scenarios import Study, simulate
from scenarios.build import build
from scenarios.simulation import simulate_plan
from simulators.grid.options import NetworkOptions
from tests.scenarios.runs import everything

SITE = Study().changed(
    site="germany", start="2023-06-05T00:00", days=0.125, drain_hours=0.0, model="meta-llama/Meta-Llama-3-8B",
    gpu="h100", tp=4, replicas=4, rate=4.0, lengths="fixed:400:80", iteration_time="roofline", deferrable_share=0.5,
    defer_hours=3.0, slo_ttft=1.0, slo_tpot=0.05, batch_cap=4, without=["pv", "wind"],
)  # fmt: skip


def with_carbon(study: Study, values: np.ndarray):
    """The plan of a study with other intensities."""
    plan = build(study)
    entities = [
        replace(e, config=dict(e.config) | {"g_per_kwh": values.tolist()}) if e.part == "carbon" else e
        for e in plan.entities
    ]
    return replace(plan, entities=tuple(entities))


@pytest.mark.parametrize("policy", ["carbon:threshold_g_per_kwh=300", "wait", "mpc:battery=false"])
def test_power_rises_in_the_interval_in_which_the_grid_becomes_clean(policy):
    study = SITE.changed(policy=policy)
    steps = study.steps
    clean_from = 120
    values = np.where(np.arange(2 * steps + 1440) < clean_from, 600.0, 50.0)
    frame = simulate_plan(with_carbon(study, values)).timeseries
    before, after = frame.gpu_mw[clean_from - 10 : clean_from], frame.gpu_mw[clean_from : clean_from + 10]
    assert frame.held[clean_from - 1] > 1000
    assert after.iloc[0] > before.max()
    assert after.mean() > 1.05 * before.mean()
    assert frame.prefill_tokens[clean_from] > 1.3 * frame.prefill_tokens[clean_from - 10 : clean_from].mean()


def test_a_budget_takes_effect_in_the_next_interval():
    free = simulate(SITE.changed(policy="none")).timeseries.facility_mw
    budget_w = 0.95e6 * float(free.min())
    frame = simulate(SITE.changed(policy=f"watt:budget_w={budget_w}")).timeseries
    assert frame.facility_mw[0] == free[0]
    assert frame.facility_mw[1] < free[1]
    assert frame.facility_mw[30:].mean() * 1e6 <= budget_w * 1.02


@pytest.mark.parametrize("policy", ["clamp:share=0.6", "clamp:share=0.4"])
def test_a_cap_of_the_nameplate_never_raises_power(policy):
    free, capped = (simulate(SITE.changed(policy=name)) for name in ("none", policy))
    assert capped.timeseries.facility_mw.max() <= free.timeseries.facility_mw.max() * (1 + 1e-9)
    assert capped.figures.energy_mwh.facility <= free.figures.energy_mwh.facility * (1 + 1e-9)
    assert capped.figures.inference.requests_completed == free.figures.inference.requests_completed


def test_without_work_to_shift_and_levers_it_is_the_baseline():
    study = SITE.changed(deferrable_share=0.0, days=0.05)
    bare = simulate(study, keep_requests=True)
    off = "mpc:awake=false,clock=false,chunk=false,battery=false"
    for policy in (off, "carbon", "wait", "bunch"):
        other = simulate(study.changed(policy=policy), keep_requests=True)
        assert other.requests.equals(bare.requests), policy
        assert other.timeseries.facility_mw.equals(bare.timeseries.facility_mw), policy
    assert "ttft" in everything(bare)


def test_levers_together_save_and_keep_every_promise():
    """Half of the work deferrable: far less energy and carbon, deadlines and targets kept, nothing lost."""
    study = SITE.changed(without=[], pv_kw=5.0, wind_kw=1.0, battery_kwh=5.0, drain_hours=3.0)
    bare, joint = (simulate(study.changed(policy=policy)) for policy in ("none", "mpc"))
    assert joint.figures.inference.requests_completed == bare.figures.inference.requests_completed
    assert joint.figures.energy_mwh.facility < 0.6 * bare.figures.energy_mwh.facility
    assert joint.figures.carbon_kg.settled < 0.6 * bare.figures.carbon_kg.settled
    classes = joint.figures.inference.classes
    assert classes.deferrable.deadlines_missed == 0
    assert classes.interactive.ttft_s.p99 <= 1.0
    assert classes.interactive.tpot_s.p99 <= 0.05
    assert joint.figures.control.refused == ()
    assert joint.timeseries.awake.min() == 1
    assert joint.timeseries.hosts_off.max() == 1


def test_replicas_are_awake_before_they_are_needed():
    """From night to the evening's rates a second and a third one come, and no request waits long for them."""
    study = SITE.changed(policy="consolidate", deferrable_share=0.0, start="2023-06-05T16:30", rate=22.0)
    result = simulate(study)
    assert result.timeseries.awake.max() > result.timeseries.awake.min()
    assert result.figures.inference.classes.interactive.ttft_s.p99 <= 1.0


@pytest.mark.parametrize(
    "limit", ["least_below_pu=0.5,full_above_pu=0.51", "least_above_percent=1e6,full_below_percent=9e5"]
)
def test_a_limit_of_the_network_is_crossed_and_power_falls_in_the_next_interval(limit):
    """Twelve megawatts at a bus of a real medium-voltage network; droop by line loading alone, and by voltage alone."""
    study = SITE.changed(start="2023-06-05T17:00", days=0.02, batch_cap=64, rate=20.0, mw=12.0, bus="100",
                         without=["pv", "wind", "battery"])  # fmt: skip
    study = study.model_copy(update={"network": NetworkOptions(network="mv_oberrhein")})
    free, drooped = (simulate(study.changed(policy=name)).timeseries for name in ("none", f"droop:{limit}"))
    assert drooped.facility_mw[0] == free.facility_mw[0]
    assert free.line_loading_max_percent.min() > 100.0
    assert free.vm_pu.max() < 0.94
    assert drooped.facility_mw[1] < 0.9 * free.facility_mw[1]
    assert drooped.gpu_mw[1:].max() < drooped.gpu_mw[0]
    assert drooped.line_loading_max_percent[1:].max() < free.line_loading_max_percent.min()
    assert drooped.vm_pu[1:].min() > free.vm_pu.max()
