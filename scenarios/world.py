"""A plan as a mosaik world: simulators in this process or elsewhere, entities, links, the recorder."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import mosaik
from mosaik.exceptions import SimulationError
from mosaik.starters import PythonStarter

from scenarios.plan import NETWORK, Entity, Plan
from scenarios.wiring import LINKS, NOW, REFUSALS, SIGNALS, Link
from simulators.errors import InputError
from simulators.quantities.schema import TIMESERIES
from simulators.recorder.simulator import Recorder, Sink
from simulators.remote import Elsewhere, parse_address
from simulators.rooms import simulator_class

READERS = ("handle remote requests", "Reader task")
"""What mosaik calls the tasks that read from simulators elsewhere."""


class World:
    """A mosaik world made of a plan. `run` steps it to its end; it is a context manager that stops all simulators.

    Parameters
    ----------
    plan
        What to make.
    sink
        Who gets the rows of the tables.
    simulators
        Classes that stand in for those of rooms, by the room's name.

    Attributes
    ----------
    mosaik
        The `mosaik.World`: start further simulators in it and connect them before `run`.
    entities
        Its entities by site and part, e.g. ``world.entities["site", "storage"]``.
    answers
        What was asked of the network at the end.
    """

    def __init__(self, plan: Plan, sink: Sink, simulators: Mapping[str, type[Any]] | None = None) -> None:
        self.plan = plan
        self.mosaik = mosaik.World(cache=False, skip_greetings=True, configure_logging=False)
        self.entities: dict[tuple[str, str], Any] = {}
        self.answers: dict[str, dict[str, Any]] = {}
        self._recorder = Recorder(sink)
        self._simulators = dict(simulators or {})
        self._factories: dict[tuple[str, str], Any] = {}
        self._made: dict[tuple[str, str], tuple[Any, str]] = {}
        self._columns: list[list[str]] = []
        self._recorded: dict[Any, list[str]] = defaultdict(list)
        try:
            for entity in plan.entities:
                self._create(entity)
            self._connect()
            self._record()
        except BaseException:
            self.close()
            raise

    def start(self, simulator: Callable[..., Any], name: str, **parameters: Any) -> Any:
        """Start a simulator in this process; returns its model factory."""
        starter = PythonStarter(simulator)  # type: ignore[arg-type]
        return self.mosaik.start(starter, sim_id=name, **parameters)

    def record(self, entity: Any, attribute: str, column: str, site: str = NETWORK) -> None:
        """Have an attribute of an entity written to a column of the time series."""
        self._columns.append([entity.full_id, attribute, site, column])
        self._recorded[entity].append(attribute)

    def ask(self, site: str, part: str, method: str = "summary") -> dict[str, Any]:
        """What an extra method of a part's simulator says of it; empty if there is no such part."""
        if (site, part) not in self._made:
            return {}
        factory, eid = self._made[site, part]
        answer: dict[str, Any] = getattr(factory, method)(eid)
        return answer

    def _address(self, entity: Entity) -> str:
        study = self.plan.study
        if entity.site == NETWORK:
            return (study.grid_at or "") if entity.room == "grid" else ""
        rooms = dict(self.plan.sites[entity.site].study.where)
        return next((address for room, address in rooms.items() if room == entity.room), "")

    def _factory(self, entity: Entity) -> Any:
        """The simulator that makes an entity: one per room in this process, one per address elsewhere."""
        address = self._address(entity)
        key = (entity.room, address)
        if key not in self._factories:
            name = entity.room.capitalize()
            parameters: dict[str, Any] = {"step_size": self.plan.study.run.step}
            if not address:
                self._factories[key] = self.start(
                    self._simulators.get(entity.room) or simulator_class(entity.room), name, **parameters
                )
            else:
                self._factories[key] = self._elsewhere(f"{name}-at-{address}", address, parameters)
        return self._factories[key]

    def _elsewhere(self, name: str, address: str, parameters: dict[str, Any]) -> Any:
        try:
            return self.mosaik.start(Elsewhere(*parse_address(address)), sim_id=name, **parameters)
        except (OSError, SimulationError) as error:
            raise InputError(
                f"{name}: nothing answers ({error}), expected a simulator started there by "
                "wattloop simulator ROOM --listen HOST:PORT"
            ) from None

    def _create(self, entity: Entity) -> None:
        factory = self._factory(entity)
        if not hasattr(factory, entity.model):
            raise InputError(
                f"{self._address(entity)}: is no {entity.room} simulator, expected one that makes {entity.model}"
            )
        made = getattr(factory, entity.model)(name=entity.name, **entity.config)
        self.entities[entity.site, entity.part] = made
        self._made[entity.site, entity.part] = (factory, entity.name)
        part = {"network": "bus", "router": "destination"}.get(entity.part, "")
        for site, child in zip(entity.children, made.children, strict=True):
            self.entities[site, part] = child

    def _connect(self) -> None:
        firsts = {(e.site, e.part): e.first for e in self.plan.entities}
        for name, site in self.plan.sites.items():
            links: list[Link] = [*LINKS, *REFUSALS]
            for need in sorted(site.needs):
                links += [link for link in SIGNALS[need] if link not in links]
            routed = (NETWORK, "router") in self.entities
            for link in links:
                source, target = self._end(name, link.source), self._end(name, link.target)
                if source is None or target is None or (routed and link.output == "requests"):
                    continue
                if link.output in self._silent(name, link.source):
                    continue
                first = firsts.get((name, link.source), {}).get(link.output, link.first)
                self._link(source, target, link, first)
            if routed:
                router = self.entities[NETWORK, "router"]
                self.mosaik.connect(self.entities[name, "traffic"], router, "requests")
                self.mosaik.connect(
                    self.entities[name, "destination"], self.entities[name, "cluster"], "requests"
                )

    def _end(self, site: str, part: str) -> Any:
        return self.entities.get((site, part), self.entities.get((NETWORK, part)))

    def _link(self, source: Any, target: Any, link: Link, first: Any) -> None:
        if first is NOW:
            self.mosaik.connect(source, target, (link.output, link.input))
            return
        self.mosaik.connect(
            source, target, (link.output, link.input), initial_data={link.output: first}, time_shifted=True
        )

    def _record(self) -> None:
        """Every column of the schema whose source is there."""
        for column in TIMESERIES:
            for (site, part), entity in self.entities.items():
                if part == column.part and column.attribute not in self._silent(site, part):
                    self.record(entity, column.attribute, column.name, site)

    def _silent(self, site: str, part: str) -> frozenset[str]:
        """Attributes a part of a site does not give."""
        found = [e.silent for e in self.plan.entities if (e.site, e.part) == (site, part)]
        return found[0] if found else frozenset()

    def run(self) -> None:
        """Step to the end of the run.

        Raises
        ------
        SimulatorLost
            If a simulator elsewhere stops answering; names it.
        """
        run = self.plan.study.run
        recorder = self.start(
            lambda: self._recorder, "Recorder", start=self.plan.start.isoformat(), step_size=run.step
        ).Recorder(columns=self._columns, tables=self._tables(), sites=list(self.plan.sites))
        for entity, attributes in self._recorded.items():
            self.mosaik.connect(entity, recorder, *attributes)
        for site in self._serving():
            cluster = self.entities[site, "cluster"]
            self.mosaik.connect(cluster, recorder, "finished")
            if run.power_resolution_s is not None:
                self.mosaik.connect(cluster, recorder, "P_series[MW]")
        self.mosaik.run(self.plan.study.length_s, print_progress=False, lazy_stepping=False, shutdown=False)

    def _tables(self) -> dict[str, str]:
        """Which site each cluster's requests and power belong to."""
        return {self.entities[site, "cluster"].full_id: site for site in self._serving()}

    def _serving(self) -> list[str]:
        """Sites with a cluster."""
        return [site for site in self.plan.sites if (site, "cluster") in self.entities]

    def close(self) -> None:
        """Stop all simulators; a run that ended with an error leaves some of them waiting."""
        loop = self.mosaik.loop
        if loop.is_closed():
            return
        self._recorder.flush()  # whatever else fails: what was simulated is kept
        # those that read from simulators elsewhere end with their connection
        waiting = [task for task in asyncio.all_tasks(loop) if not task.get_name().startswith(READERS)]
        for task in waiting:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*waiting, return_exceptions=True))
        with suppress(
            OSError, SimulationError, asyncio.CancelledError
        ):  # one that is gone cannot be told to stop
            self.mosaik.shutdown()
        if not loop.is_closed():
            loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
