"""How much load buses of a network can take: `wattloop grid hosting`."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from tqdm import tqdm

from scenarios.grid_window import Window, opened, write
from scenarios.shipping import travelling
from scenarios.workers import WorkerOptions, all_of
from simulators.errors import InputError
from simulators.grid.background.background import Background
from simulators.grid.background.reading import Steps
from simulators.grid.network import Network
from simulators.grid.options import NetworkOptions
from simulators.grid.studies.check import Check, checked
from simulators.grid.studies.hosting import hosting_capacity_mw
from simulators.grid.studies.hosting_figure import hosting_figure
from simulators.grid.studies.hosting_year import CURTAILED_PERCENT, BusHosting, Hosting, hosting_year
from simulators.recorder.store import RunFolder

PART = 25
"""Most buses that a worker is given at once: a network is read anew for each."""

LISTED = 12
"""Buses on the console."""


class HostingWorkers(WorkerOptions):
    """Where buses are tried."""

    workers: int | None = Field(
        1,
        ge=1,
        description="processes on this machine; each uses all its cores already, so that more of them seldom pay",
    )


class HostingStudy(BaseModel):
    """A network, what its elements do, and the buses that are asked about."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    network: NetworkOptions = NetworkOptions()
    bus: str | None = Field(None, description="bus of the load: index or name")
    all_buses: bool = Field(False, description="every bus that is supplied and no external grid's")
    window: Window = Window()
    curtailed_percent: float = Field(
        CURTAILED_PERCENT, ge=0, lt=100, description="of its energy that a flexible load may miss, %"
    )
    tolerance_mw: float = Field(
        0.01, gt=0, le=10**4, description="how near a load is found to the one that violates a limit, MW"
    )
    pool: HostingWorkers = HostingWorkers()
    out: Path = Field(
        Path("results/grid_hosting"), description="folder for the results of a background or of all buses"
    )


def hosting(chosen: HostingStudy) -> None:
    """Find the loads that break no limit, at --bus or --all-buses; over a --background firm and flexible."""
    with RunFolder(chosen.out) as folder:  # first: whoever may not write there hears it at once
        _hosting(chosen, folder)


def _hosting(chosen: HostingStudy, folder: RunFolder) -> None:
    options = chosen.network
    if chosen.bus is None and not chosen.all_buses:
        raise InputError(
            "--bus: not given, expected the index or name of a bus of the network, or --all-buses"
        )
    if chosen.bus is not None and chosen.all_buses:
        raise InputError("--bus, --all-buses: both given, expected one")
    if options.stands_still:
        chosen = chosen.model_copy(update={"window": Window(start="2023-01-01", days=1, step=86_400)})
    network, background, steps = opened(options, chosen.window)
    if chosen.bus is not None and options.background is None:
        _one(network, chosen.bus, chosen)
        return
    buses = _buses(network) if chosen.bus is None else [network.bus_index(chosen.bus)]
    with tqdm(total=len(buses), desc="buses", disable=None) as bar:
        found = _found(chosen, (network, background, steps), buses, lambda done: bar.update(done - bar.n))
    check = checked(found, background)
    _print(found, check, background.note, chosen.curtailed_percent)
    summary = {
        "network": network.name,
        "background": background.note,
        "start": steps.start.isoformat(),
        "step_s": steps.step_s,
        "steps": steps.steps,
        "curtailed_percent": chosen.curtailed_percent,
        "checked_by_pandapower": check._asdict(),
        "buses": found.frame().drop(columns="firm_at").to_dict("records"),
    }
    tables = {"buses": found.frame(), "timeseries": found.series()}
    write(folder, chosen, options.files(), summary, tables, {"hosting": hosting_figure(found)})


def _found(
    chosen: HostingStudy,
    built: tuple[Network, Background, Steps],
    buses: Sequence[int],
    reached: Callable[[int], object],
) -> Hosting:
    """`hosting_year`, in this process or in parts by others."""
    network, background, steps = built
    limits = (chosen.curtailed_percent, chosen.tolerance_mw)
    count = chosen.pool.count(len(buses))
    if chosen.pool.scheduler is None and count == 1:
        return hosting_year(network, background, steps, buses, *limits, reached=reached)
    each_takes = max(1, min(PART, -(-len(buses) // count)))
    parts = [list(buses[first : first + each_takes]) for first in range(0, len(buses), each_takes)]
    asked = {
        "network": chosen.network.model_dump(mode="json"),
        "window": chosen.window.model_dump(mode="json"),
        "limits": list(limits),
    }
    files = [path for _, path in chosen.network.files()]
    jobs = [travelling(asked | {"buses": part}, files) for part in parts]
    tried: list[int] = []

    def told(at: int) -> None:
        tried.extend(parts[at])
        reached(len(tried))

    together = tuple(bus for found in all_of(some_buses, jobs, chosen.pool, told) for bus in found)
    # what the places in `cause` mean is a matter of the network, the same in every process
    return replace(hosting_year(network, background, steps, [], *limits), buses=together)


def some_buses(argument: Mapping[str, Any]) -> tuple[BusHosting, ...]:
    """What some buses can take: what a worker does."""
    options = NetworkOptions.model_validate(argument["network"])
    network, background, steps = opened(options, Window.model_validate(argument["window"]))
    return hosting_year(network, background, steps, argument["buses"], *argument["limits"]).buses


def _buses(network: Network) -> list[int]:
    """All that are supplied, but for those where an external grid or a slack generator holds the voltage."""
    net = network.net
    held = {*net.ext_grid.bus[net.ext_grid.in_service], *net.gen.bus[net.gen.slack & net.gen.in_service]}
    return [bus for bus in network.buses.tolist() if network.solver.supplied[bus] and bus not in held]


def _one(network: Network, bus: str, chosen: HostingStudy) -> None:
    """One bus of a network that stands still."""
    options = chosen.network
    found = hosting_capacity_mw(network, bus, chosen.tolerance_mw)
    loads = f"{found.capacity_mw:.2f} MW"
    if math.isnan(found.least_mw):
        loads = "nothing"
    elif found.least_mw > 0.0:
        loads = f"{found.least_mw:.2f} to {loads}"
    words = found.description
    if found.limited_by is not None and "reactive" in found.limited_by.kind:
        words += "" if options.enforce_q_lims else " (--enforce-q-lims holds generators at it)"
    print(f"bus {bus} of {options.network}: {loads}, {words}")


def _print(found: Hosting, check: Check, note: str, curtailed_percent: float) -> None:
    print(f"{found.network.name}, {found.steps.steps} steps of {found.steps.step_s} s. {note}")
    print(f"  {'bus':<24}{'firm MW':>10}{'flexible MW':>13}{'curtailed h':>13}  what limits the firm load")
    ordered = sorted(found.buses, key=lambda one: -one.flexible_mw)
    for one in ordered[:LISTED]:
        name = f"{found.network.element_name('bus', one.bus)} ({one.bus})"
        figures = f"{one.firm_mw:>10.3f}{one.flexible_mw:>13.3f}{one.curtailed_hours:>13,.1f}"
        print(f"  {name[:23]:<24}{figures}  {found.words(one.firm_cause)}")
    if len(ordered) > LISTED:
        print(f"  ... and {len(ordered) - LISTED} more (buses.parquet)")
    limits = Counter(found.words(each.firm_cause) for each in found.buses)
    most = ", ".join(f"{name} ({count})" for name, count in limits.most_common(3))
    print(
        f"flexible: misses {curtailed_percent:g} % of its energy; what limits firm loads most often: {most}"
    )
    print(f"checked by pandapower: {check.held} of {check.tried} loads hold, {check.broke} break just above")
