"""Fair shares: tenants who wait for a replica are served in proportion to their weights.

The rule is the Virtual Token Counter (Sheng et al., Fairness in Serving Large Language Models, OSDI 2024,
arXiv:2401.00588). Each tenant has a counter of the service it had over its weight. Service is a token of a prompt when
its request is admitted, and as much as two for each token of output. Who is admitted next is the first request of the
tenant with the lowest counter among those that wait; while that one has to wait, everybody does, and while nobody
waits, nothing is held back. A tenant that begins to wait is lifted to the lowest counter of those that do, or, if
nobody does, to that of the tenant who waited last: nobody saves service up by not asking for it.

So the service of two tenants that wait all the while differs, each divided by its weight, by no more than twice the
larger of the longest prompt and two times the tokens that fit into a batch (theorem 4.4 there, with weights).

What the paper does not say: of equal counters that request goes first which was released first. What is counted is
what is computed: no prompt a second time after an eviction, which gives nobody anything, and no tokens that a prefix
cache has (while a batch is formed, turns go by whole prompts). An evicted request is the first of its tenant's again,
from the next batch on, and lifts its tenant's counter as one that comes.

The policies know nothing of this: what they find in `State.queue` is put there in order before each batch.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulators.inference import tenant_shares
from simulators.inference.batching.queues import (
    COLUMNS,
    FIRST,
    FROM,
    LAST,
    NEXT,
    NONE,
    SERVED,
    TENANT,
    WEIGHT,
    WORK,
    Parts,
    len_of,
    parts,
    with_queues,
)
from simulators.inference.batching.state import OFF, Limits, State
from simulators.inference.compiled import compiled, inlined

OUTPUT = int(tenant_shares.OUTPUT.value)
ROOM = 8
"""Tenants that there is room for at first."""


@inlined
def cell(state: State, row: int, column: int) -> int:
    """Where a number of the table of tenants stands in `free`."""
    return int(4 * len(state.requests) + 2 * state.counters[0].shares + row * COLUMNS + column)


@inlined
def waiting_row(state: State, i: int) -> int:
    """The row of one of the tenants that wait."""
    return int(state.free[4 * len(state.requests) + i])


@inlined
def row_of_slot(state: State, slot: int) -> int:
    """The row of the tenant of a request."""
    return int(state.free[2 * len(state.requests) + slot])


@inlined
def behind(state: State, slot: int) -> int:
    """The request behind another in its tenant's queue, or `NONE`."""
    return int(state.free[len(state.requests) + slot])


@compiled
def row_of(state: State, tenant: int) -> int:
    """The row of a tenant; `NONE` if it has none yet."""
    first = 4 * len(state.requests) + state.counters[0].shares
    low, high = 0, state.counters[0].tenants
    while low < high:
        middle = (low + high) // 2
        row = state.free[first + middle]
        number = state.free[cell(state, row, TENANT)]
        if number == tenant:
            return int(row)
        if number < tenant:
            low = middle + 1
        else:
            high = middle
    return NONE


@compiled
def counter_of(state: State, row: int) -> float:
    """A tenant's counter: service over weight."""
    floats = state.free.view(np.float64)
    work = state.free[cell(state, row, WORK)]
    return float(floats[cell(state, row, FROM)] + work / floats[cell(state, row, WEIGHT)])


@compiled
def begin_to_wait(state: State, row: int) -> None:
    """A tenant of whom nothing waited: its counter is lifted to those it has to share with."""
    c = state.counters[0]
    own = counter_of(state, row)
    least = own if c.waited_last == NONE else counter_of(state, c.waited_last)
    for i in range(c.tenants_waiting):
        other = counter_of(state, waiting_row(state, i))
        least = other if i == 0 else min(least, other)
    if own < least:
        state.free.view(np.float64)[cell(state, row, FROM)] = least
        state.free[cell(state, row, WORK)] = 0
    state.free[4 * len(state.requests) + c.tenants_waiting] = row
    c.tenants_waiting += 1


@compiled
def line_up(state: State, slot: int, ahead: bool) -> None:
    """Put a request at the end of its tenant's queue, or at its head."""
    free, slots = state.free, len(state.requests)
    row = row_of_slot(state, slot)
    first, last = cell(state, row, FIRST), cell(state, row, LAST)
    alone = free[first] == NONE
    if alone:
        begin_to_wait(state, row)
    free[slots + slot] = NONE
    if ahead:
        free[slots + slot] = free[first]
        free[first] = slot
    elif alone:
        free[first] = slot
    else:
        free[slots + free[last]] = slot
    if alone or not ahead:
        free[last] = slot
    state.counters[0].lined_up += 1


@compiled
def leave_line(state: State, slot: int) -> None:
    """Take the first request of a tenant off its queue, as it was admitted, and count its prompt."""
    c, free = state.counters[0], state.free
    row = row_of_slot(state, slot)
    first = cell(state, row, FIRST)
    free[first] = behind(state, slot)
    c.lined_up -= 1
    if free[first] == NONE:
        i = 0
        while waiting_row(state, i) != row:
            i += 1
        c.tenants_waiting -= 1
        free[4 * len(state.requests) + i] = waiting_row(state, c.tenants_waiting)
        c.waited_last = row
    r = state.requests[slot]
    if np.isnan(r.scheduled_at):
        count(state, slot, r.target - r.hit_tokens)


@compiled
def take_places(state: State) -> None:
    """Those who have just come, at the end of `queue`, join their tenants' queues."""
    c = state.counters[0]
    for i in range(c.lined_up, c.queue_size):
        line_up(state, state.queue[(c.queue_head + i) % len(state.queue)], False)


@compiled
def next_in_line(state: State, came_by: float) -> int:
    """The tenant's row whose first request that is not in line yet is next, of those that had come by a time, s."""
    chosen, least = NONE, np.inf
    for i in range(state.counters[0].tenants_waiting):
        row = waiting_row(state, i)
        slot = state.free[cell(state, row, NEXT)]
        if slot == NONE or state.requests[slot].released_at > came_by:
            continue
        counter = counter_of(state, row)
        sooner = chosen == NONE or counter < least
        if not sooner and counter == least:
            r, other = state.requests[slot], state.requests[state.free[cell(state, chosen, NEXT)]]
            sooner = (r.released_at, r.tenant) < (other.released_at, other.tenant)
        if sooner:
            chosen, least = row, counter
    return int(chosen)


@compiled
def line_up_for_batch(state: State, limits: Limits) -> None:
    """Put those who may be admitted to the batch that is formed now into `queue`, in the order of their turns.

    Each one's prompt counts for the turn of the next. No more are lined up than could be admitted if all fit.
    """
    c, free, slots = state.counters[0], state.free, len(state.requests)
    came_by = np.inf
    c.kept_back = 0
    if limits.ahead == 1 and c.ready_size > 0 and c.landed_at == c.now:
        # formed when the last batch began, see `form_vllm_v1`
        came_by = c.formed_at
        c.kept_back = 1 if c.lined_up > 0 and c.holding < limits.max_requests else 0
    most = limits.max_batch
    if limits.reserve_blocks == 0:
        most = min(most, limits.max_requests - c.holding)
    for i in range(c.tenants_waiting):
        row = waiting_row(state, i)
        free[cell(state, row, NEXT)] = free[cell(state, row, FIRST)]
    c.in_line = tokens = 0
    while c.in_line < most and (limits.cache != OFF or tokens < limits.max_tokens):
        row = next_in_line(state, came_by)
        if row == NONE:
            break
        slot = free[cell(state, row, NEXT)]
        r = state.requests[slot]
        free[cell(state, row, NEXT)] = behind(state, slot)
        free[3 * slots + c.in_line] = slot
        state.queue[(c.queue_head + c.in_line) % len(state.queue)] = slot
        c.in_line += 1
        tokens += 1 if r.prefilled == 1 else r.target
        if np.isnan(r.scheduled_at):
            free[cell(state, row, WORK)] += r.target
    for i in range(c.in_line):
        slot = free[3 * slots + i]
        if np.isnan(state.requests[slot].scheduled_at):
            free[cell(state, row_of_slot(state, slot), WORK)] -= state.requests[slot].target
    c.queue_size = c.in_line


@compiled
def line_up_again(state: State) -> None:
    """After a batch is formed: who was admitted leaves its tenant's queue, who was evicted joins it."""
    c = state.counters[0]
    admitted = 0
    while admitted < c.in_line:
        slot = state.free[3 * len(state.requests) + admitted]
        if state.requests[slot].blocks == 0:
            break
        leave_line(state, slot)
        admitted += 1
    evicted = c.queue_size - (c.in_line - admitted)
    for i in range(evicted - 1, -1, -1):
        line_up(state, state.queue[(c.queue_head + i) % len(state.queue)], True)
    c.queue_size = c.lined_up
    c.held_back = c.kept_back if c.evicted_now == 0 else 0


@inlined
def count(state: State, slot: int, service: int) -> None:
    """Count the service that a request got to its tenant."""
    row = row_of_slot(state, slot)
    state.free[cell(state, row, WORK)] += service
    state.free[cell(state, row, SERVED)] += service


@compiled
def count_batch(state: State, flight: int) -> None:
    """Count the tokens of output that a batch brings which ends now."""
    for i in range(state.flights[flight].members):
        slot = state.members[flight, i]
        r = state.requests[slot]
        tokens = state.chunks[flight, i]
        if r.prefilled == 0:  # the first one comes with the end of its prompt
            tokens = 1 if r.processed + tokens == r.target else 0
        count(state, slot, OUTPUT * tokens)


@compiled
def count_decodes(state: State, flight: int, iterations: int) -> None:
    """Count the tokens of output of so many iterations of a decode batch."""
    for i in range(state.flights[flight].members):
        count(state, state.members[flight, i], OUTPUT * iterations)


@compiled
def turn_may_come(state: State, limits: Limits, flight: int) -> bool:
    """Whether somebody else's turn to be admitted may come while the decode batch in `flight` goes on.

    Its tokens count, so another tenant may become the next one, whose request may fit where that of the present one
    does not. Blocks only become fewer, so where none is left to admit anybody, nobody's turn matters.
    """
    c = state.counters[0]
    if c.shares == 0 or c.tenants_waiting < 2 or limits.reserve_blocks > 0:
        return False
    if c.holding >= limits.max_requests or state.flights[flight].members >= limits.max_batch:
        return False
    return bool(c.free_blocks > limits.watermark)


@compiled
def waiting_j(state: State) -> float:
    """Energy on the requests that wait, J."""
    total = 0.0
    for i in range(state.counters[0].tenants_waiting):
        slot = state.free[cell(state, waiting_row(state, i), FIRST)]
        while slot != NONE:
            total += state.requests[slot].prefill_j + state.requests[slot].decode_j
            slot = behind(state, slot)
    return total


def with_shares(state: State) -> State:
    """The same replica, which must be empty, with a queue for each tenant; as yet it knows none."""
    state.counters[0].shares = ROOM
    state.counters[0].waited_last = NONE
    slots = len(state.requests)
    free = np.full(len_of(slots, ROOM), NONE)
    free[:slots] = state.free
    return state._replace(free=free)


def tenants_of(state: State) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
    """The tenants that a replica with shares knows, in the order in which they came: numbers, weights, service so far.

    Service is in tokens of prompts; all of shape (tenants,).
    """
    table = _parts(state).table[: state.counters[0].tenants]
    return table[:, TENANT].copy(), table[:, WEIGHT].copy().view(np.float64), table[:, SERVED].copy()


def with_tenants(state: State, tenants: NDArray[np.int64], weights: NDArray[np.float64]) -> State:
    """The same replica, which knows more tenants; shape of both (tenants,), none of them known before."""
    c, old = state.counters[0], _parts(state)
    known = int(c.tenants)
    c.tenants += len(tenants)
    if c.tenants > c.shares:
        c.shares = max(2 * c.shares, c.tenants)
        state = state._replace(free=with_queues(len(state.requests), int(c.shares), old))
    found = _parts(state)
    table = found.table[known : c.tenants]
    table[:, TENANT], table[:, WEIGHT] = tenants, weights.view(np.int64)
    table[:, FIRST] = table[:, LAST] = NONE
    table[:, WORK] = table[:, SERVED] = 0
    table[:, FROM] = np.zeros(len(tenants)).view(np.int64)
    found.ordered[: c.tenants] = np.argsort(found.table[: c.tenants, TENANT])
    return state


def shared_as(state: State, before: State) -> State:
    """An empty replica with the tenants of another, who begin anew but for the service they had since the start."""
    tenants, weights, served = tenants_of(before)
    state = with_tenants(with_shares(state), tenants, weights)
    _parts(state).table[: len(tenants), SERVED] = served
    return state


def in_queues(state: State) -> list[int]:
    """Slots of the requests that wait, tenant by tenant."""
    found, slots = _parts(state), []
    for row in found.waiting[: state.counters[0].tenants_waiting]:
        slot = int(found.table[row, FIRST])
        while slot != NONE:
            slots.append(slot)
            slot = int(found.behind[slot])
    return slots


def _parts(state: State) -> Parts:
    return parts(state.free, len(state.requests), int(state.counters[0].shares))
