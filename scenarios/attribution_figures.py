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

META = RunMeta("The same requests under one change after another", 60)
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
            f"{round(change, 1) + 0.0:+.1f} %", (change, label), (4 if change >= 0 else -4, 0),
            textcoords="offset points", va="center", ha="left" if change >= 0 else "right", fontsize=9,
        )  # fmt: skip
    axes.axvline(0.0, color=COLOURS["ink"], linewidth=0.8)
    axes.grid(visible=True, axis="x")
    axes.grid(visible=False, axis="y")
    axes.margins(x=0.14)
    axes.set_xlabel("Change of J per output token (%)")
    return figure


def energy_and_speed(table: pd.DataFrame, slo_tpot_s: float) -> Figure:
    """Energy over time per output token of the rows that carry the load, and the front of those that hold."""
    rows = equal_load(table)
    figure = Figure(figsize=(WIDTH_IN, 4.6))
    heading(figure, "Energy against speed", META, "full: keeps the targets; line: the front of those")
    axes = figure.subplots()
    for row in rows.to_dict("records"):
        place = (1e3 * row["tpot_p99_s"], row["j_per_output_token"])
        colour = COLOURS["ink"] if row["change"] == "base" else COLOURS["blue"]
        axes.plot(*place, "o", markersize=7, color=colour, markerfacecolor=colour if row["holds"] else "none")
    named = rows[rows["front"] | (rows["change"] == "base")]
    for number, row in enumerate(named.to_dict("records")):
        axes.annotate(
            row["change"], (1e3 * row["tpot_p99_s"], row["j_per_output_token"]), (0, -13 if number % 2 else 7),
            textcoords="offset points", ha="center", fontsize=8.5,
        )  # fmt: skip
    front = rows[rows["front"]]
    axes.plot(1e3 * front["tpot_p99_s"], front["j_per_output_token"], color=COLOURS["battery"], zorder=0)
    if len(rows) and 1e3 * slo_tpot_s < 1.5 * axes.get_xlim()[1]:
        axes.axvline(1e3 * slo_tpot_s, color=COLOURS["carbon"], linestyle=(0, (4, 3)), linewidth=1.0)
    axes.margins(0.12)
    axes.set_xlabel("Time per output token, p99 (ms)")
    axes.set_ylabel("J per output token")
    return figure


def equal_load(table: pd.DataFrame) -> pd.DataFrame:
    """The rows that carry the base's load, by their time per output token."""
    rows = possible(table)
    return rows[(rows["note"] == "") & rows["tpot_p99_s"].notna()].sort_values(["tpot_p99_s", "change"])


def write_figures(table: pd.DataFrame, folder: Path, slo_tpot_s: float) -> None:
    """`energy_by_phase.png`, `tornado.png` and `energy_and_speed.png`."""
    folder.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(style()):
        for draw in (energy_by_phase, tornado):
            draw(table).savefig(folder / f"{draw.__name__}.png")
        energy_and_speed(table, slo_tpot_s).savefig(folder / "energy_and_speed.png")


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


def charts(table: pd.DataFrame, slo_tpot_s: float) -> dict[str, go.Figure]:
    """The report's: energy by phase, and energy against speed."""
    rows = possible(table)[::-1]
    phases = go.Figure(layout=_layout(len(rows), "J per output token"))
    for name, (text, colour) in PARTS.items():
        phases.add_bar(
            y=rows["change"], x=rows[name], name=text, orientation="h", marker={"color": colour},
            hovertemplate=f"%{{y}}: %{{x:.3f}} J, {text.lower()}<extra></extra>",
        )  # fmt: skip
    return {"phases": phases, "trade": _trade(equal_load(table), slo_tpot_s)}


def _trade(rows: pd.DataFrame, slo_tpot_s: float) -> go.Figure:
    """Energy over speed; names where the energy differs from the base's, and a line through the front."""
    far = (rows["energy_change"].abs() > 0.02) | (rows["change"] == "base") | rows["front"]
    figure = go.Figure(layout=_layout(14, "Time per output token, p99 (ms)"))
    figure.update_layout(
        margin={"l": 64}, showlegend=False,
        yaxis={"title": {"text": "J per output token", "font": {"color": COLOURS["grid"]}}, "ticksuffix": ""},
    )  # fmt: skip
    line = rows[rows["front"]]
    figure.add_scatter(
        x=1e3 * line["tpot_p99_s"], y=line["j_per_output_token"], mode="lines", hoverinfo="skip",
        line={"color": COLOURS["battery"], "width": 2},
    )  # fmt: skip
    figure.add_scatter(
        x=1e3 * rows["tpot_p99_s"], y=rows["j_per_output_token"], text=rows["change"].where(far, ""),
        customdata=[
            (change, "keeps the targets" if holds else "breaks the targets")
            for change, holds in zip(rows["change"], rows["holds"], strict=True)
        ],
        mode="markers+text", cliponaxis=False,
        # neighbours are named above and below, so that names do not cover each other
        textposition=["top center" if place % 2 else "bottom center" for place in far.cumsum()],
        marker={
            "size": 10,
            "symbol": ["circle" if holds else "circle-open" for holds in rows["holds"]],
            "color": [COLOURS["load"] if change == "base" else COLOURS["blue"] for change in rows["change"]],
        },
        hovertemplate="%{customdata[0]}: %{y:.3f} J, %{x:.1f} ms, %{customdata[1]}<extra></extra>",
    )  # fmt: skip
    if len(rows) and slo_tpot_s < 1.5 * rows["tpot_p99_s"].max():
        figure.add_vline(1e3 * slo_tpot_s, line={"dash": "dash", "width": 1, "color": COLOURS["carbon"]})
    return figure
