"""What lies between the sites of a study: the router, who decides for all of them, and the network's latency."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from scenarios.outlook import facts_of
from scenarios.plan import NETWORK, Entity, SitePlan
from scenarios.study import SiteStudy, Study
from simulators.errors import InputError

SEEDS_APART = 7919
"""Between the seeds of the requests of two origins: they are not the same requests twice."""


def of_origin(study: Study, site: SiteStudy) -> dict[str, Any]:
    """Options of a site's workload that tell its requests from those of other origins."""
    if study.geo is None:
        return {}
    number = study.sites.index(site)
    return {"tenant": number, "seed": study.run.seed + SEEDS_APART * number}


def round_trips_s(study: Study, site: SiteStudy) -> list[float]:
    """Round trips to a site from each origin, s, by its number; empty in a study without geography."""
    if study.geo is None:
        return []
    names = [one.name for one in study.sites]
    geography = study.geo.geography(names)
    return [geography.between_s(origin, site.name) for origin in names]


def between_sites(study: Study, sites: Mapping[str, SitePlan], entities: Iterable[Entity]) -> list[Entity]:
    """Router and dispatcher, where requests may leave their site.

    Parameters
    ----------
    study, sites
        What is simulated.
    entities
        Those of the sites; their sources say which requests come.

    Raises
    ------
    InputError
        If a site serves nothing, or sites stand for different numbers of copies.
    """
    if study.routing is None and study.geo is None:
        return []
    for site in study.sites:
        if not site.serves:
            raise InputError(f"routing: the load of site {site.name} is a file, expected no routing")
    if len({round(plan.copies, 9) for plan in sites.values()}) > 1:
        raise InputError(
            "routing: --mw makes different numbers of copies at the sites, expected the same everywhere"
        )
    config: dict[str, Any] = {"sites": list(sites), "weights": study.routing, "seed": study.run.seed}
    if study.geo is None:
        return [Entity(NETWORK, "router", "router", "Router", "router", config, children=tuple(sites))]
    geography = study.geo.geography(list(sites)).to_plain()
    workloads = {entity.site: entity.config["workload"] for entity in entities if entity.part == "traffic"}
    facts = {
        site.name: facts_of(study, site, sites[site.name], workloads[site.name]).to_plain()
        for site in study.sites
    }
    told = {"policy": study.geo.dispatcher, "geography": geography, "facts": facts}
    return [
        Entity(
            NETWORK,
            "router",
            "router",
            "Router",
            "router",
            config | {"geography": geography},
            children=tuple(sites),
        ),
        Entity(NETWORK, "dispatch", "controller", "Dispatch", "dispatch", told, children=tuple(sites)),
    ]
