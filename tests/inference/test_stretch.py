"""Iterations taken many at once are those taken one by one."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulators.inference.batching.stretch import ending_before, lasting_s, rule
from simulators.inference.power.laws import energy_law, mfu_law
from simulators.inference.power.terms import Joules
from simulators.inference.replica import Replica
from simulators.inference.serving import Serving, build_cluster

from .runs import run_replica


@given(n=st.integers(12, 2000))
def test_the_rule_sums_polynomials_of_degree_nine(n):
    near, far, *weights = rule(n)
    points = np.arange(n) - (n - 1) / 2
    nodes = np.array([0.0, -near, near, -far, far])
    counts = np.array([weights[0], weights[1], weights[1], weights[2], weights[2]])
    for degree in range(10):
        scaled = (2 / n) ** degree
        assert np.sum(counts * nodes**degree) * scaled == pytest.approx(
            np.sum(points**degree) * scaled, rel=1e-11, abs=1e-9
        )


@given(
    first_s=st.floats(1e-3, 1.0), n=st.integers(1, 400), growth=st.floats(-0.5, 0.5), left=st.floats(0.0, 1.3)
)
def test_as_many_end_before_an_instant_as_one_by_one(first_s, n, growth, left):
    growth_s, left_s = growth * first_s / n, left * n * first_s
    fits = ending_before(first_s, growth_s, left_s, n)
    assert fits == n or lasting_s(first_s, growth_s, fits + 1) >= left_s
    assert fits == 0 or lasting_s(first_s, growth_s, fits) < left_s


@cache
def served(model: str, gpu: str) -> Replica:
    cluster, _ = build_cluster(Serving(model=model, gpu=gpu, scheduler="vllm_v1"))
    return cluster.replicas[0]


SHARP = Joules(np.array([0.0, 0.9, 1.7, 2.4]), 0.01, 0.0, 2e-5)
"""Prices at which a batch's power comes to the limits below as contexts grow."""


@pytest.mark.parametrize("gpu", ["h100", "a100"])
@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(
    law=st.sampled_from(
        [None, mfu_law(60.0, 700.0), mfu_law(60.0, 700.0, saturation=0.004), energy_law(80.0, 500.0, 60.0, SHARP),
         energy_law(80.0, 240.0, 60.0, SHARP)]
    ),
    cap_w=st.sampled_from([np.inf, np.inf, 300.0, 420.0]),
    clock=st.sampled_from([1.0, 1.0, 0.7]),
    attribution=st.sampled_from(["work", "tokens"]),
    seed=st.integers(0, 2**32),
    gap_s=st.sampled_from([0.05, 1.0, 8.0]),
    blocks=st.sampled_from([150, 100_000]),
    step_s=st.sampled_from([7.0, 60.0, 900.0]),
)  # fmt: skip
def test_every_request_ends_when_it_would_have(
    gpu, law, cap_w, clock, attribution, seed, gap_s, blocks, step_s
):
    like = served("meta-llama/Llama-3.1-8B", gpu)
    law = (law or like.law)._replace(cap_w=cap_w, clock=clock)
    limits = like.limits._replace(total_blocks=blocks)
    random = np.random.default_rng(seed)
    at = np.cumsum(random.exponential(gap_s, 12))
    jobs = [
        (float(t), int(p), int(d)) for t, p, d in zip(at, *random.integers(1, 1000, (2, 12)), strict=True)
    ]
    one_by_one, quick = (
        run_replica(Replica(limits, like.tables, law, attribution=attribution, log=log), jobs, step_s=step_s)
        for log in (True, False)
    )
    counters, others = one_by_one.replica.state.counters[0], quick.replica.state.counters[0]
    assert (others.batches, others.evictions) == (counters.batches, counters.evictions)
    np.testing.assert_allclose(quick.meter, one_by_one.meter, rtol=1e-9)
    assert others.kv_block_s == pytest.approx(counters.kv_block_s, rel=1e-9)
    for name in ("scheduled_at", "prefill_completed_at", "completed_at", "prefill_j", "decode_j"):
        np.testing.assert_allclose(quick.requests[name], one_by_one.requests[name], rtol=1e-9, err_msg=name)
