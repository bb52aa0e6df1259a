"""The figure of a run's latencies, from their distributions alone."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from simulators.quantities.latencies import HOUR_S, LatencyRecord
from simulators.report import series
from simulators.report.canvas import WIDTH_IN, distribution, heading, legend_right, time_axis
from simulators.report.labels import COLOURS, LATENCIES, RunMeta


def latency(latencies: LatencyRecord, frame: pd.DataFrame, meta: RunMeta) -> Figure:
    """How long requests took: distributions above, percentiles over time below."""
    start = frame["time"].iloc[0].tz_convert(meta.zone)
    figure = Figure(figsize=(WIDTH_IN, 6.4))
    heading(figure, "Latency", meta, f"{latencies.sketch('e2e_s').weight:,.0f} finished requests")
    grid = figure.add_gridspec(2, 3, height_ratios=[1, 1.05])
    for place, (name, title) in enumerate(LATENCIES.items()):
        distribution(figure.add_subplot(grid[0, place]), latencies.sketch(name), title, place == 0)
    axes = figure.add_subplot(grid[1, :])
    over_time = series.closed(series.over_time(latencies, "e2e_s", start), int(latencies.period_s))
    for name, colour, weight in (
        ("p99", COLOURS["carbon"], 1.2),
        ("p95", COLOURS["pv"], 1.4),
        ("p50", COLOURS["blue"], 1.8),
    ):
        axes.step(over_time.index, over_time[name], where="post", color=colour, linewidth=weight, label=name)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("Seconds")
    each = "hour" if latencies.period_s == HOUR_S else "day"
    axes.set_title(f"{LATENCIES['e2e_s']}, by {each} of arrival")
    legend_right(axes)
    time_axis(axes, over_time.index, meta)
    return figure
