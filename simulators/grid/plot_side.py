"""The right-hand column of the network's page: scales, symbols, numbers, what was beyond its limit."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from functools import cache

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.textpath import TextPath
from numpy.typing import NDArray

from simulators.grid.network import Network
from simulators.grid.record import RunRecord, network_summary, worst_breaches

Array = NDArray[np.float64]

INK, MUTED, PALE, ALARM, SITE = "#22272E", "#68717D", "#C9CED5", "#C1121F", "#0B6E4F"
MOST_LOADED = 150.0
"""End of the scale of loadings, %: half as much again as the limit of most elements."""

LOADING = LinearSegmentedColormap.from_list(
    "loading",
    [
        (0.0, "#C8CDD3"),
        (1.0 / 3.0, "#F2C14E"),
        (100.0 / MOST_LOADED, "#E4572E"),
        (100.0 / MOST_LOADED + 1e-6, "#8C0B3A"),
        (1.0, "#2B0318"),
    ],
)
"""Breaks at 100 %."""

VOLTAGE = LinearSegmentedColormap.from_list(
    "voltage", ["#0B2545", "#3E7CB1", "#F1F1EE", "#C2558F", "#5B0F3F"]
)
"""Blue below 1 p.u., magenta above."""

_LISTED = 8
_WIDTH = 0.265
"""Of the text, as a part of the page's width."""


def loading_norm() -> Normalize:
    return Normalize(0.0, MOST_LOADED, clip=True)


def furthest_vm(record: RunRecord) -> Array:
    """Of each bus the voltage over the run that was furthest from 1 p.u."""
    return np.where(np.abs(record.vm_max - 1.0) > np.abs(record.vm_min - 1.0), record.vm_max, record.vm_min)


def voltage_norm(record: RunRecord) -> Normalize:
    """As far to both sides of 1 p.u. as voltages went, in whole per cents, 5 % at least."""
    furthest = np.abs(furthest_vm(record) - 1.0)
    half = (
        0.05 if np.isnan(furthest).all() else max(0.05, math.ceil(100.0 * float(np.nanmax(furthest))) / 100.0)
    )
    return Normalize(1.0 - half, 1.0 + half)


def side(figure: Figure, network: Network, record: RunRecord) -> None:
    """Right-hand column: colour scales, symbols, and the run's numbers and violations."""
    _scale(figure, 0.80, "Highest loading of lines and transformers, %", LOADING, loading_norm(), "max")
    _scale(figure, 0.69, "Voltage of buses, furthest from 1, p.u.", VOLTAGE, voltage_norm(record), "neither")
    symbols = [
        Line2D([], [], marker="*", linestyle="none", markersize=13, color=SITE, label="site"),
        Line2D([], [], marker="s", linestyle="none", markersize=8, color=INK, label="external grid"),
        Line2D(
            [],
            [],
            marker="o",
            linestyle="none",
            markersize=9,
            mfc="none",
            mec=INK,
            mew=1.5,
            label="transformer",
        ),
        Line2D([], [], color=PALE, linestyle="dotted", linewidth=1.4, label="open or unused line"),
        Patch(color=ALARM, alpha=0.3, label="beyond its limit"),
    ]
    figure.legend(
        handles=symbols, loc="upper left", bbox_to_anchor=(0.70, 0.635), frameon=False, ncols=2, fontsize=8.5
    )
    below = _text(figure, 0.505, _numbers(network, record), 9.0)
    worst = worst_breaches(record)
    heading = "No limit exceeded" if not worst else f"Limits exceeded: {len(worst)}"
    top = min(below - 0.02, 0.305)
    figure.text(0.71, top, heading, va="top", weight="bold", color=ALARM if worst else SITE)
    lines = [
        f"{network.violation_name(breach.worst)}: {breach.worst.describe()}, {breach.hours:.3g} h"
        for breach in worst[:_LISTED]
    ]
    more = len(worst) - len(lines)
    _text(figure, top - 0.035, [*lines, *([f"and {more} more"] if more > 0 else [])], 8.0)


def _text(figure: Figure, top: float, paragraphs: Sequence[str], size: float) -> float:
    """Paragraphs below each other, broken where the column ends and cut where the page does; returns where they end."""
    width, height = figure.get_size_inches() * 72.0
    lines = [line for words in paragraphs for line in broken(words, _WIDTH * width, size)]
    step = 1.6 * size / height
    room = int((top - 0.01) / step)
    if room < 1:
        return top
    if len(lines) > room:
        lines = [*lines[: room - 1], "..."]
    figure.text(0.71, top, "\n".join(lines), va="top", fontsize=size, linespacing=1.6 / 1.2, color=INK)
    return float(top - len(lines) * step)


def broken(text: str, width_points: float, size: float) -> list[str]:
    """A text in lines that are not wider than a column: between words, and within one that alone is.

    Examples
    --------
    >>> broken("Trafo 1-2: overload 104.2 % (limit 100)", 120.0, 9.0)
    ['Trafo 1-2: overload 104.2', '  % (limit 100)']
    """
    lines, rest = [""], deque(text.split(" "))
    while rest:
        word = rest.popleft()
        with_it = f"{lines[-1]} {word}" if lines[-1].strip() else lines[-1] + word
        if _points(with_it, size) <= width_points:
            lines[-1] = with_it
        elif lines[-1].strip():
            lines.append("  ")
            rest.appendleft(word)
        else:
            parts = range(len(word) - 1, 1, -1)
            fits = next((n for n in parts if _points(lines[-1] + word[:n], size) <= width_points), 1)
            lines[-1] += word[:fits]
            lines.append("  ")
            rest.appendleft(word[fits:])
    return lines


def _points(text: str, size: float) -> float:
    """Width of a text, points."""
    return size * sum(map(_letter_width, text))


@cache
def _letter_width(letter: str) -> float:
    """Of a letter of size 1, with the room that it takes between others."""
    framed, frame = (
        TextPath((0.0, 0.0), words.replace("$", "S"), size=100.0).get_extents().width
        for words in (f"|{letter}|", "||")
    )
    return float(framed - frame) / 100.0


def _shorten(name: str, most: int = 40) -> str:
    """A name cut to `most` characters."""
    return name if len(name) <= most else f"{name[: most - 1]}…"


def _scale(
    figure: Figure, bottom: float, label: str, colours: Colormap, norm: Normalize, extend: str
) -> None:
    axes = figure.add_axes((0.71, bottom, 0.26, 0.018))
    bar = figure.colorbar(ScalarMappable(norm, colours), cax=axes, orientation="horizontal", extend=extend)
    bar.outline.set_visible(False)
    axes.set_title(label, fontsize=9, loc="left", color=INK)
    if norm.vmax == MOST_LOADED:
        axes.axvline(100.0, color=INK, lw=1.2)
        axes.set_xticks([0.0, 50.0, 100.0, MOST_LOADED])
    axes.tick_params(labelsize=8, color=MUTED, labelcolor=INK)


def _numbers(network: Network, record: RunRecord) -> list[str]:
    """Extremes and sums, one a line."""
    summary = network_summary(record)
    rows = []
    for label, key, unit in (
        ("Lowest voltage of the network", "vm_pu_min", "p.u."),
        ("Highest voltage of the network", "vm_pu_max", "p.u."),
        ("Line", "line_loading_percent_max", "%"),
        ("Transformer", "trafo_loading_percent_max", "%"),
    ):
        if (extreme := summary[key]) is not None:
            digits = 1 if unit == "%" else 4
            rows.append(f"{label}: {extreme['value']:.{digits}f} {unit} ({_shorten(extreme['element'])})")
    rows[2:2] = [
        f"Lowest at {_shorten(site['name'])}: {site['vm_pu_min']:.4f} p.u. ({_shorten(site['bus_name'])})"
        for site in summary["sites"][:2]
        if site["vm_pu_min"] is not None
    ]
    rows.append(f"Losses: {summary['losses_mwh']:.4g} MWh of {summary['external_grid_mwh']:.4g} MWh drawn")
    rows.append(f"In violation: {summary['violation_hours']:.4g} of {summary['hours']:.4g} h")
    return rows
