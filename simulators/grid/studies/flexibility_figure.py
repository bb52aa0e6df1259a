"""A certificate on one page: kilowatts by lever and product, and power through the long event."""

from __future__ import annotations

from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from simulators.grid.plot_side import ALARM, INK, MUTED, PALE
from simulators.grid.studies.year_figure import STYLE

BLUE = "#3E7CB1"


def flexibility_figure(table: pd.DataFrame, profile: pd.DataFrame, title: str) -> Figure:
    """The page; save it with ``savefig``.

    Parameters
    ----------
    table
        One row per lever and product: ``lever``, ``product``, ``kw``, ``percent``, ``passed``, ``refused``.
    profile
        Power of the long event: ``minute`` after the signal, ``without`` a lever and ``with`` the one of ``lever``, kW.
    title
        What the certificate is of.
    """
    products = list(dict.fromkeys(table["product"]))
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(11.0, 7.5), facecolor="white")
        grid = figure.add_gridspec(
            2, len(products), hspace=0.42, wspace=0.12, left=0.09, right=0.97, top=0.87, bottom=0.08
        )
        widest = max(1.0, float(table["percent"].max())) * 1.45
        for at, product in enumerate(products):
            axes = figure.add_subplot(grid[0, at])
            _levers(axes, table[table["product"] == product], product, widest, named=at == 0)
        _profile(figure.add_subplot(grid[1, :]), profile)
        figure.text(0.09, 0.955, title, fontsize=14, weight="bold", color=INK)
        words = "what is surely shed at kept latency targets, % of power (kW); blue: passes, grey: fails, red: refused"
        figure.text(0.09, 0.925, words, fontsize=9, color=MUTED)
    return figure


def _levers(axes: Any, rows: pd.DataFrame, product: str, widest: float, *, named: bool) -> None:
    heights = np.arange(len(rows))
    colours = [BLUE if passed else PALE for passed in rows["passed"]]
    axes.barh(heights, rows["percent"], color=colours, height=0.62)
    for height, row in zip(heights, rows.itertuples(), strict=True):
        text, colour = (" refused", ALARM) if row.refused else (f" {row.percent:.1f} ({row.kw:,.0f})", INK)
        axes.text(row.percent, height, text, va="center", fontsize=8, color=colour)
    axes.set_yticks(heights, rows["lever"] if named else [])
    axes.invert_yaxis()
    axes.set_xlim(0.0, widest)
    axes.set_title(f"{product}, held {rows['hold_s'].iloc[0]:,.0f} s", loc="left", fontsize=9.5)


def _profile(axes: Any, profile: pd.DataFrame) -> None:
    axes.plot(profile["minute"], profile["without"], color=ALARM, lw=1.0, label="without")
    axes.plot(profile["minute"], profile["with"], color=BLUE, lw=1.4, label=profile["lever"].iloc[0])
    axes.axvline(0.0, color=INK, lw=0.9, ls="--")
    axes.set_ylim(bottom=0.0)
    axes.margins(x=0)
    axes.set_title("Demand response: power at the plugs, kW", loc="left", fontsize=9.5)
    axes.set_xlabel("minutes after the signal", fontsize=8)
    axes.legend(frameon=False, fontsize=8, loc="lower right")
