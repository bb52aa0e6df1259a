"""Table, figures and report of the what-if scenario."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
import plotly.graph_objects as go
from matplotlib.figure import Figure

from simulators.report import page, tables
from simulators.report.canvas import WIDTH_IN, heading, style
from simulators.report.labels import COLOURS, RunMeta, number, seconds, share

META = RunMeta("The same requests under one changed option at a time", 60)
PARTS = {
    "decode_j_per_output_token": ("Decode", COLOURS["wind"]),
    "prefill_j_per_output_token": ("Prefill", COLOURS["pv"]),
    "idle_j_per_output_token": ("Idle", COLOURS["grid"]),
}
LESS, MORE = COLOURS["battery"], COLOURS["carbon"]


def _possible(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["j_per_output_token"].notna()]


def _relative(value: float | None, base: float | None) -> str:
    if value is None or not base or pd.isna(value):
        return "–"
    ratio = value / base
    if ratio >= 10:
        return f"× {ratio:,.0f}"
    return f"{ratio - 1.0:+.0%}" if abs(ratio - 1.0) >= 0.005 else "0%"


def energy_by_phase(table: pd.DataFrame) -> Figure:
    """GPU energy per output token of every variant, stacked by phase."""
    rows = _possible(table)[::-1]
    figure = Figure(figsize=(WIDTH_IN, 1.6 + 0.3 * len(rows)))
    heading(figure, "GPU energy per output token, by phase", META, "J per output token")
    axes = figure.subplots()
    left = pd.Series(0.0, index=rows.index)
    for name, (text, colour) in PARTS.items():
        axes.barh(rows["change"], rows[name], left=left, color=colour, label=text, height=0.7)
        left = left + rows[name]
    for label, total in zip(rows["change"], left, strict=True):
        axes.annotate(
            f"{total:.2f}",
            (total, label),
            (4, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
            bbox={"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none"},
        )
    axes.axvline(left[0], color=COLOURS["ink"], linewidth=0.8, linestyle=(0, (4, 3)))
    axes.grid(visible=True, axis="x")
    axes.grid(visible=False, axis="y")
    axes.set_xlim(0, left.max() * 1.08)
    axes.set_xlabel("J per output token")
    axes.legend(loc="upper left", bbox_to_anchor=(1.005, 1.0), borderaxespad=0, handlelength=1.1)
    return figure


def tornado(table: pd.DataFrame) -> Figure:
    """Change of energy per output token, the largest first."""
    rows = _possible(table).iloc[1:]
    rows = rows.reindex(rows["energy_change"].abs().sort_values().index)
    figure = Figure(figsize=(WIDTH_IN, 1.6 + 0.3 * len(rows)))
    heading(
        figure,
        "What one change does to energy per output token",
        META,
        "hatched: rejects requests or falls behind the load",
    )
    axes = figure.subplots()
    for label, change, note in zip(rows["change"], 100 * rows["energy_change"], rows["note"], strict=True):
        colour = LESS if change < 0 else MORE
        axes.barh(
            label,
            change,
            height=0.7,
            color="none" if note else colour,
            edgecolor=colour,
            hatch="////" if note else "",
        )
        axes.annotate(
            f"{change:+.1f} %", (change, label), (4 if change >= 0 else -4, 0), textcoords="offset points",
            va="center", ha="left" if change >= 0 else "right", fontsize=9,
        )  # fmt: skip
    axes.axvline(0.0, color=COLOURS["ink"], linewidth=0.8)
    axes.grid(visible=True, axis="x")
    axes.grid(visible=False, axis="y")
    axes.margins(x=0.14)
    axes.set_xlabel("Change of J per output token (%)")
    return figure


def write_figures(table: pd.DataFrame, folder: Path) -> None:
    """`energy_by_phase.png` and `tornado.png`."""
    folder.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(style()):
        for draw in (energy_by_phase, tornado):
            draw(table).savefig(folder / f"{draw.__name__}.png")


def _layout(rows: int, title: str) -> dict[str, Any]:
    return {
        "height": 110 + 26 * rows, "template": "none", "hovermode": "closest", "barmode": "stack",
        "margin": {"l": 180, "r": 60, "t": 34, "b": 48},
        "font": {"family": "system-ui, -apple-system, Segoe UI, Roboto, sans-serif", "size": 12},
        "paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)",
        "legend": {"orientation": "h", "x": 0, "y": 1.0, "yanchor": "bottom", "traceorder": "normal"},
        "xaxis": {"title": {"text": title, "font": {"color": COLOURS["grid"]}}},
        "yaxis": {"ticksuffix": "  "},
    }  # fmt: skip


def _charts(table: pd.DataFrame) -> dict[str, go.Figure]:
    rows = _possible(table)[::-1]
    phases = go.Figure(layout=_layout(len(rows), "J per output token"))
    for name, (text, colour) in PARTS.items():
        phases.add_bar(
            y=rows["change"], x=rows[name], name=text, orientation="h", marker={"color": colour},
            hovertemplate=f"%{{y}}: %{{x:.3f}} J, {text.lower()}<extra></extra>",
        )  # fmt: skip
    return {"phases": phases, "trade": _trade(rows)}


def _trade(rows: pd.DataFrame) -> go.Figure:
    """Energy over speed of the variants that carry the same load; names where the energy differs from the base's."""
    equal = rows[rows["note"] == ""].sort_values(["tpot_p50_s", "change"])
    far = (equal["energy_change"].abs() > 0.02) | (equal["change"] == "base")
    figure = go.Figure(layout=_layout(12, "Time per output token, p50 (ms)"))
    figure.update_layout(
        margin={"l": 64}, showlegend=False,
        yaxis={"title": {"text": "J per output token", "font": {"color": COLOURS["grid"]}}, "ticksuffix": ""},
    )  # fmt: skip
    figure.add_scatter(
        x=1e3 * equal["tpot_p50_s"], y=equal["j_per_output_token"], text=equal["change"].where(far, ""),
        customdata=equal["change"], mode="markers+text", cliponaxis=False,
        # neighbours are named above and below, so that names do not cover each other
        textposition=["top center" if place % 2 else "bottom center" for place in far.cumsum()],
        marker={
            "size": 10,
            "color": [COLOURS["load"] if change == "base" else COLOURS["blue"] for change in equal["change"]],
        },
        hovertemplate="%{customdata}: %{y:.3f} J, %{x:.1f} ms<extra></extra>",
    )  # fmt: skip
    return figure


def _what_if(table: pd.DataFrame) -> str:
    base = table.iloc[0]
    header = (
        "Change", "J / output token", "", "J / input token", "gCO₂eq / 1,000", "TTFT p50", "TTFT p95",
        "TPOT p50", "Tokens/s",
    )  # fmt: skip
    rows = []
    for row in table.to_dict("records"):
        if pd.isna(row["j_per_output_token"]):
            rows.append([f"{row['change']} *", *["–"] * 8])
            continue
        rows.append(
            [
                f"{row['change']} *" if row["note"] else row["change"],
                number(row["j_per_output_token"]),
                ""
                if row["change"] == "base"
                else _relative(row["j_per_output_token"], base["j_per_output_token"]),
                number(row["prefill_j_per_input_token"]),
                number(row["g_per_1k_tokens"]),
                *(seconds(row[name]) for name in ("ttft_p50_s", "ttft_p95_s", "tpot_p50_s")),
                number(float(f"{row['tokens_per_s']:.4g}")),
            ]
        )
    return page.table(header, rows, ("", *["number"] * 8), ["sum"])


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


def write_html(
    path: Path,
    table: pd.DataFrame,
    tenants: pd.DataFrame,
    summary: Mapping[str, Any],
    config: Mapping[str, Any],
) -> None:
    """The report: headline numbers, the table, its pictures, and the attribution of the base."""
    base, meter, options = summary["base"], summary["meter_j"], config["options"]
    serving = options["serving"]
    best = min(
        (row for row in _possible(table).to_dict("records") if not row["note"]),
        key=lambda row: float(row["j_per_output_token"]),
    )
    parts = ", ".join(
        f"{name} {share(meter[f'{name}_j'] / meter['meter_j'])}" for name in ("prefill", "decode", "idle")
    )
    parts += f"; {number(base['prefill_j_per_input_token'], 'J')} of prefill per input token"
    cards = [
        page.card("GPU energy per output token", number(base["j_per_output_token"], "J"), parts),
        page.card(
            "Carbon per 1,000 output tokens",
            number(base["g_per_1k_tokens"], "g"),
            f"CO₂eq at {number(summary['carbon_intensity_g_per_kwh'], 'g/kWh')}, servers and PUE {options['pue']} "
            f"included; embodied {number(base['embodied_g_per_1k_tokens'], 'g')} more",
        ),
        page.card(
            "Time to first token, p95", seconds(base["ttft_p95_s"]), f"p50 {seconds(base['ttft_p50_s'])}"
        ),
        page.card(
            "Least energy at the same load",
            number(best["j_per_output_token"], "J"),
            f"per output token with {best['change']}: {best['energy_change']:+.0%}",
        ),
    ]
    sections = [
        f'<div class="cards">{"".join(cards)}</div>',
        page.section(
            "What if",
            page.text(
                "Every row serves the same requests; one option differs from the base. Energy is that of the GPUs, "
                "idle time included, J per input token that of prefill; carbon is that of the facility at the meter, "
                "per 1,000 output tokens. *: see the notes at the end.",
                "note",
            ),
            _what_if(table),
        ),
        page.section("Where the energy goes", page.plot("phases")),
        page.section(
            "Energy against speed",
            page.text(
                "The variants that carry the same load; those within 2 % of the base's energy have no name.",
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
        tables.notes(
            [
                *(f"{row['change']}: {row['note']}." for row in table.to_dict("records") if row["note"]),
                "A variant that falls behind serves its queue after the last arrival: its latencies are those of that "
                "queue.",
                "Requests arrive as given, so a faster variant idles or runs smaller batches: its energy per token is "
                "that of this load, not of its capacity.",
                "Carbon counts each GPU's share of a server of eight.",
            ]
        ),
        tables.inputs(config["inputs"]),
        tables.details("Resolved options", tables.flat(options)),
        tables.details("Versions", tables.flat(config["versions"])),
    ]
    lead = (
        f"{serving['model'].split('/')[-1]} on {base['gpus']} {serving['gpu']}, {len(table) - 1} variants, "
        f"requests of {number(options['minutes'], 'min')}"
    )
    path.write_text(page.page("What if", lead, sections, _charts(table)), encoding="utf-8")


def terminal_table(table: pd.DataFrame) -> str:
    """The table for the terminal; changes against the base in per cent."""
    base = table.iloc[0]
    header = (
        "change",
        "J/out token",
        "J/in token",
        "gCO2/1k",
        "TTFT p50",
        "TTFT p95",
        "TPOT p50",
        "tokens/s",
    )
    names = (
        "j_per_output_token", "prefill_j_per_input_token", "g_per_1k_tokens", "ttft_p50_s", "ttft_p95_s", "tpot_p50_s",
        "tokens_per_s",
    )  # fmt: skip
    width = max(len(text) for text in table["change"])
    lines = [f"{header[0]:<{width}}" + "".join(f"  {text:>17}" for text in header[1:])]
    for row in table.to_dict("records"):
        line = f"{row['change']:<{width}}"
        if pd.isna(row["j_per_output_token"]):
            lines.append(f"{line}  {row['note']}")
            continue
        for name in names:
            change = "" if row["change"] == "base" else f" ({_relative(row[name], base[name])})"
            text = f"{row[name]:.3g}{change}" if row[name] is not None and not pd.isna(row[name]) else "-"
            line += f"  {text:>17}"
        lines.append(f"{line}  {row['note']}".rstrip())
    return "\n".join(lines)
