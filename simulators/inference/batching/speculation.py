"""Speculative decoding: tokens are drafted for each decode, verified in one iteration, kept as far as they are right.

A decode of a batch stands for 1 + `Limits.depth` tokens (fewer where the batch has no room for more): the one sampled
last and those drafted after it. The model computes all of them at once; of the drafted ones the first few are accepted,
up to the first that is wrong, and the model's own token follows. So a request gains 1 to depth + 1 tokens, never more
than it is to get; what is rejected took time, energy and KV blocks (Leviathan et al. 2023, arXiv:2211.17192, section
2.3; vLLM documentation, "Speculative Decoding").

How many are accepted is drawn from `acceptance` with a number that depends on the seed, the request and how far it has
come, nothing else: a run is the same whatever the steps, threads and routes by which it is computed.

Drafting (`StageTables`, `with_drafting`) happens on the last stage, in the iteration that verifies what is drafted.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulators.inference.batching.cost import (
    batch_work,
    decode_attention_s,
    mixed_attention_s,
    prefill_attention_s,
    prompt_attention_s,
    stage_constants,
    stage_cost,
    stage_rates,
)
from simulators.inference.batching.drafts import decode_drafts, prompt_drafts
from simulators.inference.batching.events import COLLECT, DONE, next_event_s, pass_time
from simulators.inference.batching.flight import launch, with_fetch
from simulators.inference.batching.host import lacks_room
from simulators.inference.batching.intake import next_arrival_s, take_arrivals
from simulators.inference.batching.loop import (
    decode_ahead,
    end_batch,
    form_batch,
    hits_may_change,
)
from simulators.inference.batching.ranks import on_busiest_rank
from simulators.inference.batching.shares import (
    count_batch,
    count_decodes,
    line_up_again,
    line_up_for_batch,
    take_places,
    turn_may_come,
)
from simulators.inference.batching.state import OFF, Limits, State
from simulators.inference.compiled import borrowed, compiled
from simulators.inference.power.law import PowerLaw
from simulators.inference.timing.tables import LOOKUP, MIXED, StageTables

LOW = 0xFFFFFFFF
GOLDEN = 0x9E3779B9


@compiled
def times(a: int, b: int) -> int:
    """The last 32 bits of the product of two numbers below 2^32, none of the way above 2^63."""
    return ((a & 0xFFFF) * b + ((((a >> 16) * b) & 0xFFFF) << 16)) & LOW


@compiled
def mixed(h: int) -> int:
    """32 bits of which each depends on all of the given ones (A. Appleby, MurmurHash3, `fmix32`)."""
    h ^= h >> 16
    h = times(h, 0x85EBCA6B)
    h ^= h >> 13
    h = times(h, 0xC2B2AE35)
    return h ^ (h >> 16)


@compiled
def drawn(key: int, request_id: int, processed: int) -> float:
    """A number in [0, 1), evenly distributed, for one verification of one request.

    A request is at a given number of tokens in one verification only, evictions or not, so that tells them apart.
    """
    h = mixed((key + GOLDEN) & LOW)
    h = mixed(h ^ (request_id & LOW))
    h = mixed(h ^ ((request_id >> 32) & LOW))
    h = mixed(h ^ (processed & LOW))
    return h / 4294967296.0


@compiled
def gained(state: State, slot: int, tokens: int) -> int:
    """Tokens that a decode gains when `tokens` of its tokens are computed; the drafted ones among them are verified."""
    c = state.counters[0]
    r = state.requests[slot]
    u = drawn(c.key, r.request_id, r.processed)
    accepted = 0
    while accepted < tokens - 1 and u < c.acceptance[accepted]:
        accepted += 1
    return int(min(1 + accepted, r.prefill_tokens + r.decode_tokens - r.processed))


@compiled
def verify(state: State, limits: Limits, split: tuple[float, float], flight: int) -> None:
    """What a batch that ends now has verified: decodes stand in it with the tokens they gain from here on.

    `land` hands the batch's energy out by the weight of tokens, drafts and all. What each request bears instead is
    booked here as the difference: the model's own iteration by what was computed for it, rejected tokens included, and
    the drafts evenly by what they were made for.
    """
    c = state.counters[0]
    f = state.flights[flight]
    own, all_j = (f.energy_j - f.drafts_j) / f.weight, f.energy_j / f.weight
    for i in range(f.members):
        slot = state.members[flight, i]
        q = state.chunks[flight, i]
        r = state.requests[slot]
        joules = own * (split[0] * q + split[1] * q * (q + r.processed))
        if r.prefilled == 0:
            draft_j = f.prompt_draft_j * q
            r.prefill_j += joules + draft_j - all_j * (split[0] * q + split[1] * q * (q + r.processed))
            r.cached_j += (own - all_j) * split[1] * q * r.hit_tokens
            r.prompt_draft_j += draft_j
        else:
            gain = gained(state, slot, q)
            rejected_j = joules * (q - gain) / q
            draft_j = f.draft_j
            r.decode_j += (
                joules + draft_j - all_j * (split[0] * gain + split[1] * gain * (gain + r.processed))
            )
            r.rejected_j += rejected_j
            c.rejected_j += rejected_j
            c.verifications += 1
            c.drafted += limits.depth
            c.verified += q - 1
            c.accepted += gain - 1
            c.decode_tokens += gain - 1  # `land` counts one
            state.chunks[flight, i] = gain
        r.draft_j += draft_j
        c.draft_j += draft_j


@compiled
def verification_work(state: State, tables: StageTables, flight: int) -> tuple[int, int, float, float, int]:
    """`batch_work` of a batch whose decodes are verifications.

    The context of a decode is read once for all its tokens, up to the last of them; its arithmetic is that of each.
    """
    f = state.flights[flight]
    context, cached, prefill_tokens, longest, prompt_context = 0, 0, 0, 0, 0
    pairs, verified, squares, each_s = 0.0, 0.0, 0.0, 0.0
    f.prefills, f.decodes = 0, 0
    for i in range(f.members):
        r = state.requests[state.members[flight, i]]
        q = state.chunks[flight, i]
        cached += q + r.processed
        pairs += float(q) * float(q + r.processed)
        if r.prefilled == 1:
            f.decodes += 1
            context += r.processed + q - 1
            verified += float(q) * float(q + r.processed)
            continue
        f.prefills += 1
        prefill_tokens += q
        longest = max(longest, q)
        if tables.mode == LOOKUP:
            squares += float(q) * float(q)
            prompt_context += (r.processed + tables.kv_step - 1) // tables.kv_step * tables.kv_step
        else:
            each_s += prompt_attention_s(tables, q, r.processed)
    attention_s = 0.0
    if tables.mode == MIXED and f.decodes > 0 and f.prefills > 0:
        attention_s = mixed_attention_s(tables, f.decodes, context, longest)
    elif tables.mode == LOOKUP and f.decodes > 0:
        attention_s = looked_up_s(tables, f.decodes, context)
    elif f.decodes > 0:
        attention_s = decode_attention_s(tables, f.decodes, context)
    if f.tokens - prefill_tokens > f.decodes:
        pair_s = tables.decode_s[0, tables.decode_s.shape[1] - 1]
        attention_s = max(attention_s, pair_s * verified)
    attention_s += prefill_attention_s(tables, f.prefills, squares, prompt_context, each_s)
    return context, cached, pairs, attention_s, prefill_tokens


@compiled
def looked_up_s(tables: StageTables, decodes: int, context: int) -> float:
    """`decode_attention_s` by `LOOKUP`, of a table in which columns of drafting follow those of attention, s."""
    row, last = min(decodes, len(tables.decode_s) - 1), len(tables.decode_kv) - 1
    k = (context // decodes + tables.kv_step - 1) // tables.kv_step
    seconds = tables.decode_s[row, min(k, last)]
    if k > last:
        seconds += (k - last) * (seconds - tables.decode_s[row, last - 1])
    return float(seconds * tables.shared_factor if decodes > 1 else seconds)


@compiled
def draft(
    state: State,
    limits: Limits,
    tables: StageTables,
    law: PowerLaw,
    gpus: int,
    flight: int,
    work: tuple[int, int, float, float, int],
) -> None:
    """Draft on the last stage, before a batch that has just been sent off verifies there what is drafted.

    The last stage also samples from every token that it verifies, so its cost is counted anew.

    Parameters
    ----------
    state, limits, tables, law, gpus
        The replica.
    flight, work
        The batch, and its `verification_work`.
    """
    c = state.counters[0]
    f = state.flights[flight]
    last = limits.stages - 1
    s = state.segments[flight, last]
    context, cached, pairs, attention_s, prefill_tokens = work
    before_s = s.ends_at - s.starts_at
    prefill_share = s.prefill_w / (s.prefill_w + s.decode_w) if f.prefills > 0 else 0.0
    f.energy_j -= (s.prefill_w + s.decode_w) * before_s
    sampled = f.members + f.tokens - prefill_tokens - f.decodes
    constants = stage_constants(tables, law, True, f.tokens, sampled)
    cost = stage_cost(law, constants, stage_rates(tables), attention_s, pairs, cached)
    own_s, mfu, mbu, watts = with_fetch(state, law, flight, cost)
    decodes = decode_drafts(tables, law, f.decodes, context)
    prompts = prompt_drafts(tables, law, prefill_tokens)
    seconds = own_s + decodes[0] + prompts[0]
    own_j = watts * own_s
    s.prefill_w = (own_j * prefill_share + prompts[1]) * gpus / seconds
    s.decode_w = (own_j * (1.0 - prefill_share) + decodes[1]) * gpus / seconds
    s.flops_per_s = (mfu * tables.peak_flops * own_s + decodes[2] + prompts[2]) * gpus / seconds
    s.bytes_per_s = (mbu * tables.peak_bytes * own_s + decodes[3] + prompts[3]) * gpus / seconds
    s.ends_at = s.starts_at + seconds
    f.ends_at = s.ends_at
    state.stage_free_at[last] = s.ends_at
    f.draft_j = decodes[1] * gpus / max(1, f.decodes)
    f.prompt_draft_j = prompts[1] * gpus / max(1, prefill_tokens)
    f.drafts_j = (decodes[1] + prompts[1]) * gpus
    f.energy_j = max(0.0, f.energy_j) if last > 0 else 0.0
    f.energy_j += own_j * gpus + f.drafts_j
    if c.log_on == 1:
        row = state.log[c.logged - 1]
        row.duration_s = seconds
        row.mfu = s.flops_per_s / (tables.peak_flops * gpus)
        row.mbu = s.bytes_per_s / (tables.peak_bytes * gpus)
        row.power_w = (s.prefill_w + s.decode_w) / gpus


@compiled
def decode_on_by_turns(
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
    until: float,
) -> bool:
    """As `loop.decode_ahead` with shares: up to the next arrival, which joins those who wait as they are then."""
    c = state.counters[0]
    if turn_may_come(state, limits, flight) or hits_may_change(state, limits, flight):
        return False
    members, before = state.flights[flight].members, c.decode_tokens
    stop_at = min(until, next_arrival_s(state))
    if not decode_ahead(
        state, limits, tables, law, split, gpus, flight, context, bins, begins_at, width_s, stop_at
    ):
        return False
    count_decodes(state, flight, (c.decode_tokens - before) // members)
    return True


@compiled
def form_batches(
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
) -> bool:
    """As `loop.form_batches`; speculating, one iteration after the other: how far requests come is known at its end."""
    c = state.counters[0]
    while c.flights < limits.stages and c.now >= c.serves_from:
        if c.log_on == 1 and c.logged + limits.stages > len(state.log):
            return False
        if limits.cache != OFF and lacks_room(state, limits):
            return False
        flight = (c.flight_head + c.flights) % limits.stages
        f = state.flights[flight]
        f.members = 0
        f.tokens = 0
        f.fetched = 0
        c.evicted_now = 0
        c.held_back = 0
        if c.shares > 0:
            line_up_for_batch(state, limits)
        form_batch(state, limits, flight)
        if c.shares > 0:
            line_up_again(state)
        if f.members == 0:
            break
        speculates = limits.depth > 0
        work = verification_work(state, tables, flight) if speculates else batch_work(state, tables, flight)
        alone = limits.stages == 1 and f.prefills == 0 and c.ready_size == 0 and c.evicted_now == 0
        if (
            alone
            and c.held_back == 0
            and not speculates
            and decode_on_by_turns(
                state, limits, tables, law, split, gpus, flight, work[0], bins, begins_at, width_s, until
            )
        ):
            continue
        if tables.prefill_s.shape[1] > len(tables.prefill_kv):  # data-parallel ranks
            work = on_busiest_rank(state, tables, flight, work)
        launch(state, limits, tables, law, split, gpus, flight, work)
        if speculates:
            draft(state, limits, tables, law, gpus, flight, work)
    c.forming = 0
    return True


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
    """`loop.advance` of a replica that speculates, or whose tenants have shares.

    A loop of its own: the same functions with branches for both made the plain one a third slower.
    """
    state, tables, law, bins = borrowed((state, tables, law, bins))
    c = state.counters[0]
    while True:
        if c.forming == 0:
            at, next_end = next_event_s(state)
            if at >= until:
                break
            if c.finished + len(state.ready) > len(state.finished):
                return COLLECT, c.completed
            pass_time(state, limits, at)
            take_arrivals(state)
            if c.shares > 0:
                take_places(state)
            if next_end == at:
                if limits.depth > 0:
                    verify(state, limits, split, c.flight_head)
                if c.shares > 0:
                    count_batch(state, c.flight_head)
                end_batch(state, limits, split, bins, begins_at, width_s)
            c.forming = 1
        if not form_batches(state, limits, tables, law, split, gpus, bins, begins_at, width_s, until):
            return COLLECT, c.completed
    pass_time(state, limits, until)
    return DONE, c.completed
