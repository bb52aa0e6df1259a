"""Replicas behind a router, driven by a SimPy event loop and advanced interval by interval with the requests they get.

What happens inside a replica between two outside events is compiled (`batching/loop.py`). SimPy sequences those events:
arrivals where the router must see the replicas at that moment, changes of the controls, replicas that have loaded their
model. One environment lives as long as the cluster; the compiled loop carries a replica from one of its events to the
next.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import simpy
from numpy.typing import NDArray

from simulators.errors import InputError
from simulators.inference.actuators import actuate, check_command, in_numbers
from simulators.inference.batching.known import unlearn
from simulators.inference.batching.state import REQUEST, Records
from simulators.inference.emptied import NO_HASHES, Left, hashes_from, one_after_the_other
from simulators.inference.failures import Failures, Hashes, Tally
from simulators.inference.hosts import GPUS_PER_HOST
from simulators.inference.interval import Interval, taken
from simulators.inference.one_by_one import AHEAD, WAKE, OneByOne, Sent
from simulators.inference.outages import Happening
from simulators.inference.parking import Parking
from simulators.inference.power.cap import check_cap
from simulators.inference.power.states import State
from simulators.inference.replica import Replica
from simulators.inference.report import Report
from simulators.inference.request_records import hashes_of, records_of
from simulators.inference.routing import CacheAware, Router, SessionSticky, among_ready
from simulators.quantities.commands import Awake, Command
from simulators.quantities.requests import RequestBlock
from simulators.threads import in_threads

Process = Generator[simpy.Event, None, None]

WORTH_THREADS = 24
"""Requests in an interval from which on threads pay: handing over takes some 20 us, a request some 2.5."""


WORTH_LETTING_IN = 256
"""Requests of each replica from which on threads also queue them and copy the finished: it saves 0.1 us each, but
Python's lock goes to and fro."""

NOBODY: Records = np.zeros(0, REQUEST)


class Cluster:
    """Replicas that serve one stream of requests.

    Parameters
    ----------
    replicas
        They may differ in model, GPU and limits.
    router
        Where each request goes.
    bins_per_interval
        Resolution of the power series handed out with every interval.
    copies
        How many such clusters stand for one: what an interval reports is that of all of them.
    gpus_per_host
        GPUs in one server; replicas fill them one after the other.

    Attributes
    ----------
    received
        Requests of one copy since the start.
    failures
        What fails, and what of it; None: nothing can.
    hosts_off
        Servers of one copy that were off in the last interval, on average.

    Examples
    --------
    >>> from simulators.inference.serving import Serving, build_cluster
    >>> cluster, facts = build_cluster(Serving(gpu="a100", iteration_time="roofline"))
    >>> two = RequestBlock.of(np.array([0.0, 1.0]), np.array([512, 512]), np.array([64, 64]))
    >>> interval = cluster.advance(60.0, two)
    >>> interval.completed, interval.decode_tokens, cluster.outstanding
    (2, 128, 0)
    """

    REBUILT: ClassVar[tuple[str, ...]] = ("_env", "_one_by_one")

    def __init__(
        self,
        replicas: Sequence[Replica],
        router: Router,
        bins_per_interval: int = 1,
        copies: float = 1.0,
        gpus_per_host: int = GPUS_PER_HOST,
    ) -> None:
        if not copies > 0:
            raise InputError(f"cluster: {copies} copies, expected a number above 0")
        self.replicas = list(replicas)
        self.router = router
        self.bins_per_interval = bins_per_interval
        self.copies = copies
        self.parking = Parking(self.replicas, gpus_per_host)
        self.received = self._refused = 0
        self._refused_by = np.zeros(len(self.replicas), np.int64)
        self.hosts_off = 0.0
        self._report = Report(self.replicas, self.parking, bins_per_interval)
        self._env = simpy.Environment()
        self._one_by_one = self._made_one_by_one()
        self._bins = np.zeros((len(self.replicas), bins_per_interval, 5))
        self._interval = (0.0, 0.0)
        self._hashes = NO_HASHES
        self._orders: list[tuple[float, Command]] = []
        self._loading: set[int] = set()
        self._loads: list[tuple[int, float]] = []
        self._told = False
        self._to_admit: dict[int, tuple[Records, NDArray[np.int64]]] = {}
        self.failures: Failures | None = None

    def fail_by(self, failures: Failures | None) -> None:
        """Have replicas fail, or be maintained."""
        self.failures = failures

    @property
    def gpu_count(self) -> int:
        """GPUs of all replicas of one copy."""
        return sum(r.gpu_count for r in self.replicas)

    @property
    def completed(self) -> int:
        """Requests of one copy completed in the intervals so far."""
        return self._report.completed

    @property
    def rejected(self) -> int:
        """Requests of one copy that could never run."""
        return self._refused + int(self._refused_by.sum())

    @property
    def outstanding(self) -> int:
        """Requests received and neither completed nor rejected."""
        return sum(r.outstanding for r in self.replicas) + len(self._door)

    @property
    def now(self) -> float:
        """End of the last interval, s."""
        return self._interval[1]

    @property
    def awake(self) -> int:
        """Replicas that serve: neither parked, nor to be parked once drained, nor still loading."""
        return len(self.replicas) - len(self._loading | self.parking.away)

    @property
    def waking(self) -> int:
        """Replicas that load their model, or wait for their server to start."""
        return len(self._loading - self.parking.away)

    @property
    def draining(self) -> int:
        """Replicas that finish what they have, to be parked then."""
        return len(self.parking.draining)

    @property
    def slots(self) -> int:
        """Requests that may run at once on the replicas that serve."""
        away = self._loading | self.parking.away
        return sum(r.limits.max_requests for n, r in enumerate(self.replicas) if n not in away)

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

    def command(self, command: Command, at: float | None = None) -> str | None:
        """Carry out what a controller asks for.

        Parameters
        ----------
        command
            A batch cap, the number of awake replicas, a power cap or a clock limit.
        at
            When, s, not before the present; None: now.

        Returns
        -------
        str or None
            Why not; None if it is carried out (or will be).
        """
        try:
            command = in_numbers(command)
        except InputError as error:
            return str(error)
        reason = check_command(self, command)
        if reason is None and at is not None and at > self.now:
            self._orders.append((at, command))
        elif reason is None:
            self._carry_out(command, self.now)
        return reason

    def park(self, number: int, state: State) -> None:
        """Send a replica no more requests and, once it has finished those it has, put it into `state`."""
        self.parking.order(number, self.now, state)

    def wake(self, number: int, at: float | None = None) -> None:
        """Have a parked replica serve again, as soon as it is loaded."""
        ready_at = self.parking.wake(number, self.now if at is None else at)
        if ready_at > self._env.now:
            self._loading.add(number)
            self._loads.append((number, ready_at))
            self._env.process(self._load(number, ready_at))

    def standby_j(self, at: float, until: float) -> NDArray[np.float64]:
        """Energy of each replica between two times of the present interval in which it served nothing, J.

        Columns: all of it, and what of it fell on transitions; of all copies; shape (replicas, 2).
        """
        edges = np.array([at, until])
        joules = [r.gpu_count * r.standby.energy_j(edges)[0] for r in self.replicas]
        return self.copies * np.array(joules)

    def unfinished(self) -> Records:
        """Requests of one copy that are not finished, with the energy spent on each so far."""
        found = np.concatenate([*(r.unfinished(self.now) for r in self.replicas), self._door])
        if self.failures is not None:
            self.failures.as_released(found, forget=False)
        return found

    def waiting_records(self) -> Records:
        """Requests of one copy that have arrived and hold no KV blocks."""
        return np.concatenate([*(r.waiting_records() for r in self.replicas), self._door])

    def tally_at(self, at: float) -> Tally | None:
        """What failures did up to a time of the last interval, s; None where nothing can fail."""
        return None if self.failures is None else self.failures.tally_at(at)

    @property
    def _door(self) -> Records:
        """Requests that wait because no replica is there."""
        return NOBODY if self.failures is None else self.failures.door

    def requests_j(self) -> float:
        """Energy on the requests that are not finished, batches in flight included, of one copy, J."""
        joules = sum(r.requests_j(self.now) for r in self.replicas)
        if len(door := self._door):  # with what they took in another pool
            joules += float((door["prefill_j"] + door["decode_j"]).sum())
        return joules

    def advance(self, until: float, requests: RequestBlock | Records) -> Interval:
        """Simulate the interval from the present to `until`, s.

        Parameters
        ----------
        until
            Its end.
        requests
            Those released in it, in order of `released_at`; `REQUEST` records where they have been served before.
        """
        for one in self.begin(until):
            self._env.process(self._in_time(one))
        self.carry(until, requests)
        return self.end()

    def begin(self, until: float) -> list[Happening]:
        """Begin the interval from the present to `until`, s; what happens to replicas in it is for the caller to do."""
        begins_at = self._interval[1]
        self._interval = (begins_at, until)
        self._bins = np.zeros((len(self.replicas), self.bins_per_interval, 5))
        for replica in self.replicas:
            replica.standby.forget(begins_at)
        due = [order for order in self._orders if order[0] < until]
        self._orders = [order for order in self._orders if order[0] >= until]
        for at, command in due:
            self._env.process(self._change(at, command))
        self._told = any(isinstance(command, Awake) for _, command in due)
        return [] if self.failures is None else self.failures.before(until)

    def carry(self, to: float, requests: RequestBlock | Records) -> None:
        """Simulate on to a time of the interval that has begun, s, with the requests released before."""
        one_by_one = self.router.looks or self.parking.looks or self._told or self.failures is not None
        block = requests if isinstance(requests, RequestBlock) else None
        if isinstance(self.router, SessionSticky) and block is not None:
            self.router.see(block)
            # of those that sleep only their own conversations move
            one_by_one = one_by_one or bool(self.parking.away or self._loading)
        records = records_of(requests) if isinstance(requests, RequestBlock) else requests
        by_prefix = isinstance(self.router, CacheAware)
        cached = [r.limits.hash_tokens for r in self.replicas if r.capacity.cache or by_prefix]
        if cached and block is not None:
            self._hashes = hashes_of(block, records, cached[0])
        self.received += len(records)
        self._env.run(until=self._env.process(self._serve(records, one_by_one)))
        if self._env.now < to:
            self._env.run(until=to)
        everybody = range(len(self.replicas))
        if to < self.now:
            for number in everybody:
                self._bring(number, to)
        elif len(records) < WORTH_THREADS:
            for number in everybody:
                self._carry_to_the_end(number)
        else:
            many = len(records) >= WORTH_LETTING_IN * len(self.replicas)
            in_threads(self._carry_alone if many else self._carry_to_the_end, everybody)

    def take_finished(self) -> Records:
        """The requests that finished since the last call, or interval, in order; `end` then leaves them out."""
        return self._report.finished(self.failures)

    def end(self) -> Interval:
        """What happened in the interval, when all is carried to its end."""
        begins_at, until = self._interval
        for number in range(len(self.replicas)):
            self.parking.settle(number, until)
        self.hosts_off = self.parking.hosts.off_s(begins_at, until) / (until - begins_at)
        interval = self._report.interval(
            begins_at, until, self._bins, (self.received, self.rejected), self.failures
        )
        return interval if self.copies == 1 else interval.times(self.copies)

    @property
    def _width_s(self) -> float:
        return (self._interval[1] - self._interval[0]) / self.bins_per_interval

    def _bring(self, number: int, at: float) -> None:
        """Carry a replica to a time of the present interval."""
        self._let_in(number)
        self.replicas[number].advance(at, self._bins[number], self._interval[0], self._width_s)
        self.parking.settle(number, at)

    def _carry_to_the_end(self, number: int) -> None:
        """Carry a replica to the end of the present interval: it is alone with its state and its bins."""
        (begins_at, until), bins = self._interval, self._bins[number]
        self._let_in(number)
        self.replicas[number].advance(until, bins, begins_at, self._width_s)
        self.replicas[number].meter_in_flight(bins, begins_at, self._width_s)

    def _carry_alone(self, number: int) -> None:
        """The same in a thread, which then also copies what has finished."""
        self._carry_to_the_end(number)
        self.replicas[number].collect()

    def _let_in(self, number: int) -> None:
        """Queue the requests of the interval that are a replica's, if they are not: whoever carries it does so."""
        if (records_and_numbers := self._to_admit.pop(number, None)) is None:
            return
        records, numbers = records_and_numbers
        own = taken(records, np.flatnonzero(numbers == number)) if len(self.replicas) > 1 else records
        self._admit(number, own, 0, len(own))

    def _serve(self, records: Records, one_by_one: bool) -> Process:
        """Route one interval's requests: at once, or each at its own time if the replicas must be looked at."""
        if one_by_one:
            yield from self._send(records)
            return
        numbers, everybody = self._assigned(records["released_at"]), range(len(self.replicas))
        self._to_admit = {number: (records, numbers) for number in everybody}
        if len(records) < WORTH_LETTING_IN * len(self.replicas):
            for number in everybody:
                self._let_in(number)
        yield self._env.timeout(0)

    def _send(self, records: Records) -> Process:
        """Send requests one by one; other events of the interval come in between at their time."""
        candidates, i = self.router.candidates(len(records)), 0
        while i < len(records):
            i, why, number = self._as_far(records, self._hashes, i, self._env.peek(), candidates)
            if i == len(records):
                return
            at = float(records["released_at"][i])
            yield self._env.timeout(max(0.0, at - self._env.now))
            if why != AHEAD:
                i += self._seen_to(records, self._hashes, i, number, why)

    def _send_at_once(self, records: Records, hashes: NDArray[np.int64]) -> None:
        """Send requests that are all released now."""
        assert self.failures is not None
        candidates, i = self.failures.router.candidates(len(records)), 0
        while i < len(records):
            i, why, number = self._as_far(records, hashes, i, np.inf, candidates)
            if i < len(records):
                i += self._seen_to(records, hashes, i, number, why)

    def _as_far(
        self,
        records: Records,
        hashes: NDArray[np.int64],
        first: int,
        before: float,
        candidates: NDArray[np.int64],
    ) -> Sent:
        """Send requests from `first` on as far as nothing else is to be done."""
        meters = self._bins, self._interval[0], self._width_s
        args = (records, hashes, first, before, candidates, self._loading, *meters)
        sent, refused = self._one_by_one.send(*args)
        self._refused += refused
        return sent

    def _seen_to(self, records: Records, hashes: NDArray[np.int64], i: int, number: int, why: int) -> int:
        """Park a replica, or wake it for request `i`, which waits at the door if there is none; returns how many were
        sent."""
        at = float(records["released_at"][i])
        for each in range(len(self.replicas)):
            self._bring(each, at)
        if why != WAKE:
            return 0
        if number in self.parking.down and self.failures is not None:
            one = records[i : i + 1]
            self.failures.hold(one, self._hashes_in(hashes, one))
        else:
            self.wake(number, at)
            self._admit(number, records, i, i + 1, hashes)
        return 1

    def _hashes_in(self, hashes: NDArray[np.int64], requests: Records) -> Hashes:
        cached = [r.limits.hash_tokens for r in self.replicas if r.capacity.cache]
        return hashes_from(hashes, requests, cached[0]) if cached else [NO_HASHES[:0]] * len(requests)

    def _in_time(self, one: Happening) -> Process:
        yield self._env.timeout(max(0.0, one.at - self._env.now))
        for number in range(len(self.replicas)):
            self._bring(number, one.at)
        self.happen(one)

    def happen(self, one: Happening) -> None:
        """Replicas, all at that time, fail, are to be drained, or are back; who was with them is sent again."""
        assert self.failures is not None
        again, hashes = self.failures.happen(one, self._crash, lambda number: self._back(number, one.at))
        self._send_at_once(again, one_after_the_other(again, hashes))

    def send_again(self, at: float, requests: Records, hashes: Hashes) -> None:
        """Send requests that were lost elsewhere: with their first releases, at the present time, s."""
        assert self.failures is not None
        again, hashes = self.failures.to_send(at, requests, hashes)
        self._send_at_once(again, one_after_the_other(again, hashes))

    def _back(self, number: int, at: float) -> None:
        self._forget(number)
        self.wake(number, at)

    def _forget(self, number: int) -> None:
        """A router that goes by what it sent forgets what a replica has lost."""
        if isinstance(self.router, CacheAware):
            unlearn(self.router.known, number)

    def _crash(self, number: int) -> Left:
        """A replica loses all it has."""
        left = self.replicas[number].cut_off(
            self._env.now, self._bins[number], self._interval[0], self._width_s
        )
        self._forget(number)
        self.parking.crash(number, self._env.now)
        self._loading.discard(number)
        self._loads = [load for load in self._loads if load[0] != number]
        return left

    def _assigned(self, released_at: NDArray[np.float64]) -> NDArray[np.int64]:
        """The replica of each request: one of those that serve when it comes; one that loads has none sent before."""
        away = self.parking.away
        ready_at = np.full(len(self.replicas), -np.inf)
        if away or self._loading:
            ready_at[list(away)] = np.inf
            for number in self._loading - away:
                ready_at[number] = self.replicas[number].counter("serves_from")
        return among_ready(self.router, released_at, ready_at)

    def _change(self, at: float, command: Command) -> Process:
        """Carry out a command in the middle of an interval."""
        yield self._env.timeout(max(0.0, at - self._env.now))
        for number in range(len(self.replicas)):
            self._bring(number, at)
        self._carry_out(command, at)

    def _load(self, number: int, ready_at: float) -> Process:
        """A woken replica loads its model; until then it does not count as awake."""
        yield self._env.timeout(ready_at - self._env.now)
        if (number, ready_at) in self._loads:  # else it has failed meanwhile
            self._loading.discard(number)
            self._loads.remove((number, ready_at))

    def rebuild(self, before: Mapping[str, Any]) -> None:
        """The event loop at the end of an interval, when all that can be pending is that models load."""
        self._env = simpy.Environment(self.now)
        self._one_by_one = self._made_one_by_one()
        for number, ready_at in self._loads:
            self._env.process(self._load(number, ready_at))

    def _made_one_by_one(self) -> OneByOne:
        known = self.router.known if isinstance(self.router, CacheAware) else None
        return OneByOne(self.replicas, self.parking, known)

    def _carry_out(self, command: Command, at: float) -> None:
        for number in actuate(self, command, at):
            self.wake(number, at)

    def _admit(
        self, number: int, records: Records, first: int, last: int, hashes: NDArray[np.int64] | None = None
    ) -> None:
        """Queue `records[first:last]` at a replica; what could never run there is rejected."""
        records["replica"][first:last] = number
        hashes = self._hashes if hashes is None else hashes
        queued = self.replicas[number].enqueue(records, first, last, hashes)
        self._refused_by[number] += last - first - queued
