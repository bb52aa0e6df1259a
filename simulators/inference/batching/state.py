"""Everything a replica knows, as arrays the compiled loop can change in place.

Requests live in slots. A slot index moves from the inbox (routed here, not yet arrived) to the queue (waiting), into a
batch in flight, to the ready list (running, between two batches), and so on until the request is finished, copied to
`finished`, and the slot is free again. Memory follows the number of requests alive, not the number simulated.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.inference.batching.blocks import empty_blocks, size_of
from simulators.inference.batching.queues import parts, with_queues

REQUEST = np.dtype(
    [
        ("request_id", np.int64),
        ("arrived_at", np.float64),  # s, at the cluster
        ("released_at", np.float64),  # s, at the replica: later than arrived_at where a scheduler held it
        ("scheduled_at", np.float64),  # s, start of its first batch; NaN before
        ("prefill_completed_at", np.float64),  # s, first output token; NaN before
        ("completed_at", np.float64),  # s; NaN before
        ("prefill_tokens", np.int64),  # as it arrived
        ("decode_tokens", np.int64),  # as it arrived
        ("target", np.int64),  # tokens to prefill now: the prompt, or all tokens so far after an eviction
        ("processed", np.int64),  # tokens in the cache, and the one just sampled
        ("prefilled", np.int64),  # 1 once `processed` has reached `target`
        ("blocks", np.int64),  # KV blocks held
        ("restarts", np.int64),  # evictions suffered
        ("prefill_j", np.float64),  # energy attributed, J
        ("decode_j", np.float64),
        ("deferrable", np.int64),
        ("replica", np.int64),
        ("tenant", np.int64),
        ("deadline", np.float64),  # s, when it must be complete; inf: none
        (
            "serial",
            np.int64,
        ),  # number at its replica; in a standing batch, its place in the order of the running ones
        ("table_at", np.int64),  # with a prefix cache, in `spare`: its hashes, then the blocks it holds
        ("table_rows", np.int64),
        ("hashed_tokens", np.int64),  # tokens of prompt and output that its hashes stand for
        ("hit_tokens", np.int64),  # found in the prefix cache when it was admitted
        ("cached_tokens", np.int64),  # ... for the first time
        ("cached_j", np.float64),  # of prefill_j: attention to tokens that were found, J
        (
            "handed_at",
            np.float64,
        ),  # s, where pools are apart: when its KV cache came to the one that decodes; else 0
        ("decoding_at", np.float64),  # s, when that one first took it up; 0 before
        ("draft_j", np.float64),  # of prefill_j and decode_j: drafting, J
        ("prompt_draft_j", np.float64),  # of it, in prefill_j: reading prompts
        ("rejected_j", np.float64),  # of decode_j: verifying drafted tokens that became no output, J
        ("link_wait_s", np.float64),  # s, how long its cache waited for a link
    ]
)

MOST_DRAFTED = 16
"""Tokens that may be drafted at once."""

PRIVATE = 0x19E3779
"""Blocks of one request that its private keys tell apart; odd and of no pattern, so that those of many requests spread
over the buckets."""
OFF, ON, UNLIMITED = range(3)
"""Values of `Limits.cache`."""

FLIGHT = np.dtype(
    [
        ("members", np.int64),  # requests; not `size`, which every NumPy scalar has
        ("ends_at", np.float64),  # s, end of the last stage
        ("tokens", np.int64),
        ("prefills", np.int64),  # requests in prefill
        ("decodes", np.int64),
        ("energy_j", np.float64),  # all stages, all GPUs
        ("drafts_j", np.float64),  # of it, drafting
        ("draft_j", np.float64),  # of that, for each decode
        ("prompt_draft_j", np.float64),  # and for each token of a prompt
        ("weight", np.float64),  # sum of the requests' shares of the work, see `attribution`
        ("fetched", np.int64),  # blocks that come from host memory for it
    ]
)

SEGMENT = np.dtype(
    [
        ("starts_at", np.float64),
        ("ends_at", np.float64),
        ("prefill_w", np.float64),  # power of the stage's GPUs that prefills (decodes) account for
        ("decode_w", np.float64),
        ("flops_per_s", np.float64),
        ("bytes_per_s", np.float64),
    ]
)

ITERATION = np.dtype(
    [
        ("batch_id", np.int64),
        ("stage", np.int64),
        ("start_s", np.float64),
        ("duration_s", np.float64),
        ("batch_size", np.int64),
        ("tokens", np.int64),
        ("prefill_tokens", np.int64),
        ("decode_batch_size", np.int64),
        ("mfu", np.float64),
        ("mbu", np.float64),
        ("power_w", np.float64),  # per GPU of the stage
        ("kv_blocks_used", np.int64),
        ("waiting", np.int64),
    ]
)

COUNTERS = np.dtype(
    [
        ("now", np.float64),
        ("serves_from", np.float64),  # s; no batch is formed before, requests wait
        ("free_blocks", np.int64),
        ("holding", np.int64),  # requests that hold blocks
        ("inbox_head", np.int64),
        ("inbox_size", np.int64),
        ("queue_head", np.int64),
        ("queue_size", np.int64),
        ("ready_size", np.int64),
        ("free_slots", np.int64),
        ("flight_head", np.int64),
        ("flights", np.int64),
        ("completed", np.int64),  # since the start
        ("last_completion", np.float64),  # s
        ("finished", np.int64),  # in the buffer
        ("logged", np.int64),
        ("log_on", np.int64),
        ("batches", np.int64),
        ("evictions", np.int64),
        ("forming", np.int64),  # 1 while a batch may have to be formed at `now`
        ("evicted_now", np.int64),  # evictions while forming the present batch
        ("formed_at", np.float64),  # s, start of the last batch
        ("landed_at", np.float64),  # s, its end
        ("landed", np.int64),  # requests that finished in it
        ("held_back", np.int64),  # 1 if a request waits only because the present batch was formed ahead
        ("attributed_j", np.float64),  # energy handed to requests so far
        ("kv_block_s", np.float64),  # integral of blocks in use, for the mean KV use
        ("batch_sizes", np.int64),  # sum over batches, for the mean
        ("prefill_tokens", np.int64),  # processed, recomputed ones included
        ("decode_tokens", np.int64),  # produced
        # of a prefix cache
        ("serial", np.int64),  # of the next request
        ("blocks", np.int64),  # kept one by one
        ("table_end", np.int64),  # `spare` is in use up to here
        ("reusable", np.int64),  # in line to be overwritten
        ("overwritten", np.int64),  # blocks that were known
        ("prompt_tokens", np.int64),  # of requests admitted for the first time
        ("hit_tokens", np.int64),
        ("prompt_blocks", np.int64),  # of `hash_tokens`, the last one not full
        ("hit_blocks", np.int64),
        # of its tier in host memory, see `host`
        (
            "host_most",
            np.int64,
        ),  # blocks; 0: there is none. One more of `Limits` costs batches a third of their speed
        ("host_room", np.int64),  # blocks that `spare` has room for at present
        ("host_used", np.int64),  # kept
        ("host_written", np.int64),
        ("host_fetched", np.int64),
        ("host_overwritten", np.int64),
        ("host_hit_blocks", np.int64),  # of hit_blocks
        ("host_block_s", np.float64),  # to fetch a block
        ("host_latency_s", np.float64),  # of all that are fetched for a batch
        ("host_layers", np.float64),  # that a stage computes one by one, as their blocks come
        ("host_ranks", np.float64),  # that fetch side by side
        ("fetching", np.int64),  # requests whose blocks come for the batch that is being formed
        ("fetched_most", np.int64),  # of one of them
        # of a standing batch, see `standing`
        ("stands", np.int64),  # 1 while its requests are in it, not in `ready` and `members`
        ("walks", np.int64),  # batches that are still to be formed member by member
        ("standing", np.int64),  # requests in it
        ("number", np.int64),  # of the next iteration, counted since it was built
        ("context", np.int64),  # sum of their contexts, tokens
        ("beside", np.int64),  # of them, those that decode in the batch in flight: all or none
        ("partial", np.int64),  # slot of the request whose prompt is cut, if it is in no batch now; -1: none
        ("latest", np.float64),  # s, the latest release of a running request
        ("share", np.float64),  # energy over weight, summed over its iterations, and ...
        ("share_step", np.float64),  # ... the same times the iteration's number
        # of speculation
        ("key", np.int64),  # of its random numbers, below 2^32
        (
            "acceptance",
            np.float64,
            (MOST_DRAFTED,),
        ),  # [i]: probability that more than i drafted tokens are accepted
        ("verifications", np.int64),  # of one request in one batch
        ("drafted", np.int64),  # tokens
        ("verified", np.int64),  # of them
        ("accepted", np.int64),  # of them: output
        ("draft_j", np.float64),
        ("rejected_j", np.float64),
        # of shares, see `shares`
        ("shares", np.int64),  # tenants there is room for; 0: first come, first served
        ("tenants", np.int64),  # known
        ("tenants_waiting", np.int64),
        ("lined_up", np.int64),  # requests in the tenants' queues
        ("in_line", np.int64),  # of them, those in line for the batch that is being formed
        ("kept_back", np.int64),  # `held_back`, as it is with all who wait
        ("waited_last", np.int64),  # row of the tenant whose last waiting request left last; -1: none
    ]
)

# columns of `bins`
PREFILL_J, DECODE_J, BUSY_S, FLOPS, BYTES = range(5)

Records = NDArray[np.void]
"""A structured array; outside the compiled loop its fields are read as ``records["name"]``: ten times faster."""

RecordArray = Any
"""Inside the loop: a record array, so that fields read as attributes also without the compiler."""


class State(NamedTuple):
    """One replica; all fields are arrays and change in place. Rings wrap round at the number of slots.

    With a prefix cache `spare` goes on: the `blocks` of the cache, those of its tier in host memory if there is one,
    then for each request that is not finished its hashes and the numbers of the blocks it holds. An array of its own,
    empty in most runs, would cost all of them a tenth of their speed. Without one, the blocks that a standing batch
    takes stand there.
    """

    requests: RecordArray  # (slots,) REQUEST
    inbox: NDArray[np.int64]  # (slots,) ring, by time of release
    queue: NDArray[np.int64]  # (slots,) ring, first come first served; evicted ones return to its front
    ready: NDArray[np.int64]  # (batch limit,) running requests that are in no batch now
    spare: NDArray[
        np.int64
    ]  # (batch limit,) scratch for the policies; behind it what a prefix cache knows, see below
    free: NDArray[np.int64]  # (slots,) stack of unused slots; behind it, with shares, what `queues` says
    flights: RecordArray  # (stages,) FLIGHT, ring in order of formation
    members: NDArray[np.int64]  # (stages, batch limit) slots of each flight
    chunks: NDArray[np.int64]  # (stages, batch limit) tokens each member processes
    segments: RecordArray  # (stages, stages) SEGMENT of flight x stage
    stage_free_at: NDArray[np.float64]  # (stages,)
    finished: RecordArray  # (buffer,) REQUEST
    log: RecordArray  # (buffer,) ITERATION
    counters: RecordArray  # (1,) COUNTERS


class Capacity(NamedTuple):
    """What a replica's arrays are allocated for; unlike `Limits`, it does not change on command.

    Attributes
    ----------
    stages
        Pipeline stages; as many batches are in flight.
    total_blocks
        KV blocks: every running request holds at least one, so no more can run.
    batch
        Requests the arrays have room for at present; `widened` makes more, up to `total_blocks`.
    cache
        Whether blocks are kept one by one, for a prefix cache.
    block_tokens
        Tokens per KV block.
    host_blocks
        Blocks that host memory keeps beside them.
    """

    stages: int
    total_blocks: int
    batch: int
    cache: bool = False
    block_tokens: int = 16
    host_blocks: int = 0


class Limits(NamedTuple):
    """What bounds a replica's batches; the batch cap may change while it runs.

    Attributes
    ----------
    policy
        Which rule forms batches: one of the codes in `policies.py`.
    stages
        Pipeline stages; as many batches are in flight.
    max_requests
        Requests that may hold KV blocks at once (batch cap).
    max_batch
        Requests in one batch: the cap shared out over the stages.
    max_tokens
        Tokens in one batch: vLLM's padded limit, vLLM v1's and Sarathi's chunk budget.
    block_tokens
        Tokens per KV block.
    total_blocks
        KV blocks of the replica.
    watermark
        Blocks kept free when a request is admitted.
    reserve_blocks
        Blocks each request reserves at admission under Orca and static batching (maximum length); 0 elsewhere.
    whole_prompts
        1 if a prompt is never cut to fit the budget.
    ahead
        1 if a batch is formed while the one before it runs: who arrives or leaves meanwhile counts one batch later.
    cache
        Prefix cache: `OFF`, `ON` or `UNLIMITED`.
    hash_tokens
        Tokens that one hash of a request stands for; a multiple of `block_tokens`.
    hands_over
        1 if a request leaves with its first token, to be decoded elsewhere.
    depth
        Tokens drafted for each decode and verified with it; 0: no speculation.
    """

    policy: int
    stages: int
    max_requests: int
    max_batch: int
    max_tokens: int
    block_tokens: int
    total_blocks: int
    watermark: int
    reserve_blocks: int
    whole_prompts: int
    ahead: int = 0
    cache: int = OFF
    hash_tokens: int = 512
    hands_over: int = 0
    depth: int = 0


def capacity_for(limits: Limits) -> Capacity:
    """Room for the batches that limits allow."""
    batch = max(limits.max_requests, limits.max_batch)
    return Capacity(limits.stages, limits.total_blocks, batch, limits.cache != OFF, limits.block_tokens)


def new_state(capacity: Capacity, slots: int = 1024, buffer: int = 4096, log: bool = False) -> State:
    """An empty replica at time 0.

    Parameters
    ----------
    capacity
        What must fit.
    slots
        Requests that fit at first; `grown` makes room for more.
    buffer
        Finished requests (and logged iterations) kept before the loop returns to have them collected.
    log
        Whether every iteration is recorded.
    """
    batch, stages = capacity.batch + 1, capacity.stages
    buffer = max(
        buffer, 2 * batch
    )  # a batch that ends must fit, or the loop would ask to be collected for ever
    counters = np.zeros(1, COUNTERS).view(np.recarray)
    counters[0].free_blocks = capacity.total_blocks
    counters[0].free_slots = slots
    counters[0].log_on = int(log)
    blocks = capacity.total_blocks if capacity.cache else 0
    counters[0].reusable = counters[0].blocks = blocks
    behind = empty_blocks(blocks, True) if capacity.cache else np.zeros(capacity.block_tokens, np.int64)
    room = min(capacity.host_blocks, 4 * blocks)
    counters[0].host_room, counters[0].host_most = room, capacity.host_blocks
    counters[0].host_ranks = 1
    spare = np.concatenate((np.zeros(batch, np.int64), behind, empty_blocks(room, False)))
    counters[0].table_end = len(spare)
    return State(
        requests=np.zeros(slots, REQUEST).view(np.recarray),
        inbox=np.zeros(slots, np.int64),
        queue=np.zeros(slots, np.int64),
        ready=np.zeros(batch, np.int64),
        spare=spare,
        free=np.arange(slots, dtype=np.int64)[::-1].copy(),
        flights=np.zeros(stages, FLIGHT).view(np.recarray),
        members=np.zeros((stages, batch), np.int64),
        chunks=np.zeros((stages, batch), np.int64),
        segments=np.zeros((stages, stages), SEGMENT).view(np.recarray),
        stage_free_at=np.zeros(stages),
        finished=np.zeros(buffer, REQUEST).view(np.recarray),
        log=np.zeros(buffer * stages if log else stages, ITERATION).view(np.recarray),
        counters=counters,
    )


def grown(state: State, slots: int) -> State:
    """The same replica with room for `slots` requests (at least as many as before)."""
    old = len(state.requests)
    c = state.counters[0]
    requests = np.zeros(slots, REQUEST).view(np.recarray)
    requests[:old] = state.requests
    inbox, queue, free = (np.zeros(slots, np.int64) for _ in range(3))
    if c.shares:
        free = with_queues(slots, int(c.shares), parts(state.free, old, int(c.shares)))
    queue[: c.queue_size] = state.queue[(c.queue_head + np.arange(c.queue_size)) % old]
    inbox[: c.inbox_size] = state.inbox[(c.inbox_head + np.arange(c.inbox_size)) % old]
    free[: c.free_slots] = state.free[: c.free_slots]
    free[c.free_slots : c.free_slots + slots - old] = np.arange(slots - 1, old - 1, -1)
    c.inbox_head = c.queue_head = 0
    c.free_slots += slots - old
    return state._replace(requests=requests, inbox=inbox, queue=queue, free=free)


def widened(state: State, batch: int) -> State:
    """The same replica with room for batches of `batch` requests (at least as many as before)."""
    width = batch + 1

    def wider(array: NDArray[np.int64]) -> NDArray[np.int64]:
        new = np.zeros((*array.shape[:-1], width), array.dtype)
        new[..., : array.shape[-1]] = array
        return new

    finished = np.zeros(max(len(state.finished), 2 * width), REQUEST).view(np.recarray)
    finished[: len(state.finished)] = state.finished
    behind = len(state.ready)
    state.requests["table_at"] += width - behind
    state.counters[0].table_end += width - behind
    return state._replace(
        ready=wider(state.ready),
        spare=np.concatenate((np.zeros(width, np.int64), state.spare[behind:])),
        members=wider(state.members),
        chunks=wider(state.chunks),
        finished=finished,
    )


def with_room(state: State, rows: int) -> State:
    """The same replica with room for the tables of requests that take `rows` rows more, at the end of `spare`.

    What finished requests have left is closed up first; only if that is not enough `spare` becomes longer, and then by
    as much again as the tables take, so that the cache is seldom copied.
    """
    c = state.counters[0]
    start = len(state.ready) + size_of(int(c.blocks)) + size_of(int(c.host_room))
    live = np.ones(len(state.requests), bool)
    live[state.free[: c.free_slots]] = False
    table_at = state.requests["table_at"]
    slots = np.flatnonzero(live)
    slots = slots[np.argsort(table_at[slots], kind="stable")]
    lengths = state.requests["table_rows"][slots].tolist()
    end = start
    for before, length in zip(table_at[slots].tolist(), lengths, strict=True):
        if before != end:
            state.spare[end : end + length] = state.spare[before : before + length]
        end += length
    table_at[slots] = start + np.cumsum(lengths, dtype=np.int64) - lengths
    c.table_end = end
    if end + rows <= len(state.spare):
        return state
    spare = np.zeros(start + 2 * (end - start + rows), np.int64)
    spare[:end] = state.spare[:end]
    return state._replace(spare=spare)
