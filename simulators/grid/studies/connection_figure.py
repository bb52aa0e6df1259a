"""A flexible connection on one page: import and line loading over time, duration curves, what it costs."""

from __future__ import annotations

from typing import Any

import matplotlib
import matplotlib.dates
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from simulators.grid.plot_side import ALARM, INK, MUTED
from simulators.grid.studies.year_figure import STYLE

BLUE = "#3E7CB1"
RUNS = (("without", ALARM, 1.0), ("with", BLUE, 1.4))


def connection_figure(series: pd.DataFrame, table: pd.DataFrame, firm_mw: float, title: str) -> Figure:
    """The page; save it with ``savefig``.

    Parameters
    ----------
    series
        One row per step: ``import_mw_without``, ``import_mw_with``, the same of ``line_loading_max_percent``; ``time``.
    table
        Rows of both runs: ``run``, ``output_tokens``, ``ttft_p50_s``, ``ttft_p99_s``, ``tpot_p99_s``.
    firm_mw, title
        The limit, and what is shown.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(11.0, 8.0), facecolor="white")
        grid = figure.add_gridspec(
            3,
            3,
            hspace=0.6,
            wspace=0.3,
            left=0.07,
            right=0.97,
            top=0.89,
            bottom=0.07,
            height_ratios=(1, 0.8, 0.9),
        )
        times = [figure.add_subplot(grid[row, :]) for row in (0, 1)]
        first = series if len(series) < 3000 else series.iloc[:3000]
        _over_time(times[0], first, "import_mw", "Import, MW (dashed: firm)", firm_mw)
        _over_time(times[1], first, "line_loading_max_percent", "Highest loading of a line, %", 100.0)
        _duration(figure.add_subplot(grid[2, 0]), series, firm_mw)
        _latency(figure.add_subplot(grid[2, 1:]), table)
        figure.text(0.07, 0.955, title, fontsize=14, weight="bold", color=INK)
        figure.text(
            0.07, 0.93, "red: without the policy, whatever the limit; blue: with it", fontsize=9, color=MUTED
        )
    return figure


def _over_time(axes: Any, series: pd.DataFrame, column: str, title: str, limit: float) -> None:
    for name, colour, width in RUNS:
        axes.step(series["time"], series[f"{column}_{name}"], where="post", color=colour, lw=width)
    axes.axhline(limit, color=INK, lw=0.9, ls="--")
    axes.set_title(title, loc="left", fontsize=9.5)
    locator = matplotlib.dates.AutoDateLocator()
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(matplotlib.dates.ConciseDateFormatter(locator))
    axes.set_xlabel("UTC", fontsize=8, loc="left")
    axes.margins(x=0)


def _duration(axes: Any, series: pd.DataFrame, firm_mw: float) -> None:
    share = 100.0 * (np.arange(len(series)) + 0.5) / len(series)
    for name, colour, width in RUNS:
        axes.plot(share, np.sort(series[f"import_mw_{name}"].to_numpy())[::-1], color=colour, lw=width)
    axes.axhline(firm_mw, color=INK, lw=0.9, ls="--")
    axes.set_title("Import, MW, by share of time", loc="left", fontsize=9.5)
    axes.set_xlabel("% of the time at or above", fontsize=8)
    axes.margins(x=0)


def _latency(axes: Any, table: pd.DataFrame) -> None:
    """Latencies with and without, the worst of all starts, ms."""
    rows = (("ttft_p50_s", "TTFT p50"), ("ttft_p99_s", "TTFT p99"), ("tpot_p99_s", "TPOT p99"))
    for at, (name, colour, _) in enumerate(RUNS):
        worst = [1e3 * table.loc[table["run"] == name, column].max() for column, _ in rows]
        heights = np.arange(len(rows)) + 0.38 * at
        axes.barh(heights, worst, height=0.34, color=colour)
        for height, value in zip(heights, worst, strict=True):
            axes.text(value, height, f" {value:,.0f}", va="center", fontsize=8, color=INK)
    axes.set_yticks(np.arange(len(rows)) + 0.19, [words for _, words in rows])
    axes.invert_yaxis()
    axes.set_title("Latency of interactive requests, ms (the worst start)", loc="left", fontsize=9.5)
