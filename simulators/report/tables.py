"""The tables of the report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

from simulators.report import page
from simulators.report.labels import energy_text, label, mass_text, seconds, share, spread

SUPPLY_COLUMNS = {
    "pv": "pv_mw", "wind": "wind_mw", "battery_discharge": "discharge_mw", "grid_import": "import_mw",
    "unserved": "unserved_mw",
}  # fmt: skip
USE_COLUMNS = {
    "facility": "facility_mw", "battery_charge": "charge_mw", "grid_export": "export_mw", "curtailed": "curtailed_mw",
}  # fmt: skip
"""Columns of the time series by the keys of the summary's energies. Load that was not met is in the facility's, too."""


def scheduling(comparison: Mapping[str, Any] | None) -> str:
    """What a policy saved and what it cost in delay, against its baseline.

    Keys that also stand with ``_baseline`` are told side by side, others in the policy's column.
    """
    if not comparison:
        return ""
    told: dict[str, tuple[str, Callable[[float], str]]] = {
        "kg_saved": ("Carbon saved at equal work", mass_text),
        "kg_saved_relative": ("... of the operational carbon", share),
        "mean_delay_s": ("Delay paid by held requests, mean", seconds),
        "p95_delay_s": ("... 95th percentile", seconds),
        "requests_delayed": ("Requests held", lambda value: f"{value:,.0f}"),
        "deadlines_missed": ("Deadlines missed", lambda value: f"{value:,.0f}"),
        "completed_requests": ("Requests completed", lambda value: f"{value:,.0f}"),
        "operational_kg": ("Operational carbon, battery settled", mass_text),
        "facility_mwh": ("Facility energy", energy_text),
        "matched_ratio": ("Load matched by own supply", share),
    }
    policy, baseline = comparison.get("policy"), comparison.get("baseline_policy")
    rows = []
    for key, (words, form) in told.items():
        if comparison.get(key) is not None:
            before = comparison.get(f"{key}_baseline")
            rows.append((words, form(comparison[key]), "" if before is None else form(before)))
    intro = f"Policy “{policy}” against “{baseline}”, the same requests in both runs." if baseline else ""
    return page.section(
        "What scheduling changes",
        page.text(intro, "note"),
        page.table(("", str(policy or ""), str(baseline or "")), rows, ("", "number", "number"), narrow=True),
    )


def classes(summary: Mapping[str, Any]) -> str:
    """Latencies and deadlines of interactive and deferrable requests, and of each tenant if there are several."""
    served = summary.get("inference") or {}
    told = [("", served.get("classes") or {})]
    told += [
        ("other tenants" if tenant == "-1" else f"tenant {tenant}", kinds)
        for tenant, kinds in (served.get("tenants") or {}).items()
    ]
    rows = []
    for whose, kinds in told:
        for name, found in kinds.items():
            if found["requests"] or found["deadlines"]:
                due, missed = found["deadlines"], found["deadlines_missed"]
                spreads = [
                    spread(found[key][level] for level in ("p50", "p95", "p99"))
                    for key in ("ttft_s", "tpot_s", "e2e_s")
                ]
                words = f"{whose}, {name}" if whose else name[:1].upper() + name[1:]
                late = f"{missed:,.0f} of {due:,.0f}" if due else "–"
                tokens = " / ".join(
                    f"{found[name] / 1e6:.3g}" for name in ("prefill_tokens", "decode_tokens")
                )
                rows.append((words, f"{found['requests']:,.0f}", tokens, *spreads, late))
    if not rows:
        return ""
    heads = (
        "",
        "Completed",
        "Million tokens",
        "TTFT p50 / p95 / p99",
        "TPOT",
        "End to end",
        "Past deadline",
    )
    note = (
        "Latencies count from the release. A policy may hold deferrable requests, which must be complete in time. "
        "Tokens: of prompts / of outputs."
    )
    return page.section(
        "Who waited how long", page.text(note, "note"), page.table(heads, rows, ("", *["number"] * 6))
    )


def energy(summary: Mapping[str, Any]) -> str:
    """Supply and use over the whole run, with the largest conservation residual."""
    mwh = {name: value for name, value in summary.get("energy_mwh", {}).items() if value is not None}
    if not mwh:
        return ""
    supply, use = (
        {name: label(column) for name, column in columns.items()} for columns in (SUPPLY_COLUMNS, USE_COLUMNS)
    )
    if not mwh.get("unserved"):
        supply.pop("unserved")
    supplied = sum(mwh.get(name, 0.0) for name in supply)
    used = sum(mwh.get(name, 0.0) for name in use)
    factor, unit = (1.0, "MWh") if max(supplied, used) >= 1.0 else (1e3, "kWh")
    decimals = next((n for n, least in enumerate((1e4, 1e3, 1e2, 10.0)) if supplied * factor >= least), 4)

    def row(words: str, value: float, total: float) -> tuple[str, str, str]:
        return words, f"{value * factor:,.{decimals}f}", share(value / total) if total else ""

    rows, marks = [], []
    for names, total, whole in ((supply, supplied, "Supply"), (use, used, "Use")):
        for name, words in names.items():
            rows.append(row(words, mwh.get(name, 0.0), total))
            marks.append("")
            if name == "facility" and "it" in mwh:
                rows.append(row("of which IT", mwh["it"], total))
                rows.append(row("of which cooling and losses", mwh["facility"] - mwh["it"], total))
                marks += ["part", "part"]
        rows.append(row(whole, total, total))
        marks.append("sum")
    residual = summary.get("balance", {}).get("max_relative_residual")
    words = "What was supplied, and where it went"
    if residual is not None:
        most = f"by more than {residual:.1e} of the power that flowed" if residual else "at all"
        words += f"; in no interval do the two differ {most}"
    return page.section(
        "Energy",
        page.text(words + ".", "note"),
        page.table(("", unit, "Share"), rows, ("", "number", "number"), marks, narrow=True),
    )


def inputs(inputs: Sequence[Mapping[str, Any]]) -> str:
    """The files a run read."""
    if not inputs:
        return ""
    keys = ("file", "licence", "sha256")
    rows = [[_held(item), *(str(item.get(key) or "–") for key in keys)] for item in inputs]
    return page.section(
        "Inputs", page.table(("What", "File", "Source and licence", "SHA-256"), rows, ("", "", "", "hash"))
    )


def _held(item: Mapping[str, Any]) -> str:
    about = ", ".join(str(item[key]) for key in ("kind", "basis", "unit", "format") if item.get(key))
    share = item.get("estimated_share")
    about += f", {share:.0%} estimated" if share is not None else ""
    return f"{item.get('what') or '–'} ({about})" if about else str(item.get("what") or "–")


def notes(notes: Sequence[str]) -> str:
    """Caveats, one sentence each."""
    items = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return page.section("Read this before quoting a number", f"<ul>{items}</ul>") if items else ""


def details(title: str, rows: Sequence[tuple[str, str]]) -> str:
    """A folded table of names and values."""
    if not rows:
        return ""
    return page.folded(title, f'<div class="pairs">{page.table(("", ""), rows)}</div>')


def flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested options as (dotted name, text), sorted; tables of a list are numbered from 1.

    Examples
    --------
    >>> flat({"run": {"days": 2}, "sites": [{"name": "a"}, {"name": "b"}], "try": [1, 2]})
    [('run.days', '2'), ('sites.1.name', 'a'), ('sites.2.name', 'b'), ('try', '[1, 2]')]
    """
    rows: list[tuple[str, str]] = []
    for key in sorted(values):
        value = values[key]
        if isinstance(value, list | tuple) and value and all(isinstance(each, Mapping) for each in value):
            for place, each in enumerate(value, start=1):
                rows += flat(each, f"{prefix}{key}.{place}.")
        elif isinstance(value, Mapping):
            rows += flat(value, f"{prefix}{key}.")
        else:
            rows.append((f"{prefix}{key}", "–" if value is None else str(value)))
    return rows
