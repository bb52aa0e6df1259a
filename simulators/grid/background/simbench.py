"""Year profiles that a SimBench network brings for its loads, generators and storage."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulators.errors import InputError
from simulators.grid.background.background import Part
from simulators.grid.draws import Draws
from simulators.profiles.profile import Profile

STEP_S = 900
START = datetime(2015, 12, 31, 23, tzinfo=UTC)
"""Its first row, 01.01.2016 00:00. SimBench states no zone and its year has no clock change: Central European winter
time is assumed."""

LENGTH_S = 366 * 86_400
"""Its year has a leap day."""

_FOLLOWS = (
    ("load", "p_mw", ("load",), "_pload"),
    ("load", "q_mvar", ("load",), "_qload"),
    ("sgen", "p_mw", ("renewables", "powerplants"), ""),
    ("gen", "p_mw", ("renewables", "powerplants"), ""),
    ("storage", "p_mw", ("storage",), ""),
)
"""Table, quantity, profile tables that may hold it, and what its columns' names end in, as in `simbench`'s
``get_absolute_values``."""


def simbench_series(
    net: Any, draws: Draws, start: datetime, step_s: int, steps: int
) -> tuple[NDArray[np.float64], list[Part]]:
    """Series of the run, and who follows them.

    Values are means of 15 minutes, held or averaged over the run's steps; runs in other years take the same dates.

    Raises
    ------
    InputError
        If the network brings no profiles.
    """
    if "profiles" not in net or not isinstance(net["profiles"], dict):
        raise InputError(
            "--background simbench: this network brings no profiles, expected a SimBench network such as "
            "1-MV-rural--0-sw, season, or a CSV file"
        )
    columns: dict[str, int] = {}
    made: list[NDArray[np.float64]] = []
    parts = []
    for table, quantity, sources, ending in _FOLLOWS:
        if "profile" not in net[table] or not len(net[table]):
            continue
        rows, places = [], []
        for row, name in enumerate(net[table].profile):
            found = [net.profiles[source] for source in sources if f"{name}{ending}" in net.profiles[source]]
            if isinstance(name, str) and found:
                key = f"{name}{ending}"
                if key not in columns:
                    columns[key] = len(made)
                    made.append(_on_run(found[0][key].to_numpy(np.float64), key, start, step_s, steps))
                rows.append(row)
                places.append(columns[key])
        factors = getattr(draws.own[table], quantity)[rows]
        parts.append(Part(table, quantity, np.array(rows, np.int64), np.array(places, np.int64), factors))
    series = np.stack(made, axis=1) if made else np.zeros((steps, 0))
    return series, parts


def _on_run(
    values: NDArray[np.float64], name: str, start: datetime, step_s: int, steps: int
) -> NDArray[np.float64]:
    profile = Profile(name, "1", START, STEP_S, values, "SimBench", align="calendar")
    whole = replace(profile, align=None)
    end_s = (start - START).total_seconds() + step_s * steps
    inside = start >= START and end_s <= STEP_S * len(values)
    return (whole if inside else profile).means(start, step_s, steps)
