"""The console command `wattloop`: every scenario and list under one name, each imported when it is called."""

from __future__ import annotations

import importlib
import sys
from importlib import metadata
from typing import Any

import click

COMMANDS: dict[str, tuple[str, str]] = {
    "run": (
        "scenarios.solar_datacenter",
        "Simulate a site: inference, PV, wind, battery, carbon; with a report.",
    ),
    "grid": ("scenarios.grid_integration", "A site at a bus of a power network: run, hosting."),
    "attribution": (
        "scenarios.attribution",
        "What one changed option does to energy and latency; whose joule it is.",
    ),
    "paper": ("scenarios.paper_experiments", "Reproduce arXiv 2507.11417, and correct it."),
    "inference": (
        "simulators.inference.__main__",
        "LLM serving alone: requests in; latencies, power, energy out.",
    ),
    "simulator": (
        "scenarios.catalogue",
        "Run one simulator here for a study elsewhere: simulator ROOM --listen.",
    ),
    "sites": ("scenarios.catalogue", "Bundled sites, with the source of their data."),
    "models": ("scenarios.catalogue", "Language models whose shape is known."),
    "gpus": ("scenarios.catalogue", "GPUs with a data sheet, and what their power law rests on."),
    "networks": ("scenarios.catalogue", "Power networks by name."),
    "policies": ("scenarios.catalogue", "Policies of the carbon-aware scheduler, and their parameters."),
    "formats": ("scenarios.catalogue", "File formats that are read."),
}
"""Name -> module whose ``app()`` (or ``app(name)`` of the catalogue) has it, what it does."""


class _Lazy(click.Group):
    """A group whose commands are imported on use, so that `--help` does not import the world."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        from typer.main import get_command

        module = importlib.import_module(COMMANDS[name][0])
        app: Any = module.app(name) if module.__name__ == "scenarios.catalogue" else module.app()
        return get_command(app)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, about) for name, (_, about) in COMMANDS.items()])


def _version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        click.echo(f"wattloop {metadata.version('wattloop')}")
        ctx.exit()


@click.group(
    cls=_Lazy,
    help="Closed-loop co-simulation of LLM inference, the data centre around it and the power grid.",
)
@click.option(
    "--version", is_flag=True, callback=_version, is_eager=True, expose_value=False, help="Show the version."
)
def _group() -> None:
    """See the help above."""


def main() -> None:
    """Run the command line; a wrong use is one line and exit code 2."""
    try:
        code = _group.main(prog_name="wattloop", standalone_mode=False)
    except click.UsageError as error:
        print(f"error: {error.format_message()}", file=sys.stderr)
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except click.exceptions.Exit as end:
        sys.exit(end.exit_code)
    sys.exit(code if isinstance(code, int) else 0)
