"""Receding-horizon dispatch: once per interval the coming day is optimised, and the first interval of the plan is done.

Each plan is a linear programme, solved by HiGHS (Q. Huangfu, J. A. J. Hall, "Parallelizing the dual revised simplex
method", Mathematical Programming Computation 10, 2018) through SciPy, over the intervals i of the horizon:

    minimise    sum_i signal_i import_i tau + penalty unserved_i tau
    subject to  load_i - generation_i + charge_i - discharge_i = import_i - surplus_i + unserved_i
                energy_{i+1} = kept energy_i + tau (eta_c charge_i - discharge_i / eta_d)
                import_i <= import limit, surplus_i <= export limit + own surplus_i, power and energy within the
                battery's

Where the signal is negative, importing more than is used would pay: there (only there) a binary each keeps the site
from importing and exporting, and the battery from charging and discharging, at once.
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
from simulators.storage.connection import COVER, FIXED, FOLLOW, STORE, Limits

Array = NDArray[np.float64]

PENALTY = 1e3
"""Unserved load costs so many times the highest signal: load is shed only where nothing else is possible."""

TIE = 1e-6
"""Throughput of the battery costs this share of the mean signal, so that it does not move for nothing."""


class Outlook(NamedTuple):
    """What is expected of the intervals of a horizon, means; shape (intervals,) each.

    Attributes
    ----------
    load_w, generation_w
        Of the site, W.
    signal
        What a unit of import is worth avoiding, in any unit per Wh.
    swing_w
        By how much the highest load less generation within an interval is above its mean, W: room that the import limit
        leaves for it, so that no load is unserved.
    """

    load_w: Array
    generation_w: Array
    signal: Array
    swing_w: Array


class Terms(NamedTuple):
    """What a plan starts from and has to keep to.

    Attributes
    ----------
    energy_wh, floor_wh
        Stored at its start; least to be kept.
    hours
        Length of an interval, h.
    kept
        Share of stored energy left after an interval of rest.
    end_wh
        What the store must hold at least at the end of the horizon.
    """

    energy_wh: float
    floor_wh: float
    hours: float
    kept: float
    end_wh: float = 0.0


class Plan(NamedTuple):
    """A plan; shape (intervals,) each, W.

    `surplus_w` is exported or, beyond the export limit, curtailed.
    """

    charge_w: Array
    discharge_w: Array
    import_w: Array
    surplus_w: Array
    energy_wh: Array

    def first(self, scale_w: float) -> tuple[int, float]:
        """How the battery is to follow the first interval: a mode and a power, W; see `connection.wished`."""
        power_w = float(self.charge_w[0] - self.discharge_w[0])
        slack_w = 1e-7 * scale_w
        imports, spills = self.import_w[0] > slack_w, self.surplus_w[0] > slack_w
        if not imports and not spills:
            return FOLLOW, power_w
        if imports and power_w <= slack_w:
            return COVER, power_w
        if spills and power_w >= -slack_w:
            return STORE, power_w
        return FIXED, power_w


@lru_cache(maxsize=16)
def _rows(intervals: int, hours: float, charge: float, discharge: float, kept: float) -> Any:
    """Balance and storage rows over (charge, discharge, import, surplus, unserved, energy)."""
    one, none = sparse.identity(intervals), sparse.csr_matrix((intervals, intervals))
    before = sparse.eye(intervals, k=-1)
    balance = [one, -one, -one, one, -one, none]
    energy = [-hours * charge * one, hours / discharge * one, none, none, none, one - kept * before]
    return sparse.vstack([sparse.hstack(balance), sparse.hstack(energy)]).tocsc()


def optimum(spec: Spec, limits: Limits, seen: Outlook, terms: Terms) -> Plan:
    """The best plan for an outlook.

    Parameters
    ----------
    spec, limits
        Battery and connection; a ramp is not planned for.
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
    >>> spec = BatteryConfig(2.0, 1.0, 1.0, 1.0, 1.0, soc_initial=0.0).spec(3600)
    >>> seen = Outlook(np.ones(4), np.zeros(4), np.array([1.0, 1.0, 3.0, 4.0]), np.zeros(4))
    >>> plan = optimum(spec, Connection(import_limit_w=1.5).limits(3600), seen, Terms(0.0, 0.0, 1.0, 1.0))
    >>> [round(float(watts), 6) for watts in plan.import_w]
    [1.5, 1.5, 1.0, 0.0]
    """
    n, hours = len(seen.load_w), terms.hours
    net_w = seen.load_w - seen.generation_w + spec.standby_w
    rows = _rows(n, hours, spec.charge_efficiency, spec.discharge_efficiency, terms.kept)
    energy_0 = np.zeros(n)
    energy_0[0] = terms.kept * terms.energy_wh
    right = np.concatenate([-net_w, energy_0])
    constraints = [LinearConstraint(rows, right, right)]
    if spec.taper_from < 1.0:
        # the converter's limit at the charge that the interval ends with
        span_wh = spec.capacity_wh * (1.0 - spec.taper_from)
        pick = sparse.identity(n)
        none = sparse.csr_matrix((n, 4 * n))
        taper = sparse.hstack([span_wh / spec.charge_w * pick, none, pick])
        constraints.append(LinearConstraint(taper, -inf, spec.capacity_wh))
    low, most = _bounds(spec, limits, seen, terms)
    scale = float(np.abs(seen.signal).mean()) or 1.0
    tie = np.full(2 * n, TIE * scale * hours)
    cost = np.concatenate(
        [
            tie,
            seen.signal * hours,
            np.zeros(n),
            np.full(n, PENALTY * max(scale, float(np.abs(seen.signal).max())) * hours),
            np.zeros(n),
        ]
    )
    return Plan(*_solved(n, cost / scale, constraints, low, most, np.flatnonzero(seen.signal < 0)))


def _bounds(spec: Spec, limits: Limits, seen: Outlook, terms: Terms) -> tuple[Array, Array]:
    """Least and most of every variable."""
    n, hours = len(seen.load_w), terms.hours
    net_w = seen.load_w - seen.generation_w + spec.standby_w
    low = np.zeros(6 * n)
    most = np.concatenate(
        [
            np.full(n, spec.charge_w),
            np.full(n, spec.discharge_w),
            np.clip(limits.import_w - seen.swing_w, 0.0, max(0.0, float(net_w.max())) + spec.charge_w),
            np.maximum(-net_w, 0.0) + min(limits.export_w, spec.discharge_w),
            np.maximum(seen.load_w, 0.0) + spec.standby_w,
            np.full(n, spec.soc_max * spec.capacity_wh),
        ]
    )
    fading = terms.energy_wh * terms.kept ** np.arange(1, n + 1)
    low[5 * n :] = np.minimum(terms.floor_wh, fading)
    reach_wh = terms.energy_wh * terms.kept**n + n * hours * spec.charge_w * spec.charge_efficiency
    low[-1] = max(low[-1], min(terms.end_wh, reach_wh * (1 - 1e-9), spec.soc_max * spec.capacity_wh))
    return low, most


def _solved(
    n: int, cost: Array, constraints: list[LinearConstraint], low: Array, most: Array, paid: NDArray[np.intp]
) -> tuple[Array, ...]:
    """Charge, discharge, import, surplus and energy of the cheapest solution; `paid`: intervals of negative cost."""
    k = len(paid)
    whole = np.zeros(6 * n + 2 * k)
    if k:
        constraints = [
            LinearConstraint(
                sparse.hstack([row.A, sparse.csr_matrix((row.A.shape[0], 2 * k))]), row.lb, row.ub
            )
            for row in constraints
        ]
        # one <= most * z, the other <= most * (1 - z)
        for number, (one, other) in enumerate(((2, 3), (0, 1))):
            at = np.arange(k)
            binary = 6 * n + number * k + at
            for part, sign, free in ((one, -1.0, 0.0), (other, 1.0, 1.0)):
                columns = part * n + paid
                data = np.concatenate([np.ones(k), sign * most[columns]])
                where = (np.concatenate([at, at]), np.concatenate([columns, binary]))
                rows = sparse.csr_matrix((data, where), shape=(k, len(whole)))
                constraints.append(LinearConstraint(rows, -inf, free * most[columns]))
        cost = np.concatenate([cost, np.zeros(2 * k)])
        low, most = np.concatenate([low, np.zeros(2 * k)]), np.concatenate([most, np.ones(2 * k)])
        whole[6 * n :] = 1
    found = milp(cost, integrality=whole if k else None, bounds=Bounds(low, most), constraints=constraints)
    if found.x is None:
        raise RuntimeError(f"dispatch: no plan found: {found.message}")
    charge, discharge, taken, surplus, _, energy = found.x[: 6 * n].reshape(6, n)
    return charge, discharge, taken, surplus, energy
