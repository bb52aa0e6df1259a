"""The compiled loop of one replica: from change of batch to change of batch.

Three things happen: requests arrive, a batch in flight ends, a batch is formed. While the same requests decode
together and nothing can join or leave, only counters move, so such a run of iterations costs the same per iteration
whatever the size of the batch (`_run_decodes`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulators.inference.batching.cost import batch_work, decode_attention_s, stage_cost
from simulators.inference.batching.orca import form_orca
from simulators.inference.batching.policies import ORCA, SARATHI, STATIC, VLLM, VLLM_V1
from simulators.inference.batching.sarathi import form_sarathi
from simulators.inference.batching.state import (
    BUSY_S,
    BYTES,
    DECODE_J,
    FLOPS,
    PREFILL_J,
    Limits,
    RecordArray,
    State,
    blocks_for,
    queue_push,
    release,
)
from simulators.inference.batching.static import form_static
from simulators.inference.batching.vllm import form_vllm
from simulators.inference.batching.vllm_v1 import form_vllm_v1
from simulators.inference.compiled import compiled
from simulators.inference.power.law import PowerLaw
from simulators.inference.timing.tables import StageTables

DONE, COLLECT = 0, 1
"""What `advance` returns: it reached its end; or a buffer is full, collect it and call again."""


@compiled
def form_batch(state: State, limits: Limits, flight: int) -> None:
    """Let the replica's policy fill `flight`."""
    if limits.policy == VLLM:
        form_vllm(state, limits, flight)
    elif limits.policy == VLLM_V1:
        form_vllm_v1(state, limits, flight)
    elif limits.policy == SARATHI:
        form_sarathi(state, limits, flight)
    elif limits.policy == ORCA:
        form_orca(state, limits, flight)
    elif limits.policy == STATIC:
        form_static(state, limits, flight)


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
def _next_arrival(state: State) -> float:
    """When the next routed request arrives, s; inf if none is known."""
    c = state.counters[0]
    if c.inbox_size == 0:
        return np.inf
    return float(state.requests[state.inbox[c.inbox_head]].released_at)


@compiled
def _take_arrivals(state: State) -> None:
    """Move the requests that have arrived by now to the queue."""
    c = state.counters[0]
    while _next_arrival(state) <= c.now:
        queue_push(state, state.inbox[c.inbox_head])
        c.inbox_head = (c.inbox_head + 1) % len(state.inbox)
        c.inbox_size -= 1


@compiled
def can_ever_run(limits: Limits, prefill_tokens: int, decode_tokens: int) -> bool:
    """Whether a request could run on an empty replica; a server refuses the others."""
    total = prefill_tokens + decode_tokens
    if limits.reserve_blocks > 0:
        return total <= limits.reserve_blocks * limits.block_tokens
    # after an eviction all tokens so far are prefilled again, so all must be admissible at once
    if blocks_for(total - 1, limits) + max(limits.watermark, 1) > limits.total_blocks:
        return False
    return limits.whole_prompts == 0 or prefill_tokens <= limits.max_tokens


@compiled
def enqueue(state: State, limits: Limits, requests: RecordArray, first: int, last: int) -> int:
    """Put `requests[first:last]` into the inbox, which must have room; refuse what can never run.

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
            state.inbox[(c.inbox_head + c.inbox_size) % len(state.inbox)] = slot
            c.inbox_size += 1
            taken += 1
    return taken


@compiled
def _segment(state: State, flight: int, stage: int) -> tuple[float, float, float, float, float, float]:
    """One row of `SEGMENT` as a tuple."""
    s = state.segments[flight, stage]
    return s.starts_at, s.ends_at, s.prefill_w, s.decode_w, s.flops_per_s, s.bytes_per_s


@compiled
def _log(
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
def _launch(
    state: State,
    limits: Limits,
    tables: StageTables,
    law: PowerLaw,
    split: tuple[float, float],
    gpus: int,
    flight: int,
    work: tuple[int, int, float, float, int],
) -> None:
    """Send a formed batch through the stages: when each starts and ends, and what it draws."""
    c = state.counters[0]
    f = state.flights[flight]
    _, cached, pairs, attention_s, prefill_tokens = work
    f.formed_at = c.now
    # each request's share of the energy is its share of this weight (see `Attribution` in `replica.py`)
    prefill_weight = 0.0
    f.weight = 0.0
    for i in range(f.members):
        r = state.requests[state.members[flight, i]]
        q = state.chunks[flight, i]
        weight = split[0] * q + split[1] * q * (q + r.processed)
        f.weight += weight
        if r.prefilled == 0:
            prefill_weight += weight
        if np.isnan(r.scheduled_at):
            r.scheduled_at = c.now
    prefill_share = prefill_weight / f.weight
    f.energy_j = 0.0
    at = c.now
    for stage in range(limits.stages):
        last = stage == limits.stages - 1
        cost = stage_cost(tables, law, last, f.tokens, f.members, attention_s, pairs, cached)
        seconds, mfu, mbu, watts = cost
        s = state.segments[flight, stage]
        s.starts_at = max(at, state.stage_free_at[stage])
        s.ends_at = s.starts_at + seconds
        s.prefill_w = watts * gpus * prefill_share
        s.decode_w = watts * gpus * (1.0 - prefill_share)
        s.flops_per_s = mfu * tables.peak_flops * gpus
        s.bytes_per_s = mbu * tables.peak_bytes * gpus
        at = s.ends_at
        state.stage_free_at[stage] = at
        f.energy_j += watts * gpus * seconds
        if c.log_on == 1:
            _log(state, limits, stage, s.starts_at, (f.members, f.tokens, prefill_tokens, f.decodes), cost)
    f.ends_at = at
    c.flights += 1
    c.batches += 1
    c.batch_sizes += f.members


@compiled
def _land(state: State, split: tuple[float, float], flight: int) -> None:
    """End a batch: every member has its tokens and its energy; finished ones leave, the others are ready again."""
    c = state.counters[0]
    f = state.flights[flight]
    per_weight = f.energy_j / f.weight
    for i in range(f.members):
        slot = state.members[flight, i]
        q = state.chunks[flight, i]
        r = state.requests[slot]
        joules = per_weight * (split[0] * q + split[1] * q * (q + r.processed))
        r.processed += q
        if r.prefilled == 1:
            r.decode_j += joules
            c.decode_tokens += 1
        else:
            r.prefill_j += joules
            c.prefill_tokens += q
            if r.processed == r.target:
                r.prefilled = 1
                r.processed += 1  # the prefill samples the next token
                c.decode_tokens += 1
                if np.isnan(r.prefill_completed_at):
                    r.prefill_completed_at = c.now
        if r.processed == r.prefill_tokens + r.decode_tokens:
            r.completed_at = c.now
            release(state, slot)
            state.finished[c.finished] = r
            c.finished += 1
            c.completed += 1
            c.last_completion = c.now
            state.free[c.free_slots] = slot
            c.free_slots += 1
        else:
            state.ready[c.ready_size] = slot
            c.ready_size += 1
    c.attributed_j += f.energy_j


@compiled
def _run_decodes(
    state: State,
    limits: Limits,
    tables: StageTables,
    law: PowerLaw,
    split: tuple[float, float],
    gpus: int,
    flight: int,
    context: int,
    bins: NDArray[np.float64],
    begins_at: float,
    width_s: float,
    stop_at: float,
) -> int:
    """Go through the iterations of an unchanging decode batch that end before `stop_at`, but for its last one.

    The batch stands in `flight`, its blocks for the first iteration taken. In every iteration each request gains one
    token, so the first completion and the iterations in which blocks are needed are known beforehand.

    Returns
    -------
    int
        Iterations done; the batch is then as it would be at the next formation (blocks not yet taken if > 0).
    """
    c = state.counters[0]
    f = state.flights[flight]
    size = f.members
    most = np.iinfo(np.int64).max
    grow_at = np.zeros(limits.block_tokens, np.int64)
    for i in range(size):
        r = state.requests[state.members[flight, i]]
        most = min(most, r.prefill_tokens + r.decode_tokens - r.processed - 1)
        if limits.reserve_blocks == 0:
            grow_at[(r.blocks * limits.block_tokens - r.processed + 1) % limits.block_tokens] += 1
    done = 0
    share, share_step = 0.0, 0.0  # sums of energy / weight, and of it times the iteration's number
    energy_j, busy_s, flops_sum, bytes_sum = 0.0, 0.0, 0.0, 0.0
    used = 0
    while done < most:
        if done > 0:
            blocks = grow_at[done % limits.block_tokens]
            if c.free_blocks - used - blocks < 1:
                break  # somebody may have to be evicted: the policy decides
        else:
            blocks = 0
        attention_s = decode_attention_s(tables, size, context)
        cached = context + size
        cost = stage_cost(tables, law, True, size, size, attention_s, float(cached), cached)
        seconds, mfu, mbu, watts = cost
        ends_at = c.now + seconds
        if ends_at >= stop_at or (c.log_on == 1 and c.logged >= len(state.log)):
            break
        used += blocks
        flops_per_s = mfu * tables.peak_flops * gpus
        bytes_per_s = mbu * tables.peak_bytes * gpus
        joules = watts * gpus * seconds
        weight = split[0] * size + split[1] * cached
        share += joules / weight
        share_step += joules / weight * done
        energy_j += joules
        if len(bins) == 1:
            busy_s += seconds
            flops_sum += flops_per_s * seconds
            bytes_sum += bytes_per_s * seconds
        else:
            meter(bins, begins_at, width_s, (c.now, ends_at, 0.0, watts * gpus, flops_per_s, bytes_per_s))
        if c.log_on == 1:
            _take_arrivals(state)  # those who wait behind a blocked queue, for the record
            c.free_blocks -= used
            _log(state, limits, 0, c.now, (size, size, 0, size), cost)
            c.free_blocks += used
        c.kv_block_s += (limits.total_blocks - c.free_blocks + used) * seconds
        c.batches += 1
        c.now = ends_at
        context += size
        done += 1
    if done == 0:
        return 0
    if len(bins) == 1:
        bins[0, DECODE_J] += energy_j
        bins[0, BUSY_S] += busy_s
        bins[0, FLOPS] += flops_sum
        bins[0, BYTES] += bytes_sum
    c.free_blocks -= used
    c.decode_tokens += done * size
    c.batch_sizes += done * size
    c.attributed_j += energy_j
    state.stage_free_at[0] = c.now
    for i in range(size):
        r = state.requests[state.members[flight, i]]
        r.decode_j += share * (split[0] + split[1] * (r.processed + 1)) + split[1] * share_step
        r.processed += done
        if limits.reserve_blocks == 0:
            # the blocks of iterations 2..done; the one after takes its own when it is formed
            r.blocks = max(r.blocks, blocks_for(r.processed - 1, limits))
    return done


@compiled
def advance(
    state: State,
    limits: Limits,
    tables: StageTables,
    law: PowerLaw,
    split: tuple[float, float],
    gpus: int,
    bins: NDArray[np.float64],
    begins_at: float,
    width_s: float,
    until: float,
) -> tuple[int, int]:
    """Simulate the replica up to, not including, time `until`.

    Parameters
    ----------
    state, limits, tables, law
        The replica.
    split
        Weights (per token, per token pair) by which a batch's energy is split among its requests.
    gpus
        GPUs per stage.
    bins
        Metered work per interval, columns `PREFILL_J`...; shape (n, 5); added to.
    begins_at, width_s
        Start of the first bin and width of each, s.
    until
        End of this call, s; not after the end of the last bin.

    Returns
    -------
    tuple
        `DONE`, or `COLLECT` when `finished` or `log` is nearly full; and the requests completed so far.
    """
    c = state.counters[0]
    while True:
        if c.forming == 0:
            next_end = np.inf
            if c.flights > 0:
                next_end = state.flights[c.flight_head].ends_at
            next_arrival = _next_arrival(state)
            at = min(next_end, next_arrival)
            if c.queue_size > 0 and c.now < c.serves_from:
                at = min(at, c.serves_from)
            if at >= until:
                break
            if c.finished + len(state.ready) > len(state.finished):
                return COLLECT, c.completed
            c.kv_block_s += (limits.total_blocks - c.free_blocks) * (at - c.now)
            c.now = at
            _take_arrivals(state)
            if next_end == at:
                flight = c.flight_head
                for stage in range(limits.stages):
                    meter(bins, begins_at, width_s, _segment(state, flight, stage))
                _land(state, split, flight)
                c.flight_head = (flight + 1) % limits.stages
                c.flights -= 1
            c.forming = 1
        while c.forming == 1:
            if c.flights == limits.stages or c.now < c.serves_from:
                c.forming = 0
                break
            if c.log_on == 1 and c.logged + limits.stages > len(state.log):
                return COLLECT, c.completed
            flight = (c.flight_head + c.flights) % limits.stages
            f = state.flights[flight]
            f.members = 0
            f.tokens = 0
            c.evicted_now = 0
            form_batch(state, limits, flight)
            if f.members == 0:
                c.forming = 0
                break
            work = batch_work(state, tables, flight)
            if limits.stages == 1 and f.prefills == 0 and c.ready_size == 0 and c.evicted_now == 0:
                # arrivals matter only if they could be admitted: behind a blocked queue they just wait
                stop_at = until
                if c.queue_size == 0:
                    stop_at = min(until, _next_arrival(state))
                done = _run_decodes(
                    state,
                    limits,
                    tables,
                    law,
                    split,
                    gpus,
                    flight,
                    work[0],
                    bins,
                    begins_at,
                    width_s,
                    stop_at,
                )
                if done > 0:
                    for i in range(f.members):
                        state.ready[i] = state.members[flight, i]
                    c.ready_size = f.members
                    _take_arrivals(state)
                    continue
            _launch(state, limits, tables, law, split, gpus, flight, work)
    c.kv_block_s += (limits.total_blocks - c.free_blocks) * (until - c.now)
    c.now = until
    return DONE, c.completed


@compiled
def meter_in_flight(
    state: State, limits: Limits, bins: NDArray[np.float64], begins_at: float, width_s: float
) -> None:
    """Add what the batches still in flight do within the bins; called once, when the bins' time is over."""
    c = state.counters[0]
    for k in range(c.flights):
        flight = (c.flight_head + k) % limits.stages
        for stage in range(limits.stages):
            meter(bins, begins_at, width_s, _segment(state, flight, stage))
