"""From a study to a plan: every file read and checked, every part of the world as plain values, one function each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from scenarios.plan import NETWORK, Entity, Input, Plan, SitePlan
from scenarios.series import SiteSeries, read_series
from scenarios.span import Span
from scenarios.study import SiteStudy, Study
from simulators.datacenter.embodied import site_embodied_kg
from simulators.datacenter.facility import Facility
from simulators.errors import InputError
from simulators.inference.sizing import Sizing, serving_files, sizing
from simulators.paths import shown
from simulators.profiles.site import Site, load_site
from simulators.recorder.summary import sha256
from simulators.scheduler.observation import NEEDS
from simulators.scheduler.policies import needs_of
from simulators.traffic.source import SERVE_S


def build(study: Study) -> Plan:
    """Read every file of a study, check that it covers the run, and lay out the world.

    Raises
    ------
    InputError
        Whatever is wrong with the study or its files.
    """
    study = study.at_its_network()
    run = study.run
    places = [load_site(site.place.site_name) for site in study.sites]
    start = run.starts_at(places[0].start, places[0].timezone)
    span = Span(start, run.step, study.steps)
    entities: list[Entity] = []
    inputs: list[Input] = []
    sites: dict[str, SitePlan] = {}
    for site, place in zip(study.sites, places, strict=True):
        series = _series(study, site, place, span)
        plan = _site_plan(study, site, place, series)
        sites[site.name] = plan
        entities += _entities(study, site, place, plan, series, span)
        inputs += [*series.inputs, *_files(_read_elsewhere(site))]
    entities += _router(study, sites)
    entities += _network(study, span, places[0].timezone)
    if study.network is not None:
        inputs += _files(study.network.files())
    return Plan(study, start, sites, tuple(entities), tuple(dict.fromkeys(inputs)))


def _series(study: Study, site: SiteStudy, place: Site, span: Span) -> SiteSeries:
    """The site's series; a file that covers all but the time after the last arrivals is told what that is for."""
    try:
        return read_series(site, place, span, _horizon_steps(study, site))
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
    return [
        *site.traffic.files(),
        *serving_files(site.serving),
        *site.control.files(),
        *site.storage.files(),
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


def _copies(site: SiteStudy, made: Sizing, facility: Facility) -> tuple[float, float]:
    """How many times the cluster stands at the site, and the facility's rated power at nameplate, W."""
    rated_w = facility.power(made.gpus * made.limit_w).facility_w
    copies = 1.0 if site.cluster.mw is None else site.cluster.mw * 1e6 / rated_w
    return copies, copies * rated_w


def _site_plan(study: Study, site: SiteStudy, place: Site, series: SiteSeries) -> SitePlan:
    made = sizing(site.serving)
    facility = site.facility.build(made.gpus)
    copies, rated_w = _copies(site, made, facility)
    notes = [*place.notes, *series.notes]
    if study.drain_steps:
        notes.append(
            f"Requests arrive in the first {study.run.length_s / 3600:g} h; the run goes on for another "
            f"{study.drain_steps * study.run.step / 3600:g} h to finish what was deferred, and its figures are of both."
        )
    if made.gpu.embodied_kg is None:
        notes.append(f"No embodied carbon of the {made.gpu.title} is published: it counts as 0.")
    if site.cluster.mw is not None:
        notes.append(
            f"{copies:,.0f} copies of the simulated cluster of {made.gpus} GPUs make {site.cluster.mw:g} MW; they see "
            "the same requests at the same time, so the site's power varies more than that of independent clusters."
        )
    if study.network is not None:
        notes.append(study.network.note)
    if series.carbon_note:
        notes.append(f"There is no operational carbon: {series.carbon_note}.")
    needs = needs_of(site.control.policy)
    if (
        "price" in needs and needs != set(NEEDS) and series.price is None
    ):  # who asks for all takes what there is
        raise InputError(
            f"--policy {site.control.policy}: site {place.name} has no price, expected --price FILE"
        )
    if needs & {"carbon", "carbon_forecast", "marginal"} and needs != set(NEEDS) and "carbon" in site.without:
        raise InputError(
            f"--policy {site.control.policy}: needs a carbon intensity, expected no --without carbon"
        )
    embodied_kg = site_embodied_kg(
        made.gpu.embodied_kg or 0.0, made.gpus, facility.nodes, reserved_s=float(study.length_s)
    )
    return SitePlan(
        study=site,
        title=place.title,
        timezone=place.timezone,
        needs=needs,
        copies=copies,
        rated_w=rated_w,
        embodied_kg=embodied_kg * copies,
        price_unit=series.price_unit,
        carbon_note=series.carbon_note,
        notes=tuple(notes),
        plants=series.plants,
        boundary=series.boundary,
        basis=series.basis,
        other_g_per_kwh=series.other,
    )


def _entities(
    study: Study, site: SiteStudy, place: Site, plan: SitePlan, series: SiteSeries, span: Span
) -> list[Entity]:
    """The parts of one site, in the order of a step."""
    name = site.name
    made = [] if "carbon" in site.without else [_carbon(study, site, series)]
    if series.price is not None:
        config = {"values": series.price.tolist(), "attribute": "price[1/kWh]"}
        made.append(Entity(name, "price", "price", "Profile", name, config))
    for part, model, power_w in (("pv", "PV", series.pv_w), ("wind", "Wind", series.wind_w)):
        if power_w is not None:
            made.append(
                Entity(name, part, "generation", model, f"{name}-{part}", {"power_w": power_w.tolist()})
            )
    made.append(_controller(site))
    made.append(_source(study, site, place, plan, span))
    made.append(_cluster(study, site, plan))
    gpus = sizing(site.serving).gpus
    facility = {"gpus": gpus, "copies": plan.copies, **site.facility.model_dump()}
    made.append(Entity(name, "facility", "datacenter", "DataCenter", name, {"facility": facility}))
    made.append(_storage(site, study.run.length_s))
    return made


def _carbon(study: Study, site: SiteStudy, series: SiteSeries) -> Entity:
    given: dict[str, Any] = {}
    silent = set()
    for key, attribute, values in (
        ("g_per_kwh", "CI[gCO2eq/kWh]", series.average),
        ("marginal_g_per_kwh", "CI_marginal[gCO2eq/kWh]", series.marginal),
    ):
        given[key] = None if values is None else values.tolist()
        if values is None:
            silent.add(attribute)
    horizon_s = _horizon_steps(study, site) * study.run.step
    forecast: dict[str, Any] = {"name": site.control.forecast, "horizon_s": horizon_s}
    if site.control.forecast == "noisy":
        forecast["seed"] = study.run.seed
    if series.forecasts is not None:
        forecast |= series.forecasts
    given["forecast"] = forecast
    return Entity(
        site.name, "carbon", "carbon", "CarbonIntensity", site.name, given, silent=frozenset(silent)
    )


def _horizon_steps(study: Study, site: SiteStudy) -> int:
    """How many steps ahead the forecasts of a site reach: as long as its requests may be deferred."""
    return max(1, round(site.traffic.defer_hours * 3600 / study.run.step))


def _controller(site: SiteStudy) -> Entity:
    config = {"policy": site.control.policy, "site": site.name}
    return Entity(site.name, "controller", "controller", "Controller", site.name, config)


def _source(study: Study, site: SiteStudy, place: Site, plan: SitePlan, span: Span) -> Entity:
    local = span.start.astimezone(ZoneInfo(place.timezone))
    start_of_day_s = local.hour * 3600.0 + local.minute * 60.0 + local.second
    workload = site.traffic.workload(start_of_day_s, float(study.run.length_s), study.run.seed)
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
    }
    awake = {"awake[1]": site.serving.replicas}
    slots = {"slots[1]": plan.copies * site.serving.replicas * site.serving.batch_cap}
    return Entity(site.name, "cluster", "inference", "Cluster", site.name, config, first=awake | slots)


def _storage(site: SiteStudy, span_s: int) -> Entity:
    battery = None if "battery" in site.without else site.storage.battery()
    limit_kw = site.connection.export_limit_kw
    config = {
        "battery": battery,
        "dispatch": site.storage.dispatch,
        "export_limit_w": inf if limit_kw is None else limit_kw * 1e3,
        "return_by_s": span_s if site.storage.soc_end == "start" else None,
    }
    soc = battery["soc_initial"] if battery else 0.0
    return Entity(site.name, "storage", "storage", "Battery", site.name, config, first={"SoC_end[1]": soc})


def _router(study: Study, sites: dict[str, SitePlan]) -> list[Entity]:
    """Between sites; none where every site serves its own requests."""
    if study.routing is None:
        return []
    if len({round(plan.copies, 9) for plan in sites.values()}) > 1:
        raise InputError(
            "routing: --mw makes different numbers of copies at the sites, expected the same everywhere"
        )
    config = {"sites": list(sites), "weights": study.routing, "seed": study.run.seed}
    return [Entity(NETWORK, "router", "router", "Router", "router", config, children=tuple(sites))]


def _network(study: Study, span: Span, timezone: str) -> list[Entity]:
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
        "background": None
        if network.stands_still
        else {
            "source": None if network.background is None else network.background.model_dump(mode="json"),
            "load": network.background_load,
            "generation": network.background_generation,
            "timezone": timezone,
            "start": span.start.isoformat(),
            "steps": span.steps,
        },
    }
    names = tuple(site.name for site in study.sites)
    return [Entity(NETWORK, "network", "grid", "Grid", "network", config, children=names)]
