"""Several clusters under one roof that share no replica; used like a `Cluster`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import inf
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from simulators.errors import InputError
from simulators.inference.actuators import check_command, in_numbers
from simulators.inference.cluster import Cluster
from simulators.inference.failures import Tally
from simulators.inference.interval import SERIES, SUMS, Interval, joined
from simulators.inference.replica import Replica
from simulators.quantities.commands import Awake, Command

Array = NDArray[np.float64]
One = TypeVar("One", bound="Cluster | Apart[Any]")
"""What is apart: clusters, or services that may be pools themselves."""


def shared_out(count: int, sizes: Sequence[int]) -> list[int]:
    """So many replicas among clusters of these sizes: one each, and the rest in proportion; one more takes none away.

    Each goes to where the fewest serve for the size, half of it counted in (the divisors of Sainte-Laguë).

    Examples
    --------
    >>> [shared_out(count, [2, 6]) for count in (2, 4, 5, 8)]
    [[1, 1], [1, 3], [1, 4], [2, 6]]
    """
    given = [1] * len(sizes)
    for _ in range(count - len(sizes)):
        shares = [
            (have + 0.5) / size if have < size else inf for have, size in zip(given, sizes, strict=True)
        ]
        given[shares.index(min(shares))] += 1
    return given


class Apart(Generic[One]):
    """What clusters with replicas of their own are together.

    Parameters
    ----------
    clusters
        One copy of each.
    copies
        How many of all stand for one.

    Attributes
    ----------
    received
        Requests of one copy since the start.
    shares
        Of each cluster in all, by name of a mean of `Interval`; shape (clusters,).
    """

    def __init__(self, clusters: Sequence[One], copies: float = 1.0) -> None:
        if not copies > 0:
            raise InputError(f"cluster: {copies} copies, expected a number above 0")
        self.clusters = list(clusters)
        self.copies = copies
        self.received = self._refused = 0
        sizes: dict[str, list[float]] = {
            "mfu": [sum(r.gpu_count * r.tables.peak_flops for r in one.replicas) for one in self.clusters],
            "mbu": [sum(r.gpu_count * r.tables.peak_bytes for r in one.replicas) for one in self.clusters],
            "busy": [one.gpu_count for one in self.clusters],
            "kv_use": [sum(r.limits.total_blocks for r in one.replicas) for one in self.clusters],
        }
        self.shares = {name: np.array(of, dtype=np.float64) / sum(of) for name, of in sizes.items()}

    @property
    def replicas(self) -> list[Replica]:
        """Those of the first cluster, then those of the second, and so on."""
        return [replica for one in self.clusters for replica in one.replicas]

    @property
    def plain(self) -> list[Cluster]:
        """The clusters none of whose replicas are apart from each other, in order: pools of a service one by one."""
        return [own for one in self.clusters for own in (one.plain if isinstance(one, Apart) else [one])]

    @property
    def bins_per_interval(self) -> int:
        """Resolution of the power series handed out with every interval."""
        return self.clusters[0].bins_per_interval

    @property
    def gpu_count(self) -> int:
        """GPUs of all replicas of one copy."""
        return sum(one.gpu_count for one in self.clusters)

    @property
    def rejected(self) -> int:
        """Requests of one copy that were refused at the door, or by a cluster."""
        return self._refused + sum(one.rejected for one in self.clusters)

    @property
    def now(self) -> float:
        """End of the last interval, s."""
        return self.clusters[0].now

    @property
    def awake(self) -> int:
        """Replicas that serve."""
        return sum(one.awake for one in self.clusters)

    @property
    def waking(self) -> int:
        """Replicas that load their model, or wait for their server to start."""
        return sum(one.waking for one in self.clusters)

    @property
    def draining(self) -> int:
        """Replicas that finish what they have, to be parked then."""
        return sum(one.draining for one in self.clusters)

    @property
    def hosts_off(self) -> float:
        """Servers of one copy that were off in the last interval, on average; no server is shared."""
        return sum(one.hosts_off for one in self.clusters)

    @property
    def slots(self) -> int:
        """Requests that may run at once on the replicas that serve."""
        return sum(one.slots for one in self.clusters)

    def together(self, parts: Sequence[Interval], refused: int) -> Interval:
        """What all clusters did in one interval.

        Parameters
        ----------
        parts
            What each did.
        refused
            Requests that were refused at the door, which none of them saw.

        Returns
        -------
        Interval
            Their replicas one after the other; without finished requests, which are in no order yet, and as if nothing
            were moved between the clusters.
        """
        total: dict[str, Any] = {name: sum(getattr(part, name) for part in parts) for name in SUMS}
        total["received"] += refused
        total["rejected"] += refused
        means: dict[str, Any] = {
            name: float(sum(share * getattr(part, name) for share, part in zip(shares, parts, strict=True)))
            for name, shares in self.shares.items()
        }
        weights = np.ones((len(parts), len(SERIES)))
        for name in ("mfu", "mbu"):
            weights[:, SERIES.index(name)] = self.shares[name]
        return Interval(
            begins_at=parts[0].begins_at,
            ends_at=parts[0].ends_at,
            **total,
            **means,
            series=np.asarray(sum(weight * part.series for weight, part in zip(weights, parts, strict=True))),
            finished=joined([]),
            by_replica=np.concatenate([part.by_replica for part in parts]),
        )

    def tally_at(self, at: float) -> Tally | None:
        """What failures did up to a time of the last interval, s; None where nothing can fail."""
        tallies = [tally for one in self.clusters if (tally := one.tally_at(at)) is not None]
        return Tally.of(tallies) if tallies else None

    def command(self, command: Command, at: float | None = None) -> str | None:
        """Have all clusters carry out what a controller asks for, or none; see `Cluster.command`."""
        try:
            commands = self._of_each(in_numbers(command))
        except InputError as error:
            return str(error)
        each = list(zip(self.plain, commands, strict=True))
        reason = next((why for one, its in each if (why := check_command(one, its))), None)
        if reason is None:
            for one, its in each:
                one.command(its, at)
        return reason

    def _of_each(self, command: Command) -> list[Command]:
        """What a command means for each cluster: a number of replicas awake is shared out."""
        if not isinstance(command, Awake):
            return [command] * len(self.plain)
        sizes = [len(one.replicas) for one in self.plain]
        if not len(sizes) <= command.replicas <= sum(sizes):
            raise InputError(
                f"{command.replicas} replicas awake: expected {len(sizes)} (one for each pool or service) to "
                f"{sum(sizes)}"
            )
        return [replace(command, replicas=count) for count in shared_out(command.replicas, sizes)]

    def standby_j(self, at: float, until: float) -> Array:
        """Energy of each replica between two times of the present interval in which it served nothing, J.

        Columns: all of it, and what of it fell on transitions; of all copies; shape (replicas, 2).
        """
        return self.copies * np.concatenate([one.standby_j(at, until) for one in self.clusters])
