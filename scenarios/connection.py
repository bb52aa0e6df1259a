"""What the connection to the grid did not carry, of a site and of all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenarios.plain import Frozen
from scenarios.plan import Plan, SitePlan


class ConnectionFigures(Frozen):
    """What the connection to the grid did not carry; of several sites, energies are sums.

    Attributes
    ----------
    unserved_mwh, pv_curtailed_mwh, wind_curtailed_mwh
        Load that was not met, and generation not used, MWh.
    islanded_h, at_import_limit_h, at_export_limit_h, unserved_h
        Hours without a grid, with the import or export at its limit, and with unserved load; at any of several sites.
    too_fast_h
        Hours in which the exchange changed faster than its ramp limit, for want of anything to hold it.
    shedding_h, highest_shedding_level
        Hours in which load was shed, and how far that went (`shedding.sequence`). Of several sites both these and
        `too_fast_h` are of the one that has most.
    """

    unserved_mwh: float
    pv_curtailed_mwh: float
    wind_curtailed_mwh: float
    islanded_h: float
    at_import_limit_h: float
    at_export_limit_h: float
    unserved_h: float
    too_fast_h: float
    shedding_h: float = 0.0
    highest_shedding_level: int = 0


Marks = dict[str, NDArray[np.bool_]]


def _marks(plan: SitePlan, frame: pd.DataFrame) -> Marks:
    """In which steps each thing happens that is told in hours."""
    there = frame["islanded"].to_numpy() == 0

    def at_limit(column: str, limit_kw: float | None) -> NDArray[np.bool_]:
        if limit_kw is None:
            return np.zeros(len(frame), dtype=np.bool_)
        return np.asarray(there & (frame[column].to_numpy() >= limit_kw / 1e3 * (1 - 1e-9)))

    options = plan.study.connection
    return {
        "islanded_h": ~there,
        "at_import_limit_h": at_limit("import_mw", options.import_limit_kw),
        "at_export_limit_h": at_limit("export_mw", options.export_limit_kw),
        "unserved_h": frame["unserved_mw"].to_numpy() != 0,
    }


def _hours(marks: Marks, step_s: int) -> dict[str, float]:
    return {name: float(np.count_nonzero(steps) * step_s / 3600) for name, steps in marks.items()}


def connection_of(
    plan: SitePlan, frame: pd.DataFrame, parts: Mapping[str, Mapping[str, Any]], step_s: int
) -> ConnectionFigures:
    """What the connection did not carry, from the rows of the time series and what its parts say of the run."""
    hours, shed = step_s / 3600, parts.get("shedding", {})
    return ConnectionFigures(
        unserved_mwh=float(frame["unserved_mw"].sum() * hours),
        pv_curtailed_mwh=float(frame["pv_curtailed_mw"].sum() * hours),
        wind_curtailed_mwh=float(frame["wind_curtailed_mw"].sum() * hours),
        too_fast_h=parts["storage"]["too_fast_s"] / 3600,
        shedding_h=shed.get("shedding_s", 0) / 3600,
        highest_shedding_level=shed.get("highest_level", 0),
        **_hours(_marks(plan, frame), step_s),
    )


def connections_together(
    plan: Plan, frame: pd.DataFrame, figures: Mapping[str, ConnectionFigures]
) -> ConnectionFigures:
    """Of several sites; hours are those in which it happens at any of them."""
    marks = [_marks(site, frame[frame["site"] == name]) for name, site in plan.sites.items()]
    anywhere = {name: np.any([found[name] for found in marks], axis=0) for name in marks[0]}
    energies = ("unserved_mwh", "pv_curtailed_mwh", "wind_curtailed_mwh")
    most = ("too_fast_h", "shedding_h", "highest_shedding_level")
    told = figures.values()
    return ConnectionFigures(
        **{name: sum(getattr(found, name) for found in told) for name in energies},
        **{name: max(getattr(found, name) for found in told) for name in most},
        **_hours(anywhere, plan.study.run.step),
    )
