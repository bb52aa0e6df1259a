"""The figure of a run's latencies, from their distributions alone."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from simulators.quantities.latencies import HOUR_S, LatencyRecord
from simulators.report import series
from simulators.report.canvas import FAR, TARGET, WIDTH_IN, distribution, heading, legend_right, time_axis
from simulators.report.labels import COLOURS, LATENCIES, RunMeta, seconds


def latency(latencies: LatencyRecord, frame: pd.DataFrame, meta: RunMeta) -> Figure:
    """How long requests took: distributions above, percentiles over time below."""
    start = frame["time"].iloc[0].tz_convert(meta.zone)
    figure = Figure(figsize=(WIDTH_IN, 9.4))
    heading(figure, "Latency", meta, f"{latencies.sketch('e2e_s').weight:,.0f} finished requests")
    grid = figure.add_gridspec(4, 3, height_ratios=[1.35, 1, 1, 1])
    for place, (name, title) in enumerate(LATENCIES.items()):
        target = meta.targets.get(name)
        distribution(figure.add_subplot(grid[0, place]), latencies.sketch(name), title, place == 0, target)
    for row, name in enumerate(LATENCIES, start=1):
        axes = figure.add_subplot(grid[row, :])
        _over_time(axes, latencies, name, start, meta)
        if row < len(LATENCIES):
            axes.tick_params(labelbottom=False)
            axes.set_xlabel("")
    return figure


def _over_time(axes: Any, latencies: LatencyRecord, name: str, start: pd.Timestamp, meta: RunMeta) -> None:
    """Percentiles of a latency by time of arrival, and its target."""
    over_time = series.closed(series.over_time(latencies, name, start), int(latencies.period_s))
    for level, colour, weight in (
        ("p99", COLOURS["carbon"], 1.2),
        ("p95", COLOURS["pv"], 1.4),
        ("p50", COLOURS["blue"], 1.8),
    ):
        axes.step(
            over_time.index, over_time[level], where="post", color=colour, linewidth=weight, label=level
        )
    target = meta.targets.get(name)
    if target is not None and target <= FAR * float(over_time["p99"].max()):
        axes.axhline(target, label=f"target {seconds(target)}", **TARGET)
    elif target is not None:
        axes.plot([], [], label=f"target {seconds(target)},\nfar above", **TARGET)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("Seconds")
    each = "hour" if latencies.period_s == HOUR_S else "day"
    axes.set_title(f"{LATENCIES[name]}, by {each} of arrival")
    legend_right(axes)
    time_axis(axes, over_time.index, meta)
