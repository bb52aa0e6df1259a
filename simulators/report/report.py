"""One page that tells what a run did: opens offline, needs nothing beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from simulators.report import page, series, tables
from simulators.report.charts import Charts
from simulators.report.labels import RunMeta, energy_text, mass_text, number, seconds, share, span

MATCHED = (
    "Interval by interval: how much of the site's load was carried at that very moment by its own PV and wind, "
    "or by its battery as far as they had charged it. What is exported at noon does not count for the evening."
)
MATCHED_FORMULA = "Σ min(load, own supply) / Σ load"
OFFSET = (
    "Over the whole run: own generation (less what was curtailed) against load, both weighted with the grid's carbon "
    "intensity of the moment. Exports count in full, so this can pass 100 % while the site still runs on grid power at "
    "night."
)
OFFSET_FORMULA = "Σ (generation × intensity) / Σ (load × intensity)"


def write_report(
    path: Path | str,
    *,
    summary: Mapping[str, Any],
    config: Mapping[str, Any],
    timeseries: pd.DataFrame,
    requests: pd.DataFrame | None,
    meta: RunMeta,
    inputs: Sequence[Mapping[str, Any]] = (),
    notes: Sequence[str] = (),
    comparison: Mapping[str, Any] | None = None,
    pictures: Mapping[str, Path | str] | None = None,
) -> Path:
    """Write the report of one run.

    Parameters
    ----------
    path
        The HTML file.
    summary, config
        What goes into ``summary.json`` and ``config.json``; `config` may hold ``versions`` and ``inputs``.
    timeseries, requests
        The rows of the two tables; without requests the latency charts are left out.
    meta
        Title, zone and step of the run.
    inputs
        The files a run read: mappings with ``what``, ``file``, ``licence`` and ``sha256``; by default those in
        `config`.
    notes
        What a reader must know before quoting a number, one sentence each.
    comparison
        The policy against its baseline; by default ``summary["scheduling"]``.
    pictures
        More PNG files to embed, by their captions.
    """
    charts = Charts(timeseries, meta)
    drawn: dict[str, go.Figure] = {}
    sections = [
        _cards(summary),
        _power(charts, drawn),
        _carbon(charts, drawn, summary),
        _renewable(charts, drawn, summary),
        _latency(charts, drawn, requests),
        tables.scheduling(comparison if comparison is not None else summary.get("scheduling")),
        _network(charts, drawn, pictures or {}),
        tables.energy(summary),
        tables.inputs(inputs or config.get("inputs", ())),
        tables.notes(notes),
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
    path.write_text(page.page(meta.title, lead, sections, drawn), encoding="utf-8")
    return path


def _cards(summary: Mapping[str, Any]) -> str:
    energy, carbon = summary.get("energy_mwh", {}), summary.get("carbon_kg", {})
    renewable, served = summary.get("renewable", {}), summary.get("inference", {})
    it, facility = energy.get("it"), energy.get("facility")
    total, tokens = carbon.get("total"), served.get("decode_tokens")
    cards = [
        page.card(
            "Energy used by the site",
            energy_text(facility),
            f"PUE {facility / it:.3f}, IT {energy_text(it)}" if it and facility else "",
        ),
        page.card(
            "Load matched by own supply",
            share(renewable.get("matched_ratio")),
            f"interval by interval; offset ratio {share(renewable.get('offset_ratio'))}",
        ),
        page.card(
            "Operational carbon",
            mass_text(carbon.get("operational")),
            f"CO₂eq of grid import; embodied {mass_text(carbon.get('embodied'))}",
        ),
        page.card(
            "Carbon per 1,000 output tokens",
            number(total * 1e6 / tokens, "g") if total is not None and tokens else "–",
            "CO₂eq, operational and embodied",
        ),
        page.card(
            "Energy per output token",
            number(served.get("energy_j_per_output_token"), "J"),
            f"GPU mean {number(served.get('gpu_power_w_mean'), 'W')}, MFU {share(served.get('mfu_mean'))}",
        ),
        page.card(
            "Requests completed",
            number(served.get("requests_completed")),
            f"of {number(served.get('requests_arrived'))} arrived, "
            f"{number(served.get('requests_rejected'))} rejected",
        ),
        *(
            page.card(
                label,
                seconds((served.get(key) or {}).get("p95")),
                f"p50 {seconds((served.get(key) or {}).get('p50'))}, "
                f"p99 {seconds((served.get(key) or {}).get('p99'))}",
            )
            for label, key in (
                ("Time to first token, p95", "ttft_s"),
                ("Time per output token, p95", "tpot_s"),
            )
        ),
    ]
    return f'<div class="cards">{"".join(cards)}</div>'


def _power(charts: Charts, drawn: dict[str, go.Figure]) -> str:
    drawn["power_balance"] = charts.power_balance()
    parts = [
        page.text(
            "Above zero: what carries the load. Below zero: what the site could not use at that moment. "
            f"Drawn from {charts.detail}; the tables keep every step. Drag to zoom, double-click to go back.",
            "note",
        ),
        page.plot("power_balance"),
    ]
    text = page.section("Power balance", *parts)
    if series.has_battery(charts.local):
        drawn["battery"] = charts.battery()
        text += page.section("Battery", page.plot("battery"))
    return text


def _carbon(charts: Charts, drawn: dict[str, go.Figure], summary: Mapping[str, Any]) -> str:
    if "carbon_intensity_g_per_kwh" not in charts.local:
        return ""
    drawn["carbon"] = charts.carbon()
    without = float(series.carbon_flows(charts.local, charts.meta.step_s)["total_without"].iloc[-1])
    actual = summary.get("carbon_kg", {}).get("operational")
    words = (
        "Grid import times the grid's carbon intensity, summed over every interval; exports earn no credit."
    )
    if actual is not None and without > 0.0:
        words += (
            f" The same load taken entirely from the grid would have emitted {mass_text(without)}; "
            f"this run emitted {mass_text(actual)}, {share(1.0 - actual / without)} less."
        )
    return page.section("Carbon", page.text(words, "note"), page.plot("carbon"))


def _renewable(charts: Charts, drawn: dict[str, go.Figure], summary: Mapping[str, Any]) -> str:
    ratios = summary.get("renewable", {})
    if not series.has_generation(charts.local):
        return ""
    drawn["coverage"] = charts.coverage()
    pair = "".join(
        f'<div><h3>{name}</h3><div class="value">{share(ratios.get(key))}</div>'
        f"{page.text(words)}<p class='note'><code>{escape(formula)}</code></p></div>"
        for name, key, words, formula in (
            ("Matched ratio", "matched_ratio", MATCHED, MATCHED_FORMULA),
            ("Offset ratio", "offset_ratio", OFFSET, OFFSET_FORMULA),
        )
    )
    kept = ratios.get("self_consumption_ratio")
    below = (
        f"{share(kept)} of what the site generated was used or stored on site. " if kept is not None else ""
    )
    return page.section(
        "How renewable was it? Two answers",
        f'<div class="pair">{pair}</div>',
        page.text(below + "The map shows the share of each hour's load that own supply carried.", "note"),
        page.plot("coverage"),
    )


def _latency(charts: Charts, drawn: dict[str, go.Figure], requests: pd.DataFrame | None) -> str:
    text = ""
    if requests is not None and len(requests):
        drawn["latency"] = charts.latency(requests)
        drawn["latency_over_time"] = charts.latency_over_time(requests)
        words = (
            f"{len(requests):,} finished requests. Counted from the moment a request was released to the "
            "cluster; the time a policy held it back is reported under scheduling."
        )
        parts = [page.text(words, "note"), page.plot("latency"), page.plot("latency_over_time")]
        text += page.section("Latency", *parts)
    if "arrived" in charts.local:
        drawn["traffic"] = charts.traffic()
        text += page.section("Requests", page.plot("traffic"))
    return text


def _network(charts: Charts, drawn: dict[str, go.Figure], pictures: Mapping[str, Path | str]) -> str:
    text = ""
    if series.has_network(charts.local):
        drawn["network"] = charts.network()
        words = "Within each plotted interval the lowest voltage and the highest loading are shown."
        if "violations" in charts.local:
            broken = int((charts.local["violations"] > 0).sum())
            words += f" A limit is broken in {broken:,} of {len(charts.local):,} intervals."
        text = page.section("Network", page.text(words, "note"), page.plot("network"))
    return text + "".join(
        page.section(caption, page.picture(path, caption)) for caption, path in pictures.items()
    )
