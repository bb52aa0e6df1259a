"""An inference site of a given size at a bus of a distribution network.

python scenarios/grid_integration.py run --network mv_oberrhein --bus 100 --mw 5 --days 2
python scenarios/grid_integration.py hosting --network mv_oberrhein --bus 100
python scenarios/grid_integration.py hosting --network 1-MV-rural--0-sw --background simbench --all-buses
python scenarios/grid_integration.py year --network 1-MV-rural--0-sw --background simbench
python scenarios/grid_integration.py n-1 --network mv_oberrhein
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pydantic import BaseModel, ConfigDict

from scenarios.grid_hosting import HostingStudy, hosting
from scenarios.grid_outages import OutageStudy, n_1
from scenarios.grid_year import YearStudy, year
from scenarios.output import Bar, Disk, OutputOptions, write_results
from scenarios.simulation import simulate
from scenarios.study import ClusterOptions, RunOptions, SiteStudy, Study
from simulators.commandline import command
from simulators.console import App
from simulators.generation.options import GenerationOptions
from simulators.grid.network import Network
from simulators.grid.options import NetworkOptions
from simulators.grid.plain import record_from_plain
from simulators.grid.plot import network_figure
from simulators.recorder.store import RunFolder
from simulators.storage.options import StorageOptions

STUDY = Study(
    run=RunOptions(days=2.0, step=300),
    sites=(
        SiteStudy(
            cluster=ClusterOptions(mw=5.0),
            generation=GenerationOptions(pv_kw=4000.0, wind_kw=2000.0),
            storage=StorageOptions(battery_kwh=8000.0),
        ),
    ),
    network=NetworkOptions(),
)
"""What a grid study is unless told otherwise: five megawatts for two days."""

SKIP = ("routing", "geo")
"""What this command does not read."""


class GridIntegration(BaseModel):
    """A study with a network, and where its results go."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    study: Study = STUDY
    output: OutputOptions = OutputOptions(out=Path("results/grid_integration"))


def run(chosen: GridIntegration) -> None:
    """Run a site of --mw megawatts at --bus; voltages, loadings, losses and violations of the network beside it."""
    started = time.perf_counter()
    chosen = chosen.model_copy(update={"study": chosen.study.at_its_network()})
    study, options = chosen.study, chosen.model_dump(mode="json")
    assert study.network is not None
    network = _network(study.network)
    if study.site.connection.bus is not None:
        network.bus_index(study.site.connection.bus)
    with RunFolder(chosen.output.out, until_s=study.length_s) as folder:
        with Bar() as bar:
            result = simulate(study, listeners=(Disk(folder, options), bar))
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
    commands.command("hosting")(command(HostingStudy, hosting))
    commands.command("year")(command(YearStudy, year))
    commands.command("n-1")(command(OutageStudy, n_1))
    return commands


if __name__ == "__main__":
    app()()
