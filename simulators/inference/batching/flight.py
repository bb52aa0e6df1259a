"""A batch in flight: sent through the pipeline's stages, and landed with tokens and energy for its members."""

from __future__ import annotations

import numpy as np

from simulators.inference.batching.cost import stage_constants, stage_cost, stage_rates
from simulators.inference.batching.host import beside_fetch, fetch_s, leave
from simulators.inference.batching.meter import log_iteration
from simulators.inference.batching.moves import leaves_with, release
from simulators.inference.batching.state import OFF, Limits, State
from simulators.inference.compiled import compiled, inlined
from simulators.inference.power.law import PowerLaw
from simulators.inference.timing.tables import StageTables


@inlined
def with_fetch(
    state: State, law: PowerLaw, flight: int, cost: tuple[float, float, float, float]
) -> tuple[float, float, float, float]:
    """The cost of a stage (`stage_cost`) with what its batch fetches from host memory."""
    c = state.counters[0]
    if state.flights[flight].fetched == 0:
        return cost
    return beside_fetch(cost, fetch_s(state, flight), c.host_latency_s, c.host_layers, law.idle_w)


@inlined
def launch(
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
    # each request's share of the energy is its share of this weight (see `Attribution` in `replica.py`)
    prefill_weight = 0.0
    f.weight = split[0] * c.beside + split[1] * (c.beside + c.context) if c.beside > 0 else 0.0
    members = f.members + c.beside
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
    rates = stage_rates(tables)
    for stage in range(limits.stages):
        last = stage == limits.stages - 1
        constants = stage_constants(tables, law, last, f.tokens, members)
        cost = with_fetch(state, law, flight, stage_cost(law, constants, rates, attention_s, pairs, cached))
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
            log_iteration(
                state, limits, stage, s.starts_at, (members, f.tokens, prefill_tokens, f.decodes), cost
            )
    f.ends_at = at
    c.formed_at = c.now
    c.flights += 1
    c.batches += 1
    c.batch_sizes += members


@inlined
def land_member(
    state: State, limits: Limits, split: tuple[float, float], slot: int, tokens: int, per_weight: float
) -> bool:
    """Give a request the tokens and the energy of a batch that ends now; True if it was its last one."""
    c = state.counters[0]
    q = tokens
    r = state.requests[slot]
    joules = per_weight * (split[0] * q + split[1] * q * (q + r.processed))
    r.processed += q
    if r.prefilled == 1:
        r.decode_j += joules
        c.decode_tokens += 1
    else:
        r.prefill_j += joules
        if r.hit_tokens > 0:
            r.cached_j += per_weight * split[1] * q * r.hit_tokens
        c.prefill_tokens += q
        if r.processed == r.target:
            r.prefilled = 1
            r.processed += 1  # the prefill samples the next token
            c.decode_tokens += 1
            if np.isnan(r.prefill_completed_at):
                r.prefill_completed_at = c.now
    return bool(r.processed == leaves_with(limits, r.prefill_tokens, r.decode_tokens))


@inlined
def complete(state: State, slot: int) -> None:
    """A request leaves."""
    c = state.counters[0]
    r = state.requests[slot]
    r.completed_at = c.now
    release(state, slot)
    state.finished[c.finished] = r
    c.finished += 1
    c.landed += 1
    c.completed += 1
    c.last_completion = c.now
    state.free[c.free_slots] = slot
    c.free_slots += 1


@compiled
def land(state: State, limits: Limits, split: tuple[float, float], flight: int) -> None:
    """End a batch: every member has its tokens and its energy; finished ones leave, the others are ready again."""
    c = state.counters[0]
    f = state.flights[flight]
    per_weight = f.energy_j / f.weight
    c.landed_at = c.now
    c.landed = 0
    for i in range(f.members):
        slot = state.members[flight, i]
        if land_member(state, limits, split, slot, state.chunks[flight, i], per_weight):
            if limits.cache != OFF:
                leave(state, limits, slot, True)
            complete(state, slot)
        else:
            state.ready[c.ready_size] = slot
            c.ready_size += 1
    c.attributed_j += f.energy_j
