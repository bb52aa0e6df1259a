"""Which replica a request goes to.

A stateless router assigns requests beforehand: `assign(count)` gives the replica of each of the next requests. A
stateful one looks at the replicas at the moment of arrival: `choose(outstanding)` gets the unfinished requests of each,
queued and running, shape (replicas,).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulators.errors import InputError


class RoundRobin:
    """One after the other."""

    def __init__(self, replicas: int) -> None:
        self._replicas = replicas
        self._next = 0

    def assign(self, count: int) -> NDArray[np.int64]:
        chosen = (self._next + np.arange(count)) % self._replicas
        self._next = (self._next + count) % self._replicas
        return chosen


class Random:
    """Uniformly at random."""

    def __init__(self, replicas: int, rng: np.random.Generator) -> None:
        self._replicas = replicas
        self._rng = rng

    def assign(self, count: int) -> NDArray[np.int64]:
        return self._rng.integers(self._replicas, size=count)


class LeastOutstanding:
    """The replica with the fewest unfinished requests, running ones included; the first of equals."""

    def choose(self, outstanding: NDArray[np.int64]) -> int:
        return int(np.argmin(outstanding))


class PowerOfTwo:
    """The less loaded of two replicas drawn at random (Mitzenmacher, IEEE TPDS 12(10), 2001)."""

    def __init__(self, replicas: int, rng: np.random.Generator) -> None:
        self._replicas = replicas
        self._rng = rng

    def choose(self, outstanding: NDArray[np.int64]) -> int:
        if self._replicas == 1:
            return 0
        first, second = self._rng.choice(self._replicas, size=2, replace=False)
        return int(first if outstanding[first] <= outstanding[second] else second)


Router = RoundRobin | Random | LeastOutstanding | PowerOfTwo
ROUTERS = ("round_robin", "random", "least_outstanding", "power_of_two")


def router(name: str, replicas: int, rng: np.random.Generator) -> Router:
    """The router called `name`.

    Raises
    ------
    InputError
        Unknown name.
    """
    if name == "round_robin":
        return RoundRobin(replicas)
    if name == "random":
        return Random(replicas, rng)
    if name == "least_outstanding":
        return LeastOutstanding()
    if name == "power_of_two":
        return PowerOfTwo(replicas, rng)
    raise InputError(f"--router {name}: unknown, expected one of {', '.join(ROUTERS)}")
