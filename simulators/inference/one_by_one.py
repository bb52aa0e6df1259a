"""Requests that are sent to replicas one by one, because who gets one hangs on what the replicas have to do."""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.inference.batching import route
from simulators.inference.batching.board import ASLEEP, AWAY, LOADS, SERVES, Board
from simulators.inference.batching.known import Known, nothing_known, unlearn
from simulators.inference.batching.route import AHEAD, COLLECT, GROW, SETTLE, WAKE
from simulators.inference.batching.state import Records
from simulators.inference.compiled import readable, resolved
from simulators.inference.parking import Parking
from simulators.inference.replica import Replica
from simulators.inference.timing.tables import StageTables

__all__ = ["AHEAD", "SETTLE", "WAKE", "OneByOne", "Sent", "shortest_iteration_s"]

ROUNDING = 1e-9
"""What many iterations may fall short of so many times the shortest, relative."""


class Sent(NamedTuple):
    """How far requests were sent: the first that was not, why (`AHEAD`, `SETTLE`, `WAKE`), and about which replica."""

    upto: int
    why: int
    replica: int


def shortest_iteration_s(tables: StageTables) -> float:
    """No iteration is shorter, s: the least time of any number of tokens, without attention; 0 if tables fall beyond
    their end.

    Examples
    --------
    >>> from simulators.inference.serving import Serving, build_replicas
    >>> (replica,), _ = build_replicas(Serving(gpu="a100", iteration_time="roofline"))
    >>> 0.0 < shortest_iteration_s(replica.tables) <= float(replica.tables.token_s[1:].min())
    True
    """
    least = 0.0
    for curve in (tables.token_s, tables.sequence_s):
        if len(curve) > 1 and curve[-1] < curve[-2]:
            return 0.0
        least += float(curve[1:].min()) if curve is tables.token_s else min(0.0, float(curve.min()))
    return max(0.0, least * (1.0 - ROUNDING))


class OneByOne:
    """Sends requests to replicas, each at its moment.

    Parameters
    ----------
    replicas
        Of one cluster.
    parking
        Which of them sleep.
    known
        What a router by prefixes has sent to each.
    """

    def __init__(self, replicas: Sequence[Replica], parking: Parking, known: Known | None = None) -> None:
        self._replicas = replicas
        self._parking = parking
        self._known = nothing_known(0) if known is None else known
        self._entries: Any = None
        self._listed: list[tuple[Any, ...]] = []
        self._shortest_s = np.zeros(len(replicas))
        self._route: Any = None
        self._settled: Any = None

    def send(
        self,
        records: Records,
        hashes: NDArray[np.int64],
        first: int,
        before: float,
        candidates: NDArray[np.int64],
        loading: Set[int],
        bins: NDArray[np.float64],
        begins_at: float,
        width_s: float,
    ) -> tuple[Sent, int]:
        """Send requests from `first` on that are released before a time, until something is to be done about one.

        Parameters
        ----------
        records
            In order of release; what could never run is left out.
        hashes, first, before, candidates, bins, begins_at, width_s
            See `route.route`.
        loading
            Replicas that load their model.

        Returns
        -------
        tuple
            How far it came, and the requests that could never run.
        """
        refused = 0
        requests = readable(records)
        while True:
            self._list()
            board = self._board(loading)
            if self._route is None:
                arguments = (board, requests, hashes, 0, 0.0, candidates, bins, 0.0, 0.0)
                self._route = resolved(route.route, self._entries, *arguments)
                self._settled = resolved(route.settled, self._entries)
            upto, why, number = self._route(
                self._entries, board, requests, hashes, first, before, candidates, bins, begins_at, width_s
            )
            self._settled(self._entries)
            for n, replica in enumerate(self._replicas):
                replica.enqueued += int(board.taken[n])
                replica.completed = replica.counter("completed")
            refused += int(board.refused.sum())
            first = upto
            if why == COLLECT:
                self._replicas[number].relieve()
            elif why == GROW:
                self._replicas[number].make_room(records, upto, upto + 1)
            else:
                return Sent(upto, why, number), refused

    def _list(self) -> None:
        """Have the list say what the replicas are now: commands and growth replace their parts."""
        for n, r in enumerate(self._replicas):
            now = (r.state, r.limits, r.tables, r.law, r.split, r.gpus)
            if n < len(self._listed) and all(a is b for a, b in zip(now, self._listed[n], strict=True)):
                continue
            if n >= len(self._listed) or r.tables is not self._listed[n][2]:
                self._shortest_s[n] = shortest_iteration_s(r.tables)
            if self._entries is None:
                self._entries = resolved(route.listed, *now)(*now)
            else:
                resolved(route.put, self._entries, n, *now)(self._entries, n, *now)
            self._listed[n : n + 1] = [now]

    def _board(self, loading: Set[int]) -> Board:
        replicas, away, asleep = self._replicas, self._parking.away, self._parking.asleep
        count = len(replicas)
        for n in range(len(self._known.counts)):
            if replicas[n].standby.state is not None and self._known.counts[n] > 0:
                unlearn(self._known, n)
        asleep = asleep | self._parking.down  # nobody else can wake them either
        does = [
            (ASLEEP if n in asleep else AWAY) if n in away else LOADS if n in loading else SERVES
            for n in range(count)
        ]
        rules = [r.standby.rule for r in replicas]
        return Board(
            outstanding=np.array([r.outstanding for r in replicas]),
            most=np.array([r.limits.max_requests for r in replicas]),
            does=np.array(does),
            idle_for_s=np.array([np.inf if rule is None else rule.after_s for rule in rules]),
            idle_since=np.zeros(count),
            shortest_s=self._shortest_s,
            done_from=np.zeros(count),
            taken=np.zeros(count, np.int64),
            refused=np.zeros(count, np.int64),
            wanted=np.zeros(count, np.bool_),
            known=self._known,
        )
