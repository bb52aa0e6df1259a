"""An inference site of a given size at a bus of a distribution network.

python scenarios/grid_integration.py run --network mv_oberrhein --bus 100 --mw 5 --days 2
python scenarios/grid_integration.py hosting --network mv_oberrhein --bus 100
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import typer
from mosaik.starters import PythonStarter
from pydantic import Field

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scenarios.options import SiteOptions
from scenarios.reporting import configuration, write_results
from scenarios.site import prepare
from scenarios.summary import summarise
from scenarios.world import SiteWorld
from simulators.commandline import command
from simulators.errors import InputError
from simulators.grid.hosting import hosting_capacity_mw
from simulators.grid.network import DEFAULT_POWER_FACTOR, Network
from simulators.grid.plot import network_figure
from simulators.grid.record import network_summary
from simulators.grid.simulator import PowerGrid
from simulators.recorder.store import RunFolder
from simulators.report.progress import Progress

GRID_COLUMNS = {
    "line_loading_max[%]": "line_loading_max_percent",
    "trafo_loading_max[%]": "trafo_loading_max_percent",
    "P_loss[MW]": "loss_mw",
    "P_slack[MW]": "slack_mw",
    "vm_min[1]": "vm_min_pu",
    "vm_max[1]": "vm_max_pu",
    "violations[1]": "violations",
    "converged[1]": "converged",
}


class NetworkOptions(SiteOptions):
    """A site at a bus; everything a site alone can be given, and the network."""

    network: str = Field(
        "mv_oberrhein", description="pandapower network by name, a pandapower JSON file, or a SimBench code"
    )
    bus: str | None = Field(None, description="bus of the site: index or name")
    mw: float = Field(
        5.0, gt=0, description="rated power of the facility, MW: the simulated cluster is scaled to it"
    )
    power_factor: float = Field(DEFAULT_POWER_FACTOR, gt=0, le=1, description="of the site's import, lagging")
    voltage_limits: str = Field("network", description="network (its own, else EN 50160) or en50160 (+-10 %)")
    days: float = Field(2.0, gt=0, le=3660, description="length of the run, days")
    step: int = Field(300, ge=1, le=3600, description="length of a step, s")
    pv_kw: float = Field(4000.0, gt=0, description="PV peak power (DC), kW")
    wind_kw: float = Field(2000.0, gt=0, description="rated wind power, kW")
    battery_kwh: float = Field(8000.0, gt=0, description="battery capacity, kWh")
    out: Path = Field(Path("results/grid_integration"), description="folder for the results")


def run(options: NetworkOptions) -> None:
    """Run a site of --mw megawatts at --bus; voltages, loadings, losses and violations of the network beside it."""
    started = time.perf_counter()
    if options.bus is None:
        raise InputError("--bus: not given, expected the index or name of a bus of the network")
    grid = PowerGrid()
    network = Network(options.network, voltage_limits=options.voltage_limits)  # type: ignore[arg-type]
    network.bus_index(options.bus)
    setup = prepare(options)
    scale = options.mw * 1e6 / setup.rated_w
    setup.notes.append(
        f"{scale:,.0f} copies of the simulated cluster of {setup.facts['gpus']} GPUs make {options.mw:g} MW; they see "
        "the same requests at the same time, so the site's power varies more than that of independent clusters."
    )
    length_s = options.steps * options.step
    with RunFolder(options.out, start=setup.start, until_s=length_s) as folder:
        folder.write_json("config.json", configuration(setup))
        with Progress(setup.start, length_s) as progress:
            world = SiteWorld(setup, folder, progress, scale)
            attach(world, grid, options)
            residual = world.run()
        frame = folder.frame("timeseries")
        summary = summarise(setup, frame, residual, scale)
        record = grid.records["Grid-0"]
        summary["network"] = network_summary(record)
        map_path = folder.path("figures/network.png")
        network_figure(grid.networks["Grid-0"], record).savefig(map_path, metadata={"Software": None})
        title = f"{options.mw:g} MW of inference at bus {options.bus} of {network.name}"
        write_results(setup, folder, frame, summary, started, title, {"The network": map_path})


def attach(world: SiteWorld, grid: PowerGrid, options: NetworkOptions) -> None:
    """Connect the site's exchange to its bus, and the voltage there to the controller, one step late."""
    starter = PythonStarter(lambda: grid)  # type: ignore[arg-type]  # the object is kept for the figure
    power_flow = world.world.start(starter, sim_id="Grid", step_size=options.step)
    entity = power_flow.Grid(
        network=options.network,
        buses=[options.bus],
        voltage_limits=options.voltage_limits,
        power_factor=options.power_factor,
    )
    bus = entity.children[0]
    world.world.connect(world.storage, bus, ("P_exchange[MW]", "P[MW]"))
    world.world.connect(
        bus, world.controller, ("vm_pu[1]", "vm_pu[1]"), initial_data={"vm_pu[1]": 1.0}, time_shifted=True
    )
    world.record(bus, {"vm_pu[1]": "vm_pu"})
    world.record(entity, GRID_COLUMNS)


def hosting(options: NetworkOptions) -> None:
    """Find the largest constant load at --bus before the first limit is broken, and say what breaks."""
    if options.bus is None:
        raise InputError("--bus: not given, expected the index or name of a bus of the network")
    found = hosting_capacity_mw(
        Network(options.network, voltage_limits=options.voltage_limits, power_factor=options.power_factor),  # type: ignore[arg-type]
        options.bus,
    )
    print(
        f"bus {options.bus} of {options.network}: {found.capacity_mw:.2f} MW, limited by {found.description}"
    )


if __name__ == "__main__":
    app = typer.Typer(
        add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None, help=__doc__
    )
    app.command("run")(command(NetworkOptions, run))
    app.command("hosting")(command(NetworkOptions, hosting))
    app()
