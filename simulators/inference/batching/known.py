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

from simulators.inference.batching.blocks import Blocks, blocks_at, empty_blocks, find, make_last, write
from simulators.inference.compiled import compiled, inlined

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
        For each replica a cache (`blocks`) whose blocks are hashes; those that are known wait in line. Shape (replicas,
        `size_of` `most`).
    counts
        How many are known; shape (replicas,).
    most
        How many may be.
    """

    hashes: NDArray[np.int64]
    counts: NDArray[np.int64]
    most: int


def nothing_known(replicas: int) -> Known:
    """A router that has sent nothing.

    Examples
    --------
    >>> nothing_known(2).most
    32768
    """
    each = max(LEAST_HASHES, min(MOST_HASHES, HASHES_OF_ALL // max(1, replicas)))
    hashes = np.tile(empty_blocks(each, waiting=False), (replicas, 1))
    return Known(hashes, np.zeros(replicas, np.int64), each)


def unlearn(known: Known, number: int) -> None:
    """Forget what a replica was sent: its memory was given up."""
    known.hashes[number] = empty_blocks(known.most, waiting=False)
    known.counts[number] = 0


@inlined
def sent_to(known: Known, number: int) -> Blocks:
    """What a replica was sent."""
    return blocks_at(known.hashes[number], 0, known.most)


@compiled
def prefix_of(known: Known, number: int, hashes: NDArray[np.int64], first: int, count: int) -> int:
    """How many of a request's hashes a replica was sent, from the first one on."""
    sent = sent_to(known, number)
    for k in range(count):
        if find(sent, hashes[first + k]) < 0:
            return k
    return count


@compiled
def learn(known: Known, number: int, hashes: NDArray[np.int64], first: int, count: int) -> None:
    """A request is sent to a replica: its hashes are the last to be forgotten, the first of them the very last."""
    sent = sent_to(known, number)
    for k in range(min(count, known.most) - 1, -1, -1):
        key = hashes[first + k]
        block = find(sent, key)
        if block >= 0:
            make_last(sent, block)
        else:
            known.counts[number] += 1 - write(sent, known.counts[number], key)


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
        more = 1 if emptiest < 0 else known.counts[emptiest] - known.counts[n]
        if more > 0 or (more == 0 and outstanding[n] < outstanding[emptiest]):
            emptiest = n
    return best if longest > LEAST_SHARE * count else emptiest
