"""Which replicas sleep: parked on order or after being idle for a while, woken when the others are full."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from simulators.inference.hosts import GPUS_PER_HOST, Hosts
from simulators.inference.power.states import State
from simulators.inference.replica import Replica


class Parking:
    """Parks replicas and wakes them.

    A replica that is parked, or to be parked once drained, gets no request while one that is awake has room, which is:
    fewer unfinished requests than its batch cap. When none has, one is woken; its requests wait until it is loaded.

    Replicas are settled late but exactly: what they draw is asked for at the end of an interval, and when one became
    idle is known from its last completion.

    Parameters
    ----------
    replicas
        Of one cluster; the `rule` of their `standby` says which park by themselves.
    gpus_per_host
        GPUs in one server.

    Attributes
    ----------
    asleep
        Replicas a controller has put to sleep: they are not woken because the others are full.
    down
        Replicas that failed or are in maintenance: nobody can wake them (`failures.py`).
    hosts
        The servers around them.
    """

    def __init__(self, replicas: Sequence[Replica], gpus_per_host: int = GPUS_PER_HOST) -> None:
        self._replicas = replicas
        self.hosts = Hosts(replicas, gpus_per_host)
        self._ordered: dict[int, tuple[float, State]] = {}  # to be parked once drained, since when
        self.asleep: set[int] = set()
        self.down: set[int] = set()

    @property
    def away(self) -> set[int]:
        """Replicas that are parked, or will be once drained."""
        parked = {n for n, r in enumerate(self._replicas) if r.standby.state is not None}
        return parked | self._ordered.keys()

    @property
    def draining(self) -> set[int]:
        """Replicas to be parked once they have finished what they have."""
        return set(self._ordered)

    @property
    def looks(self) -> bool:
        """Whether requests may park or wake replicas; those that a controller put to sleep wait for it."""
        return any(r.standby.rule is not None for r in self._replicas) or bool(
            self.away - self.asleep - self.down
        )

    def standby_j(self, edges: NDArray[np.float64]) -> NDArray[np.float64]:
        """`Standby.energy_j` of one GPU of every replica, J; shape (replicas, len(edges) - 1, 2)."""
        return np.array([r.standby.energy_j(edges) for r in self._replicas])

    def order(self, number: int, now: float, state: State) -> None:
        """Park a replica as soon as it has nothing left to do."""
        self._ordered[number] = (now, state)
        self.settle(number, now)

    def to_serve(self, count: int) -> set[int]:
        """So many replicas that shall serve: who does already before who sleeps on order, who is out last."""
        order = sorted(
            range(len(self._replicas)),
            key=lambda number: (number in self.down, number in self.asleep, number),
        )
        return set(order[:count])

    def crash(self, number: int, at: float) -> None:
        """Switch off a replica that failed at a time, s; one that was parked stays as it is."""
        self._ordered.pop(number, None)
        replica = self._replicas[number]
        if replica.standby.state is None:
            replica.standby.crash(at, replica.states["off"])

    def settle(self, number: int, now: float) -> None:
        """Park a replica, advanced to `now`, if it is due: at the moment it became so."""
        replica = self._replicas[number]
        due = number in self._ordered or replica.standby.rule is not None
        if not due or replica.outstanding > 0 or replica.standby.state is not None:
            return
        idle_since = max(replica.counter("last_completion"), replica.counter("serves_from"))
        if number in self._ordered:
            if idle_since > now:  # it still loads, and may yet be kept
                return
            since, state = self._ordered.pop(number)
            replica.standby.park(max(since, idle_since), state)
            replica.lose_memory()
            self.hosts.look(number)
        elif replica.standby.rule is not None:
            state, after_s = replica.standby.rule
            if idle_since + after_s <= now:
                replica.standby.park(idle_since + after_s, state)
                replica.lose_memory()

    def wake(self, number: int, at: float) -> float:
        """Make sure that a replica, advanced to `at`, serves or will; returns when it can, s."""
        self.settle(number, at)
        self._ordered.pop(number, None)
        powered_at = self.hosts.power(number, at)
        replica = self._replicas[number]
        if replica.standby.state is None:
            return at
        ready_at = replica.standby.wake(powered_at)
        replica.serve_from(ready_at)
        return ready_at
