"""The standing batch: requests that decode together, of whom only those are touched that join or leave.

In an iteration every request of a decode batch gains a token, so what a request has by now follows from what it had
when it joined and from how many iterations there have been. Kept are sums over all (their number, their contexts, the
blocks that each iteration takes), a heap by the iteration in which each is complete, and two running sums of energy
over weight, of which a request's share is what they have grown by since it joined (`earned_j`). An iteration then costs
what changes in it, not what runs in it.

Everybody else finds requests in `ready` and `members` again once the batch is settled (`settle`), as it is whenever
the replica is not advancing. The order of the running ones, which decides who gives way, is kept in `serial`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulators.inference.batching.moves import blocks_for
from simulators.inference.batching.policies import VLLM
from simulators.inference.batching.state import OFF, Limits, State
from simulators.inference.compiled import compiled, inlined

WALKS = 16
"""Batches formed member by member before a standing one is built again."""
REBUILT_AFTER = 512
"""Iterations after which the running sums begin anew: a share found by subtraction keeps 1e-10 of itself."""
SLOT_BITS = 32
"""Of an entry of the heap, the lower ones are the slot, the others the number of the last iteration."""
SLOTS = 2**SLOT_BITS - 1


@compiled
def sift_up(heap: NDArray[np.int64], i: int) -> None:
    """Bring an entry that may be too low to its place."""
    entry = heap[i]
    while i > 0 and heap[(i - 1) >> 1] > entry:
        heap[i] = heap[(i - 1) >> 1]
        i = (i - 1) >> 1
    heap[i] = entry


@compiled
def pop(heap: NDArray[np.int64], size: int) -> int:
    """Take the least of `size` entries off, and move the others up."""
    least, entry = heap[0], heap[size - 1]
    i, child = 0, 1
    while child < size - 1:
        if child + 1 < size - 1 and heap[child + 1] < heap[child]:
            child += 1
        if heap[child] >= entry:
            break
        heap[i] = heap[child]
        i, child = child, 2 * child + 1
    heap[i] = entry
    return int(least)


@inlined
def last_number(state: State) -> int:
    """Number of iterations after which the first of a standing batch is complete; there must be one."""
    return int(state.spare[0] >> SLOT_BITS)


@inlined
def blocks_due(state: State, limits: Limits) -> int:
    """KV blocks that the next iteration of the standing batch takes."""
    return int(state.spare[len(state.ready) + state.counters[0].number % limits.block_tokens])


@inlined
def earned_j(state: State, split: tuple[float, float], since: int) -> float:
    """What a request would have got of the running sums, J.

    Parameters
    ----------
    state, split
        See `loop.advance`.
    since
        Its tokens less the number of iterations: those that it would have had at the beginning.
    """
    c = state.counters[0]
    return float(c.share * (split[0] + split[1] * (since + 1)) + split[1] * c.share_step)


@inlined
def join(state: State, limits: Limits, split: tuple[float, float], slot: int) -> None:
    """A request decodes with the standing batch from the next iteration on, for which it holds no block yet."""
    c = state.counters[0]
    r = state.requests[slot]
    last = c.number + r.prefill_tokens + r.decode_tokens - r.processed
    state.spare[c.standing] = (last << SLOT_BITS) | slot
    sift_up(state.spare, c.standing)
    c.standing += 1
    c.context += r.processed
    state.spare[len(state.ready) + (c.number + 1 - r.processed) % limits.block_tokens] += 1
    r.decode_j -= earned_j(state, split, r.processed - c.number)


@inlined
def write_back(state: State, split: tuple[float, float], entry: int) -> int:
    """Give a request of the standing batch its tokens and its energy; returns its slot."""
    c = state.counters[0]
    slot = entry & SLOTS
    r = state.requests[slot]
    r.processed = c.number + r.prefill_tokens + r.decode_tokens - (entry >> SLOT_BITS)
    r.decode_j += earned_j(state, split, r.processed - c.number)
    return int(slot)


@inlined
def take_last(state: State, limits: Limits, split: tuple[float, float]) -> int:
    """Take the requests that are complete out of the standing batch; they then stand in `ready`, in their order.

    Returns
    -------
    int
        How many.
    """
    c = state.counters[0]
    taken = 0
    while c.standing > 0 and last_number(state) == c.number:
        slot = write_back(state, split, pop(state.spare, c.standing))
        r = state.requests[slot]
        r.blocks = blocks_for(r.processed - 1, limits)
        c.standing -= 1
        c.context -= r.processed
        state.spare[len(state.ready) + (c.number + 1 - r.processed) % limits.block_tokens] -= 1
        i = taken
        while i > 0 and state.requests[state.ready[i - 1]].serial > r.serial:
            state.ready[i] = state.ready[i - 1]
            i -= 1
        state.ready[i] = slot
        taken += 1
    return taken


@compiled
def in_order(state: State, limits: Limits) -> bool:
    """Whether of the running requests, in their order, first come all that decode, then the others."""
    c = state.counters[0]
    f = state.flights[0]
    # while prompts of vLLM are in flight, those that decode wait
    if c.flights > 0 and c.ready_size > 0 and (limits.policy != VLLM or f.decodes > 0):
        return False
    cut = 0
    for i in range(c.ready_size):
        if cut == 1:
            return False
        cut = 1 - state.requests[state.ready[i]].prefilled
    for i in range(1, f.members if c.flights > 0 else 0):
        before, here = state.members[0, i - 1], state.members[0, i]
        if state.requests[before].prefilled == 0 and state.requests[here].prefilled == 1:
            return False
    return True


@compiled
def build(state: State, limits: Limits, split: tuple[float, float]) -> bool:
    """Build the standing batch of a replica that allows one; False if its batches are to be formed member by member."""
    c = state.counters[0]
    if limits.stages > 1 or limits.cache != OFF or limits.reserve_blocks > 0 or c.log_on == 1 or c.walks > 0:
        return False
    if not in_order(state, limits):
        c.walks = WALKS
        return False
    c.stands = 1
    c.standing = c.number = c.context = c.beside = c.serial = 0
    c.partial = -1
    c.latest = -np.inf
    c.share = c.share_step = 0.0
    for i in range(limits.block_tokens):
        state.spare[len(state.ready) + i] = 0
    for i in range(c.ready_size):
        slot = state.ready[i]
        enter(state, slot)
        if state.requests[slot].prefilled == 1:
            join(state, limits, split, slot)
        else:
            c.partial = slot
    c.ready_size = 0
    if c.flights > 0:
        unlist(state, limits, split)
    return True


@inlined
def enter(state: State, slot: int) -> None:
    """A request runs from now on, behind all others."""
    c = state.counters[0]
    r = state.requests[slot]
    r.serial = c.serial
    c.serial += 1
    c.latest = max(c.latest, r.released_at)


@compiled
def unlist(state: State, limits: Limits, split: tuple[float, float]) -> None:
    """Of the batch in flight, keep those listed that do not decode."""
    c = state.counters[0]
    f = state.flights[0]
    listed = 0
    for i in range(f.members):
        slot = state.members[0, i]
        enter(state, slot)
        if state.requests[slot].prefilled == 1:
            join(state, limits, split, slot)
            c.beside += 1
        else:
            state.members[0, listed] = slot
            state.chunks[0, listed] = state.chunks[0, i]
            listed += 1
    f.members = listed


@compiled
def settle(state: State, limits: Limits, split: tuple[float, float]) -> None:
    """Put the requests of the standing batch, if there is one, where everybody looks for them, in their order."""
    c = state.counters[0]
    if c.stands == 0:
        return
    f = state.flights[0]
    heap = state.spare
    for i in range(c.standing):
        slot = write_back(state, split, heap[i])
        r = state.requests[slot]
        r.blocks = blocks_for(r.processed - (1 if c.beside == 0 else 0), limits)
        heap[i] = (r.serial << SLOT_BITS) | slot
        sift_up(heap, i)
    if c.beside > 0:
        for i in range(f.members - 1, -1, -1):
            state.members[0, i + c.beside] = state.members[0, i]
            state.chunks[0, i + c.beside] = state.chunks[0, i]
        f.members += c.beside
    for i in range(c.standing):
        slot = pop(heap, c.standing - i) & SLOTS
        if c.beside > 0:
            state.members[0, i] = slot
            state.chunks[0, i] = 1
        else:
            state.ready[i] = slot
    c.ready_size = 0 if c.beside > 0 else c.standing
    c.beside = 0
    if c.partial >= 0:
        state.ready[c.ready_size] = c.partial
        c.ready_size += 1
    c.stands = 0
