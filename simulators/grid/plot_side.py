"""The right-hand column of the network's page: scales, symbols, numbers, what was beyond its limit."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from simulators.grid.network import Network
from simulators.grid.record import RunRecord, network_summary, worst_breaches

INK, MUTED, PALE, ALARM, SITE = "#22272E", "#68717D", "#C9CED5", "#C1121F", "#0B6E4F"
LOADING = LinearSegmentedColormap.from_list("loading", ["#C8CDD3", "#F2C14E", "#E4572E"])
VOLTAGE = LinearSegmentedColormap.from_list("voltage", ["#0B2545", "#3E7CB1", "#DCEBF7"])
_LISTED = 8


def loading_norm() -> Normalize:
    return Normalize(0.0, 100.0, clip=True)


def voltage_norm(record: RunRecord) -> Normalize:
    """From the lowest voltage drawn (0.95 p.u. at the highest) to the highest minimum, in whole per cents."""
    if np.isnan(record.vm_min).all():
        return Normalize(0.9, 1.0)
    low = min(0.95, math.floor(100.0 * float(np.nanmin(record.vm_min))) / 100.0)
    return Normalize(low, max(1.0, math.ceil(100.0 * float(np.nanmax(record.vm_min))) / 100.0))


def side(figure: Figure, network: Network, record: RunRecord) -> None:
    """Right-hand column: colour scales, symbols, and the run's numbers and violations."""
    _scale(figure, 0.80, "Highest loading of lines and transformers, %", LOADING, loading_norm(), "max")
    _scale(figure, 0.69, "Lowest voltage of buses, p.u.", VOLTAGE, voltage_norm(record), "neither")
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
    figure.text(0.71, 0.505, _numbers(network, record), va="top", fontsize=9, linespacing=1.6, color=INK)
    worst = worst_breaches(record)
    heading = "No limit exceeded" if not worst else f"Limits exceeded: {len(worst)}"
    figure.text(0.71, 0.305, heading, va="top", weight="bold", color=ALARM if worst else SITE)
    lines = [
        f"{_shorten(network.violation_name(breach.worst), 22)}: {breach.worst.describe()}, {breach.hours:.3g} h"
        for breach in worst[:_LISTED]
    ]
    if len(worst) > _LISTED:
        lines.append(f"and {len(worst) - _LISTED} more")
    figure.text(0.71, 0.27, "\n".join(lines), va="top", fontsize=8, linespacing=1.6, color=INK)


def _shorten(name: str, most: int) -> str:
    """A name cut to `most` characters."""
    return name if len(name) <= most else name[: most - 1] + "…"


def _scale(
    figure: Figure, bottom: float, label: str, colours: Colormap, norm: Normalize, extend: str
) -> None:
    axes = figure.add_axes((0.71, bottom, 0.26, 0.018))
    bar = figure.colorbar(ScalarMappable(norm, colours), cax=axes, orientation="horizontal", extend=extend)
    bar.outline.set_visible(False)
    axes.set_title(label, fontsize=9, loc="left", color=INK)
    axes.tick_params(labelsize=8, color=MUTED, labelcolor=INK)


def _numbers(network: Network, record: RunRecord) -> str:
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
            rows.append(f"{label}: {extreme['value']:.{digits}f} {unit} ({extreme['element']})")
    rows[2:2] = [
        f"Lowest at {_shorten(site['name'], 12)}: {site['vm_pu_min']:.4f} p.u. ({_shorten(site['bus_name'], 22)})"
        for site in summary["sites"][:2]
        if site["vm_pu_min"] is not None
    ]
    rows.append(f"Losses: {summary['losses_mwh']:.4g} MWh of {summary['external_grid_mwh']:.4g} MWh drawn")
    rows.append(f"In violation: {summary['violation_hours']:.4g} of {summary['hours']:.4g} h")
    return "\n".join(rows)
