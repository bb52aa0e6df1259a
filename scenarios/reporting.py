"""The end of every site run: configuration, summary, figures, report, and the short table on the terminal."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from scenarios.site import Setup
from simulators.recorder.store import RunFolder
from simulators.recorder.summary import versions
from simulators.report.figures import render_all
from simulators.report.labels import RunMeta
from simulators.report.progress import summary_table
from simulators.report.report import write_report


def configuration(setup: Setup) -> dict[str, Any]:
    """What `config.json` holds: resolved options, inputs, facts about the cluster, versions."""
    return {
        "options": setup.options.model_dump(mode="json"),
        "inputs": [entry.entry() for entry in setup.inputs],
        "facts": setup.facts,
        "versions": versions(),
    }


def write_results(
    setup: Setup,
    folder: RunFolder,
    frame: pd.DataFrame,
    summary: dict[str, Any],
    started: float,
    title: str,
    pictures: Mapping[str, Path] | None = None,
) -> Path:
    """Write everything but the tables and `config.json`, put the folder in its place and tell the user.

    Parameters
    ----------
    setup, folder, frame, summary
        The finished run; `frame` is its time series.
    started
        `time.perf_counter` at its start, s.
    title
        Of the report.
    pictures
        Further PNG files for the report, by caption.

    Returns
    -------
    Path
        Where the results lie.
    """
    options, facts = setup.options, setup.facts
    config = configuration(setup)
    if options.report:
        meta = RunMeta(
            title=title,
            step_s=options.step,
            timezone=setup.site.timezone,
            subtitle=f"{facts['model_name']} on {facts['gpus']} {facts['gpu_name']}, policy {options.policy}",
        )
        requests = folder.frame("requests")
        render_all(frame, requests, meta, folder.path("figures"))
        summary["wall_s"] = time.perf_counter() - started
        write_report(
            folder.path("report.html"),
            summary=summary,
            config=config,
            timeseries=frame,
            requests=requests,
            meta=meta,
            notes=setup.notes,
            pictures=pictures,
        )
    summary["wall_s"] = time.perf_counter() - started
    folder.write_json("summary.json", summary)
    target = folder.finish()
    print(summary_table(summary))
    print(f"report: {target / 'report.html'}" if options.report else f"results: {target}")
    return target
