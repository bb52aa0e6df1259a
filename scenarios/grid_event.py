"""A large load around an event, and the network with it: `wattloop grid event`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from scenarios.event_options import EventOptions, SiteOptions, UpsOptions
from scenarios.event_site import Told, files_of, through
from scenarios.grid_window import Window, opened, write
from simulators.errors import InputError
from simulators.grid.options import NetworkOptions
from simulators.grid.plot import network_figure
from simulators.grid.record import network_summary
from simulators.grid.studies.event import Event, run_event
from simulators.grid.studies.event_figure import event_figure, words
from simulators.grid.studies.ride_through import read_curve
from simulators.grid.studies.ride_through_ups import assumptions
from simulators.recorder.store import RunFolder

BEFORE_S = 60
"""How long before the event voltages count as before it."""


class EventStudy(BaseModel):
    """A network, a site on it, and what happens."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    network: NetworkOptions = NetworkOptions()
    bus: str | None = Field(None, description="bus of the site: index or name")
    happening: EventOptions = EventOptions()
    site: SiteOptions = SiteOptions()
    own_supply: UpsOptions = UpsOptions()
    start: str | None = Field(
        None,
        description="start of the run, e.g. 2016-06-06T10:00, in the network's local time  [default: the background's "
        "first day]",
    )
    out: Path = Field(Path("results/grid_event"), description="folder for the results")


def event(chosen: EventStudy) -> None:
    """Trip, restart, shed, step or voltage dips of an inference site: what network and requests go through.

    The cluster is simulated request by request through the event and scaled to --mw; the network is solved each second.
    """
    with RunFolder(chosen.out) as folder:  # first: whoever may not write there hears it at once
        _event(chosen, folder)


def _event(chosen: EventStudy, folder: RunFolder) -> None:
    if chosen.bus is None:
        raise InputError("--bus: not given, expected the index or name of a bus of the network")
    happening, site, own = chosen.happening, chosen.site, chosen.own_supply
    window = Window(start=chosen.start, days=happening.minutes / 1440.0, step=1)
    network, background, _ = opened(chosen.network, window)
    network.attach(chosen.bus, "site")
    told = through(site, happening, own)
    begins = happening.at_s
    found = run_event(network, background, told.p_mw, told.undisturbed_mw, begins)
    dip = happening.event == "dip"
    figure = event_figure(
        found,
        f"{happening.event.capitalize()} of {site.mw:g} MW at bus {network.sites[0].bus} of {network.name}",
        (told.queued, told.queued_undisturbed),
        told.battery_mw + told.generator_mw,
        told.dips,
        read_curve(own.curve) if dip else None,
    )
    _print(found, told, chosen, background.note)
    write(
        folder,
        chosen,
        (*chosen.network.files(), *files_of(site, happening, own)),
        _summary(found, told, chosen, background.note),
        {"event": _frame(found, told)},
        {"event": figure, "network": network_figure(network, found.record)},
    )


def _frame(found: Event, told: Told) -> pd.DataFrame:
    return found.frame().assign(
        facility_mw=told.facility_mw,
        battery_mw=told.battery_mw,
        generator_mw=told.generator_mw,
        recharge_mw=told.recharge_mw,
        queued=told.queued,
        queued_undisturbed=told.queued_undisturbed,
    )


def _voltages(found: Event) -> dict[str, float]:
    """At the site's bus: mean before, lowest and highest from the event on, last."""
    at = found.at_s
    after = found.vm_pu[at:]
    return {
        "before_pu": float(found.vm_pu[max(0, at - BEFORE_S) : at].mean()),
        "lowest_pu": float(after.min()),
        "highest_pu": float(after.max()),
        "end_pu": float(after[-1]),
        "largest_step_percent": 100.0 * float(np.abs(np.diff(found.vm_pu)).max()),
    }


def _summary(found: Event, told: Told, chosen: EventStudy, note: str) -> dict[str, Any]:
    worst = found.worst
    rested = bool(told.battery_mw.any() or told.generator_mw.any())
    return network_summary(found.record) | {
        "background": note,
        "event": chosen.happening.event,
        "at_s": found.at_s,
        "copies": told.copies,
        "effects": asdict(found.effects),
        "voltage_at_the_site": _voltages(found),
        "seconds_beyond_a_limit": int((found.violations > 0).sum()),
        "worst": None if worst is None else {"what": found.network.describe(worst[0]), "at_s": worst[1]},
        "requests": told.requests,
        "transfers": [
            {**one._asdict(), "until_s": one.until_s if np.isfinite(one.until_s) else None}
            for one in told.transfers
        ],
        "own_supply_mwh": {
            "battery": float(told.battery_mw.sum()) / 3600.0,
            "generator": float(told.generator_mw.sum()) / 3600.0,
            "recharge": float(told.recharge_mw.sum()) / 3600.0,
        },
        "assumptions": [
            {"name": one.name, **asdict(one.factor), "value": getattr(chosen.own_supply, one.name)}
            for one in (assumptions() if rested else ())
        ],
    }


def _print(found: Event, told: Told, chosen: EventStudy, note: str) -> None:
    site = found.network.sites[0]
    name = found.network.element_name("bus", site.bus)
    happening = chosen.happening
    print(
        f"{found.network.name}, bus {site.bus} ({name}): {happening.event} of a site of {chosen.site.mw:g} MW, "
        f"{told.copies:,.1f} copies of the simulated cluster, from {found.at_s} s on"
    )
    print(words(found))
    if happening.event == "dip":
        borne = sum(map(read_curve(chosen.own_supply.curve).rides_through, told.dips))
        kept = [one for one in told.transfers if one.kept]
        stays = f"; stays on its own supply from {kept[0].from_s - found.at_s:.1f} s on" if kept else ""
        print(
            f"{len(told.dips)} dips, {borne} ridden through ({read_curve(chosen.own_supply.curve).name}), "
            f"{len(told.transfers)} transfers to its own supply{stays}"
        )
    for what, figures in (*_network_rows(found), *_request_rows(told.requests)):
        print(f"  {what:<26}{figures}")
    print(
        "copies of the cluster see the same requests, so that power varies more from second to second than a site's. "
        f"{note}"
    )


def _network_rows(found: Event) -> list[tuple[str, str]]:
    volts, effects, at = _voltages(found), found.effects, found.at_s
    before_mw = float(found.p_mw[max(0, at - BEFORE_S) : at].mean())
    worst = ""
    if found.worst is not None:
        worst = f", the worst {found.network.describe(found.worst[0])} at {found.worst[1]} s"
    return [
        (
            "voltage at the bus, p.u.",
            f"{volts['before_pu']:.4f} before, {volts['lowest_pu']:.4f} to {volts['highest_pu']:.4f} after, "
            f"{volts['end_pu']:.4f} at the end",
        ),
        ("largest step of it, %", f"{volts['largest_step_percent']:.3f}"),
        (
            "power, MW",
            f"{before_mw:.3f} before, {effects.lowest_mw:.3f} to {effects.highest_mw:.3f} after",
        ),
        ("limits exceeded, s", f"{int((found.violations > 0).sum())}{worst}"),
    ]


def _request_rows(asked: Mapping[str, float | None]) -> list[tuple[str, str]]:
    mean, recovered = asked["mean_delay_of_those_s"], asked["queue_recovered_s"]
    late = "" if mean is None else f", by {mean:,.1f} s on average, {asked['longest_delay_s']:,.1f} at most"
    return [
        (
            "requests",
            f"{asked['arrived']:,.0f} came, {asked['completed']:,.0f} completed, {asked['still_there']:,.0f} still "
            f"there, {asked['rejected']:,.0f} turned down, none lost",
        ),
        ("completed over 1 s late", f"{asked['delayed_by_over_1_s']:,.0f}{late}"),
        (
            "queue recovered, s",
            "not in this run" if recovered is None else f"{recovered:,.0f} after the event began",
        ),
    ]
