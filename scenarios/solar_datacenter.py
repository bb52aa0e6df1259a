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
from scenarios.site import Setup, prepare
from scenarios.summary import compare, summarise
from scenarios.world import SiteWorld
from simulators.commandline import main
from simulators.recorder.figures import render_all
from simulators.recorder.labels import RunMeta
from simulators.recorder.progress import Progress, summary_table
from simulators.recorder.report import write_report
from simulators.recorder.store import RunFolder
from simulators.recorder.summary import versions


def run(options: SiteOptions) -> None:
    """Simulate a site with PV, wind and a battery that serves LLM requests, and report what it drew and emitted."""
    started = time.perf_counter()
    setup = prepare(options)
    zone = RunMeta("", options.step, setup.site.timezone).zone
    length_s = options.steps * options.step
    with RunFolder(options.out, start=setup.start, until_s=length_s) as folder:
        config = {
            "options": options.model_dump(mode="json"),
            "inputs": [entry.entry() for entry in setup.inputs],
            "facts": setup.facts,
            "versions": versions(),
        }
        folder.write_json("config.json", config)
        with _baseline(options, folder) as baseline, Progress(setup.start, length_s, zone) as progress:
            residual = SiteWorld(setup, folder, progress).run()
        frame = folder.frame("timeseries")
        summary = summarise(setup, frame, residual)
        if baseline:
            summary["scheduling"] = compare(setup, summary, json.loads(baseline[0].read_text()))
        summary["wall_s"] = time.perf_counter() - started
        folder.write_json("summary.json", summary)
        if options.report:
            _report(setup, folder, summary, config)
        target = folder.finish()
    print(summary_table(summary))
    print(f"report: {target / 'report.html'}" if options.report else f"results: {target}")


@contextmanager
def _baseline(options: SiteOptions, folder: RunFolder) -> Iterator[list[Path]]:
    """The same requests under policy none, beside this run in a process of its own; yields its summary once done."""
    if options.policy == "none" or not options.baseline:
        yield []
        return
    summary: list[Path] = []
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
        config.unlink()
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()


def _report(setup: Setup, folder: RunFolder, summary: dict[str, Any], config: dict[str, Any]) -> None:
    options = setup.options
    facts = setup.facts
    meta = RunMeta(
        title=f"Solar data centre, {setup.site.title}",
        step_s=options.step,
        timezone=setup.site.timezone,
        subtitle=f"{facts['model_name']} on {facts['gpus']} {facts['gpu_name']}, policy {options.policy}",
    )
    frame, requests = folder.frame("timeseries"), folder.frame("requests")
    render_all(frame, requests, meta, folder.path("figures"))
    write_report(
        folder.path("report.html"),
        summary=summary,
        config=config,
        timeseries=frame,
        requests=requests,
        meta=meta,
        notes=setup.notes,
    )


if __name__ == "__main__":
    main(SiteOptions, run)
