"""The steady state says what a simulation says, and what it must in its limits."""

from __future__ import annotations

import numpy as np
import pytest

from simulators.inference.drive import Driver
from simulators.inference.estimate import MOST_UTILISED, estimate, knows
from simulators.inference.metrics import Metrics
from simulators.inference.serving import Serving, build_cluster
from simulators.traffic.options import workload_from_options

LENGTHS = "lognormal:900:1:200:0.8"
SPAN_S, WARM_UP_S = 400.0, 60.0


def served(serving: Serving, rate: float, span_s: float = SPAN_S):
    """A cluster, its summary and the requests it got."""
    options = {"rate_per_s": rate, "lengths": LENGTHS, "horizon_s": span_s, "seed": 3}
    cluster, _ = build_cluster(serving)
    driver, metrics = Driver(cluster, workload_from_options(**options)), Metrics()
    driver.advance(WARM_UP_S)
    while cluster.now < span_s:
        metrics.add(driver.advance(min(span_s, cluster.now + 60.0)))
    return cluster, metrics.summary(cluster), workload_from_options(**options).take(span_s)


def said(cluster, requests, rate, **options):
    return estimate(
        cluster.replicas[0], len(cluster.replicas), rate, requests.prefill_tokens, requests.decode_tokens, **options
    )  # fmt: skip


CASES = {
    "one": (Serving(gpu="h100"), 8.0),
    "in turn": (Serving(gpu="h100", replicas=4), 8.0),
    "small chunks": (Serving(gpu="h100", max_batch_tokens=512), 8.0),
    "slow": (Serving(gpu="h100", clock_limit=0.6), 8.0),
    "capped": (Serving(gpu="h100", power_cap_w=350.0), 8.0),
    "few": (Serving(gpu="h100", batch_cap=32), 8.0),
    "sarathi": (Serving(gpu="h100", scheduler="sarathi"), 8.0),
    "pipeline": (Serving(gpu="h100", pp=2), 8.0),
}
OFF = {"one stage": (0.03, 0.3, 0.2), "pipeline": (0.1, 0.5, 0.4)}
"""Largest relative errors of energy, time to first token and time per further token."""


@pytest.mark.parametrize("name", CASES)
def test_it_is_close_to_a_simulation(name):
    serving, rate = CASES[name]
    cluster, truth, requests = served(serving.model_copy(update={"iteration_time": "roofline"}), rate)
    found = said(cluster, requests, rate)
    off = [
        found.j_per_output_token / truth["energy_j_per_output_token"] - 1,
        found.ttft_s / truth["ttft_s"]["p99"] - 1,
        found.tpot_s / truth["tpot_s"]["p99"] - 1,
    ]
    print(name, [f"{each:+.1%}" for each in off])
    for error, most in zip(off, OFF["pipeline" if serving.pp > 1 else "one stage"], strict=True):
        assert abs(error) < most
    assert found.batch == pytest.approx(truth["batch_size_mean"], rel=0.1)


@pytest.fixture(scope="module")
def one():
    serving = Serving(gpu="h100", iteration_time="roofline")
    cluster, _ = build_cluster(serving)
    options = {"rate_per_s": 5.0, "lengths": LENGTHS, "horizon_s": 400.0, "seed": 3}
    return cluster, workload_from_options(**options).take(400.0)


def test_nobody_there_leaves_idle_power_and_one_request_alone(one):
    cluster, requests = one
    found = said(cluster, requests, 1e-4)
    assert found.gpu_w == pytest.approx(cluster.replicas[0].law.idle_w, rel=0.01)
    assert found.batch == pytest.approx(1.0, abs=0.01)
    assert found.busy < 0.001


def test_utilisation_grows_with_the_rate_and_latencies_with_it(one):
    cluster, requests = one
    rates = np.array([2.0, 4.0, 8.0])
    found = [said(cluster, requests, rate) for rate in rates]
    assert [one.utilisation / found[0].utilisation for one in found] == pytest.approx(rates / rates[0])
    for name in ("gpu_w", "batch", "tpot_s", "ttft_s"):
        assert np.all(np.diff([getattr(one, name) for one in found]) > 0), name
    assert np.all(np.diff([one.j_per_output_token for one in found]) < 0)


def test_replicas_share_the_rate(one):
    """By chance, n replicas at n times the rate are n of one; in turn, fewer requests wait for others."""
    cluster, requests = one
    lengths = requests.prefill_tokens, requests.decode_tokens
    alone = estimate(cluster.replicas[0], 1, 4.0, *lengths, in_turn=False)
    many = estimate(cluster.replicas[0], 8, 32.0, *lengths, in_turn=False)
    assert many.gpu_w == pytest.approx(8 * alone.gpu_w)
    assert (many.ttft_s, many.tpot_s) == (alone.ttft_s, alone.tpot_s)
    even = estimate(cluster.replicas[0], 8, 32.0, *lengths)
    assert even.ttft_s < many.ttft_s
    assert even.gpu_w == pytest.approx(many.gpu_w, rel=0.05)


def test_a_higher_percentile_is_a_longer_time(one):
    cluster, requests = one
    low, high = (said(cluster, requests, 6.0, percentile=p) for p in (50.0, 99.0))
    assert low.ttft_s < high.ttft_s
    assert low.tpot_s < high.tpot_s
    assert low.gpu_w == high.gpu_w


def test_beyond_what_full_batches_complete_there_are_no_latencies(one):
    cluster, requests = one
    rate = 1.5 / said(cluster, requests, 1.0).utilisation
    found = said(cluster, requests, rate)
    assert found.utilisation == pytest.approx(1.5)
    assert found.utilisation > MOST_UTILISED
    assert np.isnan(found.ttft_s)
    assert np.isnan(found.tpot_s)
    assert found.busy == 1.0


def test_what_it_does_not_know_it_says():
    def asked(**options):
        (replica,) = build_cluster(Serving(gpu="h100", iteration_time="roofline", **options))[0].replicas
        return knows(replica)

    assert asked()
    assert asked(scheduler="sarathi")
    assert not asked(scheduler="vllm")
    assert not asked(scheduler="orca")
    assert not asked(scheduler="static")
    assert not asked(prefix_cache="on")
    assert not asked(speculate=3, acceptance="0.8")  # tokens come several at a time
    assert not asked(idle_off_s=60.0)
