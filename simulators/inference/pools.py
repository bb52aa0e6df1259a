"""Prefill and decode on replicas of their own: one pool that ends with first tokens, one that goes on from there.

A prefill never waits for a decode, so an interval is simulated one pool after the other: the replicas that prefill,
the transfer of the KV caches (`transfer.py`), the replicas that decode, which admit a request with its cache at the
moment that has come. A request may pass through all three within one interval.

Left out: blocks of the prefill pool are free when a prompt is done, where servers keep them until the cache has left;
and a cache is sent whether the decode pool has blocks for it or not, it waits there.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from simulators.inference.apart import Apart
from simulators.inference.batching.intake import longest
from simulators.inference.batching.state import Records
from simulators.inference.cluster import Cluster
from simulators.inference.interval import BY_REPLICA, Interval, joined, taken
from simulators.inference.transfer import Link, Transfers
from simulators.quantities.requests import RequestBlock

COMPLETED = BY_REPLICA.index("completed")


class Pools(Apart):
    """A cluster whose replicas either prefill or decode; it is used like `Cluster`.

    Parameters
    ----------
    prefill, decode
        The two pools, one copy of each; requests leave the replicas of the first with their first token.
    links
        Of each replica of the first.
    first_token
        When users get the first token: ``transfer``, with the arrival of the KV cache (as from SGLang and
        TensorRT-LLM), or ``prefill``, at once.
    copies
        How many such clusters stand for one.

    Attributes
    ----------
    replicas
        Of both pools, those that prefill first.
    transfers
        What is between them.
    received, completed, rejected
        Requests of one copy since the start.

    Examples
    --------
    >>> from simulators.inference.fleet import Serving, build_fleet
    >>> pools, facts = build_fleet([Serving(gpu="h100", prefill_replicas=1, iteration_time="roofline")])
    >>> interval = pools.advance(60.0, RequestBlock.of(np.zeros(1), np.array([512]), np.array([64])))
    >>> interval.completed, interval.decode_tokens, pools.transfers.moved_bytes == 512 * 131072
    (1, 64, True)
    """

    STAY_AWAKE = "pools of prefill and decode"

    def __init__(
        self,
        prefill: Cluster,
        decode: Cluster,
        links: Sequence[Link],
        first_token: str = "transfer",
        copies: float = 1.0,
    ) -> None:
        super().__init__((prefill, decode), copies)
        self.prefill, self.decode = prefill, decode
        self.transfers = Transfers(links, len(decode.replicas))
        self.completed = 0
        self._at_once = first_token == "prefill"

    @property
    def outstanding(self) -> int:
        """Requests received and neither completed nor rejected."""
        return self.received - self.completed - self.rejected

    def unfinished(self) -> Records:
        """Requests of one copy that are not finished, with the energy spent on each so far."""
        return joined(
            [self.prefill.unfinished(), self.transfers.requests(), self._as_users(self.decode.unfinished())]
        )

    def waiting_records(self) -> Records:
        """Requests of one copy that wait at a replica of either pool."""
        return joined([self.prefill.waiting_records(), self.decode.waiting_records()])

    def requests_j(self) -> float:
        """Energy on the requests that are not finished, batches in flight included, of one copy, J."""
        return self.prefill.requests_j() + self.transfers.requests_j + self.decode.requests_j()

    def advance(self, until: float, requests: RequestBlock) -> Interval:
        """Simulate the interval from the present to `until`, s; see `Cluster.advance`."""
        begins_at = self.now
        self.received += len(requests)
        fits = self._fits(requests)
        refused = int(np.count_nonzero(~fits))
        self._refused += refused
        first = self.prefill.advance(until, requests[fits] if refused else requests)
        short = first.finished["decode_tokens"] <= 1
        arrived, joules = self.transfers.advance(
            until, first.finished[~short], begins_at, self.bins_per_interval
        )
        if not self._at_once:
            arrived["prefill_completed_at"] = arrived["released_at"]
        second = self.decode.advance(until, arrived)
        finished = joined([first.finished[short], self._as_users(second.finished)])
        finished = taken(finished, np.argsort(finished["completed_at"], kind="stable"))
        self.completed += len(finished)
        interval = self._together(first, second, finished, len(requests), refused, joules)
        return interval if self.copies == 1 else interval.times(self.copies)

    def _fits(self, requests: RequestBlock) -> NDArray[np.bool_]:
        """Which requests every replica that decodes could run, were it empty: the others are refused at the door."""
        fits = np.ones(len(requests), bool)
        for limits in {replica.limits for replica in self.decode.replicas}:
            fits &= requests.prefill_tokens + requests.decode_tokens <= longest(limits)
            if limits.whole_prompts:
                fits &= requests.prefill_tokens <= limits.max_tokens
        return fits

    def _as_users(self, decoded: Records) -> Records:
        """Requests of the decode pool as users see them: released when they came, by a replica of this cluster."""
        decoded["released_at"], decoded["handed_at"] = (
            decoded["handed_at"].copy(),
            decoded["released_at"].copy(),
        )
        decoded["replica"] += len(self.prefill.replicas)
        return decoded

    def _together(
        self,
        first: Interval,
        second: Interval,
        finished: Records,
        received: int,
        refused: int,
        joules: NDArray[np.float64],
    ) -> Interval:
        """One interval of the two pools' and the energy between them."""

        def both(name: str) -> float:
            value: float = getattr(first, name) + getattr(second, name)
            return value

        def mean(name: str) -> float:
            share = self.shares[name][0]
            return float(share * getattr(first, name) + (1.0 - share) * getattr(second, name))

        series = first.series + second.series
        for column, name in ((3, "mfu"), (4, "mbu")):
            share = self.shares[name][0]
            series[:, column] = share * first.series[:, column] + (1.0 - share) * second.series[:, column]
        by_replica = np.concatenate((first.by_replica, second.by_replica))
        by_replica[:, COMPLETED] = np.bincount(finished["replica"], minlength=len(by_replica))
        joules_of = ("prefill_j", "decode_j", "idle_j", "transition_j")
        counts = ("prefill_tokens", "decode_tokens", "waiting")
        return Interval(
            begins_at=first.begins_at,
            ends_at=first.ends_at,
            **{name: both(name) for name in (*joules_of, *counts)},
            series=series,
            **{name: mean(name) for name in self.shares},
            received=received,
            completed=len(finished),
            rejected=refused + first.rejected + second.rejected,
            running=both("running") + self.transfers.under_way,
            finished=finished,
            by_replica=by_replica,
            transfer_j=float(joules.sum()),
            pool_w=np.column_stack(
                (first.power_w, second.power_w, joules * (len(joules) / (first.ends_at - first.begins_at)))
            ),
            prefill_replicas=len(self.prefill.replicas),
        )
