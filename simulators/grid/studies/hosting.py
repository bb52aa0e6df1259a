"""How much constant load a bus can take, and what breaks first."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from simulators.errors import InputError
from simulators.grid.limits import Violation
from simulators.grid.network import Network

Violations = tuple[Violation, ...]
_GOLDEN = 0.5 * (math.sqrt(5.0) - 1.0)


@dataclass(frozen=True)
class HostingCapacity:
    """Answer of `hosting_capacity_mw`: the constant loads without any violation form an interval.

    Attributes
    ----------
    least_mw
        Smallest load without any violation, MW; above 0 where load cures what the network violates without it, e.g.
        an overvoltage. NaN if no load is without violation.
    capacity_mw
        Largest load without any violation, MW; 0 if there is none.
    limited_by
        What breaks first above `capacity_mw`: the worst violation just beyond it. None if even `searched_to_mw`
        violates nothing. If no load is without violation: the worst one where the worst is least.
    needed_for
        What breaks just below `least_mw`. None where that is 0.
    description
        The same for a person.
    searched_to_mw
        Largest load tried, MW.
    """

    least_mw: float
    capacity_mw: float
    limited_by: Violation | None
    needed_for: Violation | None
    description: str
    searched_to_mw: float


class _Search:
    """Loads tried at one bus, and what they violate."""

    def __init__(self, violations: Callable[[float], Violations], search_to_mw: float) -> None:
        self._violations = violations
        self._search_to_mw = search_to_mw
        self.highest_mw = 0.0

    def at(self, load_mw: float) -> Violations:
        """What a load violates."""
        self.highest_mw = max(self.highest_mw, load_mw)
        return self._violations(load_mw)

    def rank(self, load_mw: float) -> tuple[float, float]:
        """How bad the worst violation of a load is; below any violation where there is none."""
        return max((violation.rank for violation in self.at(load_mw)), default=(-1.0, 0.0))

    def first_beyond(self, load_mw: float) -> tuple[float, float] | None:
        """By doubling: the last load without violation and the first with one; None up to the end of the search."""
        low_mw = load_mw
        while low_mw < self._search_to_mw:
            high_mw = min(2.0 * low_mw or 1.0, self._search_to_mw)
            if self.at(high_mw):
                return low_mw, high_mw
            low_mw = high_mw
        return None

    def edge(self, good_mw: float, bad_mw: float, tolerance_mw: float) -> tuple[float, Violation]:
        """By bisection: a load without violation within the tolerance of one with, and the latter's worst."""
        while abs(bad_mw - good_mw) > tolerance_mw:
            middle_mw = 0.5 * (good_mw + bad_mw)
            if self.at(middle_mw):
                bad_mw = middle_mw
            else:
                good_mw = middle_mw
        return good_mw, _worst(self.at(bad_mw))

    def least_bad(self, tolerance_mw: float) -> float:
        """The load whose worst violation is least, by doubling and golden sections; ends early at one without.

        Each violation grows in one direction of load or on both sides of a least point, so the worst of them does too.
        What no load solves lies beyond every solved one: of two such loads, the smaller is nearer.
        """
        low_mw, middle_mw, high_mw = 0.0, 0.0, min(1.0, self._search_to_mw)
        while high_mw < self._search_to_mw and self.rank(high_mw) <= self.rank(middle_mw):
            low_mw, middle_mw, high_mw = middle_mw, high_mw, min(2.0 * high_mw, self._search_to_mw)
        while high_mw - low_mw > 0.1 * tolerance_mw:
            width_mw = _GOLDEN * (high_mw - low_mw)
            left_mw, right_mw = high_mw - width_mw, low_mw + width_mw
            left, right = self.rank(left_mw), self.rank(right_mw)
            if min(left, right) < (0.0, 0.0):
                return left_mw if left < right else right_mw
            low_mw, high_mw = (low_mw, right_mw) if left <= right else (left_mw, high_mw)
        return 0.5 * (low_mw + high_mw)


def hosting_capacity_mw(
    network: Network,
    bus: int | str,
    tolerance_mw: float = 0.01,
    search_to_mw: float = 10_000.0,
) -> HostingCapacity:
    """Hosting capacity of one bus for a constant load at the network's power factor, by doubling and bisection.

    The network stays as it is: sites on it draw nothing here, other loads are as in the file. More load at one
    bus lowers voltages, raises what sources give and, once it has turned a feeder's flow round, raises loadings, so
    the loads without violation form one interval, which is what bisection needs. It need not begin at 0.

    Parameters
    ----------
    network
        The network; its limits and power factor hold.
    bus
        Index or name.
    tolerance_mw
        Each end of the interval is at most this much inside the true one.
    search_to_mw
        Where to give up.

    Raises
    ------
    InputError
        Unknown or unsupplied bus; tolerance or search limit not positive.

    Examples
    --------
    >>> found = hosting_capacity_mw(Network("four_load_branch"), 3, tolerance_mw=0.001)
    >>> print(f"{found.least_mw:g} to {found.capacity_mw:.3f} MW, {found.description}")
    0 to 0.034 MW, limited by line1: overload 100.6 % (limit 100)
    """
    if not (tolerance_mw > 0.0 and search_to_mw > 0.0):
        raise InputError(f"tolerance {tolerance_mw} MW, search to {search_to_mw} MW: expected both above 0")
    study = network.copy()
    study.attach(bus, "hosting capacity")
    others = [0.0] * (len(study.sites) - 1)
    search = _Search(lambda load_mw: study.step([*others, load_mw]).violations, search_to_mw)
    start_mw, least_mw, needed_for = 0.0, 0.0, None
    if search.at(0.0):
        start_mw = search.least_bad(tolerance_mw)
        if violations := search.at(start_mw):
            worst = _worst(violations)
            words = f"no load is without violation; with {start_mw:.2f} MW still {study.describe(worst)}"
            if start_mw <= tolerance_mw:
                words = f"already without load here: {study.describe(worst)}"
            return HostingCapacity(math.nan, 0.0, worst, None, words, search.highest_mw)
        least_mw, needed_for = search.edge(start_mw, 0.0, tolerance_mw)
    below = "" if needed_for is None else f"; with less, {study.describe(needed_for)}"
    bracket = search.first_beyond(start_mw)
    if bracket is None:
        words = f"not limited up to {search_to_mw:g} MW{below}"
        return HostingCapacity(least_mw, search_to_mw, None, needed_for, words, search_to_mw)
    capacity_mw, first = search.edge(*bracket, tolerance_mw)
    words = f"limited by {study.describe(first)}{below}"
    return HostingCapacity(least_mw, capacity_mw, first, needed_for, words, search.highest_mw)


def _worst(violations: Violations) -> Violation:
    return max(violations, key=lambda violation: violation.rank)
