"""The console command `wattloop`: every scenario and list under one name, each imported when it is called."""

from __future__ import annotations

import importlib
import sys
from importlib import metadata
from typing import Any

from simulators.errors import nearest, one_line

COMMANDS: dict[str, tuple[str, str]] = {
    "run": (
        "scenarios.solar_datacenter",
        "Simulate a site: inference, PV, wind, battery, carbon; with a report.",
    ),
    "sizing": (
        "scenarios.sizing",
        "How much PV and battery? A grid of sizes over one load; table and figure.",
    ),
    "grid": (
        "scenarios.grid_integration",
        "A site at a bus of a power network: run, hosting, connection, flexibility, year, n-1, event, fast.",
    ),
    "compare-policies": (
        "scenarios.compare_policies",
        "Policies on the same requests, from several dates: what each saves, and at what delay.",
    ),
    "compare": (
        "scenarios.compare_results",
        "Finished results side by side: what differs, what it changed; refuses what saw different requests.",
    ),
    "geo": (
        "scenarios.geo_shifting",
        "Several sites in one world: which serves whose requests, what that saves and how long users wait.",
    ),
    "sweep": (
        "scenarios.sweep",
        "Many studies, a row for each: combinations of options, on all cores or a Dask cluster; resumes.",
    ),
    "screen": (
        "scenarios.screening",
        "Replicas, clocks, chunk budgets from the load curve alone, with the error; no simulation.",
    ),
    "search": (
        "scenarios.search",
        "The best deployment at a rate and latency targets: GPUs, parallelism, replicas, limits; the front.",
    ),
    "attribution": (
        "scenarios.attribution",
        "What one changed option does to energy and latency; whose joule it is.",
    ),
    "paper": ("scenarios.paper_experiments", "Reproduce arXiv 2507.11417, and correct it."),
    "inference": (
        "simulators.inference.__main__",
        "LLM serving alone: requests in; latencies, power, energy out.",
    ),
    "profiles": ("scenarios.profiles", "What a profile file holds and how to use it: inspect FILE."),
    "simulator": (
        "scenarios.catalogue",
        "Run one simulator here for a study elsewhere: simulator ROOM --listen.",
    ),
    "new": (
        "scenarios.new_study",
        "Write a study to start from: NAME.toml with every option, unit and default.",
    ),
    "doctor": (
        "scenarios.doctor",
        "Versions, cores, memory, compiled code, extras: is this installation whole?",
    ),
    "completion": ("scenarios.completion", "The script that completes commands and options in bash or zsh."),
    "sites": ("scenarios.catalogue", "Bundled sites, with the source of their data."),
    "models": ("scenarios.catalogue", "Language models whose shape is known."),
    "gpus": ("scenarios.catalogue", "GPUs with a data sheet, and what their power law rests on."),
    "turbines": ("scenarios.catalogue", "Wind turbines with a power curve."),
    "networks": ("scenarios.catalogue", "Power networks by name."),
    "policies": ("scenarios.catalogue", "Policies of the carbon-aware scheduler, and their parameters."),
    "formats": ("scenarios.catalogue", "File formats that are read."),
}
"""Name -> module whose ``app()`` (or ``app(name)`` of the catalogue) has it, what it does."""

CATALOGUE = {name for name, (module, _) in COMMANDS.items() if module == "scenarios.catalogue"}


USAGE = "usage: wattloop COMMAND [OPTIONS]; wattloop COMMAND --help tells the options of one"


def _overview() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {about}" for name, (_, about) in COMMANDS.items()]
    about = "Closed-loop co-simulation of LLM inference, the data centre around it, renewables and the power grid."
    return "\n".join([about, "", USAGE, "", *lines])


def main() -> None:
    """Run the command line; a wrong use is one line and exit code 2."""
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("--help", "-h", "help"):
        print(_overview())
        return
    name = arguments[0]
    if name == "--version":
        print(f"wattloop {metadata.version('wattloop')}")
        return
    if name not in COMMANDS:
        hint = nearest(name, COMMANDS, cutoff=0.7)
        said = f"{one_line(name)[:80]}: no such command, expected one of {', '.join(COMMANDS)}{hint}"
        print(f"error: {one_line(said)}", file=sys.stderr)
        sys.exit(2)
    module = importlib.import_module(COMMANDS[name][0])
    app: Any = module.app(name) if name in CATALOGUE else module.app()
    sys.argv = [f"wattloop {name}", *arguments[1:]]
    app(prog_name=sys.argv[0])


if __name__ == "__main__":
    main()
