"""Requests and joules must add up in every interval, counted on the requests themselves."""

from __future__ import annotations

import numpy as np

from simulators.inference.interval import Interval
from simulators.inference.services import AnyCluster, pools_in


class Conservation:
    """Checks the intervals of one cluster, one after the other.

    Parameters
    ----------
    cluster
        Before the first interval that is checked.
    """

    def __init__(self, cluster: AnyCluster) -> None:
        self._cluster = cluster
        self._before_j = cluster.requests_j()
        self._moved_j = self._spent_j()
        self._batches = self._iterations()

    def check(self, interval: Interval) -> None:
        """Check the interval that the cluster has just reported.

        Requests: received = completed + rejected + running + waiting. Joules: what the finished requests of the
        interval carry, what those still there carry more than before, and what failures undid, is the busy energy of
        the meter; what moved KV caches and blocks took, and those under way so far, is the energy of transfers.

        Raises
        ------
        RuntimeError
            If they do not add up; names the interval.
        """
        cluster, copies = self._cluster, self._cluster.copies
        where = f"interval {interval.begins_at:g} s to {interval.ends_at:g} s"
        inside = (interval.running + interval.waiting) / copies
        accounted = cluster.completed + cluster.rejected + inside
        if abs(cluster.received - accounted) > 1e-6:
            raise RuntimeError(
                f"{where}: {cluster.received} requests received, {accounted:g} are completed, running, waiting or "
                "rejected"
            )
        finished, left_j = interval.finished, cluster.requests_j()
        on_finished_j = float(finished["prefill_j"].sum() + finished["decode_j"].sum())
        handed_out_j = copies * (on_finished_j + left_j - self._before_j) + interval.lost_work_j
        busy_j = interval.prefill_j + interval.decode_j
        # what is carried over from before is summed as well: its rounding counts
        scale_j = max(busy_j, copies * (on_finished_j + left_j + self._before_j), interval.lost_work_j, 1.0)
        self._before_j = left_j
        if abs(busy_j - handed_out_j) > 1e-9 * scale_j + self._clock_j(interval):
            raise RuntimeError(
                f"{where}: metered {busy_j} J of busy GPU energy, the requests carry {handed_out_j} J of it"
            )
        spent_j = self._spent_j()
        moved_j = copies * (spent_j - self._moved_j)
        self._moved_j = spent_j
        if abs(interval.transfer_j - moved_j) > 1e-9 * max(copies * spent_j, 1.0):
            raise RuntimeError(
                f"{where}: metered {interval.transfer_j} J of moving KV caches, what was moved took {moved_j} J"
            )

    def _spent_j(self) -> float:
        """What moving KV caches between pools, and blocks to host memory and back, took since the start, J."""
        between = [pools.transfers.spent_j for pools in pools_in(self._cluster)]
        return sum(between, sum(replica.host_j for replica in self._cluster.replicas))

    def _clock_j(self, interval: Interval) -> float:
        """What the rounding of times may move, J: late in a long run a double tells 1e-10 s apart, not less.

        Every iteration ends at such a time, and one without end stands for those that the interval's edges cut.
        """
        cluster = self._cluster
        tick_j = float(np.spacing(interval.ends_at)) * sum(
            r.gpu_count * r.law.limit_w for r in cluster.replicas
        )
        begun, self._batches = self._batches, self._iterations()
        return cluster.copies * tick_j * (4 + self._batches - begun)

    def _iterations(self) -> int:
        return sum(int(replica.counter("batches")) for replica in self._cluster.replicas)
