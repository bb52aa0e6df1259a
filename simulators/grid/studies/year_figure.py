"""A year of a network on one page: voltage band, duration curves, loading by day and hour, what was exceeded."""

from __future__ import annotations

from textwrap import fill
from typing import Any

import matplotlib
import matplotlib.dates
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from simulators.grid.plot_side import ALARM, INK, LOADING, MOST_LOADED, MUTED, broken
from simulators.grid.studies.year import Year

STYLE = {"font.family": "sans-serif", "font.sans-serif": ["DejaVu Sans"], "font.size": 9}
_LISTED = 12


def year_figure(year: Year) -> Figure:
    """The page; save it with ``savefig``, no pyplot state is touched."""
    frame = year.frame()
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(11.0, 10.5), facecolor="white")
        grid = figure.add_gridspec(
            3,
            3,
            height_ratios=(1.0, 0.8, 1.0),
            hspace=0.42,
            wspace=0.32,
            left=0.07,
            right=0.97,
            top=0.9,
            bottom=0.06,
        )
        _band(figure.add_subplot(grid[0, :]), year, frame)
        curves = (
            ("slack_mw", "From the external grid, MW"),
            ("line_loading_max_percent", "Highest loading of a line, %"),
            ("vm_min_pu", "Lowest and highest voltage, p.u."),
        )
        for at, (column, title) in enumerate(curves):
            _duration(figure.add_subplot(grid[1, at]), year, frame, column, title)
        _heat(figure, figure.add_subplot(grid[2, :2]), frame)
        _events(figure.add_subplot(grid[2, 2]), year)
        figure.text(
            0.07, 0.962, f"{year.network.name}: {len(frame)} steps", fontsize=14, weight="bold", color=INK
        )
        figure.text(0.07, 0.955, fill(year.headline(), 135), fontsize=8.5, color=MUTED, va="top")
    return figure


def _band(axes: Any, year: Year, frame: pd.DataFrame) -> None:
    """Voltages of all buses by day: extremes, the middle nine tenths, the median, and the limits."""
    daily = frame.set_index("time")
    rule = "1D" if len(daily) * year.steps.step_s > 14 * 86_400 else f"{max(year.steps.step_s, 900)}s"
    low, high = daily.vm_min_pu.resample(rule).min(), daily.vm_max_pu.resample(rule).max()
    p05, p95 = daily.vm_p05_pu.resample(rule).min(), daily.vm_p95_pu.resample(rule).max()
    axes.fill_between(low.index, low, high, color="#DCEBF7", lw=0, label="all buses")
    axes.fill_between(p05.index, p05, p95, color="#3E7CB1", lw=0, alpha=0.55, label="5 % to 95 % of buses")
    median = daily.vm_median_pu.resample(rule).mean()
    axes.plot(median.index, median, color="#0B2545", lw=1.0, label="median")
    limits = year.network.limits
    for value in {float(limits.vm_min_pu.max()), float(limits.vm_max_pu.min())}:
        axes.axhline(value, color=ALARM, lw=0.9, ls="--")
    axes.set_title("Voltages by day, p.u. (dashed: the narrowest limits of a bus)", loc="left", fontsize=9.5)
    axes.legend(loc="upper right", fontsize=8, frameon=False, ncols=3)
    locator = matplotlib.dates.AutoDateLocator()
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(matplotlib.dates.ConciseDateFormatter(locator))
    axes.margins(x=0)


def _duration(axes: Any, year: Year, frame: pd.DataFrame, column: str, title: str) -> None:
    hours = (np.arange(len(frame)) + 0.5) * year.steps.step_s / 3600.0
    for name in (column, "vm_max_pu") if column == "vm_min_pu" else (column,):
        values = np.sort(frame[name].to_numpy())[::-1]
        axes.plot(hours, values, color=INK if name == column else "#3E7CB1", lw=1.3)
    if column.startswith("line") and len(year.network.lines):
        axes.axhline(float(year.network.limits.line_percent.min()), color=ALARM, lw=0.9, ls="--")
    axes.set_title(title, loc="left", fontsize=9.5)
    axes.set_xlabel("hours at or above", fontsize=8)
    axes.margins(x=0)


def _heat(figure: Figure, axes: Any, frame: pd.DataFrame) -> None:
    """Highest loading of any line or transformer, by day and hour."""
    loading = np.fmax(frame.line_loading_max_percent, frame.trafo_loading_max_percent)
    table = pd.DataFrame({"day": frame.time.dt.floor("D"), "hour": frame.time.dt.hour, "loading": loading})
    matrix = table.pivot_table(index="hour", columns="day", values="loading", aggfunc="max")
    extent = (0.0, float(matrix.shape[1]), 0.0, 24.0)
    image = axes.imshow(
        matrix.to_numpy(),
        aspect="auto",
        origin="lower",
        cmap=LOADING,
        vmin=0.0,
        vmax=MOST_LOADED,
        extent=extent,
    )
    axes.set_title("Highest loading of a line or transformer, % (UTC hour by day)", loc="left", fontsize=9.5)
    axes.set_xlabel("day of the run", fontsize=8)
    axes.set_ylabel("hour", fontsize=8)
    figure.colorbar(image, ax=axes, extend="max", pad=0.015, fraction=0.05)


def _events(axes: Any, year: Year) -> None:
    """Hours beyond each limit, the longest first."""
    axes.set_title("Hours beyond a limit", loc="left", fontsize=9.5)
    hours: dict[str, float] = {}
    for breach in year.record.breaches:
        name = f"{year.network.violation_name(breach.worst)}: {breach.worst.kind}"
        hours[name] = hours.get(name, 0.0) + breach.hours
    longest = sorted(hours.items(), key=lambda item: item[1], reverse=True)[:_LISTED]
    if not longest:
        axes.text(0.0, 0.9, "none", color=MUTED, transform=axes.transAxes)
        axes.set_axis_off()
        return
    names, values = zip(*longest, strict=True)
    axes.barh(range(len(names)), values, color=ALARM, height=0.6)
    axes.set_yticks([])
    width = axes.get_position().width * axes.figure.get_size_inches()[0] * 72.0
    for at, (name, value) in enumerate(longest):
        words = broken(f"{name}, {value:,.4g} h", width, 7.0)
        line = words[0] if len(words) == 1 else f"{words[0][:-1]}…"
        axes.text(0.0, at - 0.36, line, fontsize=7, color=INK, va="bottom")
    axes.set_ylim(len(names) - 0.3, -0.9)
