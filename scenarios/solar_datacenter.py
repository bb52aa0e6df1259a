"""A solar-powered LLM inference site on real data, simulated in lockstep.

python scenarios/solar_datacenter.py --site germany --days 2 --out results/de
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scenarios.options import SiteOptions
from scenarios.reporting import configuration, write_results
from scenarios.site import prepare
from scenarios.summary import compare, summarise
from scenarios.world import SiteWorld
from simulators.commandline import main
from simulators.recorder.store import RunFolder
from simulators.report.labels import RunMeta
from simulators.report.progress import Progress


def run(options: SiteOptions) -> None:
    """Simulate a site with PV, wind and a battery that serves LLM requests, and report what it drew and emitted."""
    started = time.perf_counter()
    setup = prepare(options)
    zone = RunMeta("", options.step, setup.site.timezone).zone
    length_s = options.steps * options.step
    with RunFolder(options.out, start=setup.start, until_s=length_s) as folder:
        folder.write_json("config.json", configuration(setup))
        with other_policy_beside(options, folder) as other, Progress(setup.start, length_s, zone) as progress:
            residual = SiteWorld(setup, folder, progress).run()
        frame = folder.frame("timeseries")
        summary = summarise(setup, frame, residual)
        if other and options.policy == "none":
            summary["scheduling"] = compare(options.other_policy, other, summary)
        elif other:
            summary["scheduling"] = compare(options.policy, summary, other)
        write_results(setup, folder, frame, summary, started, f"Solar data centre, {setup.site.title}")


@contextmanager
def other_policy_beside(options: SiteOptions, folder: RunFolder) -> Iterator[dict[str, Any]]:
    """The same requests under the other policy, in a process of its own; once left, the dictionary is its summary."""
    summary: dict[str, Any] = {}
    if not options.compare:
        yield summary
        return
    out = folder.path("comparison")
    changes = {"policy": options.other_policy, "compare": False, "report": False, "out": str(out)}
    config = folder.path("comparison.json")
    config.write_text(json.dumps(options.model_dump(mode="json") | changes))
    process = subprocess.Popen(
        [sys.executable, __file__, "--config", str(config)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield summary
        _, errors = process.communicate()
        if process.returncode:
            raise RuntimeError(f"the run under policy {options.other_policy} failed:\n{errors}")
        summary |= json.loads((out / "summary.json").read_text())
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
        config.unlink(missing_ok=True)


if __name__ == "__main__":
    main(SiteOptions, run)
