"""Who is connected to whom: what each part of a site gives, and what each takes.

A link is made where both its ends are there. What a controller sees reaches it one step late where it depends on what
the controller decides, and only if its policy asks for it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

NOW = object()
"""Stands for no delay in `Link.first`."""


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


LINKS: tuple[Link, ...] = (
    # what the controller decides
    Link("controller", "commands", "traffic", "commands"),
    Link("controller", "commands", "router", "commands"),
    Link("controller", "commands", "cluster", "commands"),
    Link("controller", "commands", "storage", "commands"),
    # requests are pushed: traffic and its gate, the router between sites, the cluster
    Link("traffic", "requests", "cluster", "requests"),
    # power: GPUs, facility, own supply, battery, grid
    Link("cluster", "P[MW]", "facility", "P_gpu[MW]"),
    Link("cluster", "busy[1]", "facility", "utilisation[1]"),
    Link("cluster", "hosts_off[1]", "facility", "hosts_off[1]"),
    Link("facility", "P[MW]", "storage", "P_load[MW]"),
    Link("pv", "P[MW]", "storage", "P_gen[MW]"),
    Link("wind", "P[MW]", "storage", "P_gen[MW]"),
    Link("carbon", "CI[gCO2eq/kWh]", "storage", "CI[gCO2eq/kWh]"),
    Link("price", "price[1/kWh]", "storage", "price[1/kWh]"),
    Link("storage", "P_exchange[MW]", "bus", "P[MW]"),
)

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
