"""What a site draws for the requests it serves, with so many replicas awake and in which mode."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import ceil

import numpy as np
from numpy.typing import NDArray

from simulators.errors import InputError
from simulators.quantities.facts import SiteFacts
from simulators.quantities.load_curve import Mode

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Setting:
    """How the replicas run.

    Attributes
    ----------
    replicas
        Awake, of one copy.
    mode
        Clock and chunk budget of each.
    meter_w
        The site's power, all copies, W.
    """

    replicas: int
    mode: Mode
    meter_w: float


@dataclass(frozen=True)
class Fleet:
    """The replicas of a site under the levers a policy may use; rates are of all copies, 1/s.

    Attributes
    ----------
    facts
        The site, with a load curve.
    awake, clock, chunk
        Whether replicas may be parked (and empty servers switched off), and whether clock and chunk budget may change.
    headroom
        Share of the targets of interactive requests that is planned with, above 0; 1: all of it.
    least
        Replicas that are awake at least.
    """

    facts: SiteFacts
    awake: bool = True
    clock: bool = True
    chunk: bool = True
    headroom: float = 1.0
    least: int = 1

    @cached_property
    def modes(self) -> tuple[Mode, ...]:
        """Those the levers allow, the configured one first."""
        curve = self.facts.curve
        if curve is None:
            raise InputError("policy: needs load_curve, but there is no request to measure it with")
        first = curve.modes[0]
        return tuple(
            mode
            for mode in curve.modes
            if (self.clock or mode.clock == first.clock)
            and (self.chunk or mode.chunk_tokens == first.chunk_tokens)
        )

    @cached_property
    def cuts(self) -> bool:
        """Whether there are chunk budgets to choose from."""
        return len({mode.chunk_tokens for mode in self.modes}) > 1

    @cached_property
    def _most(self) -> Array:
        """The highest rate of a replica that keeps the targets, by mode; where none does, what it can serve."""
        ttft_s, tpot_s = (self.headroom * t for t in (self.facts.slo_ttft_s, self.facts.slo_tpot_s))
        return np.array([mode.most_per_s(ttft_s, tpot_s) for mode in self.modes])

    @cached_property
    def most_per_replica(self) -> float:
        """The highest rate of a replica of all copies that keeps the targets in its best mode, 1/s."""
        most = float(self._most.max())
        if most <= 0:  # no target can be kept: serve at what can be served
            most = 0.9 * max(float(mode.rate_per_s[-1]) for mode in self.modes)
        return most * self.facts.copies

    @property
    def most_per_s(self) -> float:
        """The highest rate of the site that keeps the targets, 1/s."""
        return self.facts.replicas * self.most_per_replica

    def needed(self, rate_per_s: float) -> int:
        """Fewest replicas that keep the targets at a rate; all if none do."""
        if not self.awake:
            return self.facts.replicas
        wanted = ceil(rate_per_s / self.most_per_replica - 1e-9)
        return min(max(wanted, self.least, 1), self.facts.replicas)

    def ahead_of_need(self, now_per_s: float, soon_per_s: Callable[[float], float], step_s: float) -> int:
        """Replicas that must be awake, or on their way, for what comes before a further one could serve.

        Parameters
        ----------
        now_per_s
            Rate to be served now, 1/s.
        soon_per_s
            The highest rate expected from now to so many seconds ahead.
        step_s
            How often a controller decides, s.
        """
        facts, needed = self.facts, self.needed(now_per_s)
        for count in range(needed + 1, facts.replicas + 1):
            boots = (count - 1) % facts.replicas_per_host == 0
            lead_s = facts.wake_s + (facts.boot_s if boots else 0.0) + 2 * step_s
            if self.needed(soon_per_s(lead_s)) >= count:  # even if one that starts sooner is not needed yet
                needed = count
        return needed

    def setting(self, replicas: int, rate_per_s: float) -> Setting:
        """The mode with the least power that keeps the targets at a rate on so many replicas, else the fastest."""
        each = rate_per_s / replicas / self.facts.copies
        able = np.flatnonzero(self._most >= each)
        if len(able):
            chosen = min(able.tolist(), key=lambda k: self.modes[k].watts(each))
        else:
            chosen = int(np.argmax(self._most))
        mode = self.modes[chosen]
        return Setting(replicas, mode, self.meter_w(replicas, mode, each))

    def meter_w(self, replicas: int, mode: Mode, each: float) -> float:
        """The site's power, all copies, W, with so many replicas awake that each get a rate, 1/s."""
        facts = self.facts
        hosts = ceil(facts.replicas / facts.replicas_per_host)
        on = ceil(replicas / facts.replicas_per_host) if self.awake else hosts
        parked = min(facts.replicas, on * facts.replicas_per_host) - replicas
        gpu_w = replicas * mode.watts(each)
        if parked > 0:
            gpu_w += parked * facts.replica_off_w
        busy = float(np.interp(each, mode.rate_per_s, mode.busy))
        busy_hosts = (
            replicas * hosts / facts.replicas * busy
        )  # a server that is not full is as busy as its replicas
        host_w = on * facts.host_w + busy_hosts * facts.host_busy_w
        return facts.copies * (gpu_w * facts.meter_per_gpu_w + host_w)

    @cached_property
    def hull(self) -> Array:
        """The lower convex hull of the site's power over its rate as lines: W per 1/s, and W at 0; shape (lines, 2).

        No schedule draws less than the hull, if it keeps the targets: what is on it is time shared between settings.
        """
        facts = self.facts
        counts = range(self.least if self.awake else facts.replicas, facts.replicas + 1)
        slowest = self.most_per_replica / facts.copies if self._most.max() <= 0 else 0.0
        points = []
        for mode, most in zip(self.modes, np.maximum(self._most, slowest).tolist(), strict=True):
            for each in {*mode.rate_per_s[mode.rate_per_s < most].tolist(), most}:
                points += [(each * count * facts.copies, self.meter_w(count, mode, each)) for count in counts]
        return _lines(_lower_hull(sorted(points)))


def _lower_hull(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The lower convex hull of points in ascending order (A. M. Andrew, Information Processing Letters 9, 1979)."""
    hull: list[tuple[float, float]] = []
    for point in points:
        if hull and point[0] == hull[-1][0]:
            continue  # the lower of equal rates comes first
        while len(hull) > 1 and _turns_right(hull[-2], hull[-1], point):
            hull.pop()
        hull.append(point)
    return hull


def _turns_right(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> bool:
    before, after = (b[0] - a[0]) * (c[1] - a[1]), (b[1] - a[1]) * (c[0] - a[0])
    return before - after <= 1e-9 * (abs(before) + abs(after))  # straight on, but for rounding


def _lines(hull: list[tuple[float, float]]) -> Array:
    lines = []
    for (r0, w0), (r1, w1) in pairwise(hull):
        slope = (w1 - w0) / (r1 - r0)
        lines.append((slope, w0 - slope * r0))
    return np.array(lines or [(0.0, hull[0][1])])
