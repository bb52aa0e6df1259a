"""How much constant load a bus can take, and what breaks first."""

from __future__ import annotations

from dataclasses import dataclass

from simulators.errors import InputError
from simulators.grid.limits import Violation
from simulators.grid.network import Network
from simulators.grid.result import Result


@dataclass(frozen=True)
class HostingCapacity:
    """Answer of `hosting_capacity_mw`.

    Attributes
    ----------
    capacity_mw
        Largest constant load without any violation, MW; 0 if the network violates a limit without it.
    limited_by
        What breaks first above it: the worst violation just beyond `capacity_mw`. None if even
        `searched_to_mw` violates nothing.
    description
        The same for a person.
    searched_to_mw
        Largest load tried, MW.
    """

    capacity_mw: float
    limited_by: Violation | None
    description: str
    searched_to_mw: float


def hosting_capacity_mw(
    network: Network,
    bus: int | str,
    tolerance_mw: float = 0.01,
    search_to_mw: float = 10_000.0,
) -> HostingCapacity:
    """Hosting capacity of one bus for a constant load at the network's power factor, by doubling and bisection.

    The network stays as it is: sites on it draw nothing here, other loads are as in the file. More load at one
    bus lowers voltages and, once it has turned a feeder's flow round, raises loadings, so the loads without
    violation form one interval from 0, which is what bisection needs.

    Parameters
    ----------
    network
        The network; its limits and power factor hold.
    bus
        Index or name.
    tolerance_mw
        The answer is at most this much below the true capacity.
    search_to_mw
        Where to give up.

    Raises
    ------
    InputError
        Unknown or unsupplied bus; tolerance or search limit not positive.

    Examples
    --------
    >>> found = hosting_capacity_mw(Network("four_load_branch"), 3, tolerance_mw=0.001)
    >>> print(f"{found.capacity_mw:.3f} MW, limited by {found.description}")
    0.034 MW, limited by line1: overload 100.6 % (limit 100)
    """
    if not (tolerance_mw > 0.0 and search_to_mw > 0.0):
        raise InputError(f"tolerance {tolerance_mw} MW, search to {search_to_mw} MW: expected both above 0")
    study = network.copy()
    study.attach(bus, "hosting capacity")
    others = [0.0] * (len(study.sites) - 1)

    def solve(load_mw: float) -> Result:
        return study.step([*others, load_mw])

    if violations := solve(0.0).violations:
        first = _worst(violations)
        return HostingCapacity(0.0, first, f"already without load here: {study.describe(first)}", 0.0)
    low_mw, high_mw = 0.0, min(1.0, search_to_mw)
    while not (beyond := solve(high_mw).violations):
        if high_mw >= search_to_mw:
            return HostingCapacity(high_mw, None, f"nothing up to {high_mw:g} MW", high_mw)
        low_mw, high_mw = high_mw, min(2.0 * high_mw, search_to_mw)
    searched_to_mw = high_mw
    while high_mw - low_mw > tolerance_mw:
        middle_mw = 0.5 * (low_mw + high_mw)
        if violations := solve(middle_mw).violations:
            high_mw, beyond = middle_mw, violations
        else:
            low_mw = middle_mw
    first = _worst(beyond)
    return HostingCapacity(low_mw, first, study.describe(first), searched_to_mw)


def _worst(violations: tuple[Violation, ...]) -> Violation:
    return max(violations, key=lambda violation: violation.severity)
