"""The gate before the router: deferrable requests wait here while a scheduler holds them, never past their deadline."""

from __future__ import annotations

import numpy as np

from simulators.inference.batching.state import REQUEST, RecordArray

_NONE: RecordArray = np.zeros(0, REQUEST).view(np.recarray)


class Gate:
    """Holds deferrable requests and releases them: at once, at a rate, or when their deadline comes.

    Who has the earliest deadline leaves first. Everything else passes straight through.
    """

    def __init__(self) -> None:
        self._held: RecordArray = _NONE
        self._deadlines = np.zeros(0)

    @property
    def held(self) -> int:
        """Requests being held."""
        return len(self._held)

    def pass_through(
        self,
        arrivals: RecordArray,
        deadlines: np.ndarray[tuple[int], np.dtype[np.float64]],
        begins_at: float,
        until: float,
        hold: bool,
        release_rate_per_s: float,
    ) -> RecordArray:
        """Requests released in [begins_at, until), in order of `released_at`, which is set here.

        Parameters
        ----------
        arrivals
            Requests arriving in the interval, ascending.
        deadlines
            Latest release of each, s; shape (len(arrivals),).
        begins_at, until
            The interval, s.
        hold
            Whether deferrable requests are to wait.
        release_rate_per_s
            How fast held requests leave when they need not wait, 1/s; inf: all at once.
        """
        waits = (
            (arrivals.deferrable == 1) & (deadlines > arrivals.arrived_at)
            if hold
            else np.zeros(len(arrivals), bool)
        )
        if not waits.any() and not len(self._held):
            arrivals.released_at = arrivals.arrived_at
            return arrivals
        if not hold:
            passed = arrivals
            passed.released_at = passed.arrived_at
            due = np.minimum(
                np.maximum(self._deadlines, begins_at),
                begins_at + np.arange(len(self._held)) / release_rate_per_s,
            )
            leaves = due < until
        else:
            passed = arrivals[~waits]
            passed.released_at = passed.arrived_at
            self._held = np.concatenate((self._held, arrivals[waits])).view(np.recarray)
            self._deadlines = np.concatenate((self._deadlines, deadlines[waits]))
            order = np.argsort(self._deadlines, kind="stable")
            self._held, self._deadlines = self._held[order], self._deadlines[order]
            due = np.maximum(self._deadlines, begins_at)
            leaves = due < until
        released: RecordArray = self._held[leaves]
        released.released_at = due[leaves]
        self._held, self._deadlines = self._held[~leaves], self._deadlines[~leaves]
        both: RecordArray = np.concatenate((passed, released)).view(np.recarray)
        return both[np.argsort(both.released_at, kind="stable")]
