"""Requests sent one by one: the same choices as if every replica were brought forward at every arrival."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.inference.batching.policies import POLICIES, limits_for
from simulators.inference.batching.state import Records
from simulators.inference.cluster import Cluster, Process
from simulators.inference.one_by_one import shortest_iteration_s
from simulators.inference.power.states import State
from simulators.inference.replica import Replica
from simulators.inference.routing import ANY, CONTENT_BLIND, router
from simulators.inference.standby import IdleRule
from simulators.inference.timing.tables import LOOKUP
from simulators.quantities.commands import Awake, BatchCap
from simulators.traffic.stream import Stream

from .runs import Fed, Job, flat_tables
from .test_cluster import LAW, TIMES, block, busy_jobs, finish, requests
from .test_equality import random_tables, workloads

OFF = State(name="off", power_w=20.0, enter_s=0.5, enter_j=30.0, leave_s=3.0, leave_j=200.0)


class Brought(Cluster):
    """Brings every replica to every arrival and looks at all of them: slow, and plain to see."""

    def _send(self, records: Records) -> Process:
        for i, at in enumerate(records["released_at"].tolist()):
            yield self._env.timeout(max(0.0, at - self._env.now))
            for number in range(len(self.replicas)):
                self._bring(number, at)
            ((first, second),) = self.router.candidates(1).tolist()
            chosen = self._choose(first, second)
            self.wake(chosen, at)
            self._admit(chosen, records, i, i + 1)

    def _choose(self, first: int, second: int) -> int:
        outstanding = np.array([r.outstanding for r in self.replicas])
        absent, numbers = self.parking.away, range(len(self.replicas))
        wanted = np.array([n not in absent for n in numbers])
        if absent or self._loading:
            has_room = outstanding < np.array([r.limits.max_requests for r in self.replicas])
            ready = np.array([n not in self._loading for n in numbers])
            room = wanted & has_room & ready
            room = room if room.any() else wanted & has_room
            may_wake = np.array([n in absent and n not in self.parking.asleep for n in numbers])
            wanted = room if room.any() else may_wake if may_wake.any() else wanted
        seen = np.where(wanted, outstanding, np.iinfo(np.int64).max)
        number = int(np.argmin(seen)) if first == ANY else first if seen[first] <= seen[second] else second
        return int((number + np.argmax(np.roll(wanted, -number))) % len(wanted))


def made(
    kind: type[Cluster], jobs: list[Job], tables: Any, name: str, rule: IdleRule | None, **limits: Any
) -> Fed:
    replicas = [Replica(limits_for(**limits), tables, LAW, states={"off": OFF}) for _ in range(4)]
    for replica in replicas[1:]:
        replica.standby.rule = rule
    routed = router(name, len(replicas), np.random.default_rng(5))
    return Fed(kind(replicas, routed, gpus_per_host=2), Stream(iter([block(jobs)])))


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_the_same_choices_as_bringing_all_to_every_arrival(data):
    name = data.draw(st.sampled_from((*CONTENT_BLIND, "independent:2")))
    rule = data.draw(st.sampled_from([None, IdleRule(OFF, 0.0), IdleRule(OFF, 4.0)]))
    policy = data.draw(st.sampled_from(sorted(POLICIES)))
    limits: dict[str, Any] = {
        "scheduler": policy, "total_blocks": data.draw(st.sampled_from([24, 200])), "max_model_len": 256,
        "batch_cap": data.draw(st.sampled_from([2, 8])), "stages": data.draw(st.sampled_from([1, 2])),
    }  # fmt: skip
    awake = data.draw(st.lists(st.integers(1, 4), max_size=4))
    if data.draw(st.booleans()):
        jobs, tables = busy_jobs(data.draw(st.integers(0, 99)), 150, 3.0), flat_tables(0.1, 0.01)
    else:
        jobs = data.draw(workloads(grid=False))
        tables = random_tables(data.draw(st.integers(0, 99)), LOOKUP, grid=False)
    state = data.draw(st.sampled_from(["off", "host_off"]))
    runs = []
    for kind in (Cluster, Brought):
        c = made(kind, jobs, tables, name, rule, **limits)
        intervals = []
        for k, count in enumerate(awake):
            assert c.command(Awake(count, state), at=c.now + 7.3) is None
            if k == 1:
                assert c.command(BatchCap(4), at=c.now + 9.1) is None
            intervals.append(c.advance(c.now + 20.0))
        now = c.now
        while not c.idle:
            now += 50.0
            assert now < 1e6, "something waits for ever"
            intervals.append(c.advance(now))
        runs.append((requests(intervals), intervals, c))
    (ours, mine, c), (theirs, yours, d) = runs
    assert list(ours.index) == list(theirs.index)
    assert list(ours.replica) == list(theirs.replica)
    assert c.rejected == d.rejected
    for column in TIMES:
        np.testing.assert_allclose(ours[column], theirs[column], rtol=1e-12, err_msg=column)
    for a, b in zip(mine, yours, strict=True):
        assert (a.completed, a.running, a.waiting) == (b.completed, b.running, b.waiting)
        np.testing.assert_allclose(a.by_replica, b.by_replica, rtol=1e-9, atol=1e-6)


@pytest.mark.parametrize("name", ["least_outstanding", "power_of_two"])
def test_more_than_there_is_room_for_at_first(monkeypatch, name):
    """Slots grow and buffers are collected on the way; every request is served once."""
    monkeypatch.setattr("simulators.inference.replica.new_state", _small)
    jobs = [(0.001 * k, 3, 1 + k % 7) for k in range(3000)]
    limits = {"scheduler": "vllm_v1", "total_blocks": 200, "batch_cap": 8, "max_model_len": 256}
    done = requests(finish(made(Cluster, jobs, flat_tables(0.01), name, None, **limits)))
    assert list(done.index) == list(range(len(jobs)))
    assert done.replica.value_counts().min() > 600


def _small(capacity: Any, log: bool = False) -> Any:
    from simulators.inference.batching.state import new_state

    return new_state(capacity, slots=2, buffer=2, log=log)


def test_tables_that_fall_beyond_their_end_bound_nothing():
    tables = flat_tables(1.0)
    assert shortest_iteration_s(tables) == pytest.approx(1.0)
    falling = tables._replace(token_s=np.array([0.0, 2.0, 1.0]))
    assert shortest_iteration_s(falling) == 0.0
