"""When something happens at a replica next, and its clock."""

from __future__ import annotations

import numpy as np

from simulators.inference.batching.intake import next_arrival_s
from simulators.inference.batching.state import Limits, State
from simulators.inference.compiled import compiled, inlined

DONE, COLLECT, WALK = range(3)
"""How far a replica came: to its end; a buffer is full, collect it and call again; of a standing batch, the next one is
to be formed member by member."""


@compiled
def next_event_s(state: State) -> tuple[float, float]:
    """When something happens next, s, and when the first batch in flight ends; inf if nothing is known to come."""
    c = state.counters[0]
    next_end = np.inf
    if c.flights > 0:
        next_end = state.flights[c.flight_head].ends_at
    at = min(next_end, next_arrival_s(state))
    if c.queue_size > 0 and c.now < c.serves_from:
        at = min(at, c.serves_from)
    return at, next_end


@inlined
def pass_time(state: State, limits: Limits, at: float) -> None:
    """Move the replica's clock on; the blocks in use stay as they are until then."""
    c = state.counters[0]
    c.kv_block_s += (limits.total_blocks - c.free_blocks) * (at - c.now)
    c.now = at
