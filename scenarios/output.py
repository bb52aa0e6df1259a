"""What listens to a simulation in a command: the results folder, the progress bar, and the report at the end."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pandas as pd
from numpy.typing import ArrayLike

from scenarios import real_time
from scenarios.checkpoints import check_same
from scenarios.plan import Plan
from scenarios.result import Result, Scheduling
from scenarios.scope2 import carried_mw
from simulators.quantities.latencies import LatencyRecord
from simulators.recorder.hourly import HOURLY, write_hourly
from simulators.recorder.sinks import FolderSink
from simulators.recorder.store import RunFolder
from simulators.recorder.summary import plain, versions
from simulators.report import series
from simulators.report.labels import RunMeta
from simulators.report.progress import Progress, summary_table


class Disk(FolderSink):
    """Writes the tables and the configuration into a `RunFolder` while the simulation goes on.

    Parameters
    ----------
    folder
        An open one.
    options
        Everything the command was asked for, for ``config.json``.
    requests
        Whether to write the table of the requests.
    """

    def __init__(self, folder: RunFolder, options: Mapping[str, Any], requests: bool = True) -> None:
        super().__init__(folder)
        self._options = options
        self.tables = ("timeseries", "power_fast", *(("requests",) if requests else ()))

    def rows(self, table: str, columns: Mapping[str, ArrayLike]) -> None:
        """Append rows to ``<table>.parquet``."""
        if table in self.tables:
            super().rows(table, columns)

    def started(self, plan: Plan) -> None:
        """Write the configuration: an interrupted run has it too, and one that goes on must have the same.

        Raises
        ------
        InputError
            If it has another.
        """
        self._folder.start = plan.start
        config = configuration(plan, self._options)
        if self._folder.resuming:
            check_same(self._folder.read_json("config.json"), plain(config))
        self._folder.write_json("config.json", config)


class Bar(AbstractContextManager["Bar"]):
    """A progress bar on the terminal."""

    tables = ()

    def __init__(self) -> None:
        self._progress: Progress | None = None

    def started(self, plan: Plan) -> None:
        """Show the bar."""
        zone = RunMeta("", plan.study.run.step, plan.site.timezone).zone
        self._progress = Progress(plan.start, plan.study.length_s, zone)

    def rows(self, table: str, columns: Mapping[str, ArrayLike]) -> None:
        """Rows are nothing to show."""

    def reached(self, simulated_s: int) -> None:
        """Move the bar."""
        if self._progress is not None:
            self._progress(simulated_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.__exit__(kind, error, trace)


def configuration(
    plan: Plan, options: Mapping[str, Any], facts: Mapping[str, Mapping[str, Any]] | None = None
) -> dict[str, Any]:
    """What `config.json` holds: resolved options, the files read with their hashes, what was built, versions."""
    return {
        "options": dict(options),
        "inputs": [entry.entry() for entry in plan.inputs],
        "facts": dict(facts or {}),
        "versions": versions(),
    }


def write_results(
    folder: RunFolder,
    result: Result,
    options: Mapping[str, Any],
    started: float,
    title: str,
    *,
    report: bool = True,
    scheduling: Scheduling | None = None,
    pictures: Mapping[str, Path] | None = None,
) -> Path:
    """Write everything but the tables, put the folder in its place and tell the user.

    Parameters
    ----------
    folder, result, options
        The finished run and what was asked for.
    started
        `time.perf_counter` at its start, s.
    title
        Of the report.
    report
        Whether to draw figures and write the page.
    scheduling
        The policy against none.
    pictures
        Further PNG files for the report, by caption.

    Returns
    -------
    Path
        Where the results lie.
    """
    config = configuration(result.plan, options, result.facts)
    folder.write_json("config.json", config)
    zones = {name: site.timezone for name, site in result.plan.sites.items()}
    prices = {site.price_unit for site in result.plan.sites.values()} - {""}
    units = {"price_per_kwh": prices.pop()} if len(prices) == 1 else {}
    write_hourly(folder.path(HOURLY), result.timeseries, result.study.run.step, zones, units)
    summary = result.to_json()
    summary["series"] = [entry.entry() for entry in result.inputs if entry.format]
    if result.real_time is not None:
        summary["real_time"] = dict(result.real_time)
    if scheduling is not None:
        summary["scheduling"] = scheduling.model_dump(mode="json")
    if report:
        _draw(folder, result, summary, config, started, title, pictures)
    summary["wall_s"] = time.perf_counter() - started
    folder.write_json("summary.json", summary)
    target = folder.finish()
    print(summary_table(summary))
    if result.real_time is not None:
        print(real_time.words(result.real_time))
    print(f"report: {target / 'report.html'}" if report else f"results: {target}")
    return target


def _draw(
    folder: RunFolder,
    result: Result,
    summary: dict[str, Any],
    config: dict[str, Any],
    started: float,
    title: str,
    pictures: Mapping[str, Path] | None,
) -> None:
    # imported here: drawing takes a second to import, and a run without a report needs none of it
    from simulators.report.figures import render_all
    from simulators.report.report import write_report

    site = result.plan.site
    facts = next(iter(result.facts.values()))
    built = "{model_name} on {gpus} {gpu_name}".format_map(facts) if site.study.serves else ""
    policies = ", ".join(dict.fromkeys(plan.study.control.policy for plan in result.plan.sites.values()))
    meta = RunMeta(
        title=title,
        step_s=result.study.run.step,
        timezone=site.timezone,
        subtitle=f"{built}, policy {policies}" if site.study.serves else f"load from {facts['load']}",
        targets=result.figures.inference.slo.model_dump() if result.figures.inference else {},
    )
    frame = series.all_sites(result.timeseries)
    carried = [
        carried_mw(rows, result.sites[str(name)].storage).set_axis(rows["time"])
        for name, rows in result.timeseries.groupby("site", sort=False)
    ]
    frame[series.CARRIED] = frame["time"].map(pd.concat(carried).groupby(level=0).sum())
    latencies = LatencyRecord()
    for record in result.latencies.values():
        latencies.merge(record)
    render_all(frame, latencies, meta, folder.path("figures"))
    summary["wall_s"] = time.perf_counter() - started
    write_report(
        folder.path("report.html"),
        summary=summary,
        config=config,
        timeseries=frame,
        latencies=latencies,
        meta=meta,
        notes=result.notes,
        pictures=pictures,
        files=_beside(result, (config["options"].get("output") or {}).get("requests", True)),
    )


def _beside(result: Result, requests: bool) -> dict[str, str]:
    """What lies beside the report, with what each file holds."""
    study = result.study
    found = {
        "summary.json": "every figure of this page, and more",
        "timeseries.parquet": "one row per step and site; unit and label in each column's metadata",
        HOURLY: "the same by the hour, UTC and local time",
    }
    if result.network:
        found["violations.parquet"] = (
            "every limit of the network that was exceeded, from when to when and how far"
        )
    if result.network_series:
        found["elements.parquet"] = "voltage and loading of every element of the network and step"
    if study.serves and requests:
        found["requests.parquet"] = "one row for each finished request, with its energy"
    if study.serves and study.run.power_resolution_s is not None:
        found["power_fast.parquet"] = f"GPU power every {study.run.power_resolution_s:g} s"
    return found | {
        "config.json": "the whole study, versions and SHA-256 of every input: repeat the run with --config",
        "figures/": "the charts as PNG",
    }
