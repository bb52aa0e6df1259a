"""A site whose load is a file: a measured one, or the power of an earlier run, in place of the simulated cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from scenarios.plan import Entity, SitePlan
from simulators.errors import InputError
from simulators.paths import shown

if TYPE_CHECKING:
    from scenarios.series import SiteSeries
    from scenarios.span import Span
    from scenarios.study import SiteStudy

POWER = "P[MW]"
NO_HARDWARE = "the load is measured: what hardware draws it is not known"
"""Why there is no embodied carbon."""
NO_REQUESTS = "the load is measured: no requests were simulated"
NO_IT = "the load was measured at the meter: what of it is IT is not known"


def read_load(study: SiteStudy, span: Span, series: SiteSeries) -> None:
    """Read the load of a site that has one, and scale it.

    Raises
    ------
    InputError
        A file that is broken, does not cover the run, or cannot be scaled; an option that needs a cluster.
    """
    chosen = study.measured
    ref = chosen.load
    if ref is None:
        if chosen.load_scale_to_mw is not None:
            raise InputError("--load-scale-to-mw: given without a load, expected --load FILE")
        return
    if study.cluster.mw is not None:
        raise InputError("--mw: the load is a file, expected --load-scale-to-mw")
    profile = ref.read("load")
    factor = 1.0
    if chosen.load_scale_to_mw is not None:
        highest_w = float(profile.values.max())
        if not highest_w > 0:
            raise InputError(
                f"{ref.path}: its highest value is {highest_w:g} W, expected one above 0 to scale"
            )
        factor = chosen.load_scale_to_mw * 1e6 / highest_w
        series.notes.append(
            f"The load was scaled by {factor:.6g}, so that its highest value is {chosen.load_scale_to_mw:g} MW."
        )
    series.load_w = span.means(profile) * factor
    if float(series.load_w.min()) < 0:
        raise InputError(f"{ref.path}: has a load below 0, expected W >= 0")
    series.used("load", ref, profile, False, span)
    series.notes.append(
        "The load is measured, not simulated: there are no requests, no tokens, no GPUs and no embodied carbon of them."
    )


def around_load(study: SiteStudy, outdoor: dict[str, Any]) -> dict[str, Any]:
    """The building around a load of servers, as plain values; empty of one measured at the meter.

    Its load is counted at the servers' plugs: nothing of a node is added to it.
    """
    if study.measured.load_at == "meter":
        return {}
    return {**study.facility.model_dump(exclude_none=True), **outdoor, "gpus": 0, "node_overhead": False}


def load_entities(study: SiteStudy, load_w: Any, facility: Mapping[str, Any]) -> list[Entity]:
    """The load, and the facility around it; what was measured at the meter is the facility's power itself."""
    name = study.name
    config = {"values": np.asarray(load_w) / 1e6, "attribute": POWER}
    if study.measured.load_at == "meter":
        silent = frozenset({"P_it[MW]", "P_cooling[MW]", "P_losses[MW]", "water[m3/h]"})
        return [Entity(name, "facility", "load", "Profile", name, config, silent=silent)]
    return [
        Entity(name, "load", "load", "Profile", name, config),
        Entity(name, "facility", "datacenter", "DataCenter", name, {"facility": facility}),
    ]


def unknown(plan: SitePlan) -> dict[str, str]:
    """Figures that a load from a file cannot tell, by their place in the summary, and why."""
    if plan.study.serves:
        return {}
    at_meter = {"energy_mwh.it": NO_IT} if plan.study.measured.load_at == "meter" else {}
    return {"inference": NO_REQUESTS} | at_meter


def facts_of(plan: SitePlan) -> dict[str, Any]:
    """What stands at a site whose load is a file."""
    ref = plan.study.measured.load
    assert ref is not None, "a site with a cluster"
    return {"load": shown(ref.path), "load_at": plan.study.measured.load_at}
