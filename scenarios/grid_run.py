"""A site that runs at a bus of a network: `wattloop grid run`."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from scenarios.build import build
from scenarios.checkpoints import FolderCheckpoints
from scenarios.effort import Pace, announcement
from scenarios.live import live
from scenarios.output import Bar, Disk, write_results
from scenarios.output_options import LiveOptions, OutputOptions
from scenarios.own_supply import with_own_supply
from scenarios.plan import Plan
from scenarios.result import Result
from scenarios.simulation import Listener, simulate_plan
from scenarios.study import Study
from simulators.errors import InputError
from simulators.grid.background.reading import Asked, Steps, open_network
from simulators.grid.element_series import ElementSeries
from simulators.grid.feeder_plot import feeder_figure
from simulators.grid.plain import record_from_plain
from simulators.grid.plot import network_figure
from simulators.grid.record import RunRecord
from simulators.grid.shares import buses_of
from simulators.grid.studies.hosting_year import BusHosting, Hosting, hosting_year
from simulators.recorder.store import RunFolder

OWN_SUPPLY = {"pv_kw": 4000.0, "wind_kw": 2000.0, "battery_kwh": 8000.0}
"""Of a bundled site that serves requests, unless sizes are said; kW and kWh."""

SEARCHED = 3_000
"""Most steps of a run in which loads are searched for; of a longer one every second, third, ... is."""


class GridIntegration(BaseModel):
    """A study with a network, and where its results go."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    study: Study
    output: OutputOptions = OutputOptions(out=Path("results/grid_integration"))
    page: LiveOptions = LiveOptions()


def run(chosen: GridIntegration) -> None:
    """Run a site of --mw megawatts at --bus; voltages, loadings, losses and violations of the network beside it.

    Its own supply is 4 MW of PV, 2 MW of wind and 8 MWh of battery unless sizes are said, or the site or the load is
    your own.
    """
    started = time.perf_counter()
    study = with_own_supply(chosen.study.at_its_network(), OWN_SUPPLY)
    chosen = chosen.model_copy(update={"study": study})
    options = chosen.model_dump(mode="json")
    output = chosen.output
    with RunFolder(output.out, until_s=study.length_s, resume=output.resume) as folder:
        checkpoints = FolderCheckpoints(folder, study.run.step, output.checkpoint_hours)
        with Bar() as bar, live(chosen.page, folder) as pages:
            pace = Pace(announcement(study, output.requests, output.report))
            listeners: tuple[Listener, ...] = (Disk(folder, options, output.requests), bar, pace, *pages)
            plan = build(study)
            beside = Beside(plan)
            result = simulate_plan(plan, listeners=listeners, checkpoints=checkpoints)
        result = replace(result, network={**result.network, **beside.hosted()})
        record = record_from_plain(beside.network, result.network_record)
        pictures = _write(folder, result, record)
        site = study.site
        size = "A cluster" if site.cluster.mw is None else f"{site.cluster.mw:g} MW"
        title = f"{size} of inference at bus {site.connection.bus} of {beside.network.name}"
        write_results(folder, result, options, started, title, report=output.report, pictures=pictures)


def _write(folder: RunFolder, result: Result, record: RunRecord) -> dict[str, Path]:
    """What was exceeded, series of elements if they were kept, and pictures of the network; these by caption."""
    network, start = record.network, result.plan.start
    record.spells.frame(network, start).to_parquet(folder.path("violations.parquet"), index=False)
    if result.network_series:
        frame = ElementSeries.from_plain(result.network_series).frame(network, start)
        frame.to_parquet(folder.path("elements.parquet"), index=False)
    figures = {
        "The network": ("network", network_figure(network, record)),
        "Voltage along the feeders": ("feeder", feeder_figure(network, record)),
    }
    pictures = {}
    for caption, (name, figure) in figures.items():
        pictures[caption] = folder.path(f"figures/{name}.png")
        figure.savefig(pictures[caption], metadata={"Software": None})
    return pictures


class Beside:
    """The network of a run once more, without its sites: to draw on, and to ask what its bus takes.

    Raises
    ------
    InputError
        If the network cannot be read, or has no such bus.
    """

    def __init__(self, plan: Plan) -> None:
        study, options = plan.study, plan.study.network
        assert options is not None
        stride = -(-study.steps // SEARCHED)
        count = 1 if options.stands_still else -(-study.steps // stride)
        self.steps = Steps(plan.start, study.run.step * stride, count)
        asked = Asked(
            options.background, options.background_load, options.background_generation, plan.site.timezone
        )
        self.network, self._background = open_network(
            options.network,
            asked,
            self.steps,
            voltage_limits=options.voltage_limits,
            power_factor=options.power_factor,
            enforce_q_lims=options.enforce_q_lims,
        )
        named = [at.bus for site in study.sites for at in buses_of(site.connection.bus or "")]
        self._buses = [self.network.bus_index(bus) for bus in named if bus]

    def hosted(self) -> dict[str, Any]:
        """What the bus of the run's only site takes without it, over what the network did meanwhile; taps stay.

        Empty of several sites or buses, and of a network that needs single power flows.
        """
        if len(self._buses) != 1:
            return {}
        try:
            found = hosting_year(self.network, self._background, self.steps, self._buses)
        except InputError:
            return {}
        bus = found.buses[0]
        return {
            "hosting": {
                "bus": bus.bus,
                "firm_mw": bus.firm_mw,
                "flexible_mw": bus.flexible_mw,
                "curtailed_hours": bus.curtailed_hours,
                "firm_limit": found.words(bus.firm_cause),
                "steps": self.steps.steps,
                "step_s": self.steps.step_s,
            },
            "takes": takes(found, bus),
        }


def takes(found: Hosting, bus: BusHosting) -> str:
    """What it would take, in a line."""
    name = f"bus {bus.bus}"
    if bus.firm_mw <= 0.0:
        return f"no constant load at {name} keeps every limit all the time ({found.words(bus.firm_cause)})"
    told = f"a constant load of up to {bus.firm_mw:.2f} MW at {name} keeps every limit"
    if bus.flexible_mw > bus.firm_mw:
        told += f", one of {bus.flexible_mw:.2f} MW if it gives way for {bus.curtailed_hours:.4g} h"
    return f"{told}; then {found.words(bus.firm_cause)}"
