"""What all deployments of a search share: the study around them, its requests, targets and the objective."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

from scenarios.build import build, read
from scenarios.plan import Plan
from scenarios.search_choice import Targets
from scenarios.search_figures import Surroundings, serving_study
from scenarios.search_runs import WARM_UP_S
from scenarios.study import Study
from simulators.errors import InputError
from simulators.inference.catalogue import gpu
from simulators.inference.options import Serving
from simulators.tariff.gpu_hours import gpu_hours
from simulators.traffic.shapes import read_daily_shape


@dataclass(frozen=True)
class Setting:
    """What all deployments share.

    Attributes
    ----------
    study, plan, around
        The study, its plan with one of the deployments, and what stands around each.
    targets, objective
        What must be kept, and what is to be least.
    workload, steady
        Options for `workload_from_plain`; whether its requests come at one rate.
    span_s, warm_up_s
        Length of a run on the simulator alone, s, and what of it does not count.
    """

    study: Study
    plan: Plan
    around: Surroundings
    targets: Targets
    objective: str
    workload: Mapping[str, Any]
    steady: bool
    span_s: float
    warm_up_s: float

    @classmethod
    def of(
        cls,
        study: Study,
        servings: Sequence[Serving],
        *,
        objective: str,
        requests: int,
        percentile: float = 99.0,
        gpu_hour: str = "",
    ) -> Setting:
        """Read and check everything.

        Parameters
        ----------
        study
            One site that serves.
        servings
            Its deployments.
        objective
            A name of `OBJECTIVES`.
        requests
            Of a run on the simulator alone; all of the study's where they do not come at one rate.
        percentile, gpu_hour
            Of the targets; prices of GPU hours (`tariff.gpu_hours`).

        Raises
        ------
        InputError
            Whatever is wrong with the study or its files; if the objective cannot be known.
        """
        if len(study.sites) > 1 or not study.serves:
            raise InputError("search: expected one site that serves requests")
        first = serving_study(study, servings[0])
        series = read(first)
        plan = build(first, series)
        gpus = list(dict.fromkeys(serving.gpu for serving in servings))
        (own,) = series.values()
        around = Surroundings.of(plan, own, gpu_hours(gpu_hour, gpus))
        around.check(objective, gpus)
        for name in gpus:
            if name not in around.gpu_hour:
                around.reasons[f"cost of {name}"] = "no price of an hour of it is known (--gpu-hour)"
            if gpu(name).embodied_kg is None and study.site.accounting.gpu_embodied_kg is None:
                around.reasons[f"embodied carbon of {name}"] = "none is published, it counts as 0"
        workload = next(entity.config["workload"] for entity in plan.entities if entity.part == "traffic")
        steady = _steady(study)
        length_s, step_s = float(study.run.length_s), study.run.step
        span_s = length_s
        if steady:
            wanted_s = WARM_UP_S + requests / study.site.traffic.rate
            span_s = min(length_s, float(step_s * ceil(wanted_s / step_s)))
        targets = Targets(study.site.cluster.slo_ttft, study.site.cluster.slo_tpot, percentile)
        warm_up_s = WARM_UP_S if span_s < length_s else 0.0
        return cls(study, plan, around, targets, objective, workload, steady, span_s, warm_up_s)


def _steady(study: Study) -> bool:
    """Whether requests come at one rate."""
    traffic = study.site.traffic
    if traffic.trace is not None or traffic.diurnal.lower().endswith((".csv", ".csv.gz")):
        return False
    factors = read_daily_shape(traffic.diurnal).factors
    return bool((factors == factors[0]).all())
