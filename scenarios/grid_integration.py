"""An inference site of a given size at a bus of a distribution network.

wattloop grid run --network mv_oberrhein --bus 100 --mw 5 --days 2
wattloop grid connection --network mv_oberrhein --bus 100 --mw 7.5 --days 2
wattloop grid flexibility --gpus 1000 --gpu h100
wattloop grid hosting --network mv_oberrhein --bus 100
wattloop grid hosting --network 1-MV-rural--0-sw --background simbench --all-buses
wattloop grid year --network 1-MV-rural--0-sw --background simbench
wattloop grid n-1 --network mv_oberrhein
wattloop grid event --network mv_oberrhein --bus 100 --event dip
wattloop grid fast --network mv_oberrhein --bus 100 --period-s 2
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pydantic import BaseModel, ConfigDict

from scenarios.checkpoints import FolderCheckpoints
from scenarios.effort import Pace, announcement
from scenarios.grid_connection import ConnectionStudy, connection
from scenarios.grid_event import EventStudy, event
from scenarios.grid_fast import FastStudy, fast_
from scenarios.grid_flexibility import FlexibilityStudy, flexibility
from scenarios.grid_hosting import HostingStudy, hosting
from scenarios.grid_outages import OutageStudy, n_1
from scenarios.grid_year import YearStudy, year
from scenarios.live import LiveOptions, live
from scenarios.output import Bar, Disk, OutputOptions, write_results
from scenarios.own_supply import with_own_supply
from scenarios.simulation import Listener, simulate
from scenarios.study import ClusterOptions, RunOptions, SiteStudy, Study
from simulators.commandline import command
from simulators.console import App
from simulators.grid.network import Network
from simulators.grid.options import NetworkOptions
from simulators.grid.plain import record_from_plain
from simulators.grid.plot import network_figure
from simulators.recorder.store import RunFolder

STUDY = Study(
    run=RunOptions(days=2.0, step=300),
    sites=(
        SiteStudy(
            cluster=ClusterOptions(mw=5.0),
        ),
    ),
    network=NetworkOptions(),
)
"""What a grid study is unless told otherwise: five megawatts for two days."""

OWN_SUPPLY = {"pv_kw": 4000.0, "wind_kw": 2000.0, "battery_kwh": 8000.0}
"""Beside them, at a bundled site that serves requests, unless sizes are said; kW and kWh."""

SKIP = ("routing", "geo")
"""What this command does not read."""


class GridIntegration(BaseModel):
    """A study with a network, and where its results go."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    study: Study = STUDY
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
    assert study.network is not None
    network = _network(study.network)
    if study.site.connection.bus is not None:
        network.bus_index(study.site.connection.bus)
    output = chosen.output
    with RunFolder(output.out, until_s=study.length_s, resume=output.resume) as folder:
        checkpoints = FolderCheckpoints(folder, study.run.step, output.checkpoint_hours)
        with Bar() as bar, live(chosen.page, folder) as pages:
            pace = Pace(announcement(study, output.requests, output.report))
            listeners: tuple[Listener, ...] = (Disk(folder, options, output.requests), bar, pace, *pages)
            result = simulate(study, listeners=listeners, checkpoints=checkpoints)
        picture = folder.path("figures/network.png")
        record = record_from_plain(network, result.network_record)
        network_figure(network, record).savefig(picture, metadata={"Software": None})
        site = study.site
        size = "A cluster" if site.cluster.mw is None else f"{site.cluster.mw:g} MW"
        title = f"{size} of inference at bus {site.connection.bus} of {network.name}"
        pictures = {"The network": picture}
        write_results(folder, result, options, started, title, report=chosen.output.report, pictures=pictures)


def _network(options: NetworkOptions) -> Network:
    return Network(
        options.network,
        voltage_limits=options.voltage_limits,
        power_factor=options.power_factor,
        enforce_q_lims=options.enforce_q_lims,
    )


def app() -> App:
    """The commands."""
    commands = App(__doc__)
    commands.command("run")(command(GridIntegration, run, GridIntegration(), SKIP))
    asked = ConnectionStudy(study=STUDY.changed(mw=7.5))
    commands.command("connection")(command(ConnectionStudy, connection, asked, SKIP))
    commands.command("flexibility")(command(FlexibilityStudy, flexibility))
    commands.command("hosting")(command(HostingStudy, hosting, skip=("voltage_control",)))
    commands.command("year")(command(YearStudy, year))
    commands.command("n-1")(command(OutageStudy, n_1, skip=("voltage_control",)))
    commands.command("event")(command(EventStudy, event))
    commands.command("fast")(command(FastStudy, fast_))
    return commands


if __name__ == "__main__":
    app()()
