"""What policies do with requests: move them through the queue, give and take KV blocks, put them into a batch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulators.inference.batching.state import Limits, State
from simulators.inference.compiled import compiled, inlined


@inlined
def queue_front(state: State) -> int:
    """Slot at the head of the queue; the queue must not be empty."""
    return int(state.queue[state.counters[0].queue_head])


@inlined
def queue_pop(state: State) -> None:
    """Take the head off the queue."""
    c = state.counters[0]
    c.queue_head = (c.queue_head + 1) % len(state.queue)
    c.queue_size -= 1


@inlined
def queue_push(state: State, slot: int) -> None:
    """Append to the queue."""
    c = state.counters[0]
    state.queue[(c.queue_head + c.queue_size) % len(state.queue)] = slot
    c.queue_size += 1


@compiled
def queue_push_front(state: State, slot: int) -> None:
    """Put before the head of the queue."""
    c = state.counters[0]
    c.queue_head = (c.queue_head - 1) % len(state.queue)
    state.queue[c.queue_head] = slot
    c.queue_size += 1


@compiled
def blocks_for(tokens: int, limits: Limits) -> int:
    """KV blocks that hold `tokens` tokens."""
    return -(-tokens // limits.block_tokens)


@inlined
def leaves_with(limits: Limits, prefill_tokens: int, decode_tokens: int) -> int:
    """Tokens, prompt included, with which a request leaves the replica."""
    return prefill_tokens + (1 if limits.hands_over == 1 else decode_tokens)


@compiled
def take_up(state: State, slot: int) -> None:
    """Note when a request that has brought its KV cache from another pool first decodes."""
    r = state.requests[slot]
    if r.decoding_at == 0.0:
        r.decoding_at = state.counters[0].now


@inlined
def admit(state: State, slot: int, blocks: int) -> None:
    """Give a waiting request its first blocks."""
    c = state.counters[0]
    state.requests[slot].blocks = blocks
    c.free_blocks -= blocks
    c.holding += 1


@compiled
def extend(state: State, slot: int, limits: Limits, drafted: int = 0) -> None:
    """More blocks for a running request whose cache, drafted tokens included, outgrows those it holds."""
    r = state.requests[slot]
    while r.processed + drafted > r.blocks * limits.block_tokens:
        r.blocks += 1
        state.counters[0].free_blocks -= 1


@inlined
def release(state: State, slot: int) -> None:
    """Take a request's blocks back."""
    c = state.counters[0]
    c.free_blocks += state.requests[slot].blocks
    state.requests[slot].blocks = 0
    c.holding -= 1


@compiled
def evict(state: State, slot: int, target: int) -> None:
    """Preempt by recompute: drop the cache, go back to the head of the queue, prefill `target` tokens next time."""
    c = state.counters[0]
    r = state.requests[slot]
    release(state, slot)
    r.target = target
    r.processed = 0
    r.prefilled = 0
    r.restarts += 1
    c.evictions += 1
    c.evicted_now += 1
    queue_push_front(state, slot)


@compiled
def make_room(state: State, slot: int, first: int, last: int, blocks: int = 1) -> tuple[int, bool]:
    """Free blocks for a decode of `slot`: evict from the end of `ready[first:last]`, and itself if nobody is left.

    Returns
    -------
    tuple
        The new `last`, and whether `slot` may stay.
    """
    c = state.counters[0]
    while c.free_blocks < blocks:
        victim = slot
        if last > first:
            last -= 1
            victim = state.ready[last]
        evict(state, victim, state.requests[victim].processed)
        if victim == slot:
            return last, False
    return last, True


@inlined
def put(state: State, flight: int, slot: int, tokens: int) -> None:
    """Add a request to the batch that is being formed."""
    f = state.flights[flight]
    state.members[flight, f.members] = slot
    state.chunks[flight, f.members] = tokens
    f.members += 1
    f.tokens += tokens


@compiled
def sort_by_release(state: State, slots: NDArray[np.int64], size: int) -> None:
    """Order the first `size` slots by time of release, stable; nearly sorted input costs one pass."""
    for i in range(1, size):
        slot = slots[i]
        at = state.requests[slot].released_at
        j = i - 1
        while j >= 0 and state.requests[slots[j]].released_at > at:
            slots[j + 1] = slots[j]
            j -= 1
        slots[j + 1] = slot
