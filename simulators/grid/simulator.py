"""mosaik adapter of `simulators.grid`: a `Grid` with one child `Bus` per site."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from math import nan
from typing import Any

from mosaik_api_v3.types import CreateResult, InputData, Time

from simulators.adapter import Adapter, Given
from simulators.errors import InputError
from simulators.grid.background.background import Background
from simulators.grid.background.reading import Asked, Steps, open_network
from simulators.grid.defaults import DEFAULT_POWER_FACTOR, background_note
from simulators.grid.limits import VoltageLimits
from simulators.grid.network import Network
from simulators.grid.plain import record_to_plain
from simulators.grid.record import RunRecord, network_summary
from simulators.grid.result import Result
from simulators.profiles.fileref import FileRef

_OUTPUTS: dict[str, Callable[[Result], float]] = {
    "line_loading_max[%]": lambda result: result.line_loading_max,
    "trafo_loading_max[%]": lambda result: result.trafo_loading_max,
    "P_loss[MW]": lambda result: result.p_loss_mw,
    "P_slack[MW]": lambda result: result.p_slack_mw,
    "vm_min[1]": lambda result: result.vm_min,
    "vm_max[1]": lambda result: result.vm_max,
    "violations[1]": lambda result: float(len(result.violations)),
    "converged[1]": lambda result: float(result.converged),
}


@dataclass
class _Grid:
    """A network, its sites' buses (entity ids in order) and what a run did to it."""

    network: Network
    record: RunRecord
    background: Background | None = None
    buses: list[str] = field(default_factory=list)
    result: Result | None = None


class PowerGrid(Adapter[_Grid]):
    """Power flow of a distribution or transmission network, one per step.

    ``Grid(network="mv_oberrhein", buses=[100])`` returns a ``Grid`` whose ``children`` are one ``Bus`` per entry of
    `buses`, in that order: connect a site's ``P[MW]`` (consumption positive, export negative; several sources add up)
    and, if known, ``Q[MVar]`` to it; without a connected Q the site's power factor gives it. ``load_scaling[1]`` and
    ``gen_scaling[1]`` of the Grid, where connected, scale the network's own loads and static generators. A `background`
    lets these move: ``{"source": "simbench", "start": "2016-06-06T00:00+00:00", "steps": 288}`` (`Asked`, `Steps`).

    Outputs are NaN in steps without a solution, apart from ``converged[1]`` (0) and ``violations[1]`` (1). The extra
    methods `summary` and `record` tell the run in plain values.

    Examples
    --------
    >>> grid = PowerGrid()
    >>> created = grid.create(1, "Grid", name="network", network="cigre_mv", buses=[9])
    >>> created[0]["children"]
    [{'eid': 'network-Bus-9', 'type': 'Bus'}]
    >>> grid.step(0, {"network-Bus-9": {"P[MW]": {"Storage-0.site": 1.5}}}, 60)
    60
    >>> grid.get_data({"network-Bus-9": ["P[MW]"], "network": ["converged[1]"]})
    {'network-Bus-9': {'P[MW]': 1.5}, 'network': {'converged[1]': 1.0}}
    """

    MODELS = {
        "Grid": {
            "public": True,
            "params": ["network", "buses", "voltage_limits", "power_factor", "enforce_q_lims", "background"],
            "attrs": ["load_scaling[1]", "gen_scaling[1]", *_OUTPUTS],
        },
        "Bus": {"public": False, "params": [], "attrs": ["P[MW]", "Q[MVar]", "vm_pu[1]", "va[deg]"]},
    }

    def __init__(self) -> None:
        super().__init__()
        self.meta["extra_methods"].append("record")
        self._bus_of: dict[str, tuple[str, int]] = {}
        self._inputs: InputData = {}

    def make(
        self,
        eid: str,
        model: str,
        network: Any = "mv_oberrhein",
        buses: Sequence[int | str] = (),
        voltage_limits: VoltageLimits = "network",
        power_factor: float = DEFAULT_POWER_FACTOR,
        enforce_q_lims: bool = False,
        background: Mapping[str, Any] | None = None,
    ) -> _Grid:
        if not buses:
            raise InputError("grid: no buses given; expected at least one bus for a site")
        limits = voltage_limits if isinstance(voltage_limits, str) else tuple(voltage_limits)
        made, moving = _opened(
            network,
            background,
            self.step_size,
            voltage_limits=limits,
            power_factor=power_factor,
            enforce_q_lims=enforce_q_lims,
        )
        names: list[str] = []
        for number, bus in enumerate(buses):
            index = made.bus_index(bus)
            name = f"{eid}-Bus-{index}"
            if name in names:
                raise InputError(f"grid: bus {bus!r} given twice; expected different buses")
            made.attach(index, f"site {number + 1}" if len(buses) > 1 else "site")
            self._bus_of[name] = (eid, number)
            names.append(name)
        return _Grid(made, RunRecord(made), moving, names)

    def children(self, eid: str) -> dict[str, list[CreateResult]]:
        return {"children": [{"eid": name, "type": "Bus"} for name in self.entities[eid].buses]}

    def step(self, time: Time, inputs: InputData, max_advance: Time) -> Time:
        """Solve every network for [time, time + step size)."""
        self._inputs = inputs
        return super().step(time, inputs, max_advance)

    def advance(self, eid: str, entity: _Grid, given: Given) -> None:
        at_buses = [Given(name, self._inputs.get(name, {})) for name in entity.buses]
        p_mw = [bus.total("P[MW]") for bus in at_buses]
        by_factor = entity.network.reactive_mvar(p_mw)
        q_mvar = [bus.total("Q[MVar]", float(q)) for bus, q in zip(at_buses, by_factor, strict=True)]
        load, generation = given.only("load_scaling[1]", None), given.only("gen_scaling[1]", None)
        moving = entity.background
        powers = None if moving is None else moving.at(self.now // self.step_size)
        entity.result = entity.network.step(p_mw, q_mvar, load, generation, powers)
        entity.record.add(entity.result, self.now, self.step_size)

    def get_data(self, outputs: dict[str, list[str]]) -> dict[str, Any]:
        """Hand out the last step's results."""
        return {
            eid: {attr: self._bus(eid, attr) for attr in attrs}
            if eid in self._bus_of
            else self.outputs(eid, self.entities[eid], attrs)
            for eid, attrs in outputs.items()
        }

    def outputs(self, eid: str, entity: _Grid, attributes: list[str]) -> dict[str, Any]:
        return {name: _OUTPUTS[name](entity.result) if entity.result else nan for name in attributes}

    def _bus(self, name: str, attribute: str) -> float:
        eid, number = self._bus_of[name]
        grid = self.entities[eid]
        result = grid.result
        assert result is not None, "asked for before the first step"
        if attribute == "P[MW]":
            return float(result.site_p_mw[number])
        if attribute == "Q[MVar]":
            return float(result.site_q_mvar[number])
        position = grid.network.buses.tolist().index(grid.network.sites[number].bus)
        values = result.vm_pu if attribute == "vm_pu[1]" else result.va_degree
        return float(values[position])

    def summarise(self, eid: str, entity: _Grid) -> dict[str, Any]:
        moving = entity.background
        note = background_note(None, 1.0, 1.0) if moving is None else moving.note
        return network_summary(entity.record) | {"background": note}

    def record(self, eid: str) -> dict[str, Any]:
        """What a run did to the network, element by element (`plain.record_from_plain`)."""
        return record_to_plain(self.entities[eid].record)


def _opened(
    network: Any, background: Mapping[str, Any] | None, step_s: int, **options: Any
) -> tuple[Network, Background | None]:
    """The network, and what its own elements do where that was said, from plain values."""
    if background is None:
        return Network(network, **options), None
    said = dict(background)
    source = said.pop("source", None)
    try:
        steps = Steps(datetime.fromisoformat(said.pop("start")), step_s, int(said.pop("steps")))
        asked = Asked(None if source is None else FileRef.model_validate(source), **said)
    except (KeyError, TypeError, ValueError) as error:
        words = str(error).splitlines()[0]
        raise InputError(
            f"grid: background {background}: {words}; expected source, start and steps"
        ) from None
    return open_network(network, asked, steps, **options)
