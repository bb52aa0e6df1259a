"""The parts of a site, and the network, as plain values: what each simulator is made of, one function each."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from scenarios.between import of_origin, round_trips_s
from scenarios.measured import load_entities
from scenarios.outlook import ahead_of, facts_of, reach_of
from scenarios.plan import NETWORK, Entity, SitePlan
from scenarios.series import SiteSeries
from scenarios.span import Span
from scenarios.study import SiteStudy, Study
from simulators.errors import InputError
from simulators.grid.shares import At, buses_of
from simulators.profiles.site import Site
from simulators.quantities.facts import SiteFacts
from simulators.tariff.local import LocalTimes
from simulators.traffic.source import SERVE_S


def site_entities(
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
            sizes = {
                "batch_cap": site.serving.batch_cap,
                "replicas": site.simulated.instances,
                "least_replicas": site.least_replicas,
            }
            made.append(Entity(name, "shedding", "shedding", "Shedder", name, sizes))
        made.append(source)
        made.append(_cluster(study, site, plan))
        facility = {**plan.facility, "copies": plan.copies}
        made.append(Entity(name, "facility", "datacenter", "DataCenter", name, {"facility": facility}))
    made.append(_storage(site, place, series, study, span))
    return made


def _carbon(study: Study, site: SiteStudy, series: SiteSeries) -> Entity:
    if site.place.live_carbon is not None:
        if study.run.rt_factor is None:
            raise InputError(
                "--live-carbon: a source that grows, expected --rt-factor too: how fast the run goes"
            )
        config = {"source": site.place.live_carbon, "attribute": "CI[gCO2eq/kWh]"}
        return Entity(
            site.name, "carbon", "live", "Newest", f"{site.name}-carbon", config,
            silent=frozenset({"CI_marginal[gCO2eq/kWh]"}),
        )  # fmt: skip
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
    hash_tokens = site.serving.hash_tokens if site.looks_at_content else None
    workload = site.traffic.workload(start_of_day_s, float(study.run.length_s), study.run.seed, hash_tokens)
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
        "groups": [site.simulated.model_dump(mode="json")],
        "router": site.spread,
        "seed": study.run.seed,
        "bins": study.run.bins_per_step,
        "copies": plan.copies,
        "slo_ttft_s": site.cluster.slo_ttft,
        "slo_tpot_s": site.cluster.slo_tpot,
        "span_s": float(study.length_s),
        "network_s": round_trips_s(study, site),
        "reliability": site.reliability.model_dump(mode="json"),
    }
    replicas = site.simulated.instances
    first = {"awake[1]": replicas, "slots[1]": plan.copies * replicas * site.serving.batch_cap}
    pools = ("P_prefill_pool[MW]", "P_decode_pool[MW]", "P_transfer[MW]")
    silent = frozenset() if site.serving.prefill_replicas else frozenset(pools)
    return Entity(site.name, "cluster", "inference", "Cluster", site.name, config, first=first, silent=silent)


def _storage(site: SiteStudy, place: Site, series: SiteSeries, study: Study, span: Span) -> Entity:
    battery = None if "battery" in site.without else site.storage.battery()
    config = {
        "battery": battery,
        "dispatch": site.storage.dispatch,
        "connection": site.connection.plain(span.start, place.timezone, study.run.step, study.length_s),
        "return_by_s": study.run.length_s if site.storage.soc_end == "start" else None,
        "ageing_at_c": site.storage.ageing_at_c,
    }
    if battery and site.storage.plans:
        config["ahead"] = _ahead(site, place, series, study, span)
    soc = battery["soc_initial"] if battery else 0.0
    return Entity(site.name, "storage", "storage", "Battery", site.name, config, first={"SoC_end[1]": soc})


def _ahead(
    site: SiteStudy, place: Site, series: SiteSeries, study: Study, span: Span
) -> dict[str, list[float]]:
    """What a rule that plans may know of the run beforehand; never the load, which is simulated as it goes."""
    steps, step_s = study.steps, study.run.step
    times = LocalTimes.of(span.start, step_s, steps, place.timezone, 60 * site.tariff.billing_minutes)
    price = None if series.price is None else series.price[:steps]
    cost, worth = site.tariff.tariff().per_kwh(times, price)
    if price is not None and site.connection.curtail_at_negative_price:
        worth = np.where(price < 0.0, 0.0, worth)  # nothing is exported then
    own = [values for values in (series.pv_w, series.wind_w) if values is not None]
    ci = series.marginal if series.average is None else series.average
    known = {
        "ci_g_per_kwh": ci,
        "price_per_kwh": series.price,
        "generation_w": np.sum(own, axis=0) if own else None,
        "cost_per_kwh": cost,
        "worth_per_kwh": worth,
    }
    return {name: values[:steps].tolist() for name, values in known.items() if values is not None}


def network_entities(study: Study, span: Span, timezone: str) -> list[Entity]:
    """The power network, with the bus or buses of each site."""
    network = study.network
    if network is None:
        return []
    at: list[tuple[str, At]] = []
    for site in study.sites:
        if site.connection.bus is None:
            which = "" if len(study.sites) == 1 else f" for site {site.name}"
            raise InputError(f"--bus: not given{which}, expected the index or name of a bus of the network")
        at += [(site.name, one) for one in buses_of(site.connection.bus)]
    config = {
        "network": network.network,
        "buses": [one.bus for _, one in at],
        "sites": [name for name, _ in at],
        "shares": [one.share for _, one in at],
        "elements": network.elements,
        "voltage_limits": network.voltage_limits,
        "power_factor": network.power_factor,
        "enforce_q_lims": network.enforce_q_lims,
        "tap_control": network.voltage_control.set_point,
        "reactive": network.voltage_control.reactive,
        "reactive_mva": network.voltage_control.reactive_mva,
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
    names = tuple(name for name, _ in at)
    return [Entity(NETWORK, "network", "grid", "Grid", "network", config, children=names)]
