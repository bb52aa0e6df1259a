"""A power cap and a clock limit inside the batch loop, as options, and as a control between intervals."""

from __future__ import annotations

import math

import numpy as np
import pytest

from simulators.errors import InputError
from simulators.inference.catalogue import gpu, model
from simulators.inference.cluster import Cluster
from simulators.inference.interval import Interval
from simulators.inference.power.laws import law_for
from simulators.inference.serving import Serving, build_cluster
from simulators.quantities.commands import ClockLimit, PowerCap
from simulators.quantities.requests import RequestBlock
from simulators.traffic.stream import Stream

from .runs import Fed

H100 = Serving(gpu="h100", power_law="auto", iteration_time="roofline")
CAP_W = 0.6 * 700


def served(
    serving: Serving, prompts: int, outputs: int, count: int = 64, gap_s: float = 0.0
) -> tuple[Cluster, Interval]:
    """A block of equal requests, served to its end within one interval."""
    full = np.full(count, 1)
    block = RequestBlock.of(gap_s * np.arange(count), full * prompts, full * outputs)
    cluster, _ = build_cluster(serving, log=True)
    interval = cluster.advance(2000.0, block)
    assert interval.completed == count
    return cluster, interval


def last(interval: Interval) -> float:
    return float(interval.finished["completed_at"].max())


def test_60_percent_slows_prefill_and_barely_decode():
    """Prefill is bound by arithmetic, decode by memory (cap.py names the measured directions)."""
    capped = H100.model_copy(update={"power_cap_w": CAP_W})
    _, prefill = served(H100, 4000, 1)
    _, slow_prefill = served(capped, 4000, 1)
    _, decode = served(H100, 1, 1000, count=16)
    _, slow_decode = served(capped, 1, 1000, count=16)
    assert last(slow_prefill) > 1.25 * last(prefill)
    assert last(slow_decode) < 1.06 * last(decode)
    # the same work for less energy
    assert slow_prefill.prefill_j < prefill.prefill_j
    assert slow_decode.decode_j <= decode.decode_j * (1 + 1e-12)


def test_the_cap_is_kept_and_the_work_stays_the_same():
    free, _ = served(H100, 3000, 50)
    capped, _ = served(H100.model_copy(update={"power_cap_w": CAP_W}), 3000, 50)
    before, after = free.replicas[0].take_log(), capped.replicas[0].take_log()
    assert before["power_w"].max() > CAP_W
    assert after["power_w"].max() <= CAP_W * (1 + 1e-9)
    for name in ("mfu", "mbu"):  # utilisation times time: FLOP and bytes
        work_before = (before[name] * before["duration_s"]).sum()
        assert (after[name] * after["duration_s"]).sum() == pytest.approx(work_before, rel=1e-6)


def test_half_the_clock_is_about_half_the_prefill_speed():
    _, full = served(H100, 4000, 1)
    _, half = served(H100.model_copy(update={"clock_limit": 0.5}), 4000, 1)
    assert 1.6 < last(half) / last(full) <= 2.0
    assert half.prefill_j < full.prefill_j


def test_no_cap_and_an_unreached_cap_change_no_bit():
    _, free = served(H100, 500, 40)
    _, unreached = served(H100.model_copy(update={"power_cap_w": 700.0}), 500, 40)
    assert free.finished.tobytes() == unreached.finished.tobytes()
    assert free.energy_j == unreached.energy_j


def test_a_cap_set_between_intervals_holds_from_the_next_iteration_on():
    full = np.full(40, 1)
    made, _ = build_cluster(H100, log=True)
    cluster = Fed(made, Stream(iter([RequestBlock.of(np.zeros(40), full * 3000, full * 2)])))
    assert cluster.power_cap_w == math.inf
    cluster.advance(1.0)
    made.power_cap_w = CAP_W
    cluster.advance(2.0)
    made.power_cap_w = math.inf
    cluster.advance(10.0)
    log = cluster.replicas[0].take_log()
    # an iteration that has begun keeps its pace
    in_force = (log["start_s"] > 1.0) & (log["start_s"] < 2.0)
    assert in_force.sum() > 3
    assert log["power_w"][in_force].max() <= CAP_W * (1 + 1e-9)
    assert log["power_w"][log["start_s"] < 1.0].min() > CAP_W


def test_a_cap_an_idle_gpu_exceeds_is_refused_and_changes_nothing():
    cluster, _ = build_cluster(H100)
    with pytest.raises(InputError, match=r"power cap: 100 W is not above the 115.3 W an idle GPU draws"):
        cluster.power_cap_w = 100.0
    assert cluster.power_cap_w == math.inf
    with pytest.raises(InputError, match="power cap: 90 W"):
        build_cluster(H100.model_copy(update={"power_cap_w": 90.0}))
    with pytest.raises(InputError, match=r"clock limit: 0.05 of full clock given, expected 0.174"):
        build_cluster(H100.model_copy(update={"clock_limit": 0.05}))


def test_a_command_sets_the_cap_until_another_comes_and_says_what_it_cannot_do():
    cluster, _ = build_cluster(H100)
    assert cluster.command(PowerCap(420.0)) is None
    assert cluster.power_cap_w == 420.0
    cluster.advance(10.0, RequestBlock.concatenate([]))
    assert cluster.power_cap_w == 420.0
    assert "power cap: 100 W is not above" in (cluster.command(PowerCap(100.0)) or "")
    assert "clock limit" in (cluster.command(ClockLimit(0.01)) or "")
    assert cluster.power_cap_w == 420.0


def test_a_command_may_come_in_the_middle_of_an_interval():
    full = np.full(40, 1)
    cluster, _ = build_cluster(H100, log=True)
    assert cluster.command(PowerCap(CAP_W), at=1.0) is None
    cluster.advance(10.0, RequestBlock.of(np.zeros(40), full * 3000, full * 2))
    log = cluster.replicas[0].take_log()
    assert log["power_w"][log["start_s"] < 1.0].min() > CAP_W
    assert log["power_w"][log["start_s"] > 1.0].max() <= CAP_W * (1 + 1e-9)


def test_every_law_can_be_capped():
    for kind in ("mfu", "constant", "physics", "mlenergy_v3"):
        cap_w = 450.0
        cluster, interval = served(
            H100.model_copy(update={"power_law": kind, "power_cap_w": cap_w}), 3000, 4, count=8
        )
        assert cluster.replicas[0].take_log()["power_w"].max() <= cap_w * (1 + 1e-9), kind
        assert interval.energy_j > interval.idle_j > 0
        assert cluster.replicas[0].law.idle_w == law_for(gpu("h100"), kind, model(H100.model)).idle_w
