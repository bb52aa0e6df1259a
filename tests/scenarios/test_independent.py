"""Copies that see the same requests, requests of their own, or both: how much less their power fluctuates."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from scenarios import Study, simulate
from simulators.errors import InputError
from simulators.inference.routing import router
from simulators.inference.serving import Serving, build_cluster
from simulators.traffic.options import workload_from_options

STEP_S, STEPS = 20.0, 240
RATE = {"rate_per_s": 1.5, "lengths": "fixed:400:30"}


def fluctuation(clusters: int, common_share: float, seed: int) -> float:
    """Standard deviation of the power of a cluster, mean of all, over its mean above idle."""
    serving = Serving(gpu="h100", replicas=clusters, iteration_time="roofline")
    cluster, _ = build_cluster(serving, router_name=f"independent:{clusters}", seed=seed)
    source = workload_from_options(**RATE, clusters=clusters, common_share=common_share, seed=seed)
    watts = np.array(
        [
            cluster.advance(STEP_S * step, source.take(STEP_S * step)).energy_j / STEP_S
            for step in range(1, STEPS + 1)
        ]
    )[5:]
    return float(watts.std() / (watts.mean() - clusters * cluster.replicas[0].law.idle_w))


@pytest.fixture(scope="module")
def alone() -> float:
    return float(np.mean([fluctuation(1, 0.0, seed) for seed in (1, 2, 3, 4)]))


@pytest.mark.parametrize(("clusters", "common"), [(9, 0.0), (9, 1.0), (9, 0.25)])
def test_fluctuation_falls_with_the_root_of_the_number_of_clusters(alone, clusters, common):
    """One over the root of N; of a mixture, the root of c + (1 - c) / N."""
    assert fluctuation(clusters, common, seed=1) / alone == pytest.approx(
        (common + (1.0 - common) / clusters) ** 0.5, rel=0.12
    )


def test_a_request_of_all_reaches_each_cluster_and_others_one():
    source = workload_from_options(**RATE, clusters=3, common_share=0.5, seed=4)
    block = source.take(4000.0)
    assert len(block) == pytest.approx(3 * 1.5 * 4000.0, rel=0.05)
    chosen = router("independent:3", 6, np.random.default_rng(1)).assign_at(block.arrived_at, 6)
    times, counts = np.unique(block.arrived_at, return_counts=True)
    assert Counter(counts.tolist()).keys() == {1, 3}
    assert np.count_nonzero(counts == 3) == pytest.approx(0.5 * 1.5 * 4000.0, rel=0.1)
    of_all = np.isin(block.arrived_at, times[counts == 3])
    assert (np.sort(chosen[of_all].reshape(-1, 3) % 3, axis=1) == [0, 1, 2]).all()
    assert np.bincount(chosen) / len(block) == pytest.approx(np.full(6, 1 / 6), rel=0.05)


@pytest.mark.parametrize("prefill_replicas", [0, 1])
def test_a_site_of_independent_clusters_is_as_large_and_as_busy(prefill_replicas):
    """Also where prefill and decode are apart in each."""
    study = Study().changed(
        model="meta-llama/Meta-Llama-3-8B", gpu="h100", tp=4, replicas=2 - prefill_replicas, rate=1.0, mw=0.5,
        prefill_replicas=prefill_replicas, lengths="fixed:400:60", days=0.05, iteration_time="roofline",
        without=["pv", "wind", "battery"],
    )  # fmt: skip
    one, many = (simulate(study.changed(independent=n)) for n in (1, 8))
    assert many.plan.site.copies == pytest.approx(one.plan.site.copies / 8)
    assert many.figures.energy_mwh.facility == pytest.approx(one.figures.energy_mwh.facility, rel=0.02)
    requests = [result.figures.served.requests_arrived for result in (one, many)]
    assert requests[1] == pytest.approx(requests[0], rel=0.1)
    assert many.timeseries.facility_mw.diff().std() < 0.6 * one.timeseries.facility_mw.diff().std()
    assert any("each with requests of its own" in note for note in many.notes)
    assert any("see the same requests at the same time" in note for note in one.notes)
    if prefill_replicas:
        gpus = [
            (found.prefill.gpus, found.decode.gpus)
            for found in (r.figures.inference.pools for r in (one, many))
        ]
        assert gpus[1] == pytest.approx(gpus[0])


def test_recorded_requests_are_of_one_cluster(tmp_path):
    trace = tmp_path / "trace.csv"
    trace.write_text("arrived_at,prefill_tokens,decode_tokens\n0,9,9\n")
    with pytest.raises(InputError, match="independent clusters go with Poisson arrivals"):
        simulate(Study().changed(trace=str(trace), independent=2, days=0.01))
