"""What a run did to the network: extremes, hours beyond limits, energy lost."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulators.grid.element_series import ElementSeries
from simulators.grid.limits import Violation
from simulators.grid.network import Network
from simulators.grid.result import Result
from simulators.grid.spells import SECONDS_PER_HOUR, Key, Spell, Spells

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Breach:
    """One limit of one element over the run.

    Attributes
    ----------
    spells
        From when to when.
    """

    spells: list[Spell]

    @property
    def _worst(self) -> Spell:
        return max(self.spells, key=lambda spell: spell.worst.rank)

    @property
    def worst(self) -> Violation:
        """The limit at its worst."""
        return self._worst.worst

    @property
    def at_s(self) -> int:
        """When that was, s."""
        return self._worst.at_s

    @property
    def key(self) -> Key:
        """Which limit of which element."""
        return self.spells[0].key

    @property
    def hours(self) -> float:
        """How long it was exceeded in all."""
        return sum(spell.hours for spell in self.spells)

    @property
    def beyond_hours(self) -> float:
        """Sum of value less limit times hours, in the violation's unit times h."""
        return sum(spell.beyond_hours for spell in self.spells)

    @property
    def first_s(self) -> int:
        """When it was exceeded for the first time."""
        return self.spells[0].first_s

    @property
    def end_s(self) -> int:
        """Until when for the last."""
        return self.spells[-1].end_s


@dataclass
class Extreme:
    """The highest (or lowest) value so far, where (position in the network's order) and when (s)."""

    value: float = math.nan
    position: int = -1
    at_s: int = -1

    def raise_to(self, values: Array, at_s: int) -> None:
        """Take over the maximum of `values` if it is higher; NaN is skipped."""
        if values.size == 0 or np.isnan(values).all():
            return
        position = int(np.nanargmax(values))
        if not values[position] <= self.value:
            self.value, self.position, self.at_s = float(values[position]), position, at_s


@dataclass
class RunRecord:
    """Sums and extremes over the steps of one run; steps without a solution only count as such.

    Attributes
    ----------
    line_loading_max, trafo_loading_max, vm_min, vm_max
        Per element over the run, in the network's order, % and p.u.; NaN before the first step.
    lowest_vm
        Of all buses; its value is negated, so that one class serves both directions.
    tap_least, tap_most, tap_moves
        Positions of tap changers that hold a voltage, and how many steps of theirs they took between power flows.
    spells
        What was exceeded, from when to when.
    series
        Voltage and loading of every element and step, where they are to be kept.
    violation_hours, unsolved_hours, hours
        Time with at least one violation (a step without solution is one), without solution, in all.
    """

    network: Network
    hours: float = 0.0
    unsolved_hours: float = 0.0
    violation_hours: float = 0.0
    losses_mwh: float = 0.0
    slack_mwh: float = 0.0
    unsupplied_mwh: float = 0.0
    spells: Spells = field(default_factory=Spells)
    series: ElementSeries | None = None
    highest_line: Extreme = field(default_factory=Extreme)
    highest_trafo: Extreme = field(default_factory=Extreme)
    lowest_vm: Extreme = field(default_factory=Extreme)
    highest_vm: Extreme = field(default_factory=Extreme)
    line_loading_max: Array = field(init=False)
    trafo_loading_max: Array = field(init=False)
    vm_min: Array = field(init=False)
    vm_max: Array = field(init=False)
    tap_least: Array = field(init=False)
    tap_most: Array = field(init=False)
    tap_moves: Array = field(init=False)
    site_mwh: Array = field(init=False)
    site_p_max_mw: Array = field(init=False)

    def __post_init__(self) -> None:
        network = self.network
        self.line_loading_max = np.full(len(network.lines), math.nan)
        self.trafo_loading_max = np.full(len(network.trafos), math.nan)
        self.vm_min = np.full(len(network.buses), math.nan)
        self.vm_max = np.full(len(network.buses), math.nan)
        taps = 0 if network.taps is None else len(network.taps.rows)
        self.tap_least, self.tap_most = np.full(taps, math.nan), np.full(taps, math.nan)
        self.tap_moves = np.zeros(taps)
        self._tap_last: Array | None = None
        self.site_mwh = np.zeros(len(network.sites))
        self.site_p_max_mw = np.full(len(network.sites), math.nan)

    def sites_came(self) -> None:
        """Take in sites that were attached since."""
        more = len(self.network.sites) - len(self.site_mwh)
        self.site_mwh = np.append(self.site_mwh, np.zeros(more))
        self.site_p_max_mw = np.append(self.site_p_max_mw, np.full(more, math.nan))

    def add(self, result: Result, at_s: int, step_s: int) -> None:
        """Add the step that covers [`at_s`, `at_s` + `step_s`)."""
        hours = step_s / SECONDS_PER_HOUR
        self.hours += hours
        self.site_mwh += result.site_p_mw * hours
        self.site_p_max_mw = np.fmax(self.site_p_max_mw, result.site_p_mw)
        if result.violations:
            self.violation_hours += hours
        self.spells.see(result.violations, at_s, step_s)
        if self.series is not None:
            self.series.add(result, at_s)
        if not result.converged:
            self.unsolved_hours += hours
            return
        self.losses_mwh += result.p_loss_mw * hours
        self.slack_mwh += result.p_slack_mw * hours
        self.unsupplied_mwh += result.unsupplied_mw * hours
        if len(result.tap_pos):
            self.tap_least = np.fmin(self.tap_least, result.tap_pos)
            self.tap_most = np.fmax(self.tap_most, result.tap_pos)
            self.tap_moves += 0.0 if self._tap_last is None else np.abs(result.tap_pos - self._tap_last)
            self._tap_last = result.tap_pos
        np.fmax(self.line_loading_max, result.line_loading_percent, out=self.line_loading_max)
        np.fmax(self.trafo_loading_max, result.trafo_loading_percent, out=self.trafo_loading_max)
        np.fmin(self.vm_min, result.vm_pu, out=self.vm_min)
        np.fmax(self.vm_max, result.vm_pu, out=self.vm_max)
        self.highest_line.raise_to(result.line_loading_percent, at_s)
        self.highest_trafo.raise_to(result.trafo_loading_percent, at_s)
        self.lowest_vm.raise_to(-result.vm_pu, at_s)
        self.highest_vm.raise_to(result.vm_pu, at_s)

    @property
    def breaches(self) -> list[Breach]:
        """Every limit that was exceeded, in the order of the first time."""
        return [Breach(spells) for spells in self.spells.by_limit()]


def network_summary(record: RunRecord, listed: int = 20) -> dict[str, Any]:
    """The run in numbers for ``summary.json``; values nobody could compute are None.

    Parameters
    ----------
    record
        The run.
    listed
        How many violated limits to list, the worst first; ``violated_limits`` counts them all.

    Examples
    --------
    >>> network = Network("four_load_branch")
    >>> site = network.attach(3, "site")
    >>> record = RunRecord(network)
    >>> record.add(network.step(0.03), at_s=0, step_s=3600)
    >>> network_summary(record)["sites"][0]["energy_mwh"]
    0.03
    """
    network, worst = record.network, worst_breaches(record)
    at = {bus: position for position, bus in enumerate(network.buses.tolist())}
    sites = [
        {
            "name": site.name,
            "bus": site.bus,
            "bus_name": network.element_name("bus", site.bus),
            "vn_kv": float(network.net.bus.at[site.bus, "vn_kv"]),
            "vm_pu_min": _number(record.vm_min[at[site.bus]]),
            "vm_pu_max": _number(record.vm_max[at[site.bus]]),
            "p_mw_max": _number(record.site_p_max_mw[position]),
            "energy_mwh": float(record.site_mwh[position]),
        }
        for position, site in enumerate(network.sites)
    ]
    lines = [("line", index) for index in network.lines]
    buses = [("bus", int(index)) for index in network.buses]
    return {
        "network": network.name,
        "buses": len(network.buses),
        "lines": len(network.lines),
        "trafos": len(network.trafos),
        "sites": sites,
        "vm_pu_min": _extreme(record.lowest_vm, buses, network, sign=-1.0),
        "vm_pu_max": _extreme(record.highest_vm, buses, network),
        "line_loading_percent_max": _extreme(record.highest_line, lines, network),
        "trafo_loading_percent_max": _extreme(record.highest_trafo, list(network.trafos), network),
        **_taps(record),
        "losses_mwh": record.losses_mwh,
        "external_grid_mwh": record.slack_mwh,
        "unsupplied_buses": sum(breach.worst.kind == "no supply" for breach in worst),
        "unsupplied_mwh": record.unsupplied_mwh,
        "hours": record.hours,
        "violation_hours": record.violation_hours,
        "converged_share": 1.0 - record.unsolved_hours / record.hours if record.hours else None,
        "violated_limits": len(worst),
        "violations": [
            {
                "element": breach.worst.element,
                "name": network.violation_name(breach.worst),
                "kind": breach.worst.kind,
                "worst": _number(breach.worst.value),
                "limit": _number(breach.worst.limit),
                "at_s": breach.at_s,
                "hours": breach.hours,
                "beyond_times_hours": _number(breach.beyond_hours),
                "first_s": breach.first_s,
                "end_s": breach.end_s,
            }
            for breach in worst[:listed]
        ],
    }


def _taps(record: RunRecord) -> dict[str, Any]:
    """What tap changers did, where any hold a voltage."""
    if record.network.taps is None:
        return {}
    table = record.network.net.trafo
    return {
        "tap_changers": [
            {
                "index": int(table.index[row]),
                "name": record.network.element_name("trafo", int(table.index[row])),
                "lowest": _number(record.tap_least[at]),
                "highest": _number(record.tap_most[at]),
                "moves": float(record.tap_moves[at]),
            }
            for at, row in enumerate(record.network.taps.rows.tolist())
        ]
    }


def worst_breaches(record: RunRecord) -> list[Breach]:
    """All breaches: first no supply (most load first) or solution, then by how far beyond the limit, then by name."""
    by_name = sorted(record.breaches, key=lambda b: (b.worst.element, b.worst.index, b.worst.kind))
    return sorted(by_name, key=lambda b: b.worst.rank, reverse=True)


def _extreme(
    extreme: Extreme, elements: list[tuple[Any, int]], network: Network, sign: float = 1.0
) -> dict[str, Any] | None:
    if extreme.position < 0:
        return None
    element, index = elements[extreme.position]
    name = network.element_name(element, index)
    return {"value": sign * extreme.value, "element": name, "index": index, "at_s": extreme.at_s}


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
