"""What buses can take, on one page: firm and flexible, over the year, and what limits at which hour."""

from __future__ import annotations

from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from simulators.grid.plot_side import INK, MUTED
from simulators.grid.studies.hosting_year import Hosting
from simulators.grid.studies.year_figure import STYLE

_SHADES = ("#0B2545", "#3E7CB1", "#F2C14E", "#E4572E", "#0B6E4F", "#8E6C8A", "#C9CED5")
"""For the limits named first; the last is for all others."""
MOST_NAMED = 24
"""So many buses have their number below their bar."""

_ROOM = LinearSegmentedColormap.from_list("room", ["#E4572E", "#F2C14E", "#C8CDD3"])
"""From no room for a load to much."""


def hosting_figure(found: Hosting) -> Figure:
    """The page; save it with ``savefig``, no pyplot state is touched."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(11.0, 8.5), facecolor="white")
        grid = figure.add_gridspec(
            2, 2, hspace=0.34, wspace=0.24, left=0.07, right=0.97, top=0.88, bottom=0.08
        )
        _ranked(figure.add_subplot(grid[0, 0]), found)
        _duration(figure.add_subplot(grid[0, 1]), found)
        _by_hour(figure.add_subplot(grid[1, 0]), found)
        _heat(figure, figure.add_subplot(grid[1, 1]), found)
        count = "1 bus" if len(found.buses) == 1 else f"{len(found.buses)} buses"
        figure.text(
            0.07,
            0.955,
            f"Hosting capacity: {count} of {found.network.name}",
            fontsize=14,
            weight="bold",
            color=INK,
        )
        words = (
            f"{found.steps.steps} steps of {found.steps.step_s} s from {found.steps.start:%Y-%m-%d %H:%M} UTC"
        )
        figure.text(0.07, 0.93, words, fontsize=9, color=MUTED)
    return figure


def _ranked(axes: Any, found: Hosting) -> None:
    """Firm and flexible load of every bus, the largest first."""
    ordered = sorted(found.buses, key=lambda each: -each.flexible_mw)
    at = np.arange(len(ordered))
    axes.bar(at, [each.flexible_mw for each in ordered], color="#DCEBF7", width=1.0, label="flexible")
    axes.bar(at, [each.firm_mw for each in ordered], color="#3E7CB1", width=1.0, label="firm")
    axes.set_title("Load that violates nothing, MW, by bus", loc="left", fontsize=9.5)
    axes.set_ylim(top=1.25 * max(ordered[0].flexible_mw, 1e-9))
    axes.legend(frameon=False, fontsize=8, ncols=2, loc="upper right")
    named = len(ordered) <= MOST_NAMED
    axes.set_xticks(at if named else [], [str(each.bus) for each in ordered] if named else None)
    axes.set_xlabel("bus" if named else f"{len(ordered)} buses, the largest first", fontsize=8)
    axes.margins(x=0 if len(ordered) > 1 else 1.0)


def _duration(axes: Any, found: Hosting) -> None:
    """Largest load over time: of the best, the middle and the worst bus."""
    ordered = sorted(found.buses, key=lambda each: each.flexible_mw)
    picked = (
        {len(ordered) - 1: "best", len(ordered) // 2: "middle", 0: "worst"} if len(ordered) > 1 else {0: ""}
    )
    hours = (np.arange(found.steps.steps) + 0.5) * found.steps.step_s / 3600.0
    for shade, (at, word) in zip(_SHADES, picked.items(), strict=False):
        each = ordered[at]
        name = f"{word} bus: {found.network.element_name('bus', each.bus)}".removeprefix(" bus: ")
        room = np.sort(np.nan_to_num(each.most_mw))[::-1]
        axes.plot(hours, room, color=shade, lw=1.4, label=name)
        axes.axhline(each.flexible_mw, color=shade, lw=0.7, ls="--")
    axes.set_title("Load possible, MW (dashed: flexible load)", loc="left", fontsize=9.5)
    axes.set_xlabel("hours at or above", fontsize=8)
    axes.set_ylim(bottom=0.0)
    axes.legend(frameon=False, fontsize=8)
    axes.margins(x=0)


def _by_hour(axes: Any, found: Hosting) -> None:
    """Share of time and buses that each limit is the first to break, by hour of the day."""
    series = found.series()
    hours = series.time.dt.hour
    counts = pd.crosstab(hours, series.limit)
    order = counts.sum().sort_values(ascending=False)
    names = [name for name in order.index[: len(_SHADES) - 1] if order[name] > 0]
    shares = counts.div(counts.sum(axis=1), axis=0)
    bottom = np.zeros(len(shares))
    parts = [(name or "nothing up to the end of the search", shares[name].to_numpy()) for name in names]
    rest = 1.0 - sum(part for _, part in parts)
    if float(np.max(rest)) > 1e-9:
        parts.append(("others", rest))
    for shade, (name, share) in zip(_SHADES, parts, strict=False):
        axes.bar(shares.index, share, bottom=bottom, color=shade, width=1.0, label=name)
        bottom += share
    axes.set_title("What breaks first, by hour of the day (UTC), share of time", loc="left", fontsize=9.5)
    axes.set_ylim(0.0, 1.0)
    axes.set_xlabel("hour", fontsize=8)
    axes.legend(fontsize=7, loc="lower left", framealpha=0.9)
    axes.margins(x=0)


def _heat(figure: Figure, axes: Any, found: Hosting) -> None:
    """Least load possible by month and hour, of the bus with the largest flexible load."""
    best = max(found.buses, key=lambda each: each.flexible_mw)
    time = pd.date_range(found.steps.start, periods=found.steps.steps, freq=f"{found.steps.step_s}s")
    table = pd.DataFrame(
        {"month": time.strftime("%Y-%m"), "hour": time.hour, "mw": np.nan_to_num(best.most_mw)}
    )
    matrix = table.pivot_table(index="hour", columns="month", values="mw", aggfunc="min")
    image = axes.imshow(matrix.to_numpy(), aspect="auto", origin="lower", cmap=_ROOM, vmin=0.0)
    axes.set_xticks(range(matrix.shape[1]), matrix.columns, rotation=45, fontsize=7)
    name = found.network.element_name("bus", best.bus)
    axes.set_title(f"Least load possible at {name}, MW, by month and hour (UTC)", loc="left", fontsize=9.5)
    figure.colorbar(image, ax=axes, pad=0.015, fraction=0.05)
