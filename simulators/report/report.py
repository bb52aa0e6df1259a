"""One page that tells what a run did: opens offline, needs nothing beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from simulators.quantities.latencies import LatencyRecord
from simulators.report import account, answer, books, facility, page, sections, tables, uncertainty
from simulators.report.cards import cards
from simulators.report.charts import Charts
from simulators.report.labels import RunMeta, seconds, span
from simulators.report.prefix import prefix_cache
from simulators.report.shares import tenant_shares
from simulators.report.speculation import speculation


def write_report(
    path: Path | str,
    *,
    summary: Mapping[str, Any],
    config: Mapping[str, Any],
    timeseries: pd.DataFrame,
    latencies: LatencyRecord | None,
    meta: RunMeta,
    notes: Sequence[str] = (),
    pictures: Mapping[str, Path | str] | None = None,
    files: Mapping[str, str] | None = None,
) -> Path:
    """Write the report of one run.

    Parameters
    ----------
    path
        The HTML file.
    summary, config
        What goes into ``summary.json`` and ``config.json``; `config` may hold ``versions`` and ``inputs`` (mappings
        with ``what``, ``file``, ``licence`` and ``sha256``), `summary` the policy against its baseline under
        ``scheduling``.
    timeseries
        The rows of one site, or of all as one (`series.of_site`, `series.all_sites`).
    latencies
        Of the finished requests; without any the latency charts are left out.
    meta
        Title, zone and step of the run.
    notes
        What a reader must know before quoting a number, one sentence each.
    pictures
        More PNG files to embed, by their captions.
    files
        What lies beside the page, with what each holds.
    """
    charts = Charts(timeseries, meta)
    drawn: dict[str, go.Figure] = {}
    network = sections.network(charts, drawn, summary, pictures or {})
    first, later = (network, "") if summary.get("network") else ("", network)
    parts = [
        first,
        sections.power(charts, drawn),
        uncertainty.section(summary),
        sections.carbon(charts, drawn, summary),
        account.section(summary),
        sections.renewable(charts, drawn, summary),
        sections.latency(charts, drawn, latencies),
        tables.classes(summary),
        tenant_shares(summary),
        prefix_cache(summary),
        speculation(summary),
        tables.scheduling(summary.get("scheduling")),
        later,
        tables.energy(summary),
        facility.section(summary),
        page.section("Data of this run", page.links(files)) if files else "",
        tables.inputs(config.get("inputs", ())),
        tables.notes(notes),
        books.assumptions(summary),
        tables.details(
            "Resolved options",
            tables.flat({k: v for k, v in config.items() if k not in ("versions", "inputs")}),
        ),
        tables.details("Versions", tables.flat(config.get("versions", {}))),
    ]
    end = charts.local.index[-1] + pd.Timedelta(seconds=meta.step_s)
    lead = " · ".join(
        part
        for part in (
            meta.subtitle,
            span(charts.start, end),
            f"steps of {seconds(float(meta.step_s))}",
            f"simulated in {seconds(summary['wall_s'])}" if summary.get("wall_s") else "",
        )
        if part
    )
    path = Path(path)
    head = answer.section(summary) + cards(summary)
    path.write_text(page.page(meta.title, lead, parts, drawn, head), encoding="utf-8")
    return path
