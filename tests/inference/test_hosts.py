"""Servers are switched off when their replicas are parked and spared, and start before these load again."""

from __future__ import annotations

import numpy as np
import pytest

from simulators.inference.cluster import Cluster
from simulators.inference.hosts import BOOT, Hosts
from simulators.inference.serving import Serving, build_cluster, build_replicas
from simulators.quantities.commands import Awake
from simulators.quantities.requests import RequestBlock

SERVING = Serving(gpu="h100", tp=4, replicas=4, iteration_time="roofline")
NOTHING = RequestBlock.concatenate([])
LOADED_W, OFF_W = 115.3, 71.8


def made(**options) -> Cluster:
    return build_cluster(SERVING.model_copy(update=options))[0]


def requests_at(times, decode: int = 20) -> RequestBlock:
    return RequestBlock.of(np.asarray(times, float), np.full(len(times), 200), np.full(len(times), decode))


def gpu_w(cluster: Cluster, until: float) -> float:
    begins_at = cluster.now
    return cluster.advance(until, NOTHING).energy_j / (until - begins_at)


def test_replicas_fill_servers_one_after_the_other():
    def placed(**options) -> list[list[int]]:
        replicas, _ = build_replicas(SERVING.model_copy(update=options))
        return [list(hosts) for hosts in Hosts(replicas).of]

    assert placed() == [[0], [0], [1], [1]]
    assert placed(tp=1, replicas=3) == [[0], [0], [0]]
    assert placed(tp=8, pp=2, replicas=2) == [[0, 1], [2, 3]]


def test_an_empty_server_is_off_with_its_boards():
    c = made()
    assert gpu_w(c, 60.0) == pytest.approx(16 * LOADED_W)
    assert c.command(Awake(3, "host_off")) is None
    assert gpu_w(c, 120.0) == pytest.approx(12 * LOADED_W + 4 * OFF_W)  # its server holds another that serves
    assert c.hosts_off == 0
    assert c.command(Awake(2, "host_off")) is None
    assert gpu_w(c, 180.0) == pytest.approx(8 * LOADED_W)
    assert c.hosts_off == 1
    assert c.command(Awake(1, "host_off")) is None
    assert gpu_w(c, 240.0) == pytest.approx(4 * LOADED_W + 4 * OFF_W)


def test_without_being_spared_a_server_stays_on():
    c = made()
    assert c.command(Awake(2, "off")) is None
    assert gpu_w(c, 60.0) == pytest.approx(8 * LOADED_W + 8 * OFF_W)
    assert c.command(Awake(2, "host_off")) is None
    assert gpu_w(c, 120.0) == pytest.approx(8 * LOADED_W)
    assert c.command(Awake(2, "off")) is None  # back: its boards draw power at once
    assert gpu_w(c, 180.0) == pytest.approx(8 * LOADED_W + 8 * OFF_W)
    assert c.hosts_off == 0


def test_a_server_starts_before_its_replica_loads():
    c = made()
    state = c.replicas[0].states["off"]
    c.command(Awake(2, "host_off"))
    gpu_w(c, 600.0)
    c.command(Awake(3, "host_off"))
    ready = 600.0 + BOOT.value + state.leave_s
    assert (c.awake, c.waking) == (2, 1)
    joules = c.advance(ready, NOTHING).energy_j
    expected = 8 * LOADED_W * (ready - 600) + 8 * OFF_W * BOOT.value  # both boards are up
    expected += 4 * (state.leave_j + OFF_W * state.leave_s)
    assert joules == pytest.approx(expected)
    c.advance(ready + 60, NOTHING)
    assert (c.awake, c.waking, c.hosts_off) == (3, 0, 0)
    c.command(Awake(4, "host_off"))  # the server is up: it loads at once
    c.advance(ready + 60 + state.leave_s + 1, NOTHING)
    assert c.awake == 4


def test_requests_wait_for_nobody_while_a_server_starts():
    c = made()
    c.command(Awake(1, "host_off"))
    gpu_w(c, 600.0)
    c.command(Awake(4, "host_off"))
    interval = c.advance(1200.0, requests_at(600.0 + 2.0 * np.arange(250)))
    assert interval.completed == 250
    wait = interval.finished["prefill_completed_at"] - interval.finished["arrived_at"]
    assert wait.max() < 5
    assert set(interval.finished["replica"]) == {0, 1, 2, 3}


def test_a_server_empties_when_its_last_replica_has_drained():
    c = made()
    c.advance(1.0, requests_at([0.0] * 8, decode=2000))
    c.command(Awake(2, "host_off"))
    c.advance(5.0, NOTHING)
    assert c.draining == 2
    drained = c.advance(600.0, NOTHING)
    last = drained.finished["completed_at"][drained.finished["replica"] >= 2].max()
    assert c.draining == 0
    assert c.hosts_off == pytest.approx((600 - last) / 595)
