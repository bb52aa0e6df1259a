"""Sarathi-Serve: prompts in chunks beside the decodes, so that decoding never stalls (Agrawal et al., OSDI 2024)."""

from __future__ import annotations

from simulators.inference.batching.moves import (
    admit,
    blocks_for,
    extend,
    make_room,
    put,
    queue_front,
    queue_pop,
    sort_by_release,
    take_up,
)
from simulators.inference.batching.state import Limits, State
from simulators.inference.compiled import compiled


@compiled
def form_sarathi(state: State, limits: Limits, flight: int) -> None:
    """Fill `flight` with all decodes, then running prompts, then new ones, within the chunk budget `max_tokens`.

    Decodes count against the budget but are never refused by it, only their drafted tokens are. All blocks of a prompt
    are taken at admission. Evictions follow vLLM: the last of the running list goes first.
    """
    c = state.counters[0]
    f = state.flights[flight]
    first, last = 0, c.ready_size
    prompts = 0
    while first < last and f.members < limits.max_batch:
        slot = state.ready[first]
        first += 1
        r = state.requests[slot]
        if r.prefilled == 0:
            state.spare[prompts] = slot
            prompts += 1
            continue
        drafted = max(0, min(limits.depth, limits.max_tokens - f.tokens - 1))
        blocks = max(1, blocks_for(r.processed + drafted, limits) - r.blocks) if drafted > 0 else 1
        last, stays = make_room(state, slot, first, last, blocks)
        if stays:
            extend(state, slot, limits, drafted)
            put(state, flight, slot, 1 + drafted)

    skipped = 0
    for i in range(prompts):
        slot = state.spare[i]
        r = state.requests[slot]
        chunk = min(r.target - r.processed, limits.max_tokens - f.tokens)
        if chunk > 0:
            put(state, flight, slot, chunk)
        else:
            state.spare[skipped] = slot
            skipped += 1

    left = last - first
    if skipped > 0:
        # what is skipped goes before what was not looked at; both keep their order of arrival
        for i in range(left):
            state.spare[skipped + i] = state.ready[first + i]
        for i in range(skipped + left):
            state.ready[i] = state.spare[i]
    else:
        for i in range(left):
            state.ready[i] = state.ready[first + i]
    c.ready_size = skipped + left
    sort_by_release(state, state.ready, c.ready_size)
    admit_sarathi(state, limits, flight)


@compiled
def admit_sarathi(state: State, limits: Limits, flight: int) -> None:
    """Add new prompts to `flight`, beside the standing batch if it decodes in it."""
    c = state.counters[0]
    f = state.flights[flight]
    while c.queue_size > 0 and c.holding < limits.max_requests and f.members + c.beside < limits.max_batch:
        slot = queue_front(state)
        r = state.requests[slot]
        wanted, held = r.target, r.target
        if r.prefilled == 1:  # with a KV cache that came from another pool, it decodes at once
            drafted = max(0, min(limits.depth, limits.max_tokens - f.tokens - 1))
            wanted, held = 1 + drafted, r.processed + drafted
        blocks = blocks_for(held, limits)
        chunk = min(wanted, limits.max_tokens - f.tokens)
        if c.free_blocks - blocks < limits.watermark or chunk <= 0:
            break
        queue_pop(state)
        if r.prefilled == 1:
            take_up(state, slot)
        admit(state, slot, blocks)
        put(state, flight, slot, chunk)
