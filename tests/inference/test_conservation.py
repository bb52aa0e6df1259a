"""Joules and requests are counted on the requests themselves; a run in which they do not add up stops."""

from __future__ import annotations

import numpy as np
import pytest

from simulators.inference.batching.state import Records
from simulators.inference.cluster import Cluster
from simulators.inference.metrics import Metrics
from simulators.inference.replica import Replica
from simulators.traffic.stream import Stream

from .runs import FLAT, Fed, flat_tables
from .test_cluster import block, busy_jobs, cluster


@pytest.mark.parametrize("phase", ["prefill_j", "decode_j"])
def test_halving_the_energy_of_finished_requests_stops_the_run(monkeypatch, phase):
    whole = Replica.take_finished

    def halved(replica: Replica) -> Records:
        finished = whole(replica)
        finished[phase] *= 0.5
        return finished

    monkeypatch.setattr(Replica, "take_finished", halved)
    c = cluster(busy_jobs(9, count=10), flat_tables(1.0))
    with pytest.raises(RuntimeError, match=r"interval 0 s to 20 s: metered .* the requests carry"):
        c.advance(20.0)


def test_energy_taken_from_a_running_request_stops_the_run():
    c = cluster([(0.0, 5, 100)], flat_tables(1.0))
    c.advance(20.0)
    c.replicas[0].state.requests["decode_j"] *= 0.9
    with pytest.raises(RuntimeError, match=r"interval 20 s to 40 s: metered"):
        c.advance(40.0)


def test_a_lost_request_stops_the_run():
    c = cluster(busy_jobs(9, count=10), flat_tables(1.0))
    c.advance(20.0)
    c.cluster.received += 1
    with pytest.raises(RuntimeError, match=r"interval 20 s to 40 s: 11 requests received, 10 are completed"):
        c.advance(40.0)


def test_the_requests_bear_what_unfinished_tells_one_by_one():
    """The compiled sum over live requests is that of the table of them."""
    c = cluster(busy_jobs(3, count=60, rate_per_s=2.0), replicas=2, batch_cap=4)
    for until in (7.3, 11.9, 30.0):
        c.advance(until)
        live = c.unfinished()
        assert c.requests_j() == pytest.approx(live["prefill_j"].sum() + live["decode_j"].sum(), rel=1e-12)


def test_copies_multiply_joules_requests_and_tokens_together():
    def run(copies: float) -> tuple[dict, list]:
        made = cluster(busy_jobs(5), law=FLAT, replicas=2).cluster
        many = Cluster(made.replicas, made.router, 3, copies)
        fed = Fed(many, Stream(iter([block(busy_jobs(5))])))
        metrics, intervals = Metrics(copies=copies), []
        while not fed.idle:
            intervals.append(fed.advance(many.now + 50.0))
            metrics.add(intervals[-1])
        return metrics.summary(many), intervals

    (one, single), (three, triple) = run(1.0), run(2.5)
    for name in ("requests_completed", "prefill_tokens", "decode_tokens", "goodput_per_s", "batches"):
        assert three[name] == pytest.approx(2.5 * one[name]), name
    for name, joules in one["gpu_energy_j"].items():
        assert three["gpu_energy_j"][name] == pytest.approx(2.5 * joules), name
    for name in ("energy_j_per_output_token", "gpu_power_w_mean", "busy_mean", "ttft_s"):
        assert three[name] == pytest.approx(one[name]), name
    for few, many in zip(single, triple, strict=True):
        np.testing.assert_allclose(many.series[:, :3], 2.5 * few.series[:, :3])
        assert many.finished.tobytes() == few.finished.tobytes()
    on_requests = sum(i.finished["prefill_j"].sum() + i.finished["decode_j"].sum() for i in triple)
    assert 2.5 * on_requests + three["gpu_energy_j"]["idle"] == pytest.approx(three["gpu_energy_j"]["total"])


def test_the_rounding_of_times_late_in_a_long_run_is_no_missing_joule():
    """A fortnight of a request a minute stopped: times were apart by 1e-10 s, joules by 5e-8."""
    rng = np.random.default_rng(5)
    late = 3e7 + np.cumsum(rng.exponential(50.0, 40))
    c = cluster([(float(at), 7, 9) for at in late], flat_tables(0.0137))
    c.advance(3e7)
    for step in range(1, 60):
        c.advance(3e7 + 60.0 * step)
    assert c.completed == 40
