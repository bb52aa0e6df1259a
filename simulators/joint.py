"""Several simulators stepped as one: what passes between them does not pass through mosaik.

mosaik's own work for a simulator is some 50 us a step, more than most simulators of the energy chain need. Where
nothing outside stands between some of them, they may share that: a `Joint` steps them in order, hands on what they
are linked by, and shows mosaik every entity and attribute of theirs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import mosaik_api_v3
from mosaik_api_v3.types import CreateResult, InputData, Meta, OutputData, OutputRequest, Time

from simulators.adapter import Adapter

NOW = object()
"""Stands for no delay of a link."""


class _Link(NamedTuple):
    """What one entity of the joint hands to another: its entity, attribute and name outside, and where it goes."""

    source: str
    output: str
    label: str
    into: dict[str, Any]


class _Follower(NamedTuple):
    """Who is stepped last: the simulator, what its entity is given, and by entity of the joint from where that is."""

    simulator: Adapter[Any]
    eid: str
    given: dict[str, dict[str, Any]]
    outputs: list[tuple[Adapter[Any], str, list[str], list[tuple[str, dict[str, Any]]], str]]


class Joint(mosaik_api_v3.Simulator):
    """Simulators of several rooms as one, time-based and of one step size.

    A model is called after its room, ``storage_Battery``; so are entities and their children, ``storage-here``. One
    more simulator, which mosaik does not see, may be stepped after all of them and be handed what they give (`follow`).

    Parameters
    ----------
    rooms
        The simulators by the names of their rooms, in the order of a step: a link goes to a later one, or is a step
        late.

    Examples
    --------
    >>> from simulators.datacenter.simulator import DataCenter
    >>> from simulators.generation.simulator import Generation
    >>> from simulators.storage.simulator import Storage
    >>> joint = Joint({"generation": Generation(), "storage": Storage()})
    >>> joint.init("Joint", step_size=900)["models"]["storage_Battery"]["public"]
    True
    >>> [pv] = joint.create(1, "generation_PV", name="roof", power_w=[2e3])
    >>> [site] = joint.create(1, "storage_Battery", name="here")
    >>> joint.link(pv["eid"], "P[MW]", site["eid"], "P_gen[MW]")
    >>> joint.step(0, {}, 900)
    900
    >>> joint.get_data({"storage-here": ["P_export[MW]"]})
    {'storage-here': {'P_export[MW]': 0.002}}
    """

    def __init__(self, rooms: Mapping[str, Adapter[Any]]) -> None:
        asked = dict.fromkeys(name for room in rooms.values() for name in room.meta["extra_methods"])
        meta: Any = {
            "api_version": "3.0", "type": "time-based", "models": {}, "extra_methods": list(asked),
        }  # fmt: skip
        super().__init__(meta)
        for name in asked:
            setattr(self, name, partial(self._answer, name))
        self._rooms = dict(rooms)
        self._owners: dict[str, tuple[str, str]] = {}
        # what each simulator is given from within, in mosaik's form; filled anew in every step
        self._given: dict[str, dict[str, dict[str, dict[str, Any]]]] = {room: {} for room in rooms}
        self._links: dict[str, list[_Link]] = {room: [] for room in rooms}
        self._asked: dict[str, dict[str, list[str]]] = {room: {} for room in rooms}
        # the same of what is handed on after a step, for the next
        self._late: dict[str, list[_Link]] = {}
        self._asked_late: dict[str, dict[str, list[str]]] = defaultdict(dict)
        self._follower: _Follower | None = None

    @property
    def rooms(self) -> dict[str, Adapter[Any]]:
        """The simulators by room."""
        return self._rooms

    def init(self, sid: str, time_resolution: float = 1.0, step_size: int = 60, **parameters: Any) -> Meta:
        """Set the step, s, of all of them; further parameters go to each."""
        for room, simulator in self._rooms.items():
            meta = simulator.init(room.capitalize(), time_resolution, step_size=step_size, **parameters)
            for model, description in meta["models"].items():
                self.meta["models"][f"{room}_{model}"] = description
        self._step_size = int(step_size)
        return self.meta

    def create(self, num: int, model: str, **parameters: Any) -> list[CreateResult]:
        """Make entities of a room's model."""
        room, _, of_room = model.partition("_")
        created = self._rooms[room].create(num, of_room, **parameters)
        for entity in created:
            for one in (entity, *entity.get("children", ())):
                inner = one["eid"]
                one["eid"], one["type"] = f"{room}-{inner}", f"{room}_{one['type']}"
                self._owners[one["eid"]] = (room, inner)
        return created

    def link(self, source: str, output: str, target: str, attribute: str, first: Any = NOW) -> None:
        """Hand an attribute of an entity to another one in every step, at once.

        With `first` it comes one step late, and that is what the target gets in the first step.

        Raises
        ------
        ValueError
            If the target is stepped before the source and the link is not late.
        """
        (from_room, inner), (to_room, eid) = self._owners[source], self._owners[target]
        order = list(self._rooms)
        if first is NOW and order.index(to_room) <= order.index(from_room):
            raise ValueError(f"{source} is stepped after {target}, expected a link to a later one")
        into = self._given[to_room].setdefault(eid, {}).setdefault(attribute, {})
        if first is NOW:
            links, asked = self._links[from_room], self._asked[from_room].setdefault(inner, [])
        else:
            into[source] = first
            links, asked = (
                self._late.setdefault(from_room, []),
                self._asked_late[from_room].setdefault(inner, []),
            )
        links.append(_Link(inner, output, source, into))
        if output not in asked:
            asked.append(output)

    def follow(
        self, simulator: Adapter[Any], eid: str, wanted: Mapping[tuple[str, str], Sequence[str]]
    ) -> None:
        """Step a simulator after all of these, without mosaik between them.

        Parameters
        ----------
        simulator, eid
            Initialised, and its entity.
        wanted
            Attributes by entity of this one and the name it goes by there.
        """
        given: dict[str, dict[str, Any]] = defaultdict(dict)
        outputs = []
        for (source, label), attributes in wanted.items():
            room, inner = self._owners[source]
            asked = list(dict.fromkeys(attributes))
            into = [(attribute, given[attribute]) for attribute in asked]
            outputs.append((self._rooms[room], inner, asked, into, label))
        self._follower = _Follower(simulator, eid, dict(given), outputs)

    @property
    def late(self) -> dict[str, dict[str, Any]]:
        """What the next step is given of this one, by entity and attribute."""
        found: dict[str, dict[str, Any]] = defaultdict(dict)
        for links in self._late.values():
            for link in links:
                found[link.label][link.output] = link.into[link.label]
        return dict(found)

    def step(self, time: Time, inputs: InputData, max_advance: Time) -> Time:
        """Advance all of them over [time, time + step size), one after the other."""
        outside = self._by_room(inputs) if inputs else {}
        for room, simulator in self._rooms.items():
            given: Any = self._given[room]
            if room in outside:
                given = _merged(given, outside[room])
            simulator.step(time, given, max_advance)
            if links := self._links[room]:
                found = {eid: simulator.within(eid, asked) for eid, asked in self._asked[room].items()}
                for source, output, label, into in links:
                    into[label] = found[source][output]
        for room, late in self._late.items():
            given_late: Any = self._rooms[room].get_data(self._asked_late[room])
            for source, output, label, into in late:
                into[label] = given_late[source][output]
        if self._follower is not None:
            self._hand_on(self._follower, time, max_advance)
        return time + self._step_size

    def _hand_on(self, follower: _Follower, time: Time, max_advance: Time) -> None:
        for room, inner, asked, into, label in follower.outputs:
            found = room.within(inner, asked)
            for attribute, sources in into:
                sources[label] = found[attribute]
        follower.simulator.step(time, {follower.eid: follower.given}, max_advance)

    def get_data(self, outputs: OutputRequest) -> OutputData:
        """Hand out what was asked for."""
        found: OutputData = {}
        for eid, attributes in outputs.items():
            room, inner = self._owners[eid]
            found[eid] = self._rooms[room].outputs(inner, self._rooms[room].entities[inner], attributes)
        return found

    def _answer(self, method: str, eid: str) -> Any:
        """What an extra method of a room's simulator says of an entity."""
        room, inner = self._owners[eid]
        return getattr(self._rooms[room], method)(inner)

    def finalize(self) -> None:
        """Let all of them end."""
        for simulator in self._rooms.values():
            simulator.finalize()
        if self._follower is not None:
            self._follower.simulator.finalize()

    def _by_room(self, inputs: InputData) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = defaultdict(dict)
        for outer, attributes in inputs.items():
            room, eid = self._owners[outer]
            found[room][eid] = attributes
        return found


def _merged(within: Mapping[str, Mapping[str, Any]], outside: Mapping[str, Mapping[str, Any]]) -> Any:
    """What is given from within and from outside, by entity and attribute."""
    merged = {eid: dict(attributes) for eid, attributes in outside.items()}
    for eid, attributes in within.items():
        given = merged.setdefault(eid, {})
        for attribute, sources in attributes.items():
            given[attribute] = {**given[attribute], **sources} if attribute in given else sources
    return merged
