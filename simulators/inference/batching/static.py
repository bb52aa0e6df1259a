"""Static (request-level) batching: a batch is closed until its last request is done, as in FasterTransformer."""

from __future__ import annotations

from simulators.inference.batching.moves import admit, put, queue_front, queue_pop
from simulators.inference.batching.state import Limits, State
from simulators.inference.compiled import compiled


@compiled
def form_static(state: State, limits: Limits, flight: int) -> None:
    """Fill `flight` with the closed batch's unfinished requests; form a new one only when none runs.

    Every request reserves the blocks of the longest sequence. Finished requests leave the computation at once.
    """
    c = state.counters[0]
    f = state.flights[flight]
    if c.ready_size > 0:
        taken = min(c.ready_size, limits.max_batch)
        for i in range(taken):
            put(state, flight, state.ready[i], 1)
        for i in range(taken, c.ready_size):
            state.ready[i - taken] = state.ready[i]
        c.ready_size -= taken
        return
    while c.queue_size > 0 and f.members < limits.max_batch and c.free_blocks >= limits.reserve_blocks:
        slot = queue_front(state)
        queue_pop(state)
        admit(state, slot, limits.reserve_blocks)
        put(state, flight, slot, state.requests[slot].target)
