"""Figures of the what-if scenario: PNGs, and the charts of its report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
import plotly.graph_objects as go
from matplotlib.figure import Figure

from simulators.report.canvas import WIDTH_IN, heading, style
from simulators.report.labels import COLOURS, RunMeta

META = RunMeta("The same requests under one changed option at a time", 60)
PARTS = {
    "decode_j_per_output_token": ("Decode", COLOURS["wind"]),
    "prefill_j_per_output_token": ("Prefill", COLOURS["pv"]),
    "idle_j_per_output_token": ("Idle", COLOURS["grid"]),
}
LESS, MORE = COLOURS["battery"], COLOURS["carbon"]


def possible(table: pd.DataFrame) -> pd.DataFrame:
    """Variants that ran."""
    return table[table["j_per_output_token"].notna()]


def energy_by_phase(table: pd.DataFrame) -> Figure:
    """GPU energy per output token of every variant, stacked by phase."""
    rows = possible(table)[::-1]
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
    rows = possible(table).iloc[1:]
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


def charts(table: pd.DataFrame) -> dict[str, go.Figure]:
    """The report's: energy by phase, and energy against speed."""
    rows = possible(table)[::-1]
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
