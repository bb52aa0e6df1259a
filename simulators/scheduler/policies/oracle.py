"""What the joint schedule does if it knows the whole run beforehand: what better forecasts could give."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import ClassVar

from simulators.quantities.facts import SiteFacts
from simulators.scheduler.policies.mpc import JointMpc

BLOCKS = 700
"""A plan of up to so many blocks, a week of them, is made anew every block: a twentieth of a second each."""


@dataclass
class Oracle(JointMpc):
    """The joint schedule over the whole run with perfect foresight: a yardstick of forecasts, not a policy for use.

    It is rounded to whole replicas as ``mpc`` is and plans with targets that are kept at every rate, so that a run that
    trades them over time may save more. What bounds them all is the linear programme itself (`scenarios.bound`).

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

    horizon_s: float = inf

    def solve_every_s(self, facts: SiteFacts) -> float:
        """How long a plan is followed, s: a block, in runs beyond a week so long that planning takes no more in all."""
        block_s = facts.forecast_step_s
        return min(86_400.0, block_s * max(1.0, facts.end_s / block_s / BLOCKS) ** 2)
