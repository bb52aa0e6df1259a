"""What the replica's meter and its log see."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulators.inference.batching.shares import waiting_j
from simulators.inference.batching.state import BUSY_S, BYTES, DECODE_J, FLOPS, PREFILL_J, Limits, State
from simulators.inference.compiled import compiled


@compiled
def meter(
    bins: NDArray[np.float64],
    begins_at: float,
    width_s: float,
    row: tuple[float, float, float, float, float, float],
) -> None:
    """Spread one busy stretch (a row of `SEGMENT`) over the bins it overlaps; outside them nothing is counted."""
    starts_at, ends_at, prefill_w, decode_w, flops_per_s, bytes_per_s = row
    first = max(0, int((starts_at - begins_at) / width_s))
    for i in range(first, len(bins)):
        low = max(starts_at, begins_at + i * width_s)
        high = min(ends_at, begins_at + (i + 1) * width_s)
        if low >= ends_at:
            break
        if high > low:
            bins[i, PREFILL_J] += prefill_w * (high - low)
            bins[i, DECODE_J] += decode_w * (high - low)
            bins[i, BUSY_S] += high - low
            bins[i, FLOPS] += flops_per_s * (high - low)
            bins[i, BYTES] += bytes_per_s * (high - low)


@compiled
def segment(state: State, flight: int, stage: int) -> tuple[float, float, float, float, float, float]:
    """One row of `SEGMENT` as a tuple."""
    s = state.segments[flight, stage]
    return s.starts_at, s.ends_at, s.prefill_w, s.decode_w, s.flops_per_s, s.bytes_per_s


@compiled
def meter_in_flight(
    state: State, limits: Limits, bins: NDArray[np.float64], begins_at: float, width_s: float
) -> None:
    """Add what the batches still in flight do within the bins; called once, when the bins' time is over."""
    c = state.counters[0]
    for k in range(c.flights):
        flight = (c.flight_head + k) % limits.stages
        for stage in range(limits.stages):
            meter(bins, begins_at, width_s, segment(state, flight, stage))


@compiled
def log_iteration(
    state: State,
    limits: Limits,
    stage: int,
    start_s: float,
    shape: tuple[int, int, int, int],
    cost: tuple[float, float, float, float],
) -> None:
    """Record one iteration of one stage."""
    c = state.counters[0]
    row = state.log[c.logged]
    row.batch_id = c.batches
    row.stage = stage
    row.start_s = start_s
    row.batch_size, row.tokens, row.prefill_tokens, row.decode_batch_size = shape
    row.duration_s, row.mfu, row.mbu, row.power_w = cost
    row.kv_blocks_used = limits.total_blocks - c.free_blocks
    row.waiting = c.queue_size
    c.logged += 1


@compiled
def requests_j(state: State, limits: Limits, now: float) -> float:
    """Energy on the requests that are not finished, J: their own, and that of the batches in flight up to `now`."""
    c = state.counters[0]
    total = waiting_j(state) if c.shares > 0 else 0.0
    for k in range(c.queue_size if c.shares == 0 else 0):
        r = state.requests[state.queue[(c.queue_head + k) % len(state.queue)]]
        total += r.prefill_j + r.decode_j
    for k in range(c.ready_size):
        r = state.requests[state.ready[k]]
        total += r.prefill_j + r.decode_j
    for k in range(c.flights):
        flight = (c.flight_head + k) % limits.stages
        for i in range(state.flights[flight].members):
            r = state.requests[state.members[flight, i]]
            total += r.prefill_j + r.decode_j
        for stage in range(limits.stages):
            s = state.segments[flight, stage]
            lasted_s = min(now, s.ends_at) - s.starts_at
            if lasted_s > 0.0:
                total += (s.prefill_w + s.decode_w) * lasted_s
    return total
