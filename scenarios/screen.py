"""A fast stand-in for the cluster: its power from its own load curve, with the error against the engine beside it.

For trying thousands of sizes or settings before a few are simulated; never what `simulate` does. The curve is that of
one replica with arrivals by chance. A router that deals requests out in turn makes them more even, which costs power at
low load: where few requests run at once the screen says too little, by a tenth and more, and `Screen.error` shows it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenarios.build import build
from scenarios.outlook import arrival_rates
from scenarios.plan import Plan
from scenarios.study import Study
from simulators.datacenter.plain import facility_from_plain
from simulators.errors import InputError
from simulators.inference.serving import build_cluster
from simulators.quantities.facts import SiteFacts
from simulators.quantities.load_curve import Mode
from simulators.quantities.requests import RequestBlock
from simulators.scheduler.fleet import Fleet
from simulators.traffic.options import workload_from_plain

Array = NDArray[np.float64]

POINTS = 400
"""Rates at which the site's power is looked up before it is interpolated over the steps."""

SMOOTH_S = 900.0
"""Rates are averaged over so long before the curve is read, s: it was measured at mean rates, with all their chance,
and chance from step to step must not count twice on a curve that is bent."""

WARM_UP_S = 600.0
"""Requests of so long before a sampled window are served too, s, so that the engine is at its load when it begins."""


@dataclass(frozen=True)
class ScreenError:
    """The screen against the engine, on the same requests.

    Attributes
    ----------
    steps
        Sampled ones.
    bias, rms
        Mean and root mean square difference of the site's power over its mean; positive: the screen says more.
    """

    steps: int
    bias: float
    rms: float


@dataclass(frozen=True)
class Screen:
    """One site without a policy, as its load curve has it.

    Attributes
    ----------
    plan, fleet
        What it was made of; the fleet under every lever.
    rates_per_s
        Requests of all copies, averaged over `SMOOTH_S`; shape (steps,).
    """

    plan: Plan
    fleet: Fleet
    rates_per_s: Array

    @classmethod
    def of(cls, study: Study) -> Screen:
        """Measure the load curve of a study's site, and count its requests.

        Raises
        ------
        InputError
            As `build`; of several sites, or one whose load is a file.
        """
        if len(study.sites) > 1 or not study.serves:
            raise InputError("screen: expected one site that serves requests")
        plan = build(study.changed(policy="none"), needs=frozenset({"load_curve"}))
        configs = {entity.part: entity.config for entity in plan.entities}
        facts = SiteFacts.from_plain(configs["controller"]["facts"])
        every, _ = arrival_rates(configs["traffic"]["workload"], study.steps, study.run.step)
        return cls(plan, Fleet(facts), facts.copies * _smooth(every, round(SMOOTH_S / study.run.step)))

    def load_w(self, replicas: int | None = None, mode: Mode | None = None) -> Array:
        """The site's power at the meter with so many replicas awake (default: all) in a mode (default: the configured).

        Returns
        -------
        array
            W; shape (steps,).
        """
        facts = self.fleet.facts
        awake, chosen = replicas or facts.replicas, mode or self.fleet.modes[0]
        if not 1 <= awake <= facts.replicas:
            raise InputError(f"screen: {awake} replicas awake, expected 1 to {facts.replicas}")
        each = self.rates_per_s / awake / facts.copies
        at = np.linspace(0.0, float(max(each.max(), 1e-9)), POINTS)
        watts = [self.fleet.meter_w(awake, chosen, rate) for rate in at.tolist()]
        found: Array = np.interp(each, at, watts)
        return found

    def table(self) -> pd.DataFrame:
        """Every number of replicas in every mode: energy, kWh, and the share of the time in which targets are kept."""
        facts, hours = self.fleet.facts, self.plan.study.run.step / 3600.0
        rows = []
        for replicas in range(1, facts.replicas + 1):
            each = self.rates_per_s / replicas / facts.copies
            for mode in self.fleet.modes:
                most = mode.most_per_s(facts.slo_ttft_s, facts.slo_tpot_s)
                rows.append(
                    {
                        "replicas": replicas,
                        "clock": mode.clock,
                        "chunk_tokens": mode.chunk_tokens,
                        "facility_kwh": float(self.load_w(replicas, mode).sum()) * hours / 1e3,
                        "slo_kept": float((each <= most).mean()),
                        "too_much": float((each > mode.rate_per_s[-1]).mean()),
                    }
                )
        return pd.DataFrame(rows)

    def error(self, windows: int = 6, steps: int = 10) -> ScreenError:
        """Simulate some windows spread over the run on the engine, and compare.

        Parameters
        ----------
        windows, steps
            How many, and how long each.
        """
        study, step_s = self.plan.study, self.plan.study.run.step
        configs = {entity.part: entity.config for entity in self.plan.entities}
        source = workload_from_plain(configs["traffic"]["workload"])
        facility = facility_from_plain(self.plan.site.facility)
        cluster, _ = build_cluster(
            study.site.serving, router_name=study.site.cluster.router, seed=study.run.seed
        )
        nothing = RequestBlock.concatenate([])
        said = self.load_w()
        pairs = []
        last = max(0, study.run.steps - steps)
        for first in sorted({round(share * last) for share in (np.arange(windows) + 0.5) / windows}):
            begins_at = max(cluster.now, first * step_s - WARM_UP_S)
            source.take(begins_at)
            cluster.advance(max(begins_at, cluster.now + 1e-6), nothing)
            if first * step_s > cluster.now:
                cluster.advance(float(first * step_s), source.take(float(first * step_s)))
            for step in range(first, min(first + steps, study.run.steps)):
                until = float((step + 1) * step_s)
                if until <= cluster.now:
                    continue
                interval = cluster.advance(until, source.take(until))
                meter = facility.power(interval.energy_j / (until - interval.begins_at), interval.busy)
                pairs.append((said[step], meter.facility_w * self.fleet.facts.copies))
        screened, engine = np.array(pairs).T
        off = (screened - engine) / engine.mean()
        return ScreenError(len(pairs), float(off.mean()), float(np.sqrt((off**2).mean())))


def _smooth(values: Array, width: int) -> Array:
    """Centred means over `width` values, fewer at the ends."""
    if width < 2:
        return values
    ones = np.ones(width)
    found: Array = np.convolve(values, ones, "same") / np.convolve(np.ones(len(values)), ones, "same")
    return found if len(values) >= width else np.full(len(values), values.mean())
