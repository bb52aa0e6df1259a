"""mosaik adapter of `simulators.grid`: a `Grid` with one child `Bus` per site."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import mosaik_api_v3
from mosaik_api_v3.types import CreateResult, InputData, Meta, OutputData, OutputRequest, Time

from simulators.errors import InputError
from simulators.grid.limits import VoltageLimits
from simulators.grid.network import DEFAULT_POWER_FACTOR, Network
from simulators.grid.record import RunRecord, network_summary
from simulators.grid.result import Result

META: Meta = {
    "api_version": "3.0",
    "type": "time-based",
    "models": {
        "Grid": {
            "public": True,
            "params": ["network", "buses", "voltage_limits", "power_factor"],
            "attrs": [
                *("load_scaling[1]", "gen_scaling[1]"),
                *("line_loading_max[%]", "trafo_loading_max[%]", "P_loss[MW]", "P_slack[MW]"),
                *("vm_min[1]", "vm_max[1]", "violations[1]", "converged[1]"),
            ],
        },
        "Bus": {
            "public": False,
            "params": [],
            "attrs": ["P[MW]", "Q[MVar]", "vm_pu[1]", "va[deg]"],
        },
    },
    "extra_methods": ["get_summary"],
}

_GRID_OUTPUTS: dict[str, Callable[[Result], float]] = {
    "line_loading_max[%]": lambda result: result.line_loading_max,
    "trafo_loading_max[%]": lambda result: result.trafo_loading_max,
    "P_loss[MW]": lambda result: result.p_loss_mw,
    "P_slack[MW]": lambda result: result.p_slack_mw,
    "vm_min[1]": lambda result: result.vm_min,
    "vm_max[1]": lambda result: result.vm_max,
    "violations[1]": lambda result: float(len(result.violations)),
    "converged[1]": lambda result: float(result.converged),
}


class PowerGrid(mosaik_api_v3.Simulator):  # type: ignore[misc]
    """Power flow of a distribution or transmission network, one per step.

    ``Grid(network=..., buses=[...])`` returns a ``Grid`` whose ``children`` are one ``Bus`` per entry of `buses`,
    in that order: connect a site's ``P[MW]`` (consumption positive, export negative; several sources add up) and,
    if known, ``Q[MVar]`` to it; without a connected Q the site's power factor gives it. ``load_scaling[1]`` and
    ``gen_scaling[1]`` of the Grid, where connected, scale the network's own loads and static generators.

    Outputs are NaN in steps without a solution, apart from ``converged[1]`` (0) and ``violations[1]`` (1).
    `networks` and `records` hold the models by entity id, for figures after an in-process run; `get_summary` also
    works over a socket.
    """

    def __init__(self) -> None:
        super().__init__(META)
        self.networks: dict[str, Network] = {}
        self.records: dict[str, RunRecord] = {}
        self._results: dict[str, Result] = {}
        self._sites: dict[str, tuple[str, int]] = {}
        self._positions: dict[str, int] = {}
        self._step_s = 60

    def init(  # type: ignore[override]
        self, sid: str, time_resolution: float = 1.0, step_size: int = 60
    ) -> Meta:
        """Set the step, s; the time resolution must be 1 s."""
        if time_resolution != 1.0:
            raise InputError(f"grid: time resolution {time_resolution} s; expected 1 s")
        if step_size <= 0:
            raise InputError(f"grid: step size {step_size} s; expected a whole number above 0")
        self._step_s = step_size
        return self.meta

    def create(  # type: ignore[override]
        self,
        num: int,
        model: str,
        network: Any = "mv_oberrhein",
        buses: Sequence[int | str] = (),
        voltage_limits: VoltageLimits = "network",
        power_factor: float = DEFAULT_POWER_FACTOR,
    ) -> list[CreateResult]:
        """Create networks with one site per entry of `buses`; see `Network` for the parameters."""
        if not buses:
            raise InputError("grid: no buses given; expected at least one bus for a site")
        return [self._create(network, buses, voltage_limits, power_factor) for _ in range(num)]

    def _create(
        self, source: Any, buses: Sequence[int | str], voltage_limits: VoltageLimits, power_factor: float
    ) -> CreateResult:
        grid_eid = f"Grid-{len(self.networks)}"
        network = Network(source, voltage_limits=voltage_limits, power_factor=power_factor)
        children: list[CreateResult] = []
        for number, bus in enumerate(buses):
            index = network.bus_index(bus)
            eid = f"{grid_eid}-Bus-{index}"
            if eid in self._sites:
                raise InputError(f"grid: bus {bus!r} given twice; expected different buses")
            site = network.attach(index, f"site {number + 1}" if len(buses) > 1 else "site")
            self._sites[eid] = (grid_eid, number)
            self._positions[eid] = network.buses.tolist().index(site.bus)
            children.append({"eid": eid, "type": "Bus"})
        self.networks[grid_eid] = network
        self.records[grid_eid] = RunRecord(network)
        return {"eid": grid_eid, "type": "Grid", "children": children}

    def step(self, time: Time, inputs: InputData, max_advance: Time) -> Time:
        """Solve every network for [time, time + step size)."""
        p: dict[str, list[float]] = {eid: [0.0] * len(net.sites) for eid, net in self.networks.items()}
        q: dict[str, list[float | None]] = {
            eid: [None] * len(net.sites) for eid, net in self.networks.items()
        }
        for eid, attrs in inputs.items():
            if eid in self._sites:
                grid_eid, number = self._sites[eid]
                p[grid_eid][number] = math.fsum(attrs.get("P[MW]", {}).values())
                if "Q[MVar]" in attrs:
                    q[grid_eid][number] = math.fsum(attrs["Q[MVar]"].values())
        for eid, network in self.networks.items():
            by_factor = network.reactive_mvar(p[eid])
            given = [float(by_factor[n]) if value is None else value for n, value in enumerate(q[eid])]
            scalings = inputs.get(eid, {})
            result = network.step(
                p[eid], given, _only(scalings, "load_scaling[1]"), _only(scalings, "gen_scaling[1]")
            )
            self._results[eid] = result
            self.records[eid].add(result, time, self._step_s)
        return time + self._step_s

    def get_data(self, outputs: OutputRequest) -> OutputData:
        """Hand out the last step's results."""
        return {
            eid: {
                attr: self._bus(eid, attr) if eid in self._sites else self._grid(eid, attr) for attr in attrs
            }
            for eid, attrs in outputs.items()
        }

    def get_summary(self, eid: str) -> dict[str, Any]:
        """`network_summary` of a Grid, for ``summary.json``."""
        return network_summary(self.records[eid])

    def _grid(self, eid: str, attr: str) -> float:
        return _GRID_OUTPUTS[attr](self._results[eid])

    def _bus(self, eid: str, attr: str) -> float:
        grid_eid, number = self._sites[eid]
        result = self._results[grid_eid]
        if attr == "P[MW]":
            return float(result.site_p_mw[number])
        if attr == "Q[MVar]":
            return float(result.site_q_mvar[number])
        values = result.vm_pu if attr == "vm_pu[1]" else result.va_degree
        return float(values[self._positions[eid]])


def _only(attrs: dict[str, Any], name: str) -> float | None:
    """The one value connected to an attribute, None if nothing is."""
    values = attrs.get(name)
    if not values:
        return None
    if len(values) > 1:
        raise InputError(f"grid: {len(values)} sources for {name}; expected one")
    return float(next(iter(values.values())))
