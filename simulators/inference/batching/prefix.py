"""The prefix cache: KV blocks one by one, found by what is in them, reused and overwritten as vLLM v1 does it.

A block that is full is known by a key (what it and all before it hold). A request that is admitted takes over the
blocks known by the keys of its prompt, from the first one on without a gap, and computes the rest; its last token is
always computed. Requests share such blocks, which count once. Who gives blocks back lines them up for reuse, the last
of them first, and there they stay known until one is overwritten: the one that has waited longest goes first (vLLM
documentation, "Automatic Prefix Caching", design of v1).

A prompt has many blocks, most of them alone in their bucket. That case is written out in the loops over blocks: every
call that takes arrays counts references to them, which costs more than all the rest.

With `UNLIMITED` nothing that is known is ever overwritten, as if a tier without end and without cost lay behind the KV
cache: the bound of every cache. What requests hold at once is bounded as ever.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulators.inference.batching.state import (
    AFTER,
    BEFORE,
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
    buckets_for,
    cache_size,
    empty_cache,
)
from simulators.inference.compiled import compiled

Cache = NDArray[np.int64]
"""The columns `KEY`... of every block; shape (blocks, columns)."""
Buckets = NDArray[np.int64]
"""The first block of every bucket; shape (`buckets_for` blocks,)."""


@compiled
def cache_of(state: State) -> Cache:
    """The KV blocks one by one, behind the scratch in `spare`."""
    first, blocks = len(state.ready), state.counters[0].blocks
    return state.spare[first : first + COLUMNS * blocks].reshape((blocks, COLUMNS))


@compiled
def buckets_of(state: State) -> Buckets:
    """The buckets by which blocks are found, behind the blocks."""
    blocks = state.counters[0].blocks
    first = len(state.ready) + COLUMNS * blocks
    return state.spare[first : first + buckets_for(blocks)]


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
def find(cache: Cache, buckets: Buckets, key: int) -> int:
    """The block that has been known by a key for longest; -1 if none is."""
    block = buckets[key & (len(buckets) - 1)]
    while block >= 0 and cache[block, KEY] != key:
        block = cache[block, CHAINED]
    return int(block)


@compiled
def remember(cache: Cache, buckets: Buckets, block: int, key: int) -> None:
    """Make a block known by a key, after those that are already."""
    cache[block, KEY] = key
    cache[block, CHAINED] = -1
    bucket = key & (len(buckets) - 1)
    last = buckets[bucket]
    if last < 0:
        buckets[bucket] = block
        return
    while cache[last, CHAINED] >= 0:
        last = cache[last, CHAINED]
    cache[last, CHAINED] = block


@compiled
def forget(cache: Cache, buckets: Buckets, block: int) -> None:
    """Make a block unknown: it is to be overwritten."""
    bucket = cache[block, KEY] & (len(buckets) - 1)
    at = buckets[bucket]
    if at == block:
        buckets[bucket] = cache[block, CHAINED]
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
    """Blocks at the start of a waiting request that are known, and how many of them somebody holds.

    They are put down in the request's table, for `share`.
    """
    cache, of, table = cache_of(state), known_by(state, slot), table_of(state, limits, slot)
    buckets, spare = buckets_of(state), state.spare
    top = len(buckets) - 1
    end = (state.requests[slot].target - 1) // limits.block_tokens
    known, held = 0, 0
    while known < end:
        upto = of_one_hash(of, limits, known, end)
        key = key_of(state.spare, of, limits, known)
        step = 1 if key >= 0 else -1
        for number in range(known, upto):
            block = buckets[key & top]
            while block >= 0 and cache[block, KEY] != key:
                block = cache[block, CHAINED]
            if block < 0:
                return known, held
            spare[table + number] = block
            if cache[block, REFS] > 0:
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
    for number in range(known):
        block = spare[table + number]
        if cache[block, REFS] == 0:
            if limits.cache != UNLIMITED:
                before, after = cache[block, BEFORE], cache[block, AFTER]
                if before >= 0 and after >= 0:
                    cache[before, AFTER] = after
                    cache[after, BEFORE] = before
                    c.reusable -= 1
                else:
                    take_out(state.counters, cache, block)
            c.free_blocks -= 1
        cache[block, REFS] += 1
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
    if blocks == 0:
        return
    c = state.counters[0]
    r = state.requests[slot]
    cache, at = cache_of(state), table_of(state, limits, slot) + r.blocks
    buckets, spare = buckets_of(state), state.spare
    top = len(buckets) - 1
    block, overwritten = c.reuse_first, 0
    for number in range(at, at + blocks):
        key = cache[block, KEY]
        if key != NO_KEY:
            if buckets[key & top] == block:
                buckets[key & top] = cache[block, CHAINED]
                cache[block, KEY] = NO_KEY
            else:
                forget(cache, buckets, block)
            overwritten += 1
        cache[block, REFS] = 1
        spare[number] = block
        block = cache[block, AFTER]
    c.reuse_first = block
    if block >= 0:
        cache[block, BEFORE] = -1
    else:
        c.reuse_last = -1
    c.overwritten += overwritten
    c.reusable -= blocks
    c.free_blocks -= blocks
    r.blocks += blocks


@compiled
def fill(state: State, limits: Limits, slot: int, before: int, after: int) -> None:
    """Make known the blocks that become full when a request's cache grows from `before` to `after` tokens.

    Those that are known already stay so: with speculation `before` is only a bound.
    """
    number, end = before // limits.block_tokens, after // limits.block_tokens
    if number == end:
        return
    cache, table, of = cache_of(state), table_of(state, limits, slot), known_by(state, slot)
    buckets, spare = buckets_of(state), state.spare
    top = len(buckets) - 1
    while number < end:
        upto = of_one_hash(of, limits, number, end)
        key = key_of(state.spare, of, limits, number)
        step = 1 if key >= 0 else -1
        for at in range(table + number, table + upto):
            block = spare[at]
            if cache[block, KEY] != NO_KEY:  # known before
                pass
            elif buckets[key & top] < 0:
                cache[block, KEY] = key
                cache[block, CHAINED] = -1
                buckets[key & top] = block
            else:
                remember(cache, buckets, block, key)
            key += step
        number = upto


@compiled
def give_back(state: State, limits: Limits, slot: int, ended: bool) -> None:
    """Take all blocks from a request, the last first; those that nobody else holds may be reused."""
    c = state.counters[0]
    r = state.requests[slot]
    cache, table = cache_of(state), table_of(state, limits, slot)
    buckets, spare = buckets_of(state), state.spare
    last, freed, waiting = c.reuse_last, 0, 0
    for at in range(table + r.blocks - 1, table - 1, -1):
        block = spare[at]
        cache[block, REFS] -= 1
        if cache[block, REFS] > 0:
            continue
        freed += 1
        if limits.cache == UNLIMITED:
            if ended and cache[block, KEY] < 0:  # nobody will ask for it again
                forget(cache, buckets, block)
            if cache[block, KEY] != NO_KEY:
                continue
        # behind all others that may be reused
        cache[block, BEFORE] = last
        cache[block, AFTER] = -1
        if last >= 0:
            cache[last, AFTER] = block
        else:
            c.reuse_first = block
        last = block
        waiting += 1
    c.reuse_last = last
    c.reusable += waiting
    c.free_blocks += freed
    r.blocks = 0


@compiled
def move(old: Cache, old_buckets: Buckets, state: State) -> None:
    """Fill a state's larger cache with what a smaller one held; blocks keep their numbers, equal keys their order."""
    cache, buckets = cache_of(state), buckets_of(state)
    buckets[:] = -1
    cache[: len(old)] = old
    for bucket in range(len(old_buckets)):
        block = old_buckets[bucket]
        while block >= 0:
            remember(cache, buckets, block, old[block, KEY])
            block = old[block, CHAINED]
    c = state.counters[0]
    last = c.reuse_last
    for block in range(len(old), len(cache)):
        cache[block, KEY], cache[block, REFS] = NO_KEY, 0
        cache[block, BEFORE], cache[block, AFTER], cache[block, CHAINED] = last, -1, -1
        if last >= 0:
            cache[last, AFTER] = block
        else:
            c.reuse_first = block
        last = block
    c.reuse_last = last
    c.reusable += len(cache) - len(old)


def forget_all(state: State) -> None:
    """Forget everything: the memory of a replica that holds no request was given up."""
    c, first = state.counters[0], len(state.ready)
    state.spare[first : first + cache_size(c.blocks)] = empty_cache(c.blocks)
    c.reuse_first, c.reuse_last, c.reusable = 0, c.blocks - 1, c.blocks


def enlarged(state: State, blocks: int) -> State:
    """The same replica with so many KV blocks kept one by one (at least as many as before)."""
    start, old, old_buckets = len(state.ready), cache_of(state), buckets_of(state)
    c = state.counters[0]
    before, after = cache_size(c.blocks), cache_size(blocks)
    c.blocks = blocks
    c.table_end += after - before
    state.requests["table_at"] += after - before
    spare = np.empty(len(state.spare) + after - before, np.int64)
    spare[:start] = state.spare[:start]
    spare[start + after :] = state.spare[start + before :]
    state = state._replace(spare=spare)
    move(old, old_buckets, state)
    return state
