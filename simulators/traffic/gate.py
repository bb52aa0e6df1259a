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
        self._sorted: Records = np.zeros(0, REQUEST)
        self._latest = np.zeros(0)  # their deadlines, ascending
        # what came since, put in order only when some of it may leave
        self._recent: list[tuple[Records, NDArray[np.float64]]] = []
        self._recent_earliest = np.inf
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
                self._recent.append((arrivals[waits], deadlines[waits]))
                self._recent_earliest = min(self._recent_earliest, float(deadlines[waits].min()))
                self.held += int(waits.sum())
                arrivals = arrivals[~waits]
        if not self.held:
            return arrivals
        if not hold or self._recent_earliest < until:
            self._put_in_order()
        released = self._leaving(begins_at, until, 0.0 if hold else release_rate_per_s)
        if not len(released):
            return arrivals
        both = np.concatenate((arrivals, released))
        return np.asarray(both[np.argsort(both["released_at"], kind="stable")], dtype=REQUEST)

    def _put_in_order(self) -> None:
        if self._recent:
            latest = np.concatenate([self._latest, *(part for _, part in self._recent)])
            order = np.argsort(latest, kind="stable")
            self._sorted = np.concatenate([self._sorted, *(part for part, _ in self._recent)])[order]
            self._latest = latest[order]
            self._recent.clear()
            self._recent_earliest = np.inf

    def _leaving(self, begins_at: float, until: float, rate_per_s: float) -> Records:
        """Take out who leaves before `until`: the first in order, at their turn or their deadline."""
        count = int(np.searchsorted(self._latest, until))
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
        due = np.maximum(self._latest[:count], begins_at)
        due[: len(turns)] = np.minimum(due[: len(turns)], turns)
        if len(turns):
            self._last_turn_s = float(turns[-1])
        released = self._sorted[:count].copy()
        released["released_at"] = due
        self._sorted, self._latest = self._sorted[count:], self._latest[count:]
        self.held -= count
        return released
