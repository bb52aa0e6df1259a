"""In which order a site sheds load while its connection lacks power.

The order is that of what users lose: first deferrable requests wait, then fewer requests run at once, then replicas are
parked, down to one (of each pool, where prefill and decode are apart). One level a step, and back in the reverse order.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import inf
from typing import NamedTuple

from simulators.errors import InputError
from simulators.quantities.commands import Awake, BatchCap, Command, Release

BATCH_FACTOR = 4
"""By which the batch shrinks from level to level. A choice: 128 requests are down to 2 within three steps."""

REPLICA_FACTOR = 2
"""By which the replicas become fewer from level to level. A choice."""

MARGIN = 0.1
"""Share of the load by which power must exceed it before a level is taken back, so that it does not go to and fro. A
choice, 0.05 to 0.2."""


class Level(NamedTuple):
    """What holds at a level: whether deferrable requests wait, requests at once on a replica, replicas that serve."""

    hold: bool
    batch_cap: int
    replicas: int


def levels(batch_cap: int, replicas: int, least_replicas: int = 1) -> list[Level]:
    """All levels, from none shed to all that can be; so many replicas serve at least.

    Examples
    --------
    >>> for level in levels(batch_cap=32, replicas=4):
    ...     print(tuple(level))
    (False, 32, 4)
    (True, 32, 4)
    (True, 8, 4)
    (True, 2, 4)
    (True, 1, 4)
    (True, 1, 2)
    (True, 1, 1)
    """
    found = [Level(False, batch_cap, replicas), Level(True, batch_cap, replicas)]
    while batch_cap > 1:
        batch_cap = max(1, batch_cap // BATCH_FACTOR)
        found.append(Level(True, batch_cap, replicas))
    while replicas > least_replicas:
        replicas = max(least_replicas, replicas // REPLICA_FACTOR)
        found.append(Level(True, batch_cap, replicas))
    return found


class Sequence:
    """Which level a site is at.

    Parameters
    ----------
    batch_cap, replicas
        Of the cluster where nothing is shed, >= 1.
    least_replicas
        So many serve at least, >= 1.

    Attributes
    ----------
    level
        Number of the level, 0: nothing is shed.

    Examples
    --------
    >>> sequence = Sequence(batch_cap=32, replicas=1)
    >>> list(sequence.decide(load_w=900.0, available_w=1e6))
    []
    >>> list(sequence.decide(load_w=900.0, available_w=400.0))
    [Release(hold=True, rate_per_s=0.0, queue=False, tenants=())]
    >>> list(sequence.decide(load_w=900.0, available_w=400.0))
    [Release(hold=True, rate_per_s=0.0, queue=False, tenants=()), BatchCap(requests=8)]
    """

    def __init__(self, batch_cap: int, replicas: int, least_replicas: int = 1) -> None:
        given = {"batch_cap": batch_cap, "replicas": replicas, "least_replicas": least_replicas}
        for name, value in given.items():
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise InputError(f"shedding: {name} is {value!r}, expected a whole number above 0")
        self._levels = levels(batch_cap, replicas, least_replicas)
        self.level = 0

    def decide(self, load_w: float, available_w: float) -> Iterator[Command]:
        """Commands for the coming step.

        Parameters
        ----------
        load_w, available_w
            Of the step before: what the site drew, or would have drawn, and what it could have had, W; see
            `storage.site.Site.available_w`.
        """
        before = self._levels[self.level]
        if load_w > available_w:
            self.level = min(self.level + 1, len(self._levels) - 1)
        elif self.level and available_w >= load_w * (1 + MARGIN):
            self.level -= 1
        now = self._levels[self.level]
        if now.hold:
            yield Release(hold=True, rate_per_s=0.0, queue=False)
        elif before.hold:
            yield Release(hold=False, rate_per_s=inf)
        if now.batch_cap != before.batch_cap:
            yield BatchCap(now.batch_cap)
        if now.replicas != before.replicas:
            yield Awake(now.replicas)
