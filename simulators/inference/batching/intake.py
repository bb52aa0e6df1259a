"""How requests come in: what is refused, the inbox, the queue."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulators.inference.batching.moves import leaves_with, queue_push
from simulators.inference.batching.queues import NONE
from simulators.inference.batching.shares import row_of
from simulators.inference.batching.state import OFF, Limits, RecordArray, State
from simulators.inference.compiled import compiled, inlined


@compiled
def longest(limits: Limits) -> int:
    """Tokens of prompt and output together that a request may have at most to run on an empty replica."""
    if limits.reserve_blocks > 0:
        return limits.reserve_blocks * limits.block_tokens
    # after an eviction all tokens so far but the last are prefilled again, so they must be admissible at once
    drafted = 0 if limits.hands_over == 1 else limits.depth
    return (limits.total_blocks - max(limits.watermark, 1)) * limits.block_tokens + 1 - drafted


@compiled
def can_ever_run(limits: Limits, prefill_tokens: int, decode_tokens: int) -> bool:
    """Whether a request could run on an empty replica; a server refuses the others."""
    if leaves_with(limits, prefill_tokens, decode_tokens) > longest(limits):
        return False
    return limits.whole_prompts == 0 or prefill_tokens <= limits.max_tokens


@compiled
def table_rows(limits: Limits, hashed_tokens: Any, tokens: Any) -> Any:
    """Rows of `spare` that requests of `tokens` tokens take with a prefix cache: their hashes, their blocks."""
    return -(-hashed_tokens // limits.hash_tokens) - (-(tokens + limits.depth) // limits.block_tokens)


@compiled
def has_room(state: State, limits: Limits, requests: RecordArray, i: int) -> bool:
    """Whether `enqueue` has room for a request; for its table with a prefix cache, for its tenant with shares."""
    c = state.counters[0]
    if c.free_slots == 0:
        return False
    if c.shares > 0 and row_of(state, requests[i].tenant) == NONE:
        return False
    if limits.cache == OFF:
        return True
    r = requests[i]
    rows = table_rows(limits, r.hashed_tokens, r.prefill_tokens + r.decode_tokens)
    return bool(c.table_end + rows <= len(state.spare))


@compiled
def begin_table(state: State, limits: Limits, slot: int, hashes: NDArray[np.int64]) -> None:
    """Put a request's hashes into `spare`, and leave room for its blocks."""
    c = state.counters[0]
    r = state.requests[slot]
    for i in range(-(-r.hashed_tokens // limits.hash_tokens)):
        state.spare[c.table_end + i] = hashes[r.table_at + i]
    r.table_at = c.table_end
    r.table_rows = table_rows(limits, r.hashed_tokens, r.prefill_tokens + r.decode_tokens)
    c.table_end += r.table_rows
    r.serial = c.serial
    c.serial += 1


@compiled
def enqueue(
    state: State, limits: Limits, requests: RecordArray, hashes: NDArray[np.int64], first: int, last: int
) -> int:
    """Put `requests[first:last]` into the inbox, which must have room; refuse what can never run.

    With a prefix cache the hashes of a request stand in `hashes` from its `table_at` on, and `spare` must have room;
    with shares its tenant must be known.

    Returns
    -------
    int
        Requests taken.
    """
    c = state.counters[0]
    taken = 0
    for i in range(first, last):
        if can_ever_run(limits, requests[i].prefill_tokens, requests[i].decode_tokens):
            c.free_slots -= 1
            slot = state.free[c.free_slots]
            state.requests[slot] = requests[i]
            if limits.cache != OFF:
                begin_table(state, limits, slot, hashes)
            if c.shares > 0:
                state.free[2 * len(state.requests) + slot] = row_of(state, requests[i].tenant)
            state.inbox[(c.inbox_head + c.inbox_size) % len(state.inbox)] = slot
            c.inbox_size += 1
            taken += 1
    return taken


@inlined
def next_arrival_s(state: State) -> float:
    """When the next routed request arrives, s; inf if none is known."""
    c = state.counters[0]
    if c.inbox_size == 0:
        return np.inf
    return float(state.requests[state.inbox[c.inbox_head]].released_at)


@inlined
def take_arrival(state: State) -> None:
    """Move the request that arrives next to the queue."""
    c = state.counters[0]
    queue_push(state, state.inbox[c.inbox_head])
    c.inbox_head = (c.inbox_head + 1) % len(state.inbox)
    c.inbox_size -= 1


@inlined
def take_arrivals(state: State) -> None:
    """Move the requests that have arrived by now to the queue."""
    while next_arrival_s(state) <= state.counters[0].now:
        take_arrival(state)
