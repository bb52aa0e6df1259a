"""Requests sent to replicas one by one, as they come, by how many each replica has unfinished: one compiled loop.

A replica is brought forward only when it may have finished something since: how many tokens each of its requests is
still to get, times the shortest iteration there is, bounds from below when the next one is done. So the counts at every
arrival are those of replicas that are all brought to it, at the cost of a few visits a request.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.typed import List
from numpy.typing import NDArray

from simulators.inference.batching.board import AWAY, LOADS, SERVES, Board, choose, choose_for, mark_wanted
from simulators.inference.batching.events import DONE, next_event_s
from simulators.inference.batching.intake import enqueue, has_room
from simulators.inference.batching.known import learn
from simulators.inference.batching.loop import advance
from simulators.inference.batching.moves import leaves_with
from simulators.inference.batching.speculation import advance as advance_speculating
from simulators.inference.batching.standing import last_number, settle
from simulators.inference.batching.state import Limits, RecordArray, State
from simulators.inference.compiled import borrowed, compiled
from simulators.inference.power.law import PowerLaw
from simulators.inference.routing import ANY
from simulators.inference.timing.tables import StageTables

AHEAD, SETTLE, WAKE, COLLECT, GROW = range(5)
"""Why `route` returns: the rest is not due yet; a replica is to be parked, or woken for this request; a buffer is to be
collected; a replica needs room for this request."""

WALKED = 64
"""Waiting requests up to which each is looked at for when the next one may be done."""

Entries = Any
"""A list of numba's, of what the loop needs of each replica."""


@compiled
def listed(
    state: State,
    limits: Limits,
    tables: StageTables,
    law: PowerLaw,
    split: tuple[float, float],
    gpus: int,
) -> Entries:
    """A list with the first replica, whose arrays the caller keeps alive."""
    entries = List()
    entries.append(borrowed((state, limits, tables, law, split, gpus)))
    return entries


@compiled
def put(
    entries: Entries,
    at: int,
    state: State,
    limits: Limits,
    tables: StageTables,
    law: PowerLaw,
    split: tuple[float, float],
    gpus: int,
) -> None:
    """Replace a replica, or add one at the end."""
    if at < len(entries):
        entries[at] = borrowed((state, limits, tables, law, split, gpus))
    else:
        entries.append(borrowed((state, limits, tables, law, split, gpus)))


@compiled
def tokens_left(limits: Limits, requests: RecordArray, i: int) -> int:
    """Tokens that a request is still to get; without speculation it needs as many iterations."""
    r = requests[i]
    whole = leaves_with(limits, r.prefill_tokens, r.decode_tokens)
    return int(whole - r.processed if r.prefilled == 1 else whole - r.target)


@compiled
def done_from_s(state: State, limits: Limits, shortest_s: float) -> float:
    """A time before which no request of the replica is finished, s; inf if nothing is known to come."""
    c = state.counters[0]
    if c.forming == 1:
        return float(c.now)
    at, next_end = next_event_s(state)
    if at == np.inf:
        return np.inf
    never = np.iinfo(np.int64).max
    running, waiting = never, never
    for k in range(c.flights):
        flight = (c.flight_head + k) % limits.stages
        for i in range(state.flights[flight].members):
            running = min(running, tokens_left(limits, state.requests, state.members[flight, i]))
    if c.stands == 0:
        for i in range(c.ready_size):
            waiting = min(waiting, tokens_left(limits, state.requests, state.ready[i]))
    elif c.flights > 0 and c.standing > 0:
        running = min(running, last_number(state) - c.number)
    elif c.standing > 0 or c.partial >= 0:
        waiting = 1
    if c.queue_size + c.inbox_size > WALKED or (c.shares > 0 and c.queue_size > 0):
        waiting = 1
    else:
        for i in range(c.queue_size):
            slot = state.queue[(c.queue_head + i) % len(state.queue)]
            waiting = min(waiting, tokens_left(limits, state.requests, slot))
        for i in range(c.inbox_size):
            slot = state.inbox[(c.inbox_head + i) % len(state.inbox)]
            waiting = min(waiting, tokens_left(limits, state.requests, slot))
    from_s = np.inf
    most = 1 + limits.depth  # tokens of an iteration
    if running < never:
        from_s = next_end + (running - 1) // most * shortest_s
    if waiting < never:
        from_s = min(from_s, at + (1 + (waiting - 1) // most) * shortest_s)
    return float(from_s)


@compiled
def bring(
    entries: Entries,
    board: Board,
    n: int,
    at: float,
    bins: NDArray[np.float64],
    begins_at: float,
    width_s: float,
) -> bool:
    """Carry a replica to a time; False if a buffer is to be collected first."""
    state, limits, tables, law, split, gpus = entries[n]
    c = state.counters[0]
    before = c.completed
    if limits.depth > 0 or c.shares > 0:
        given = state, limits, tables, law, split, gpus
        status = advance_speculating(*given, bins[n], begins_at, width_s, at)[0]
    else:
        status = advance(state, limits, tables, law, split, gpus, bins[n], begins_at, width_s, at)[0]
    board.outstanding[n] -= c.completed - before
    if status != DONE:
        return False
    board.done_from[n] = done_from_s(state, limits, board.shortest_s[n])
    board.idle_since[n] = max(c.last_completion, c.serves_from)
    return True


@compiled
def route(
    entries: Entries,
    board: Board,
    requests: RecordArray,
    hashes: NDArray[np.int64],
    first: int,
    before: float,
    candidates: NDArray[np.int64],
    bins: NDArray[np.float64],
    begins_at: float,
    width_s: float,
) -> tuple[int, int, int]:
    """Send the requests from `first` on that are released before a time to the replicas, each as it comes.

    Parameters
    ----------
    entries, board
        The replicas, which are to be `settled` before others look at them. `done_from`, `idle_since` are made here.
    requests
        In order of release; who serves each is written into them.
    hashes
        Of all of them, see `intake.enqueue`.
    first
        The first that is not sent.
    before
        Later ones are left: something else happens then, s.
    candidates
        Of each request, shape (requests, 2): two replicas of which the less loaded gets it, or `ANY`.
    bins, begins_at, width_s
        See `loop.advance`; shape of the bins (replicas, bins, 5).

    Returns
    -------
    tuple
        The first request that is not sent, why, and the replica it is about.
    """
    for n in range(len(entries)):
        state, limits, _, _, _, _ = entries[n]
        c = state.counters[0]
        board.done_from[n] = done_from_s(state, limits, board.shortest_s[n])
        board.idle_since[n] = max(c.last_completion, c.serves_from)
    mark_wanted(board)
    blind = len(board.known.counts) == 0
    everybody, parks = (board.does == SERVES).all(), (board.idle_for_s < np.inf).any()
    for i in range(first, len(requests)):
        at = requests[i].released_at
        if at >= before:
            return i, AHEAD, 0
        # where nobody sleeps or parks, only candidates count
        two = everybody and not parks and candidates[i, 0] != ANY
        for k in range(2 if two else len(entries)):
            n = candidates[i, k] if two else k
            if board.done_from[n] < at and not bring(entries, board, n, at, bins, begins_at, width_s):
                return i, COLLECT, n
            idle = parks and board.outstanding[n] == 0 and board.does[n] <= LOADS
            if idle and board.idle_since[n] + board.idle_for_s[n] <= at:
                return i, SETTLE, n
        if not everybody:
            mark_wanted(board)
        if blind:
            n, count = choose(board, candidates[i, 0], candidates[i, 1]), 0
        else:
            n, count = choose_for(board, requests, hashes, i, entries[0][1].hash_tokens)
        if board.does[n] >= AWAY:
            if count > 0:
                learn(board.known, n, hashes, requests[i].table_at, count)
            return i, WAKE, n
        state, limits, _, _, _, _ = entries[n]
        if not has_room(state, limits, requests, i):
            return i, GROW, n
        if count > 0:
            learn(board.known, n, hashes, requests[i].table_at, count)
        requests[i].replica = n
        if enqueue(state, limits, requests, hashes, i, i + 1) == 0:
            board.refused[n] += 1
            continue
        board.taken[n] += 1
        board.outstanding[n] += 1
        soonest = at if board.done_from[n] == np.inf and board.outstanding[n] > 1 else np.inf
        fewest = 1 + (tokens_left(limits, requests, i) - 1) // (1 + limits.depth)
        own = at + fewest * board.shortest_s[n]
        board.done_from[n] = min(board.done_from[n], soonest, own)
    return len(requests), AHEAD, 0


@compiled
def settled(entries: Entries) -> None:
    """Put the requests of standing batches where everybody looks for them (`standing.settle`)."""
    for n in range(len(entries)):
        state, limits, _, _, split, _ = entries[n]
        settle(state, limits, split)
