"""vLLM v1: one token budget, running requests first, prompts in chunks (vLLM documentation, "V1 guide")."""

from __future__ import annotations

from simulators.inference.batching.host import in_cache, leave, take_over
from simulators.inference.batching.moves import (
    admit,
    blocks_for,
    evict,
    put,
    queue_front,
    queue_pop,
    sort_by_release,
    take_up,
)
from simulators.inference.batching.prefix import take_full
from simulators.inference.batching.state import OFF, Limits, State
from simulators.inference.compiled import compiled


@compiled
def known_before(state: State) -> int:
    """Requests at the head of the queue that had come before the last batch began."""
    c = state.counters[0]
    known = 0
    while known < c.queue_size:
        slot = state.queue[(c.queue_head + known) % len(state.queue)]
        if state.requests[slot].released_at > c.formed_at:
            break
        known += 1
    return known


@compiled
def grow(state: State, limits: Limits, slot: int, blocks: int, chunk: int) -> None:
    """With a prefix cache: take the blocks of this batch; those that it fills are known from now on.

    `chunk` are the tokens of a prompt, 0 for a decode, whose token `processed` counts already. What is drafted for it
    fills no block.
    """
    r = state.requests[slot]
    before = r.processed - (1 + limits.depth if chunk == 0 else 0)
    take_full(state, limits, slot, blocks, max(0, before), r.processed + chunk)


@compiled
def form_vllm_v1(state: State, limits: Limits, flight: int) -> None:
    """Fill `flight` from the running requests in their order, then from the queue, until the budget is spent.

    Blocks are taken for the tokens of this batch only. Where they run out, the request that came last is evicted; in
    such a step nothing new is admitted. An evicted request recomputes its prompt and all tokens it had produced.

    Tokens drafted for a decode count in the budget and take blocks as others do; what does not fit is not verified.

    Formed ahead (`limits.ahead`, vLLM's asynchronous scheduling), a batch that follows another without a pause admits
    as at the start of that one: only who had arrived by then, and into the slots that were free then.
    """
    c = state.counters[0]
    f = state.flights[flight]
    sort_by_release(state, state.ready, c.ready_size)
    first, last = 0, c.ready_size
    left = 0
    while first < last:
        slot = state.ready[first]
        first += 1
        r = state.requests[slot]
        wanted = 1 + limits.depth if r.prefilled == 1 else r.target - r.processed
        chunk = min(wanted, limits.max_tokens - f.tokens)
        if chunk <= 0 or f.members >= limits.max_batch:
            state.spare[left] = slot
            left += 1
            continue
        # a decode writes the token sampled last, which `processed` counts already
        written = r.processed + (chunk - 1 if r.prefilled == 1 else chunk)
        blocks = max(0, blocks_for(written, limits) - r.blocks)
        evicted = False
        while c.free_blocks < blocks:
            if last > first:
                last -= 1
                victim = state.ready[last]
            else:
                victim = slot
                evicted = True
            v = state.requests[victim]
            if limits.cache != OFF:
                leave(state, limits, victim, False)
            evict(state, victim, max(v.target, v.processed))
            if evicted:
                break
        if not evicted:
            if limits.cache != OFF:
                filled = r.processed % limits.block_tokens <= limits.depth
                if blocks > 0 or r.prefilled == 0 or filled:
                    grow(state, limits, slot, blocks, 0 if r.prefilled == 1 else chunk)
            else:
                r.blocks += blocks
                c.free_blocks -= blocks
            put(state, flight, slot, chunk)
    for i in range(left):
        state.ready[i] = state.spare[i]
    c.ready_size = left
    if c.evicted_now == 0:
        admit_vllm_v1(state, limits, flight)


@compiled
def admit_vllm_v1(state: State, limits: Limits, flight: int) -> None:
    """Add new requests to `flight`, beside the standing batch if it decodes in it."""
    c = state.counters[0]
    f = state.flights[flight]
    known, slots = c.queue_size, limits.max_requests
    if limits.ahead == 1 and f.members + c.beside > 0 and c.landed_at == c.now:
        # formed when the last batch began: the server was neither idle nor without anybody to go on with
        known, slots = known_before(state), slots - c.landed
        c.held_back = 1 if c.queue_size > 0 and c.holding < limits.max_requests else 0
    while known > 0 and c.holding < slots and f.members + c.beside < limits.max_batch:
        slot = queue_front(state)
        known -= 1
        if f.tokens >= limits.max_tokens:
            break
        found, held, fetched = 0, 0, 0
        if limits.cache != OFF:
            found, held, fetched = in_cache(state, limits, slot)
        hit = (found + fetched) * limits.block_tokens
        r = state.requests[slot]
        # with a KV cache that came from another pool, it decodes at once
        wanted = 1 + limits.depth if r.prefilled == 1 else r.target - hit
        chunk = min(wanted, limits.max_tokens - f.tokens)
        if limits.whole_prompts == 1 and r.prefilled == 0:
            if chunk < wanted and f.members + c.beside > 0:
                break
            chunk = wanted
        blocks = blocks_for(r.processed + chunk - 1 if r.prefilled == 1 else hit + chunk, limits)
        if c.free_blocks - (blocks - held) < limits.watermark:
            break
        queue_pop(state)
        if r.prefilled == 1:
            take_up(state, slot)
        if limits.cache != OFF:
            take_over(state, limits, slot, flight, found, fetched)
            grow(state, limits, slot, blocks - found - fetched, chunk)
            c.holding += 1
        else:
            admit(state, slot, blocks)
        put(state, flight, slot, chunk)
