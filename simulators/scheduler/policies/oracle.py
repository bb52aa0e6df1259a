"""What the joint schedule could do if it knew the whole run beforehand: the upper bound of the others."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import ClassVar

from simulators.scheduler.policies.mpc import JointMpc


@dataclass
class Oracle(JointMpc):
    """The joint schedule over the whole run with perfect foresight: an upper bound, not a policy for use.

    Attributes
    ----------
    horizon_s
        How far it looks ahead, s; inf: to the end of the run.
    objective
        ``carbon`` or ``cost``: what is least.
    defer, awake, clock, chunk, battery
        Levers it may use, as in ``mpc``.
    headroom
        Share of the latency targets it plans with, above 0.
    spare
        Share of a rate that it expects to be exceeded by within a quarter of an hour, >= 0.
    import_limit_w
        Most to take from the grid, W, where the connection itself has no lower limit.

    Examples
    --------
    >>> Oracle().foresight, Oracle().horizon_s
    (True, inf)
    """

    foresight: ClassVar[bool] = True
    solve_every_s: ClassVar[float] = 3600.0

    horizon_s: float = inf
