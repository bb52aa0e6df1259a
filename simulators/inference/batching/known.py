"""What a router knows of the replicas' prefix caches: the hashes it has sent to each, and a choice by them.

The rule is that of SGLang's router (`cache_aware`; documentation of the SGLang Model Gateway, "Cache-Aware Routing"):
where the replicas are out of balance, the least loaded one; else the one that knows the longest part of the prompt, if
that is more than a share of it; else the one that knows least. Loads are unfinished requests, and decide between
equals. The router sees no cache: it remembers what it sent to whom, the least recently sent forgotten first.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.inference.batching.prefix import find, forget, line_up, remember, take_out
from simulators.inference.batching.state import (
    COLUMNS,
    COUNTERS,
    KEY,
    NO_KEY,
    RecordArray,
    buckets_for,
    empty_cache,
)
from simulators.inference.compiled import compiled

LEAST_SHARE = 0.3
"""A prefix counts if it is more than this share of the prompt: SGLang's `cache_threshold`."""
UNBALANCED_BY, UNBALANCED_TIMES = 64, 1.5
"""Out of balance: by more than so many requests, and more than so many times: SGLang's `balance_abs_threshold` and
`balance_rel_threshold`."""
MOST_HASHES = 32_768
"""Remembered of a replica: of 512 tokens each, as many tokens as SGLang's 2^26 characters, at four characters each."""
LEAST_HASHES, HASHES_OF_ALL = 1024, 2**22


class Known(NamedTuple):
    """Hashes by replica, changed in place.

    Attributes
    ----------
    hashes
        For each replica columns as those of a prefix cache's blocks; shape (replicas, hashes, columns).
    buckets
        The first hash of every bucket, as those of a prefix cache; shape (replicas, buckets).
    counters
        `reuse_first`, `reuse_last`: which hash is forgotten next, which last; `blocks`: how many are known;
        shape (replicas,).
    """

    hashes: NDArray[np.int64]
    buckets: NDArray[np.int64]
    counters: RecordArray


def nothing_known(replicas: int) -> Known:
    """A router that has sent nothing.

    Examples
    --------
    >>> nothing_known(2).hashes.shape
    (2, 32768, 5)
    """
    each = max(LEAST_HASHES, min(MOST_HASHES, HASHES_OF_ALL // max(1, replicas)))
    counters = np.zeros(replicas, COUNTERS).view(np.recarray)
    hashes = np.zeros((replicas, each, COLUMNS), np.int64)
    known = Known(hashes, np.zeros((replicas, buckets_for(each)), np.int64), counters)
    for number in range(replicas):
        unlearn(known, number)
    return known


def unlearn(known: Known, number: int) -> None:
    """Forget what a replica was sent: its memory was given up."""
    c, each = known.counters[number], known.hashes.shape[1]
    cache = empty_cache(each)
    known.hashes[number] = cache[: COLUMNS * each].reshape(each, COLUMNS)
    known.buckets[number] = cache[COLUMNS * each :]
    c.reuse_first, c.reuse_last, c.reusable, c.blocks = 0, each - 1, each, 0


@compiled
def prefix_of(known: Known, number: int, hashes: NDArray[np.int64], first: int, count: int) -> int:
    """How many of a request's hashes a replica was sent, from the first one on."""
    cache, buckets = known.hashes[number], known.buckets[number]
    for k in range(count):
        if find(cache, buckets, hashes[first + k]) < 0:
            return k
    return count


@compiled
def learn(known: Known, number: int, hashes: NDArray[np.int64], first: int, count: int) -> None:
    """A request is sent to a replica: its hashes are the last to be forgotten, the first of them the very last."""
    cache, counters = known.hashes[number], known.counters[number : number + 1]
    c, buckets = counters[0], known.buckets[number]
    for k in range(min(count, len(cache)) - 1, -1, -1):
        key = hashes[first + k]
        row = find(cache, buckets, key)
        if row < 0:
            row = c.reuse_first
            if cache[row, KEY] != NO_KEY:
                forget(cache, buckets, row)
                c.blocks -= 1
            remember(cache, buckets, row, key)
            c.blocks += 1
        take_out(counters, cache, row)
        line_up(counters, cache, row)


@compiled
def choose_by_prefix(
    known: Known,
    outstanding: NDArray[np.int64],
    wanted: NDArray[np.bool_],
    hashes: NDArray[np.int64],
    first: int,
    count: int,
) -> int:
    """The replica for a request with `count` hashes, of those that are wanted, at least one."""
    least, most = -1, -1
    for n in range(len(wanted)):
        if wanted[n]:
            if least < 0 or outstanding[n] < outstanding[least]:
                least = n
            if most < 0 or outstanding[n] > outstanding[most]:
                most = n
    low, high = outstanding[least], outstanding[most]
    if high - low > UNBALANCED_BY and high > UNBALANCED_TIMES * low:
        return least
    best, longest = -1, -1
    emptiest = -1
    for n in range(len(wanted)):
        if not wanted[n]:
            continue
        length = prefix_of(known, n, hashes, first, count)
        if length > longest or (length == longest and outstanding[n] < outstanding[best]):
            best, longest = n, length
        more = 1 if emptiest < 0 else known.counters[emptiest].blocks - known.counters[n].blocks
        if more > 0 or (more == 0 and outstanding[n] < outstanding[emptiest]):
            emptiest = n
    return best if longest > LEAST_SHARE * count else emptiest
