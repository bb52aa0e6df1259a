"""What stands at a site: copies of its cluster, the building around one, and what the making of all of it comes to."""

from __future__ import annotations

from typing import Any, NamedTuple

from scenarios.measured import around_load
from scenarios.series import SiteSeries
from scenarios.study import SiteStudy, Study
from simulators.datacenter.embodied import (
    BUILDING,
    BUILDING_LIFE,
    DEVICES,
    HARDWARE_LIFE,
    SERVER,
    EmbodiedPart,
    gpu_factor,
    site_parts,
)
from simulators.datacenter.facility import Facility
from simulators.datacenter.plain import facility_from_plain
from simulators.errors import InputError
from simulators.inference.sizing import Sizing, sizing


class Hardware(NamedTuple):
    """What stands at a site.

    Attributes
    ----------
    copies, rated_w
        How often the cluster does, and the rated power of all, W.
    embodied
        What its making comes to; None where that is not known.
    facility
        The building around one copy, as plain values.
    notes
        What to say of it.
    """

    copies: float
    rated_w: float
    embodied: dict[str, EmbodiedPart] | None
    facility: dict[str, Any]
    notes: list[str]


def _facility(site: SiteStudy, made: Sizing, series: SiteSeries) -> dict[str, Any]:
    """The building around one copy of the cluster, as plain values."""
    if site.facility.design_it_kw is not None and site.cluster.mw is not None:
        raise InputError("--design-it-kw: --mw sizes the building already, expected one of the two")
    plain = {"gpus": made.gpus, **site.facility.model_dump(exclude_none=True), **series.outdoor}
    if site.facility.has_design_load:
        plain["nameplate_gpu_w"] = made.gpus * made.limit_w
    return plain


def _copies(site: SiteStudy, made: Sizing, facility: Facility) -> tuple[float, float]:
    """How many times the cluster stands at the site, and the facility's rated power at nameplate, W."""
    rated_w = facility.highest_w(made.gpus * made.limit_w)
    copies = 1.0 if site.cluster.mw is None else site.cluster.mw * 1e6 / rated_w
    return copies, copies * rated_w


def hardware_of(study: Study, site: SiteStudy, series: SiteSeries) -> Hardware:
    """The hardware of a site.

    Raises
    ------
    InputError
        If the building's options do not go together.
    """
    if series.load_w is not None:
        return Hardware(1.0, float(series.load_w.max()), None, around_load(site, series.outdoor), [])
    made = sizing(site.simulated)
    plain = _facility(site, made, series)
    facility = facility_from_plain(plain)
    copies, rated_w = _copies(site, made, facility)
    notes = []
    if made.gpu.embodied_kg is None and site.accounting.gpu_embodied_kg is None:
        notes.append(f"No embodied carbon of the {made.gpu.title} is published: it counts as 0.")
    if site.cluster.mw is not None:
        notes.append(_copies_note(site, made.gpus, copies))
    return Hardware(copies, rated_w, _embodied(study, site, made, facility, copies), plain, notes)


def _copies_note(site: SiteStudy, gpus: int, copies: float) -> str:
    """What the simulated clusters stand for, and whether their requests come together."""
    clusters, common = site.traffic.independent, site.traffic.common_share
    size = f"{copies:,.3g} copies of" if copies < 100 else f"{copies:,.0f} copies of"
    if clusters == 1:
        return (
            f"{size} the simulated cluster of {gpus} GPUs make {site.cluster.mw:g} MW; they see the same requests at "
            "the same time, so the site's power varies more than that of independent clusters (--independent)."
        )
    own = (
        "each with requests of its own"
        if common == 0
        else f"{100 * common:g} % of whose requests come to all of them"
    )
    return (
        f"{size} {clusters} simulated clusters of {gpus // clusters} GPUs, {own}, make {site.cluster.mw:g} MW; "
        f"fluctuation by chance is {(common + (1 - common) / clusters) ** 0.5:.3g} of what one cluster would show."
    )


def _embodied(
    study: Study, site: SiteStudy, made: Sizing, facility: Facility, copies: float
) -> dict[str, EmbodiedPart]:
    """What the making of a site's hardware comes to in the run, all copies."""
    options, sheet = site.accounting, made.gpu
    published = sheet.embodied_kg
    gpu = None
    if published is not None or options.gpu_embodied_kg is not None:
        listed = DEVICES.get(sheet.name)
        known = listed is not None and listed.embodied_kg == published
        source = listed.source if listed and known else sheet.file
        gpu = gpu_factor(published or 0.0, source, options.gpu_embodied_kg)
    it_kw = facility.power(made.gpus * made.limit_w).it_w / 1e3
    counted = options.building or options.building_kg_per_kw is not None
    return site_parts(
        gpu,
        made.gpus * copies,
        facility.nodes * copies,
        float(study.length_s),
        server=SERVER.own(options.server_embodied_kg),
        life=HARDWARE_LIFE.own(options.hardware_life_years),
        building_kw=it_kw * copies if counted else 0.0,
        building=BUILDING.own(options.building_kg_per_kw),
        building_life=BUILDING_LIFE.own(options.building_life_years),
    )
