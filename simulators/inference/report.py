"""From the meters of the replicas to what a cluster reports of an interval."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from simulators.inference.batching.state import BUSY_S, BYTES, FLOPS, Records
from simulators.inference.failures import Failures
from simulators.inference.interval import BY_REPLICA, SERIES, Interval, joined, taken
from simulators.inference.parking import Parking
from simulators.inference.replica import Replica


class Report:
    """Sums up a cluster's intervals, one copy of it; each only tells what is new since the last.

    Attributes
    ----------
    completed
        Requests completed since the start.
    """

    def __init__(self, replicas: Sequence[Replica], parking: Parking, bins: int) -> None:
        self._replicas = replicas
        self._parking = parking
        self._bins = bins
        self.completed = 0
        self._seen = np.zeros((len(replicas), 3))
        self._counted = (0, 0)
        self._moved_j = 0.0
        gpus, all_gpus, idle_w, peak_flops, peak_bytes = np.array(
            [
                (r.gpus, n := r.gpu_count, r.law.idle_w, n * r.tables.peak_flops, n * r.tables.peak_bytes)
                for r in replicas
            ]
        ).T
        self._gpus, self._all_gpus = gpus, all_gpus[:, None, None]
        self._idle_w = (idle_w * gpus)[:, None]
        self._peaks = float(peak_flops.sum()), float(peak_bytes.sum())
        self._gpu_count = float(all_gpus.sum())

    def finished(self, failures: Failures | None) -> Records:
        """Requests finished since the last call, in order of completion."""
        finished = joined([r.take_finished() for r in self._replicas])
        if failures is not None:
            failures.as_released(finished)
        return taken(finished, np.argsort(finished["completed_at"], kind="stable"))

    def interval(
        self,
        begins_at: float,
        until: float,
        bins: NDArray[np.float64],
        counts: tuple[int, int],
        failures: Failures | None,
    ) -> Interval:
        """What happened in [begins_at, until).

        Parameters
        ----------
        begins_at, until
            s.
        bins
            What the replicas metered; shape (replicas, bins, 5).
        counts
            Requests since the start: received, rejected.
        failures
            What failures undid.
        """
        replicas = self._replicas
        received, rejected = counts
        lost = np.zeros((len(replicas), 2)) if failures is None else failures.lost(until)
        span_s, width_s = until - begins_at, (until - begins_at) / self._bins
        totals, together = bins.sum(axis=1), bins.sum(axis=0)
        edges = begins_at + width_s * np.arange(self._bins + 1, dtype=np.float64)
        edges[-1] = until
        standby_j = self._all_gpus * self._parking.standby_j(edges)
        idle_j = standby_j[:, :, 0] - self._idle_w * bins[:, :, BUSY_S]
        peak_flops, peak_bytes = self._peaks
        series = np.empty((self._bins, len(SERIES)))
        series[:, :2] = together[:, :2] / width_s  # PREFILL_J, DECODE_J
        series[:, 2] = idle_j.sum(axis=0) / width_s
        series[:, 3] = together[:, FLOPS] / (width_s * peak_flops)
        series[:, 4] = together[:, BYTES] / (width_s * peak_bytes)
        counted = np.array([r.counts() for r in replicas])
        new, self._seen = counted - self._seen, counted
        finished = self.finished(failures)
        by_replica = np.empty((len(replicas), len(BY_REPLICA)))
        by_replica[:, :2] = totals[:, :2]  # PREFILL_J, DECODE_J
        by_replica[:, 2] = idle_j.sum(axis=1)
        by_replica[:, 3] = standby_j[:, :, 1].sum(axis=1)
        by_replica[:, 4:6] = new[:, :2]
        by_replica[:, 6] = np.bincount(finished["replica"], minlength=len(replicas))
        by_replica[:, 7:] = lost
        sums = dict(zip(BY_REPLICA, by_replica.sum(axis=0).tolist(), strict=True))
        _, _, busy_s, flops, memory_bytes = totals.T
        self.completed += len(finished)
        moved_j = sum(r.host_j for r in replicas)
        moved_before_j, self._moved_j = self._moved_j, moved_j
        received_before, rejected_before = self._counted
        self._counted = (received, rejected)
        return Interval(
            begins_at=begins_at,
            ends_at=until,
            prefill_j=sums["prefill_j"],
            decode_j=sums["decode_j"],
            idle_j=sums["idle_j"],
            transition_j=sums["transition_j"],
            series=series,
            mfu=float(flops.sum()) / (peak_flops * span_s),
            mbu=float(memory_bytes.sum()) / (peak_bytes * span_s),
            # rounding may pass 1
            busy=min(1.0, float((self._gpus * busy_s).sum()) / (self._gpu_count * span_s)),
            received=received - received_before,
            completed=len(finished),
            rejected=rejected - rejected_before,
            running=sum(r.running for r in replicas),
            waiting=sum(r.waiting for r in replicas) + (0 if failures is None else len(failures.door)),
            prefill_tokens=round(sums["prefill_tokens"]),
            decode_tokens=round(sums["decode_tokens"]),
            kv_use=float(new[:, 2].sum() / (sum(r.limits.total_blocks for r in replicas) * span_s)),
            finished=finished,
            by_replica=by_replica,
            transfer_j=moved_j - moved_before_j,
            lost_work_j=sums["lost_work_j"],
            lost_tokens=round(sums["lost_tokens"]),
        )
