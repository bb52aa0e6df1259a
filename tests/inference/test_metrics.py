"""What users of a cluster experienced: latencies, goodput, means, and the checks that stop a broken run."""

from __future__ import annotations

import json
import re
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from simulators.inference.batching.state import REQUEST
from simulators.inference.drive import Driver
from simulators.inference.metrics import Metrics
from simulators.inference.serving import Serving, build_cluster
from simulators.quantities.requests import RequestBlock
from simulators.traffic.options import workload_from_plain
from tests.conftest import ROOT

from .runs import FLAT, records
from .test_cluster import busy_jobs, cluster, finish, requests

SUMMARY_KEYS = {
    "requests_arrived", "requests_completed", "requests_running", "requests_waiting", "requests_rejected",
    "prefill_tokens", "decode_tokens", "ttft_s", "tpot_s", "e2e_s", "gpu_power_w_mean", "mfu_mean",
    "energy_j_per_output_token", "queueing_s", "goodput_per_s", "output_tokens_per_s", "batch_size_mean",
    "kv_use_mean", "mbu_mean",
}  # fmt: skip


def served(rows: list[tuple[float, float, float, float, float, int]]) -> np.ndarray:
    """Finished requests from (arrived, released, scheduled, first token, last token, output tokens)."""
    made = records([(row[0], 10, row[5]) for row in rows]).view(np.ndarray)
    for k, name in enumerate(
        ("arrived_at", "released_at", "scheduled_at", "prefill_completed_at", "completed_at")
    ):
        made[name] = [row[k] for row in rows]
    return made


def finished_interval(rows):
    c = cluster([(0.5, 1, 1)])
    return c, replace(c.advance(10.0), finished=served(rows), completed=len(rows))


def test_goodput_needs_both_targets_and_a_single_token_only_the_first():
    c, interval = finished_interval(
        [
            (0, 0, 0, 1.0, 1.0, 1),  # one token, in time
            (0, 0, 0, 3.0, 3.0, 1),  # one token, too late
            (0, 0, 0, 1.0, 1.4, 5),  # both kept, exactly at the target
            (0, 0, 0, 1.0, 9.0, 5),  # too slow a flow
            (0, 7, 7, 8.0, 8.1, 5),  # held on purpose, then served well
        ]
    )
    metrics = Metrics(slo_ttft_s=2.0, slo_tpot_s=0.1)
    metrics.add(interval)
    assert metrics.summary(c)["goodput_per_s"] == pytest.approx(3 / 10)


def test_a_finished_request_may_stand_for_copies():
    c, interval = finished_interval([(0, 0, 0, 1.0, 1.4, 5), (0, 7, 7, 8.0, 8.1, 5), (0, 0, 0, 5.0, 9.0, 5)])
    one, three = Metrics(), Metrics(copies=3)
    one.add(interval)
    three.add(interval)
    assert three.summary(c)["goodput_per_s"] == pytest.approx(3 * one.summary(c)["goodput_per_s"])
    assert (one.summary(c)["held_s"]["requests"], three.summary(c)["held_s"]["requests"]) == (1, 3)
    assert three.summary(c)["ttft_s"] == one.summary(c)["ttft_s"]
    assert three.record.sketch("e2e_s").weight == 9


def test_a_deferrable_request_is_good_if_it_is_complete_in_time():
    """Its first token may be late; that it was released in time is not enough."""
    c, interval = finished_interval([(0, 0, 0, 3.0, 5.0, 5), (0, 2, 2, 3.0, 8.0, 5), (0, 0, 0, 3.0, 5.0, 5)])
    interval.finished["deferrable"] = [1, 1, 0]
    interval.finished["deadline"] = [6.0, 6.0, np.inf]
    metrics = Metrics(slo_ttft_s=2.0, copies=2)
    metrics.add(interval)
    summary = metrics.summary(c)
    assert summary["goodput_per_s"] == pytest.approx(2 * 1 / 10)
    found = summary["classes"]
    assert (found["deferrable"]["deadlines"], found["deferrable"]["deadlines_missed"]) == (4, 2)
    assert (found["interactive"]["deadlines"], found["interactive"]["requests"]) == (0, 2)
    assert found["deferrable"]["ttft_s"]["p50"] == pytest.approx(2.0, rel=1e-3)
    assert found["interactive"]["ttft_s"]["p50"] == pytest.approx(3.0, rel=1e-3)


def test_who_is_not_finished_at_its_deadline_has_missed_it():
    slow, _ = build_cluster(Serving(gpu="a100", iteration_time="roofline"))
    block = RequestBlock.of(np.full(3, 0.5), np.full(3, 50), np.full(3, 4000))
    block.deferrable[:2] = True
    block.deadline[:2] = [3.0, 1e6]
    metrics = Metrics(copies=2)
    metrics.add(slow.advance(5.0, block))
    assert slow.outstanding == 3
    found = metrics.summary(slow)["classes"]["deferrable"]
    assert (found["deadlines"], found["deadlines_missed"], found["requests"]) == (2, 2, 0)


def test_memory_does_not_grow_with_the_number_of_requests():
    """40 bytes a request were kept for the quantiles: 36 MB for these 900,000."""
    c, interval = finished_interval([])
    rng = np.random.default_rng(3)
    metrics = Metrics()
    sizes = []
    for count in (100, 900):  # thousands more
        tracemalloc.start()
        for _ in range(count):
            rows = np.zeros(1000, REQUEST)
            rows["arrived_at"] = rows["released_at"] = rows["scheduled_at"] = rng.uniform(0, 86400.0, 1000)
            rows["prefill_completed_at"] = rows["arrived_at"] + rng.uniform(0.1, 10.0, 1000)
            rows["completed_at"] = rows["prefill_completed_at"] + rng.uniform(1.0, 10.0, 1000)
            rows["decode_tokens"] = 100
            metrics.add(replace(interval, finished=rows, completed=1000))
        metrics.summary(c)
        sizes.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
    assert metrics.summary(c)["requests_completed"] == 1_000_000
    assert sizes[1] < sizes[0]


def test_summary_of_a_run_against_its_requests():
    c = cluster(busy_jobs(7), replicas=2, gpus=2, law=FLAT)
    metrics = Metrics()
    for interval in (intervals := finish(c, step_s=20.0)):
        metrics.add(interval)
    done = requests(intervals)
    s = metrics.summary(c)
    assert set(s) >= SUMMARY_KEYS
    span_s = intervals[-1].ends_at
    meter_j = sum(i.energy_j for i in intervals)
    assert s["requests_arrived"] == s["requests_completed"] == len(done) == 120
    assert s["requests_running"] == s["requests_waiting"] == s["requests_rejected"] == 0
    assert (s["prefill_tokens"], s["decode_tokens"]) == (done.prefill_tokens.sum(), done.decode_tokens.sum())
    ttft, e2e = done.prefill_completed_at - done.arrived_at, done.completed_at - done.arrived_at
    assert s["latency_error"] == 0.0005
    assert s["ttft_s"]["p95"] == pytest.approx(np.quantile(ttft, 0.95), rel=s["latency_error"])
    assert s["e2e_s"]["p50"] == pytest.approx(e2e.median(), rel=s["latency_error"])
    assert s["gpu_power_w_mean"] == pytest.approx(meter_j / span_s / 4)
    assert 100 < s["gpu_power_w_mean"] < 300
    assert s["energy_j_per_output_token"] == pytest.approx(meter_j / done.decode_tokens.sum())
    assert s["output_tokens_per_s"] == pytest.approx(done.decode_tokens.sum() / span_s)
    # every token is one FLOP per GPU of 1000 FLOP/s; the first output token comes with the prompt
    tokens = done.prefill_tokens.sum() + done.decode_tokens.sum() - len(done)
    assert s["mfu_mean"] * 1000 * span_s * 2 == pytest.approx(tokens)
    # every batch lasts 0.5 s
    assert s["busy_mean"] * span_s * 2 / 0.5 == pytest.approx(s["batches"])
    assert s["batch_size_mean"] * s["batches"] == pytest.approx(done.decode_tokens.sum())


def test_means_do_not_depend_on_how_time_is_cut():
    summaries = []
    for step_s in (7.3, 100.0):
        c = cluster(busy_jobs(8))
        metrics = Metrics()
        now = 0.0
        while now < 730.0:
            now = min(730.0, now + step_s)
            metrics.add(c.advance(now))
        summaries.append(metrics.summary(c))
    first, second = summaries
    for name in ("mfu_mean", "mbu_mean", "kv_use_mean", "busy_mean", "gpu_power_w_mean", "goodput_per_s"):
        assert first[name] == pytest.approx(second[name], rel=1e-9), name
    assert first["ttft_s"] == second["ttft_s"]


def test_nothing_served_has_no_latencies():
    c = cluster([(99.0, 1, 1)])
    metrics = Metrics()
    assert metrics.summary(c)["gpu_power_w_mean"] == 0.0
    metrics.add(c.advance(10.0))
    s = metrics.summary(c)
    assert s["ttft_s"] == s["tpot_s"] == {"p50": None, "p95": None, "p99": None}
    assert s["energy_j_per_output_token"] is None
    assert s["gpu_power_w_mean"] == 100.0


def test_held_requests_have_not_reached_the_cluster():
    c = cluster([(float(k), 5, 5) for k in range(10)], patience_s=1e4)
    c.release(hold=True)
    metrics = Metrics()
    metrics.add(c.advance(30.0))
    assert c.held == 5
    s = metrics.summary(c)
    present = s["requests_running"] + s["requests_waiting"] + s["requests_rejected"]
    assert s["requests_arrived"] == s["requests_completed"] + present == 10 - c.held


@pytest.mark.parametrize(("rate", "label"), [(1.0, "stable"), (60.0, "overloaded")])
def test_a_server_that_falls_behind_is_called_overloaded_whether_or_not_its_queue_is_served_later(
    rate, label
):
    options = {"rate_per_s": rate, "lengths": "fixed:512:256", "num_requests": 1500, "seed": 1}
    for until in (1500 / rate, 4000.0):  # while requests come, and long after
        cluster, _ = build_cluster(Serving(gpu="a100", iteration_time="roofline"))
        driver, metrics = Driver(cluster, workload_from_plain(options)), Metrics()
        metrics.add(driver.advance(until))
        found = metrics.summary(cluster)["saturation"]
        assert found["label"] == label
        assert found == metrics.summary(cluster)["saturation"]  # asking changes nothing


def test_the_guide_says_what_every_figure_means():
    guide = (ROOT / "simulators/inference/README.md").read_text(encoding="utf-8")
    said = guide.partition("## What the figures mean")[2].partition("\n## ")[0]
    snapshot = json.loads((ROOT / "tests/snapshots/solar_datacenter.json").read_text(encoding="utf-8"))
    figures = snapshot["inference"]
    names = {*figures, *figures["gpu_energy_j"], *figures["saturation"]}
    assert not {name for name in names if f"`{name}`" not in re.sub(r"\bp(50|95|99)\b", "", said)}
