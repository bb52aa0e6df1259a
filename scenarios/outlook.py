"""What a controller is told beforehand: the facts of its site, and forecasts of whatever its policy asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scenarios.plan import Entity, SitePlan
from scenarios.series import SiteSeries
from scenarios.study import SiteStudy, Study
from simulators.datacenter.plain import facility_from_plain
from simulators.errors import InputError
from simulators.inference.hosts import BOOT, GPUS_PER_HOST
from simulators.inference.load_curve import load_curve
from simulators.inference.serving import parked_states, power_law_of
from simulators.inference.sizing import sizing
from simulators.quantities.facts import BatteryFacts, SiteFacts
from simulators.quantities.load_curve import LoadCurve
from simulators.scheduler.policies import outlook_of
from simulators.storage.battery import BatteryConfig
from simulators.traffic.options import workload_from_plain
from simulators.traffic.source import SERVE_S

Array = NDArray[np.float64]

SAMPLE = 3000
"""Requests whose lengths stand for all when a replica's load curve is measured."""


@dataclass(frozen=True)
class Reach:
    """How far the forecasts of a site reach, and in which steps they are told.

    Attributes
    ----------
    steps
        Steps of the run that they look ahead, at least one.
    mean_s
        What one value is the mean of, s.
    name
        Which forecast (`simulators.quantities.forecast`).
    """

    steps: int
    mean_s: int
    name: str

    def options(self, study: Study, site: SiteStudy, number: int = 0) -> dict[str, Any]:
        """Options of a forecast; several of a site differ in their `number`, which sets their noise apart."""
        given: dict[str, Any] = {
            "name": self.name, "horizon_s": self.steps * study.run.step, "mean_s": self.mean_s,
        }  # fmt: skip
        if self.name == "noisy":
            given |= {"seed": study.run.seed + number, "relative_error": site.control.forecast_error}
        return given


def reach_of(study: Study, site: SiteStudy) -> Reach:
    """How far ahead a site's policy sees: as it says, else as long as requests may be deferred."""
    step_s = study.run.step
    outlook = outlook_of(site.control.policy)
    if outlook.horizon_s is None:
        steps = round(site.traffic.defer_hours * 3600 / step_s)
    else:
        steps = study.steps if outlook.horizon_s == inf else round(outlook.horizon_s / step_s)
    each = max(1, round((outlook.forecast_step_s or step_s) / step_s))
    name = "perfect" if outlook.foresight else site.control.forecast
    return Reach(max(each, steps - steps % each, 1), each * step_s, name)


def facts_of(study: Study, site: SiteStudy, plan: SitePlan, workload: Mapping[str, Any]) -> SiteFacts:
    """What the controller of a site knows from the start.

    Parameters
    ----------
    study, site, plan
        The site in its study.
    workload
        Options of its requests; their lengths are those the load curve is measured with, if the policy asks for one.
    """
    limits = [site.connection.import_limit_kw, site.connection.export_limit_kw]
    import_w, export_w = (inf if limit is None else limit * 1e3 for limit in limits)
    site_alone = SiteFacts(
        end_s=float(study.length_s),
        arrivals_end_s=float(study.run.length_s),
        copies=plan.copies,
        import_limit_w=import_w,
        export_limit_w=export_w,
        serve_s=SERVE_S,
        defer_window_s=site.traffic.defer_hours * 3600,
        forecast_step_s=reach_of(study, site).mean_s,
        slo_ttft_s=site.cluster.slo_ttft,
        slo_tpot_s=site.cluster.slo_tpot,
        battery=_battery(site),
    )
    if not site.serves:
        return site_alone
    made, serving = sizing(site.simulated), site.simulated
    per_replica = made.gpus // serving.instances
    facility = facility_from_plain(plan.facility)
    base_w, gpu_w, busy_w = (facility.power(*at).facility_w for at in ((0.0, 0.0), (1e3, 0.0), (0.0, 1.0)))
    hosts = max(facility.nodes, 1)
    off = parked_states(serving).get("off")
    return replace(
        site_alone,
        replicas=serving.instances,
        least_replicas=site.least_replicas,
        gpus=made.gpus,
        replicas_per_host=max(1, GPUS_PER_HOST // per_replica),
        gpu_limit_w=made.limit_w,
        gpu_idle_w=power_law_of(serving).idle_w,
        replica_off_w=off.power_w * per_replica if off else inf,
        wake_s=off.leave_s if off else 0.0,
        boot_s=BOOT.value,
        meter_per_gpu_w=(gpu_w - base_w) / 1e3,
        host_w=base_w / hosts,
        host_busy_w=(busy_w - base_w) / hosts,
        curve=_curve(site, workload) if "load_curve" in plan.needs else None,
    )


def _battery(site: SiteStudy) -> BatteryFacts | None:
    if "battery" in site.without:
        return None
    found = BatteryConfig(**site.storage.battery())
    return BatteryFacts(
        found.capacity_wh, found.charge_limit_w, found.discharge_limit_w,
        found.charge_efficiency, found.discharge_efficiency, found.soc_min, found.soc_max,
    )  # fmt: skip


def _curve(site: SiteStudy, workload: Mapping[str, Any]) -> LoadCurve | None:
    """One replica's load curve with the first requests of the site; None where there is none to come."""
    source = workload_from_plain(workload)
    until_s, lengths = 900.0, source.take(900.0)
    while len(lengths) < SAMPLE and not source.exhausted and until_s < 30 * 86_400:
        until_s *= 2
        lengths = lengths.concatenate([lengths, source.take(until_s)])
    if not len(lengths):
        return None
    lengths = lengths[:SAMPLE]
    return load_curve(site.serving, lengths.prefill_tokens.tolist(), lengths.decode_tokens.tolist())


def ahead_of(
    study: Study, site: SiteStudy, plan: SitePlan, series: SiteSeries, workload: Mapping[str, Any]
) -> list[Entity]:
    """The forecasters of a site, those its policy asks for."""
    reach, name, steps = reach_of(study, site), site.name, study.steps
    if reach.name == "file":
        reach = Reach(reach.steps, reach.mean_s, "persistence")
    told: list[tuple[str, str, Array]] = []
    if "price_forecast" in plan.needs and series.price is not None:
        told.append(("price_ahead", "price_forecast[1/kWh]", series.price))
    if "generation_forecast" in plan.needs:
        own = [power_w for power_w in (series.pv_w, series.wind_w) if power_w is not None]
        told.append(("generation_ahead", "P_gen_forecast[MW]", sum(own, np.zeros(steps)) / 1e6))
    if "arrivals_forecast" in plan.needs:
        every, deferrable = (plan.copies * rates for rates in arrival_rates(workload, steps, study.run.step))
        told.append(("arrivals_ahead", "arrivals_forecast[1/s]", every))
        told.append(("deferrable_ahead", "deferrable_forecast[1/s]", deferrable))
    return [
        Entity(
            name, part, "price", "Ahead", f"{name}-{part}",
            {
                "values": _beyond(values, reach.steps, study.run.step).tolist(),
                "attribute": attribute,
                "forecast": reach.options(study, site, number),
            },
        )
        for number, (part, attribute, values) in enumerate(told, start=1)
    ]  # fmt: skip


def _beyond(values: Array, steps: int, step_s: int) -> Array:
    """Values for some steps more: those of the last day again."""
    day = values[-min(len(values), max(1, 86_400 // step_s)) :]
    return np.concatenate((values, np.resize(day, steps)))


def arrival_rates(workload: Mapping[str, Any], steps: int, step_s: int) -> tuple[Array, Array]:
    """Arrivals per second in each step, all of them and those that may be held; each of shape (steps,).

    Raises
    ------
    InputError
        If the requests cannot be read.

    Examples
    --------
    >>> every, held = arrival_rates({"rate_per_s": 2.0, "lengths": "fixed:512:128", "horizon_s": 3600}, 120, 60)
    >>> bool(1.8 < every[:60].mean() < 2.2), float(every[60:].sum()), float(held.sum())
    (True, 0.0, 0.0)
    """
    source = workload_from_plain(workload)
    counts = np.zeros((2, steps))
    for until in range(0, steps * step_s, 86_400):
        if source.exhausted:
            break
        block = source.take(float(min(until + 86_400, steps * step_s)))
        at = (block.arrived_at // step_s).astype(np.int64)
        counts[0] += np.bincount(at, minlength=steps)
        counts[1] += np.bincount(at[block.deferrable], minlength=steps)
    every, deferrable = counts / step_s
    return every, deferrable


def check_needs(site: SiteStudy, plan_needs: frozenset[str], has_price: bool, every: frozenset[str]) -> None:
    """Refuse a policy that asks for what the site does not have; one that asks for all takes what there is.

    Raises
    ------
    InputError
        Names policy, signal and the option that helps.
    """
    if plan_needs == every:
        return
    spec = site.control.policy
    if plan_needs & {"price", "price_forecast"} and not has_price:
        raise InputError(f"--policy {spec}: site {site.place.site_name} has no price, expected --price FILE")
    if plan_needs & {"carbon", "carbon_forecast", "marginal"} and "carbon" in site.without:
        raise InputError(f"--policy {spec}: needs a carbon intensity, expected no --without carbon")
