"""From options to everything a run needs: series for every step, the cluster, the facility, the battery."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from scenarios.options import ROOT, SiteOptions
from simulators.carbon.forecast import Forecast, forecast
from simulators.datacenter.cooling import ConstantPue
from simulators.datacenter.embodied import site_embodied_kg
from simulators.datacenter.facility import Facility
from simulators.errors import InputError
from simulators.generation.per_unit import per_unit_power_w
from simulators.generation.run import pv_for_run, wind_for_run
from simulators.inference.catalogue import gpu
from simulators.inference.cluster import Cluster
from simulators.inference.metrics import Metrics
from simulators.inference.serving import build_cluster
from simulators.profiles.profile import Profile
from simulators.profiles.readers import read_csv_profile
from simulators.profiles.site import SeriesFile, Site, WeatherFile, load_site
from simulators.profiles.weather import Weather, read_weather
from simulators.quantities.requests import Workload
from simulators.recorder.summary import sha256
from simulators.scheduler.policies import Policy, Unhurried, policy
from simulators.storage.battery import Battery, BatteryConfig
from simulators.traffic.options import workload_from_options
from simulators.traffic.source import DRAIN_S, ReleasedBefore

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Input:
    """A file that went into a run."""

    what: str
    file: str
    sha256: str
    licence: str = ""

    def entry(self) -> dict[str, str]:
        """For `config.json` and the report; bundled files are named from the project's root."""
        file = self.file.replace(f"{ROOT}/", "")
        return {"what": self.what, "file": file, "sha256": self.sha256, "licence": self.licence}


@dataclass
class Setup:
    """One run, ready to be wired; series have one value per step."""

    options: SiteOptions
    site: Site
    start: datetime
    carbon_g_per_kwh: Array
    price_per_kwh: Array | None
    price_unit: str
    pv_w: Array | None
    wind_w: Array | None
    cluster: Cluster
    metrics: Metrics
    facility: Facility
    battery: Battery | None
    policy: Policy
    forecast: Forecast
    embodied_kg: float
    rated_w: float
    inputs: list[Input]
    facts: dict[str, Any]
    notes: list[str]


def prepare(options: SiteOptions) -> Setup:
    """Read every file, check that it covers the run, and build the parts of the site.

    Raises
    ------
    InputError
        Whatever is wrong with the options or the files.
    """
    site = load_site(options.site)
    start = options.starts_at(site.start, site.timezone).astimezone(UTC)
    steps, step_s = options.steps, options.step
    inputs: list[Input] = []
    notes = site.all_notes()

    carbon = read_csv_profile(options.carbon, "carbon") if options.carbon else site.carbon()
    inputs.append(_input("carbon intensity", carbon, None if options.carbon else site.carbon_file))
    price = read_csv_profile(options.price, "price") if options.price else site.price()
    if price is not None:
        inputs.append(_input("price", price, None if options.price else site.price_file))
    elif options.policy == "price":
        raise InputError(f"--policy price: site {site.name} has no price, expected --price FILE")
    carbon_series = carbon.means(start, step_s, steps)

    weather = read_weather(options.weather, **_place(site)) if options.weather else None
    pv_w = None if "pv" in options.without else _pv(options, site, weather, start, inputs)
    wind_w = None if "wind" in options.without else _wind(options, site, weather, start, inputs)
    battery = None if "battery" in options.without else _battery(options)

    workload = _workload(options, site, start, inputs)
    cluster, facts = build_cluster(
        options.serving,
        workload,
        router_name=options.router,
        seed=options.seed,
        bins_per_interval=options.bins_per_step,
    )
    facility = Facility(overhead=ConstantPue(options.pue), power_chain_efficiency=max(0.96, 1 / options.pue))
    if options.node_overhead:
        facility = Facility.for_gpus(
            facts["gpus"], overhead=facility.overhead, power_chain_efficiency=facility.power_chain_efficiency
        )
    device = gpu(options.gpu)
    embodied_kg = 0.0
    if device.embodied_kg is None:
        notes.append(f"No embodied carbon of the {device.title} is published: it counts as 0.")
    embodied_kg = site_embodied_kg(
        device.embodied_kg or 0.0, facts["gpus"], facility.nodes, reserved_s=float(steps * step_s)
    )
    notes.append(f"Iteration times: {facts['iteration_time']} ({facts['iteration_time_why']}).")
    notes.append(f"GPU power: the {options.power_law} law.")
    window_s = options.defer_hours * 3600
    rules: dict[str, dict[str, Any]] = {"carbon": {"window_s": window_s, "least_spread_s": window_s / 4}}
    return Setup(
        options=options,
        site=site,
        start=start,
        carbon_g_per_kwh=carbon_series,
        price_per_kwh=None if price is None else price.means(start, step_s, steps),
        price_unit="" if price is None else price.unit,
        pv_w=pv_w,
        wind_w=wind_w,
        cluster=cluster,
        metrics=Metrics(),
        facility=facility,
        battery=battery,
        policy=Unhurried(policy(options.policy, **rules.get(options.policy, {}))),
        forecast=_forecast(options, carbon_series, window_s),
        embodied_kg=embodied_kg,
        rated_w=facility.power(facts["gpus"] * facts["gpu_max_w"]).facility_w,
        inputs=inputs,
        facts=facts,
        notes=notes,
    )


def _input(what: str, series: Profile | Weather, bundled: SeriesFile | WeatherFile | None) -> Input:
    return Input(what, series.source, series.sha256, bundled.licence if bundled else "your own")


def _place(site: Site) -> dict[str, Any]:
    return {"latitude": site.latitude, "longitude": site.longitude, "altitude_m": site.altitude_m}


def _pv(
    options: SiteOptions, site: Site, weather: Weather | None, start: datetime, inputs: list[Input]
) -> Array:
    peak_w = options.pv_kw * 1e3
    profile = read_csv_profile(options.pv_profile, "pv") if options.pv_profile else None
    if profile is None and weather is None:
        profile = site.pv_per_unit()
    if profile is not None:
        inputs.append(_input("PV per unit", profile, None if options.pv_profile else site.pv_file))
        return per_unit_power_w(profile.means(start, options.step, options.steps), peak_w)
    weather = weather or site.weather()
    if weather is None:
        raise InputError(f"site {site.name} has no weather for PV: expected --weather FILE or --without pv")
    inputs.append(_input("weather for PV", weather, None if options.weather else site.weather_file))
    return pv_for_run(weather, start, options.step, options.steps, peak_w=peak_w)


def _wind(
    options: SiteOptions, site: Site, weather: Weather | None, start: datetime, inputs: list[Input]
) -> Array:
    rated_w = options.wind_kw * 1e3
    profile = read_csv_profile(options.wind_profile, "wind") if options.wind_profile else None
    has_wind = weather is not None and weather.wind_speed_m_s is not None
    if profile is None and not has_wind:
        profile = site.wind_per_unit()
    if profile is not None:
        inputs.append(_input("wind per unit", profile, None if options.wind_profile else site.wind_file))
        return per_unit_power_w(profile.means(start, options.step, options.steps), rated_w)
    chosen = weather if has_wind else site.wind_weather()
    if chosen is None:
        raise InputError(
            f"site {site.name} has no wind: expected a weather FILE with wind speed or --without wind"
        )
    inputs.append(
        _input("weather for wind", chosen, None if has_wind else site.wind_weather_file or site.weather_file)
    )
    return wind_for_run(chosen, start, options.step, options.steps, rated_w=rated_w)


def _battery(options: SiteOptions) -> Battery:
    capacity_wh = options.battery_kwh * 1e3
    power_w = capacity_wh / options.battery_hours
    if options.soc_start < options.soc_min:
        raise InputError(
            f"--soc-start: {options.soc_start} given, expected at least --soc-min {options.soc_min}"
        )
    return Battery(
        BatteryConfig(
            capacity_wh,
            max_charge_w=power_w,
            max_discharge_w=power_w,
            soc_min=options.soc_min,
            soc_initial=options.soc_start,
        )
    )


def _workload(options: SiteOptions, site: Site, start: datetime, inputs: list[Input]) -> Workload:
    local = start.astimezone(ZoneInfo(site.timezone))
    span_s = float(options.steps * options.step)
    if options.trace:
        workload = workload_from_options(
            requests=options.trace,
            deferrable_share=options.deferrable_share,
            defer_window_s=options.defer_hours * 3600,
            seed=options.seed,
        )
        inputs.append(Input("request trace", str(options.trace), sha256(options.trace), "your own"))
    else:
        workload = workload_from_options(
            rate_per_s=options.rate,
            lengths=options.lengths,
            diurnal=options.diurnal,
            start_of_day_s=local.hour * 3600.0 + local.minute * 60.0 + local.second,
            horizon_s=span_s,
            deferrable_share=options.deferrable_share,
            defer_window_s=options.defer_hours * 3600,
            seed=options.seed,
        )
        shape, licence = Path(options.diurnal), "your own"
        if not shape.is_file():
            shape = ROOT / "data" / "traffic" / f"{options.diurnal}.json"
            licence = "own computation from ServeGen (Apache-2.0) and Azure LLM traces (CC BY 4.0)"
        if shape.is_file():
            inputs.append(Input("daily shape of the traffic", str(shape), sha256(shape), licence))
    return ReleasedBefore(workload, max(0.0, span_s - DRAIN_S))


def _forecast(options: SiteOptions, carbon: Array, window_s: float) -> Forecast:
    horizon_s = max(options.step, round(window_s / options.step) * options.step)
    extra: dict[str, Any] = {"seed": options.seed} if options.forecast == "noisy" else {}
    return forecast(options.forecast, carbon, options.step, horizon_s, **extra)
