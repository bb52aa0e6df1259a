"""Whether a server keeps up with its requests: one definition, from how long they wait for their first batch.

The time in which requests were released is cut into up to `MOST_PERIODS` equal parts. With `w` the mean wait, from
release to first batch, of the requests released in a part, and the target that of the time to first token (a wait alone
may not use it up):

- **overloaded**: over the last tenth of that time `w` is above the target and at least half of the highest: the queue
  was not worked off, so every latency hangs on the length of the run;
- **backlogged**: `w` is above the target in more than `BACKLOGGED_SHARE` of the parts, or over the last tenth, but the
  queue was being worked off;
- **stable**: neither.

Requests nobody may hold back decide, where there are any. Those that still wait when the run ends count with the
wait of the one that has waited longest: who comes behind it will not wait less.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Label = Literal["stable", "backlogged", "overloaded"]
LABELS: tuple[Label, ...] = ("stable", "backlogged", "overloaded")
"""From good to bad."""

MOST_PERIODS = 128
FIRST_PERIOD_S = 1.0
"""Length of a part at first; doubled whenever `MOST_PERIODS` do not reach, so that memory does not grow."""
BACKLOGGED_SHARE = 0.05
"""A judgement: one part in twenty above the target, over an hour in a day."""
LAST_SHARE = 0.1
NOT_WORKED_OFF = 0.5
"""Of the highest wait: a queue that has halved by the end was being worked off."""


def label_text(label: object) -> str:
    """A label as tables show it: a run of which no latency can be trusted stands out; a dash where none is known.

    Examples
    --------
    >>> [label_text(label) for label in ("stable", "overloaded", None)]
    ['stable', 'OVERLOADED', '-']
    """
    if not isinstance(label, str):  # a data frame has NaN in its place
        return "-"
    return label.upper() if label == "overloaded" else label


def worst_label(labels: Iterable[object]) -> str | None:
    """The label of what keeps up least; None if none is known.

    Examples
    --------
    >>> worst_label(["stable", None, "backlogged"])
    'backlogged'
    """
    order: tuple[str, ...] = LABELS
    return max((label for label in labels if isinstance(label, str)), key=order.index, default=None)


class Saturation(NamedTuple):
    """Whether requests are served as fast as they come.

    Attributes
    ----------
    label
        See the module.
    wait_end_s, wait_peak_s
        Mean wait for the first batch over the last tenth of the time, and in the worst part, s.
    above_share
        Share of the parts with requests whose mean wait is above the target.
    target_s
        s.
    """

    label: Label
    wait_end_s: float
    wait_peak_s: float
    above_share: float
    target_s: float


class Waits:
    """Mean wait by time of release, in memory that does not grow.

    Examples
    --------
    >>> waits = Waits()
    >>> waits.add([0.0, 10.0, 20.0, 30.0], [0.0, 4.0, 8.0, 12.0])
    >>> waits.saturation(target_s=2.0).label
    'overloaded'
    >>> waits.add([40.0, 50.0, 60.0], [3.0, 1.0, 0.0])
    >>> waits.saturation(target_s=2.0).label
    'backlogged'
    """

    def __init__(self) -> None:
        self._period_s = FIRST_PERIOD_S
        self._sums: Array = np.zeros(MOST_PERIODS)
        self._counts: Array = np.zeros(MOST_PERIODS)

    @property
    def count(self) -> float:
        """Requests so far."""
        return float(self._counts.sum())

    def add(self, released_at: ArrayLike, wait_s: ArrayLike) -> None:
        """Count requests: when they were released, s from the start, and how long they waited; shape (n,)."""
        at, waits = np.asarray(released_at, dtype=np.float64), np.asarray(wait_s, dtype=np.float64)
        if not len(at):
            return
        while at.max() >= MOST_PERIODS * self._period_s:
            self._period_s *= 2.0
            for values in (self._sums, self._counts):
                half = values.reshape(-1, 2).sum(axis=1)
                values[: len(half)], values[len(half) :] = half, 0.0
        parts = (np.maximum(at, 0.0) / self._period_s).astype(np.int64)
        self._sums += np.bincount(parts, waits, MOST_PERIODS)
        self._counts += np.bincount(parts, minlength=MOST_PERIODS)

    def saturation(self, target_s: float) -> Saturation | None:
        """Whether requests were served as they came; None without any."""
        known = np.flatnonzero(self._counts)
        if not len(known):
            return None
        means = self._sums[known] / self._counts[known]
        last = known >= int((1.0 - LAST_SHARE) * (known[-1] + 1))
        end_s = float(self._sums[known[last]].sum() / self._counts[known[last]].sum())
        peak_s, above = float(means.max()), float((means > target_s).mean())
        label: Label = "stable"
        if end_s > target_s and end_s >= NOT_WORKED_OFF * peak_s:
            label = "overloaded"
        elif above > BACKLOGGED_SHARE or end_s > target_s:
            label = "backlogged"
        return Saturation(label, end_s, peak_s, above, target_s)
