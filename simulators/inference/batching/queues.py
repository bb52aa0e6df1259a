"""Where a replica with shares keeps who waits: a queue for each tenant, in the end of an array that all replicas have.

Behind the stack of unused slots `State.free` then holds: for each slot of a request the one behind it in its tenant's
queue (`NONE` at the end); for each slot its tenant's row; who is in line for the batch that is being formed; the rows
of the tenants that wait, in no order; all rows by the number of their tenant; and a table with a row for each tenant,
in the order in which they came. `State.queue` is the line of one batch: it is filled before that is formed, and what is
left in it stays in the tenants' queues (`shares.line_up_for_batch`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

NONE = -1

# columns of the table of tenants; `FROM` and `WEIGHT` are the bits of a float64
TENANT, FIRST, LAST, WORK, FROM, WEIGHT, SERVED, NEXT = range(8)
"""Its number; first and last slot of its queue; service since its counter was last lifted, in tokens of prompts; what
the counter was lifted to; its weight; service since the start; while a batch is formed, its first not yet in line."""
COLUMNS = 8


class Parts(NamedTuple):
    """Views of the parts of `State.free` of a replica with shares; `table` has shape (room, COLUMNS)."""

    free: NDArray[np.int64]
    behind: NDArray[np.int64]
    rows: NDArray[np.int64]
    line: NDArray[np.int64]
    waiting: NDArray[np.int64]
    ordered: NDArray[np.int64]
    table: NDArray[np.int64]


def len_of(slots: int, room: int) -> int:
    """Numbers in `State.free` of a replica with shares."""
    return 4 * slots + (2 + COLUMNS) * room


def parts(free: NDArray[np.int64], slots: int, room: int) -> Parts:
    """The parts for so many requests, and with room for so many tenants."""
    free, behind, rows, line, waiting, ordered, table = np.split(free, np.cumsum([slots] * 4 + [room] * 2))
    return Parts(free, behind, rows, line, waiting, ordered, table.reshape(room, COLUMNS))


def with_queues(slots: int, room: int, old: Parts) -> NDArray[np.int64]:
    """Room for so many requests and tenants (at least as many as before), with what is in the `old` parts."""
    free = np.full(len_of(slots, room), NONE)
    for now, before in zip(parts(free, slots, room), old, strict=True):
        now[: len(before)] = before
    return free
