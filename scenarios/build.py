"""From a study to a plan: every file read and checked, every part of the world as plain values, one function each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from scenarios.between import between_sites, of_origin, round_trips_s
from scenarios.bill import NO_PRICE, currency
from scenarios.hardware import hardware_of
from scenarios.measured import load_entities
from scenarios.outlook import ahead_of, check_needs, facts_of, reach_of
from scenarios.plan import NETWORK, Entity, Input, Plan, SitePlan
from scenarios.series import SiteSeries, read_series
from scenarios.span import Span
from scenarios.study import SiteStudy, Study
from simulators.errors import InputError
from simulators.inference.sizing import serving_files
from simulators.paths import shown
from simulators.profiles.site import Site, load_site
from simulators.quantities.facts import SiteFacts
from simulators.recorder.summary import sha256
from simulators.scheduler.dispatch import dispatcher_needs
from simulators.scheduler.observation import NEEDS
from simulators.scheduler.policies import needs_of
from simulators.traffic.source import SERVE_S


def _places(study: Study) -> tuple[list[Site], Span]:
    places = [load_site(site.place.site_name) for site in study.sites]
    start = study.run.starts_at(places[0].start, places[0].timezone)
    return places, Span(start, study.run.step, study.steps)


def read(study: Study) -> dict[str, SiteSeries]:
    """The series of every site of a study, by its name; see `build`."""
    places, span = _places(study)
    return {
        site.name: _series(study, site, place, span) for site, place in zip(study.sites, places, strict=True)
    }


def build(
    study: Study,
    series_of: Mapping[str, SiteSeries] | None = None,
    needs: frozenset[str] | None = None,
) -> Plan:
    """Read every file of a study, check that it covers the run, and lay out the world.

    Parameters
    ----------
    study
        What is to be simulated.
    series_of
        What `read` gave for a study that differs from this one in nothing that its series rest on, e.g. the battery.
    needs
        Signals that controllers are to see; None: those that the policies of the study ask for.

    Raises
    ------
    InputError
        Whatever is wrong with the study or its files.
    """
    places, span = _places(study)
    entities: list[Entity] = []
    inputs: list[Input] = []
    sites: dict[str, SitePlan] = {}
    for site, place in zip(study.sites, places, strict=True):
        series = _series(study, site, place, span) if series_of is None else series_of[site.name]
        plan = _site_plan(study, site, place, series, needs)
        sites[site.name] = plan
        entities += _entities(study, site, place, plan, series, span)
        inputs += [*series.inputs, *_files(_read_elsewhere(site))]
    entities += between_sites(study, sites, entities)
    entities += _network(study)
    if study.network is not None:
        inputs += _files(study.network.files())
    if study.geo is not None:
        inputs += _files(study.geo.files())
    return Plan(study, span.start, sites, tuple(entities), tuple(dict.fromkeys(inputs)))


def _series(study: Study, site: SiteStudy, place: Site, span: Span) -> SiteSeries:
    """The site's series; a file that covers all but the time after the last arrivals is told what that is for."""
    try:
        return read_series(site, place, span, reach_of(study, site).steps)
    except InputError as error:
        if study.drain_steps == 0:
            raise
        read_series(site, place, replace(span, steps=study.run.steps))
        hours = study.drain_steps * study.run.step / 3600
        raise InputError(
            f"{error}; the last {hours:g} h of that are for what was deferred, --drain-hours 0 leaves them out"
        ) from None


def _read_elsewhere(site: SiteStudy) -> list[tuple[str, Path]]:
    """Files that the parts of a site read by themselves."""
    serving = [*site.traffic.files(), *serving_files(site.serving)] if site.serves else []
    return [
        *serving,
        *site.control.files(),
        *site.storage.files(),
        *site.connection.files(),
        *([] if "wind" in site.without else site.generation.files()),
    ]


def _files(files: Iterable[tuple[str, Path]]) -> list[Input]:
    made = []
    for what, path in files:
        if not path.is_file():
            raise InputError(f"{path}: no such file; expected the {what}")
        made.append(Input(what, shown(path), sha256(path), _licence(path)))
    return made


def _licence(path: Path) -> str:
    name = shown(path)
    if name.startswith("data/traffic/diurnal"):
        return "own computation from ServeGen (Apache-2.0) and Azure LLM traces (CC BY 4.0)"
    return "see data/README.md" if name.startswith("data/") else ""


def _site_plan(
    study: Study, site: SiteStudy, place: Site, series: SiteSeries, needs: frozenset[str] | None
) -> SitePlan:
    currency(site.tariff, series.price_unit)  # refuses what does not go together
    hardware = hardware_of(study, site, series)
    notes = [*place.notes, *series.notes]
    if study.drain_steps:
        notes.append(
            f"Requests arrive in the first {study.run.length_s / 3600:g} h; the run goes on for another "
            f"{study.drain_steps * study.run.step / 3600:g} h to finish what was deferred, and its figures are of both."
        )
    notes += hardware.notes
    if site.tariff.stated and series.price is None and site.tariff.energy_price is None:
        raise InputError(f"tariff: {NO_PRICE}, expected one of them")
    if series.carbon_note:
        notes.append(f"There is no operational carbon: {series.carbon_note}.")
    needs = needs_of(site.control.policy) if needs is None else needs
    if study.geo is not None:
        needs |= dispatcher_needs(study.geo.dispatcher)
    check_needs(site, needs, series.price is not None, frozenset(NEEDS))
    return SitePlan(
        study=site,
        title=place.title,
        timezone=place.timezone,
        needs=needs,
        copies=hardware.copies,
        rated_w=hardware.rated_w,
        embodied_kg=None if hardware.embodied is None else sum(p.kg for p in hardware.embodied.values()),
        price_unit=series.price_unit,
        carbon_note=series.carbon_note,
        notes=tuple(notes),
        plants=series.plants,
        facility=hardware.facility,
        boundary=series.boundary,
        basis=series.basis,
        other_g_per_kwh=series.other,
        embodied=hardware.embodied or {},
        carbon_free_note=series.carbon_free_note,
    )


def _entities(
    study: Study, site: SiteStudy, place: Site, plan: SitePlan, series: SiteSeries, span: Span
) -> list[Entity]:
    """The parts of one site, in the order of a step."""
    name = site.name
    made = [] if "carbon" in site.without else [_carbon(study, site, series)]
    if series.price is not None:
        config = {"values": series.price, "attribute": "price[1/kWh]"}
        made.append(Entity(name, "price", "price", "Profile", name, config))
    for part, attribute, values in (
        ("carbon_free", "carbon_free[1]", series.carbon_free),
        ("contract", "P[MW]", None if series.contract_w is None else series.contract_w / 1e6),
    ):
        if values is not None:
            config = {"values": values, "attribute": attribute}
            made.append(Entity(name, part, "price", "Profile", f"{name}-{part}", config))
    for part, model, power_w in (("pv", "PV", series.pv_w), ("wind", "Wind", series.wind_w)):
        if power_w is not None:
            made.append(Entity(name, part, "generation", model, f"{name}-{part}", {"power_w": power_w}))
    source = _source(study, site, place, plan, span)
    if site.serves or site.control.policy != "none":
        made += ahead_of(study, site, plan, series, source.config["workload"])
        made.append(_controller(site, facts_of(study, site, plan, source.config["workload"])))
    if series.load_w is not None:
        made += load_entities(site, series.load_w, plan.facility)
    else:
        if site.connection.limited and site.connection.shed:
            sizes = {"batch_cap": site.serving.batch_cap, "replicas": site.serving.replicas}
            made.append(Entity(name, "shedding", "shedding", "Shedder", name, sizes))
        made.append(source)
        made.append(_cluster(study, site, plan))
        facility = {**plan.facility, "copies": plan.copies}
        made.append(Entity(name, "facility", "datacenter", "DataCenter", name, {"facility": facility}))
    made.append(_storage(site, place, series, study, span))
    return made


def _carbon(study: Study, site: SiteStudy, series: SiteSeries) -> Entity:
    given: dict[str, Any] = {}
    silent = set()
    for key, attribute, values in (
        ("g_per_kwh", "CI[gCO2eq/kWh]", series.average),
        ("marginal_g_per_kwh", "CI_marginal[gCO2eq/kWh]", series.marginal),
    ):
        given[key] = values
        if values is None:
            silent.add(attribute)
    reach = reach_of(study, site)
    forecast = reach.options(study, site)
    if series.forecasts is not None and reach.name == "file":
        forecast |= series.forecasts
    given["forecast"] = forecast
    return Entity(
        site.name, "carbon", "carbon", "CarbonIntensity", site.name, given, silent=frozenset(silent)
    )


def _controller(site: SiteStudy, facts: SiteFacts) -> Entity:
    config = {"policy": site.control.policy, "site": site.name, "facts": facts.to_plain()}
    return Entity(site.name, "controller", "controller", "Controller", site.name, config)


def _source(study: Study, site: SiteStudy, place: Site, plan: SitePlan, span: Span) -> Entity:
    local = span.start.astimezone(ZoneInfo(place.timezone))
    start_of_day_s = local.hour * 3600.0 + local.minute * 60.0 + local.second
    workload = site.traffic.workload(start_of_day_s, float(study.run.length_s), study.run.seed)
    workload |= of_origin(study, site)
    config = {
        "workload": workload,
        "span_s": float(study.length_s),
        "serve_s": SERVE_S,
        "copies": plan.copies,
    }
    return Entity(site.name, "traffic", "traffic", "Source", site.name, config)


def _cluster(study: Study, site: SiteStudy, plan: SitePlan) -> Entity:
    config = {
        "groups": [site.serving.model_dump(mode="json")],
        "router": site.cluster.router,
        "seed": study.run.seed,
        "bins": study.run.bins_per_step,
        "copies": plan.copies,
        "slo_ttft_s": site.cluster.slo_ttft,
        "slo_tpot_s": site.cluster.slo_tpot,
        "span_s": float(study.length_s),
        "network_s": round_trips_s(study, site),
    }
    awake = {"awake[1]": site.serving.replicas}
    slots = {"slots[1]": plan.copies * site.serving.replicas * site.serving.batch_cap}
    return Entity(site.name, "cluster", "inference", "Cluster", site.name, config, first=awake | slots)


def _storage(site: SiteStudy, place: Site, series: SiteSeries, study: Study, span: Span) -> Entity:
    battery = None if "battery" in site.without else site.storage.battery()
    config = {
        "battery": battery,
        "dispatch": site.storage.dispatch,
        "connection": site.connection.plain(span.start, place.timezone),
        "return_by_s": study.run.length_s if site.storage.soc_end == "start" else None,
        "ageing_at_c": site.storage.ageing_at_c,
    }
    if battery and site.storage.plans:
        config["ahead"] = _ahead(series, study.steps)
    soc = battery["soc_initial"] if battery else 0.0
    return Entity(site.name, "storage", "storage", "Battery", site.name, config, first={"SoC_end[1]": soc})


def _ahead(series: SiteSeries, steps: int) -> dict[str, list[float]]:
    """What a rule that plans may know of the run beforehand; never the load, which is simulated as it goes."""
    own = [values for values in (series.pv_w, series.wind_w) if values is not None]
    ci = series.marginal if series.average is None else series.average
    known = {
        "ci_g_per_kwh": ci,
        "price_per_kwh": series.price,
        "generation_w": np.sum(own, axis=0) if own else None,
    }
    return {name: values[:steps].tolist() for name, values in known.items() if values is not None}


def _network(study: Study) -> list[Entity]:
    """The power network, with one bus for each site."""
    network = study.network
    if network is None:
        return []
    buses = [site.connection.bus for site in study.sites]
    for site, bus in zip(study.sites, buses, strict=True):
        if bus is None:
            which = "" if len(buses) == 1 else f" for site {site.name}"
            raise InputError(f"--bus: not given{which}, expected the index or name of a bus of the network")
    config = {
        "network": network.network,
        "buses": buses,
        "voltage_limits": network.voltage_limits,
        "power_factor": network.power_factor,
        "enforce_q_lims": network.enforce_q_lims,
    }
    names = tuple(site.name for site in study.sites)
    return [Entity(NETWORK, "network", "grid", "Grid", "network", config, children=names)]
