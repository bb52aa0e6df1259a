"""What a controller can change of a live cluster, and what is refused."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.inference.batching.policies import POLICIES
from simulators.inference.serving import Serving, build_cluster
from simulators.quantities.commands import Awake, BatchCap, ClockLimit, PowerCap, Release
from simulators.quantities.requests import RequestBlock

from .runs import FLAT, flat_tables
from .test_cluster import busy_jobs, cluster, requests


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_the_batch_cap_of_a_live_replica_goes_up_and_down(data):
    """Far above what the arrays were made for, and far below what runs: nothing hangs, nothing is lost."""
    scheduler = data.draw(st.sampled_from(sorted(POLICIES)))
    stages = data.draw(st.sampled_from([1, 2]))
    c = cluster(busy_jobs(5, count=150, rate_per_s=4.0), scheduler=scheduler, stages=stages, batch_cap=4)
    intervals = []
    for _ in range(40):
        cap = data.draw(st.integers(stages, 120))
        assert c.command(BatchCap(cap)) is None
        intervals.append(c.advance(c.now + data.draw(st.sampled_from([0.7, 5.0, 30.0]))))
    while not c.idle:
        assert c.now < 1e5, "something waits for ever"
        intervals.append(c.advance(c.now + 1e3))
    assert len(requests(intervals)) + c.rejected == 150


def test_a_higher_cap_is_used_and_a_lower_one_kept():
    c = cluster([(0.0, 5, 200) for _ in range(60)], flat_tables(1.0), batch_cap=4, total_blocks=5000)
    assert c.advance(5.0).running == 4
    assert c.command(BatchCap(50)) is None
    assert c.advance(10.0).running == 50
    assert c.command(BatchCap(3)) is None
    before = c.replicas[0].counter("batches"), c.replicas[0].counter("batch_sizes")
    c.advance(20.0)
    after = c.replicas[0].counter("batches"), c.replicas[0].counter("batch_sizes")
    assert (
        after[1] - before[1] <= 3 * (after[0] - before[0]) + 50
    )  # the batch in flight at the change may be larger


def test_a_cap_of_thousands_does_not_hang():
    c = cluster([(0.0, 5, 3)], flat_tables(1.0), batch_cap=6000, total_blocks=9000)
    assert c.advance(60.0).completed == 1


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (BatchCap(0), "batch cap 0: expected 1 .the pipeline stages. to 200 .the KV blocks."),
        (BatchCap(201), "batch cap 201"),
        (PowerCap(50.0), "power cap: 50 W"),
        (ClockLimit(0.01), "clock limit"),
        (Awake(0), "0 replicas awake: expected 1 to 2"),
        (Awake(1), "state 'off': expected one of none is known"),
        (Release(hold=True), "a cluster takes batch_cap, chunk_budget, awake, power_cap, clock, not release"),
    ],
)
def test_what_cannot_be_is_refused_with_a_reason_and_changes_nothing(command, reason):
    c = cluster(busy_jobs(1), replicas=2, law=FLAT)
    limits = [r.limits for r in c.replicas]
    assert re.search(reason, c.command(command) or "")
    assert [r.limits for r in c.replicas] == limits


def h100s(replicas: int, router: str = "round_robin"):
    serving = Serving(gpu="h100", power_law="auto", replicas=replicas, iteration_time="roofline")
    return build_cluster(serving, router_name=router)[0]


def one_by_one(count: int, gap_s: float) -> RequestBlock:
    return RequestBlock.of(gap_s * np.arange(count), np.full(count, 200), np.full(count, 20))


def test_fewer_awake_replicas_serve_everything_and_draw_less():
    few, all_awake = h100s(4), h100s(4)
    nothing = RequestBlock.concatenate([])
    assert few.command(Awake(1)) is None
    assert few.awake == 1
    requests_of_a_minute = one_by_one(60, 1.0)
    small, large = few.advance(60.0, requests_of_a_minute), all_awake.advance(60.0, requests_of_a_minute)
    assert small.completed == large.completed >= 59
    assert set(small.finished["replica"]) == {0}
    assert small.energy_j < 0.75 * large.energy_j
    assert few.slots * 4 == all_awake.slots
    # raised again, they load their models first, as a process of the event loop
    assert few.command(Awake(3)) is None
    assert few.awake == 1
    few.advance(600.0, nothing)
    assert few.awake == 3


def test_those_awake_share_the_requests_evenly():
    """The replica after the parked ones got their share too."""
    c = h100s(4)
    assert c.command(Awake(3)) is None
    finished = c.advance(600.0, one_by_one(300, 1.0)).finished
    assert np.bincount(finished["replica"], minlength=4).tolist() == [100, 100, 100, 0]


@pytest.mark.parametrize("router", ["round_robin", "random", "least_outstanding", "power_of_two"])
def test_no_request_waits_for_a_replica_that_loads_while_another_serves(router):
    c, nothing = h100s(2, router), RequestBlock.concatenate([])
    assert c.command(Awake(1)) is None
    c.advance(100.0, nothing)
    assert c.command(Awake(2)) is None
    ready_at = c.replicas[1].counter("serves_from")
    assert 100.0 < ready_at < 400.0
    block = one_by_one(300, 1.0)
    block = RequestBlock.of(100.0 + block.arrived_at, block.prefill_tokens, block.decode_tokens)
    finished = c.advance(500.0, block).finished
    assert (finished["released_at"][finished["replica"] == 1] >= ready_at).all()
    assert (finished["scheduled_at"] - finished["released_at"]).max() < 1.0
    late = finished["replica"][finished["released_at"] >= ready_at]
    assert router != "round_robin" or abs((late == 1).mean() - 0.5) < 0.01
    assert router == "least_outstanding" or (late == 1).any()  # of equals it takes the first


def test_parked_replicas_cost_no_turn_of_the_event_loop(monkeypatch):
    """A request at a time through Python took 3.6 times as long."""
    c = h100s(4)
    assert c.command(Awake(2)) is None

    def one_at_a_time(records):
        raise AssertionError("a request was routed by itself")

    monkeypatch.setattr(c, "_send", one_at_a_time)
    assert c.advance(60.0, one_by_one(60, 1.0)).completed >= 59


def test_what_runs_is_finished_before_a_replica_sleeps():
    c = h100s(2)
    c.advance(1.0, one_by_one(8, 0.1))
    assert c.command(Awake(1)) is None
    interval = c.advance(120.0, RequestBlock.concatenate([]))
    assert c.outstanding == 0
    assert interval.transition_j >= 0.0
    assert c.awake == 1


@pytest.mark.parametrize("iteration_time", ["measured", "roofline"])
def test_a_raised_cap_takes_the_time_of_a_replica_built_with_it(iteration_time):
    """Iteration times are tabulated up to a cap; continued in a straight line they came out 15 % short."""
    ends = []
    for built_with in (8, 256):
        serving = Serving(gpu="h100", iteration_time=iteration_time, batch_cap=built_with)
        c, _ = build_cluster(serving)
        assert c.command(BatchCap(256)) is None
        block = RequestBlock.of(np.zeros(300), np.full(300, 200), np.full(300, 100))
        ends.append(c.advance(300.0, block).finished["completed_at"].max())
    assert ends[0] == ends[1]


def test_requests_after_a_command_in_mid_interval_go_where_it_says():
    c = h100s(2)
    assert c.command(Awake(1), at=10.0) is None
    finished = c.advance(60.0, one_by_one(100, 0.5)).finished
    assert set(finished["replica"][finished["released_at"] < 10.0]) == {0, 1}
    assert set(finished["replica"][finished["released_at"] >= 10.0]) == {0}


@pytest.mark.parametrize("at", [100.0, 150.0])
def test_a_command_for_a_later_interval_waits_for_it(at):
    c = h100s(2)
    assert c.command(Awake(1), at=at) is None
    replicas = []
    for until in (100.0, 200.0):
        block = RequestBlock.of(until - 100.0 + np.arange(100.0), np.full(100, 200), np.full(100, 20))
        assert c.awake == 2
        replicas.append(c.advance(until, block).finished)
    assert c.awake == 1
    late = np.concatenate(replicas)
    assert set(late["replica"][late["released_at"] >= at]) == {0}


def test_a_replica_kept_after_all_loads_once():
    """To be parked while it loads, and kept before that is over: there is nothing to load again."""
    c, nothing = h100s(2), RequestBlock.concatenate([])
    for awake in (1, 2, 1, 2):
        assert c.command(Awake(awake)) is None
        c.advance(c.now + 5.0, nothing)
    ready_at = c.replicas[1].counter("serves_from")
    assert ready_at == pytest.approx(5.0 + c.replicas[1].states["off"].leave_s)
    c.advance(ready_at - 0.5, nothing)
    assert c.awake == 1
    c.advance(ready_at + 0.5, nothing)
    assert c.awake == 2


@pytest.mark.parametrize(
    "command",
    [
        *(BatchCap(64.5), BatchCap("9"), BatchCap(True), BatchCap(np.nan), BatchCap(None)),
        *(Awake(1.5), Awake("1"), PowerCap("400"), PowerCap(np.nan), ClockLimit("x"), ClockLimit(None)),
    ],
)
def test_what_is_no_number_is_refused_in_one_line(command):
    c = h100s(2)
    reason = c.command(command)
    assert reason
    assert "\n" not in reason
    assert c.advance(60.0, one_by_one(10, 0.5)).completed == 10


def test_whole_numbers_may_come_as_floats():
    """JSON of some languages knows no other."""
    c = h100s(2)
    assert c.command(BatchCap(64.0)) is None
    assert c.command(Awake(1.0)) is None
    assert type(c.replicas[0].limits.max_requests) is int
    assert (c.slots, c.awake) == (64, 1)
