"""What is expected of a horizon, in intervals of one or several steps."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.storage.connection import Limits

Array = NDArray[np.float64]


class Outlook(NamedTuple):
    """What is expected of the intervals of a horizon, means; shape (intervals,) each.

    Attributes
    ----------
    hours
        Their lengths, h.
    deficit_w, surplus_w
        Load less generation where it is positive, and the reverse, W: both where the site goes to and fro within.
    peak_w, spill_w
        Of these, what is beyond the limits of the connection.
    room_w, gap_w
        What the import and the export limit leave, W.
    cost, worth
        Of a unit of import, and what a unit of export earns, in any unit per Wh.
    """

    hours: Array
    deficit_w: Array
    surplus_w: Array
    peak_w: Array
    spill_w: Array
    room_w: Array
    gap_w: Array
    cost: Array
    worth: Array


def outlook(
    net_w: Array,
    cost: Array,
    worth: Array,
    step_h: float,
    limits: Limits,
    starts: NDArray[np.intp] | None = None,
) -> Outlook:
    """Steps in intervals.

    Parameters
    ----------
    net_w
        Load less generation in every step, W; shape (steps,).
    cost, worth
        Of import and export in every step.
    step_h
        Length of a step, h.
    limits
        Of the connection.
    starts
        First step of every interval; None: every step is one.

    Examples
    --------
    >>> from simulators.storage.connection import Connection
    >>> limits = Connection(import_limit_w=3.0).limits(3600)
    >>> seen = outlook(np.array([5.0, -1.0]), np.ones(2), np.zeros(2), 1.0, limits, np.array([0]))
    >>> [part.tolist() for part in seen[:4]], seen.room_w.tolist()
    ([[2.0], [2.5], [0.5], [1.0]], [1.5])
    """
    at = np.arange(len(net_w)) if starts is None else starts
    count = np.diff(np.append(at, len(net_w)))

    def mean(values: Array) -> Array:
        return np.asarray(np.add.reduceat(values, at) / count)

    deficit_w, surplus_w = np.maximum(net_w, 0.0), np.maximum(-net_w, 0.0)
    import_w, export_w = min(limits.import_w, 1e15), min(limits.export_w, 1e15)
    return Outlook(
        count * step_h,
        mean(deficit_w),
        mean(surplus_w),
        mean(np.maximum(deficit_w - import_w, 0.0)),
        mean(np.maximum(surplus_w - export_w, 0.0)),
        mean(np.maximum(import_w - deficit_w, 0.0)),
        mean(np.maximum(export_w - surplus_w, 0.0)),
        mean(cost),
        mean(worth),
    )
