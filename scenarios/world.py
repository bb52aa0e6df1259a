"""A plan as a mosaik world: simulators in this process or elsewhere, entities, links, the recorder."""

from __future__ import annotations

import asyncio
import warnings
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from functools import partial
from operator import mul
from types import TracebackType
from typing import Any, Self

import mosaik
from mosaik.exceptions import SimulationError
from mosaik.starters import PythonStarter

from scenarios.legs import RECORDER, Checkpoints, Legs
from scenarios.plan import NETWORK, Entity, Plan
from scenarios.real_time import Lateness
from scenarios.together import CHILDREN, Simulator, simulator_of, stepped_together
from scenarios.watching import RowsAlone, Watcher
from scenarios.wiring import Link, links, recorded
from simulators.errors import InputError
from simulators.joint import NOW, Joint
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
    join
        Whether simulators may be stepped together where only they depend on each other; the results are the same.
        What is to be connected between two of them needs them apart.
    keep_requests
        Whether the sink gets a row for every finished request.
    checkpoints
        Who keeps the state from time to time, and says from where to go on.

    Attributes
    ----------
    mosaik
        The `mosaik.World`: start further simulators in it and connect them before `run`.
    entities
        Its entities by site and part, e.g. ``world.entities["site", "storage"]``.
    answers
        What was asked of the network at the end.
    lateness
        Who measures how late steps are, if anybody does.
    """

    def __init__(
        self,
        plan: Plan,
        sink: Sink,
        simulators: Mapping[str, type[Any]] | None = None,
        *,
        join: bool = True,
        keep_requests: bool = True,
        checkpoints: Checkpoints | None = None,
    ) -> None:
        self.plan = plan
        self.answers: dict[str, dict[str, Any]] = {}
        self.lateness: Lateness | None = None
        self._recorder = Recorder(sink)
        self._watchers: list[Watcher] = []
        self._local: dict[str, Any] = {}
        self._simulators = dict(simulators or {})
        self._join_them, self._keep_requests = join, keep_requests
        self._legs = None if checkpoints is None else Legs(checkpoints, self._recorder)
        self._open()

    def _open(self) -> None:
        """A world of mosaik with all that is in it; in a later leg of the simulators that are there."""
        self.mosaik = mosaik.World(cache=False, skip_greetings=True, configure_logging=False)
        self.entities: dict[tuple[str, str], Any] = {}
        self._factories: dict[Simulator, Any] = {}
        self._joints: dict[str, Joint | None] = {}
        self._made: dict[tuple[str, str], tuple[Any, str]] = {}
        self._buses: dict[str, list[tuple[Any, float]]] = defaultdict(list)
        self._columns: list[list[str]] = []
        self._recorded: dict[Any, list[str]] = defaultdict(list)
        try:
            if self._join_them:
                self._join()
            for entity in self.plan.entities:
                self._create(entity)
            if self._legs is not None and not self._legs.begun:
                self._legs.begin([key.address for key in self._factories if key.address])
            self._connect()
            self._record()
        except BaseException:
            self.close()
            raise

    def start(self, simulator: Callable[..., Any], name: str, **parameters: Any) -> Any:
        """Start a simulator in this process; returns its model factory."""
        if self._legs is not None:
            simulator = self._legs.shown(name, simulator)
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

    def _join(self) -> None:
        """Make one simulator of those that may be stepped together."""
        for number, group in stepped_together(self.plan, self._simulators).items():
            if len(group) > 1:
                name = f"Together-{number}"
                joint = Joint({key.room: simulator_class(key.room)() for key in group})
                step_s, new = self.plan.study.run.step, self._legs is None or name not in self._legs.of
                factory = self.start(lambda joint=joint: joint, name, step_size=step_s)
                self._joints[name] = joint if new else None  # in a later leg its links are made
                self._factories |= dict.fromkeys(group, factory)

    def _factory(self, entity: Entity) -> Any:
        """The simulator that makes an entity."""
        key = simulator_of(self.plan, entity)
        address = key.address
        if key not in self._factories:
            name = entity.room.capitalize()
            parameters: dict[str, Any] = {"step_size": self.plan.study.run.step}
            if not address:
                if entity.room not in self._local:
                    made = self._simulators.get(entity.room) or simulator_class(entity.room)
                    self._local[entity.room] = made()
                self._factories[key] = self.start(partial(self._local.get, entity.room), name, **parameters)
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
        factory, address = self._factory(entity), simulator_of(self.plan, entity).address
        joined = f"{entity.room}_{entity.model}"
        model = joined if hasattr(factory, joined) else entity.model
        if not hasattr(factory, model):
            raise InputError(
                f"{address}: is no {entity.room} simulator, expected one that makes {entity.model}"
            )
        config = entity.plain() if address else entity.config
        made = getattr(factory, model)(name=entity.name, **config)
        self.entities[entity.site, entity.part] = made
        self._made[entity.site, entity.part] = (factory, made.eid)
        if entity.part == "network":
            at = [made.children_dict[eid] for eid in made.extra_info["at"]]
            for site, bus, share in zip(entity.children, at, entity.config["shares"], strict=True):
                self.entities.setdefault((site, "bus"), bus)
                self._buses[site].append((bus, share))
            return
        part = CHILDREN.get(entity.part, "")
        for site, child in zip(entity.children, made.children, strict=True):
            self.entities[site, part] = child

    def _connect(self) -> None:
        for source, target, link in links(self.plan, self.entities):
            if target[1] == "bus":
                for bus, share in self._buses[target[0]]:
                    ends = (link.output, link.input)
                    self.mosaik.connect(self.entities[source], bus, ends, transform=partial(mul, share))
                continue
            self._link(self.entities[source], self.entities[target], link)

    def _link(self, source: Any, target: Any, link: Link) -> None:
        joined = source.sid == target.sid and source.sid in self._joints
        joint = self._joints[source.sid] if joined else None
        if joined and joint is None:
            return
        first = link.first
        if first is not NOW and self._legs is not None and self._legs.began_s:
            first = self._legs.gave(source.sid, source.eid, link.output)
        ends = (link.output, link.input)
        if joint is not None:
            joint.link(source.eid, link.output, target.eid, link.input, first)
        elif first is NOW:
            self.mosaik.connect(source, target, ends)
        else:
            self.mosaik.connect(source, target, ends, initial_data={link.output: first}, time_shifted=True)

    def _record(self) -> None:
        """Every column of the schema whose source is there."""
        for (site, part), column in recorded(self.plan, self.entities):
            self.record(self.entities[site, part], column.attribute, column.name, site)

    def run(self) -> None:
        """Step to the end of the run.

        Raises
        ------
        SimulatorLost
            If a simulator elsewhere stops answering; names it.
        """
        length_s, legs = self.plan.study.length_s, self._legs
        while legs is not None and (ends_s := legs.next_s()) < length_s:
            self._run_until(ends_s)
            if not legs.end(ends_s):
                return  # mosaik swallowed an interruption
            self._shut()
            self._open()
        self._run_until(length_s)

    def _run_until(self, ends_s: int) -> None:
        run = self.plan.study.run
        began_s = 0 if self._legs is None else self._legs.began_s
        self._let_record()
        self._let_watch(began_s)
        if self.lateness is not None:
            self.lateness.begin(began_s)
        with warnings.catch_warnings():  # mosaik says of every step how late it is; `Lateness` tells it once
            warnings.filterwarnings("ignore", message="Simulation too slow", category=UserWarning)
            self.mosaik.run(
                ends_s - began_s,
                rt_factor=run.rt_factor,
                print_progress=False,
                lazy_stepping=True,  # whoever runs ahead of the recorder keeps all that it has not taken yet
                shutdown=False,
            )

    def _let_record(self) -> None:
        """Hand the recorder what is recorded; past mosaik where all of it comes from simulators stepped together."""
        run = self.plan.study.run
        wanted = {entity: list(attributes) for entity, attributes in self._recorded.items()}
        for site in self._serving():
            more = wanted.setdefault(self.entities[site, "cluster"], [])
            if self._keep_requests:
                more.append("finished")
            if run.power_resolution_s is not None:
                more.append("P_series[MW]")
        set_up: dict[str, Any] = {"start": self.plan.start.isoformat(), "step_size": run.step}
        tables: dict[str, Any] = {
            "columns": self._columns,
            "tables": self._tables(),
            "sites": list(self.plan.sites),
        }
        sources = {entity.sid for entity in wanted}
        if len(sources) == 1 and (sid := sources.pop()) in self._joints:
            if (joint := self._joints[sid]) is not None:  # else it does so since the first leg
                self._recorder.init(RECORDER, **set_up)
                [made] = self._recorder.create(1, "Recorder", **tables)
                given = {(entity.eid, entity.full_id): attributes for entity, attributes in wanted.items()}
                joint.follow(self._recorder, made["eid"], given)
            return
        recorder = self.start(lambda: self._recorder, RECORDER, **set_up).Recorder(**tables)
        for entity, attributes in wanted.items():
            if attributes:
                self.mosaik.connect(entity, recorder, *attributes)

    def watch(self, watcher: Watcher) -> None:
        """Have somebody see the time series and the finished requests of the run while it goes on."""
        self._watchers.append(watcher)

    def _let_watch(self, began_s: int) -> None:
        """A recorder for each watcher, beside the one that keeps everything."""
        run = self.plan.study.run
        for number, watcher in enumerate(self._watchers):
            # not a part of the legs: each has a recorder of its own, whose time begins with the leg
            recorder = self.mosaik.start(
                PythonStarter(partial(Recorder, RowsAlone(watcher))),  # type: ignore[arg-type]
                sim_id=f"Watcher-{number}",
                start=(self.plan.start + timedelta(seconds=began_s)).isoformat(),
                step_size=run.step,
                buffer_steps=watcher.every,
            ).Recorder(columns=self._columns, tables=self._tables(), sites=list(self.plan.sites))
            for entity, attributes in self._recorded.items():
                self.mosaik.connect(entity, recorder, *attributes)
            for site in self._serving():
                self.mosaik.connect(self.entities[site, "cluster"], recorder, "finished")
            grid = self._local.get("grid")
            watcher.watching(None if grid is None else partial(grid.record, "network"))

    def _tables(self) -> dict[str, str]:
        """Which site each cluster's requests and power belong to."""
        return {self.entities[site, "cluster"].full_id: site for site in self._serving()}

    def _serving(self) -> list[str]:
        """Sites with a cluster."""
        return [site for site in self.plan.sites if (site, "cluster") in self.entities]

    def close(self) -> None:
        """Stop all simulators; a run that ended with an error leaves some of them waiting."""
        if self._legs is not None:
            self._legs.close()
        if not self.mosaik.loop.is_closed():
            self._recorder.flush()  # whatever else fails: what was simulated is kept
            self._shut()

    def _shut(self) -> None:
        """End mosaik's world."""
        loop = self.mosaik.loop
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
