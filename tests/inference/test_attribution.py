"""Every joule of the meter belongs to a request or to a visible idle line."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.inference import attribution
from simulators.inference.batching.policies import POLICIES, limits_for
from simulators.inference.batching.state import REQUEST
from simulators.inference.cluster import Cluster
from simulators.inference.power.laws import constant_law, energy_law
from simulators.inference.power.states import State
from simulators.inference.power.terms import Joules
from simulators.inference.replica import Replica
from simulators.inference.routing import CONTENT_BLIND, router
from simulators.inference.standby import IdleRule
from simulators.inference.timing.tables import INTERPOLATE, LOOKUP
from simulators.traffic.stream import Stream

from .runs import FLAT, Fed, flat_tables
from .test_cluster import block, busy_jobs
from .test_equality import random_tables, workloads

OFF = State(name="off", power_w=20.0, enter_s=2.0, enter_j=150.0, leave_s=5.0, leave_j=900.0)
ENERGIES = energy_law(80.0, 700.0, 60.0, Joules(np.array([0.0, 15.0, 22.0, 24.0]), 3.0, 0.02, 0.05))
LAWS = (FLAT, constant_law(50.0, 250.0), ENERGIES)


def mixed_cluster(jobs: list[Any], data: st.DataObject) -> Cluster:
    """Replicas that differ in everything, some of which park."""
    replicas = []
    for _ in range(data.draw(st.integers(1, 3))):
        limits = limits_for(
            data.draw(st.sampled_from(sorted(POLICIES))),
            total_blocks=data.draw(st.integers(40, 200)),
            batch_cap=data.draw(st.sampled_from([4, 9])),
            stages=data.draw(st.sampled_from([1, 2])),
            max_model_len=256,
        )
        mode = data.draw(st.sampled_from([LOOKUP, INTERPOLATE]))
        tables = random_tables(data.draw(st.integers(0, 99)), mode, grid=False)
        rule = data.draw(st.sampled_from(["work", "tokens"]))
        replica = Replica(
            limits, tables, data.draw(st.sampled_from(LAWS)), data.draw(st.integers(1, 2)), rule
        )
        if data.draw(st.booleans()):
            replica.standby.rule = IdleRule(OFF, data.draw(st.sampled_from([0.0, 3.0, 50.0])))
        replicas.append(replica)
    chosen = router(data.draw(st.sampled_from(CONTENT_BLIND)), len(replicas), np.random.default_rng(1))
    return Fed(Cluster(replicas, chosen, data.draw(st.sampled_from([1, 7]))), Stream(iter([block(jobs)])))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.data())
def test_requests_and_idle_add_up_to_the_meter_at_any_moment(data):
    """Also in the middle of a batch, with requests waiting, restarted, or on a replica that is waking up."""
    cluster = mixed_cluster(data.draw(workloads(grid=False)), data)
    intervals, now = [], 0.0
    for length_s in data.draw(st.lists(st.sampled_from([0.37, 1.7, 30.0, 411.1]), min_size=1, max_size=15)):
        now += length_s
        intervals.append(cluster.advance(now))
        meter = attribution.phases(intervals)
        assert meter["meter_j"] == pytest.approx(sum(i.energy_j for i in intervals), rel=1e-13)
        finished = np.concatenate([i.finished for i in intervals])
        table = attribution.request_table(finished, cluster.unfinished())
        assert abs(attribution.residual(table, meter)) <= 1e-12
        for name in ("prefill_j", "decode_j"):
            assert table[name].sum() == pytest.approx(meter[name], rel=1e-12, abs=1e-12 * meter["meter_j"])
        assert min(meter["idle_j"], meter["transition_j"]) >= -1e-12 * meter["meter_j"]
        spread = attribution.bill(table, meter, spread=True)
        if len(spread):
            assert spread["energy_j"].sum() == pytest.approx(meter["meter_j"], rel=1e-12)
        series_j = sum(i.series[:, :3].sum() * (i.ends_at - i.begins_at) / len(i.series) for i in intervals)
        assert series_j == pytest.approx(meter["meter_j"], rel=1e-12)
        by_replica = sum(i.by_replica for i in intervals)
        assert by_replica[:, :3].sum() == pytest.approx(meter["meter_j"], rel=1e-12)


def one_batch(rule: str) -> Any:
    """Two prompts in one iteration, the second three times as long; one output token each."""
    limits = limits_for("vllm_v1", total_blocks=100, batch_cap=8)
    tables = flat_tables(1.0)._replace(flops_per_token=2.0, flops_per_pair=0.5)
    cluster = Fed(
        Cluster(
            [Replica(limits, tables, FLAT, attribution=rule)],
            router("round_robin", 1, np.random.default_rng(1)),
        ),
        Stream(iter([block([(0.0, 10, 1), (0.0, 30, 1)])])),
    )
    return cluster.advance(2.0)


def test_tokens_split_by_tokens_and_work_by_flop():
    """300 W for 1 s; 10 and 30 tokens, 100 and 900 pairs."""
    tokens, work = one_batch("tokens"), one_batch("work")
    assert tokens.finished["prefill_j"].tolist() == pytest.approx([75.0, 225.0])
    flop = np.array([2 * 10 + 0.5 * 100, 2 * 30 + 0.5 * 900])
    assert work.finished["prefill_j"] == pytest.approx(300.0 * flop / flop.sum())
    assert tokens.idle_j == work.idle_j == pytest.approx(100.0)


def records(**columns: list[float]) -> np.ndarray:
    """Finished requests with these fields."""
    made = np.zeros(len(next(iter(columns.values()))), REQUEST)
    for name, values in columns.items():
        made[name] = values
    return made


METER = {
    "prefill_j": 30.0,
    "decode_j": 60.0,
    "idle_j": 8.0,
    "transition_j": 1.0,
    "lost_work_j": 0.0,
    "meter_j": 99.0,
}


def finished_three() -> np.ndarray:
    return records(
        request_id=[2, 0, 1], replica=[1, 0, 0], tenant=[7, 7, 5], prefill_tokens=[5, 10, 20],
        decode_tokens=[4, 2, 3], prefill_j=[5.0, 10.0, 15.0], decode_j=[20.0, 10.0, 30.0],
    )  # fmt: skip


def test_costs_per_token_model_and_tenant():
    table = attribution.request_table(finished_three(), records(request_id=[]), {0: "big", 1: "small"})
    assert table["request_id"].tolist() == [0, 1, 2]
    costs = attribution.bill(table, METER)
    assert costs["j_per_input_token"].tolist() == pytest.approx([1.0, 0.75, 1.0])
    assert costs["j_per_output_token"].tolist() == pytest.approx([5.0, 10.0, 5.0])
    assert costs["energy_j"].sum() == pytest.approx(90.0)  # idle stays apart
    by_model, by_tenant = attribution.by(costs, "group"), attribution.by(costs, "tenant")
    assert by_model.loc["big", ["requests", "prefill_tokens", "energy_j"]].tolist() == [2, 30, 65.0]
    assert by_tenant.loc[7, ["requests", "decode_tokens", "energy_j"]].tolist() == [2, 6, 45.0]


def test_idle_is_spread_by_busy_energy():
    table = attribution.request_table(finished_three(), records(request_id=[]))
    spread = attribution.bill(table, METER, spread=True)
    assert spread["idle_j"].tolist() == pytest.approx([2.0, 4.5, 2.5])
    assert spread["energy_j"].sum() == pytest.approx(99.0)
    assert attribution.spread_idle(np.zeros(4), 8.0).tolist() == [2.0] * 4
    assert attribution.spread_idle(np.zeros(0), 8.0).tolist() == []


def test_the_unfinished_bear_their_share_but_have_no_cost_per_output_token():
    unfinished = records(
        request_id=[3], prefill_tokens=[6], decode_tokens=[9], decode_j=[12.0], completed_at=[np.nan]
    )
    costs = attribution.bill(attribution.request_table(finished_three(), unfinished), METER)
    assert costs["done"].tolist() == [True, True, True, False]
    assert np.isnan(costs["j_per_output_token"].iloc[3])
    assert attribution.by(costs, "group")["decode_tokens"].sum() == 9  # 9 more are not all there yet
    assert costs["busy_j"].sum() == pytest.approx(102.0)


def test_a_missing_joule_is_seen():
    table = attribution.request_table(finished_three(), records(request_id=[]))
    assert attribution.residual(table, METER) == pytest.approx(0.0, abs=1e-15)
    assert attribution.residual(table.iloc[1:], METER) == pytest.approx(-20.0 / 99.0)


def test_restarted_requests_bear_what_they_cost_again():
    """A cache too small for two: one is evicted and computed again, and its energy is more than its share."""
    limits = limits_for("vllm_v1", total_blocks=4, batch_cap=4)
    jobs = [(0.0, 20, 20), (0.0, 20, 20)]
    cluster = Fed(
        Cluster(
            [Replica(limits, flat_tables(1.0), FLAT)], router("round_robin", 1, np.random.default_rng(1))
        ),
        Stream(iter([block(jobs)])),
    )
    done = cluster.advance(200.0).finished
    done = done[np.argsort(done["request_id"])]
    assert done["restarts"].tolist() == [0, 1]
    assert done["prefill_j"][1] > done["prefill_j"][0]


def test_a_long_run_adds_up():
    """Rounding of times far from zero must not leak joules."""
    jobs = [(t + 6e5, p, d) for t, p, d in busy_jobs(5, count=2000)]
    limits = limits_for("vllm_v1", total_blocks=200, batch_cap=8)
    replica = Replica(limits, random_tables(3, LOOKUP, grid=False), LAWS[2])
    made = Cluster([replica], router("round_robin", 1, np.random.default_rng(1)), bins_per_interval=6)
    cluster = Fed(made, Stream(iter([block(jobs)])))
    intervals = [cluster.advance(6e5)]
    while not cluster.idle:
        intervals.append(cluster.advance(intervals[-1].ends_at + 60.0))
    meter = attribution.phases(intervals)
    finished = np.concatenate([i.finished for i in intervals])
    table = attribution.request_table(finished, cluster.unfinished())
    assert abs(attribution.residual(table, meter)) <= 1e-12
