"""The contract of a policy, and what bundled ones share.

A policy only ever asks. Whatever it commands, the gate releases a held request at its deadline at the latest and never
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
    [Release(hold=True, rate_per_s=inf)]
    """

    @property
    def needs(self) -> frozenset[str]: ...

    def decide(self, observation: Observation) -> Iterable[Command]:
        """Commands for the step that starts at the observation."""
        ...


HOLD = Release(hold=True, rate_per_s=0.0)


def release(held: float, over_s: float) -> Release:
    """Let `held` requests go evenly over `over_s` (at once if that is 0).

    Examples
    --------
    >>> release(90, 900.0)
    Release(hold=False, rate_per_s=0.1)
    """
    return Release(False, held / over_s if held > 0 and over_s > 0 else inf)


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
