"""Replicas behind a router and a gate, driven by a SimPy event loop and advanced interval by interval.

What happens inside a replica between two outside events is compiled (`batching/loop.py`). SimPy sequences the outside
events: the start of each control interval, and every arrival where the router must see the replicas at that moment.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import simpy
from numpy.typing import NDArray

from simulators.inference.batching.state import (
    BUSY_S,
    BYTES,
    DECODE_J,
    FLOPS,
    PREFILL_J,
    REQUEST,
    Records,
)
from simulators.inference.deferral import Gate
from simulators.inference.replica import Replica
from simulators.inference.routing import LeastOutstanding, PowerOfTwo, Router
from simulators.inference.workload.requests import RequestBlock, Workload

SERIES = ("prefill_w", "decode_w", "idle_w", "mfu", "mbu")


@dataclass(frozen=True)
class Interval:
    """What a cluster did in [begins_at, ends_at).

    Attributes
    ----------
    begins_at, ends_at
        s.
    prefill_j, decode_j, idle_j
        GPU energy by phase, J; idle is drawn while no iteration runs on a GPU. Their sum is the meter.
    series
        The interval in equal bins, columns `SERIES`: powers in W, utilisations in 1; shape (bins, 5).
    mfu, mbu
        Achieved FLOP/s and memory traffic of all GPUs over their peaks, time-weighted, 1.
    busy
        Share of the GPU time in which iterations ran, 1.
    arrived, completed, rejected
        Requests, within the interval.
    running, waiting, held
        Requests at its end: holding KV cache; queued at a replica; held back by a scheduler.
    prefill_tokens, decode_tokens
        Tokens processed (recomputed ones included) and produced.
    kv_use
        Mean share of the KV blocks in use, 1.
    finished
        The completed requests (`REQUEST` records).
    """

    begins_at: float
    ends_at: float
    prefill_j: float
    decode_j: float
    idle_j: float
    series: NDArray[np.float64]
    mfu: float
    mbu: float
    busy: float
    arrived: int
    completed: int
    rejected: int
    running: int
    waiting: int
    held: int
    prefill_tokens: int
    decode_tokens: int
    kv_use: float
    finished: Records

    @property
    def energy_j(self) -> float:
        """The meter, J."""
        return self.prefill_j + self.decode_j + self.idle_j

    def cut(self, at: float, idle_w: float) -> tuple[Interval, int]:
        """The interval ended at `at`, after which everything was idle at `idle_w`; and the bins that remain.

        The last remaining bin keeps its full width in `series`.
        """
        span_s, kept_s = self.ends_at - self.begins_at, at - self.begins_at
        bins = max(1, int(np.ceil(kept_s / span_s * len(self.series) - 1e-9)))
        if kept_s <= 0:
            return replace(self, ends_at=at, idle_j=0.0, mfu=0.0, mbu=0.0, busy=0.0, kv_use=0.0), bins
        stretch = span_s / kept_s
        return (
            replace(
                self,
                ends_at=at,
                idle_j=self.idle_j - idle_w * (span_s - kept_s),
                mfu=self.mfu * stretch,
                mbu=self.mbu * stretch,
                busy=self.busy * stretch,
                kv_use=self.kv_use * stretch,
            ),
            bins,
        )


def _records(block: RequestBlock, first_id: int) -> Records:
    """A block of requests as the replicas keep them."""
    records = np.zeros(len(block), REQUEST)
    records["request_id"] = first_id + np.arange(len(block))
    records["arrived_at"] = records["released_at"] = block.arrived_at
    for name in ("scheduled_at", "prefill_completed_at", "completed_at"):
        records[name] = np.nan
    records["prefill_tokens"] = records["target"] = block.prefill_tokens
    records["decode_tokens"] = block.decode_tokens
    records["deferrable"] = block.deferrable
    records["tenant"] = block.tenant
    return records


class Cluster:
    """Replicas that serve one stream of requests.

    Parameters
    ----------
    replicas
        They may differ in model, GPU and limits.
    workload
        Where requests come from.
    router
        Where each goes.
    bins_per_interval
        Resolution of the power series handed out with every interval.
    """

    def __init__(
        self, replicas: Sequence[Replica], workload: Workload, router: Router, bins_per_interval: int = 1
    ) -> None:
        self.replicas = list(replicas)
        self.workload = workload
        self.router = router
        self.bins_per_interval = bins_per_interval
        self.hold = False
        self.release_rate_per_s = np.inf
        self.gate = Gate()
        self.arrived = self.completed = self.rejected = 0
        self.meter_j = self.idle_j = 0.0
        self._env = simpy.Environment()
        self._bins: list[NDArray[np.float64]] = []
        self._interval = (0.0, 0.0)
        self._seen = [np.zeros(2, np.int64) for _ in self.replicas]
        self._kv_block_s = [0.0 for _ in self.replicas]
        self._counted = (0, 0)

    @property
    def gpu_count(self) -> int:
        """GPUs of all replicas."""
        return sum(r.gpu_count for r in self.replicas)

    @property
    def outstanding(self) -> int:
        """Requests that arrived and are neither completed nor rejected."""
        return sum(r.outstanding for r in self.replicas) + self.gate.held

    @property
    def idle_w(self) -> float:
        """Power of all GPUs while nothing runs, W."""
        return sum(r.gpu_count * r.law.idle_w for r in self.replicas)

    @property
    def attributed_j(self) -> float:
        """Busy energy handed to requests, and that of the batches in flight up to now, J."""
        return sum(r.attributed_j + r.in_flight_j(self._interval[1]) for r in self.replicas)

    @property
    def idle(self) -> bool:
        """Whether nothing is left to do: no request in the system and none to come."""
        return self.workload.exhausted and self.outstanding == 0

    def advance(self, until: float) -> Interval:
        """Simulate the interval from the present to `until`, s, under the present controls."""
        begins_at = self._interval[1]
        self._interval = (begins_at, until)
        self._bins = [np.zeros((self.bins_per_interval, 5)) for _ in self.replicas]
        self._env.run(until=self._env.process(self._serve()))
        if self._env.now < until:
            self._env.run(until=until)
        width_s = (until - begins_at) / self.bins_per_interval
        for replica, bins in zip(self.replicas, self._bins, strict=True):
            replica.advance(until, bins, begins_at, width_s)
            replica.meter_in_flight(bins, begins_at, width_s)
        return self._report(begins_at, until, width_s)

    def _serve(self) -> Generator[simpy.Event, None, None]:
        """Route one interval's requests: at once, or each at its own time if the router looks at the replicas."""
        begins_at, until = self._interval
        block = self.workload.take(until)
        records = _records(block, self.arrived)
        self.arrived += len(block)
        records = self.gate.pass_through(
            records, block.deadline, begins_at, until, self.hold, self.release_rate_per_s
        )
        if isinstance(self.router, LeastOutstanding | PowerOfTwo):
            width_s = (until - begins_at) / self.bins_per_interval
            outstanding = np.zeros(len(self.replicas), np.int64)
            for i, at in enumerate(records["released_at"].tolist()):
                yield self._env.timeout(max(0.0, at - self._env.now))
                for number, replica in enumerate(self.replicas):
                    replica.advance(at, self._bins[number], begins_at, width_s)
                    outstanding[number] = replica.outstanding
                self._admit(self.router.choose(outstanding), records, i, i + 1)
            return
        chosen = self.router.assign(len(records))
        for number in range(len(self.replicas)):
            routed = records[chosen == number] if len(self.replicas) > 1 else records
            self._admit(number, routed, 0, len(routed))
        yield self._env.timeout(0)

    def _admit(self, number: int, records: Records, first: int, last: int) -> None:
        """Queue `records[first:last]` at a replica; what could never run there is rejected."""
        records["replica"][first:last] = number
        taken = self.replicas[number].enqueue(records, first, last)
        self.rejected += last - first - taken

    def _report(self, begins_at: float, until: float, width_s: float) -> Interval:
        span_s = until - begins_at
        series = np.zeros((self.bins_per_interval, len(SERIES)))
        prefill_j = decode_j = idle_j = flops = traffic = busy_s = 0.0
        peak_flops = peak_bytes = block_s = 0.0
        prefill_tokens = decode_tokens = blocks = 0
        parts = []
        for number, (replica, bins) in enumerate(zip(self.replicas, self._bins, strict=True)):
            gpu_busy_s = bins[:, BUSY_S] * replica.gpus
            idle_bins_j = replica.law.idle_w * (replica.gpu_count * width_s - gpu_busy_s)
            series[:, 0] += bins[:, PREFILL_J] / width_s
            series[:, 1] += bins[:, DECODE_J] / width_s
            series[:, 2] += idle_bins_j / width_s
            series[:, 3] += bins[:, FLOPS] / width_s
            series[:, 4] += bins[:, BYTES] / width_s
            prefill_j += float(bins[:, PREFILL_J].sum())
            decode_j += float(bins[:, DECODE_J].sum())
            idle_j += float(idle_bins_j.sum())
            busy_s += float(gpu_busy_s.sum())
            flops += float(bins[:, FLOPS].sum())
            traffic += float(bins[:, BYTES].sum())
            peak_flops += replica.gpu_count * replica.tables.peak_flops
            peak_bytes += replica.gpu_count * replica.tables.peak_bytes
            tokens = np.array([replica.counter("prefill_tokens"), replica.counter("decode_tokens")])
            new = tokens - self._seen[number]
            self._seen[number] = tokens
            prefill_tokens += int(new[0])
            decode_tokens += int(new[1])
            kv_block_s = replica.counter("kv_block_s")
            block_s += kv_block_s - self._kv_block_s[number]
            self._kv_block_s[number] = kv_block_s
            blocks += replica.limits.total_blocks
            parts.append(replica.take_finished())
        series[:, 3] /= peak_flops
        series[:, 4] /= peak_bytes
        finished = np.concatenate(parts)
        finished = finished[np.argsort(finished["completed_at"], kind="stable")]
        arrived_before, rejected_before = self._counted
        self._counted = (self.arrived, self.rejected)
        self.completed += len(finished)
        self.meter_j += prefill_j + decode_j + idle_j
        self.idle_j += idle_j
        return Interval(
            begins_at=begins_at,
            ends_at=until,
            prefill_j=prefill_j,
            decode_j=decode_j,
            idle_j=idle_j,
            series=series,
            mfu=flops / (peak_flops * span_s),
            mbu=traffic / (peak_bytes * span_s),
            busy=min(1.0, busy_s / (self.gpu_count * span_s)),  # rounding may pass 1
            arrived=self.arrived - arrived_before,
            completed=len(finished),
            rejected=self.rejected - rejected_before,
            running=sum(r.running for r in self.replicas),
            waiting=sum(r.waiting for r in self.replicas),
            held=self.gate.held,
            prefill_tokens=prefill_tokens,
            decode_tokens=decode_tokens,
            kv_use=block_s / (blocks * span_s),
            finished=finished,
        )
