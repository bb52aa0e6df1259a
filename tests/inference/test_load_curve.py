"""The load curve of a replica is what the engine does at that load."""

from __future__ import annotations

import json

import numpy as np
import pytest

from simulators.errors import InputError
from simulators.inference.load_curve import load_curve
from simulators.inference.serving import Serving, build_cluster
from simulators.quantities.latencies import latencies
from simulators.quantities.load_curve import LoadCurve
from simulators.traffic.options import workload_from_options

SERVING = Serving(gpu="h100", iteration_time="roofline", batch_cap=32)


@pytest.fixture(scope="module")
def curve() -> LoadCurve:
    return load_curve(SERVING, [800, 200, 400], [150, 50, 100])


def test_power_rises_with_load_and_clock_and_is_concave(curve):
    full = curve.modes[0]
    assert (full.clock, full.chunk_tokens) == (1.0, 4096)
    assert full.gpu_w[0] == pytest.approx(115.3)
    assert (np.diff(full.gpu_w) > -0.01 * full.gpu_w[-1]).all()
    assert full.watts(full.rate_per_s[-1] / 2) > full.gpu_w[[0, -1]].mean()
    for slower in (mode for mode in curve.modes if mode.clock < 1 and mode.chunk_tokens == 4096):
        rate = full.rate_per_s[-3]
        assert slower.watts(rate) < full.watts(rate)
        assert slower.most_per_s(1e9, full.tpot_p99_s[-3]) < full.rate_per_s[-3] + 1e-9
    assert {mode.chunk_tokens for mode in curve.modes} == {4096, 1024}


def test_a_point_is_what_a_run_at_that_rate_gives(curve):
    """Another seed, another length of run: within a few percent."""
    full = curve.modes[0]
    rate = float(full.rate_per_s[5])
    cluster, _ = build_cluster(SERVING)
    source = workload_from_options(rate_per_s=rate, lengths="fixed:467:100", seed=9, horizon_s=3000)
    cluster.advance(600.0, source.take(600.0))
    interval = cluster.advance(3000.0, source.take(3000.0))
    assert interval.energy_j / 2400 == pytest.approx(full.watts(rate), rel=0.05)
    assert np.quantile(latencies(interval.finished)["tpot_s"], 0.99) == pytest.approx(
        np.interp(rate, full.rate_per_s, full.tpot_p99_s), rel=0.25
    )


def test_a_target_bounds_the_rate(curve):
    full = curve.modes[0]
    loose, tight = full.most_per_s(10.0, 0.1), full.most_per_s(10.0, float(full.tpot_p99_s[4]))
    assert 0 < tight < loose <= full.rate_per_s[-1]
    assert full.most_per_s(1e-6, 1.0) == 0.0


def test_it_crosses_json(curve):
    back = LoadCurve.from_plain(json.loads(json.dumps(curve.to_plain())))
    assert [mode.watts(1.0) for mode in back.modes] == [mode.watts(1.0) for mode in curve.modes]


def test_what_cannot_be_served_is_named():
    with pytest.raises(InputError, match="load curve: no request could be served"):
        load_curve(Serving(gpu="h100", iteration_time="roofline", kv_blocks=4), [4000], [10])
    with pytest.raises(InputError, match="load curve: no request, expected"):
        load_curve(SERVING, [], [])
