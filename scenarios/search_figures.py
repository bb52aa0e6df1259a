"""What a deployment costs and emits per token, from what its GPUs draw: building, grid, prices, making of hardware."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from scenarios.bill import UNSTATED, currency
from scenarios.hardware import hardware_of
from scenarios.plan import Plan
from scenarios.series import SiteSeries
from scenarios.study import Study
from simulators.datacenter.plain import facility_from_plain
from simulators.errors import InputError
from simulators.inference.options import Serving
from simulators.quantities.factor import Assumption, Factor
from simulators.tariff.gpu_hours import CURRENCY
from simulators.tariff.local import LocalTimes

J_PER_KWH = 3.6e6

OBJECTIVES = {
    "j_per_token": ("j_per_output_token", "J per output token"),
    "cost": ("cost_per_million_tokens", "per million output tokens"),
    "gco2": ("g_per_1k_tokens", "gCO₂eq per 1,000 output tokens"),
}
"""Objective -> its column, and what it is called; the less the better."""


def serving_study(study: Study, serving: Serving) -> Study:
    """The study with another deployment at its site."""
    return study.model_copy(update={"sites": (study.site.model_copy(update={"serving": serving}),)})


@dataclass(frozen=True)
class Surroundings:
    """What stands around every deployment of a search.

    Attributes
    ----------
    study, series
        The study, whose serving is replaced, and the series of its site.
    gpu_hour
        What an hour of each GPU costs.
    ci_g_per_kwh, price_per_kwh
        Means over the run: average carbon intensity; energy and fees by the tariff. None: not known.
    money
        Currency of costs.
    reasons
        Why a figure is not known, by its column, or what counts as nothing.
    """

    study: Study
    series: SiteSeries
    gpu_hour: Mapping[str, Factor]
    ci_g_per_kwh: float | None
    price_per_kwh: float | None
    money: str
    reasons: dict[str, str]

    @classmethod
    def of(cls, plan: Plan, series: SiteSeries, gpu_hour: Mapping[str, Factor]) -> Surroundings:
        """Of a plan, with prices of GPU hours that are in USD or the study's own.

        Examples
        --------
        >>> from scenarios.build import build, read
        >>> from simulators.tariff.gpu_hours import gpu_hours
        >>> study = Study().changed(days=0.01, own_supply="none")
        >>> around = Surroundings.of(build(study), read(study)["site"], gpu_hours("", ["h100"]))
        >>> row = around.row(study.site.serving, gpu_w=4000.0, busy=1.0, tokens_per_s=1000.0)
        >>> row["gpus"], row["j_per_output_token"], round(row["gpu_cost_per_million_tokens"], 2)
        (8, 4.0, 7.11)
        """
        study, reasons = plan.study, {}
        steps = study.run.steps
        ci = None if series.average is None else float(series.average[:steps].mean())
        if ci is None:
            reasons["g_per_1k_tokens"] = series.carbon_note or "no average carbon intensity is known"
        tariff = study.site.tariff
        local = LocalTimes.of(
            plan.start, study.run.step, steps, plan.site.timezone, 60 * tariff.billing_minutes
        )
        costs, _ = tariff.tariff().per_kwh(local, None if series.price is None else series.price[:steps])
        price = None if costs is None else float(costs.mean())
        money = currency(tariff, plan.site.price_unit)
        listed = any(factor.unit.startswith(CURRENCY) for factor in gpu_hour.values())
        if price is None:
            reasons["cost_per_million_tokens"] = "no price of energy is known (--price, --energy-price)"
        elif listed and money not in (CURRENCY, UNSTATED):
            reasons["cost_per_million_tokens"] = (
                f"energy costs {money} and the listed GPU hours {CURRENCY} (--gpu-hour)"
            )
        return cls(study, series, gpu_hour, ci, price, CURRENCY if listed else money, reasons)

    def row(self, serving: Serving, gpu_w: float, busy: float, tokens_per_s: float) -> dict[str, Any]:
        """Figures of a deployment that draws so much and gives so many output tokens; None: not known.

        Parameters
        ----------
        serving
            The deployment.
        gpu_w, busy, tokens_per_s
            Of all its GPUs, W; share of the time in which they work; output tokens per second.
        """
        made = hardware_of(self.study, serving_study(self.study, serving).site, self.series)
        facility = facility_from_plain(made.facility)
        steps = self.study.run.steps
        meter_w = float(
            np.mean(facility.power(np.full(steps, gpu_w), np.full(steps, busy), slice(0, steps)).facility_w)
            if self.series.outdoor
            else facility.power(gpu_w, busy).facility_w
        )
        embodied_kg = sum(part.kg for part in (made.embodied or {}).values())
        return self.per_token(
            serving,
            gpu_j=gpu_w / tokens_per_s,
            meter_j=meter_w / tokens_per_s,
            gpu_s=serving.gpus / tokens_per_s,
            embodied_g=1e3 * embodied_kg / self.study.length_s / tokens_per_s,
            tokens_per_s=tokens_per_s,
        )

    def per_token(
        self,
        serving: Serving,
        *,
        gpu_j: float,
        meter_j: float,
        gpu_s: float,
        embodied_g: float,
        tokens_per_s: float,
        carbon_g: float | None = None,
        energy_cost: float | None = None,
    ) -> dict[str, Any]:
        """The same from what one output token takes: J of the GPUs and at the meter, GPU-seconds, gCO2eq embodied.

        `carbon_g` and `energy_cost`: operational carbon and cost of energy of a token where they were accounted for
        step by step; else by the means.
        """
        kwh = meter_j / J_PER_KWH
        if carbon_g is None and self.ci_g_per_kwh is not None:
            carbon_g = kwh * self.ci_g_per_kwh
        if energy_cost is None and self.price_per_kwh is not None:
            energy_cost = kwh * self.price_per_kwh
        hour = self.gpu_hour.get(serving.gpu)
        rent = None if hour is None else gpu_s / 3600.0 * hour.value
        known = "cost_per_million_tokens" not in self.reasons and energy_cost is not None and rent is not None
        return {
            "gpus": serving.gpus,
            "j_per_output_token": gpu_j,
            "meter_j_per_output_token": meter_j,
            "cost_per_million_tokens": 1e6 * (energy_cost + rent) if known else None,  # type: ignore[operator]
            "gpu_cost_per_million_tokens": None if rent is None else 1e6 * rent,
            "energy_cost_per_million_tokens": None if energy_cost is None else 1e6 * energy_cost,
            "g_per_1k_tokens": None if carbon_g is None else 1e3 * (carbon_g + embodied_g),
            "operational_g_per_1k_tokens": None if carbon_g is None else 1e3 * carbon_g,
            "embodied_g_per_1k_tokens": 1e3 * embodied_g,
            "tokens_per_s_per_gpu": tokens_per_s / serving.gpus,
        }

    def check(self, objective: str, gpus: list[str]) -> None:
        """Whether the objective can be known at all.

        Raises
        ------
        InputError
            If not, with what is missing.
        """
        if reason := self.reasons.get(OBJECTIVES[objective][0]):
            raise InputError(f"--objective {objective}: {reason}")
        unknown = [name for name in gpus if name not in self.gpu_hour]
        if objective == "cost" and unknown:
            raise InputError(
                f"--objective cost: no price of an hour of {unknown[0]} is known, expected --gpu-hour "
                f"{','.join(f'{name}=PRICE' for name in gpus)}"
            )

    def assumptions(self) -> list[Assumption]:
        """What costs and carbon rest on."""
        found = [Assumption(f"gpu_hour {name}", factor) for name, factor in self.gpu_hour.items()]
        means = (
            ("carbon_intensity", self.ci_g_per_kwh, "gCO2eq/kWh", "mean of the site's series over the run"),
            (
                "energy_price",
                self.price_per_kwh,
                f"{self.money}/kWh",
                "mean of the tariff over the run, fees in it",
            ),
        )
        return found + [
            Assumption(name, Factor(value, value, value, unit, source))
            for name, value, unit, source in means
            if value is not None
        ]
