"""A site through an event: what its cluster does, and what of that the network sees."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from scenarios.event_levers import shed_lever
from scenarios.event_load import Loss, Served, Shed, delays_s, serve
from scenarios.event_options import EventOptions, SiteOptions, UpsOptions
from simulators.datacenter.plain import facility_from_plain
from simulators.errors import InputError
from simulators.grid.studies.ride_through import (
    CURVES,
    DIPS,
    Dip,
    Rule,
    Transfer,
    read_curve,
    read_dips,
    transfers,
)
from simulators.inference.sizing import serving_files, sizing
from simulators.traffic.shapes import read_daily_shape

Array = NDArray[np.float64]


class Told(NamedTuple):
    """What a site did in an event.

    Attributes
    ----------
    p_mw, undisturbed_mw
        From the network; shape (seconds,).
    facility_mw, battery_mw, generator_mw, recharge_mw
        What the facility took, from whichever supply; the own supply's parts.
    queued, queued_undisturbed
        Requests that wait, of the whole site.
    transfers
        To the own supply, of the first group.
    dips
        What the voltage did; times of the run.
    requests
        Of the whole site: see `_requests`.
    copies
        Of the simulated cluster.
    """

    p_mw: Array
    undisturbed_mw: Array
    facility_mw: Array
    battery_mw: Array
    generator_mw: Array
    recharge_mw: Array
    queued: Array
    queued_undisturbed: Array
    transfers: list[Transfer]
    dips: list[Dip]
    requests: dict[str, float | None]
    copies: float


@dataclass(frozen=True)
class _Part:
    """A share of the site that goes through the same."""

    share: float
    served: Served
    away: tuple[Transfer, ...] = ()


def through(site: SiteOptions, event: EventOptions, ups: UpsOptions) -> Told:
    """Run a site through an event; the undisturbed site beside it, with the same requests.

    Raises
    ------
    InputError
        If the event does not fit into the run, or what it needs is wrong.
    """
    seconds = round(event.minutes * 60)
    if event.at_s >= seconds:
        raise InputError(f"--at-s: {event.at_s} given, expected less than the run of {seconds} s (--minutes)")
    made = sizing(site.serving)
    plain = {"gpus": made.gpus, **site.facility.model_dump(exclude_none=True)}
    if site.facility.has_design_load:
        plain["nameplate_gpu_w"] = made.gpus * made.limit_w
    facility = facility_from_plain(plain)
    copies = site.mw * 1e6 / facility.highest_w(made.gpus * made.limit_w)
    lengths = site.lengths if site.lengths is not None else read_daily_shape("diurnal_day").lengths
    workload: dict[str, Any] = {"rate_per_s": site.rate, "lengths": lengths, "seed": site.seed}

    def run(cause: Loss | Shed | None) -> Served:
        return serve(site.serving, facility, workload, seconds, cause)

    dips = (
        [dip._replace(at_s=dip.at_s + event.at_s) for dip in read_dips(ups.dips)]
        if event.event == "dip"
        else []
    )
    away, lever = _away(event, ups, dips), shed_lever(event.lever)
    undisturbed = run(None)
    parts = _parts(
        event, away, Shed(event.at_s, event.at_s + event.hold_s, lever), ups.backup, run, undisturbed
    )
    return _told(site, event, ups, parts, undisturbed, copies, dips)


def _parts(
    event: EventOptions,
    away: list[Transfer],
    shed: Shed,
    backup: bool,
    run: Callable[[Loss | Shed], Served],
    undisturbed: Served,
) -> list[_Part]:
    """The groups that it happens to, and the rest."""
    made = [] if event.share == 1.0 else [_Part(1.0 - event.share, undisturbed)]
    if event.event == "step" or (event.event in ("dip", "trip") and not away):
        return [*made, _Part(event.share, undisturbed)]
    each = event.share / event.groups
    for later in (group * event.gap_s for group in range(event.groups)):
        if event.event == "shed":
            made.append(_Part(each, run(replace(shed, until_s=shed.until_s + later))))
        elif event.event == "restart":
            made.append(_Part(each, run(Loss(0, event.at_s + later, turned_away=True))))
        elif backup:
            shifted = tuple(one._replace(until_s=one.until_s + later) for one in away)
            made.append(_Part(each, undisturbed, shifted))
        else:
            first, last = math.floor(away[0].from_s), away[-1]
            made.append(_Part(each, run(Loss(first, max(first + 1, math.ceil(last.until_s)) + later))))
    return made


def _away(event: EventOptions, ups: UpsOptions, dips: list[Dip]) -> list[Transfer]:
    """When the site leaves the network; without a supply of its own, when it has no power."""
    if event.event == "trip":
        return [Transfer(float(event.at_s), float(event.at_s + event.outage_s), False)]
    if event.event != "dip":
        return []
    rule = ups.rule() if ups.backup else Rule(count=0, requalify_s=0.0)
    return transfers(dips, read_curve(ups.curve), rule)


def _told(
    site: SiteOptions,
    event: EventOptions,
    ups: UpsOptions,
    parts: list[_Part],
    undisturbed: Served,
    copies: float,
    dips: list[Dip],
) -> Told:
    seconds = len(undisturbed.power_w)
    totals = np.zeros((6, seconds))
    for part in parts:
        load_mw = part.served.power_w * copies * part.share * 1e-6
        seen = ups.machine().seen(load_mw, site.mw * part.share, part.away)
        totals += (load_mw, *seen, part.served.queued * copies * part.share)
    load, grid, battery, generator, recharge, queued = totals
    if event.event == "step":
        grid = grid.copy()
        grid[event.at_s : event.at_s + event.hold_s] += event.step_mw
    if float(grid.min()) < 0.0 and event.event == "step":
        raise InputError(
            f"--step-mw: {event.step_mw:g} given, but the site draws no more than {load.max():.3g} MW at its highest"
        )
    away = [part.away for part in parts if part.away]
    return Told(
        grid,
        undisturbed.power_w * copies * 1e-6,
        load,
        battery,
        generator,
        recharge,
        queued,
        undisturbed.queued * copies,
        list(away[0]) if away else [],
        dips,
        _requests(parts, undisturbed, copies, event.at_s),
        copies,
    )


def _requests(parts: list[_Part], undisturbed: Served, copies: float, at_s: int) -> dict[str, float | None]:
    """Requests of the site: how many came, are done, were delayed, by how long; and when all was caught up."""
    arrived = rejected = completed = delayed = lost_j = 0.0
    longest, total, caught_up = 0.0, 0.0, [0.0]
    for part in parts:
        weight = copies * part.share
        arrived += weight * part.served.arrived
        rejected += weight * part.served.rejected
        completed += weight * float(part.served.completed[-1])
        lost_j += weight * part.served.lost_j
        if part.served is undisturbed:
            continue
        late = delays_s(part.served, undisturbed)
        delayed += weight * int((late > 1.0).sum())
        total += weight * float(late[late > 1.0].sum())
        longest = max(longest, float(late.max(initial=0.0)))
        caught_up.append(_caught_up_s(part.served, undisturbed, at_s))
    return {
        "arrived": arrived,
        "completed": completed,
        "rejected": rejected,
        "still_there": arrived - completed - rejected,
        "delayed_by_over_1_s": delayed,
        "mean_delay_of_those_s": total / delayed if delayed else None,
        "longest_delay_s": longest,
        "queue_recovered_s": None if math.inf in caught_up else max(caught_up),
        "work_thrown_back_gpu_mwh": lost_j / 3.6e9,
    }


def _caught_up_s(served: Served, undisturbed: Served, at_s: int) -> float:
    """After the event's begin, until no more requests wait or run than undisturbed, but for 5 % and one; inf: never."""
    inside = served.queued + served.running
    usual = undisturbed.queued + undisturbed.running
    behind = np.flatnonzero(inside[at_s:] > 1.05 * usual[at_s:].max() + 1.0)
    if not len(behind):
        return 0.0
    return math.inf if behind[-1] == len(inside) - at_s - 1 else float(behind[-1] + 1)


def files_of(site: SiteOptions, event: EventOptions, ups: UpsOptions) -> list[tuple[str, Path]]:
    """What is read."""
    found = serving_files(site.serving)
    if event.event == "dip":
        found.append(("ride-through curve", CURVES.get(ups.curve, Path(ups.curve))))
        found.append(("voltage dips", DIPS.get(ups.dips, Path(ups.dips))))
    return found
