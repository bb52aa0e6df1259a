"""Table and report of the what-if scenario."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from scenarios.attribution_figures import charts
from simulators.quantities.saturation import label_text
from simulators.report import page, tables
from simulators.report.labels import number, seconds, share

_LATENCIES = ("ttft_p50_s", "ttft_p99_s", "tpot_p50_s", "tpot_p99_s")


def _kept(row: Mapping[Any, Any]) -> str:
    """Whether a row keeps the targets, and whether it is on the front of energy and time per output token."""
    if not row["holds"]:
        return "broken"
    return "kept, front" if row["front"] else "kept"


def targets(slo_ttft_s: float, slo_tpot_s: float) -> str:
    """The targets in words.

    Examples
    --------
    >>> targets(2.0, 0.1)
    'TTFT p99 up to 2 s, TPOT p99 up to 100 ms'
    """
    return f"TTFT p99 up to {seconds(slo_ttft_s)}, TPOT p99 up to {seconds(slo_tpot_s)}"


def least(table: pd.DataFrame) -> Mapping[Any, Any] | None:
    """Of the rows that hold, the one that needs least energy per output token; None if none holds."""
    rows = table[table["holds"]]
    if rows.empty:
        return None
    return rows.sort_values("j_per_output_token", kind="stable").iloc[0].to_dict()


def answer(table: pd.DataFrame, slo_ttft_s: float, slo_tpot_s: float) -> str:
    """In one or two sentences: how many rows hold the targets, and which of them needs least energy."""
    ran = int(table["j_per_output_token"].notna().sum())
    base, best = table.iloc[0], least(table)
    kept = f"carry the load within the targets ({targets(slo_ttft_s, slo_tpot_s)})"
    words = f"{int(table['holds'].sum())} of {ran} configurations {kept}"
    if best is None:
        return f"{words}."
    told = f"{number(best['j_per_output_token'], 'J')} per output token on {best['gpus']:.0f} GPUs"
    if best["change"] == "base":
        return f"{words}. None of them needs less energy than the base: {told}."
    kept = "" if base["holds"] else ", which does not keep them"
    return f"{words}. Least energy: {best['change']}, {told}, {best['energy_change']:+.0%} against the base{kept}."


def cheapest(table: pd.DataFrame, currency: str) -> str:
    """Which of the rows that hold costs least, in a sentence; empty without prices, or if none holds."""
    rows = table[table["holds"] & table["cost_per_million_tokens"].notna()]
    if rows.empty:
        return ""
    best = rows.sort_values("cost_per_million_tokens", kind="stable").iloc[0]
    own, base = (float(row["cost_per_million_tokens"]) for row in (best, table.iloc[0]))
    against = "" if best["change"] == "base" else f", {_relative(own, base)} against the base"
    return f"Cheapest: {best['change']}, {number(own, currency)} per million output tokens{against}."


def _relative(value: float | None, base: float | None) -> str:
    if value is None or not base or pd.isna(value):
        return "–"
    ratio = value / base
    if ratio >= 10:
        return f"× {ratio:,.0f}"
    return f"{ratio - 1.0:+.0%}" if abs(ratio - 1.0) >= 0.005 else "0%"


def _what_if(table: pd.DataFrame, currency: str) -> str:
    base = table.iloc[0]
    priced = bool(table["cost_per_million_tokens"].notna().any())
    cost = (f"{currency or 'Cost'} / million",) if priced else ()
    header = (
        "Change", "Saturation", "Targets", "GPUs", "J / output token", "", "J / input token", "gCO₂eq / 1,000", *cost,
        "TTFT p50", "TTFT p99", "TPOT p50", "TPOT p99", "Tokens/s",
    )  # fmt: skip
    rows = []
    for row in table.to_dict("records"):
        if pd.isna(row["j_per_output_token"]):
            rows.append([f"{row['change']} *", *["–"] * (len(header) - 1)])
            continue
        rows.append(
            [
                f"{row['change']} *" if row["note"] else row["change"],
                label_text(row["saturation"]),
                _kept(row),
                number(int(row["gpus"])),
                number(row["j_per_output_token"]),
                ""
                if row["change"] == "base"
                else _relative(row["j_per_output_token"], base["j_per_output_token"]),
                number(row["prefill_j_per_input_token"]),
                number(row["g_per_1k_tokens"]),
                *((number(row["cost_per_million_tokens"]),) if priced else ()),
                *(seconds(row[name]) for name in _LATENCIES),
                number(float(f"{row['tokens_per_s']:.4g}")),
            ]
        )
    kinds = ("", "", "", *["number"] * (len(header) - 3))
    return page.table(header, rows, kinds, ["sum"])


def _tenants(tenants: pd.DataFrame) -> str:
    total = tenants[["energy_j", "energy_j_by_tokens"]].sum()
    rows = [
        [
            str(name),
            number(int(row["requests"])),
            number(int(row["prefill_tokens"])),
            number(int(row["decode_tokens"])),
            number(row["prefill_j"] / row["prefill_tokens"]),
            number(row["decode_j"] / row["decode_tokens"]),
            number(row["energy_j"] / row["requests"]),
            share(row["energy_j"] / total["energy_j"]),
            share(row["energy_j_by_tokens"] / total["energy_j_by_tokens"]),
        ]
        for name, row in tenants.to_dict("index").items()
    ]
    header = (
        "Tenant", "Requests", "Input tokens", "Output tokens", "Prefill J / token", "Decode J / token",
        "J / request", "By work", "By tokens",
    )  # fmt: skip
    return page.table(header, rows, ("", *["number"] * 8))


def _cards(table: pd.DataFrame, summary: Mapping[str, Any], pue: float) -> str:
    """Headline numbers of the base, and the variant that needs least."""
    base, meter = summary["base"], summary["meter_j"]
    best = least(table)
    parts = ", ".join(
        f"{name} {share(meter[f'{name}_j'] / meter['meter_j'])}" for name in ("prefill", "decode", "idle")
    )
    parts += f"; {number(base['prefill_j_per_input_token'], 'J')} of prefill per input token"
    cards = [
        page.card("GPU energy per output token", number(base["j_per_output_token"], "J"), parts),
        page.card(
            "Carbon per 1,000 output tokens",
            number(base["g_per_1k_tokens"], "g"),
            f"CO₂eq at {number(summary['carbon_intensity_g_per_kwh'], 'g/kWh')}, servers and PUE {pue} "
            f"included; embodied {number(base['embodied_g_per_1k_tokens'], 'g')} more",
        ),
        page.card(
            "Time to first token, p95", seconds(base["ttft_p95_s"]), f"p50 {seconds(base['ttft_p50_s'])}"
        ),
        page.card(
            "Least energy within the targets",
            "–" if best is None else number(best["j_per_output_token"], "J"),
            "nothing tried keeps them"
            if best is None
            else f"per output token with {best['change']}: {best['energy_change']:+.0%}",
        ),
    ]
    return f'<div class="cards">{"".join(cards)}</div>'


def _notes(table: pd.DataFrame) -> str:
    """What a reader must know of the variants, and of the method."""
    return tables.notes(
        [
            *(f"{row['change']}: {row['note']}." for row in table.to_dict("records") if row["note"]),
            "A variant that falls behind serves its queue after the last arrival: its latencies are those of that "
            "queue.",
            "Requests arrive as given, so a faster variant idles or runs smaller batches: its energy per token is "
            "that of this load, not of its capacity.",
            "Carbon counts each GPU's share of a server of eight.",
        ]
    )


def write_html(
    path: Path,
    table: pd.DataFrame,
    tenants: pd.DataFrame,
    summary: Mapping[str, Any],
    config: Mapping[str, Any],
) -> None:
    """The report: headline numbers, the table, its pictures, and the attribution of the base."""
    options = config["options"]
    sections = [
        page.section(
            "What if",
            page.text(
                "Every row serves the same requests; what differs from the base is named. Energy is that of the GPUs, "
                "idle time included, J per input token that of prefill; carbon is that of the facility at the meter, "
                "per 1,000 output tokens; what it costs, where prices were given, is that of energy at the meter and "
                "of the GPUs' hours, per million output tokens. Targets are kept where a row carries the load with "
                f"{targets(options['slo_ttft'], options['slo_tpot'])}; on the front no other that keeps them is both "
                "faster and thriftier. *: see the notes at the end.",
                "note",
            ),
            _what_if(table, options["currency"]),
        ),
        page.section("Where the energy goes", page.plot("phases")),
        page.section(
            "Energy against speed",
            page.text(
                "The variants that carry the same load: full marks keep the targets, the line is the front of those "
                "(least energy for a time per output token). Marks without a name are within 2 % of the base's energy.",
                "note",
            ),
            page.plot("trade"),
        ),
        page.section(
            "Whose energy it is",
            page.text(
                "The base, joule by joule: every iteration's energy is split among its requests by the FLOP done for "
                "each (by work), idle energy in proportion to that. By tokens, the alternative, it is split by "
                "tokens processed, whatever their context. Requests and idle add up to the meter; the largest relative "
                f"difference of all runs is {summary['largest_residual']:.1e}.",
                "note",
            ),
            _tenants(tenants),
        ),
        _notes(table),
        tables.inputs(config["inputs"]),
        tables.details("Resolved options", tables.flat(options)),
        tables.details("Versions", tables.flat(config["versions"])),
    ]
    serving = options["serving"]
    lead = (
        f"{serving['model'].split('/')[-1]} on {summary['base']['gpus']} {serving['gpu']}, {len(table) - 1} variants, "
        f"requests of {number(options['minutes'], 'min')}"
    )
    kind = "warn" if least(table) is None else "good"
    told = page.text(page.kept_together(summary["answer"]))
    head = f'<section class="answer {kind}" id="answer" aria-label="In short">{told}</section>'
    head += _cards(table, summary, options["pue"])
    html = page.page("What if", lead, sections, charts(table, options["slo_tpot"]), head)
    path.write_text(html, encoding="utf-8")


def terminal_table(table: pd.DataFrame) -> str:
    """The table for the terminal; changes against the base in per cent."""
    base = table.iloc[0]
    shown = {
        "J/out token": "j_per_output_token", "J/in token": "prefill_j_per_input_token", "gCO2/1k": "g_per_1k_tokens",
        "cost/million": "cost_per_million_tokens", "TTFT p99, s": "ttft_p99_s", "TPOT p50, s": "tpot_p50_s",
        "TPOT p99, s": "tpot_p99_s", "tokens/s": "tokens_per_s",
    }  # fmt: skip
    if not table["cost_per_million_tokens"].notna().any():
        del shown["cost/million"]
    header, names = ("change", *shown), tuple(shown.values())
    width = max(len(text) for text in table["change"])
    lines = [
        f"{header[0]:<{width}}" + "".join(f"  {text:>17}" for text in header[1:]) + "  saturation  targets"
    ]
    for row in table.to_dict("records"):
        line = f"{row['change']:<{width}}"
        if pd.isna(row["j_per_output_token"]):
            lines.append(f"{line}  {row['note']}")
            continue
        for name in names:
            change = "" if row["change"] == "base" else f" ({_relative(row[name], base[name])})"
            text = f"{row[name]:.3g}{change}" if row[name] is not None and not pd.isna(row[name]) else "-"
            line += f"  {text:>17}"
        lines.append(f"{line}  {label_text(row['saturation']):<10}  {_kept(row):<11}  {row['note']}".rstrip())
    return "\n".join(lines)
