"""Outages on one page: load without supply, loading and voltage of what is left."""

from __future__ import annotations

from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from simulators.grid.plot_side import ALARM, INK, MUTED
from simulators.grid.studies.year_figure import STYLE

_NAMED = 15


def outages_figure(table: pd.DataFrame, network: str) -> Figure:
    """The page, from one row per outage, the worst first; save it with ``savefig``."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(11.0, 8.0), facecolor="white")
        grid = figure.add_gridspec(2, 2, hspace=0.3, wspace=0.3, left=0.14, right=0.97, top=0.89, bottom=0.08)
        _worst(figure.add_subplot(grid[:, 0]), table)
        _ranked(
            figure.add_subplot(grid[0, 1]), table.loading_max_percent, "Highest loading, %, by outage", 100.0
        )
        _ranked(figure.add_subplot(grid[1, 1]), table.vm_min_pu, "Lowest voltage, p.u., by outage", None)
        figure.text(
            0.14, 0.95, f"N-1 of {network}: {len(table)} outages", fontsize=14, weight="bold", color=INK
        )
        words = f"{int((table.unsupplied_buses > 0).sum())} leave buses without supply"
        figure.text(0.14, 0.925, words, fontsize=9, color=MUTED)
    return figure


def _worst(axes: Any, table: pd.DataFrame) -> None:
    """Load without supply after the worst outages, and what stays so when the best open point is closed."""
    worst = table.head(_NAMED)
    at = np.arange(len(worst))
    axes.barh(at, worst.unsupplied_mw, color="#F2B8B5", height=0.7, label="without supply")
    axes.barh(at, worst.still_unsupplied_mw, color=ALARM, height=0.7, label="... an open point closed")
    axes.set_yticks(at, [f"{row.element} {row.index}" for row in worst.itertuples()], fontsize=8)
    axes.invert_yaxis()
    axes.set_title("Load without supply, MW, the worst outages", loc="left", fontsize=9.5)
    axes.legend(frameon=False, fontsize=8, loc="lower right")


def _ranked(axes: Any, values: pd.Series[float], title: str, limit: float | None) -> None:
    axes.plot(np.sort(values.to_numpy())[::-1], color=INK, lw=1.4, drawstyle="steps-mid")
    if limit is not None:
        axes.axhline(limit, color=ALARM, lw=0.9, ls="--")
    axes.set_title(title, loc="left", fontsize=9.5)
    axes.set_xlabel("outages, ranked", fontsize=8)
    axes.margins(x=0)
