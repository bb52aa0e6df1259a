"""How long a run takes until its first step, and to its end: ten minutes of the default site, one JSON line per case.

    python tests/benchmarks/start.py [--times 3]

    kept    what was worked out before is read from disk, as every run but the first does
    off     the same with WATTLOOP_CACHE_DIR=off (machine code is there)
    help    `wattloop run --help`

Each run has a process of its own; the best of so many counts. `cpu_s` is the time of the processor since the process
began, `wall_s` that of the clock. `parts_cpu_s` says where it goes: the command line, imports for the run, reading the
site, making the world (the batch loop's machine code is loaded there), steps, results. `imports_ms` is what packages
take to load, measured in a run of its own, which takes longer by that.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
MINUTES = 10

RUN = """
import json, sys, time
marks = []
def mark(name):
    marks.append((name, time.process_time(), time.time()))
mark("python")
from scenarios.solar_datacenter import app
mark("command line")
import scenarios.checkpoints, scenarios.effort, scenarios.live, scenarios.output, scenarios.own_supply
import scenarios.simulation, scenarios.summary
from scenarios.world import World
mark("imports")
def marked(owner, name, before, after):
    whole = getattr(owner, name)
    def inner(*args, **settings):
        mark(before)
        found = whole(*args, **settings)
        mark(after)
        return found
    setattr(owner, name, inner)
marked(scenarios.simulation, "build", "folder", "site")
marked(World, "run", "world", "steps")
app()()
mark("results")
print(json.dumps(marks))
"""
FIRST = "world"
"""What ends with the first step."""


def _child(code: list[str], out: Path, kept: bool) -> tuple[str, str, float]:
    """Output, errors and CPU time of a process, s."""
    days = str(MINUTES / 1440)
    arguments = ["--days", days, "--out", str(out), "--no-compare", "--no-report"]
    environment = os.environ | ({} if kept else {"WATTLOOP_CACHE_DIR": "off"})
    before = os.times()
    done = subprocess.run(
        [sys.executable, *code, *arguments],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    after = os.times()
    spent_s = after.children_user + after.children_system - before.children_user - before.children_system
    return done.stdout, done.stderr, spent_s


def run(kept: bool, folder: Path) -> dict[str, Any]:
    """One run in a process of its own."""
    began = time.time()
    told, _, spent_s = _child(["-c", RUN], Path(tempfile.mkdtemp(dir=folder)) / "out", kept)
    marks = json.loads(told.splitlines()[-1])
    first = next(mark for mark in marks if mark[0] == FIRST)
    parts = {name: round(cpu_s - before[1], 3) for before, (name, cpu_s, _) in pairwise([["", 0, 0], *marks])}
    return {
        "first_step_cpu_s": round(first[1], 3),
        "first_step_wall_s": round(first[2] - began, 3),
        "cpu_s": round(spent_s, 3),
        "wall_s": round(time.time() - began, 3),
        "parts_cpu_s": parts,
    }


def imports(folder: Path) -> dict[str, int]:
    """What the largest packages take to load, ms."""
    _, told, _ = _child(
        ["-X", "importtime", "-m", "scenarios.solar_datacenter"], folder / "imports", kept=True
    )
    spent: Counter[str] = Counter()
    for own_us, name in re.findall(r"import time: +(\d+) \| +\d+ \| +(\w+)", told):
        spent[name] += int(own_us)
    return {name: round(us / 1000) for name, us in spent.most_common(12)}


def help_cpu_s() -> float:
    """CPU time of `wattloop run --help`, s."""
    before = os.times()
    command = [sys.executable, "-m", "scenarios.cli", "run", "--help"]
    subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--times", type=int, default=3, help="runs of each case, of which the best counts")
    times = parser.parse_args().times
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run(True, folder)  # compiles and keeps what is not there yet
        for case in ("kept", "off"):
            best = min((run(case == "kept", folder) for _ in range(times)), key=lambda told: told["cpu_s"])
            print(json.dumps({"case": case} | best), flush=True)
        print(json.dumps({"case": "kept", "imports_ms": imports(folder)}))
    print(json.dumps({"case": "help", "cpu_s": round(min(help_cpu_s() for _ in range(times)), 3)}))


if __name__ == "__main__":
    main()
