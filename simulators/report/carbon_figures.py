"""Figures of a run's carbon, and of how much of its load was covered by own supply."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from simulators.report import series
from simulators.report.canvas import WIDTH_IN, canvas, heading, thinned, time_axis
from simulators.report.labels import COLOURS, SHARE_SCALE, RunMeta, intensity_unit, label, mass_unit, share
from simulators.report.series import Kind

TITLES: dict[Kind, tuple[str, str]] = {
    "average": ("Operational carbon", "Emission rate"),
    "marginal": ("What the import causes at the margin", "Import times marginal intensity"),
}


def carbon(frame: pd.DataFrame, meta: RunMeta, kind: Kind = "average") -> Figure:
    """Intensity of the grid, import times intensity, and its sum with and without own generation.

    With the average intensity it is the operational carbon; with the marginal one it is what the import causes, and
    is called so.
    """
    flows = series.carbon_flows(series.indexed(frame, meta), meta.step_s, kind)
    totals = flows[["total", "total_without"]].iloc[-1]
    thin, detail = thinned(flows, meta)
    title, rate_title = TITLES[kind]
    figure, (top, middle, low) = canvas(7.2, [1, 1, 1.2], title, meta, detail)
    top.step(thin.index, thin["intensity"], where="post", color=COLOURS["blue"])
    top.set_ylim(bottom=0)
    top.set_ylabel(intensity_unit(series.INTENSITY[kind]))
    top.set_title(label(series.INTENSITY[kind]))
    factor, unit = mass_unit(float(thin["rate_without"].max()))
    middle.step(thin.index, thin["rate_without"] * factor, where="post", color=COLOURS["grid"], linewidth=1.1)
    middle.fill_between(
        thin.index, thin["rate"] * factor, step="post", color=COLOURS["carbon"], alpha=0.3, linewidth=0
    )
    middle.step(thin.index, thin["rate"] * factor, where="post", color=COLOURS["carbon"])
    middle.set_ylim(bottom=0)
    middle.set_ylabel(f"{unit} CO₂eq per hour")
    middle.set_title(rate_title)
    _sums(low, thin, totals)
    time_axis(low, thin.index, meta)
    return figure


def _sums(axes: Any, thin: pd.DataFrame, totals: pd.Series[float]) -> None:
    factor, unit = mass_unit(float(totals.max()))
    for name, colour, text in (
        ("total_without", COLOURS["grid"], "everything from the grid"),
        ("total", COLOURS["carbon"], "this run"),
    ):
        axes.plot(thin.index, thin[name] * factor, color=colour, label=text, linewidth=1.8)
        axes.annotate(
            f"{totals[name] * factor:,.3g} {unit}\n{text}",
            (thin.index[-1], thin[name].iloc[-1] * factor),
            (8, 0),
            textcoords="offset points",
            color=COLOURS["muted"] if name == "total_without" else colour,
            fontsize=9.5,
            va="center",
            annotation_clip=False,
        )
    axes.set_ylim(bottom=0)
    axes.set_ylabel(f"{unit} CO₂eq")
    axes.set_title("Sum since the start")


def renewable(frame: pd.DataFrame, meta: RunMeta) -> Figure:
    """Share of the load covered by own supply, hour by hour, with its mean by day and by hour."""
    local = series.indexed(frame, meta)
    matrix = series.coverage(local)
    figure = Figure(figsize=(WIDTH_IN, 5.2))
    heading(
        figure,
        "Load covered by own generation and battery",
        meta,
        f"{share(series.matched_ratio(local))} of the energy used (matched ratio)",
    )
    grid = figure.add_gridspec(1, 2, width_ratios=[5, 1])
    axes = figure.add_subplot(grid[0, 0])
    scale = LinearSegmentedColormap.from_list("share", SHARE_SCALE)
    image = _map(axes, matrix, scale)
    axes.set_ylabel(f"Hour of day ({meta.timezone})")
    side = figure.add_subplot(grid[0, 1], sharey=axes)
    by_hour = matrix.mean(axis=1) * 100
    side.barh(
        np.arange(24) + 0.5, by_hour.fillna(0.0), height=0.82, color=[scale(part / 100) for part in by_hour]
    )
    side.set_xlim(0, 100)
    side.set_xticks([0, 50, 100], ["0", "50", "100 %"])
    side.set_title("Mean by hour", fontsize=9.5, fontweight="normal")
    side.grid(axis="x")
    side.tick_params(axis="y", labelleft=False, length=0)
    bar = figure.colorbar(image, ax=axes, location="bottom", aspect=45, shrink=0.6, pad=0.02)
    bar.set_ticks([0, 25, 50, 75, 100], labels=["0 %", "25 %", "50 %", "75 %", "100 % of the hour's load"])
    bar.outline.set_visible(False)
    return figure


def _map(axes: Any, matrix: pd.DataFrame, scale: LinearSegmentedColormap) -> Any:
    """Hours by days."""
    days = len(matrix.columns)
    image = axes.imshow(
        matrix.to_numpy() * 100,
        aspect="auto",
        cmap=scale,
        vmin=0,
        vmax=100,
        interpolation="nearest",
        extent=(-0.5, days - 0.5, 24, 0),
    )
    axes.grid(False)
    if days <= 31:  # thin gaps tell the days apart; in a longer run they would hide them
        for edge in range(1, days):
            axes.axvline(edge - 0.5, color="white", linewidth=1.5)
    every = max(1, int(np.ceil(days / 10)))
    places = range(0, days, every)
    form = "%a %d %b" if days <= 14 else "%d %b"
    axes.set_xticks(list(places), [f"{matrix.columns[place]:{form}}" for place in places])
    axes.set_yticks(range(0, 25, 3), [f"{hour:02d}:00" for hour in range(0, 25, 3)])
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return image
