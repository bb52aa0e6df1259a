"""The contract of a policy, and what bundled ones share.

A policy only ever asks. Whatever it commands, the gate releases a held request in time for its deadline and never
holds one that is not deferrable, and an actuator that cannot do as told says why.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import inf, isnan
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from simulators.errors import InputError
from simulators.quantities.commands import Command, Release
from simulators.scheduler.observation import Observation


class Policy(Protocol):
    """Anything that decides.

    Attributes
    ----------
    needs
        Signals it wants to see (`observation.NEEDS`); nothing else is connected. A user's own class may leave it out
        and sees everything.

    Examples
    --------
    >>> class Always:
    ...     needs = frozenset({"carbon"})
    ...     def decide(self, observation):
    ...         yield Release(hold=observation.ci_g_per_kwh > 300)
    >>> list(Always().decide(Observation(time_s=0, step_s=60, ci_g_per_kwh=310.0)))
    [Release(hold=True, rate_per_s=inf, queue=False, tenants=())]
    """

    @property
    def needs(self) -> frozenset[str]: ...

    def decide(self, observation: Observation) -> Iterable[Command]:
        """Commands for the step that starts at the observation."""
        ...


HOLD = Release(hold=True, rate_per_s=0.0)


MOST_WAITING = 0.03
"""Requests that may queue per slot before deferred ones wait on: 8 of 256 slots. A choice, 0 to some 0.1: a queue of a
few is gone in a fraction of a second, and a longer one delays the requests that nobody deferred."""


def release(seen: Observation, over_s: float, most_waiting: float = inf) -> Release:
    """Let the held requests go evenly over `over_s` (at once if that is 0), but no faster than slots are free.

    Parameters
    ----------
    seen
        What the policy sees; its queue counts.
    over_s
        Time in which all that are held are to be gone, s.
    most_waiting
        Requests that may queue per slot (`Observation.slots`), >= 0; while more do, all that is deferrable is held.
        inf: no limit at all.

    Examples
    --------
    >>> release(Observation(0, 60, held=90), 900.0)
    Release(hold=False, rate_per_s=0.1, queue=False, tenants=())
    >>> release(Observation(0, 60, held=90, waiting=5, slots=128), 900.0, most_waiting=0.03)
    Release(hold=True, rate_per_s=0.0, queue=False, tenants=())
    >>> release(Observation(0, 60, held=9000, arrived=60, completed=60, running=8, slots=128), 0.0, most_waiting=0.0)
    Release(hold=False, rate_per_s=2.0, queue=False, tenants=())
    """
    rate_per_s = seen.held / over_s if seen.held > 0 and over_s > 0 else inf
    if most_waiting == inf or isnan(seen.slots):
        return Release(False, rate_per_s)
    if seen.waiting > most_waiting * seen.slots:
        return HOLD
    # a queue is seen only when it is there; none comes if only as many enter as the last step completed and slots are
    # free, beside those that come anyway
    free = (1 + most_waiting) * seen.slots - seen.running - seen.waiting
    room_per_s = (seen.completed + free - seen.arrived) / seen.step_s
    return Release(False, min(rate_per_s, room_per_s)) if room_per_s > 0 else HOLD


def quantile(ascending: Sequence[float] | NDArray[np.float64], share: float) -> float:
    """`numpy.quantile` of sorted values, without its fixed cost of about a tenth of a millisecond."""
    at = share * (len(ascending) - 1)
    below = int(at)
    low, high = ascending[below], ascending[min(below + 1, len(ascending) - 1)]
    return float(low + (high - low) * (at - below))


def need(value: float, attribute: str, name: str) -> float:
    """A value that a policy cannot do without."""
    if isnan(value):
        raise InputError(f"policy {name!r}: needs {attribute}, which is not connected")
    return value


def expect(good: bool, name: str, what: str) -> None:
    """Refuse a parameter of a policy."""
    if not good:
        raise InputError(f"policy {name!r}: expected {what}")
