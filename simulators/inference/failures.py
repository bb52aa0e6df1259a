"""Replicas that fail, or are taken out for maintenance, and come back.

**A failure** takes what the replica's GPUs hold: batches in flight, KV cache, prefix cache. The requests it had are
sent again at that moment, through the router, with their number and their time of arrival, and begin anew: answers that
were cut off too, from their prompt (the sender, or the router in its place, asks again). `restarts` counts it where a
batch had been formed with a request. The energy that had gone into them is `lost_work_j`, a line of its own: it is in
the meter's busy energy, of the time it was drawn in, and on no request. So requests finished and unfinished + lost work
+ idle are the meter. Output tokens they had are `lost_tokens`.

Where prefill and decode are apart, requests go on from the tokens they have (`pools.py`, `resumed.py`).

**Out**, its GPUs draw what they draw without a process (state ``off``); where a whole server failed, nothing. Back, a
replica loads its model (after a server's start, where that failed) as one does that was parked.

**Maintenance** is planned: from its start on the replica gets no more requests, finishes what it has, and is off until
the end.

**Who stands in.** So many replicas serve as a controller told (all, if none did): one that sleeps on its order is woken
for one that is out. Requests wait at the cluster's door while no replica is there at all.

Where anything can fail, requests are sent one by one under every router: results do not hang on how time is cut.
Failures do not ask whether a replica serves, loads or is parked; the clusters that stand for one (`copies`) fail
together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from simulators.errors import InputError
from simulators.inference.batching.state import REQUEST, Records
from simulators.inference.emptied import Left, begun_anew, produced
from simulators.inference.interval import joined
from simulators.inference.outages import DRAIN, FAIL, Happening, Timetable
from simulators.inference.parking import Parking
from simulators.inference.replica import Replica
from simulators.inference.routing import Router

MOST_RESTARTS = 1000
"""A request that began anew so often is longer than replicas last: it would never be done."""

Hashes = list[NDArray[np.int64]]
"""Of requests, for a prefix cache, one array each."""


@dataclass
class Tally:
    """What failures did so far, of one copy.

    Attributes
    ----------
    failures, drained
        Replicas that failed, and those that were taken out for maintenance.
    interrupted
        Requests that began anew, each as often as it did.
    lost_j, lost_tokens
        Energy that had gone into them, J, and output tokens that they had.
    out_s
        Time that replicas were out, s, summed over them, up to `until`.
    """

    failures: int = 0
    drained: int = 0
    interrupted: int = 0
    lost_j: float = 0.0
    lost_tokens: int = 0
    out_s: float = 0.0

    @classmethod
    def of(cls, parts: Sequence[Tally]) -> Tally:
        """All of them together."""
        return cls(**{one.name: sum(getattr(part, one.name) for part in parts) for one in fields(cls)})


class Failures:
    """What fails in one cluster and when, what it takes with it, and who waits at the door meanwhile.

    Parameters
    ----------
    timetable
        When replicas are out.
    replicas, parking
        Of the cluster.
    router
        Where those go that are sent again: one like the cluster's, which then spreads all others the same however time
        is cut; in place of one that goes by conversations, to whoever has the fewest. One that goes by what it sent
        sends those by the same rule, and forgets what a replica has lost.
    with_host
        Whether servers fail, not single replicas: they are off meanwhile.

    Attributes
    ----------
    tally
        What failures did since the start.
    door
        Requests that wait because no replica is there.
    sends_back
        Whether requests that are lost are to be begun again somewhere else: `take_left` has them.
    """

    def __init__(
        self,
        timetable: Timetable,
        replicas: Sequence[Replica],
        parking: Parking,
        router: Router,
        with_host: bool = False,
    ) -> None:
        self._timetable = timetable
        self._replicas = replicas
        self._parking = parking
        self.router = router
        self._with_host = with_host
        self._causes = [0] * len(replicas)  # outages that each is in
        self._resting: set[int] = set()  # replicas that were parked when they went out
        self._released: dict[tuple[int, int, float], list[float]] = {}  # first release of those sent again, s
        self._lost = np.zeros((len(replicas), 2))
        self._counted_to = 0.0
        self.tally = Tally()
        self._in_interval: list[
            tuple[float, Tally, int]
        ] = []  # when, the tally then, replicas out from then on
        self.door: Records = np.zeros(0, REQUEST)
        self._door_hashes: Hashes = []
        self.sends_back = False
        self._left: list[tuple[int, Left]] = []

    def before(self, until: float) -> list[Happening]:
        """What happens before a time, s, in the interval that begins; asked for once."""
        self._in_interval.clear()
        self._note(self._counted_to)
        return self._timetable.before(until)

    def happen(
        self,
        one: Happening,
        crash: Callable[[int], Left],
        wake: Callable[[int], None],
    ) -> tuple[Records, Hashes]:
        """Let something happen to replicas that are all advanced to its time.

        Parameters
        ----------
        one
            What.
        crash
            Makes a replica lose all it has, and returns that.
        wake
            Wakes a replica.

        Returns
        -------
        tuple
            The requests that are to be sent, and their hashes.
        """
        self._count(one.at)
        left: list[Records] = []
        hashes: Hashes = []
        for number in one.replicas:
            if one.what in (DRAIN, FAIL):
                self._causes[number] += 1
            if one.what == FAIL:
                left_there = self._fail(number, crash)
                if self.sends_back:
                    self._left.append((number, left_there))
                    continue
                lost = left_there.requests
                self.undone(
                    number,
                    lost,
                    float((lost["prefill_j"] + lost["decode_j"]).sum()),
                    int(produced(lost).sum()),
                )
                left.append(begun_anew(lost))
                hashes += left_there.hashes
            elif one.what == DRAIN:
                self._drain(number, one.at)
            else:
                self._causes[number] -= 1
        back = [n for n in sorted(self._parking.down) if not self._causes[n]]
        for number in back:
            self._parking.down.discard(number)
            if number not in self._resting | self._parking.asleep:
                wake(number)
            self._resting.discard(number)
        for number in self._stand_in():
            wake(number)
        self._note(one.at)
        return self.to_send(one.at, joined(left), hashes)

    def take_left(self) -> list[tuple[int, Left]]:
        """Where something was lost since the last call, and what, with its first releases (`sends_back`)."""
        left, self._left = self._left, []
        return left

    def undone(self, number: int, lost: Records, joules: float, tokens: int) -> None:
        """Count what a failure of a replica undid: requests that begin anew, their energy, J, and output tokens."""
        self._lost[number] += joules, tokens
        tally = self.tally
        tally.interrupted += int(np.count_nonzero(~np.isnan(lost["scheduled_at"])))
        tally.lost_j += joules
        tally.lost_tokens += tokens
        self._note(self._counted_to)
        if len(lost) and (most := lost["restarts"].max()) >= MOST_RESTARTS:
            raise InputError(
                f"--failing, --failures: request {lost['request_id'][lost['restarts'].argmax()]} has begun anew "
                f"{most + 1} times by {self._counted_to:g} s, expected failures that leave it time to be served"
            )

    def _fail(self, number: int, crash: Callable[[int], Left]) -> Left:
        self._out(number)
        left = crash(number)
        if self._with_host:
            self._parking.hosts.want(number, True, self._counted_to)
        self.as_released(left.requests)
        self.tally.failures += 1
        return left

    def _drain(self, number: int, at: float) -> None:
        if number not in self._parking.down:
            self._out(number)
            self.tally.drained += 1
            self._parking.order(number, at, self._replicas[number].states["off"])

    def _out(self, number: int) -> None:
        if number not in self._parking.down and number in self._parking.away:
            self._resting.add(number)
        self._parking.down.add(number)

    def _stand_in(self) -> list[int]:
        """Replicas to be woken, because others that were to serve are out and these only sleep on order."""
        parking, chosen = self._parking, []
        spare = sorted(parking.asleep - parking.down)
        missing = sorted(parking.down - parking.asleep)
        for number, instead_of in zip(spare, missing, strict=False):
            parking.asleep.discard(number)
            parking.asleep.add(instead_of)
            chosen.append(number)
        return chosen

    def to_send(self, at: float, lost: Records, hashes: Hashes) -> tuple[Records, Hashes]:
        """Those at the door and those that were lost, in order of release, as if released at a time."""
        requests, together = joined([self.door, lost]), [*self._door_hashes, *hashes]
        self.door, self._door_hashes = np.zeros(0, REQUEST), []
        order = np.lexsort((requests["request_id"], requests["released_at"]))
        requests = requests[order]
        released_at = requests["released_at"].tolist()
        requests["released_at"] = at
        for key, first_at in zip(_keys(requests), released_at, strict=True):
            self._released.setdefault(key, []).append(first_at)
        return requests, [together[k] for k in order.tolist()]

    def hold(self, requests: Records, hashes: Hashes) -> None:
        """Have requests wait at the door."""
        self.as_released(requests)
        self.door = joined([self.door, requests])
        self._door_hashes += hashes

    def as_released(self, requests: Records, forget: bool = True) -> None:
        """Say of requests that were sent again when they were first released, in place.

        A replica knows when they came to it; what their senders waited for counts from before.
        """
        if not self._released or not len(requests):
            return
        again = np.unique([at for _, _, at in self._released])
        rows = np.flatnonzero(np.isin(requests["released_at"], again))
        for row, key in zip(rows.tolist(), _keys(requests[rows]), strict=True):
            if key not in self._released:
                continue
            requests["released_at"][row] = self._released[key][0]
            if forget:
                self._released[key].pop(0)
                if not self._released[key]:
                    del self._released[key]

    def lost(self, until: float) -> NDArray[np.float64]:
        """What failures undid of each replica's work since the last call: J, output tokens; shape (replicas, 2)."""
        self._count(until)
        lost, self._lost = self._lost, np.zeros_like(self._lost)
        return lost

    def tally_at(self, at: float) -> Tally:
        """What failures did up to a time of the last interval, s."""
        if not self._in_interval:
            return self.tally
        first = self._in_interval[0]
        moment, tally, out = next((one for one in reversed(self._in_interval) if one[0] <= at), first)
        return replace(tally, out_s=tally.out_s + out * (at - moment))

    def _note(self, at: float) -> None:
        self._in_interval.append((at, replace(self.tally), len(self._parking.down)))

    def _count(self, until: float) -> None:
        """Count the time that replicas are out, up to a time, s."""
        self.tally.out_s += len(self._parking.down) * (until - self._counted_to)
        self._counted_to = until


def _keys(requests: Records) -> list[tuple[int, int, float]]:
    columns = (requests[name].tolist() for name in ("request_id", "tenant", "released_at"))
    return list(zip(*columns, strict=True))
