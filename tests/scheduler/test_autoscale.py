"""Replicas by measured load: the rule in numbers, and a fleet that is scaled up and down by it."""

from __future__ import annotations

import numpy as np
import pytest

from simulators.errors import InputError
from simulators.inference.serving import Serving, build_cluster
from simulators.quantities.commands import Awake
from simulators.quantities.facts import SiteFacts
from simulators.quantities.requests import RequestBlock
from simulators.scheduler.observation import Observation
from simulators.scheduler.policies import policy
from simulators.scheduler.policies.autoscale import Autoscale

SITE = SiteFacts(replicas=10, replica_off_w=70.0, copies=2.0)


def wanted(rule: Autoscale, *loads: float, waiting: bool = False) -> list[int]:
    """Replicas at each minute, of requests running (or queued) at its beginning."""
    counts, now = [], 10
    for minute, load in enumerate(loads):
        queue = {"waiting": load} if waiting else {"running": load}
        seen = Observation(60 * minute, 60, awake=now, slots=2.0 * 16 * now, facts=SITE, **queue)
        [command] = rule.decide(seen)
        assert isinstance(command, Awake)
        now = command.replicas
        counts.append(now)
    return counts


def test_replicas_follow_the_load_over_the_target_up_at_once_and_down_late():
    assert wanted(Autoscale(target=0.5, stay_s=0.0), 0, 160, 32, 33, 200, 0) == [10, 10, 2, 2, 10, 1]
    # 33 of 64 slots is within the tolerance; 200 over 16 a replica would be 12.5
    assert wanted(Autoscale(target=0.5, stay_s=120.0), 0, 32, 32, 32, 64, 32, 32, 32) == [
        10,
        10,
        10,
        2,
        4,
        4,
        4,
        2,
    ]
    assert wanted(Autoscale(target=0.5, stay_s=0.0, least=3, most=5), 0, 0, 300) == [5, 3, 5]


def test_a_queue_is_counted_per_replica_of_every_copy():
    rule = Autoscale(of="queue", target=4.0, stay_s=0.0)
    assert wanted(rule, 0, 8, 16, 17, 100, waiting=True) == [10, 1, 2, 2, 10]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("autoscale:of=cpu", "of=load or of=queue"),
        ("autoscale:target=1.5", "up to 1 of load"),
        ("autoscale:least=3,most=2", "most=0 or from least on"),
        ("autoscale:least=0", "least >= 1"),
        ("autoscale:tolerance=1", "tolerance from 0 to below 1"),
        ("autoscale:stay_s=-1", "stay_s >= 0"),
    ],
)
def test_what_makes_no_sense_is_refused(spec, message):
    with pytest.raises(InputError, match=f"'autoscale': expected .*{message}"):
        policy(spec)


def test_a_fleet_grows_after_a_step_of_the_load_as_fast_as_replicas_start_and_shrinks_after():
    """0.6 requests/s of some 6 s each, then 6/s for ten minutes: every answer comes; the wait ends with the start."""
    serving = Serving(gpu="h100", replicas=4, batch_cap=16, iteration_time="roofline")
    cluster, _ = build_cluster(serving, router_name="least_outstanding")
    rng = np.random.default_rng(1)
    times = np.concatenate(
        [np.arange(0, 600, 1 / 0.6), np.arange(600, 1200, 1 / 6), np.arange(1200, 2400, 1 / 0.6)]
    )
    requests = RequestBlock.of(times, rng.integers(100, 300, len(times)), np.full(len(times), 900))
    starts_s = cluster.replicas[0].states["off"].leave_s
    facts = SiteFacts(replicas=4, replica_off_w=70.0, wake_s=starts_s)
    rule, step_s = Autoscale(target=0.6, stay_s=300.0, hosts=False), 15
    seen = Observation(0, step_s, awake=4, slots=64, facts=facts)
    awake, waits, sent = {}, {}, 0
    for begins_at in range(0, 2700, step_s):
        for command in rule.decide(seen):
            assert cluster.command(command) is None
        last = int(np.searchsorted(times, begins_at + step_s))
        interval = cluster.advance(float(begins_at + step_s), requests[sent:last])
        sent = last
        awake[begins_at] = cluster.awake
        done = interval.finished
        wait_s = (done["scheduled_at"] - done["arrived_at"]).tolist()
        waits |= dict(zip(done["arrived_at"].tolist(), wait_s, strict=True))
        seen = Observation(
            begins_at + step_s, step_s, running=interval.running, waiting=interval.waiting, awake=cluster.awake,
            waking=cluster.waking, slots=cluster.slots, facts=facts,
        )  # fmt: skip
    assert cluster.completed == len(times)
    assert awake[585] == 1  # after the first five minutes
    grown = min(at for at, count in awake.items() if at >= 600 and count > 1)
    assert starts_s <= grown + step_s - 600 <= starts_s + 3 * step_s
    assert max(count for at, count in awake.items() if 600 <= at < 1200) == 4
    assert awake[2685] == 1
    late = max(wait for at, wait in waits.items() if 600 <= at < 620)
    assert 5.0 < late < starts_s + 4 * step_s  # the queue lasts until replicas have started
    assert max(wait for at, wait in waits.items() if at > 900) < 1.0
