"""Options that a study whose load is a file does not read: refused, as their effect would be looked for in vain.

What describes the cluster that the load was measured of (`serving`, `traffic`, `cluster`, `reliability`) may stay: the
study of an earlier run goes on with the power of that run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from simulators.leaves import option_name

if TYPE_CHECKING:
    from scenarios.study import SiteStudy

HARDWARE = (
    "gpu_embodied_kg",
    "server_embodied_kg",
    "hardware_life_years",
    "building",
    "building_kg_per_kw",
    "building_life_years",
)
"""Of accounting: there is no embodied carbon of what is not known."""
SERVERS = ("gpus_per_node", "host_idle_w", "host_full_w", "fan_share", "psu_efficiency")
"""Of a facility: what stands between the GPUs and a load that was measured at the servers' plugs."""
AT_METER = ("grid_water",)
"""Of a facility: what also counts for a load that was measured behind it."""


def complaint(sites: Sequence[SiteStudy]) -> str | None:
    """What is given but read by none of the sites; None if nothing is, or if a cluster is simulated at one of them.

    An option given once holds for all sites: it is refused where no site reads it.
    """
    if any(site.serves for site in sites):
        return None
    for site in sites:
        for name, value, why in _given(site, at_meter=all(one.measured.load_at == "meter" for one in sites)):
            return (
                f"{option_name(name)}: {value} given, but has no effect on a load from a file (--load): {why}"
            )
    return None


def _given(site: SiteStudy, at_meter: bool) -> Iterator[tuple[str, Any, str]]:
    if site.control.policy != "none":
        yield "policy", site.control.policy, "there are no requests to schedule"
    for name, value in _changed(site.accounting, HARDWARE):
        yield name, value, "what hardware draws it is not known"
    facility = site.facility
    if at_meter:
        names = [name for name in type(facility).model_fields if name not in AT_METER]
        for name, value in _changed(facility, names):
            yield name, value, "it was measured at the meter, behind the facility (--load-at it)"
    for name, value in _changed(facility, SERVERS):
        yield name, value, "it was measured at the servers' plugs"


def _changed(part: Any, names: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """Options of a part that are not at their defaults."""
    default = type(part)()
    for name in names:
        if (value := getattr(part, name)) != getattr(default, name):
            yield name, value
