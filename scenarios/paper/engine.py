"""One run of the paper: some requests on one replica, under one power law, with one set of kernels."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Literal

import numpy as np

from scenarios.paper.kernels import MAX_BATCH, MAX_TOKENS, VIDUR_PEAK, paper_tables
from scenarios.paper.published import GPU, PUE
from scenarios.paper.workloads import DEFAULT, Lengths, PaperRequests
from simulators.inference.batching.policies import limits_for
from simulators.inference.catalogue import gpu, kv_blocks, model
from simulators.inference.cluster import Cluster
from simulators.inference.drive import Driver
from simulators.inference.metrics import Metrics
from simulators.inference.power.laws import law_for, without_waiting
from simulators.inference.replica import Replica
from simulators.inference.routing import router
from simulators.inference.timing import stage_tables
from simulators.inference.timing.tables import StageTables

Kernels = Literal["paper", "today"]
Law = Literal["mfu", "physics"]
INTERVAL_S = 600.0


@dataclass(frozen=True)
class Point:
    """What runs; defaults as in the paper.

    Attributes
    ----------
    model, tp, pp
        Name in the catalogue, GPUs a layer is split over, pipeline stages.
    requests, rate_per_s, lengths
        The traffic.
    batch_cap, blocks
        Requests running at once; KV blocks, by Vidur's rule if None.
    defer_window_s
        How long every request may be held back, s; None: not at all.
    """

    model: str
    requests: int
    rate_per_s: float
    lengths: Lengths = DEFAULT
    tp: int = 1
    pp: int = 1
    batch_cap: int = 128
    blocks: int | None = None
    defer_window_s: float | None = None

    @property
    def gpus(self) -> int:
        """GPUs of the replica."""
        return self.tp * self.pp


@dataclass
class Averages:
    """Three ways to average the power of the iterations of one GPU, see `Outcome.row_mean_w` and on."""

    rows: int = 0
    watts: float = 0.0
    billed_j: float = 0.0
    billed_s: float = 0.0
    last_start_s: float | None = None


@dataclass(frozen=True)
class Outcome:
    """What came out.

    Attributes
    ----------
    power_w
        Mean of one GPU over the makespan, idle times at idle power, W.
    mfu, busy
        Means over the makespan, 1.
    makespan_s
        Start to the last completion, s.
    mean_batch
        Requests per batch, every batch counting the same.
    completed, decode_tokens
        Requests; output tokens.
    saturation
        Whether they were served as they came (`simulators.quantities.saturation`).
    row_mean_w
        Plain mean over iterations, W; 0 where iterations were not kept.
    gap_billed_w
        As in the published series: time from one iteration to the next, a gap included, at the later one's power, W.
    """

    point: Point
    power_w: float
    mfu: float
    busy: float
    makespan_s: float
    mean_batch: float
    completed: int
    decode_tokens: int
    saturation: str
    row_mean_w: float = 0.0
    gap_billed_w: float = 0.0

    @property
    def energy_kwh(self) -> float:
        """What it drew at the meter: mean power times time, GPUs and PUE, kWh."""
        return self.power_w * self.makespan_s * self.point.gpus * PUE / 3.6e6


@functools.lru_cache(maxsize=32)
def _tables(kernels: Kernels, name: str, tp: int, pp: int) -> StageTables:
    shape, device = model(name), gpu(GPU)
    if kernels == "paper":
        return paper_tables(shape, device, tp, pp)
    return stage_tables(
        "auto", shape, device, tp, pp, max_tokens=MAX_TOKENS, max_batch=MAX_BATCH, peak_flops=VIDUR_PEAK
    )


def cluster_for(point: Point, law: Law = "mfu", kernels: Kernels = "paper", *, log: bool = False) -> Cluster:
    """A replica as the paper's: vLLM's first scheduler, 4096 tokens per batch, Vidur's KV slots, 1 % watermark."""
    shape, device = model(point.model), gpu(GPU)
    blocks = point.blocks or kv_blocks(shape, device, point.tp, point.pp, 16, "slots", 4096)
    limits = limits_for("vllm", total_blocks=blocks, batch_cap=point.batch_cap, stages=point.pp)
    tables = _tables(kernels, point.model, point.tp, point.pp)
    power = law_for(device, law, shape, tp=point.tp, pp=point.pp, max_tokens=MAX_TOKENS)
    power = without_waiting(power, tables.comm_s, (0.0, 0.0))
    replica = Replica(limits, tables, power, point.tp, log=log)
    return Cluster([replica], router("round_robin", 1, np.random.default_rng(0)))


def requests_for(point: Point) -> PaperRequests:
    """The requests of a point."""
    return PaperRequests(point.requests, point.rate_per_s, point.lengths, point.defer_window_s)


def run_point(
    point: Point, law: Law = "mfu", kernels: Kernels = "paper", *, averages: bool = False
) -> Outcome:
    """Serve all requests; with `averages` also average the power of every iteration."""
    cluster = cluster_for(point, law, kernels, log=averages)
    driver = Driver(cluster, requests_for(point))
    (replica,) = cluster.replicas
    metrics, kept = Metrics(), Averages()
    until = last = energy_j = work_s = busy_s = 0.0
    while not driver.idle or until == 0.0:
        until += INTERVAL_S
        interval = driver.advance(until)
        metrics.add(interval)
        if len(interval.finished):
            last = float(interval.finished["completed_at"].max())
        energy_j += interval.energy_j
        work_s += interval.mfu * INTERVAL_S
        busy_s += interval.busy * INTERVAL_S
        if averages:
            _add(kept, cluster)
    energy_j -= (
        replica.gpu_count * replica.law.idle_w * (until - last)
    )  # the run ends with the last completion
    summary = metrics.summary(cluster)
    return Outcome(
        point=point,
        power_w=energy_j / last / replica.gpu_count,
        mfu=work_s / last,
        busy=busy_s / last,
        makespan_s=last,
        mean_batch=summary["batch_size_mean"],
        completed=summary["requests_completed"],
        decode_tokens=summary["decode_tokens"],
        saturation=summary["saturation"]["label"],
        row_mean_w=kept.watts / kept.rows if kept.rows else 0.0,
        gap_billed_w=kept.billed_j / kept.billed_s if kept.billed_s else 0.0,
    )


def _add(kept: Averages, cluster: Cluster) -> None:
    log = cluster.replicas[0].take_log()
    log = log[log["stage"] == 0]
    if not len(log):
        return
    starts, watts = np.asarray(log["start_s"]), np.asarray(log["power_w"])
    before = starts[0] if kept.last_start_s is None else kept.last_start_s
    waited = np.diff(starts, prepend=before)
    kept.rows += len(log)
    kept.watts += float(watts.sum())
    kept.billed_j += float(waited @ watts)
    kept.billed_s += float(waited.sum())
    kept.last_start_s = float(starts[-1])
