"""The sections of the report that hold charts: each takes the run and gives HTML, its charts go into `drawn`."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

import plotly.graph_objects as go

from simulators.quantities.latencies import LatencyRecord
from simulators.report import books, page, series
from simulators.report.charts import Charts
from simulators.report.labels import mass_text, share

MATCHED = (
    "Interval by interval: how much of the site's load was carried at that very moment by its own PV and wind, "
    "or by its battery as far as they had charged it. What is exported at noon does not count for the evening."
)
MATCHED_FORMULA = "Σ min(load, own supply) / Σ load"
OFFSET = (
    "Over the whole run: own supply that carried load or was exported at that moment, directly or from the battery, "
    "against load, both weighted with the grid's average carbon intensity. What was curtailed, or is still in the "
    "battery, offsets nothing. Exports count in full, so this can pass 100 % while the site still runs on grid power "
    "at night."
)
OFFSET_FORMULA = "Σ (own supply delivered × intensity) / Σ (load × intensity)"
DIFFERENT = "The sites' carbon intensities differ, so that there is no one course of it to draw."
MARGINAL = (
    "Grid import times the marginal carbon intensity, summed over every interval: what this import causes in the power "
    "system, against none. It is no emission of the site and adds up with none."
)


def power(charts: Charts, drawn: dict[str, go.Figure]) -> str:
    """Supply and use, and the battery between them."""
    drawn["power_balance"] = charts.power_balance()
    parts = [
        page.text(
            "Above zero: what carries the load. Below zero: what the site could not use at that moment. "
            f"Drawn from {charts.detail}; the tables keep every step. Drag to zoom, double-click to go back.",
            "note",
        ),
        page.plot("power_balance", "Power over time: supply stacked up to the load, surplus below zero"),
    ]
    text = page.section("Power balance", *parts)
    if series.has_battery(charts.local):
        drawn["battery"] = charts.battery()
        text += page.section(
            "Battery",
            page.plot("battery", "Battery over time: state of charge, charging and discharging power"),
        )
    return text


def carbon(charts: Charts, drawn: dict[str, go.Figure], summary: Mapping[str, Any]) -> str:
    """What the site emits, by the average intensity, and what its import causes, by the marginal one."""
    figures = summary.get("carbon_kg", {})
    kinds = series.carbon_kinds(charts.local)
    text = ""
    if "average" in kinds:
        drawn["carbon"] = charts.carbon()
        text = page.section(
            "Carbon",
            page.text(_emitted(charts, figures), "note"),
            page.plot(
                "carbon",
                "Over time: carbon intensity, emissions per hour and their sum, with and without own supply",
            ),
        )
    elif reason := figures.get("reasons", {}).get("operational"):
        text = page.section("Carbon", page.text(f"Operational carbon: –, {reason}.", "note"))
    elif figures.get("operational") is not None:
        words = f"{mass_text(figures['operational'])} in all. {DIFFERENT}"
        text = page.section("Carbon", page.text(words, "note"))
    if "marginal" in kinds:
        drawn["carbon_marginal"] = charts.carbon("marginal")
        found = figures.get("consequence_marginal")
        words = MARGINAL + (f" In this run: {mass_text(found)}." if found is not None else "")
        if settled := figures.get("settlement_marginal"):
            words += f" Bringing the battery back to its start would cause {mass_text(settled)}."
        parts = [
            page.text(words, "note"),
            page.plot(
                "carbon_marginal",
                "Over time: marginal intensity, what the import causes per hour and in total",
            ),
        ]
        text += page.section("What the import causes at the margin", *parts)
    return text


def _emitted(charts: Charts, figures: Mapping[str, Any]) -> str:
    without = float(series.carbon_flows(charts.local, charts.meta.step_s)["total_without"].iloc[-1])
    actual = figures.get("operational")
    own = figures.get("own_supply") or 0.0
    if actual is not None:
        actual += (figures.get("battery_settlement") or 0.0) + own
    words = (
        "Grid import times the grid's average carbon intensity, summed over every interval; "
        "exports earn no credit. Bringing the battery back to its start is a line of its own."
    )
    if actual is None or not without > 0.0:
        return words
    less = 1.0 - actual / without
    return (
        f"{words} The same load taken entirely from the grid would have emitted {mass_text(without)}; "
        f"this run emitted {mass_text(actual)} with that{' and its own PV, wind and battery' if own else ''}, "
        f"{share(abs(less))} {'less' if less >= 0 else 'more'}."
    )


def renewable(charts: Charts, drawn: dict[str, go.Figure], summary: Mapping[str, Any]) -> str:
    """The two answers to how renewable the load was."""
    ratios, reasons = summary.get("renewable", {}), summary.get("carbon_kg", {}).get("reasons", {})
    if not series.has_generation(charts.local):
        return ""
    drawn["coverage"] = charts.coverage()
    pair = "".join(
        f'<div><h3>{name}</h3><div class="value">{share(ratios.get(key))}</div>'
        f"{page.text(f'No figure: {reasons[key]}.', 'note') if key in reasons else ''}"
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
        books.round_the_clock(summary),
        page.text(below + "The map shows the share of each hour's load that own supply carried.", "note"),
        page.plot("coverage", "Map of hours and days: share of each hour's load that own supply carried"),
    )


def latency(charts: Charts, drawn: dict[str, go.Figure], latencies: LatencyRecord | None) -> str:
    """How long requests took, and how many came and went."""
    text = ""
    if latencies is not None and latencies.sketch("e2e_s").count:
        drawn["latency"] = charts.latency(latencies)
        drawn["latency_over_time"] = charts.latency_over_time(latencies)
        words = (
            f"{latencies.sketch('e2e_s').weight:,.0f} finished requests. Counted from the moment a request was "
            "released to the cluster; the time a policy held it back is reported under scheduling. Percentiles are "
            f"within {share(latencies.error, 2)} of their value, those over time within "
            f"{share(latencies.over_time_error)}."
        )
        parts = [
            page.text(words, "note"),
            page.plot(
                "latency",
                "Shares of requests by latency: time to first token, per output token, to completion",
            ),
            page.plot("latency_over_time", "Percentiles of latencies by time of arrival, with their targets"),
        ]
        text += page.section("Latency", *parts)
    if "arrived" in charts.local:
        drawn["traffic"] = charts.traffic()
        text += page.section(
            "Requests", page.plot("traffic", "Over time: requests per second, and requests in the system")
        )
    return text


def network(
    charts: Charts,
    drawn: dict[str, go.Figure],
    summary: Mapping[str, Any],
    pictures: Mapping[str, Path | str],
) -> str:
    """Voltages and loadings, and further pictures."""
    text = ""
    if series.has_network(charts.local):
        drawn["network"] = charts.network()
        words = _voltages(summary.get("network", {}))
        words += "Within each plotted interval the extreme voltages and the highest loading are shown."
        if "violations" in charts.local:
            broken = int((charts.local["violations"] > 0).sum())
            words += f" A limit is broken in {broken:,} of {len(charts.local):,} intervals."
        text = page.section(
            "Network",
            page.text(words, "note"),
            page.plot("network", "Over time: voltages of the network and loadings of lines and transformers"),
        )
    return text + "".join(
        page.section(caption, page.picture(path, caption)) for caption, path in pictures.items()
    )


def _voltages(network: Mapping[str, Any]) -> str:
    """The extremes over the run, each with its bus: those of the network, and those at each site."""
    found = [(words, network.get(key)) for words, key in (("Lowest", "vm_pu_min"), ("Highest", "vm_pu_max"))]
    told = [
        f"{words} voltage of the network: {at['value']:.4f} p.u. at {at['element']} (bus {at['index']})."
        for words, at in found
        if at
    ]
    told += [
        f"At {site['name']}, {site['bus_name']} (bus {site['bus']}): {site['vm_pu_min']:.4f} to "
        f"{site['vm_pu_max']:.4f} p.u."
        for site in network.get("sites", ())
        if site["vm_pu_min"] is not None
    ]
    return "".join(f"{sentence} " for sentence in told)
