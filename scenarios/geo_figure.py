"""Several sites under several dispatchers as a figure: what is saved, how long users wait, who serves when."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import wrap
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from scenarios.result import Result
from simulators.report.canvas import WIDTH_IN, heading
from simulators.report.labels import COLOURS, RunMeta

SITE_COLOURS = ("pv", "blue", "battery", "export", "wind", "carbon", "charge")


def figure(rows: pd.DataFrame, results: Mapping[str, Result]) -> Figure:
    """Savings and waits above; below, over time, intensities and the replicas awake under the last dispatcher."""
    spec, result = list(results.items())[-1]
    made = Figure(figsize=(WIDTH_IN, 6.4 + 0.3 * len(rows)))
    sites = list(result.sites)
    detail = f"{result.study.run.days:g} days, the same requests; the first is the baseline"
    heading(
        made, "Which site serves whose requests", RunMeta(", ".join(sites), result.study.run.step), detail
    )
    grid = made.add_gridspec(3, 2, height_ratios=[0.5 + 0.3 * len(rows), 1.5, 1.5])
    backwards = rows[::-1].reset_index(drop=True)
    left = made.add_subplot(grid[0, 0])
    _bars(left, backwards)
    _waits(made.add_subplot(grid[0, 1], sharey=left), backwards)
    above = made.add_subplot(grid[1, :])
    _over_time(above, result, "carbon_intensity_g_per_kwh", "gCO2eq/kWh")
    above.set_title("Carbon intensity of each site's grid")
    below = made.add_subplot(grid[2, :], sharex=above)
    _over_time(below, result, "decode_tokens", "million output tokens", 1e-6)
    below.set_title(f"Who serves, under {spec}: output tokens per step")
    below.set_xlabel("time, UTC")
    return made


def _bars(axes: Any, rows: pd.DataFrame) -> None:
    at = np.arange(len(rows))
    axes.barh(at, rows["kg"], color=COLOURS["battery"], height=0.6)
    for y, (kg, saved) in enumerate(zip(rows["kg"], rows["saved"], strict=True)):
        axes.annotate(
            f"{-100 * saved:+.0f} %" if y < len(rows) - 1 else "baseline",
            (kg, y),
            (4, 0),
            textcoords="offset points",
            va="center",
        )
    axes.set_yticks(at, ["\n".join(wrap(name.replace(",", ", "), 26)) for name in rows["dispatch"]])
    axes.set_xlim(0.0, 1.2 * float(rows["kg"].max()))
    axes.set_xlabel("kgCO2eq, all sites")
    axes.grid(visible=True, axis="x")
    axes.grid(visible=False, axis="y")


def _waits(axes: Any, rows: pd.DataFrame) -> None:
    at = np.arange(len(rows))
    for name, marker, colour in (("p50", "o", "wind"), ("p99", "s", "carbon")):
        axes.plot(1e3 * rows[f"ttft_{name}_s"], at, marker, color=COLOURS[colour], label=f"TTFT {name}")
    axes.set_xlim(left=0.0)
    axes.tick_params(labelleft=False)
    axes.set_xlabel("ms to the user's first token, round trip included")
    axes.grid(visible=True, axis="x")
    axes.grid(visible=False, axis="y")
    axes.legend(loc="best")


def _over_time(axes: Any, result: Result, column: str, label: str, scale: float = 1.0) -> None:
    for colour, (name, rows) in zip(
        SITE_COLOURS * 9, result.timeseries.groupby("site", sort=False), strict=False
    ):
        axes.step(
            rows["time"],
            scale * rows[column],
            where="post",
            color=COLOURS[colour],
            label=str(name),
            linewidth=1.1,
        )
    axes.set_ylabel(label)
    axes.set_ylim(0.0, 1.25 * axes.get_ylim()[1])  # room for the legend
    axes.legend(loc="upper right", ncols=min(4, len(result.sites)))
