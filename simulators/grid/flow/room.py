"""The largest load a node can take, step by step: compiled, for all hours of a year at all nodes.

Every limit has a margin, negative while it holds: how far a voltage, a loading or a source's power is beyond it,
relative to the limit. Margins change nearly in proportion to the load, so a secant through two power flows tells where
the first of them reaches 0, and two more, just below and just above, make sure.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.grid.flow.compiled import compiled
from simulators.grid.flow.newton import Complexes, Indices, Reals, System, Work, newton, work_for
from simulators.grid.flow.terminals import Terminals, load_elements

NOTHING, UNSOLVED = -2, -1
"""In place of a margin: nothing limits up to the end of the search; the power flow has no solution beyond."""


class Bounds(NamedTuple):
    """Limits by node, element and source; margins stand in this order, low before high.

    Attributes
    ----------
    vm_low, vm_high
        Of voltages by node, p.u., rounding included.
    loading
        Of elements, %, and one for those without.
    source_node
        Where sources with limits are.
    source_low, source_high, source_scale
        Of active (slack only, else without limit), then reactive power, MW and MVar; shape (2, sources).
    """

    vm_low: Reals
    vm_high: Reals
    loading: Reals
    source_node: Indices
    source_low: Reals
    source_high: Reals
    source_scale: Reals


class Point(NamedTuple):
    """Memory for a load that was tried: voltages, margins."""

    v_pu: Complexes
    margins: Reals


@compiled
def margin_count(bounds: Bounds) -> int:
    """How many margins there are."""
    return 2 * len(bounds.vm_low) + len(bounds.loading) + 4 * len(bounds.source_node)


@compiled
def find_margins(
    bounds: Bounds,
    terminals: Terminals,
    v_pu: Complexes,
    fed_mva: Complexes,
    loading: Reals,
    margins: Reals,
) -> int:
    """Margins of a power flow; returns the largest's place."""
    load_elements(terminals, v_pu, loading)
    nodes, elements = len(bounds.vm_low), len(bounds.loading)
    for i in range(nodes):
        vm = abs(v_pu[i])
        margins[i] = (bounds.vm_low[i] - vm) / bounds.vm_low[i] if bounds.vm_low[i] > 0.0 else -1.0
        margins[nodes + i] = (vm - bounds.vm_high[i]) / bounds.vm_high[i] if bounds.vm_high[i] < 1e9 else -1.0
    for i in range(elements):
        known = bounds.loading[i] < 1e9 and not math.isnan(loading[i])
        margins[2 * nodes + i] = (loading[i] - bounds.loading[i]) / bounds.loading[i] if known else -1.0
    at = 2 * nodes + elements
    for i in range(len(bounds.source_node)):
        power = fed_mva[bounds.source_node[i]]
        for kind in range(2):
            value = power.real if kind == 0 else power.imag
            scale = bounds.source_scale[kind, i]
            low, high = bounds.source_low[kind, i], bounds.source_high[kind, i]
            margins[at] = (low - value) / scale if low > -1e9 else -1.0
            margins[at + 1] = (value - high) / scale if high < 1e9 else -1.0
            at += 2
    worst = 0
    for i in range(at):
        if margins[i] > margins[worst]:
            worst = i
    return worst


@compiled
def _try(
    system: System,
    terminals: Terminals,
    bounds: Bounds,
    numbers: tuple[float, float, int],
    case: tuple[Complexes, int, complex],
    load_mw: float,
    start: Complexes,
    memory: tuple[Work, Reals, Complexes, Complexes],
    point: Point,
) -> tuple[float, int]:
    """A load at a node: its largest margin, and which; 1 without a solution."""
    drawn_mva, node, per_mw = case
    base_mva, tolerance_pu, most = numbers
    work, loading, s_pu, fed_mva = memory
    for i in range(len(s_pu)):
        s_pu[i] = -drawn_mva[i] / base_mva
        point.v_pu[i] = start[i]
    s_pu[node] -= load_mw * per_mw / base_mva
    if newton(system, s_pu, point.v_pu, work, tolerance_pu, most) < 0:
        return 1.0, UNSOLVED
    for i in range(len(bounds.source_node)):
        at = bounds.source_node[i]
        fed_mva[at] = work.power[at] * base_mva + drawn_mva[at] + (load_mw * per_mw if at == node else 0.0)
    which = find_margins(bounds, terminals, point.v_pu, fed_mva, loading, point.margins)
    return point.margins[which], which


@compiled
def _crossing(low_mw: float, low: Reals, other_mw: float, other: Reals) -> float:
    """Where the first margin reaches 0 beyond `low_mw`, on secants."""
    first = np.inf
    for i in range(len(low)):
        slope = (other[i] - low[i]) / (other_mw - low_mw)
        if slope > 0.0:
            first = min(first, low_mw - low[i] / slope)
    return first


@compiled
def rooms(
    system: System,
    terminals: Terminals,
    bounds: Bounds,
    numbers: tuple[float, float, int],
    drawn_mva: Complexes,
    base_pu: Complexes,
    node: int,
    per_mw: complex,
    search: tuple[float, float],
    least_mw: Reals,
    most_mw: Reals,
    cause: NDArray[np.int32],
) -> None:
    """Least and largest load at a node in every step that violates nothing, and what breaks beyond.

    Parameters
    ----------
    system, terminals, bounds
        The network.
    numbers
        Base, MVA; tolerance of power flows, p.u.; iterations.
    drawn_mva, base_pu
        What is drawn without the load, and the voltages then; shape (steps, nodes). Voltages are NaN without solution.
    node, per_mw
        Where, and complex power per MW of load.
    search
        Tolerance, and where to give up, MW.
    least_mw, most_mw, cause
        Results; shape (steps,). NaN where no load is without violation: `cause` is then what the network violates.
    """
    count, nodes = margin_count(bounds), len(base_pu[0])
    memory = (
        work_for(system),
        np.zeros(len(bounds.loading)),
        np.empty(nodes, np.complex128),
        np.zeros(nodes, np.complex128),
    )
    low = Point(np.empty(nodes, np.complex128), np.empty(count))
    other = Point(np.empty(nodes, np.complex128), np.empty(count))
    guess = 1.0
    for step in range(len(drawn_mva)):
        case = (drawn_mva[step], node, per_mw)
        least_mw[step], most_mw[step], cause[step] = np.nan, np.nan, UNSOLVED
        if math.isnan(base_pu[step, 0].real):
            continue
        worst, which = _try(system, terminals, bounds, numbers, case, 0.0, base_pu[step], memory, low)
        start_mw = 0.0
        if worst > 0.0:
            cause[step] = which
            start_mw = _cured(
                system, terminals, bounds, numbers, case, base_pu[step], worst, search, memory, low
            )
            if start_mw < 0.0:
                continue
            least_mw[step] = _edge_below(
                system, terminals, bounds, numbers, case, base_pu[step], start_mw, search, memory, other
            )
            _try(system, terminals, bounds, numbers, case, start_mw, base_pu[step], memory, low)
        else:
            least_mw[step] = 0.0
        most_mw[step], cause[step] = _edge_above(
            system, terminals, bounds, numbers, case, base_pu[step], start_mw, max(guess, start_mw), search,
            memory, low, other,
        )  # fmt: skip
        guess = most_mw[step]


@compiled
def _edge_above(
    system: System,
    terminals: Terminals,
    bounds: Bounds,
    numbers: tuple[float, float, int],
    case: tuple[Complexes, int, complex],
    base: Complexes,
    good_mw: float,
    guess_mw: float,
    search: tuple[float, float],
    memory: tuple[Work, Reals, Complexes, Complexes],
    low: Point,
    other: Point,
) -> tuple[float, int]:
    """From a load without violation to the largest within the tolerance of one with; and what that one violates."""
    tolerance, end_mw = search
    bad_mw, cause = np.inf, NOTHING
    next_mw, rounds = min(max(guess_mw, good_mw + tolerance), end_mw), 0
    while bad_mw - good_mw > tolerance:
        tried_mw = next_mw
        worst, which = _try(system, terminals, bounds, numbers, case, tried_mw, low.v_pu, memory, other)
        if which == UNSOLVED:  # the start may be to blame
            worst, which = _try(system, terminals, bounds, numbers, case, tried_mw, base, memory, other)
        rounds += 1
        crossing_mw = 0.5 * (good_mw + tried_mw)
        if which != UNSOLVED:
            crossing_mw = _crossing(good_mw, low.margins, tried_mw, other.margins)
        if worst > 0.0:
            bad_mw, cause = tried_mw, which
            next_mw = crossing_mw - 0.45 * tolerance
            if rounds % 4 == 3 or not good_mw < next_mw < bad_mw:
                next_mw = (
                    max(0.5 * (good_mw + bad_mw), bad_mw - 0.9 * tolerance)
                    if rounds % 4
                    else 0.5 * (good_mw + bad_mw)
                )
            continue
        near = crossing_mw - tried_mw < tolerance
        good_mw = tried_mw
        low.v_pu[:] = other.v_pu
        low.margins[:] = other.margins
        if tried_mw >= end_mw:
            return end_mw, NOTHING
        next_mw = good_mw + 0.95 * tolerance if near else crossing_mw - 0.45 * tolerance
        if not next_mw > good_mw:
            next_mw = good_mw + 0.95 * tolerance
        if next_mw >= bad_mw or rounds % 4 == 3:
            next_mw = 0.5 * (good_mw + bad_mw) if bad_mw < np.inf else 2.0 * good_mw + tolerance
        next_mw = min(next_mw, end_mw)
    return good_mw, cause


@compiled
def _edge_below(
    system: System,
    terminals: Terminals,
    bounds: Bounds,
    numbers: tuple[float, float, int],
    case: tuple[Complexes, int, complex],
    base: Complexes,
    good_mw: float,
    search: tuple[float, float],
    memory: tuple[Work, Reals, Complexes, Complexes],
    point: Point,
) -> float:
    """By bisection: the least load without violation, 0 having one."""
    bad_mw = 0.0
    while good_mw - bad_mw > search[0]:
        middle_mw = 0.5 * (good_mw + bad_mw)
        worst, _ = _try(system, terminals, bounds, numbers, case, middle_mw, base, memory, point)
        if worst > 0.0:
            bad_mw = middle_mw
        else:
            good_mw = middle_mw
    return good_mw


@compiled
def _cured(
    system: System,
    terminals: Terminals,
    bounds: Bounds,
    numbers: tuple[float, float, int],
    case: tuple[Complexes, int, complex],
    base: Complexes,
    worst: float,
    search: tuple[float, float],
    memory: tuple[Work, Reals, Complexes, Complexes],
    point: Point,
) -> float:
    """A load without violation where none has one; -1 if there is none.

    Each margin grows in one direction of load or on both sides of a least point, so the largest of them does too:
    doubling finds where it is least, golden sections narrow that down.
    """
    left, middle, right = 0.0, 0.0, search[0]
    at_middle = worst
    while True:
        value, _ = _try(system, terminals, bounds, numbers, case, right, base, memory, point)
        if value <= 0.0:
            return right
        if value >= at_middle:
            break
        left, middle, at_middle = middle, right, value
        right *= 2.0
        if right > search[1]:
            return -1.0
    if middle == 0.0:  # it only grows
        return -1.0
    golden = 0.5 * (math.sqrt(5.0) - 1.0)
    while right - left > 0.1 * search[0]:
        a, b = right - golden * (right - left), left + golden * (right - left)
        at_a, _ = _try(system, terminals, bounds, numbers, case, a, base, memory, point)
        if at_a <= 0.0:
            return a
        at_b, _ = _try(system, terminals, bounds, numbers, case, b, base, memory, point)
        if at_b <= 0.0:
            return b
        if at_a <= at_b:
            right = b
        else:
            left = a
    return -1.0
