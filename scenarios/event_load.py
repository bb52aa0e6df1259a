"""A cluster second by second through an event: hosts lose power and start again, or a lever sheds load for a while."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scenarios.event_levers import undone
from simulators.datacenter.facility import Facility
from simulators.errors import InputError
from simulators.inference.batching.state import Records
from simulators.inference.cluster import Cluster
from simulators.inference.conservation import Conservation
from simulators.inference.fleet import build
from simulators.inference.interval import joined
from simulators.inference.options import Serving
from simulators.inference.services import AnyCluster, plain_in
from simulators.quantities.commands import Command
from simulators.quantities.requests import RequestBlock, Workload
from simulators.traffic.options import workload_from_plain

Array = NDArray[np.float64]

NOTHING = RequestBlock.concatenate([])


@dataclass(frozen=True)
class Loss:
    """Hosts without power: from and until, s; what they were doing is lost, and what comes meanwhile waits outside.

    Where `turned_away`, nothing came before `until_s`: a site that is started.
    """

    from_s: int
    until_s: int
    turned_away: bool = False


@dataclass(frozen=True)
class Shed:
    """A lever pulled from and until, s: a command, or no replica at all (None)."""

    from_s: int
    until_s: int
    command: Command | None


@dataclass(frozen=True)
class Served:
    """A cluster over the seconds of a run, one copy.

    Attributes
    ----------
    power_w
        Of the facility at its meter, mean of each second; shape (seconds,).
    running, queued, completed
        Requests at the end of each second: in a batch; at the replicas or outside; completed so far.
    arrived, rejected
        Requests in all.
    finished
        Those completed, in order of completion.
    lost_j
        GPU energy that had gone into requests which a loss of power threw back, J.
    """

    power_w: Array
    running: Array
    queued: Array
    completed: Array
    arrived: int
    rejected: int
    finished: Records
    lost_j: float


def serve(
    serving: Serving,
    facility: Facility,
    workload: Mapping[str, Any],
    seconds: int,
    cause: Loss | Shed | None = None,
) -> Served:
    """Run a cluster second by second.

    Parameters
    ----------
    serving, facility
        The cluster, and the building around it.
    workload
        Options of `workload_from_plain`.
    seconds
        Length of the run.
    cause
        What happens to it.

    Raises
    ------
    InputError
        If the cluster cannot do what the lever asks for.
    RuntimeError
        If requests or joules do not add up.
    """
    return _Run(serving, facility, workload_from_plain(workload), cause).through(seconds)


class _Run:
    """One cluster after the other (a loss of power ends one), and who waits outside."""

    def __init__(
        self, serving: Serving, facility: Facility, workload: Workload, cause: Loss | Shed | None
    ) -> None:
        self._serving, self._facility, self._workload, self._cause = serving, facility, workload, cause
        self._cluster: AnyCluster | None = self._fresh(0)
        self._yet_to_park: list[Cluster] = []
        self._outside: list[RequestBlock] = []
        self._finished: list[Records] = []
        self._sent = self._arrived = self._rejected = self._before = 0
        self._lost_j = 0.0

    def through(self, seconds: int) -> Served:
        rows = np.empty((seconds, 4))
        for second in range(seconds):
            self._happens(second)
            self._arrive(second)
            rows[second] = self._second(second)
        served = Served(
            power_w=rows[:, 0].copy(),
            running=rows[:, 1].copy(),
            queued=rows[:, 2].copy(),
            completed=rows[:, 3].copy(),
            arrived=self._arrived,
            rejected=self._rejected + (self._cluster.rejected if self._cluster else 0),
            finished=joined(self._finished),
            lost_j=self._lost_j,
        )
        self._check(served)
        return served

    def _happens(self, second: int) -> None:
        cause = self._cause
        if isinstance(cause, Loss):
            if second == cause.from_s:
                self._cut_off()
            if second == cause.until_s and self._cluster is None:
                self._cluster = self._started(second)
        elif isinstance(cause, Shed) and second in (cause.from_s, cause.until_s):
            self._pull(cause.command, second == cause.from_s)

    def _arrive(self, second: int) -> None:
        """Who comes in this second, to the door."""
        block = self._workload.take(float(second + 1))
        numbers = self._sent + np.arange(len(block))  # the same as undisturbed
        self._sent += len(block)
        if isinstance(self._cause, Loss) and self._cause.turned_away and second < self._cause.until_s:
            return
        if len(block):
            self._outside.append(replace(block, request_id=numbers))
            self._arrived += len(block)

    def _second(self, second: int) -> tuple[float, float, float, float]:
        """Power, running, queued and completed at the end of a second."""
        cluster = self._cluster
        if cluster is None:
            return 0.0, 0.0, self._waiting, float(self._completed)
        admitted = NOTHING
        if cluster.awake and not self._closed(second):
            waited = RequestBlock.concatenate(self._outside)
            admitted = replace(waited, released_at=np.maximum(waited.released_at, float(second)))
            self._outside = []
        interval = cluster.advance(float(second + 1), admitted)
        if self._yet_to_park and not cluster.outstanding:
            self._park(self._yet_to_park)
            self._yet_to_park = []
        self._conservation.check(interval)
        if len(interval.finished):
            self._finished.append(interval.finished)
        building, busy = self._facility.without_hosts(cluster.hosts_off, interval.busy)
        power_w = float(building.power(interval.energy_j, min(busy, 1.0)).facility_w)
        queued = interval.waiting + self._waiting
        return power_w, interval.running, queued, float(self._completed)

    @property
    def _waiting(self) -> float:
        return float(sum(map(len, self._outside)))

    @property
    def _completed(self) -> int:
        return self._before + (self._cluster.completed if self._cluster else 0)

    def _closed(self, second: int) -> bool:
        """Whether the door is shut, because no replica is to serve."""
        cause = self._cause
        return isinstance(cause, Shed) and cause.command is None and cause.from_s <= second < cause.until_s

    def _fresh(self, at: int) -> AnyCluster:
        """A cluster that has idled until then."""
        cluster, _ = build([self._serving])
        if at:
            cluster.advance(float(at), NOTHING)
        self._conservation = Conservation(cluster)
        return cluster

    def _cut_off(self) -> None:
        """Power goes: nobody has finished what ran, and the senders ask again."""
        cluster = self._cluster
        assert cluster is not None
        left = cluster.unfinished()
        left = left[np.argsort(left["request_id"], kind="stable")]
        self._lost_j += float(left["prefill_j"].sum() + left["decode_j"].sum())
        self._outside.insert(0, _again(left))
        self._before += cluster.completed
        self._rejected += cluster.rejected
        self._cluster = None

    def _started(self, second: int) -> AnyCluster:
        """Power is back: servers start, models load."""
        cluster = self._fresh(second)
        if any("off" not in replica.states for replica in cluster.replicas):
            raise InputError(
                f"gpu {self._serving.gpu}: nothing is known of it switched off, expected a GPU with states"
            )
        self._park(plain_in(cluster))
        for one in plain_in(cluster):
            for number in range(len(one.replicas)):
                one.parking.hosts.want(number, True, float(second))
        self._wake(cluster)
        return cluster

    def _park(self, clusters: Sequence[Cluster]) -> None:
        for one in clusters:
            for number, replica in enumerate(one.replicas):
                one.park(number, replica.states["off"])

    def _wake(self, cluster: AnyCluster) -> None:
        for one in plain_in(cluster):
            for number in range(len(one.replicas)):
                one.wake(number)

    def _pull(self, lever: Command | None, begins: bool) -> None:
        cluster = self._cluster
        assert cluster is not None
        if lever is None and begins:
            # those that decode once nothing can come to them
            first, *self._yet_to_park = plain_in(cluster)
            self._park([first])
            return
        if lever is None:
            self._yet_to_park = []
            self._wake(cluster)
            return
        reason = cluster.command(lever if begins else undone(lever, self._serving))
        if reason is not None:
            raise InputError(f"--lever: {reason}")

    def _check(self, served: Served) -> None:
        """Every request that came is completed once, turned down, or still there."""
        inside = self._cluster.outstanding if self._cluster else 0
        ids = served.finished["request_id"]
        accounted = len(ids) + served.rejected + inside + int(self._waiting)
        if len(np.unique(ids)) != len(ids) or accounted != served.arrived:
            raise RuntimeError(
                f"{served.arrived} requests arrived, {accounted} are completed, turned down, or still there"
            )


def _again(left: Records) -> RequestBlock:
    """Requests as they came, to be served from the start."""
    names = (
        "arrived_at",
        "prefill_tokens",
        "decode_tokens",
        "deferrable",
        "deadline",
        "tenant",
        "request_id",
    )
    columns = {name: left[name].copy() for name in names}
    columns["deferrable"] = columns["deferrable"].astype(bool)
    return RequestBlock(**columns, released_at=left["arrived_at"].copy())


def delays_s(served: Served, undisturbed: Served) -> Array:
    """By how much each request that both completed was completed later than undisturbed, s."""
    ends = [
        dict(zip(of.finished["request_id"].tolist(), of.finished["completed_at"].tolist(), strict=True))
        for of in (served, undisturbed)
    ]
    both: Sequence[int] = sorted(ends[0].keys() & ends[1].keys())
    return np.array([ends[0][number] - ends[1][number] for number in both])
