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
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scenarios.grid_connection import ConnectionStudy, connection
from scenarios.grid_event import EventStudy, event
from scenarios.grid_fast import FastStudy, fast_
from scenarios.grid_flexibility import FlexibilityStudy, flexibility
from scenarios.grid_hosting import HostingStudy, hosting
from scenarios.grid_outages import OutageStudy, n_1
from scenarios.grid_run import GridIntegration, run
from scenarios.grid_year import YearStudy, year
from scenarios.run_options import RunOptions
from scenarios.study import ClusterOptions, SiteStudy, Study
from simulators.commandline import command
from simulators.console import App
from simulators.grid.options import NetworkOptions

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

SKIP = ("routing", "geo")
"""What this command does not read."""


def app() -> App:
    """The commands."""
    commands = App(__doc__)
    commands.command("run")(command(GridIntegration, run, GridIntegration(study=STUDY), SKIP))
    asked = ConnectionStudy(study=STUDY.changed(mw=7.5))
    commands.command("connection")(command(ConnectionStudy, connection, asked, (*SKIP, "elements")))
    commands.command("flexibility")(command(FlexibilityStudy, flexibility))
    commands.command("hosting")(command(HostingStudy, hosting, skip=("voltage_control", "elements")))
    commands.command("year")(command(YearStudy, year))
    commands.command("n-1")(command(OutageStudy, n_1, skip=("voltage_control", "elements")))
    commands.command("event")(command(EventStudy, event, skip=("elements",)))
    commands.command("fast")(command(FastStudy, fast_, skip=("elements",)))
    return commands


if __name__ == "__main__":
    app()()
