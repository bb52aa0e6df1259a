"""Replicas that park: when they sleep, what that takes, how requests wait for them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.errors import InputError
from simulators.inference.batching.policies import limits_for
from simulators.inference.catalogue import gpu, model
from simulators.inference.catalogue.memory import weight_bytes_per_gpu
from simulators.inference.cluster import Cluster
from simulators.inference.metrics import Metrics
from simulators.inference.power.states import State, states_for
from simulators.inference.replica import Replica
from simulators.inference.routing import CONTENT_BLIND, router
from simulators.inference.serving import Serving, build_cluster
from simulators.inference.standby import IdleRule, Standby
from simulators.inference.timing.tables import LOOKUP
from simulators.quantities.requests import RequestBlock
from simulators.traffic.stream import Stream

from .runs import FLAT, Fed, Job, flat_tables
from .test_cluster import block, finish, requests
from .test_equality import random_tables, workloads

OFF = State(name="off", power_w=20.0, enter_s=2.0, enter_j=160.0, leave_s=5.0, leave_j=900.0)
"""Entered at 80 W, left at 180 W; `FLAT` draws 100 W idle and 300 W busy."""


def parking_cluster(
    jobs: list[Job],
    after_s: float | None = 10.0,
    replicas: int = 1,
    router_name: str = "round_robin",
    batch_cap: int = 2,
    bins: int = 1,
    tables: Any = None,
) -> Fed:
    """Replicas that take 1 s per iteration and go off after `after_s` idle seconds."""
    limits = limits_for("vllm_v1", total_blocks=100, batch_cap=batch_cap)
    made = [Replica(limits, tables or flat_tables(1.0), FLAT) for _ in range(replicas)]
    for replica in made:
        replica.standby.rule = None if after_s is None else IdleRule(OFF, after_s)
    chosen = router(router_name, replicas, np.random.default_rng(4))
    return Fed(Cluster(made, chosen, bins), Stream(iter([block(jobs)])))


def test_parked_after_a_while_and_woken_by_a_request():
    """Busy 0-2 s, idle to 12, on its way off to 14, off to 50, waking to 55, busy to 56."""
    cluster = parking_cluster([(0.0, 5, 2), (50.0, 5, 1)], bins=60)
    interval = cluster.advance(60.0)
    expected_w = np.concatenate([[300] * 2, [100] * 10, [80] * 2, [20] * 36, [180] * 5, [300], [100] * 4])
    np.testing.assert_allclose(interval.series[:, :3].sum(axis=1), expected_w)
    second = interval.finished[1]
    assert (second["scheduled_at"], second["completed_at"]) == (55.0, 56.0)
    assert second["completed_at"] - second["released_at"] == 6.0  # waking counts as waiting
    assert interval.transition_j == pytest.approx(160.0 + 900.0)
    assert interval.idle_j == pytest.approx(10 * 100 + 160 + 36 * 20 + 900 + 4 * 100)


def test_a_transition_is_finished_before_it_is_undone():
    """A request at 13 s finds the replica half way off: it is off at 14 and back at 19."""
    cluster = parking_cluster([(0.0, 5, 2), (13.0, 5, 1)])
    interval = cluster.advance(30.0)
    assert interval.finished["completed_at"].tolist() == [2.0, 20.0]
    assert interval.transition_j == pytest.approx(1060.0)


def test_requests_that_come_while_it_wakes_are_waiting_and_served_together():
    cluster = parking_cluster([(50.0, 5, 1), (52.0, 5, 1)], batch_cap=4)
    interval = cluster.advance(53.0)
    assert (interval.running, interval.waiting) == (0, 2)
    done = cluster.advance(60.0).finished
    assert done["completed_at"].tolist() == [56.0, 56.0]


def test_it_stays_loaded_where_the_pause_is_shorter():
    cluster = parking_cluster([(0.0, 5, 1), (9.0, 5, 1)])
    interval = cluster.advance(15.0)
    assert interval.transition_j == 0
    assert interval.finished["completed_at"].tolist() == [1.0, 10.0]


def test_requests_go_to_who_is_awake_until_they_are_full():
    """Two replicas off; the second is woken by the third request, when the first has its two."""
    jobs = [(30.0 + k / 8, 5, 20) for k in range(3)]
    for name in CONTENT_BLIND:
        cluster = parking_cluster(jobs, replicas=2, router_name=name)
        done = cluster.advance(100.0).finished
        done = done[np.argsort(done["request_id"])]
        assert done["replica"][0] == done["replica"][1] != done["replica"][2], name
        assert done["scheduled_at"].tolist() == [35.0, 35.0, 35.25]


def test_on_order_a_replica_drains_first_and_wakes_on_order():
    cluster = parking_cluster([(0.0, 5, 4), (2.0, 5, 1), (2.5, 5, 1)], after_s=None, replicas=2)
    cluster.advance(1.5)
    assert cluster.replicas[0].outstanding == 1
    cluster.park(0, OFF)
    first = cluster.advance(20.0)
    # it finishes what it has, gets nothing new, and goes off when that is done
    assert sorted(first.finished["replica"].tolist()) == [0, 1, 1]
    assert first.by_replica[0, 2] == pytest.approx(160.0 + 14 * 20.0)
    cluster.wake(0)
    second = cluster.advance(40.0)
    assert second.by_replica[0, 2] == pytest.approx(900.0 + 15 * 100.0)
    assert second.by_replica[1, 2] == pytest.approx(20 * 100.0)
    assert second.transition_j == pytest.approx(900.0)


def test_all_parked_on_order_are_woken_by_a_request():
    cluster = parking_cluster([(30.0, 5, 1)], after_s=None)
    cluster.advance(10.0)
    cluster.park(0, OFF)
    done = cluster.advance(60.0).finished
    assert done["completed_at"].tolist() == [36.0]


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.data())
def test_steps_do_not_touch_who_sleeps(data):
    """However time is cut, the same requests are served at the same times and the same energy is drawn."""
    jobs = data.draw(workloads(grid=False))
    options: dict[str, Any] = {
        "replicas": data.draw(st.integers(1, 3)),
        "router_name": data.draw(st.sampled_from(CONTENT_BLIND)),
        "after_s": data.draw(st.sampled_from([0.0, 2.0, 20.0])),
        "tables": random_tables(data.draw(st.integers(0, 99)), LOOKUP, grid=False),
    }
    whole = finish(parking_cluster(jobs, **options), step_s=1e5, limit_s=1e7)
    cut = parking_cluster(jobs, **options)
    intervals, now = [], 0.0
    for length_s in data.draw(st.lists(st.sampled_from([0.013, 1.7, 30.0, 411.1]), max_size=30)):
        now += length_s
        intervals.append(cut.advance(now))
    while now < whole[-1].ends_at or not cut.idle:
        now = max(now, whole[-1].ends_at) if now < whole[-1].ends_at else now + 1e5
        intervals.append(cut.advance(now))
    ours, theirs = requests(intervals), requests(whole)
    # a stretch of iterations that is cut in two adds up to the same but for rounding
    np.testing.assert_allclose(ours["completed_at"], theirs["completed_at"], rtol=1e-12)
    assert ours["replica"].tolist() == theirs["replica"].tolist()
    if now == whole[-1].ends_at:
        for name in ("idle_j", "transition_j"):
            ours_j, theirs_j = (sum(getattr(i, name) for i in run) for run in (intervals, whole))
            assert ours_j == pytest.approx(theirs_j, rel=1e-9, abs=1e-6)


def test_what_a_replica_remembers_does_not_grow_with_its_naps():
    cluster = parking_cluster([(100.0 * n, 1, 1) for n in range(40)])
    remembered = []
    for n in range(1, 41):
        cluster.advance(100.0 * n)
        remembered.append(len(cluster.replicas[0].standby._steps))
    assert cluster.completed == 40
    assert max(remembered) < 10


def test_the_end_of_a_run_is_cut_with_what_was_drawn():
    cluster = parking_cluster([(0.0, 5, 2)])
    interval = cluster.advance(60.0)
    kept, _ = interval.cut(13.0, cluster.standby_j(13.0, 60.0))
    assert kept.energy_j == pytest.approx(2 * 300 + 10 * 100 + 80)
    assert kept.transition_j == pytest.approx(80.0)
    nothing, _ = interval.cut(0.0, cluster.standby_j(0.0, 60.0))
    assert nothing.idle_j == 0


def test_off_pays_where_pauses_are_longer_than_break_even():
    """One request every ten minutes on H100: off takes less energy than staying loaded, and costs its start."""
    gaps = RequestBlock.of(600.0 * np.arange(6), np.full(6, 500), np.full(6, 50))
    loaded = Serving(gpu="h100", power_law="auto", iteration_time="roofline")
    energy, waited = {}, {}
    for name, serving in (("loaded", loaded), ("off", loaded.model_copy(update={"idle_off_s": 60.0}))):
        cluster = Fed(build_cluster(serving)[0], Stream(iter([gaps])))
        metrics = Metrics()
        while not cluster.idle:
            metrics.add(cluster.advance(metrics.span_s + 600.0))
        summary = metrics.summary(cluster)
        energy[name], waited[name] = summary["gpu_energy_j"], summary["ttft_s"]["p50"]
    state = states_for(gpu("h100"), weight_bytes_per_gpu(model(loaded.model), 1, 1))["off"]
    assert state.break_even_s(115.3) < 540.0
    assert energy["off"]["total"] < 0.8 * energy["loaded"]["total"]
    assert energy["off"]["transition_within_idle"] == pytest.approx(5 * state.leave_j)
    assert energy["loaded"]["transition_within_idle"] == 0
    assert waited["off"] == pytest.approx(waited["loaded"] + state.leave_s, rel=summary["latency_error"])


def woken_after_s(**options: Any) -> tuple[float, float]:
    """Seconds a request waits for a sleeping replica, and joules it takes to wake and fall asleep again, all GPUs."""
    serving = Serving(iteration_time="roofline", idle_off_s=10.0, idle_state="sleep", **options)
    gaps = RequestBlock.of(np.array([0.0, 600.0]), np.full(2, 500), np.full(2, 50))
    cluster = Fed(build_cluster(serving)[0], Stream(iter([gaps])))
    first, second = cluster.advance(300.0), cluster.advance(900.0)
    assert first.completed == second.completed == 1
    done = second.finished[0]
    return float(done["scheduled_at"] - done["released_at"]), float(second.transition_j)


def test_a_large_replica_wakes_slower_than_a_small_one():
    """As measured on A100: 2.9 s for 61 GB on one GPU, 5.4 s for 59 GB on each of four that share the host's memory."""
    small_s, small_j = woken_after_s(model="meta-llama/Llama-3.1-8B", gpu="a100")
    middle_s, _ = woken_after_s(model="Qwen/Qwen3-30B-A3B", gpu="a100")
    large_s, large_j = woken_after_s(model="Qwen/Qwen3-235B-A22B", precision="fp8", tp=4, gpu="a100")
    assert small_s < 1.0
    assert middle_s == pytest.approx(2.87, rel=0.1)
    assert large_s == pytest.approx(5.4, rel=0.1)
    asleep = states_for(gpu("a100"), 59.084374016e9, 4)["sleep"]
    assert large_j == pytest.approx(4 * (asleep.leave_j + asleep.enter_j), rel=1e-6)  # it falls asleep again
    assert large_j / 4 > 2 * small_j


def test_what_parking_takes_is_among_the_facts():
    _, facts = build_cluster(Serving(gpu="h100", iteration_time="roofline", idle_off_s=9.0))
    assert facts["idle_state"]["name"] == "off"
    low, high = facts["idle_state"]["leave_range_s"]
    assert low < facts["idle_state"]["leave_s"] < high
    assert facts["idle_state"]["break_even_s"] >= facts["idle_state"]["leave_s"]
    asleep = Serving(gpu="h100", iteration_time="roofline", idle_off_s=9.0, idle_state="sleep")
    assert build_cluster(asleep)[1]["idle_state"]["break_even_s"] is None
    assert "idle_state" not in build_cluster(Serving(iteration_time="roofline"))[1]


def test_energy_of_a_jump_is_refused():
    with pytest.raises(InputError, match="state off: 5 J in a transition of 0 s"):
        Standby(100.0).park(0.0, State(name="off", power_w=1.0, enter_j=5.0))


def test_an_unknown_state_is_one_line():
    with pytest.raises(ValueError, match="idle_state"):
        Serving(idle_state="nap")
