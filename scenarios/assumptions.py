"""What a run rests on: every constant and factor that went into its figures, with unit, source and range.

A room says its own: its options have a method ``assumptions()``. What comes of several rooms, or of what was built, is
said here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from scenarios.accounts import SupplyFigures
from scenarios.plain import Frozen
from scenarios.plan import SitePlan
from scenarios.study import SiteStudy
from simulators.carbon.options import AccountingOptions
from simulators.inference.offload import assumptions as host_assumptions
from simulators.inference.speculation import assumptions as speculation_assumptions
from simulators.inference.tenant_shares import assumptions as shares_assumptions
from simulators.quantities.factor import Assumption, Factor

ZERO = (
    "GHG Protocol, Scope 2 Guidance (2015): the direct emissions of the contracted plant; 0 for sun and wind"
)


class AssumptionFigures(Frozen):
    """One value that a run rests on (`quantities.factor.Assumption`), plain."""

    name: str
    value: float
    unit: str
    source: str
    low: float
    high: float


def collect(
    plan: SitePlan, supply: Mapping[str, SupplyFigures], facts: Mapping[str, Any]
) -> tuple[AssumptionFigures, ...]:
    """What a site's figures rest on, each once.

    Parameters
    ----------
    plan, supply
        The site, and life-cycle emissions of its own supply.
    facts
        What was built (`serving.build_replicas`), of several groups each under `groups`.
    """
    study = plan.study
    found = [
        *_rooms(study),
        *(entry for plant in plan.plants.values() for entry in plant.assumptions),
        *_serving(facts),
        *_embodied(plan),
        *_supply(study.accounting, supply),
        *_contracts(study.accounting),
    ]
    return tuple(dict.fromkeys(_told(entry) for entry in found))


def _rooms(study: SiteStudy) -> Iterable[Assumption]:
    """What the rooms say, as far as the site has them."""
    absent = {"storage"} if "battery" in study.without else set()
    if not study.serves:
        absent |= {"serving", "cluster", "reliability", "traffic"}
        absent |= {"facility"} if study.measured.load_at == "meter" else set()
    for name in type(study).model_fields:
        part = getattr(study, name)
        says = getattr(part, "assumptions", None)
        if (
            name == "facility" and not study.serves
        ):  # measured at the servers' plugs: nothing of a node is added
            says = part.model_copy(update={"node_overhead": False}).assumptions
        if says is not None and name not in absent:
            yield from says()


def _told(entry: Assumption) -> AssumptionFigures:
    factor = entry.factor
    return AssumptionFigures(
        name=entry.name,
        value=factor.value,
        unit=factor.unit,
        source=factor.source,
        low=factor.low,
        high=factor.high,
    )


def _serving(facts: Mapping[str, Any]) -> Iterable[Assumption]:
    """Power and time of the GPUs, as far as their error is stated; what moving KV caches takes."""
    if link := facts.get("kv_link"):
        low, high = link["joules_per_byte_range"]
        factor = Factor(link["joules_per_byte"], low, high, "J/B", link["joules_per_byte_source"])
        yield Assumption("energy of moving a byte of KV cache between pools", factor)
    for group in facts.get("groups") or [facts]:
        yield from speculation_assumptions(group)
        yield from host_assumptions(group)
        yield from shares_assumptions(group)
        power, time = group.get("power"), group.get("time")
        if not power or not time:
            continue
        gpu = group.get("gpu_name", "GPU")
        if power["low"] is not None:
            source = f"{power['name']} ({power['basis']}): {power['source']}; range: {power['interval']}"
            factor = Factor(1.0, min(1.0, power["low"]), max(1.0, power["high"]), "1", source)
            yield Assumption(f"power of the work done, {gpu}", factor)
        low, high = power["idle_range_w"]
        idle = power["idle_w"]
        source = "data/gpus, state loaded_idle"
        yield Assumption(
            f"power with a model loaded, {gpu}", Factor(idle, min(idle, low), max(idle, high), "W", source)
        )
        source = f"{time['kind']} ({time['why']}); range: {time['interval']}"
        yield Assumption(
            f"time per iteration, {gpu}",
            Factor(1.0, min(1.0, time["low"]), max(1.0, time["high"]), "1", source),
        )
        for entry in group.get("layout", ()):
            numbers = (entry["value"], entry["low"], entry["high"])
            yield Assumption(f"{entry['name']}, {gpu}", Factor(*numbers, entry["unit"], entry["source"]))


def _embodied(plan: SitePlan) -> Iterable[Assumption]:
    names = {"gpu": "gpu_embodied_kg", "server": "server_embodied_kg", "building": "building_kg_per_kw"}
    for kind, part in plan.embodied.items():
        yield Assumption(names[kind], part.each)
        life = "building_life_years" if kind == "building" else "hardware_life_years"
        yield Assumption(life, part.life)


def _supply(options: AccountingOptions, supply: Mapping[str, SupplyFigures]) -> Iterable[Assumption]:
    names = {"pv": "pv_g_per_kwh", "wind": "wind_g_per_kwh", "battery": "battery_kg_per_kwh"}
    for kind, part in supply.items():
        factor = Factor(part.factor, part.factor_low, part.factor_high, part.unit, part.source)
        yield Assumption(names[kind], factor)
    if "battery" in supply:
        yield Assumption("battery_life_years", options.battery_life)


def _contracts(options: AccountingOptions) -> Iterable[Assumption]:
    for name, ways in (
        ("ppa_g_per_kwh", ("ppa_share", "ppa_kwh", "ppa_profile")),
        ("go_g_per_kwh", ("go_share", "go_mwh")),
    ):
        if any(getattr(options, way) is not None for way in ways):
            value = getattr(options, name)
            source = ZERO if value == 0 else "the study's own"
            yield Assumption(name, Factor(value, value, value, "gCO2eq/kWh", source))
    if options.residual is not None:
        yield Assumption("residual_mix", options.residual)


def together(sites: Mapping[str, Sequence[AssumptionFigures]]) -> tuple[AssumptionFigures, ...]:
    """Of several sites: what all share once, what differs with the site's name."""
    counts: dict[AssumptionFigures, int] = {}
    for entries in sites.values():
        for entry in entries:
            counts[entry] = counts.get(entry, 0) + 1
    found = [
        entry if counts[entry] == len(sites) else entry.model_copy(update={"name": f"{site}: {entry.name}"})
        for site, entries in sites.items()
        for entry in entries
    ]
    return tuple(dict.fromkeys(found))
