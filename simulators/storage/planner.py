"""Receding-horizon dispatch: the coming day is optimised again and again, and the beginning of each plan is done.

Each plan is a linear programme, solved by HiGHS (Q. Huangfu, J. A. J. Hall, "Parallelizing the dual revised simplex
method", Mathematical Programming Computation 10, 2018) through SciPy, over intervals i of lengths tau_i. An interval is
not its mean: what its steps lack in power (deficit), what they have too much (surplus), and how much of that is beyond
the limits of the connection are means of their own, so that a surplus of one half hour does not cover the deficit of
the next without the battery, and a peak within an hour needs its discharge.

    minimise    sum_i tau_i (cost_i (grid_i - serve_i) + worth_i (own_i - sell_i) + penalty unserved_i)
    subject to  energy_{i+1} = kept_i energy_i + tau_i (eta_c (grid_i + spilt_i + own_i) - (serve_i + sell_i) / eta_d)
                serve_i + unserved_i >= deficit beyond the import limit,  serve_i <= deficit_i,
                grid_i <= what the import limit leaves, sell_i <= what the export limit leaves
                spilt_i <= surplus beyond the export limit,  own_i <= the rest of the surplus,
                power and energy within the battery's

The battery charges *grid*, *spilt* (surplus that would be curtailed) and *own* (that would be sold), and discharges
*serve* (instead of import) and *sell*. Where it would pay to turn energy round for its own sake (a negative cost, or
exports worth more than imports cost), and only there, binaries keep the battery from charging and discharging, and the
site from importing and exporting, at once.
"""

from __future__ import annotations

from functools import lru_cache
from math import inf
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint, milp

from simulators.storage.battery import Spec
from simulators.storage.connection import COVER, FIXED, FOLLOW, STORE
from simulators.storage.outlook import Outlook

Array = NDArray[np.float64]

PENALTY = 1e3
"""Unserved load costs so many times the highest signal: load is shed only where nothing else is possible."""

TIE = 1e-6
"""Throughput of the battery costs this share of the mean signal, so that it does not move for nothing."""

DELAY = 1e-3
"""By this share the horizon's end differs from now: of equal moments surplus is stored and load served at the first,
and import is taken at the last, so that what was not foreseen costs least."""

GAP = 1e-2
"""How near the best a plan has to come where exports are worth more than imports cost: the very best takes long."""

EXACT_H = 24.0
"""Where exports are worth more than imports cost, binaries stand in the first so many hours: that may be always."""

GRID, SPILT, OWN, SERVE, SELL, UNSERVED, ENERGY = range(7)
"""Variables of an interval, in their order."""


class Terms(NamedTuple):
    """What a plan starts from and has to keep to.

    Attributes
    ----------
    energy_wh, floor_wh
        Stored at its start; least to be kept.
    kept
        Share of stored energy left after each interval of rest; shape (intervals,), or one number.
    end_wh
        What the store must hold at least at the end of the horizon.
    """

    energy_wh: float
    floor_wh: float
    kept: Array | float = 1.0
    end_wh: float = 0.0


class Plan(NamedTuple):
    """A plan; shape (intervals,) each, W.

    `surplus_w` is exported or, beyond the export limit, curtailed.
    """

    charge_w: Array
    discharge_w: Array
    import_w: Array
    surplus_w: Array
    unserved_w: Array
    energy_wh: Array

    def order(self, interval: int, scale_w: float) -> tuple[int, float]:
        """How the battery is to follow an interval: a mode and a power, W; see `connection.wished`.

        What was not foreseen of generation is stored, and what was not of load is covered, where the plan does so.
        """
        power_w = float(self.charge_w[interval] - self.discharge_w[interval])
        slack_w = 1e-7 * scale_w
        imports, spills = self.import_w[interval] > slack_w, self.surplus_w[interval] > slack_w
        if imports and spills:
            return FIXED, power_w
        if imports:
            return COVER, power_w
        if spills:
            return STORE, power_w
        return FOLLOW, power_w


@lru_cache(maxsize=64)
def _pattern(intervals: int) -> tuple[Any, ...]:
    """Row and column numbers of what `_rows` fills in."""
    at = np.arange(intervals)
    parts = [(at, part * intervals + at) for part in range(7)]
    previous = (at[1:], ENERGY * intervals + at[:-1])
    energy = [*parts, previous]
    return at, parts, tuple(np.concatenate(column) for column in zip(*energy, strict=True))


def _rows(spec: Spec, seen: Outlook, kept: Array) -> sparse.csc_matrix:
    """Storage, both powers, and peaks, over the variables."""
    n, hours = len(seen.hours), seen.hours
    at, parts, (rows, columns) = _pattern(n)
    stored, drawn, one = -hours * spec.charge_efficiency, hours / spec.discharge_efficiency, np.ones(n)
    data = [stored, stored, stored, drawn, drawn, np.zeros(n), one, -kept[1:]]
    groups = [(rows, columns, np.concatenate(data))]
    for number, members in enumerate(((GRID, SPILT, OWN), (SERVE, SELL), (SERVE, UNSERVED)), 1):
        groups += [(number * n + at, parts[part][1], one) for part in members]
    if spec.taper_from < 1.0:
        span_wh = spec.capacity_wh * (1.0 - spec.taper_from)
        factor = np.full(n, span_wh / spec.charge_w)
        groups += [(4 * n + at, parts[part][1], factor) for part in (GRID, SPILT, OWN)]
        groups.append((4 * n + at, parts[ENERGY][1], one))
    row, column, value = (np.concatenate(part) for part in zip(*groups, strict=True))
    return sparse.csc_matrix((value, (row, column)), shape=((5 if spec.taper_from < 1.0 else 4) * n, 7 * n))


def optimum(spec: Spec, seen: Outlook, terms: Terms) -> Plan:
    """The best plan for an outlook.

    Parameters
    ----------
    spec
        The battery; of the connection, a ramp is not planned for.
    seen, terms
        What is expected, and from where to where.

    Raises
    ------
    RuntimeError
        If the solver finds none: with unserved load allowed there always is one.

    Examples
    --------
    >>> from simulators.storage.battery import BatteryConfig
    >>> from simulators.storage.connection import Connection
    >>> from simulators.storage.outlook import outlook
    >>> spec = BatteryConfig(2.0, 1.0, 1.0, 1.0, 1.0, soc_initial=0.0).spec(3600)
    >>> limits = Connection(import_limit_w=1.5).limits(3600)
    >>> seen = outlook(np.ones(4), np.array([1.0, 1.0, 3.0, 4.0]), np.zeros(4), 1.0, limits)
    >>> plan = optimum(spec, seen, Terms(0.0, 0.0))
    >>> [round(float(watts), 6) for watts in plan.import_w]
    [1.5, 1.5, 1.0, 0.0]
    """
    n = len(seen.hours)
    kept: Array = np.broadcast_to(np.asarray(terms.kept, dtype=np.float64), (n,))
    fading: Array = np.asarray(terms.energy_wh * np.cumprod(kept), dtype=np.float64)
    energy = np.zeros(n)
    energy[0] = kept[0] * terms.energy_wh
    lower = np.concatenate([energy, np.full(2 * n, -inf), seen.peak_w])
    upper = np.concatenate([energy, np.full(n, spec.charge_w), np.full(n, spec.discharge_w), np.full(n, inf)])
    if spec.taper_from < 1.0:
        # the converter's limit at the charge that the interval ends with
        lower = np.append(lower, np.full(n, -inf))
        upper = np.append(upper, np.full(n, spec.capacity_wh))
    scale = float(np.abs(seen.cost).mean()) or 1.0
    low, most = _bounds(spec, seen, terms, fading)
    tie = TIE * scale
    dear = PENALTY * max(scale, float(np.abs(seen.cost).max()), float(np.abs(seen.worth).max()))
    late = DELAY * (np.cumsum(seen.hours) - seen.hours) / seen.hours.sum()
    taken, given = seen.cost - late * np.abs(seen.cost), seen.worth - late * np.abs(seen.worth)
    soon = tie + late * scale
    costs = [taken + tie, soon, given + soon, tie - taken, tie - given, dear]
    cost = np.zeros(7 * n)
    for part, value in enumerate(costs):
        cost[part * n : part * n + n] = value * seen.hours / scale
    rows = [LinearConstraint(_rows(spec, seen, kept), lower, upper)]
    x = _solved(cost, rows, low, most, seen, spec)
    grid, spilt, own, serve, sell, unserved, energy_wh = x.reshape(7, n)
    return Plan(
        grid + spilt + own,
        serve + sell,
        np.maximum(seen.deficit_w + grid - serve - unserved, 0.0),
        np.maximum(seen.surplus_w - spilt - own + sell, 0.0),
        unserved,
        energy_wh,
    )


def _bounds(spec: Spec, seen: Outlook, terms: Terms, fading: Array) -> tuple[Array, Array]:
    """Least and most of every variable."""
    n = len(seen.hours)
    low = np.zeros(7 * n)
    most = np.concatenate(
        [
            np.minimum(seen.room_w, spec.charge_w),
            seen.spill_w,
            seen.surplus_w - seen.spill_w,
            seen.deficit_w,
            np.where(seen.worth > 0.0, np.minimum(seen.gap_w, spec.discharge_w), 0.0),
            seen.peak_w,
            np.full(n, spec.soc_max * spec.capacity_wh),
        ]
    )
    low[ENERGY * n :] = np.minimum(terms.floor_wh, fading)
    room_w = np.minimum(seen.room_w + seen.surplus_w, spec.charge_w)
    reach_wh = fading[-1] + float(room_w @ seen.hours) * spec.charge_efficiency
    low[-1] = max(low[-1], min(terms.end_wh, reach_wh * (1 - 1e-9), spec.soc_max * spec.capacity_wh))
    return low, most


def _solved(
    cost: Array, constraints: list[LinearConstraint], low: Array, most: Array, seen: Outlook, spec: Spec
) -> Array:
    """Variables of the cheapest solution."""
    n = len(seen.hours)
    near = np.cumsum(seen.hours) <= EXACT_H
    dearer = near & (seen.worth > np.maximum(seen.cost, 0.0))
    turned = np.flatnonzero((seen.cost < 0.0) | dearer)
    k = len(turned)
    whole = None
    if k:
        more = _exclusive(turned, seen, spec, most)
        first = constraints[0]
        wide = sparse.hstack([first.A, sparse.csr_matrix((first.A.shape[0], 2 * k))])
        constraints = [LinearConstraint(wide, first.lb, first.ub), more]
        cost = np.concatenate([cost, np.zeros(2 * k)])
        low, most = np.concatenate([low, np.zeros(2 * k)]), np.concatenate([most, np.ones(2 * k)])
        whole = np.zeros(len(cost))
        whole[7 * n :] = 1
    options = {"mip_rel_gap": GAP} if np.any(dearer) else {}
    found = milp(cost, integrality=whole, bounds=Bounds(low, most), constraints=constraints, options=options)
    if found.x is None:
        raise RuntimeError(f"dispatch: no plan found: {found.message}")
    return np.asarray(found.x[: 7 * n])


def _exclusive(turned: NDArray[np.intp], seen: Outlook, spec: Spec, most: Array) -> LinearConstraint:
    """Rows with two binaries each: charging or discharging; and past the site's own balance or not."""
    n, k = len(seen.hours), len(turned)
    rows = sparse.lil_matrix((4 * k, 7 * n + 2 * k))
    upper = np.zeros(4 * k)
    for j, i in enumerate(turned):
        charging, across = 7 * n + j, 7 * n + k + j
        for part in (GRID, SPILT, OWN):
            rows[j, part * n + i] = 1.0
        rows[j, charging] = -spec.charge_w
        for part in (SERVE, SELL):
            rows[k + j, part * n + i] = 1.0
        rows[k + j, charging], upper[k + j] = spec.discharge_w, spec.discharge_w
        # at one moment the grid charges after all surplus, and sales come after all of the load
        if seen.deficit_w[i] == 0.0:
            rows[2 * k + j, GRID * n + i], rows[2 * k + j, across] = 1.0, -most[GRID * n + i]
            rows[3 * k + j, SPILT * n + i] = rows[3 * k + j, OWN * n + i] = -1.0
            rows[3 * k + j, across] = seen.surplus_w[i]
        elif seen.surplus_w[i] == 0.0:
            rows[2 * k + j, SELL * n + i], rows[2 * k + j, across] = 1.0, -most[SELL * n + i]
            rows[3 * k + j, SERVE * n + i], rows[3 * k + j, across] = -1.0, seen.deficit_w[i]
    return LinearConstraint(rows.tocsc(), -inf, upper)
