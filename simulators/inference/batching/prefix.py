"""The prefix cache: KV blocks one by one, found by what is in them, reused and overwritten as vLLM v1 does it.

A block that is full is known by a key (what it and all before it hold). A request that is admitted takes over the
blocks known by the keys of its prompt, from the first one on without a gap, and computes the rest; its last token is
always computed. Requests share such blocks, which count once. Who gives blocks back lines them up for reuse, the last
of them first, and there they stay known until one is overwritten: the one that has waited longest goes first (vLLM
documentation, "Automatic Prefix Caching", design of v1).

With `UNLIMITED` nothing that is known is ever overwritten, as if a tier without end and without cost lay behind the KV
cache: the bound of every cache. What requests hold at once is bounded as ever.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulators.inference.batching.blocks import (
    END,
    FIRST,
    NO_KEY,
    NONE,
    Blocks,
    blocks_at,
    copy,
    empty_blocks,
    find,
    forget,
    line_up,
    make_places,
    next_in_line,
    remember,
    size_of,
)
from simulators.inference.batching.state import PRIVATE, UNLIMITED, Limits, State
from simulators.inference.compiled import compiled, inlined


@inlined
def cache_of(state: State) -> Blocks:
    """The KV blocks one by one, behind the scratch in `spare`."""
    return blocks_at(state.spare, len(state.ready), state.counters[0].blocks)


@compiled
def known_by(state: State, slot: int) -> tuple[int, int, int]:
    """What the keys of a request are made of: where its hashes stand, how many tokens they cover, its number."""
    r = state.requests[slot]
    return r.table_at, r.hashed_tokens, r.serial


@compiled
def of_one_hash(of: tuple[int, int, int], limits: Limits, number: int, end: int) -> int:
    """Up to which block, before `end`, those from `number` on are of one hash, or all of none; a division for many."""
    covered = of[1] // limits.block_tokens
    if number >= covered:
        return end
    each = limits.hash_tokens // limits.block_tokens
    return int(min(end, covered, (number // each + 1) * each))


@compiled
def key_of(spare: NDArray[np.int64], of: tuple[int, int, int], limits: Limits, number: int) -> int:
    """What block `number` of a request (`known_by`) is known by, once it is full.

    From the request's hashes as far as they go; the blocks behind are known to the request alone, which finds them
    again after an eviction. Keys of blocks of one hash follow one another, and so do those of none, downwards.
    """
    table_at, hashed_tokens, serial = of
    if (number + 1) * limits.block_tokens <= hashed_tokens:
        each = limits.hash_tokens // limits.block_tokens
        return int(spare[table_at + number // each] * each + number % each)
    return int(-1 - (serial * PRIVATE + number))


@compiled
def table_of(state: State, limits: Limits, slot: int) -> int:
    """Where in `spare` the blocks of a request stand: behind its hashes."""
    r = state.requests[slot]
    return int(r.table_at - (-r.hashed_tokens // limits.hash_tokens))


@compiled
def matched(state: State, limits: Limits, slot: int) -> tuple[int, int]:
    """Blocks at the start of a waiting request that are known, and how many of them somebody holds.

    They are put down in the request's table, for `share`.
    """
    cache, of, table = cache_of(state), known_by(state, slot), table_of(state, limits, slot)
    spare = state.spare
    end = (state.requests[slot].target - 1) // limits.block_tokens
    known, held = 0, 0
    while known < end:
        upto = of_one_hash(of, limits, known, end)
        key = key_of(spare, of, limits, known)
        step = 1 if key >= 0 else -1
        for number in range(known, upto):
            block = find(cache, key)
            if block < 0:
                return known, held
            spare[table + number] = block
            if cache.held[block] > 0:
                held += 1
            key += step
            known += 1
    return known, held


@compiled
def share(state: State, limits: Limits, slot: int, known: int) -> None:
    """Give a request the first `known` blocks of its prompt (`matched`); count them when it first comes."""
    c = state.counters[0]
    r = state.requests[slot]
    cache, table, spare = cache_of(state), table_of(state, limits, slot), state.spare
    freed, waited = 0, 0
    for number in range(known):
        block = spare[table + number]
        held = cache.held[block]
        if held < 0:
            cache.line[-1 - held] = NONE
            waited += 1
        if held <= 0:
            held = 0
            freed += 1
        cache.held[block] = held + 1
    c.free_blocks -= freed
    c.reusable -= waited
    r.blocks = known
    r.hit_tokens = known * limits.block_tokens
    r.processed = r.hit_tokens
    if r.restarts == 0:
        r.cached_tokens = r.hit_tokens
        c.prompt_tokens += r.prefill_tokens
        c.hit_tokens += r.hit_tokens
        c.prompt_blocks -= -r.prefill_tokens // limits.hash_tokens
        c.hit_blocks += r.hit_tokens // limits.hash_tokens


@inlined
def next_block(cache: Blocks, first: int) -> tuple[int, int, int]:
    """The block that has waited longest, from place `first` of the line on, for one request, and no longer known; the
    place behind it; blocks overwritten, 0 or 1."""
    first = next_in_line(cache, first)
    block = cache.line[first & (len(cache.line) - 1)]
    overwritten = 0
    if cache.keys[block] != NO_KEY:
        forget(cache, block)
        overwritten = 1
    cache.held[block] = 1
    return int(block), first + 1, overwritten


@inlined
def count_taken(state: State, slot: int, blocks: int, overwritten: int) -> None:
    """A request has so many blocks more."""
    c = state.counters[0]
    c.overwritten += overwritten
    c.reusable -= blocks
    c.free_blocks -= blocks
    state.requests[slot].blocks += blocks


@compiled
def take(state: State, limits: Limits, slot: int, blocks: int) -> None:
    """Give a request so many blocks more, those that have waited longest for reuse."""
    if blocks == 0:
        return
    cache, spare = cache_of(state), state.spare
    at = table_of(state, limits, slot) + state.requests[slot].blocks
    first, overwritten = cache.ends[FIRST], 0
    for number in range(at, at + blocks):
        block, first, known = next_block(cache, first)
        overwritten += known
        spare[number] = block
    cache.ends[FIRST] = first
    count_taken(state, slot, blocks, overwritten)


@compiled
def take_full(state: State, limits: Limits, slot: int, blocks: int, before: int, after: int) -> None:
    """`take` and `fill` at once, for what is written into the blocks that are taken: most of a prompt."""
    number = int(state.requests[slot].blocks)
    end = min(after // limits.block_tokens, number + blocks)
    if before // limits.block_tokens < number:
        fill(state, limits, slot, before, min(after, number * limits.block_tokens))
    full = end - number
    if full > 0:
        cache, table, of = cache_of(state), table_of(state, limits, slot), known_by(state, slot)
        spare = state.spare
        first, overwritten = cache.ends[FIRST], 0
        while number < end:
            upto = of_one_hash(of, limits, number, end)
            key = key_of(spare, of, limits, number)
            step = 1 if key >= 0 else -1
            for at in range(table + number, table + upto):
                block, first, known = next_block(cache, first)
                overwritten += known
                spare[at] = block
                remember(cache, block, key)
                key += step
            number = upto
        cache.ends[FIRST] = first
        count_taken(state, slot, full, overwritten)
        blocks -= full
    take(state, limits, slot, blocks)


@compiled
def fill(state: State, limits: Limits, slot: int, before: int, after: int) -> None:
    """Make known the blocks that become full when a request's cache grows from `before` to `after` tokens.

    Those that are known already stay so: with speculation `before` is only a bound.
    """
    number, end = before // limits.block_tokens, after // limits.block_tokens
    if number == end:
        return
    cache, table, of = cache_of(state), table_of(state, limits, slot), known_by(state, slot)
    spare = state.spare
    while number < end:
        upto = of_one_hash(of, limits, number, end)
        key = key_of(spare, of, limits, number)
        step = 1 if key >= 0 else -1
        for at in range(table + number, table + upto):
            block = spare[at]
            if cache.keys[block] == NO_KEY:
                remember(cache, block, key)
            key += step
        number = upto


@compiled
def give_back(state: State, limits: Limits, slot: int, ended: bool) -> None:
    """Take all blocks from a request, the last first; those that nobody else holds may be reused."""
    c = state.counters[0]
    r = state.requests[slot]
    cache, table, spare = cache_of(state), table_of(state, limits, slot), state.spare
    make_places(cache, r.blocks)
    top = len(cache.line) - 1
    end, freed, waiting = cache.ends[END], 0, 0
    for at in range(table + r.blocks - 1, table - 1, -1):
        block = spare[at]
        held = cache.held[block] - 1
        cache.held[block] = held
        if held > 0:
            continue
        freed += 1
        if limits.cache == UNLIMITED:
            if ended and cache.keys[block] < 0:  # nobody will ask for it again
                forget(cache, block)
            if cache.keys[block] != NO_KEY:
                continue
        cache.line[end & top] = block
        cache.held[block] = -1 - (end & top)
        end += 1
        waiting += 1
    cache.ends[END] = end
    c.reusable += waiting
    c.free_blocks += freed
    r.blocks = 0


def forget_all(state: State) -> None:
    """Forget everything: the memory of a replica that holds no request was given up."""
    c, first = state.counters[0], len(state.ready)
    state.spare[first : first + size_of(c.blocks)] = empty_blocks(c.blocks, waiting=True)
    c.reusable = c.blocks


@compiled
def line_up_all(of: Blocks, first: int) -> None:
    """Put the blocks from number `first` on into line."""
    for block in range(first, len(of.keys)):
        line_up(of, block)


def enlarged(state: State, blocks: int) -> State:
    """The same replica with so many KV blocks kept one by one (at least as many as before)."""
    c, start, old = state.counters[0], len(state.ready), cache_of(state)
    before, after = size_of(c.blocks), size_of(blocks)
    c.reusable += blocks - c.blocks
    c.blocks = blocks
    c.table_end += after - before
    state.requests["table_at"] += after - before
    parts = state.spare[:start], empty_blocks(blocks, waiting=False), state.spare[start + before :]
    state = state._replace(spare=np.concatenate(parts))
    cache = cache_of(state)
    copy(old, cache)
    line_up_all(cache, len(old.keys))
    return state
