"""How the figures look: type, axes, legends, and the few shapes several of them use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib.dates as mdates
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import LogLocator
from numpy.typing import NDArray

from simulators.quantities.sketch import PERCENTILES, Sketch
from simulators.report import series
from simulators.report.labels import COLOURS, RunMeta, seconds

WIDTH_IN = 10.0
MOST_POINTS = 700  # about one per two pixels of a plot's width


def style() -> dict[str, Any]:
    """Settings for `matplotlib.rc_context`."""
    return {
        "font.family": "sans-serif",
        "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib: the same picture on every machine
        "font.size": 10,
        "axes.edgecolor": "#A9B0B8",
        "axes.labelcolor": COLOURS["muted"],
        "axes.labelsize": 9.5,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "axes.grid": True,
        "axes.grid.axis": "y",
        "axes.titlesize": 10.5,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.titlecolor": COLOURS["ink"],
        "axes.titlepad": 8,
        "grid.color": COLOURS["rule"],
        "grid.linewidth": 0.8,
        "xtick.color": "#A9B0B8",
        "ytick.color": "#A9B0B8",
        "xtick.labelcolor": COLOURS["ink"],
        "ytick.labelcolor": COLOURS["ink"],
        "xtick.labelsize": 9,
        "ytick.labelsize": 9,
        "legend.frameon": False,
        "legend.fontsize": 9.5,
        "lines.linewidth": 1.4,
        "lines.solid_joinstyle": "round",
        "text.color": COLOURS["ink"],
        "savefig.dpi": 150,
    }


def thinned(frame: pd.DataFrame, meta: RunMeta) -> tuple[pd.DataFrame, str]:
    """Means over an interval that suits the width of a figure, and what to call them."""
    width_s = series.bin_s(len(frame), meta.step_s, MOST_POINTS)
    return series.closed(series.means(frame, width_s), width_s), f"{interval(width_s)} means"


def heading(figure: Figure, title: str, meta: RunMeta, detail: str) -> None:
    """Title, and below it in grey what was run and what one point stands for."""
    height_in = figure.get_figheight()
    room = (0.005, 0.01, 0.985, 1.0 - 0.70 / height_in)
    figure.set_layout_engine(ConstrainedLayoutEngine(rect=room, hspace=0.06))
    figure.text(0.012, 1 - 0.14 / height_in, title, fontsize=14, fontweight="bold", va="top")
    below = " · ".join(part for part in (meta.title, detail) if part)
    figure.text(0.012, 1 - 0.40 / height_in, below, fontsize=9.5, color=COLOURS["muted"], va="top")


def canvas(
    height_in: float, ratios: list[float], title: str, meta: RunMeta, detail: str
) -> tuple[Figure, NDArray[Any]]:
    """A titled figure with one column of axes that share their time axis."""
    figure = Figure(figsize=(WIDTH_IN, height_in))
    heading(figure, title, meta, detail)
    axes = figure.subplots(len(ratios), 1, sharex=True, squeeze=False, height_ratios=ratios)
    return figure, axes[:, 0]


FAR = 8.0
"""A target more than so many times above the highest value is told, not drawn: the rest would lie flat."""
TARGET: dict[str, Any] = {"color": COLOURS["muted"], "linewidth": 1.0, "linestyle": (0, (4, 3))}
"""Look of a line that must not be passed."""


def interval(width_s: int) -> str:
    """An interval as an adjective, e.g. ``15-min``."""
    named = {3600: "hourly", 86_400: "daily"}
    if width_s in named:
        return named[width_s]
    if width_s % 3600 == 0:
        return f"{width_s // 3600}-h"
    return f"{width_s // 60}-min" if width_s % 60 == 0 else f"{width_s}-s"


def stack(
    axes: Any,
    frame: pd.DataFrame,
    names: Mapping[str, str],
    sign: float,
    colours: Mapping[str, str] = COLOURS,
) -> None:
    """Areas piled up from zero, upwards or downwards; columns that are zero throughout are left out."""
    base = np.zeros(len(frame))
    for name, text in names.items():
        values = frame[name].fillna(0.0).to_numpy()
        if not np.any(values > 0.0):
            continue
        top = base + sign * values
        axes.fill_between(frame.index, base, top, step="post", color=colours[name], linewidth=0, label=text)
        base = top


def legend_right(axes: Any) -> None:
    """Legend beside the axes, so that it never covers data."""
    handles, texts = axes.get_legend_handles_labels()
    if handles:
        axes.legend(
            handles, texts, loc="upper left", bbox_to_anchor=(1.005, 1.02), borderaxespad=0, handlelength=1.1
        )


def time_axis(axes: Any, index: pd.Index[Any], meta: RunMeta) -> None:
    """Local dates and hours; midnight carries the date."""
    locator = mdates.AutoDateLocator(tz=meta.zone, minticks=4, maxticks=9)
    formatter = mdates.ConciseDateFormatter(
        locator,
        tz=meta.zone,
        formats=["%Y", "%b", "%a %d", "%H:%M", "%H:%M", "%H:%M:%S"],
        zero_formats=["", "%Y", "%a %d", "%a %d", "%H:%M", "%H:%M"],
        offset_formats=["", "%Y", "%B %Y", "%B %Y", "%d %B %Y", "%d %B %Y"],
    )
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(formatter)
    axes.set_xlim(index[0], index[-1])
    axes.set_xlabel(f"Local time ({meta.timezone})", loc="left")


def distribution(axes: Any, sketch: Sketch, title: str, first: bool, target: float | None = None) -> None:
    """Cumulative distribution on a logarithmic time axis, with the three usual percentiles marked, and a target."""
    axes.set_title(title)
    axes.set_ylim(0, 103)
    axes.set_yticks([0, 25, 50, 75, 100])
    if first:
        axes.set_ylabel("Requests (%)")
    else:
        axes.tick_params(labelleft=False)
    times, shares = cumulative(sketch)
    if not len(times):
        return
    axes.plot(times, shares, color=COLOURS["blue"], linewidth=1.8)
    axes.set_xscale("log")
    low, high = np.maximum(sketch.quantiles([0.001, 0.999]), times[0])
    left, right = low / 1.3, max(high * 1.3, low * 4, (target or 0.0) * 1.15)
    if target is not None:
        axes.axvline(target, **TARGET)
    axes.set_xlim(left, right)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if right < 25 * left else (1,)))
    axes.grid(axis="x")
    axes.xaxis.set_major_formatter(lambda value, _: seconds(value))
    axes.xaxis.set_minor_formatter(lambda value, _: "")
    marks = sketch.quantiles(list(PERCENTILES.values()))
    above = marks > 0.0
    axes.plot(marks[above], np.array([50, 95, 99])[above], "o", color=COLOURS["blue"], markersize=4)
    text = "\n".join(
        f"{name}  {seconds(mark)}" for name, mark in zip(PERCENTILES, marks.tolist(), strict=True)
    )
    told = axes.text(0.97, 0.06, text, transform=axes.transAxes, ha="right", va="bottom", linespacing=1.5)
    told.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 2})


def cumulative(sketch: Sketch) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points of a cumulative distribution for a logarithmic axis: values above 0, and shares in percent."""
    shares = np.concatenate((np.linspace(0, 95, 191), np.linspace(95, 100, 101)))
    values = sketch.quantiles(shares / 100.0)
    drawn = values > 0.0  # NaN is not
    return values[drawn], shares[drawn]
