"""Prefill and decode on replicas of their own: one pool that ends with first tokens, one that goes on from there.

A prefill never waits for a decode, so an interval is simulated one pool after the other: the replicas that prefill,
the transfer of the KV caches (`transfer.py`), the replicas that decode, which admit a request with its cache at the
moment that has come. A request may pass through all three within one interval.

**Failures.** An interval is cut where replicas fail or are back. A replica that prefills loses its prompts, and the
caches it had not sent; they are prefilled again by others. One that decodes loses the caches it had: its requests go
back to be prefilled, their prompt and what they had of the answer (`resumed.py`), and a cache that was on its way to
it is sent once more. What came to nothing is lost work: the prefill of the caches, and a batch that was cut off; the
decodes of tokens that were handed out are the request's. A first token that was to come with a cache is lost with it.
Caches of a replica in maintenance still leave it.

Left out: blocks of the prefill pool are free when a prompt is done, where servers keep them until the cache has left;
and a cache is sent whether the decode pool has blocks for it or not, it waits there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from simulators.inference.apart import Apart
from simulators.inference.batching.intake import longest
from simulators.inference.batching.state import Records
from simulators.inference.cluster import Cluster
from simulators.inference.emptied import produced
from simulators.inference.interval import BY_REPLICA, DECODE, PREFILL, Interval, joined, taken
from simulators.inference.link import Link
from simulators.inference.outages import BACK, FAIL, Happening
from simulators.inference.resumed import Contents, Resumed
from simulators.inference.transfer import Transfers
from simulators.quantities.requests import RequestBlock

COMPLETED = BY_REPLICA.index("completed")


class Pools(Apart[Cluster]):
    """A cluster whose replicas either prefill or decode; it is used like `Cluster`.

    Parameters
    ----------
    prefill, decode
        The two pools, one copy of each; requests leave the replicas of the first with their first token.
    links
        Of each replica of the first.
    first_token
        When users get the first token: ``decode``, from the replica that decodes when it takes the request up (as from
        SGLang and TensorRT-LLM: a wait for a place there delays the first token, not those after it), ``transfer``,
        with the arrival of the KV cache, or ``prefill``, at once.
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

    def __init__(
        self,
        prefill: Cluster,
        decode: Cluster,
        links: Sequence[Link],
        first_token: str = "transfer",
        copies: float = 1.0,
    ) -> None:
        super().__init__((prefill, decode), copies)
        for of in self.shares.values():
            of[1] = 1.0 - of[0]  # what one pool is not, the other is
        self.prefill, self.decode = prefill, decode
        self.transfers = Transfers(links, len(decode.replicas))
        self.completed = 0
        self._at_once, self._taken_up = first_token == "prefill", first_token == "decode"
        self._resumed = Resumed()
        self._contents = Contents([r.limits for r in prefill.replicas])
        if decode.failures is not None:
            decode.failures.sends_back = True

    @property
    def outstanding(self) -> int:
        """Requests received and neither completed nor rejected."""
        return self.received - self.completed - self.rejected

    def unfinished(self) -> Records:
        """Requests of one copy that are not finished, with the energy spent on each so far."""
        parts = self.prefill.unfinished(), self.transfers.requests(), self._as_users(self.decode.unfinished())
        return self._resumed.tell(joined(parts))

    def waiting_records(self) -> Records:
        """Requests of one copy that wait at a replica of either pool."""
        return joined([self.prefill.waiting_records(), self.decode.waiting_records()])

    def requests_j(self) -> float:
        """Energy on the requests that are not finished, batches in flight included, of one copy, J."""
        pools_j = self.prefill.requests_j() + self.transfers.requests_j + self.decode.requests_j()
        return pools_j + self._resumed.requests_j

    def advance(self, until: float, requests: RequestBlock) -> Interval:
        """Simulate the interval from the present to `until`, s; see `Cluster.advance`."""
        received = len(requests)
        self.received += received
        fits = self._fits(requests)
        refused = int(np.count_nonzero(~fits))
        self._refused += refused
        if refused:
            requests = requests[fits]
        meter = np.zeros(self.bins_per_interval), self.now, (until - self.now) / self.bins_per_interval
        coming = [(one, pool) for pool in (self.prefill, self.decode) for one in pool.begin(until)]
        coming.sort(key=lambda each: each[0].at)
        if self.prefill.failures is not None:
            self._contents.see(requests)
        short, sent = [], 0
        for at, together in groupby(coming, key=lambda each: each[0].at):
            upto = int(np.searchsorted(requests.released_at, at))
            short.append(self._carry(at, requests[sent:upto], *meter))
            self._happen(at, list(together))
            sent = upto
        short.append(self._carry(until, requests[sent:] if sent else requests, *meter))
        pools = self.prefill.end(), self.decode.end()
        finished = self._resumed.tell(joined([*short, self._as_users(pools[1].finished)]), done=True)
        finished = taken(finished, np.argsort(finished["completed_at"], kind="stable"))
        if self._taken_up:  # requests that nobody decoded have 0 there
            finished["prefill_completed_at"] = np.maximum(
                finished["prefill_completed_at"], finished["decoding_at"]
            )
        self._contents.forget(finished)
        self.completed += len(finished)
        interval = self._with_transfers(pools, finished, received, refused, meter[0])
        return interval if self.copies == 1 else interval.times(self.copies)

    def _carry(
        self,
        at: float,
        requests: RequestBlock,
        bins: NDArray[np.float64],
        begins_at: float,
        width_s: float,
    ) -> Records:
        """Carry everything to a time, s; returns the requests that wanted no more than what their prefill gave."""
        self.prefill.carry(at, requests)
        done = self.prefill.take_finished()
        short = done["decode_tokens"] <= 1
        arrived = self.transfers.advance(at, done[~short], bins, begins_at, width_s)
        if not self._at_once:
            arrived["prefill_completed_at"] = arrived["released_at"]
        self.decode.carry(at, arrived)
        return done[short]

    def _happen(self, at: float, together: Sequence[tuple[Happening, Cluster]]) -> None:
        """Let replicas of both pools, all carried to a time, fail, drain or be back; what is lost is sent again."""
        again: list[Records] = []
        for one, pool in together:
            pool.happen(one)
            for number in one.replicas:
                if pool is self.decode:
                    self._open_or_shut(one.what, number, at)
                elif one.what == FAIL:
                    again.append(self._lose_caches(number))
        again += [] if self.decode.failures is None else self._lose_decodes()
        lost = joined(again)
        if len(lost):
            self.prefill.send_again(at, lost, self._contents.of(lost))

    def _open_or_shut(self, what: int, number: int, at: float) -> None:
        if what != BACK:
            self.transfers.shut(number, failed=what == FAIL)
        elif number not in self.decode.parking.down:
            self.transfers.open(number, max(at, self.decode.replicas[number].counter("serves_from")))

    def _lose_caches(self, number: int) -> Records:
        """The requests whose caches a replica that prefills had not sent, as they begin again."""
        lost = self.transfers.lose(number)
        kept = np.full(len(lost), int(self._at_once))
        assert self.prefill.failures is not None
        self.prefill.failures.undone(number, lost, float(lost["prefill_j"].sum()), int((1 - kept).sum()))
        return self._resumed.begin(lost, kept)

    def _lose_decodes(self) -> list[Records]:
        """The requests that replicas that decode have lost, as they begin again."""
        failures, again = self.decode.failures, []
        assert failures is not None
        for number, (lost, _, in_flight_j) in failures.take_left():
            cut_off_j = np.where(lost["prefilled"] == 1, in_flight_j, 0.0)
            lost["decode_j"] -= cut_off_j
            failures.undone(number, lost, float((lost["prefill_j"] + cut_off_j).sum()), 0)
            again.append(self._resumed.begin(self._as_users(lost), produced(lost)))
        return again

    def _fits(self, requests: RequestBlock) -> NDArray[np.bool_]:
        """Which requests every replica that decodes could run, were it empty: the others are refused at the door.

        Where replicas fail, answers may have to be prefilled, too: one that prefills must have room for all of them.
        """
        fits = np.ones(len(requests), bool)
        replicas = self.decode.replicas if self.prefill.failures is None else self.replicas
        for limits in {replica.limits for replica in replicas}:
            fits &= requests.prefill_tokens + requests.decode_tokens <= longest(limits)
            if limits.whole_prompts:
                answers = requests.decode_tokens if limits.hands_over else 0
                fits &= requests.prefill_tokens + answers <= limits.max_tokens
        return fits

    def _as_users(self, decoded: Records) -> Records:
        """Requests of the decode pool as users see them: released when they came, by a replica of this cluster."""
        decoded["released_at"], decoded["handed_at"] = (
            decoded["handed_at"].copy(),
            decoded["released_at"].copy(),
        )
        decoded["replica"] += len(self.prefill.replicas)
        return decoded

    def _with_transfers(
        self,
        pools: Sequence[Interval],
        finished: Records,
        received: int,
        refused: int,
        joules: NDArray[np.float64],
    ) -> Interval:
        """One interval of the two pools, of the energy between them, J, in its bins, and of host memory's."""
        both = self.together(pools, refused)
        joules = joules + both.transfer_j / len(joules)
        both.by_replica[:, COMPLETED] = np.bincount(finished["replica"], minlength=len(both.by_replica))
        watts = joules * (len(joules) / (both.ends_at - both.begins_at))
        return replace(
            both,
            received=received,
            completed=len(finished),
            running=both.running + self.transfers.under_way,
            finished=finished,
            transfer_j=float(joules.sum()),
            pool_w=np.column_stack((*(pool.series[:, :3].sum(axis=1) for pool in pools), watts)),
            roles=np.repeat(
                np.array([PREFILL, DECODE], np.int8), [len(one.replicas) for one in self.clusters]
            ),
        )
