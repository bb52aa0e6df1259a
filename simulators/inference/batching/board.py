"""What is known of the replicas that requests are sent to one by one, and which of them gets the next."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.inference.batching.known import Known, choose_by_prefix
from simulators.inference.batching.state import RecordArray
from simulators.inference.compiled import compiled
from simulators.inference.routing import ANY

SERVES, LOADS, AWAY, ASLEEP = range(4)
"""What a replica does: it serves; will, once it has loaded; is parked or to be; is so until a controller wakes it."""


class Board(NamedTuple):
    """What is known of the replicas; arrays of shape (replicas,), changed in place.

    Attributes
    ----------
    outstanding
        Requests sent there and not finished.
    most
        Batch cap: who has fewer outstanding has room.
    does
        `SERVES`, `LOADS`, `AWAY` or `ASLEEP`.
    idle_for_s
        How long a replica is idle until it parks; inf: it does not.
    idle_since
        s; of those that have nothing to do.
    shortest_s
        No iteration is shorter, s.
    done_from
        Before, nothing more is finished there, s.
    taken, refused
        Requests.
    wanted
        Scratch.
    known
        What a router by prefixes has sent to each; of no replicas with any other.
    """

    outstanding: NDArray[np.int64]
    most: NDArray[np.int64]
    does: NDArray[np.int64]
    idle_for_s: NDArray[np.float64]
    idle_since: NDArray[np.float64]
    shortest_s: NDArray[np.float64]
    done_from: NDArray[np.float64]
    taken: NDArray[np.int64]
    refused: NDArray[np.int64]
    wanted: NDArray[np.bool_]
    known: Known


@compiled
def mark_wanted(board: Board) -> None:
    """Who may get a request: who serves and has room; else who loads and has; else who can be woken; else all."""
    outstanding, most, does, wanted = board.outstanding, board.most, board.does, board.wanted
    everybody = True
    for n in range(len(does)):
        wanted[n] = True
        everybody = everybody and does[n] == SERVES
    if everybody:
        return
    for choice in range(4):
        some = False
        for n in range(len(does)):
            room = outstanding[n] < most[n]
            if choice == 0:
                wanted[n] = does[n] == SERVES and room
            elif choice == 1:
                wanted[n] = does[n] <= LOADS and room
            elif choice == 2:
                wanted[n] = does[n] == AWAY
            else:
                wanted[n] = does[n] <= LOADS
            some = some or wanted[n]
        if some:
            return


@compiled
def choose(board: Board, first: int, second: int) -> int:
    """The less loaded of two candidates, or of all; if it is not wanted (`mark_wanted`), the next one that is."""
    outstanding, wanted = board.outstanding, board.wanted
    count = len(wanted)
    number = 0
    if first == ANY:
        for n in range(count):
            if wanted[n] and (not wanted[number] or outstanding[n] < outstanding[number]):
                number = n
    else:
        number = first
        if wanted[second] and (not wanted[first] or outstanding[second] < outstanding[first]):
            number = second
    for k in range(count):
        n = (number + k) % count
        if wanted[n]:
            return n
    return number


@compiled
def choose_for(
    board: Board, requests: RecordArray, hashes: NDArray[np.int64], i: int, hash_tokens: int
) -> tuple[int, int]:
    """The replica for request `i` by what each was sent before, and how many hashes its prompt has."""
    r = requests[i]
    count = -(-min(r.hashed_tokens, r.prefill_tokens) // hash_tokens)
    if not board.wanted.any():
        return choose(board, ANY, ANY), count
    return choose_by_prefix(board.known, board.outstanding, board.wanted, hashes, r.table_at, count), count
