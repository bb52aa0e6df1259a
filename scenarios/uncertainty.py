"""How far a site's headline figures can be off, and what each hangs on most.

Every input of load, building, factors and contracts that carries a range is moved to its ends alone, and what that does
to every headline figure is worked out through the chain (`headline`). What PV, wind and battery yield stays as it was.
Inputs are taken as independent, so low and high are the value less and plus the root of
the sum of the squares of what they do. Ranges of power and time hold 90 % of unseen servers; those of published factors
are what their sources give.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, sqrt
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenarios.headline import Headline, Moved, life_of
from scenarios.plan import Plan, SitePlan
from scenarios.ranges import Driver, Range, Uncertainty
from scenarios.result import Figures
from simulators.datacenter.facility import Facility
from simulators.datacenter.options import FacilityOptions
from simulators.datacenter.plain import facility_from_plain
from simulators.inference.grounds import trust

BUSY_FULL = 0.95
"""Share of the time busy from which on more time per iteration means fewer tokens."""
BUILDING: dict[str, tuple[str, ...]] = {
    "power of the hosts around the GPUs": ("host_idle_w", "host_full_w"),
    "fans' share": ("fan_share",),
    "servers' power supplies": ("psu_efficiency",),
    "PUE, not named in the study": ("pue",),
    "share of the cooling that never falls": ("pue_fixed_share",),
    "supply temperature": ("supply_temperature",),
    "heat exchangers' approach": ("approach",),
    "warming through the servers": ("return_rise",),
    "chillers' COP": ("chiller_cop",),
    "pumps and fans of the building": ("circulation",),
}
"""Constants of the building (`datacenter.options`) that move together, with their ranges there."""
CHAIN: dict[str, tuple[str, ...]] = {
    "efficiency of the power chain": ("power_chain_efficiency",),
    "efficiency of the UPS": ("ups_efficiency",),
    "rating of the UPS": ("ups_capacity",),
}
"""Those of the power chain, where its losses are no part of a PUE."""
MEASURED = "the load is measured, and no constant with a range goes into its headline figures"
DRIVERS = 3
"""How many are told."""

Power = float | NDArray[np.float64]


@dataclass(frozen=True)
class _Input:
    """One input at its low and at its high end."""

    name: str
    ends: tuple[Moved, Moved]


def uncertainty(
    plan: Plan, name: str, figures: Figures, frame: pd.DataFrame, facts: Mapping[str, Any]
) -> Uncertainty:
    """Ranges of a site's headline figures.

    Parameters
    ----------
    plan, name
        The run, and the site's name in it.
    figures, frame
        What its run came to, and its rows of the time series.
    facts
        What was built (`serving.build_replicas`), of several groups each under `groups`.
    """
    served, site = figures.inference, plan.sites[name]
    if served is None:
        return _of_measured(plan, name, figures, frame)
    groups: Sequence[Mapping[str, Any]] = facts.get("groups") or [facts]
    grounds = dict.fromkeys(
        ground for group in groups for ground in trust(group["power"], group["time"], served.batch_size_mean)
    )
    told = {
        "trust": tuple(ground.text for ground in grounds),
        "stand_ins": tuple(ground.text for ground in grounds if ground.stand_in),
    }
    unknown = next((g["power"]["interval"] for g in groups if g["power"]["low"] is None), None)
    if unknown or not served.decode_tokens:
        return Uncertainty(reason=unknown or "no output token was made", **told)
    meter = _Meter.of_cluster(site, figures)
    inputs = [*_at_gpus(groups, figures, meter), *meter.moved(), *_factors(site, figures)]
    ranges = ranges_of(Headline(plan, name, figures, frame), inputs)
    return Uncertainty(**ranges, drivers=ranges["facility_mwh"].drivers, **told)


def _of_measured(plan: Plan, name: str, figures: Figures, frame: pd.DataFrame) -> Uncertainty:
    """Of a load that is a file: only what a constant with a range moves has one, as its own error is not known."""
    site = plan.sites[name]
    building = [] if site.study.measured.load_at == "meter" else _Meter.of_load(site, frame, plan).moved()
    inputs = [*building, *_factors(site, figures)]
    ranges = {
        key: found
        for key, found in ranges_of(Headline(plan, name, figures, frame), inputs).items()
        if found.drivers
    }
    if not ranges:
        return Uncertainty(reason=MEASURED)
    facility = ranges.get("facility_mwh")
    return Uncertainty(**ranges, drivers=facility.drivers if facility else ())


def ranges_of(headline: Headline, inputs: Sequence[_Input]) -> dict[str, Range]:
    """The range of every headline figure the run has, with its largest drivers."""
    base = headline.at(Moved())
    moved = [(entry.name, [headline.at(end) for end in entry.ends]) for entry in inputs]
    found = {}
    for key, value in base.items():
        if value is None:
            continue
        drivers = []
        down, up = 0.0, 0.0
        for name, ends in moved:
            changes = [(end[key] or 0.0) - value for end in ends]
            low, high = min(0.0, *changes), max(0.0, *changes)
            down, up = down + low**2, up + high**2
            if high > low:
                drivers.append((high - low, name, low, high))
        drivers.sort(key=lambda entry: -entry[0])
        by = abs(value) or 1.0
        # what no input alone brings below 0 does not get there by their sum of squares
        least = min([value, *(end[key] or 0.0 for _, ends in moved for end in ends)])
        floor = 0.0 if least >= 0 else -inf
        found[key] = Range(
            low=max(floor, value - sqrt(down)),
            value=value,
            high=value + sqrt(up),
            drivers=tuple(
                Driver(name=n, low=low / by, high=high / by) for _, n, low, high in drivers[:DRIVERS]
            ),
        )
    return found


WORDS = {
    "gpu": "making of a GPU",
    "server": "making of a server",
    "building": "making of the building",
    "pv": "life cycle of PV",
    "wind": "life cycle of wind",
    "battery": "making of the battery",
}
"""What factors are called among the drivers."""


def _factors(site: SitePlan, figures: Figures) -> list[_Input]:
    """Factors of hardware, own supply and contracts that carry a range."""
    ends: dict[str, tuple[float, float, str]] = {}
    for kind, hardware in site.embodied.items():
        ends[kind] = (hardware.each.low, hardware.each.high, WORDS[kind])
        life = life_of(kind)
        ends[life] = (hardware.life.low, hardware.life.high, f"life of {life.removesuffix(' life')}")
    for kind, part in figures.own_supply.items():
        ends[kind] = (part.factor_low, part.factor_high, WORDS[kind])
        if part.life_low is not None and part.life_high is not None:
            ends[f"{kind} life"] = (part.life_low, part.life_high, f"life of the {kind}")
    if residual := site.study.accounting.residual:
        ends["residual mix"] = (residual.low, residual.high, "residual mix")
    return [
        _Input(words, (Moved(factors={key: low}), Moved(factors={key: high})))
        for key, (low, high, words) in ends.items()
        if low < high
    ]


def _at_gpus(groups: Sequence[Mapping[str, Any]], figures: Figures, meter: _Meter) -> list[_Input]:
    """Power of the work, idle power and iteration time, of all groups together."""
    served = figures.served
    seconds, busy = figures.simulated_s, served.busy_mean
    # a group of a fleet is as busy as the whole: its own time is not in the summary
    work = [0.0, 0.0]
    idle = [0.0, 0.0]
    slower = [0.0, 0.0]
    whole = sum(group["gpus"] for group in groups)
    for group in groups:
        power, time = group["power"], group["time"]
        share = group["gpus"] / whole
        gpus_s = sum(entry.gpus for entry in served.groups.values()) * share * seconds
        above_j = max(
            0.0,
            (served.gpu_energy_j.prefill + served.gpu_energy_j.decode) * share
            - power["idle_w"] * busy * gpus_s,
        )
        floor_j = served.gpu_energy_j.total * share - above_j
        per_time_j = power["active_w"] * busy * gpus_s + (floor_j if busy >= BUSY_FULL else 0.0)
        for end, side in enumerate(("low", "high")):
            work[end] += (power[side] - 1.0) * above_j
            idle[end] += (power["idle_range_w"][end] / power["idle_w"] - 1.0) * floor_j
            slower[end] += (time[side] - 1.0) * per_time_j
    named = {"power of the work done": work, "power of idle GPUs": idle, "time per iteration": slower}
    return [
        _Input(name, (Moved(low, meter.passed_on(low)), Moved(high, meter.passed_on(high))))
        for name, (low, high) in named.items()
    ]


class _Meter:
    """What a change at the GPUs, and in the building, does at the meter.

    Parameters
    ----------
    plan, options
        The site, and its facility's options.
    gpu_w, busy
        Power of all GPUs, W, and how busy they are: of a cluster its means, of a measured load its power per interval.
    seconds
        Length of the run, s.
    """

    def __init__(
        self, plan: SitePlan, options: FacilityOptions, gpu_w: Power, busy: float, seconds: float
    ) -> None:
        self._gpu_w, self._busy, self._seconds, self._options = gpu_w, busy, seconds, options
        self._copies = plan.copies
        self._plain = {
            name: np.asarray(value) if isinstance(value, list) else value
            for name, value in plan.facility.items()
        }
        self._facility = facility_from_plain(self._plain)

    @classmethod
    def of_cluster(cls, plan: SitePlan, figures: Figures) -> Self:
        """At the mean power of its GPUs."""
        served, seconds = figures.served, figures.simulated_s
        mean_w = served.gpu_energy_j.total / seconds
        return cls(plan, plan.study.facility, mean_w, min(1.0, served.busy_mean), seconds)

    @classmethod
    def of_load(cls, plan: SitePlan, frame: pd.DataFrame, whole: Plan) -> Self:
        """At the power in every interval of what was measured at the servers' plugs."""
        options = plan.study.facility.model_copy(update={"node_overhead": False})
        it_w = frame["it_mw"].to_numpy() * 1e6
        return cls(plan, options, it_w, 1.0, len(frame) * whole.study.run.step)

    def _at(self, facility: Facility, gpu_w: Power) -> float:
        """Energy at the meter of a run at this power, J: the mean over all weather."""
        power = facility.power(np.maximum(0.0, gpu_w) / self._copies, self._busy, slice(None))
        return float(np.mean(power.facility_w)) * self._copies * self._seconds

    def passed_on(self, joules: float) -> float:
        """Change at the meter for a change at the GPUs, J."""
        moved = self._at(self._facility, self._gpu_w + joules / self._seconds)
        return moved - self._at(self._facility, self._gpu_w)

    def moved(self) -> list[_Input]:
        """Every constant of the building with a range, at its ends."""
        base, known = self._at(self._facility, self._gpu_w), self._options.factors()
        found = []
        for name, together in (BUILDING | (CHAIN if self._options.outdoor else {})).items():
            factors = {key: known[key] for key in together if key in known}
            if all(factor.low == factor.high for factor in factors.values()):
                continue
            changes = []
            for side in ("low", "high"):
                ends = {key: getattr(factor, side) for key, factor in factors.items()}
                changes.append(self._at(facility_from_plain(self._plain | ends), self._gpu_w) - base)
            found.append(_Input(name, (Moved(meter_j=min(changes)), Moved(meter_j=max(changes)))))
        return found


def all_sites(sites: Sequence[Uncertainty]) -> Uncertainty:
    """Of several sites together: they share GPUs' laws and rules, so their errors add up."""
    if len(sites) == 1:
        return sites[0]
    told = {
        name: tuple(dict.fromkeys(text for site in sites for text in getattr(site, name)))
        for name in ("trust", "stand_ins")
    }
    reason = next((site.reason for site in sites if site.reason), None)
    if reason:
        return Uncertainty(reason=reason, **told)

    def added(ranges: Sequence[Range | None]) -> Range | None:
        known = [r for r in ranges if r is not None]
        if len(known) < len(ranges):
            return None
        return Range(
            low=sum(r.low for r in known), value=sum(r.value for r in known), high=sum(r.high for r in known)
        )

    return Uncertainty(
        **{name: added([getattr(site, name) for site in sites]) for name in SUMMED},
        drivers=_largest([site.drivers for site in sites]),
        **told,
    )


SUMMED = ("facility_mwh", "operational_kg", "market_kg", "total_kg")
"""What adds up over sites. Costs may be in several currencies, and ratios are none of the sum of their parts' ends."""


def _largest(drivers: Sequence[Sequence[Driver]]) -> tuple[Driver, ...]:
    """The largest drivers of any site."""
    found = [driver for entries in drivers for driver in entries]
    return tuple(sorted(found, key=lambda driver: driver.low - driver.high)[:DRIVERS])
