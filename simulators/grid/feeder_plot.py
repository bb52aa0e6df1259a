"""Voltages along the feeders: how far each bus is from the external grid, and how low and high it went."""

from __future__ import annotations

import math
from typing import Any

import matplotlib
import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray
from pandapower.topology import calc_distance_to_bus

from simulators.grid.network import Network
from simulators.grid.plot import opened_lines
from simulators.grid.plot_side import ALARM, INK, MUTED, SITE, VOLTAGE
from simulators.grid.record import RunRecord

Array = NDArray[np.float64]

STYLE = {"font.family": "sans-serif", "font.sans-serif": ["DejaVu Sans"], "font.size": 9}


def distances_km(network: Network) -> Array:
    """Length of line from each bus to the nearest external grid or slack, in the network's order; NaN without supply.

    Examples
    --------
    >>> distances_km(Network("four_load_branch")).round(3).tolist()
    [0.0, 0.0, 0.05, 0.1, 0.15, 0.2]
    """
    net = network.net
    sources = {
        *net.ext_grid.bus[net.ext_grid.in_service.astype(bool)],
        *net.gen.bus[net.gen.slack.astype(bool) & net.gen.in_service.astype(bool)],
    }
    found = [
        calc_distance_to_bus(net, bus).reindex(network.buses).to_numpy(np.float64) for bus in sorted(sources)
    ]
    nearest: Array = np.fmin.reduce(found)
    return np.where(np.isfinite(nearest), nearest, math.nan)


def feeder_figure(network: Network, record: RunRecord) -> Figure:
    """Lowest and highest voltage of every bus over the run against its distance, line by line."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(11.0, 5.2), facecolor="white")
        axes = figure.add_axes((0.07, 0.12, 0.9, 0.74))
        distance = distances_km(network)
        _draw_lines(axes, network, record, distance)
        _draw_sites(axes, network, record, distance)
        limits = network.limits
        for value in {float(limits.vm_min_pu.max()), float(limits.vm_max_pu.min())}:
            axes.axhline(value, color=ALARM, lw=0.9, ls="--")
        axes.axhline(1.0, color=MUTED, lw=0.6)
        axes.set_xlabel("km of line from the external grid")
        axes.set_ylabel("voltage, p.u.")
        axes.spines[["top", "right"]].set_visible(False)
        axes.margins(x=0.02)
        axes.autoscale_view()
        figure.text(
            0.07, 0.94, f"Voltage along the feeders of {network.name}", fontsize=13, weight="bold", color=INK
        )
        figure.text(
            0.07,
            0.895,
            "lowest (blue) and highest (magenta) of each bus over the run, joined along lines in use; dashed: the "
            "narrowest limits of a bus",
            fontsize=9,
            color=MUTED,
        )
    return figure


def _draw_lines(axes: Any, network: Network, record: RunRecord, distance: Array) -> None:
    net, opened = network.net, opened_lines(network.net)
    at = {bus: row for row, bus in enumerate(network.buses.tolist())}
    used = net.line.index.isin(opened)
    ends = [(at[a], at[b]) for a, b in net.line[~used][["from_bus", "to_bus"]].to_numpy().tolist()]
    for values, shade in ((record.vm_min, 0.12), (record.vm_max, 0.88)):
        points = np.column_stack([distance, values])
        segments = [points[list(pair)] for pair in ends if np.isfinite(points[list(pair)]).all()]
        axes.add_collection(LineCollection(segments, colors=[VOLTAGE(shade)], linewidths=1.3))
        axes.scatter(*points.T, s=9, color=VOLTAGE(shade), zorder=3, linewidths=0)


def _draw_sites(axes: Any, network: Network, record: RunRecord, distance: Array) -> None:
    at = {bus: row for row, bus in enumerate(network.buses.tolist())}
    for site in network.sites:
        row = at[site.bus]
        if np.isfinite([distance[row], record.vm_min[row]]).all():
            axes.plot(
                distance[row],
                record.vm_min[row],
                marker="*",
                markersize=16,
                color=SITE,
                mec="white",
                zorder=5,
            )
            axes.annotate(
                site.name,
                (distance[row], record.vm_min[row]),
                xytext=(8, -12),
                textcoords="offset points",
                color=SITE,
                weight="bold",
            )
