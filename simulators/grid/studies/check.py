"""Answers of a hosting study held against plain pandapower."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from simulators.grid.background.background import Background
from simulators.grid.studies.hosting_year import BusHosting, Hosting


class Check(NamedTuple):
    """Loads tried, how many of them violate nothing, and how many do the tolerance above."""

    tried: int
    held: int
    broke: int


def checked(hosting: Hosting, background: Background) -> Check:
    """Try every firm load in the step that limits it, and every flexible one in a step in which it is curtailed.

    Only loads that something limits are tried.
    """
    tried = held = broke = 0
    network = hosting.network.on_tables()
    for found in hosting.buses:
        site = network.copy()
        site.attach(found.bus, "load")
        others = [0.0] * (len(site.sites) - 1)
        for step in _steps(found):
            load_mw, powers = float(found.most_mw[step]), background.at(step)
            tried += 1
            held += not site.step([*others, load_mw], powers=powers).violations
            broke += bool(site.step([*others, load_mw + hosting.tolerance_mw], powers=powers).violations)
    return Check(tried, held, broke)


def _steps(found: BusHosting) -> list[int]:
    """The step that limits the firm load, and the middle one of those that limit the flexible one."""
    limited = np.flatnonzero((found.cause >= -1) & np.isfinite(found.most_mw))
    if not len(limited):
        return []
    missed = limited[found.most_mw[limited] < found.flexible_mw]
    ordered = missed[np.argsort(found.most_mw[missed], kind="stable")]
    firm = int(limited[np.argmin(found.most_mw[limited])])
    return sorted({firm, int(ordered[len(ordered) // 2])} if len(ordered) else {firm})
