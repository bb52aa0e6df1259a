"""The prefix cache's tier in host memory: blocks that the GPUs overwrite are still found there, and fetched.

A request's full blocks are written when it gives them back (it ended or was evicted): before, nobody overwrites them on
the GPUs. So every full block is written once, as by vLLM's `OffloadingConnector` and SGLang's HiCache with
``write_through``; both write as blocks become full, beside the computation, and so take no time here either. Host
memory has an order of its own: the least recently used goes first, and of a chain its end before its start. A request
that is admitted makes recent what it takes over, on the GPUs or from here.

Where the chain of blocks that the GPUs know ends, it goes on here as far as it does without a gap. What is found takes
blocks of the GPUs as if it were computed, is known there at once, and comes layer by layer while its request's first
batch runs, as HiCache does it (documentation of SGLang, "HiCache System Design and Optimization"): with L layers that
compute for c / L and come in f / L each, one after the other, a batch takes

    latency + max(c, f) + min(c, f) / L

All of a batch waits; GPUs that wait draw what they draw idle. (vLLM fetches before it schedules the request, and others
go on meanwhile: that is left out.) Data-parallel ranks fetch side by side and in lockstep: the busiest one's blocks are
those of the request that has most, or of as many requests of mean size as fall to it. Drafts follow when all is there.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from simulators.inference.batching.blocks import (
    NO_KEY,
    Blocks,
    blocks_at,
    copy,
    empty_blocks,
    find,
    make_last,
    size_of,
    write,
)
from simulators.inference.batching.prefix import (
    cache_of,
    give_back,
    key_of,
    known_by,
    matched,
    of_one_hash,
    share,
    table_of,
    take_full,
)
from simulators.inference.batching.state import UNLIMITED, Limits, State
from simulators.inference.compiled import compiled, inlined


class Fetching(NamedTuple):
    """How blocks come from host memory to the GPUs of a replica.

    Attributes
    ----------
    block_s
        Time for each block, on the link that takes longest, s.
    latency_s
        Of all that is fetched for a batch, s.
    layers
        Of a pipeline stage: it computes one while the next one's blocks come.
    ranks
        Data-parallel ranks: each has links of its own, for the blocks of its own requests.
    """

    block_s: float = 0.0
    latency_s: float = 0.0
    layers: int = 1
    ranks: int = 1


@inlined
def host_of(state: State) -> Blocks:
    """The blocks that host memory has room for, behind those of the GPUs; those in use wait in line, nobody holds
    one."""
    c = state.counters[0]
    return blocks_at(state.spare, len(state.ready) + size_of(c.blocks), c.host_room)


@compiled
def fetchable(state: State, limits: Limits, slot: int, known: int) -> int:
    """Blocks of a waiting request's prompt that host memory has, from where what the GPUs know (`known`) ends."""
    host, of = host_of(state), known_by(state, slot)
    end = (state.requests[slot].target - 1) // limits.block_tokens
    number = known
    while number < end:
        upto = of_one_hash(of, limits, number, end)
        key = key_of(state.spare, of, limits, number)
        step = 1 if key >= 0 else -1
        for at in range(number, upto):
            if find(host, key) < 0:
                return int(at - known)
            key += step
        number = upto
    return int(number - known)


@compiled
def fetch(state: State, limits: Limits, slot: int, flight: int, known: int, fetched: int) -> None:
    """Have blocks fetched for a request that has been given the first `known`, in its batch; count them when it first
    comes."""
    c = state.counters[0]
    r = state.requests[slot]
    if fetched > 0:
        before, after = known * limits.block_tokens, (known + fetched) * limits.block_tokens
        take_full(state, limits, slot, fetched, before, after)
        r.hit_tokens = r.processed = after
        if r.restarts == 0:
            r.cached_tokens = after
            c.hit_tokens += after - before
            more = after // limits.hash_tokens - before // limits.hash_tokens
            c.hit_blocks += more
            c.host_hit_blocks += more
        f = state.flights[flight]
        if f.fetched == 0:
            c.fetching = c.fetched_most = 0
        c.fetching += 1
        c.fetched_most = max(c.fetched_most, fetched)
        c.host_fetched += fetched
        f.fetched += fetched
    touch(state, limits, slot, known + fetched)


@compiled
def touch(state: State, limits: Limits, slot: int, blocks: int) -> None:
    """Make recent what host memory has of the first blocks of a request, which it holds and the GPUs know."""
    host, cache, spare, table = host_of(state), cache_of(state), state.spare, table_of(state, limits, slot)
    for at in range(table + blocks - 1, table - 1, -1):
        block = find(host, cache.keys[spare[at]])
        if block >= 0:
            make_last(host, block)


@compiled
def write_back(state: State, limits: Limits, slot: int) -> None:
    """Have all full blocks in host memory that a request is about to give back, the last first."""
    c, blocks = state.counters[0], state.requests[slot].blocks
    host, cache, spare, table = host_of(state), cache_of(state), state.spare, table_of(state, limits, slot)
    for at in range(table + blocks - 1, table - 1, -1):
        key = cache.keys[spare[at]]
        if key == NO_KEY:
            continue
        block = find(host, key)
        if block >= 0:
            make_last(host, block)
            continue
        overwritten = write(host, c.host_used, key)
        c.host_written += 1
        c.host_overwritten += overwritten
        c.host_used += 1 - overwritten


@compiled
def fetch_s(state: State, flight: int) -> float:
    """Time for the blocks of a batch that has just been formed, on the link that takes longest, s."""
    c = state.counters[0]
    even = state.flights[flight].fetched * np.ceil(c.fetching / c.host_ranks) / c.fetching
    return float(max(c.fetched_most, even) * c.host_block_s)


@compiled
def beside_fetch(
    cost: tuple[float, float, float, float], fetch_s: float, latency_s: float, layers: float, idle_w: float
) -> tuple[float, float, float, float]:
    """The time of a stage, its MFU, MBU and power of a GPU where blocks come meanwhile.

    Parameters
    ----------
    cost
        The same where nothing comes.
    fetch_s, latency_s, layers
        On the link; before; and how many layers the stage computes, each when its part has come.
    idle_w
        Of a GPU that waits, W.

    Examples
    --------
    >>> beside_fetch((1.0, 0.5, 0.5, 300.0), 3.0, 0.0, 1.0, 100.0)
    (4.0, 0.125, 0.125, 150.0)
    """
    own_s, mfu, mbu, watts = cost
    seconds = latency_s + max(own_s, fetch_s) + min(own_s, fetch_s) / max(1.0, layers)
    busy = own_s / seconds
    return seconds, mfu * busy, mbu * busy, watts * busy + idle_w * (1.0 - busy)


@inlined
def is_cramped(room: int, used: int, most: int, blocks: int) -> bool:
    """Whether `spare` lacks room for what a batch may write until it ends, which host memory would have.

    Requests give back no more than all blocks of the GPUs while a batch is formed, and as many again when one ends.
    """
    return room < most and room - used < 2 * blocks


@inlined
def lacks_room(state: State, limits: Limits) -> bool:
    """Whether a prefix cache without end, or one's tier in host memory, needs more room before a batch is formed."""
    c = state.counters[0]
    if limits.cache == UNLIMITED and c.reusable < limits.total_blocks:  # no more are taken at once
        return True
    return is_cramped(c.host_room, c.host_used, c.host_most, limits.total_blocks)


@compiled
def in_cache(state: State, limits: Limits, slot: int) -> tuple[int, int, int]:
    """Blocks at the start of a waiting request that are known, those of them that somebody holds, and those that host
    memory has behind them."""
    known, held = matched(state, limits, slot)
    if state.counters[0].host_most == 0:
        return known, held, 0
    return known, held, fetchable(state, limits, slot, known)


@compiled
def take_over(state: State, limits: Limits, slot: int, flight: int, known: int, fetched: int) -> None:
    """Give a request what is `in_cache` for it."""
    share(state, limits, slot, known)
    if state.counters[0].host_most > 0:
        fetch(state, limits, slot, flight, known, fetched)


@compiled
def leave(state: State, limits: Limits, slot: int, ended: bool) -> None:
    """Take all blocks from a request; host memory keeps those that are full."""
    if state.counters[0].host_most > 0:
        write_back(state, limits, slot)
    give_back(state, limits, slot, ended)


def forget_host(state: State) -> None:
    """Forget everything: the memory was given up."""
    c = state.counters[0]
    first = len(state.ready) + size_of(c.blocks)
    state.spare[first : first + size_of(c.host_room)] = empty_blocks(c.host_room, waiting=False)
    c.host_used = 0


def roomier(state: State, room: int) -> State:
    """The same replica with room for so many blocks in host memory (at least as many as before)."""
    c, old = state.counters[0], host_of(state)
    start = len(state.ready) + size_of(c.blocks)
    before, after = size_of(c.host_room), size_of(room)
    parts = state.spare[:start], empty_blocks(room, waiting=False), state.spare[start + before :]
    c.host_room = room
    c.table_end += after - before
    state.requests["table_at"] += after - before
    state = state._replace(spare=np.concatenate(parts))
    copy(old, host_of(state))
    return state
