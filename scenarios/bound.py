"""The least carbon that any schedule with the joint schedule's levers could emit: a linear programme, not a run."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scenarios.build import build
from scenarios.study import Study
from simulators.quantities.facts import SiteFacts
from simulators.scheduler.observation import Observation
from simulators.scheduler.policies.mpc import JointMpc

CURVE_ERROR = 0.03
"""The load curve is measured on the engine with some thousand requests, and interpolated: an assumption, 2 to 3 %."""


@dataclass(frozen=True)
class Bound:
    """Carbon of the best schedule, kgCO2eq; the battery is settled at the mean intensity of the time.

    Attributes
    ----------
    kg
        With targets of latency left aside: nothing with these levers emits less, but for `CURVE_ERROR`.
    kg_with_targets
        With the targets kept as percentiles at every rate, as ``mpc`` and ``oracle`` plan. A run may beat that: what is
        judged in the end is the percentile of the whole run.
    """

    kg: float
    kg_with_targets: float


def bound(study: Study) -> Bound:
    """Solve the whole run at once, told what will happen; replicas are no whole numbers, and none takes time to wake.

    Power within a quarter of an hour is convex in the rate (`Fleet.hull`), and so is import in load, so that means over
    the quarters bound every finer schedule. Requests leave the gate in time for their deadlines, as it makes them.

    Parameters
    ----------
    study
        One site; its policy does not matter.

    Raises
    ------
    InputError
        As `build`.
    """
    seen = observed(study)
    found = [JointMpc(horizon_s=inf, headroom=headroom, spare=0.0).least_kg(seen) for headroom in (inf, 1.0)]
    return Bound(*found)


def observed(study: Study) -> Observation:
    """What the joint schedule would see in the first step if it were told the whole run."""
    plan = build(study.changed(policy="oracle"))
    configs = {entity.part: entity.config for entity in plan.entities}
    steps, step_s = plan.study.steps, plan.study.run.step
    facts = SiteFacts.from_plain(configs["controller"]["facts"])
    each = round(facts.forecast_step_s / step_s)
    carbon = configs["carbon"]
    intensity = carbon["g_per_kwh"] if carbon["g_per_kwh"] is not None else carbon["marginal_g_per_kwh"]

    def blocks(values: Any) -> NDArray[np.float64]:
        whole = -(-steps // each) * each
        known = np.asarray(values, dtype=np.float64)[:steps]
        padded = np.pad(known, (0, whole - len(known)), mode="edge")
        means: NDArray[np.float64] = padded.reshape(-1, each).mean(axis=1)
        return means

    battery = configs["storage"]["battery"]
    return Observation(
        time_s=0,
        step_s=step_s,
        ci_forecast_g_per_kwh=blocks(intensity),
        arrivals_forecast_per_s=blocks(configs["arrivals_ahead"]["values"]),
        deferrable_forecast_per_s=blocks(configs["deferrable_ahead"]["values"]),
        generation_forecast_w=1e6 * blocks(configs["generation_ahead"]["values"]),
        soc=battery["soc_initial"] if battery else 0.0,
        facts=facts,
    )
