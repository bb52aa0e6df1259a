"""Blocks of a cache: what each is known by, who holds it, and the line in which the others wait to be overwritten.

A replica's `State.spare` has one such cache for the KV blocks of its GPUs and one for those in host memory; a router
has one for each replica. All are the same few arrays in one piece of memory, narrow, because a prompt goes through
hundreds of blocks at a time: what they cost is how much memory they touch.

The line is a ring of numbers of blocks, the one that is overwritten next at its start. Who leaves it, wherever it
stands, leaves a gap, which is passed over when it comes to the start; if gaps fill the ring, it is closed up. So a
block that waits knows its place, not its neighbours.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.inference.compiled import compiled, inlined

NO_KEY = np.iinfo(np.int64).max
NONE = -1
FIRST, END = 0, 1


class Blocks(NamedTuple):
    """Views of a cache, changed in place.

    Attributes
    ----------
    ends
        `FIRST` and `END` of the line, counted on for ever: a place is such a number modulo the length of the ring.
    keys
        What a block is known by; `NO_KEY`: it is not. Shape (blocks,).
    held
        By how many requests, if positive; negative: it waits, at place -1 - `held`; 0: neither. Shape (blocks,).
    chained
        The next block in its bucket, or `NONE`; shape (blocks,).
    line
        The ring; `NONE`: a gap. Shape (`places_for` blocks,).
    buckets
        The first block of every bucket, or `NONE`; the same shape.
    """

    ends: NDArray[np.int64]
    keys: NDArray[np.int64]
    held: NDArray[np.int32]
    chained: NDArray[np.int32]
    line: NDArray[np.int32]
    buckets: NDArray[np.int32]


@compiled
def places_for(blocks: int) -> int:
    """Buckets, and places in line, of so many blocks: a power of two, for want of a division, and twice as many at
    least, for blocks to be alone in their bucket and the line to be closed up seldom."""
    places = 1
    while places < 2 * blocks:
        places *= 2
    return places if blocks > 0 else 0


@compiled
def size_of(blocks: int) -> int:
    """Numbers of 64 bits that a cache of so many blocks takes."""
    return int(2 + 2 * blocks + places_for(blocks)) if blocks > 0 else 0


@inlined
def blocks_at(memory: NDArray[np.int64], at: int, blocks: int) -> Blocks:
    """The cache of so many blocks that begins at `memory[at]`."""
    places = places_for(blocks)
    keys = at + 2
    narrow = memory[keys + blocks : keys + 2 * blocks + places].view(np.int32)
    line = 2 * blocks
    return Blocks(
        memory[at:keys],
        memory[keys : keys + blocks],
        narrow[:blocks],
        narrow[blocks:line],
        narrow[line : line + places],
        narrow[line + places :],
    )


def empty_blocks(blocks: int, waiting: bool) -> NDArray[np.int64]:
    """The memory of so many blocks of which none is known; if they are `waiting`, in the order of their numbers."""
    memory = np.full(size_of(blocks), NONE)
    if blocks == 0:
        return memory
    of = blocks_at(memory, 0, blocks)
    of.keys[:] = NO_KEY
    of.held[:] = -1 - np.arange(blocks) if waiting else 0
    of.ends[:] = 0, blocks if waiting else 0
    if waiting:
        of.line[:blocks] = np.arange(blocks)
    return memory


@inlined
def find(of: Blocks, key: int) -> int:
    """The block that has been known by a key for longest; `NONE` if none is."""
    block = of.buckets[key & (len(of.buckets) - 1)]
    while block >= 0 and of.keys[block] != key:
        block = of.chained[block]
    return int(block)


@compiled
def chain_up(of: Blocks, block: int, key: int) -> None:
    """Put a block at the end of a bucket that is not empty."""
    last = of.buckets[key & (len(of.buckets) - 1)]
    while of.chained[last] >= 0:
        last = of.chained[last]
    of.chained[last] = block


@inlined
def remember(of: Blocks, block: int, key: int) -> None:
    """Make a block known by a key, after those that are already."""
    of.keys[block] = key
    of.chained[block] = NONE
    bucket = key & (len(of.buckets) - 1)
    if of.buckets[bucket] < 0:
        of.buckets[bucket] = block
    else:
        chain_up(of, block, key)


@compiled
def unchain(of: Blocks, block: int, key: int) -> None:
    """Take a block out of a bucket that begins with another one."""
    at = of.buckets[key & (len(of.buckets) - 1)]
    while of.chained[at] != block:
        at = of.chained[at]
    of.chained[at] = of.chained[block]


@inlined
def forget(of: Blocks, block: int) -> None:
    """Make a block unknown: it is to be overwritten."""
    key = of.keys[block]
    bucket = key & (len(of.buckets) - 1)
    if of.buckets[bucket] == block:
        of.buckets[bucket] = of.chained[block]
    else:
        unchain(of, block, key)
    of.keys[block] = NO_KEY


@compiled
def close_up(of: Blocks) -> None:
    """Close the gaps in the line."""
    top = len(of.line) - 1
    end = of.ends[FIRST]
    for at in range(of.ends[FIRST], of.ends[END]):
        block = of.line[at & top]
        if block >= 0:
            of.line[end & top] = block
            of.held[block] = -1 - (end & top)
            end += 1
    of.ends[END] = end


@inlined
def make_places(of: Blocks, blocks: int) -> None:
    """Have places for so many blocks at the end of the line."""
    if of.ends[END] - of.ends[FIRST] + blocks > len(of.line):
        close_up(of)


@inlined
def line_up(of: Blocks, block: int) -> None:
    """Put a block behind all others that wait."""
    make_places(of, 1)
    end = of.ends[END]
    place = end & (len(of.line) - 1)
    of.line[place] = block
    of.held[block] = -1 - place
    of.ends[END] = end + 1


@inlined
def make_last(of: Blocks, block: int) -> None:
    """Put a block that waits behind all others."""
    of.line[-1 - of.held[block]] = NONE
    line_up(of, block)


@inlined
def next_in_line(of: Blocks, first: int) -> int:
    """Where in line, from `first` on, the next block waits; one must."""
    top = len(of.line) - 1
    while of.line[first & top] < 0:
        first += 1
    return first


@inlined
def write(of: Blocks, used: int, key: int) -> int:
    """Where all blocks that are known wait: make one more known, by `key`, the last in line.

    The blocks from number `used` on have never been; if there are none left, the first in line is overwritten.

    Returns
    -------
    int
        Blocks overwritten, 0 or 1.
    """
    block, overwritten = used, 0
    if used == len(of.keys):
        first = next_in_line(of, of.ends[FIRST])
        block = of.line[first & (len(of.line) - 1)]
        of.ends[FIRST] = first + 1
        forget(of, block)
        overwritten = 1
    remember(of, block, key)
    line_up(of, block)
    return overwritten


@compiled
def copy(old: Blocks, new: Blocks) -> None:
    """Fill a larger cache, whose own blocks are neither known nor waiting, with what a smaller one has.

    Blocks keep their numbers, their order in line, and equal keys theirs.
    """
    for bucket in range(len(old.buckets)):
        block = old.buckets[bucket]
        while block >= 0:
            remember(new, block, old.keys[block])
            block = old.chained[block]
    new.held[: len(old.held)] = old.held
    for at in range(old.ends[FIRST], old.ends[END]):
        block = old.line[at & (len(old.line) - 1)]
        if block >= 0:
            line_up(new, block)
