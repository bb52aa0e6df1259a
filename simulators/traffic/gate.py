"""The gate before the clusters: a scheduler makes deferrable requests wait here, never past their latest release."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from simulators.quantities.requests import RequestBlock


class Gate:
    """Holds deferrable requests and releases them: at once, at a rate, or when their latest release comes.

    Who has the earliest leaves first. Everything else passes straight through.

    Parameters
    ----------
    latest
        When each of some requests must have been released, s; by default at its deadline.

    Examples
    --------
    >>> gate = Gate()
    >>> block = RequestBlock(np.array([0.0, 1.0]), np.array([9, 9]), np.array([5, 5]),
    ...                      deferrable=np.array([True, True]), deadline=np.array([400.0, 300.0]))
    >>> len(gate.pass_through(block, 0.0, 60.0, hold=True)), gate.held
    (0, 2)
    >>> gate.pass_through(block[:0], 60.0, 120.0, hold=False, release_rate_per_s=0.5).released_at.tolist()
    [60.0, 62.0]
    """

    def __init__(
        self, latest: Callable[[RequestBlock], NDArray[np.float64]] = lambda block: block.deadline
    ) -> None:
        self._latest = latest
        self._sorted = RequestBlock.concatenate([])  # by latest release
        # what came since, put in order only when some of it may leave
        self._recent: list[RequestBlock] = []
        self._recent_earliest = np.inf
        self._last_turn_s = -np.inf
        self.held = 0

    def pass_through(
        self,
        arrivals: RequestBlock,
        begins_at: float,
        until: float,
        hold: bool,
        release_rate_per_s: float = np.inf,
        queue: bool = False,
    ) -> RequestBlock:
        """Requests released in [begins_at, until), in order of `released_at`, which is set here.

        Parameters
        ----------
        arrivals
            Requests arriving in the interval, ascending.
        begins_at, until
            The interval, s.
        hold
            Whether deferrable requests are to wait.
        release_rate_per_s
            How fast held requests leave when they need not wait, 1/s; inf: all at once; 0: none before its latest
            release.
            The pace is kept from interval to interval.
        queue
            Whether new ones wait their turn among those held, rather than pass.
        """
        arrivals = replace(arrivals, released_at=arrivals.arrived_at)
        if hold or queue:
            latest = self._latest(arrivals)
            waits = arrivals.deferrable & (latest > arrivals.arrived_at)
            if waits.any():
                self.put(arrivals[waits])
                arrivals = arrivals[~waits]
        if not self.held:
            return arrivals
        if not hold or self._recent_earliest < until:
            self._put_in_order()
        released = self._leaving(begins_at, until, 0.0 if hold else release_rate_per_s)
        if not len(released):
            return arrivals
        both = RequestBlock.concatenate([arrivals, released])
        return both[np.argsort(both.released_at, kind="stable")]

    def due(self, now: float, width_s: float, count: int, tenant: int | None = None) -> NDArray[np.int64]:
        """How many of those held must leave in each coming span of `width_s` at the latest; shape (count,).

        The last span counts those that may stay longer as well. Of all, or of one tenant.
        """
        self._put_in_order()
        held = self._sorted if tenant is None else self._sorted[self._sorted.tenant == tenant]
        ahead = np.clip((self._latest(held) - now) / width_s, 0, count - 1)
        return np.bincount(ahead.astype(np.int64), minlength=count)

    def put(self, block: RequestBlock) -> None:
        """Hold requests, whatever comes of them later."""
        if len(block):
            self._recent.append(block)
            self._recent_earliest = min(self._recent_earliest, float(self._latest(block).min()))
            self.held += len(block)

    def take_out(self) -> RequestBlock:
        """All that are held, which are so no more."""
        self._put_in_order()
        held, self._sorted, self.held = self._sorted, self._sorted[:0], 0
        return held

    def _put_in_order(self) -> None:
        if self._recent:
            together = RequestBlock.concatenate([self._sorted, *self._recent])
            self._sorted = together[np.argsort(self._latest(together), kind="stable")]
            self._recent.clear()
            self._recent_earliest = np.inf

    def _leaving(self, begins_at: float, until: float, rate_per_s: float) -> RequestBlock:
        """Take out who leaves before `until`: the first in order, at their turn or their latest release."""
        latest = self._latest(self._sorted)
        count = int(np.searchsorted(latest, until))
        turns: NDArray[np.float64] = np.zeros(0)
        if rate_per_s > 0:
            gap_s = 1.0 / rate_per_s
            first = max(begins_at, self._last_turn_s + gap_s)
            most = (
                len(self._sorted)
                if gap_s == 0.0
                else int(np.clip((until - first) / gap_s + 1, 0, len(self._sorted)))
            )
            turns = np.asarray(first + gap_s * np.arange(most), dtype=np.float64)
            turns = turns[turns < until]
            count = max(count, len(turns))
        due = np.maximum(latest[:count], begins_at)
        due[: len(turns)] = np.minimum(due[: len(turns)], turns)
        due = np.maximum(
            due, self._sorted.arrived_at[:count]
        )  # one that queues has its turn when it is there
        if len(turns):
            self._last_turn_s = float(turns[-1])
        released = replace(self._sorted[:count], released_at=due)
        self._sorted = self._sorted[count:]
        self.held -= count
        return released
