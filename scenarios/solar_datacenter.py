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

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scenarios.options import SiteOptions
from scenarios.reporting import write_results
from scenarios.site import prepare
from scenarios.summary import compare, summarise
from scenarios.world import SiteWorld
from simulators.commandline import main
from simulators.recorder.labels import RunMeta
from simulators.recorder.progress import Progress
from simulators.recorder.store import RunFolder


def run(options: SiteOptions) -> None:
    """Simulate a site with PV, wind and a battery that serves LLM requests, and report what it drew and emitted."""
    started = time.perf_counter()
    setup = prepare(options)
    zone = RunMeta("", options.step, setup.site.timezone).zone
    length_s = options.steps * options.step
    with RunFolder(options.out, start=setup.start, until_s=length_s) as folder:
        with baseline_beside(options, folder) as baseline, Progress(setup.start, length_s, zone) as progress:
            residual = SiteWorld(setup, folder, progress).run()
        summary = summarise(setup, folder.frame("timeseries"), residual)
        if baseline:
            summary["scheduling"] = compare(setup, summary, json.loads(baseline[0].read_text()))
        write_results(setup, folder, summary, started, f"Solar data centre, {setup.site.title}")


@contextmanager
def baseline_beside(options: SiteOptions, folder: RunFolder) -> Iterator[list[Path]]:
    """The same requests under policy none in a process of its own; once left, the list holds its summary's path."""
    summary: list[Path] = []
    if options.policy == "none" or not options.baseline:
        yield summary
        return
    out = folder.path("baseline")
    entries = options.model_dump(mode="json") | {
        "policy": "none",
        "baseline": False,
        "report": False,
        "out": str(out),
    }
    config = folder.path("baseline.json")
    config.write_text(json.dumps(entries))
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
            raise RuntimeError(f"the baseline run failed:\n{errors}")
        summary.append(out / "summary.json")
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
        config.unlink(missing_ok=True)


if __name__ == "__main__":
    main(SiteOptions, run)
