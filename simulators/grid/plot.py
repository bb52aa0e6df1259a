"""The network after a run, on one page: how far its lines and transformers were used, and its voltages."""

from __future__ import annotations

import math
from typing import Any

import matplotlib
import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.transforms import ScaledTranslation
from numpy.typing import NDArray

from simulators.grid.layout import Layout, layout, length_km
from simulators.grid.network import Network
from simulators.grid.plot_side import (
    ALARM,
    INK,
    LOADING,
    MUTED,
    PALE,
    SITE,
    VOLTAGE,
    furthest_vm,
    loading_norm,
    side,
    voltage_norm,
)
from simulators.grid.record import RunRecord

Array = NDArray[np.float64]


def network_figure(network: Network, record: RunRecord, title: str = "") -> Figure:
    """Map (or tree, without coordinates) of the network with its highest loadings and the voltages furthest from 1.

    Parameters
    ----------
    network
        The network, with its sites.
    record
        The run; it must hold at least one solved step for anything to be coloured.
    title
        Default: the network's name.

    Returns
    -------
    matplotlib.figure.Figure
        Save it with ``savefig``; no pyplot state is touched.

    Examples
    --------
    >>> network = Network("four_load_branch")
    >>> record = RunRecord(network)
    >>> record.add(network.step([]), at_s=0, step_s=3600)
    >>> network_figure(network, record).get_size_inches().tolist()
    [11.0, 7.2]
    """
    places = layout(network)
    with matplotlib.rc_context(
        {"font.family": "sans-serif", "font.sans-serif": ["DejaVu Sans"], "font.size": 9}
    ):
        figure = Figure(figsize=(11.0, 7.2), facecolor="white")
        axes = figure.add_axes((0.02, 0.03, 0.66, 0.85))
        axes.set_axis_off()
        _set_window(axes, places)
        _draw_lines(axes, network, record, places)
        _draw_trafos(axes, network, record, places)
        _draw_buses(axes, network, record, places)
        _draw_ends(axes, network, places)
        if places.geographic:
            _scale_bar(axes, places)
        side(figure, network, record)
        figure.text(0.025, 0.955, title or f"Network {network.name}", fontsize=14, weight="bold", color=INK)
        kind = "map" if places.geographic else "schematic, distances mean nothing"
        figure.text(0.025, 0.92, f"{_headline(network, record)} ({kind})", fontsize=9.5, color=MUTED)
    return figure


def _headline(network: Network, record: RunRecord) -> str:
    sites = ", ".join(
        f"{site.name} at {network.element_name('bus', site.bus)} (bus {site.bus})" for site in network.sites
    )
    return f"{sites or 'no site'}; {record.hours:g} h simulated"


def _set_window(axes: Any, places: Layout) -> None:
    """Everything in view, undistorted where distances mean something, with room for the scale bar."""
    points = np.array([*places.buses.values(), *(p for course in places.lines.values() for p in course)])
    low, high = points.min(axis=0), points.max(axis=0)
    middle, half = 0.5 * (low + high), 0.54 * np.maximum(high - low, 1e-9)
    if places.geographic:
        below = 0.14 * half[1]
        middle[1], half[1] = middle[1] - 0.5 * below, half[1] + 0.5 * below
        width, height = axes.get_position().size * axes.figure.get_size_inches()
        per_degree = np.array([math.cos(math.radians(middle[1])), 1.0])  # length of a degree, relative
        half = (half * per_degree / (width, height)).max() * np.array([width, height]) / per_degree
    else:
        half = np.maximum(half, 0.05 * half.max())  # a single feeder is a line without width
    axes.set_xlim(middle[0] - half[0], middle[0] + half[0])
    axes.set_ylim(middle[1] - half[1], middle[1] + half[1])


def _draw_lines(axes: Any, network: Network, record: RunRecord, places: Layout) -> None:
    opened = opened_lines(network.net)
    links = _links(network.net, places)
    used, values, over, unused = [], [], [], []
    for position, line in enumerate(network.lines):
        if line not in places.lines:
            continue
        course, loading = places.lines[line], record.line_loading_max[position]
        if line in opened or math.isnan(loading):
            unused.append(course)
            continue
        used.append(course)
        values.append(loading)
        if loading > network.limits.line_percent[position]:
            over.append(course)
    axes.add_collection(LineCollection(unused, colors=PALE, linewidths=1.0, linestyles="dotted", zorder=1))
    axes.add_collection(LineCollection(links, colors=MUTED, linewidths=0.9, zorder=2))
    axes.add_collection(
        LineCollection(over, colors=ALARM, linewidths=7.0, alpha=0.25, zorder=2, capstyle="round")
    )
    loading_map = LineCollection(used, cmap=LOADING, norm=loading_norm(), linewidths=2.4, zorder=3)
    loading_map.set_array(np.array(values))
    axes.add_collection(loading_map)


def opened_lines(net: Any) -> set[int]:
    """Lines out of service or with an open switch at either end."""
    switches = net.switch[(net.switch.et == "l") & ~net.switch.closed.astype(bool)]
    return {int(i) for i in switches.element} | {
        int(i) for i in net.line.index[~net.line.in_service.astype(bool)]
    }


def _links(net: Any, places: Layout) -> list[list[tuple[float, float]]]:
    """Closed switches between buses, and impedances: connections without a loading."""
    closed = net.switch[(net.switch.et == "b") & net.switch.closed.astype(bool)]
    impedances = net.impedance[net.impedance.in_service.astype(bool)]
    pairs = [
        *zip(closed.bus, closed.element, strict=True),
        *zip(impedances.from_bus, impedances.to_bus, strict=True),
    ]
    known = places.buses
    return [[known[int(a)], known[int(b)]] for a, b in pairs if int(a) in known and int(b) in known]


def _draw_trafos(axes: Any, network: Network, record: RunRecord, places: Layout) -> None:
    """Two rings per transformer, coloured like the lines; next to the bus where both its ends are drawn there."""
    ends = {"trafo": ("hv_bus", "lv_bus"), "trafo3w": ("hv_bus", "mv_bus", "lv_bus")}
    norm = loading_norm()
    for position, (table, index) in enumerate(network.trafos):
        row = network.net[table].loc[index]
        points = [places.buses[int(row[end])] for end in ends[table] if int(row[end]) in places.buses]
        if not points:
            continue
        centre = np.mean(points, axis=0)
        loading = record.trafo_loading_max[position]
        colour = PALE if math.isnan(loading) else LOADING(norm(loading))
        over = loading > network.limits.trafo_percent[position]
        if np.ptp(points, axis=0).max() > 0.0:
            axes.plot(*np.transpose(points), color=colour, linewidth=1.6, zorder=3)
        for shift in (-3.5, 3.5):
            for width, edge in ((3.6, ALARM if over else INK), (2.2, colour)):
                axes.plot(
                    *centre,
                    marker="o",
                    markersize=11.5,
                    markerfacecolor="none",
                    markeredgecolor=edge,
                    markeredgewidth=width,
                    zorder=6,
                    transform=_shifted(axes, shift),
                )


def _shifted(axes: Any, right_points: float, up_points: float = 0.0) -> Any:
    """Data coordinates moved by some points on paper."""
    return axes.transData + ScaledTranslation(
        right_points / 72.0, up_points / 72.0, axes.figure.dpi_scale_trans
    )


def _draw_buses(axes: Any, network: Network, record: RunRecord, places: Layout) -> None:
    bus_at = {int(bus): position for position, bus in enumerate(network.buses)}
    drawn = [bus for bus in bus_at if bus in places.buses]
    points = np.array([places.buses[bus] for bus in drawn])
    at = [bus_at[bus] for bus in drawn]
    low, high = record.vm_min[at], record.vm_max[at]
    furthest = furthest_vm(record)[at]
    beyond = (low < network.limits.vm_min_pu[at]) | (high > network.limits.vm_max_pu[at])
    size = float(np.clip(3000.0 / len(drawn), 6.0, 42.0))
    axes.scatter(*points[beyond].T, s=size + 60.0, color=ALARM, alpha=0.3, linewidths=0.0, zorder=4)
    axes.scatter(
        *points.T,
        s=size,
        c=furthest,
        cmap=VOLTAGE,
        norm=voltage_norm(record),
        edgecolors=INK,
        linewidths=0.5,
        zorder=5,
    )


def _draw_ends(axes: Any, network: Network, places: Layout) -> None:
    """External grids and sites, the two ends of the question."""
    for bus in network.net.ext_grid.bus[network.net.ext_grid.in_service.astype(bool)]:
        if int(bus) in places.buses:
            axes.plot(
                *places.buses[int(bus)],
                marker="s",
                markersize=10,
                color=INK,
                zorder=7,
                clip_on=False,
                transform=_shifted(axes, 0.0, 17.0),
            )
    for site in network.sites:
        if site.bus not in places.buses:
            continue
        point = places.buses[site.bus]
        axes.plot(*point, marker="*", markersize=19, color=SITE, markeredgecolor="white", zorder=9)
        axes.annotate(
            f"{site.name}\n{network.element_name('bus', site.bus)}",
            point,
            xytext=(13, 9),
            textcoords="offset points",
            color=SITE,
            weight="bold",
            fontsize=9.5,
            zorder=10,
            bbox={"boxstyle": "round,pad=0.25", "facecolor": "white", "edgecolor": SITE, "alpha": 0.9},
        )


def _scale_bar(axes: Any, places: Layout) -> None:
    (x0, x1), (y0, y1) = axes.get_xlim(), axes.get_ylim()
    latitude = 0.5 * (y0 + y1)
    width_km = length_km(np.array([[x0, latitude], [x1, latitude]]))
    bar_km = 10.0 ** math.floor(math.log10(0.25 * width_km))
    bar_km *= 5.0 if 5.0 * bar_km <= 0.25 * width_km else 2.0 if 2.0 * bar_km <= 0.25 * width_km else 1.0
    x, y = x0 + 0.03 * (x1 - x0), y0 + 0.01 * (y1 - y0)
    end = x + bar_km / width_km * (x1 - x0)
    axes.plot([x, end], [y, y], color=INK, linewidth=2.0, zorder=8)
    axes.annotate(
        f"{bar_km:g} km", (0.5 * (x + end), y), (0, 4), textcoords="offset points", ha="center", color=INK
    )
