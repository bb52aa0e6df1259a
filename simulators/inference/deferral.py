"""The gate before the router: deferrable requests wait here while a scheduler holds them, never past their deadline."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulators.inference.batching.state import REQUEST, Records


class Gate:
    """Holds deferrable requests and releases them: at once, at a rate, or when their deadline comes.

    Who has the earliest deadline leaves first. Everything else passes straight through.
    """

    def __init__(self) -> None:
        # in parts as they came, put together and sorted only when some of them may leave
        self._parts: list[tuple[Records, NDArray[np.float64]]] = []
        self._earliest = np.inf
        self._last_turn_s = -np.inf
        self.held = 0

    def pass_through(
        self,
        arrivals: Records,
        deadlines: NDArray[np.float64],
        begins_at: float,
        until: float,
        hold: bool,
        release_rate_per_s: float,
    ) -> Records:
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
            How fast held requests leave when they need not wait, 1/s; inf: all at once; 0: none before its deadline.
            The pace is kept from interval to interval.
        """
        arrivals["released_at"] = arrivals["arrived_at"]
        if hold:
            waits = (arrivals["deferrable"] == 1) & (deadlines > arrivals["arrived_at"])
            if waits.any():
                self._parts.append((arrivals[waits], deadlines[waits]))
                self._earliest = min(self._earliest, float(deadlines[waits].min()))
                self.held += int(waits.sum())
                arrivals = arrivals[~waits]
        if not self.held or (hold and self._earliest >= until):
            return arrivals
        records = np.concatenate([part for part, _ in self._parts])
        latest = np.concatenate([part for _, part in self._parts])
        order = np.argsort(latest, kind="stable")
        records, latest = records[order], latest[order]
        due = np.maximum(latest, begins_at)
        turns = np.full(len(records), np.inf)
        if not hold and release_rate_per_s > 0:
            gap_s = 1.0 / release_rate_per_s
            turns = max(begins_at, self._last_turn_s + gap_s) + gap_s * np.arange(len(records))
            due = np.minimum(due, turns)
        # a request that came in this interval leaves no earlier than it came
        due = np.maximum(due, records["arrived_at"])
        leaves = due < until
        taken = turns[leaves & (turns < until)]
        if len(taken):
            self._last_turn_s = float(taken[-1])
        released = records[leaves]
        released["released_at"] = due[leaves]
        self._parts = [(records[~leaves], latest[~leaves])]
        self.held = int((~leaves).sum())
        self._earliest = float(latest[~leaves].min()) if self.held else np.inf
        both = np.concatenate((arrivals, released))
        return np.asarray(both[np.argsort(both["released_at"], kind="stable")], dtype=REQUEST)
