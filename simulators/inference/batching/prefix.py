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

from simulators.inference.batching.state import (
    AFTER,
    BEFORE,
    BUCKET,
    CHAINED,
    COLUMNS,
    KEY,
    NO_KEY,
    PRIVATE,
    REFS,
    UNLIMITED,
    Limits,
    RecordArray,
    State,
    empty_cache,
)
from simulators.inference.compiled import compiled

Cache = NDArray[np.int64]
"""The columns `KEY`... of every block; shape (blocks, columns)."""


@compiled
def cache_of(state: State) -> Cache:
    """The KV blocks one by one, behind the scratch in `spare`."""
    first, blocks = len(state.ready), state.counters[0].blocks
    return state.spare[first : first + COLUMNS * blocks].reshape((blocks, COLUMNS))


@compiled
def known_by(state: State, slot: int) -> tuple[int, int, int]:
    """What the keys of a request are made of: where its hashes stand, how many tokens they cover, its number."""
    r = state.requests[slot]
    return r.table_at, r.hashed_tokens, r.serial


@compiled
def key_of(spare: NDArray[np.int64], of: tuple[int, int, int], limits: Limits, number: int) -> int:
    """What block `number` of a request (`known_by`) is known by, once it is full.

    From the request's hashes as far as they go; the blocks behind are known to the request alone, which finds them
    again after an eviction.
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
def find(cache: Cache, key: int) -> int:
    """The block that has been known by a key for longest; -1 if none is."""
    block = cache[key % len(cache), BUCKET]
    while block >= 0 and cache[block, KEY] != key:
        block = cache[block, CHAINED]
    return int(block)


@compiled
def remember(cache: Cache, block: int, key: int) -> None:
    """Make a block known by a key, after those that are already."""
    cache[block, KEY] = key
    cache[block, CHAINED] = -1
    last = cache[key % len(cache), BUCKET]
    if last < 0:
        cache[key % len(cache), BUCKET] = block
        return
    while cache[last, CHAINED] >= 0:
        last = cache[last, CHAINED]
    cache[last, CHAINED] = block


@compiled
def forget(cache: Cache, block: int) -> None:
    """Make a block unknown: it is to be overwritten."""
    bucket = cache[block, KEY] % len(cache)
    at = cache[bucket, BUCKET]
    if at == block:
        cache[bucket, BUCKET] = cache[block, CHAINED]
    else:
        while cache[at, CHAINED] != block:
            at = cache[at, CHAINED]
        cache[at, CHAINED] = cache[block, CHAINED]
    cache[block, KEY] = NO_KEY
    cache[block, CHAINED] = -1


@compiled
def line_up(counters: RecordArray, cache: Cache, block: int) -> None:
    """Put a block behind all others that may be reused."""
    c = counters[0]
    cache[block, BEFORE] = c.reuse_last
    cache[block, AFTER] = -1
    if c.reuse_last >= 0:
        cache[c.reuse_last, AFTER] = block
    else:
        c.reuse_first = block
    c.reuse_last = block
    c.reusable += 1


@compiled
def take_out(counters: RecordArray, cache: Cache, block: int) -> None:
    """Take a block out of those that may be reused, wherever it stands."""
    c = counters[0]
    before, after = cache[block, BEFORE], cache[block, AFTER]
    if before >= 0:
        cache[before, AFTER] = after
    else:
        c.reuse_first = after
    if after >= 0:
        cache[after, BEFORE] = before
    else:
        c.reuse_last = before
    c.reusable -= 1


@compiled
def matched(state: State, limits: Limits, slot: int) -> tuple[int, int]:
    """Blocks at the start of a waiting request that are known, and how many of them somebody holds."""
    cache, of = cache_of(state), known_by(state, slot)
    known, held = 0, 0
    for number in range((state.requests[slot].target - 1) // limits.block_tokens):
        block = find(cache, key_of(state.spare, of, limits, number))
        if block < 0:
            break
        known += 1
        if cache[block, REFS] > 0:
            held += 1
    return known, held


@compiled
def share(state: State, limits: Limits, slot: int, known: int) -> None:
    """Give a request the first `known` blocks of its prompt, which are known; count them when it first comes."""
    c = state.counters[0]
    of = known_by(state, slot)
    r = state.requests[slot]
    cache, table = cache_of(state), table_of(state, limits, slot)
    for number in range(known):
        block = find(cache, key_of(state.spare, of, limits, number))
        if cache[block, REFS] == 0:
            if limits.cache != UNLIMITED:
                take_out(state.counters, cache, block)
            c.free_blocks -= 1
        cache[block, REFS] += 1
        state.spare[table + number] = block
    r.blocks = known
    r.hit_tokens = known * limits.block_tokens
    r.processed = r.hit_tokens
    if r.restarts == 0:
        r.cached_tokens = r.hit_tokens
        c.prompt_tokens += r.prefill_tokens
        c.hit_tokens += r.hit_tokens
        c.prompt_blocks -= -r.prefill_tokens // limits.hash_tokens
        c.hit_blocks += r.hit_tokens // limits.hash_tokens


@compiled
def take(state: State, limits: Limits, slot: int, blocks: int) -> None:
    """Give a request so many blocks more, those that have waited longest for reuse."""
    c = state.counters[0]
    r = state.requests[slot]
    cache, table = cache_of(state), table_of(state, limits, slot)
    for _ in range(blocks):
        block = c.reuse_first
        take_out(state.counters, cache, block)
        if cache[block, KEY] != NO_KEY:
            forget(cache, block)
            c.overwritten += 1
        cache[block, REFS] = 1
        state.spare[table + r.blocks] = block
        r.blocks += 1
    c.free_blocks -= blocks


@compiled
def fill(state: State, limits: Limits, slot: int, before: int, after: int) -> None:
    """Make known the blocks that become full when a request's cache grows from `before` to `after` tokens.

    Those that are known already stay so: with speculation `before` is only a bound.
    """
    cache, table = cache_of(state), table_of(state, limits, slot)
    of = known_by(state, slot)
    for number in range(before // limits.block_tokens, after // limits.block_tokens):
        block = state.spare[table + number]
        if cache[block, KEY] == NO_KEY:
            remember(cache, block, key_of(state.spare, of, limits, number))


@compiled
def give_back(state: State, limits: Limits, slot: int, ended: bool) -> None:
    """Take all blocks from a request, the last first; those that nobody else holds may be reused."""
    c = state.counters[0]
    r = state.requests[slot]
    cache, table = cache_of(state), table_of(state, limits, slot)
    for number in range(r.blocks - 1, -1, -1):
        block = state.spare[table + number]
        cache[block, REFS] -= 1
        if cache[block, REFS] > 0:
            continue
        c.free_blocks += 1
        if limits.cache == UNLIMITED:
            if ended and cache[block, KEY] < 0:  # nobody will ask for it again
                forget(cache, block)
            if cache[block, KEY] != NO_KEY:
                continue
        line_up(state.counters, cache, block)
    r.blocks = 0


@compiled
def move(old: Cache, state: State) -> None:
    """Fill a state's larger cache with what a smaller one held; blocks keep their numbers, equal keys their order."""
    cache = cache_of(state)
    cache[: len(old), REFS : AFTER + 1] = old[:, REFS : AFTER + 1]
    for bucket in range(len(old)):
        block = old[bucket, BUCKET]
        while block >= 0:
            remember(cache, block, old[block, KEY])
            block = old[block, CHAINED]
    for block in range(len(old), len(cache)):
        line_up(state.counters, cache, block)


def enlarged(state: State, blocks: int) -> State:
    """The same replica with so many KV blocks kept one by one (at least as many as before)."""
    start, old = len(state.ready), cache_of(state)
    behind = start + old.size
    c = state.counters[0]
    more = (blocks - len(old)) * COLUMNS
    c.blocks = blocks
    c.table_end += more
    state.requests["table_at"] += more
    spare = (state.spare[:start], empty_cache(blocks).ravel(), state.spare[behind:])
    state = state._replace(spare=np.concatenate(spare))
    move(old, state)
    return state
