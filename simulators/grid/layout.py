"""Where to draw a network's buses: its own coordinates, or a tree that hangs from the external grids."""

from __future__ import annotations

import json
import math
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pandapower.topology import create_nxgraph

from simulators.grid.network import Network

EARTH_RADIUS_KM = 6371.0
"""Mean radius (IUGG)."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Layout:
    """Positions for drawing.

    Attributes
    ----------
    buses
        Bus index -> (x, y); buses without a way to place them are missing.
    lines
        Line index -> its course, shape (points, 2), from the first bus to the second.
    geographic
        x and y are longitude and latitude, degrees; otherwise the scale means nothing.
    """

    buses: dict[int, tuple[float, float]]
    lines: dict[int, Array]
    geographic: bool


def layout(network: Network) -> Layout:
    """Positions of every bus and line of a network.

    Examples
    --------
    >>> places = layout(Network("mv_oberrhein"))
    >>> len(places.buses), places.geographic
    (179, True)
    """
    net = network.net
    buses = {int(bus): points[0] for bus, points in _geojson(net.bus).items()}
    if not buses:
        buses = _tree(network)
        courses: dict[int, list[tuple[float, float]]] = {}
    else:
        _place_rest(network, buses)
        courses = {line: points for line, points in _geojson(net.line).items() if len(points) > 1}
    lines = {}
    for line, start, end in zip(net.line.index, net.line.from_bus, net.line.to_bus, strict=True):
        if start in buses and end in buses:
            lines[int(line)] = np.array(courses.get(int(line)) or [buses[start], buses[end]])
    return Layout(buses, lines, _is_geographic(net, lines))


def _geojson(table: Any) -> dict[int, list[tuple[float, float]]]:
    """Points of a table's ``geo`` column (GeoJSON, as text or parsed), where there are any."""
    found: dict[int, list[tuple[float, float]]] = {}
    if "geo" not in table:
        return found
    for index, shape in table.geo.items():
        try:
            points = _points(json.loads(shape) if isinstance(shape, str) and shape else shape)
        except (ValueError, TypeError, LookupError):  # what nobody can read is as good as none
            continue
        if points:
            found[int(index)] = points
    return found


def _points(shape: Any) -> list[tuple[float, float]]:
    """Points of a GeoJSON geometry; none where a number is missing."""
    if not isinstance(shape, dict):
        return []
    points = shape["coordinates"]
    points = [points] if shape.get("type") == "Point" else points
    finite = np.isfinite(np.asarray(points, dtype=np.float64)).all()
    return [(float(point[0]), float(point[1])) for point in points] if finite else []


def _is_geographic(net: Any, lines: dict[int, Array]) -> bool:
    """Whether coordinates are longitude and latitude: the drawn lines must then be as long as the table says."""
    ratios = []
    for line, course in lines.items():
        if np.abs(course[:, 0]).max() > 180.0 or np.abs(course[:, 1]).max() > 90.0:
            return False
        drawn_km = length_km(course)
        if drawn_km > 0.0 and net.line.at[line, "length_km"] > 0.0:
            ratios.append(drawn_km / net.line.at[line, "length_km"])
    return bool(ratios) and 0.5 < float(np.median(ratios)) < 2.0


def length_km(course: Array) -> float:
    """Length of a course of (longitude, latitude) points, degrees, on a sphere; equirectangular, for short legs."""
    longitude, latitude = np.radians(course[:, 0]), np.radians(course[:, 1])
    middle = 0.5 * (latitude[1:] + latitude[:-1])
    return EARTH_RADIUS_KM * float(np.hypot(np.diff(longitude) * np.cos(middle), np.diff(latitude)).sum())


def _place_rest(network: Network, buses: dict[int, tuple[float, float]]) -> None:
    """Put buses without coordinates at the mean of their placed neighbours, spreading outwards."""
    graph = create_nxgraph(network.net, respect_switches=False, include_out_of_service=True)
    missing = deque(bus for bus in graph if bus not in buses)
    waited = 0
    while missing and waited < len(missing):
        bus = missing.popleft()
        around = [buses[n] for n in graph[bus] if n in buses]
        if around:
            buses[int(bus)] = (
                sum(x for x, _ in around) / len(around),
                sum(y for _, y in around) / len(around),
            )
            waited = 0
        else:
            missing.append(bus)
            waited += 1


def _tree(network: Network) -> dict[int, tuple[float, float]]:
    """External grids on top, depth downwards, leaves side by side: a breadth-first tree of the closed network."""
    net = network.net
    graph = create_nxgraph(net, respect_switches=True)
    roots = [*net.ext_grid.bus, *net.gen.bus[net.gen.slack.astype(bool)], *graph]
    places: dict[int, tuple[float, float]] = {}
    next_x = 0.0
    for root in roots:
        if root not in graph or int(root) in places:
            continue
        children: dict[int, list[int]] = {root: []}
        queue, order = deque([root]), []
        while queue:
            bus = queue.popleft()
            order.append(bus)
            for neighbour in graph[bus]:
                if neighbour not in children:
                    children[neighbour] = []
                    children[bus].append(neighbour)
                    queue.append(neighbour)
        next_x = _place_tree(root, children, order, places, next_x)
    return places


def _place_tree(
    root: int,
    children: dict[int, list[int]],
    order: list[int],
    places: dict[int, tuple[float, float]],
    x: float,
) -> float:
    """Place one tree from `x` on; returns where the next one starts. Parents stand above their children's middle."""
    depth = {root: 0}
    for bus in order:
        depth.update((child, depth[bus] + 1) for child in children[bus])
    stack, across = [root], {}
    while stack:  # leaves from left to right, in depth-first order
        bus = stack.pop()
        stack.extend(reversed(children[bus]))
        if not children[bus]:
            across[bus], x = x, x + 1.0
    for bus in reversed(order):
        if children[bus]:
            across[bus] = math.fsum(across[child] for child in children[bus]) / len(children[bus])
    places.update((int(bus), (across[bus], -float(depth[bus]))) for bus in order)
    return x + 1.0
