"""One model instance: its queue, KV cache, pipeline and GPUs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulators.inference.batching import intake, loop, meter, speculation, standing
from simulators.inference.batching.events import COLLECT, DONE
from simulators.inference.batching.host import Fetching, forget_host, is_cramped, roomier
from simulators.inference.batching.policies import with_batch_cap, with_chunk_budget
from simulators.inference.batching.prefix import enlarged, forget_all
from simulators.inference.batching.shares import in_queues, tenants_of, with_shares, with_tenants
from simulators.inference.batching.state import (
    ITERATION,
    ON,
    REQUEST,
    UNLIMITED,
    Limits,
    Records,
    capacity_for,
    grown,
    new_state,
    widened,
    with_room,
)
from simulators.inference.compiled import readable, resolved
from simulators.inference.emptied import NO_HASHES, Left, cut_flights, emptied, hashes_from
from simulators.inference.interval import copied, joined
from simulators.inference.power.cap import check_cap, check_clock
from simulators.inference.power.law import PowerLaw
from simulators.inference.power.states import State as ParkedState
from simulators.inference.split import attribution_split, unfinished
from simulators.inference.standby import Standby
from simulators.inference.tenant_shares import TenantShares
from simulators.inference.timing.tables import StageTables, has_drafting
from simulators.inference.uniform import uniform

Advance = Callable[..., tuple[int, int]]


class Replica:
    """A model instance on `stages` x `gpus` GPUs, advanced by a compiled loop.

    Parameters
    ----------
    limits
        What bounds its batches.
    tables
        Iteration time and work of a stage.
    law
        Power of one GPU.
    gpus
        GPUs per stage (tensor parallelism).
    attribution
        How a batch's energy is split: ``work`` or ``tokens``.
    log
        Whether to keep one record per iteration and stage.
    group
        What the replica is called in results, together with others of its kind.
    states
        What its GPUs can be parked in, by name.
    host_blocks
        Blocks that host memory keeps behind its prefix cache; 0: none.

    Attributes
    ----------
    limits, capacity
        What bounds its batches, and what its arrays have room for.
    most_tokens
        Of a batch, as the replica was made: iteration times are known up to there.
    standby
        What its GPUs draw while they serve nothing.
    tables_up_to
        Iteration times for batches of so many requests, asked for when the batch cap is raised beyond those it was
        made for; None: its tables hold for any.

    Examples
    --------
    >>> from simulators.inference.serving import Serving, build_replicas
    >>> (replica,), facts = build_replicas(Serving(gpu="a100", iteration_time="roofline"))
    >>> replica.gpu_count, replica.batch_cap, replica.outstanding
    (1, 128, 0)
    """

    def __init__(
        self,
        limits: Limits,
        tables: StageTables,
        law: PowerLaw,
        gpus: int = 1,
        attribution: str = "work",
        log: bool = False,
        group: str = "",
        states: Mapping[str, ParkedState] | None = None,
        *,
        host_blocks: int = 0,
    ) -> None:
        if host_blocks and limits.cache != ON:
            raise ValueError("host_blocks: expected with a prefix cache, on")
        self.limits = limits
        self.capacity = capacity_for(limits)._replace(host_blocks=host_blocks)
        self.most_tokens = limits.max_tokens
        self.states = dict(states or {})
        self.tables = tables = uniform(tables)
        self.law = law = uniform(law)
        self.gpus = gpus
        self.group = group
        self.standby = Standby(law.idle_w)
        self.tables_up_to: Callable[[int], StageTables] | None = None
        self.split = attribution_split(attribution, tables)
        self.state = new_state(self.capacity, log=log)
        interval = (np.zeros((1, 5)), 0.0, 0.0)
        self._advance = self._resolved(speculation.advance if limits.depth else loop.advance)
        self._settle = resolved(standing.settle, self.state, limits, self.split)
        self._enqueue = resolved(intake.enqueue, self.state, limits, np.zeros(1, REQUEST), NO_HASHES, 0, 0)
        self._meter_in_flight = resolved(meter.meter_in_flight, self.state, limits, *interval)
        self._requests_j = resolved(meter.requests_j, self.state, limits, 0.0)
        self.shares: TenantShares | None = None
        self._finished: list[Records] = []
        self._log: list[Records] = []
        self.enqueued = 0
        self.completed = 0
        self.host_block_bytes = self._host_block_j = 0.0

    def _resolved(self, advance: Advance) -> Advance:
        of_replica = self.state, self.limits, self.tables, self.law, self.split, self.gpus
        return resolved(advance, *of_replica, np.zeros((1, 5)), 0.0, 0.0, 0.0)

    @property
    def gpu_count(self) -> int:
        """GPUs of all stages."""
        return self.gpus * self.limits.stages

    @property
    def power_cap_w(self) -> float:
        """Power cap of each GPU, W, from the next iteration on; inf: none.

        Setting raises `InputError` if the cap is not above what an idle GPU draws.
        """
        return self.law.cap_w

    @power_cap_w.setter
    def power_cap_w(self, cap_w: float) -> None:
        self.law = self.law._replace(cap_w=float(check_cap(self.law, cap_w)))

    @property
    def clock_limit(self) -> float:
        """Highest clock of the GPUs relative to full clock, from the next iteration on, 1.

        Setting raises `InputError` if it is outside of what GPUs run at.
        """
        return self.law.clock

    @clock_limit.setter
    def clock_limit(self, clock: float) -> None:
        self.law = self.law._replace(clock=float(check_clock(clock)))

    @property
    def batch_cap(self) -> int:
        """Requests that may run at once, from the next batch on; running ones beyond it drain in smaller batches.

        Setting raises `InputError` if it is below the pipeline stages or above the KV blocks.
        """
        return self.limits.max_requests

    @batch_cap.setter
    def batch_cap(self, requests: int) -> None:
        limits = with_batch_cap(self.limits, requests)
        room = capacity_for(limits).batch
        if room > self.capacity.batch:
            self.collect()
            if self.tables_up_to is not None:
                self.tables = uniform(self.tables_up_to(room))
            self.state = widened(self.state, room)
            self.capacity = self.capacity._replace(batch=room)
        self.limits = limits

    @property
    def chunk_budget(self) -> int:
        """Tokens of a batch, from the next one on; at most what the replica was made for.

        Setting raises `InputError` if its batching policy cuts no prompts, or the budget is out of range.
        """
        return self.limits.max_tokens

    @chunk_budget.setter
    def chunk_budget(self, tokens: int) -> None:
        self.limits = with_chunk_budget(self.limits, tokens, self.most_tokens)

    def speculate(self, acceptance: Sequence[float], key: int) -> None:
        """Say how many drafted tokens are accepted.

        Parameters
        ----------
        acceptance
            `acceptance[i]` is the probability that more than `i` are; not rising; one for each that is drafted.
        key
            Of the random numbers, 0 <= key < 2**32.
        """
        if not has_drafting(self.tables) or len(acceptance) < self.limits.depth:
            raise ValueError("speculation: tables and acceptance do not have what its depth asks for")
        counters = self.state.counters.view(np.ndarray)
        counters["acceptance"][0, : self.limits.depth] = acceptance[: self.limits.depth]
        counters["key"] = key

    def fetch_from_host(
        self, fetching: Fetching, block_bytes: float = 0.0, joules_per_byte: float = 0.0
    ) -> None:
        """Say how blocks go to host memory and come back; before, they do so in no time and for nothing.

        Parameters
        ----------
        fetching
            What time it takes.
        block_bytes
            Of a block, over all GPUs, B.
        joules_per_byte
            Of what is moved, either way, J/B.
        """
        counters = self.state.counters.view(np.ndarray)
        counters["host_block_s"] = fetching.block_s
        counters["host_latency_s"] = fetching.latency_s
        counters["host_layers"] = fetching.layers
        counters["host_ranks"] = fetching.ranks
        self.host_block_bytes = block_bytes
        self._host_block_j = block_bytes * joules_per_byte

    @property
    def host_j(self) -> float:
        """Energy of moving blocks to host memory and back since the start, J; not of its GPUs' batches."""
        if not self.capacity.host_blocks:
            return 0.0
        return float(self._host_block_j * (self.counter("host_written") + self.counter("host_fetched")))

    def share(self, shares: TenantShares) -> None:
        """Serve tenants who wait in proportion to their weights; said once, before there is any request."""
        self.shares = shares
        self.state = with_shares(self.state)
        self._advance = self._resolved(speculation.advance)

    def serve_from(self, at: float) -> None:
        """Form no batch before time `at`, s; requests wait."""
        self.state.counters.view(np.ndarray)["serves_from"][0] = at

    @property
    def outstanding(self) -> int:
        """Requests routed here and not finished."""
        return self.enqueued - self.completed

    def counter(self, name: str) -> Any:
        """The present value of one of the state's `COUNTERS`."""
        return self.state.counters.view(np.ndarray)[name][0].item()

    def counts(self) -> tuple[int, int, float]:
        """Prefill tokens and decode tokens processed, and seconds of KV blocks in use, since the start."""
        c = self.state.counters.view(np.ndarray)[0]
        return c["prefill_tokens"], c["decode_tokens"], c["kv_block_s"]

    @property
    def running(self) -> int:
        """Requests that hold KV blocks."""
        return int(self.counter("holding"))

    @property
    def waiting(self) -> int:
        """Requests that have arrived and hold no KV blocks."""
        return self.outstanding - self.running - int(self.counter("inbox_size"))

    def waiting_records(self) -> Records:
        """The requests that are `waiting`, in the order in which they will be served; with shares tenant by tenant."""
        if self.shares is not None:
            waiting: Records = self.state.requests.view(np.ndarray)[in_queues(self.state)]
            return waiting
        counters, ring = self.state.counters.view(np.ndarray), self.state.queue
        places = int(counters["queue_head"][0]) + np.arange(int(counters["queue_size"][0]))
        found: Records = self.state.requests.view(np.ndarray)[ring[places % len(ring)]]
        return found

    def requests_j(self, now: float) -> float:
        """Energy on the requests here that are not finished, that of the batches in flight up to `now` included, J."""
        return float(self._requests_j(self.state, self.limits, now))

    def unfinished(self, now: float) -> Records:
        """The requests here that are not finished, with the energy spent on each up to `now` (`REQUEST` records).

        The batches in flight are split as they will be when they end.
        """
        return unfinished(self.state, self.limits, self.split, now)

    def enqueue(self, requests: Records, first: int, last: int, hashes: NDArray[np.int64] = NO_HASHES) -> int:
        """Route `requests[first:last]` here: in order of their `released_at`, none before the present.

        For a prefix cache, `hashes` has those of each request from its `table_at` on, one for every `hash_tokens` of
        its `hashed_tokens`.

        Returns
        -------
        int
            Requests taken; the others could never run and are refused.
        """
        self.make_room(requests, first, last)
        taken = self._enqueue(self.state, self.limits, readable(requests), hashes, first, last)
        self.enqueued += taken
        return taken

    def make_room(self, requests: Records, first: int, last: int) -> None:
        """Have room for `requests[first:last]`: for their tables with a prefix cache, for their tenants with shares."""
        least = self.enqueued - self.completed + last - first
        if least > len(self.state.requests):
            self.collect()
            self.state = grown(self.state, max(2 * len(self.state.requests), least))
        if self.shares is not None:
            new = np.setdiff1d(requests["tenant"][first:last], tenants_of(self.state)[0])
            if len(new):
                self.state = with_tenants(self.state, new, self.shares.weights_of(new))
        if self.capacity.cache:
            r = requests[first:last]
            tokens = r["prefill_tokens"] + r["decode_tokens"]
            rows = int(np.sum(intake.table_rows(self.limits, r["hashed_tokens"], tokens)))
            if int(self.counter("table_end")) + rows > len(self.state.spare):
                self.state = with_room(self.state, rows)

    def relieve(self) -> None:
        """Empty the buffers that the loop found full; a prefix cache gets more room if it lacks some."""
        self.collect()
        most = self.capacity.host_blocks
        if most and is_cramped(
            room := int(self.counter("host_room")), self.counter("host_used"), most, self.limits.total_blocks
        ):
            self.state = roomier(self.state, min(most, 2 * room))
        if self.limits.cache == UNLIMITED and self.counter("reusable") < self.limits.total_blocks:
            self.state = enlarged(self.state, 4 * int(self.counter("blocks")))

    def lose_memory(self) -> None:
        """Forget the prefixes, of a replica without requests whose model leaves its GPUs; not those of the bound."""
        if self.limits.cache == ON:
            forget_all(self.state)
            forget_host(self.state)

    def advance(self, until: float, bins: NDArray[np.float64], begins_at: float, width_s: float) -> None:
        """Simulate up to time `until`, s, metering into `bins` (see `loop.advance`)."""
        status = COLLECT
        while status != DONE:
            status, self.completed = self._advance(
                *(self.state, self.limits, self.tables, self.law, self.split, self.gpus),
                *(bins, begins_at, width_s, until),
            )
            if status == COLLECT:
                self.relieve()
        self._settle(self.state, self.limits, self.split)

    def meter_in_flight(self, bins: NDArray[np.float64], begins_at: float, width_s: float) -> None:
        """Add the share of the batches in flight to `bins`, when the bins' time is over."""
        self._meter_in_flight(self.state, self.limits, bins, begins_at, width_s)

    def cut_off(self, at: float, bins: NDArray[np.float64], begins_at: float, width_s: float) -> Left:
        """Lose all that its GPUs hold, advanced to time `at`, s; the batches in flight are metered up to then."""
        left, landed = self.unfinished(at), self.unfinished(-np.inf)
        in_flight_j = sum(left[name] - landed[name] for name in ("prefill_j", "decode_j"))
        order = np.lexsort((left["request_id"], left["released_at"]))
        left, in_flight_j = left[order], in_flight_j[order]
        if self.capacity.cache:
            hashes = hashes_from(self.state.spare, left, self.limits.hash_tokens)
        else:
            hashes = [NO_HASHES[:0]] * len(left)
            left["hashed_tokens"] = 0
        cut_flights(self.state, self.limits, at)
        self.meter_in_flight(bins, begins_at, width_s)
        self.collect()
        self.state = emptied(self.state, self.capacity)
        self.enqueued -= len(left)
        return Left(left, hashes, in_flight_j)

    def collect(self) -> None:
        """Make room in the buffers of finished requests and of logged iterations."""
        counters = self.state.counters.view(np.ndarray)
        logs = ("finished", self.state.finished, self._finished), ("logged", self.state.log, self._log)
        for name, buffer, kept in logs:
            if filled := int(counters[name][0]):
                kept.append(copied(buffer.view(np.ndarray)[:filled]))
                counters[name][0] = 0

    def take_finished(self) -> Records:
        """Requests finished since the last call, in order of completion (`REQUEST` records)."""
        self.collect()
        parts = self._finished.copy()
        self._finished.clear()
        return parts[0] if len(parts) == 1 else joined(parts)

    def take_log(self) -> Records:
        """Iterations since the last call (`ITERATION` records), if they are kept."""
        self.collect()
        parts = self._log.copy()
        self._log.clear()
        return np.concatenate(parts) if parts else np.zeros(0, ITERATION)
