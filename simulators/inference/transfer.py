"""KV caches on their way from the replicas that prefill to those that decode: SimPy processes over shared links.

Each replica that prefills sends one cache after the other, in the order in which prompts are done; as many arrive at
once as there are replicas that decode. A cache takes its bytes over the link's bandwidth, and the link's latency.
Where a framework sends layer by layer, a share of it runs while the prompt is still computed; the link is taken then
too.

A replica that fails takes the caches that it had not sent. One that decodes and fails was sent a cache for nothing: its
sender begins it again, as soon as another can take it. What either transfer took until then was spent all the same.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
import simpy
from numpy.typing import NDArray

from simulators.inference.batching.state import REQUEST, Records
from simulators.inference.interval import joined
from simulators.inference.link import Link, put_into_bins


class _Cache(NamedTuple):
    """A KV cache that is to be sent: its number, when its prompt was done and from when on it could be sent, s; time on
    the link, s; and joules."""

    number: int
    done_at: float
    could_from: float
    lasts_s: float
    joules: float


class _Sent(NamedTuple):
    """One on the link to a receiver until `ends_at`; the link is seen to work on it from `metered_from` on, s."""

    cache: _Cache
    metered_from: float
    ends_at: float
    receiver: int


class Transfers:
    """Moves KV caches from one pool of replicas to another.

    Parameters
    ----------
    links
        Of each replica that prefills.
    receivers
        Replicas that decode: so many caches arrive at once.

    Attributes
    ----------
    moved_bytes, count
        Of what has arrived since the start.
    moved_j
        Of that and of what was cut off since the start, J; what is under way counts as far as it is (`spent_j`).
    cut_off
        Transfers that a failure ended.
    busy_s, waited_s
        Time on links, and between the end of prompts and the arrival of their caches, since the start, s.
    """

    REBUILT: ClassVar[tuple[str, ...]] = ("_env", "_turns")

    def __init__(self, links: Sequence[Link], receivers: int) -> None:
        self.links = list(links)
        self.count = self.cut_off = 0
        self.moved_bytes = self.moved_j = self.busy_s = self.waited_s = 0.0
        self._table = np.array(self.links)
        self._rows: Records = np.zeros(0, REQUEST)  # on their way, in order of their numbers
        self._numbers = np.zeros(0, np.int64)
        self._queues: list[deque[_Cache]] = [deque() for _ in links]
        self._sending: list[_Sent | None] = [None] * len(self.links)
        self._asking: deque[int] = deque()  # senders that wait for a receiver, in order
        self._free_at = [0.0] * len(self.links)
        self._idle = deque((0.0, number) for number in range(receivers))  # that are free, and since when
        self._out: set[int] = set()  # receivers that take no more
        self._coming: list[tuple[float, int]] = []  # receivers that are out until then
        self._ended: list[_Sent] = []
        self._next = 0
        self._now = 0.0
        self._env = simpy.Environment()
        self._turns: dict[int, simpy.Event] = {}

    @property
    def under_way(self) -> int:
        """KV caches that have not arrived, those that wait for the link included."""
        return len(self._rows)

    @property
    def requests_j(self) -> float:
        """Energy spent on the requests they belong to, J."""
        return float(self._rows["prefill_j"].sum() + self._rows["decode_j"].sum())

    def requests(self) -> Records:
        """The requests they belong to, with how long they have waited for a link."""
        rows = self._rows.copy()
        for queue in self._queues:
            for cache in queue:
                at = np.searchsorted(self._numbers, cache.number)
                rows["link_wait_s"][at] = self._now - cache.done_at
        for sent in self._sending:
            if sent is not None:
                at = np.searchsorted(self._numbers, sent.cache.number)
                rows["link_wait_s"][at] = sent.metered_from - sent.cache.done_at
        return rows

    @property
    def spent_j(self) -> float:
        """Energy since the start, J: of what has arrived, and of what is on a link as far as it is."""
        return self.moved_j + sum(self._spent_j(sent) for sent in self._sending if sent is not None)

    def _spent_j(self, sent: _Sent) -> float:
        lasted_s = max(sent.ends_at - sent.metered_from, 1e-300)
        return sent.cache.joules * (self._now - sent.metered_from) / lasted_s

    def advance(
        self, until: float, done: Records, bins: NDArray[np.float64], begins_at: float, width_s: float
    ) -> Records:
        """Carry on to a time, s.

        Parameters
        ----------
        until
            s, within the bins.
        done
            Requests whose prompts were done since the last call, in that order; `replica` says who sends.
        bins
            Get the energy of what runs in them, J; shape (bins,).
        begins_at, width_s
            Start of the first bin and width of each, s.

        Returns
        -------
        Records
            The requests whose caches arrived before `until`, in that order, as the replicas that decode take them: with
            the arrival in `released_at`, and in `handed_at` what stood there.
        """
        since = self._now
        self._take(done)
        if until > self._env.now:
            self._env.run(until=until)
        self._now = until
        ended = sorted(self._ended, key=lambda sent: (sent.ends_at, sent.cache.number))
        self._ended = []
        running = [*ended, *(sent for sent in self._sending if sent is not None)]
        if running:
            rows = np.array([(sent.metered_from, sent.ends_at, sent.cache.joules) for sent in running])
            put_into_bins(rows, (since, until), bins, begins_at, width_s)
        return self._arrived(ended, since, until)

    def lose(self, sender: int) -> Records:
        """A replica that prefills fails now: the requests whose caches it has not sent, in order."""
        numbers = [cache.number for cache in self._queues[sender]]
        sent = self._sending[sender]
        if sent is not None:
            numbers.insert(0, sent.cache.number)
            self._cut(sender, sent)
            if sent.receiver not in self._out:
                self._idle.append((self._now, sent.receiver))
        self._queues[sender].clear()
        if sender in self._asking:
            self._asking.remove(sender)
        rows = self._taken_out(np.searchsorted(self._numbers, numbers))
        self.rebuild({})
        return rows

    def shut(self, receiver: int, failed: bool) -> None:
        """A replica that decodes takes no more from now on; if it has `failed`, not even what it is being sent."""
        self._out.add(receiver)
        self._coming = [one for one in self._coming if one[1] != receiver]
        self._idle = deque(one for one in self._idle if one[1] != receiver)
        for sender, sent in enumerate(self._sending):
            if failed and sent is not None and sent.receiver == receiver:
                self._cut(sender, sent)
                self._queues[sender].appendleft(sent.cache._replace(could_from=self._now))
        self.rebuild({})

    def open(self, receiver: int, at: float) -> None:
        """A replica that decodes takes caches again from a time on, s."""
        if receiver in self._out and all(number != receiver for _, number in self._coming):
            self._coming.append((max(at, self._now), receiver))
            self.rebuild({})

    def _cut(self, sender: int, sent: _Sent) -> None:
        """End a transfer where it is: it was for nothing."""
        self.cut_off += 1
        self.moved_j += self._spent_j(sent)
        self.busy_s += self._now - sent.metered_from
        self._sending[sender] = None
        self._free_at[sender] = self._now

    def _free(self, receiver: int, at: float) -> None:
        """A receiver can take the next cache; the clock is at a time, s."""
        if receiver in self._out:
            return
        if self._asking:
            self._turns.pop(self._asking.popleft()).succeed((at, receiver))
        else:
            self._idle.append((at, receiver))

    def _come_back(self, at: float, receiver: int) -> Generator[simpy.Event, Any, None]:
        """A receiver that is out until a time, s."""
        yield self._env.timeout(max(0.0, at - self._env.now))
        self._coming.remove((at, receiver))
        self._out.discard(receiver)
        if all(
            sent is None or sent.receiver != receiver for sent in self._sending
        ):  # else free when that ends
            self._free(receiver, at)

    def _take(self, done: Records) -> None:
        """Queue caches at the links of their replicas."""
        if not len(done):
            return
        numbers = self._next + np.arange(len(done))
        self._next += len(done)
        self._rows = joined([self._rows, done])
        self._rows["completed_at"] = np.nan
        self._numbers = np.concatenate((self._numbers, numbers))
        link = self._table[done["replica"]].T
        tokens, done_at = done["prefill_tokens"], done["completed_at"]
        bytes_s = link[0] * tokens + link[1]
        joules = link[6] * (link[2] * tokens + link[3])
        # no longer than the prompt was computed
        hidden_s = np.minimum(link[5] * bytes_s, done_at - done["scheduled_at"])
        columns = (numbers, done_at, done_at - hidden_s, bytes_s + link[4], joules)
        for sender, *values in zip(done["replica"].tolist(), *(c.tolist() for c in columns), strict=True):
            queue = self._queues[sender]
            queue.append(_Cache(*values))
            if len(queue) == 1 and self._sending[sender] is None:
                self._env.process(self._send(sender))

    def _send(self, sender: int) -> Generator[simpy.Event, Any, None]:
        """One replica's link, until it has nothing to send."""
        env, queue = self._env, self._queues[sender]
        while queue or self._sending[sender] is not None:
            sent = self._sending[sender]
            if sent is None:
                cache = queue[0]
                if env.now < cache.done_at:
                    yield env.timeout(cache.done_at - env.now)
                if self._idle:
                    free_since, receiver = self._idle.popleft()
                else:
                    self._asking.append(sender)
                    turn = self._turns[sender] = env.event()
                    free_since, receiver = yield turn
                # times are those of the events themselves: the clock's are rounded
                free_since = max(self._free_at[sender], free_since)
                granted_at = max(cache.done_at, free_since)
                ends_at = max(granted_at, max(cache.could_from, free_since) + cache.lasts_s)
                sent = self._sending[sender] = _Sent(cache, granted_at, ends_at, receiver)
                queue.popleft()
            if env.now < sent.ends_at:
                yield env.timeout(sent.ends_at - env.now)
            self._sending[sender] = None
            self._free_at[sender] = sent.ends_at
            self._ended.append(sent)
            self._free(sent.receiver, sent.ends_at)

    def _taken_out(self, at: NDArray[np.int64]) -> Records:
        """The requests of some caches, no longer among those on their way."""
        rows: Records = self._rows[at]
        gone = np.zeros(len(self._rows), bool)
        gone[at] = True
        self._rows, self._numbers = self._rows[~gone], self._numbers[~gone]
        return rows

    def _arrived(self, ended: Sequence[_Sent], since: float, until: float) -> Records:
        """The requests whose caches have arrived, taken out of those on their way."""
        if not ended:
            return np.zeros(0, REQUEST)
        rows = self._taken_out(np.searchsorted(self._numbers, [sent.cache.number for sent in ended]))
        arrived_at = np.array([sent.ends_at for sent in ended])
        # rounding may pass the edges
        arrived_at = np.clip(arrived_at, since, np.nextafter(until, -np.inf))
        self.count += len(ended)
        links = self._table[rows["replica"]].T
        self.moved_bytes += float((links[2] * rows["prefill_tokens"] + links[3]).sum())
        self.moved_j += sum(sent.cache.joules for sent in ended)
        self.busy_s += sum(sent.cache.lasts_s for sent in ended)
        self.waited_s += sum(sent.ends_at - sent.cache.done_at for sent in ended)
        rows["link_wait_s"] = [sent.metered_from - sent.cache.done_at for sent in ended]
        rows["handed_at"] = rows["released_at"]
        rows["released_at"] = arrived_at
        for name in ("blocks", "table_at", "table_rows", "hashed_tokens", "hit_tokens", "serial"):
            rows[name] = 0
        return rows

    def rebuild(self, before: Mapping[str, Any]) -> None:
        """The event loop at the end of an interval: who sends goes on, who waits asks again in the same order."""
        self._env, self._turns = simpy.Environment(self._now), {}
        asking = list(self._asking)
        self._asking.clear()
        going_on = [sender for sender, sent in enumerate(self._sending) if sent is not None]
        yet_to_ask = [sender for sender, queue in enumerate(self._queues) if queue]
        for sender in dict.fromkeys((*going_on, *asking, *yet_to_ask)):
            self._env.process(self._send(sender))
        for at, receiver in self._coming:
            self._env.process(self._come_back(at, receiver))
