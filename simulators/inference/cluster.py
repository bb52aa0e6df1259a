"""Replicas behind a router and a gate, driven by a SimPy event loop and advanced interval by interval.

What happens inside a replica between two outside events is compiled (`batching/loop.py`). SimPy sequences the outside
events: the start of each control interval, and every arrival where the router must see the replicas at that moment.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace

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
from simulators.inference.interval import BY_REPLICA, SERIES, Interval, joined
from simulators.inference.parking import Parking
from simulators.inference.power.cap import check_cap
from simulators.inference.power.states import State
from simulators.inference.replica import Replica
from simulators.inference.routing import LeastOutstanding, PowerOfTwo, Router
from simulators.quantities.requests import RequestBlock, Workload
from simulators.traffic.gate import Gate


def _records(block: RequestBlock) -> Records:
    """A block of requests as the replicas keep them."""
    records = np.zeros(len(block), REQUEST)
    records["request_id"] = block.request_id
    records["arrived_at"], records["released_at"] = block.arrived_at, block.released_at
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
        self,
        replicas: Sequence[Replica],
        workload: Workload,
        router: Router,
        bins_per_interval: int = 1,
    ) -> None:
        self.replicas = list(replicas)
        self.workload = workload
        self.router = router
        self.bins_per_interval = bins_per_interval
        self.parking = Parking(self.replicas)
        self.hold = False
        self.release_rate_per_s = np.inf
        self.gate = Gate()
        self.arrived = self.completed = self.rejected = 0
        self.meter_j = self.idle_j = 0.0
        self._env = simpy.Environment()
        self._bins = np.zeros((len(self.replicas), bins_per_interval, 5))
        self._interval = (0.0, 0.0)
        self._seen = np.zeros((len(self.replicas), 3))
        self._constants = np.array(
            [
                (r.gpus, n := r.gpu_count, r.law.idle_w, n * r.tables.peak_flops, n * r.tables.peak_bytes)
                for r in self.replicas
            ]
        )
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
    def power_cap_w(self) -> float:
        """Power cap of every GPU, W; inf: none. Set between intervals, it holds for the next iterations.

        Setting raises `InputError` where a replica's GPUs draw as much idle; then no cap is changed.
        """
        return min(r.power_cap_w for r in self.replicas)

    @power_cap_w.setter
    def power_cap_w(self, cap_w: float) -> None:
        for replica in self.replicas:
            check_cap(replica.law, cap_w)
        for replica in self.replicas:
            replica.power_cap_w = cap_w

    def park(self, number: int, state: State) -> None:
        """Send a replica no more requests and, once it has finished those it has, put it into `state`."""
        self.parking.order(number, self._interval[1], state)

    def wake(self, number: int) -> None:
        """Have a parked replica serve again, as soon as it is loaded."""
        self.parking.wake(number, self._interval[1])

    def standby_j(self, at: float, until: float) -> NDArray[np.float64]:
        """Energy of each replica between two times of the present interval in which it served nothing, J.

        Columns: all of it, and what of it fell on transitions; shape (replicas, 2).
        """
        edges = np.array([at, until])
        return np.array([r.gpu_count * r.standby.energy_j(edges)[0] for r in self.replicas])

    @property
    def attributed_j(self) -> float:
        """Busy energy handed to requests, and that of the batches in flight up to now, J."""
        return sum(r.attributed_j + r.in_flight_j(self._interval[1]) for r in self.replicas)

    def unfinished(self) -> Records:
        """Requests at the replicas that are not finished, with the energy spent on each so far."""
        return np.concatenate([r.unfinished(self._interval[1]) for r in self.replicas])

    @property
    def idle(self) -> bool:
        """Whether nothing is left to do: no request in the system and none to come."""
        return self.workload.exhausted and self.outstanding == 0

    def advance(self, until: float) -> Interval:
        """Simulate the interval from the present to `until`, s, under the present controls."""
        begins_at = self._interval[1]
        self._interval = (begins_at, until)
        self._bins = np.zeros((len(self.replicas), self.bins_per_interval, 5))
        for replica in self.replicas:
            replica.standby.forget(begins_at)
        self._env.run(until=self._env.process(self._serve()))
        if self._env.now < until:
            self._env.run(until=until)
        width_s = (until - begins_at) / self.bins_per_interval
        for replica, bins in zip(self.replicas, self._bins, strict=True):
            replica.advance(until, bins, begins_at, width_s)
            replica.meter_in_flight(bins, begins_at, width_s)
        for number in range(len(self.replicas)):
            self.parking.settle(number, until)
        return self._report(begins_at, until, width_s)

    def _serve(self) -> Generator[simpy.Event, None, None]:
        """Route one interval's requests: at once, or each at its own time if the router looks at the replicas."""
        begins_at, until = self._interval
        block = self.workload.take(until)
        block = replace(block, request_id=self.arrived + np.arange(len(block)))
        self.arrived += len(block)
        records = _records(
            self.gate.pass_through(block, begins_at, until, self.hold, self.release_rate_per_s)
        )
        looks = isinstance(self.router, LeastOutstanding | PowerOfTwo)
        if looks or self.parking.active:
            width_s = (until - begins_at) / self.bins_per_interval
            for i, at in enumerate(records["released_at"].tolist()):
                yield self._env.timeout(max(0.0, at - self._env.now))
                for number, replica in enumerate(self.replicas):
                    replica.advance(at, self._bins[number], begins_at, width_s)
                    self.parking.settle(number, at)
                chosen = self.parking.choose(self.router)
                self.parking.wake(chosen, at)
                self._admit(chosen, records, i, i + 1)
            return
        assert not isinstance(self.router, LeastOutstanding | PowerOfTwo)
        numbers = self.router.assign(len(records))
        for number in range(len(self.replicas)):
            routed = records[numbers == number] if len(self.replicas) > 1 else records
            self._admit(number, routed, 0, len(routed))
        yield self._env.timeout(0)

    def _admit(self, number: int, records: Records, first: int, last: int) -> None:
        """Queue `records[first:last]` at a replica; what could never run there is rejected."""
        records["replica"][first:last] = number
        taken = self.replicas[number].enqueue(records, first, last)
        self.rejected += last - first - taken

    def _report(self, begins_at: float, until: float, width_s: float) -> Interval:
        span_s = until - begins_at
        bins, totals = self._bins, self._bins.sum(axis=1)
        gpus, all_gpus, idle_w, peak_flops, peak_bytes = self._constants.T
        edges = np.append(begins_at + width_s * np.arange(self.bins_per_interval), until)
        standby_j = all_gpus[:, None, None] * self.parking.standby_j(edges)
        idle_j = standby_j[:, :, 0] - (idle_w * gpus)[:, None] * bins[:, :, BUSY_S]
        series = np.empty((self.bins_per_interval, len(SERIES)))
        series[:, :2] = bins[:, :, [PREFILL_J, DECODE_J]].sum(axis=0) / width_s
        series[:, 2] = idle_j.sum(axis=0) / width_s
        series[:, 3] = bins[:, :, FLOPS].sum(axis=0) / (width_s * peak_flops.sum())
        series[:, 4] = bins[:, :, BYTES].sum(axis=0) / (width_s * peak_bytes.sum())
        counted = np.array([r.counts() for r in self.replicas])
        new, self._seen = counted - self._seen, counted
        parts = [r.take_finished() for r in self.replicas]
        by_replica = np.column_stack(
            (totals[:, PREFILL_J], totals[:, DECODE_J], idle_j.sum(axis=1), standby_j[:, :, 1].sum(axis=1),
             new[:, :2], [len(part) for part in parts])
        )  # fmt: skip
        sums = dict(zip(BY_REPLICA, by_replica.sum(axis=0).tolist(), strict=True))
        finished = joined(parts)
        finished = finished[np.argsort(finished["completed_at"], kind="stable")]
        arrived_before, rejected_before = self._counted
        self._counted = (self.arrived, self.rejected)
        self.completed += len(finished)
        self.meter_j += sums["prefill_j"] + sums["decode_j"] + sums["idle_j"]
        self.idle_j += sums["idle_j"]
        return Interval(
            begins_at=begins_at,
            ends_at=until,
            prefill_j=sums["prefill_j"],
            decode_j=sums["decode_j"],
            idle_j=sums["idle_j"],
            transition_j=sums["transition_j"],
            series=series,
            mfu=float(totals[:, FLOPS].sum() / (peak_flops.sum() * span_s)),
            mbu=float(totals[:, BYTES].sum() / (peak_bytes.sum() * span_s)),
            # rounding may pass 1
            busy=min(1.0, float((gpus * totals[:, BUSY_S]).sum()) / (self.gpu_count * span_s)),
            arrived=self.arrived - arrived_before,
            completed=len(finished),
            rejected=self.rejected - rejected_before,
            running=sum(r.running for r in self.replicas),
            waiting=sum(r.waiting for r in self.replicas),
            held=self.gate.held,
            prefill_tokens=round(sums["prefill_tokens"]),
            decode_tokens=round(sums["decode_tokens"]),
            kv_use=float(new[:, 2].sum() / (sum(r.limits.total_blocks for r in self.replicas) * span_s)),
            finished=finished,
            by_replica=by_replica,
        )
