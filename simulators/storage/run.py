"""A site's battery and connection over whole series: the models of the mosaik adapter in one compiled loop.

What comes out is equal to the last bit to what the adapter gives step by step.

Examples
--------
>>> found = run(Site(BatteryConfig(1000.0, soc_initial=0.0), step_s=3600), load_w=[500.0, 500.0], pv_w=[900.0, 0.0])
>>> (1e6 * found.columns["import_mw"]).round(3).tolist()
[0.0, 160.0]
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulators.compiled import compiler
from simulators.errors import InputError
from simulators.storage.ageing import Age, Law, moved, worn
from simulators.storage.battery import BatteryConfig, Return, Spec, Store
from simulators.storage.connection import FIXED, Limits, Moment, exchanged, foreseen_w, room_w, settle
from simulators.storage.dispatch import Horizon, Simple, Situation
from simulators.storage.exchange import Exchange, check_series
from simulators.storage.site import Given, Site

Array = NDArray[np.float64]

__all__ = ["BatteryConfig", "Run", "Site", "run"]

_ROOM = Path(__file__).parent
compiled = compiler(_ROOM, sorted(_ROOM.glob("*.py")))

COLUMNS = {
    "charge_mw": "charge_w",
    "discharge_mw": "discharge_w",
    "import_mw": "import_w",
    "export_mw": "export_w",
    "curtailed_mw": "curtailed_w",
    "pv_curtailed_mw": "pv_curtailed_w",
    "wind_curtailed_mw": "wind_curtailed_w",
    "unserved_mw": "unserved_w",
}
"""Columns of the time series, and the flows they hold."""


@dataclass(frozen=True)
class Run:
    """What a site did.

    Attributes
    ----------
    columns
        By the name of the column in the time series, with its unit: powers in MW as means over the step, ``soc`` at the
        start of the step, ``stored_mwh`` at its end, ``islanded`` 0 or 1; shape (steps,) each.
    summary
        As the mosaik adapter tells it.
    """

    columns: dict[str, Array]
    summary: dict[str, Any]


@compiled
def _carry(
    spec: Spec,
    law: Law,
    limits: Limits,
    state: tuple[Store, Age, float, float],
    times: tuple[float, int, int, int],
    given: tuple[Array, NDArray[np.bool_], NDArray[np.int64]],
    out: tuple[Array, Array],
) -> tuple[Store, Age, float, float]:
    """Carry the battery and the exchange over the steps of the series given; fills flows and states."""
    series, flags, modes = given
    flows, states = out
    target_wh, return_by_s, first_s, step_s = times
    store, age, before_w, rooms_w = state
    for i in range(series.shape[1]):
        moment = Moment(
            series[0, i],
            series[1, i],
            series[2, i],
            series[3, i],
            0.0,
            flags[0, i],
            flags[1, i],
            modes[i],
            series[4, i],
        )
        now, now_s = worn(spec, law, age), first_s + i * step_s
        free_w = room_w(now, limits, moment)
        rooms_w += free_w
        foreseen = foreseen_w(free_w, rooms_w / (now_s // step_s + 1))
        back = Return(target_wh, (return_by_s - now_s - step_s) / 3600.0, foreseen)
        states[0, i] = store.energy_wh / now.capacity_wh
        found = settle(now, store, limits, back, before_w, moment)
        store, age = moved(spec, law, store, age, found[0])
        before_w = found[1]
        flow = exchanged(limits, moment, found)
        for k in range(len(flow)):
            flows[k, i] = flow[k]
        states[1, i] = store.energy_wh
    return store, age, before_w, rooms_w


def run(
    site: Site,
    load_w: ArrayLike,
    pv_w: ArrayLike | None = None,
    wind_w: ArrayLike | None = None,
    other_w: ArrayLike | None = None,
    ci_g_per_kwh: ArrayLike | None = None,
    price_per_kwh: ArrayLike | None = None,
    name: str = "site",
) -> Run:
    """Carry a site over whole series; the site is left at their end.

    Parameters
    ----------
    site
        A new one.
    load_w, pv_w, wind_w, other_w
        Consumption; generation of PV, wind and whatever else, means over every step, W, >= 0; shape (steps,).
    ci_g_per_kwh, price_per_kwh
        Of grid power, for rules and connections that look at them; shape (steps,).
    name
        Of the site, for messages.

    Raises
    ------
    InputError
        If a series is no series of numbers, of another length, or a power negative.
    ConservationError
        If the balance of an interval does not close: a bug.
    """
    given = _given(load_w, pv_w, wind_w, other_w, ci_g_per_kwh, price_per_kwh)
    steps = len(given.load_w)
    series = np.stack([given.load_w, given.generation_w, given.pv_w, given.wind_w, np.zeros(steps)])
    away = site.connection.islanded(steps, site.step_s)
    flags = np.stack([given.price_per_kwh < 0.0, away])
    modes = np.full(steps, FIXED, dtype=np.int64)
    flows, states = np.empty((len(Exchange._fields), steps)), np.empty((2, steps))

    def carry(start: int, stop: int) -> None:
        times = (site.initial_wh, site.return_by_s, start * site.step_s, site.step_s)
        part = slice(start, stop)
        site.store, site.age, site.before_w, site.rooms_w = _carry(
            site.spec, site.law, site.limits, (site.store, site.age, site.before_w, site.rooms_w), times,
            (series[:, part], flags[:, part], modes[part]), (flows[:, part], states[:, part]),
        )  # fmt: skip

    if isinstance(site.rule, Simple):
        everything: Any = Situation(given.load_w, given.generation_w)
        series[4] = site.rule.power_w(everything)
        carry(0, steps)
    elif isinstance(site.rule, Horizon) and site.battery:
        _plan_along(site, given, modes, series[4], carry)
    else:
        for i in range(steps):
            now = Given(*(float(values[i]) for values in given[:6]))
            modes[i], series[4, i] = site.wants(i * site.step_s, now) if site.battery else (FIXED, 0.0)
            carry(i, i + 1)
    site.too_fast += int(np.count_nonzero(Exchange(*flows).too_fast))
    return Run(_columns(flows, states, away), site.summary(check_series(flows, name, site.step_s)))


def _columns(flows: Array, states: Array, away: NDArray[np.bool_]) -> dict[str, Array]:
    seen = Exchange(*flows)
    columns: dict[str, Array] = {column: getattr(seen, field) / 1e6 for column, field in COLUMNS.items()}
    return columns | {"soc": states[0], "stored_mwh": states[1] / 1e6, "islanded": away.astype(np.float64)}


def _plan_along(site: Site, given: Any, modes: NDArray[np.int64], wished_w: Array, carry: Any) -> None:
    """Plan at the start of every interval and carry the site to its end; what is not told beforehand is known ahead."""
    if site.planner is None:
        ahead = {
            "load_w": given.load_w,
            "generation_w": given.generation_w,
            "ci_g_per_kwh": given.ci_g_per_kwh,
            "price_per_kwh": given.price_per_kwh,
        }
        site.look(ahead)
    assert site.planner is not None
    every, steps = site.planner.every, len(modes)
    for start in range(0, steps, every):
        stop = min(start + every, steps)
        for i in range(start, stop):
            site.planner.seen(i, given.load_w[i])
            modes[i], wished_w[i] = site.plan(i)
        carry(start, stop)


def _given(load_w: ArrayLike, *others: ArrayLike | None) -> Any:
    names = Given._fields[: 1 + len(others)]
    load = np.asarray(load_w, dtype=np.float64)
    found: list[Any] = []
    for name, values in zip(names, (load, *others), strict=True):
        absent = np.nan if name in ("ci_g_per_kwh", "price_per_kwh") else 0.0
        series = np.full(load.shape, absent) if values is None else np.asarray(values, dtype=np.float64)
        if load.ndim != 1 or series.shape != load.shape:
            raise InputError(
                f"storage: {name} has the shape {series.shape}, expected one value for each step"
            )
        if name.endswith("_w") and not np.all(np.isfinite(series) & (series >= 0)):
            raise InputError(f"storage: {name} holds what is no number >= 0 W")
        found.append(series)
    return Given(*found)
