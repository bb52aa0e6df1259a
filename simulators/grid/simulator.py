"""mosaik adapter of `simulators.grid`: a `Grid` whose children are its buses, lines, transformers, loads, ..."""

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
from simulators.grid.defaults import background_note
from simulators.grid.element_series import ElementSeries
from simulators.grid.elements import KINDS, Elements
from simulators.grid.headline import headline
from simulators.grid.network import Network
from simulators.grid.plain import record_to_plain
from simulators.grid.reactive import rule_of
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

_DRAWN = ("P[MW]", "P_load[MW]", "P_gen[MW]")
_REACTIVE = ("Q[MVar]", "Q_load[MVar]", "Q_gen[MVar]")


@dataclass
class _Grid:
    """A network, its elements, its sites' buses (entity ids, each once), and what a run did to it.

    `at` holds the bus of every entry of `buses` that it was made with.
    """

    network: Network
    elements: Elements
    record: RunRecord
    background: Background | None = None
    buses: list[str] = field(default_factory=list)
    at: list[str] = field(default_factory=list)
    result: Result | None = None


class PowerGrid(Adapter[_Grid]):
    """Power flow of a distribution or transmission network, one per step.

    ``Grid(network="mv_oberrhein", buses=[100])`` returns a ``Grid`` whose ``children`` are first the ``Bus`` of each
    entry of `buses`, in that order and each once (``extra_info["at"]`` names that of every entry; `sites` may name who
    is there, and `shares` which part of its converters), then every other element of the network, ``Bus``, ``Line``,
    ``Trafo``, ``Load``, and so on (`simulators.grid.elements.KINDS`), each related to the buses it stands at. Anything
    may be connected to any of them, whether or not its bus is in `buses`:

    - a bus: ``P[MW]`` (consumption positive, export negative; several sources add up) and, if known, ``Q[MVar]``;
      without a connected Q the site's power factor, or its `reactive` characteristic, gives it; ``P_load[MW]``,
      ``P_gen[MW]``, ``Q_load[MVar]``, ``Q_gen[MVar]`` as mosaik-pandapower-2 takes them (none of these Q: 0);
    - a load, static generator, storage or generator: its own power, in place of what network or background say;
    - a switch: ``closed[1]``, 0 or 1.

    ``load_scaling[1]`` and ``gen_scaling[1]`` of the Grid, where connected, scale the network's own loads and static
    generators. A `background` lets these move:
    ``{"source": "simbench", "start": "2016-06-06T00:00+00:00", "steps": 288}`` (`Asked`, `Steps`).

    Outputs are NaN in steps without a solution, apart from ``converged[1]`` (0) and ``violations[1]`` (1). The extra
    methods `summary` and `record` tell the run in plain values.

    Examples
    --------
    >>> grid = PowerGrid()
    >>> created = grid.create(1, "Grid", name="network", network="cigre_mv", buses=[9])
    >>> created[0]["children"][0]
    {'eid': 'network-Bus-9', 'type': 'Bus', 'rel': []}
    >>> created[0]["children"][20]
    {'eid': 'network-Line-5', 'type': 'Line', 'rel': ['network-Bus-7', 'network-Bus-8']}
    >>> grid.step(0, {"network-Bus-9": {"P[MW]": {"Storage-0.site": 1.5}}}, 60)
    60
    >>> grid.get_data({"network-Bus-9": ["P[MW]"], "network-Load-13": ["P[MW]"], "network": ["converged[1]"]})
    {'network-Bus-9': {'P[MW]': 2.07375}, 'network-Load-13': {'P[MW]': 0.57375}, 'network': {'converged[1]': 1.0}}
    """

    MODELS = {
        "Grid": {
            "public": True,
            "params": [
                *("network", "buses", "voltage_limits", "power_factor", "enforce_q_lims", "background"),
                *("tap_control", "reactive", "reactive_mva", "elements", "sites", "shares"),
            ],
            "attrs": ["load_scaling[1]", "gen_scaling[1]", *_OUTPUTS],
        },
        **{model: {"public": False, "params": [], "attrs": kind.attributes} for model, kind in KINDS.items()},
    }

    def __init__(self) -> None:
        super().__init__()
        self.meta["extra_methods"] += ["record", "series"]
        self._part_of: dict[str, tuple[str, str, int]] = {}
        self._connected: dict[str, list[str]] = {}
        self._inputs: InputData = {}

    def make(
        self,
        eid: str,
        model: str,
        network: Any = "mv_oberrhein",
        buses: Sequence[int | str] = (),
        background: Mapping[str, Any] | None = None,
        reactive: str | None = None,
        reactive_mva: float | None = None,
        elements: bool = False,
        sites: Sequence[str] = (),
        shares: Sequence[float] = (),
        **options: Any,
    ) -> _Grid:
        made, moving = _opened(network, background, self.step_size, options)
        parts = Elements(made)
        at = [made.bus_index(bus) for bus in buses]
        sites = sites or [f"site {number + 1}" if len(at) > 1 else "site" for number in range(len(at))]
        shares = shares or [1.0] * len(at)
        if not len(at) == len(sites) == len(shares):
            raise InputError(
                f"grid: {len(at)} buses, {len(sites)} sites, {len(shares)} shares; expected as many of each"
            )
        together: dict[int, list[int]] = {}
        for number, index in enumerate(at):
            together.setdefault(index, []).append(number)
        for index, numbers in together.items():
            rated_mva = None if reactive_mva is None else reactive_mva * sum(shares[n] for n in numbers)
            rule = rule_of(reactive, rated_mva)
            made.attach(index, _unlike(made, " and ".join(sites[n] for n in numbers), index), rule)
        for kind, rows in parts.rows.items():
            self._part_of |= {f"{eid}-{kind}-{index}": (eid, kind, index) for index in rows}
        record = RunRecord(made, series=ElementSeries() if elements else None)
        names = [f"{eid}-Bus-{index}" for index in together]
        return _Grid(made, parts, record, moving, names, [f"{eid}-Bus-{index}" for index in at])

    def children(self, eid: str) -> dict[str, Any]:
        grid = self.entities[eid]
        parts: dict[str, CreateResult] = {
            f"{eid}-{kind}-{index}": {
                "eid": f"{eid}-{kind}-{index}",
                "type": kind,
                "rel": [f"{eid}-Bus-{bus}" for bus in grid.elements.related(kind, index)],
            }
            for kind, rows in grid.elements.rows.items()
            for index in rows
        }
        first = [parts.pop(name) for name in grid.buses]
        return {"children": [*first, *parts.values()], "extra_info": {"at": grid.at}}

    def step(self, time: Time, inputs: InputData, max_advance: Time) -> Time:
        """Solve every network for [time, time + step size)."""
        self._inputs = inputs
        self._connected = {}
        for name in inputs:
            if name in self._part_of:
                self._connected.setdefault(self._part_of[name][0], []).append(name)
        return super().step(time, inputs, max_advance)

    def advance(self, eid: str, entity: _Grid, given: Given) -> None:
        told: dict[tuple[str, int], dict[str, float]] = {}
        closed: dict[int, bool] = {}
        for name in sorted(self._connected.get(eid, ())):
            _, kind, index = self._part_of[name]
            here = Given(name, self._inputs[name])
            if kind == "Bus":
                self._attach(name, entity, index)
            elif kind == "Switch":
                closed[index] = bool(here.only("closed[1]"))
            else:
                told[kind, index] = {attribute: here.total(attribute) for attribute in here.attributes}
        if closed:
            entity.network.switch(closed)
        at_buses = [Given(name, self._inputs.get(name, {})) for name in entity.buses]
        load, generation = given.only("load_scaling[1]", None), given.only("gen_scaling[1]", None)
        moving = entity.background
        entity.result = entity.network.step(
            [_drawn(bus, _DRAWN) for bus in at_buses],
            [_reactive(bus) for bus in at_buses],
            load,
            generation,
            None if moving is None else moving.at(self.now // self.step_size),
            entity.elements.told(told) if told else None,
        )
        entity.record.add(entity.result, self.now, self.step_size)

    @staticmethod
    def _attach(name: str, entity: _Grid, index: int) -> None:
        """What is connected to a bus that has no site yet is one."""
        if name not in entity.buses:
            entity.network.attach(index, f"bus {index}")
            entity.buses.append(name)
            entity.record.sites_came()

    def get_data(self, outputs: dict[str, list[str]]) -> dict[str, Any]:
        """Hand out the last step's results."""
        return {
            eid: self._part(eid, attrs)
            if eid in self._part_of
            else self.outputs(eid, self.entities[eid], attrs)
            for eid, attrs in outputs.items()
        }

    def outputs(self, eid: str, entity: _Grid, attributes: list[str]) -> dict[str, Any]:
        return {name: _OUTPUTS[name](entity.result) if entity.result else nan for name in attributes}

    def _part(self, name: str, attributes: list[str]) -> dict[str, float]:
        eid, kind, index = self._part_of[name]
        elements = self.entities[eid].elements
        return {attribute: elements.value(kind, index, attribute) for attribute in attributes}

    def summarise(self, eid: str, entity: _Grid) -> dict[str, Any]:
        moving = entity.background
        note = background_note(None, 1.0, 1.0) if moving is None else moving.note
        return {"headline": headline(entity.record), **network_summary(entity.record), "background": note}

    def record(self, eid: str) -> dict[str, Any]:
        """What a run did to the network, element by element (`plain.record_from_plain`)."""
        return record_to_plain(self.entities[eid].record)

    def series(self, eid: str) -> dict[str, Any]:
        """Voltage and loading of every element and step (`ElementSeries.from_plain`); empty where not kept."""
        kept = self.entities[eid].record.series
        return {} if kept is None else kept.plain()


def _unlike(network: Network, name: str, bus: int) -> str:
    """A name that no site of the network has yet: of a site at several buses, each says which."""
    return f"{name} at bus {bus}" if any(site.name == name for site in network.sites) else name


def _drawn(bus: Given, names: tuple[str, str, str]) -> float:
    """What is drawn, less what is fed in."""
    return bus.total(names[0]) + bus.total(names[1]) - bus.total(names[2])


def _reactive(bus: Given) -> float | None:
    """The same of reactive power; None where nobody says."""
    if any(name in bus.attributes for name in _REACTIVE):
        return _drawn(bus, _REACTIVE)
    return 0.0 if "P_load[MW]" in bus.attributes or "P_gen[MW]" in bus.attributes else None


def _opened(
    network: Any, background: Mapping[str, Any] | None, step_s: int, options: Mapping[str, Any]
) -> tuple[Network, Background | None]:
    """The network, and what its own elements do where that was said, from plain values."""
    limits = options.get("voltage_limits", "network")
    options = {**options, "voltage_limits": limits if isinstance(limits, str) else tuple(limits)}
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
