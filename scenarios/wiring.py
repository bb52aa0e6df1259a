"""Who is connected to whom: what each part of a site gives, and what each takes.

A link is made where both its ends are there. What a controller sees reaches it one step late where it depends on what
the controller decides, and only if its policy asks for it.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping
from math import inf
from typing import Any, NamedTuple, TypeVar

from scenarios.plan import NETWORK, Plan
from simulators.joint import NOW
from simulators.quantities.schema import TIMESERIES, Column

Key = TypeVar("Key", bound=Hashable)


class Link(NamedTuple):
    """One connection within a site.

    Attributes
    ----------
    source, output
        Part and attribute it comes from.
    target, input
        Part and attribute it goes to.
    first
        What the target gets in the first step of a link that is one step late; `NOW`: the link is not late.
    """

    source: str
    output: str
    target: str
    input: str
    first: Any = NOW


REQUESTS = Link("traffic", "requests", "cluster", "requests")

LINKS: tuple[Link, ...] = (
    # what the controller decides
    Link("controller", "commands", "traffic", "commands"),
    Link("controller", "commands", "router", "commands"),
    Link("controller", "commands", "cluster", "commands"),
    Link("controller", "commands", "storage", "commands"),
    Link("seat", "commands", "traffic", "commands"),
    Link("seat", "commands", "router", "commands"),
    Link("seat", "commands", "cluster", "commands"),
    Link("seat", "commands", "storage", "commands"),
    # what is shed while the connection lacks power
    Link("facility", "P[MW]", "shedding", "P_load[MW]", first=0.0),
    Link("storage", "P_available[MW]", "shedding", "P_available[MW]", first=inf),
    Link("shedding", "commands", "traffic", "commands"),
    Link("shedding", "commands", "cluster", "commands"),
    # requests are pushed: traffic and its gate, the router between sites, the cluster
    REQUESTS,
    # power: GPUs, facility, own supply, battery, grid
    Link("cluster", "P[MW]", "facility", "P_gpu[MW]"),
    Link("load", "P[MW]", "facility", "P_gpu[MW]"),
    Link("cluster", "busy[1]", "facility", "utilisation[1]"),
    Link("cluster", "hosts_off[1]", "facility", "hosts_off[1]"),
    Link("facility", "P[MW]", "storage", "P_load[MW]"),
    Link("pv", "P[MW]", "storage", "P_pv[MW]"),
    Link("wind", "P[MW]", "storage", "P_wind[MW]"),
    Link("carbon", "CI[gCO2eq/kWh]", "storage", "CI[gCO2eq/kWh]"),
    Link("price", "price[1/kWh]", "storage", "price[1/kWh]"),
    Link("storage", "P_exchange[MW]", "bus", "P[MW]"),
)

ENERGY = frozenset({"carbon", "price", "generation", "load", "datacenter", "storage"})
"""Rooms of a chain of energy alone, where nothing feeds back."""

JOINABLE = ENERGY | {"controller", "shedding", "traffic", "router", "inference"}
"""Rooms whose simulators may be stepped together (`simulators.joint`)."""

REFUSALS: tuple[Link, ...] = tuple(
    Link(actuator, "refused", "controller", "refused", first=[])
    for actuator in ("traffic", "router", "cluster", "storage")
)
"""What actuators did not carry out; every controller hears of it."""

SIGNALS: dict[str, tuple[Link, ...]] = {
    "carbon": (
        Link("carbon", "CI[gCO2eq/kWh]", "controller", "CI[gCO2eq/kWh]"),
        Link("carbon", "CI_marginal[gCO2eq/kWh]", "controller", "CI_marginal[gCO2eq/kWh]"),
    ),
    "carbon_forecast": (Link("carbon", "CI_forecast[gCO2eq/kWh]", "controller", "CI_forecast[gCO2eq/kWh]"),),
    "marginal": (Link("carbon", "CI_marginal[gCO2eq/kWh]", "controller", "CI_marginal[gCO2eq/kWh]"),),
    "price": (Link("price", "price[1/kWh]", "controller", "price[1/kWh]"),),
    "price_forecast": (Link("price_ahead", "price_forecast[1/kWh]", "controller", "price_forecast[1/kWh]"),),
    "generation": (
        Link("pv", "P[MW]", "controller", "P_gen[MW]"),
        Link("wind", "P[MW]", "controller", "P_gen[MW]"),
    ),
    "generation_forecast": (
        Link("generation_ahead", "P_gen_forecast[MW]", "controller", "P_gen_forecast[MW]"),
    ),
    "arrivals_forecast": (
        Link("arrivals_ahead", "arrivals_forecast[1/s]", "controller", "arrivals_forecast[1/s]"),
        Link("deferrable_ahead", "deferrable_forecast[1/s]", "controller", "deferrable_forecast[1/s]"),
    ),
    "load": (Link("facility", "P[MW]", "controller", "P_load[MW]", first=0.0),),
    "charge": (Link("storage", "SoC_end[1]", "controller", "SoC[1]", first=0.0),),
    "exchange": (
        Link("storage", "P_import[MW]", "controller", "P_import[MW]", first=0.0),
        Link("storage", "P_export[MW]", "controller", "P_export[MW]", first=0.0),
    ),
    "queue": (
        Link("traffic", "held[1]", "controller", "held[1]", first=0),
        Link("traffic", "arrived[1]", "controller", "arrived[1]", first=0),
        Link("traffic", "deferrable[1]", "controller", "deferrable[1]", first=0),
        Link("cluster", "completed[1]", "controller", "completed[1]", first=0),
        Link("cluster", "waiting[1]", "controller", "waiting[1]", first=0),
        Link("cluster", "running[1]", "controller", "running[1]", first=0),
        Link("cluster", "awake[1]", "controller", "awake[1]", first=0),
        Link("cluster", "slots[1]", "controller", "slots[1]", first=0),
    ),
    "replicas": (
        Link("cluster", "waking[1]", "controller", "waking[1]", first=0),
        Link("cluster", "draining[1]", "controller", "draining[1]", first=0),
    ),
    "deadlines": (Link("traffic", "held_due[1]", "controller", "held_due[1]", first=[]),),
    "tenants": (
        Link("traffic", "tenants", "controller", "tenants", first={}),
        Link("cluster", "tenants", "controller", "tenants", first={}),
    ),
    "latency": (
        Link("cluster", "ttft_p99[s]", "controller", "ttft_p99[s]", first=None),
        Link("cluster", "tpot_p99[s]", "controller", "tpot_p99[s]", first=None),
    ),
    "voltage": (Link("bus", "vm_pu[1]", "controller", "vm_pu[1]", first=1.0),),
    "loading": (
        Link("network", "line_loading_max[%]", "controller", "line_loading_max[%]", first=0.0),
        Link("network", "vm_min[1]", "controller", "vm_min[1]", first=1.0),
        Link("network", "vm_max[1]", "controller", "vm_max[1]", first=1.0),
    ),
    "load_curve": (),
}
"""What a policy may ask for (`Policy.needs`), and the links that bring it."""


def stages(
    keys: Iterable[Key], joinable: Collection[Key], before: Mapping[Key, Collection[Key]]
) -> dict[Key, int]:
    """In which stage of a step each simulator stands; joinable ones of one stage may be stepped together.

    From a simulator to one that depends on it the stage rises where one of both is joinable and the other is not. So
    nothing that is not joinable lies between two of one stage.

    Parameters
    ----------
    keys, joinable
        All simulators, and those that may be stepped together.
    before
        What each depends on within a step.

    Examples
    --------
    >>> before = {"cluster": ["carbon"], "facility": ["cluster"], "storage": ["facility", "carbon"]}
    >>> stages(["carbon", "cluster", "facility", "storage"], ["carbon", "facility", "storage"], before)
    {'carbon': 0, 'cluster': 1, 'facility': 2, 'storage': 2}
    """
    found: dict[Key, int] = {}

    def stage(key: Key) -> int:
        if key not in found:
            found[key] = max(
                (stage(one) + ((one in joinable) != (key in joinable)) for one in before.get(key, ())),
                default=0,
            )
        return found[key]

    return {key: stage(key) for key in keys}


End = tuple[str, str]
"""A part of a site: both names."""


def links(plan: Plan, ends: Collection[End]) -> Iterator[tuple[End, End, Link]]:
    """Every link of a plan both of whose `ends` are there, and with what its target gets first."""
    entities = {(entity.site, entity.part): entity for entity in plan.entities}
    routed = (NETWORK, "router") in ends
    for name, site in plan.sites.items():
        wanted: list[Link] = [*LINKS, *REFUSALS]
        for need in sorted(site.needs):
            wanted += [link for link in SIGNALS[need] if link not in wanted]
        wanted += [link._replace(target="seat") for link in wanted if link.target == "controller"]
        for link in wanted:
            source, target = (
                next((end for end in ((name, part), (NETWORK, part)) if end in ends), None)
                for part in (link.source, link.target)
            )
            if source is None or target is None or (routed and link is REQUESTS):
                continue
            entity = entities.get(source)
            if entity is not None and link.output in entity.silent:
                continue
            first = link.first if entity is None else entity.first.get(link.output, link.first)
            yield source, target, link._replace(first=first)
        if routed:
            yield (name, "traffic"), (NETWORK, "router"), REQUESTS
            yield (name, "destination"), (name, "cluster"), REQUESTS


def recorded(plan: Plan, ends: Iterable[End]) -> Iterator[tuple[End, Column]]:
    """Every column of the time series whose source is among `ends`, once for each."""
    silent = {(entity.site, entity.part): entity.silent for entity in plan.entities}
    ends = list(ends)
    for column in TIMESERIES:
        for end in ends:
            if end[1] == column.part and column.attribute not in silent.get(end, ()):
                yield end, column
