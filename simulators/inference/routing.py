"""Which replica a request goes to.

A router that does not look at the replicas assigns requests beforehand: `assign(count, among)` spreads the next ones
over so many replicas. One that `looks` is asked at the moment of each arrival: `choose(outstanding)` gets the
unfinished requests of each replica, queued and running, shape (replicas,). Every router can be asked one by one.
"""

from __future__ import annotations

from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from simulators.errors import InputError
from simulators.options import nearest


class Router(Protocol):
    """What spreads requests over the replicas of a cluster."""

    looks: ClassVar[bool]

    def assign(self, count: int, among: int) -> NDArray[np.int64]:
        """Which of `among` replicas each of the next `count` requests goes to, whatever they do; shape (count,)."""
        ...

    def choose(self, outstanding: NDArray[np.int64]) -> int:
        """Replica of the next request."""
        ...


class RoundRobin:
    """One after the other."""

    looks: ClassVar[bool] = False

    def __init__(self, replicas: int) -> None:
        self._replicas = replicas
        self._next = 0

    def assign(self, count: int, among: int) -> NDArray[np.int64]:
        chosen = (self._next + np.arange(count)) % among
        self._next = (self._next + count) % among
        return chosen

    def choose(self, outstanding: NDArray[np.int64]) -> int:
        return int(self.assign(1, self._replicas)[0])


class Random:
    """Uniformly at random."""

    looks: ClassVar[bool] = False

    def __init__(self, replicas: int, rng: np.random.Generator) -> None:
        self._replicas = replicas
        self._rng = rng

    def assign(self, count: int, among: int) -> NDArray[np.int64]:
        return self._rng.integers(among, size=count)

    def choose(self, outstanding: NDArray[np.int64]) -> int:
        return int(self.assign(1, self._replicas)[0])


class _Looking:
    looks: ClassVar[bool] = True

    def assign(self, count: int, among: int) -> NDArray[np.int64]:
        raise NotImplementedError("this router must see the replicas at each arrival")


class LeastOutstanding(_Looking):
    """The replica with the fewest unfinished requests, running ones included; the first of equals."""

    def choose(self, outstanding: NDArray[np.int64]) -> int:
        return int(np.argmin(outstanding))


class PowerOfTwo(_Looking):
    """The less loaded of two replicas drawn at random (Mitzenmacher, IEEE TPDS 12(10), 2001)."""

    def __init__(self, replicas: int, rng: np.random.Generator) -> None:
        self._replicas = replicas
        self._rng = rng

    def choose(self, outstanding: NDArray[np.int64]) -> int:
        if self._replicas == 1:
            return 0
        first, second = self._rng.choice(self._replicas, size=2, replace=False)
        return int(first if outstanding[first] <= outstanding[second] else second)


ROUTERS = ("round_robin", "random", "least_outstanding", "power_of_two")


def router(name: str, replicas: int, rng: np.random.Generator) -> Router:
    """The router called `name`.

    Raises
    ------
    InputError
        Unknown name.

    Examples
    --------
    >>> router("round_robin", 2, np.random.default_rng(0)).assign(3, 2).tolist()
    [0, 1, 0]
    """
    if name == "round_robin":
        return RoundRobin(replicas)
    if name == "random":
        return Random(replicas, rng)
    if name == "least_outstanding":
        return LeastOutstanding()
    if name == "power_of_two":
        return PowerOfTwo(replicas, rng)
    hint = nearest(name, ROUTERS)
    raise InputError(f"--router {name}: unknown, expected one of {', '.join(ROUTERS)}{hint}")
