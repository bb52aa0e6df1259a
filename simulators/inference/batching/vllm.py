"""vLLM's first scheduler: prompts first, never mixed with decodes (Kwon et al., SOSP 2023, section 4.5)."""

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
)
from simulators.inference.batching.state import Limits, State
from simulators.inference.compiled import compiled


@compiled
def admit_vllm(state: State, limits: Limits, flight: int) -> None:
    """Fill `flight` with whole prompts from the queue.

    A prompt is admitted while its blocks leave the watermark free, the padded batch (requests x longest prompt) keeps
    to the token limit and the cap is not reached.
    """
    c = state.counters[0]
    f = state.flights[flight]
    longest = 0
    while c.queue_size > 0 and c.holding < limits.max_requests and f.members < limits.max_batch:
        slot = queue_front(state)
        prompt = state.requests[slot].target
        blocks = blocks_for(prompt, limits)
        if c.free_blocks - blocks < limits.watermark:
            break
        # one prompt that has outgrown the limit by an eviction goes alone: it could never go otherwise
        if (f.members + 1) * max(longest, prompt) > limits.max_tokens and f.members > 0:
            break
        longest = max(longest, prompt)
        queue_pop(state)
        admit(state, slot, blocks)
        put(state, flight, slot, prompt)


@compiled
def form_vllm(state: State, limits: Limits, flight: int) -> None:
    """Fill `flight` with whole prompts if any can be admitted, else with one token of every running request.

    A running request needs a free block even if its last one has room; where there is none, the newest running request
    is evicted and recomputed later.
    """
    admit_vllm(state, limits, flight)
    c = state.counters[0]
    f = state.flights[flight]
    if f.members > 0:
        return

    sort_by_release(state, state.ready, c.ready_size)
    first, last = 0, c.ready_size
    while first < last and f.members < limits.max_batch:
        slot = state.ready[first]
        first += 1
        last, stays = make_room(state, slot, first, last)
        if stays:
            extend(state, slot, limits)
            put(state, flight, slot, 1)
    for i in range(first, last):
        state.ready[i - first] = state.ready[i]
    c.ready_size = last - first
