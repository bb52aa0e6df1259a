"""How far a site's headline figures can be off, and what that hangs on most.

Every input that carries a range is moved to its ends alone; what that does to the energy at the GPUs and at the meter
is a driver. Drivers are taken as independent, so low and high are the value less and plus the root of the sum of their
squares. They run on to carbon and cost with the mean intensity and price of the site's import: what is drawn more is
drawn from the grid.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np

from scenarios.plan import SitePlan
from scenarios.ranges import Driver, Range, Uncertainty
from scenarios.result import Figures
from simulators.datacenter.facility import Facility
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
DRIVERS = 3
"""How many are told."""


@dataclass(frozen=True)
class _Moved:
    """One input at its ends: change of the energy at GPUs and meter, J, at its low and its high end."""

    name: str
    gpu_j: tuple[float, float]
    meter_j: tuple[float, float]


def uncertainty(plan: SitePlan, figures: Figures, facts: Mapping[str, Any]) -> Uncertainty:
    """Ranges of a site's headline figures.

    Parameters
    ----------
    plan, figures
        The site and what its run came to.
    facts
        What was built (`serving.build_replicas`), of several groups each under `groups`.
    """
    groups: Sequence[Mapping[str, Any]] = facts.get("groups") or [facts]
    served = figures.inference
    told = list(
        dict.fromkeys(
            text for group in groups for text in trust(group["power"], group["time"], served.batch_size_mean)
        )
    )
    unknown = next((g["power"]["interval"] for g in groups if g["power"]["low"] is None), None)
    if unknown or not served.decode_tokens:
        return Uncertainty(reason=unknown or "no output token was made", trust=tuple(told))
    meter = _Meter(plan, figures)
    moved = [*_at_gpus(groups, figures, meter), *meter.moved()]
    tokens, energy = served.decode_tokens, figures.energy_mwh
    gpu = _range(served.gpu_energy_j.total, [m.gpu_j for m in moved])
    site = _range(energy.facility * 3.6e9, [m.meter_j for m in moved])
    change = [(site.low - site.value) / 3.6e9, (site.high - site.value) / 3.6e9]
    largest = sorted(moved, key=lambda m: m.meter_j[0] - m.meter_j[1])[:DRIVERS]
    return Uncertainty(
        j_per_output_token_gpu=gpu.over(tokens),
        j_per_output_token_meter=site.over(tokens),
        facility_mwh=site.over(3.6e9),
        operational_kg=_with(figures.carbon_kg.operational, energy.grid_import, change),
        import_cost=_with(
            figures.import_cost.value if figures.import_cost else None, energy.grid_import, change
        ),
        drivers=tuple(
            Driver(name=m.name, low=m.meter_j[0] / site.value, high=m.meter_j[1] / site.value)
            for m in largest
        ),
        trust=tuple(told),
    )


def _range(value: float, changes: Sequence[tuple[float, float]]) -> Range:
    low = sqrt(sum(min(change) ** 2 for change in changes))
    high = sqrt(sum(max(change) ** 2 for change in changes))
    return Range(low=max(0.0, value - low), value=value, high=value + high)


def _with(value: float | None, import_mwh: float, change_mwh: Sequence[float]) -> Range | None:
    """A figure proportional to the import, when the import changes; None without either."""
    if value is None or import_mwh <= 0:
        return None
    low, high = (value * max(0.0, 1.0 + change / import_mwh) for change in change_mwh)
    return Range(low=min(low, high), value=value, high=max(low, high))


def _at_gpus(groups: Sequence[Mapping[str, Any]], figures: Figures, meter: _Meter) -> list[_Moved]:
    """Power of the work, idle power and iteration time, of all groups together."""
    served = figures.inference
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
        _Moved(name, (low, high), (meter.passed_on(low), meter.passed_on(high)))
        for name, (low, high) in named.items()
    ]


class _Meter:
    """What a change at the GPUs, and in the building, does at the meter; linear around the run's mean."""

    def __init__(self, plan: SitePlan, figures: Figures) -> None:
        served = figures.inference
        self._seconds = figures.simulated_s
        self._busy = min(1.0, served.busy_mean)
        self._copies = plan.copies
        self._gpu_w = served.gpu_energy_j.total / self._seconds
        self._options = plan.study.facility
        self._plain = {
            name: np.asarray(value) if isinstance(value, list) else value
            for name, value in plan.facility.items()
        }
        self._facility = facility_from_plain(self._plain)

    def _at(self, facility: Facility, gpu_w: float) -> float:
        """Energy at the meter of a run at this power, J: the mean over all weather."""
        power = facility.power(max(0.0, gpu_w) / self._copies, self._busy, slice(None))
        return float(np.mean(power.facility_w)) * self._copies * self._seconds

    def passed_on(self, joules: float) -> float:
        """Change at the meter for a change at the GPUs, J."""
        moved = self._at(self._facility, self._gpu_w + joules / self._seconds)
        return moved - self._at(self._facility, self._gpu_w)

    def moved(self) -> list[_Moved]:
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
            found.append(_Moved(name, (0.0, 0.0), (min(changes), max(changes))))
        return found


def all_sites(sites: Sequence[Uncertainty]) -> Uncertainty:
    """Of several sites together: they share GPUs' laws and rules, so their errors add up."""
    if len(sites) == 1:
        return sites[0]
    told = tuple(dict.fromkeys(text for site in sites for text in site.trust))
    reason = next((site.reason for site in sites if site.reason), None)
    if reason:
        return Uncertainty(reason=reason, trust=told)

    def added(ranges: Sequence[Range | None]) -> Range | None:
        known = [r for r in ranges if r is not None]
        if len(known) < len(ranges):
            return None
        return Range(
            low=sum(r.low for r in known), value=sum(r.value for r in known), high=sum(r.high for r in known)
        )

    drivers = sorted(
        (driver for site in sites for driver in site.drivers), key=lambda driver: driver.low - driver.high
    )
    return Uncertainty(
        facility_mwh=added([site.facility_mwh for site in sites]),
        operational_kg=added([site.operational_kg for site in sites]),
        drivers=tuple(drivers[:DRIVERS]),
        trust=told,
    )
