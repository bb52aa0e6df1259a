"""A cluster and the workload it serves, advanced together: for whoever has both at hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from simulators.inference.conservation import Conservation
from simulators.inference.interval import Interval
from simulators.inference.services import AnyCluster
from simulators.quantities.requests import RequestBlock, Workload


class Driver:
    """Hands a cluster its requests, numbered in order of arrival, and checks that requests and joules add up.

    Parameters
    ----------
    cluster
        At its start.
    workload
        Where requests come from.

    Attributes
    ----------
    arrived
        Requests handed over so far.
    """

    def __init__(self, cluster: AnyCluster, workload: Workload) -> None:
        self.cluster = cluster
        self.workload = workload
        self.arrived = 0
        self._conservation = Conservation(cluster)

    @property
    def idle(self) -> bool:
        """Whether nothing is left to do: no request in the cluster and none to come."""
        return self.workload.exhausted and self.cluster.outstanding == 0

    def advance(self, until: float) -> Interval:
        """Simulate the interval from the present to `until`, s."""
        block: RequestBlock = self.workload.take(until)
        numbers = self.arrived + np.arange(len(block))
        self.arrived += len(block)
        interval = self.cluster.advance(until, replace(block, request_id=numbers))
        self._conservation.check(interval)
        return interval

    def cut(self, interval: Interval) -> tuple[Interval, int]:
        """The last interval of a run ended with the last completion, and the bins that remain (`Interval.cut`)."""
        last = max(r.counter("last_completion") for r in self.cluster.replicas)
        ends_at = max(last, interval.begins_at)
        return interval.cut(ends_at, self.cluster.standby_j(ends_at, interval.ends_at))
