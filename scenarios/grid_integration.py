"""An inference site of a given size at a bus of a distribution network.

python scenarios/grid_integration.py run --network mv_oberrhein --bus 100 --mw 5 --days 2
python scenarios/grid_integration.py hosting --network mv_oberrhein --bus 100
"""

from __future__ import annotations

import math
import sys
import time
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import typer
from pydantic import BaseModel, ConfigDict, Field

from scenarios.output import Bar, Disk, OutputOptions, write_results
from scenarios.simulation import simulate
from scenarios.study import ClusterOptions, RunOptions, SiteStudy, Study
from simulators.commandline import command
from simulators.errors import InputError
from simulators.generation.options import GenerationOptions
from simulators.grid.hosting import hosting_capacity_mw
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


class Hosting(BaseModel):
    """A bus of a network."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    network: NetworkOptions = NetworkOptions()
    bus: str | None = Field(None, description="bus of the load: index or name")


def run(chosen: GridIntegration) -> None:
    """Run a site of --mw megawatts at --bus; voltages, loadings, losses and violations of the network beside it."""
    started = time.perf_counter()
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


def hosting(chosen: Hosting) -> None:
    """Find the constant loads at --bus that break no limit, from the least to the largest, and say what breaks."""
    if chosen.bus is None:
        raise InputError("--bus: not given, expected the index or name of a bus of the network")
    found = hosting_capacity_mw(_network(chosen.network), chosen.bus)
    loads = f"{found.capacity_mw:.2f} MW"
    if math.isnan(found.least_mw):
        loads = "nothing"
    elif found.least_mw > 0.0:
        loads = f"{found.least_mw:.2f} to {loads}"
    words = found.description
    if found.limited_by is not None and "reactive" in found.limited_by.kind:
        words += "" if chosen.network.enforce_q_lims else " (--enforce-q-lims holds generators at it)"
    print(f"bus {chosen.bus} of {chosen.network.network}: {loads}, {words}")


def app() -> typer.Typer:
    """The commands."""
    commands = typer.Typer(
        add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None, help=__doc__
    )
    commands.command("run")(command(GridIntegration, run, GridIntegration(), SKIP))
    commands.command("hosting")(command(Hosting, hosting))
    return commands


if __name__ == "__main__":
    app()()
