"""One study in, one result out: no printing, no files, no signal handlers. Whoever wants those listens."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Protocol, runtime_checkable

from numpy.typing import ArrayLike

from scenarios.build import build
from scenarios.connection import connections_together
from scenarios.energy_chain import EnergyChain, not_plain
from scenarios.legs import Checkpoints
from scenarios.measured import facts_of
from scenarios.plan import NETWORK, Plan
from scenarios.real_time import Lateness
from scenarios.result import Figures, Result
from scenarios.study import Study
from scenarios.summary import check_requests, summarise
from scenarios.totals import together
from scenarios.uncertainty import uncertainty
from scenarios.watching import Watcher
from scenarios.world import World
from simulators.errors import InputError
from simulators.quantities.latencies import LatencyRecord
from simulators.recorder.memory import MemorySink
from simulators.recorder.sinks import StoringSink


class Listener(Protocol):
    """Hears of a simulation while it goes on."""

    def started(self, plan: Plan) -> None:
        """Everything is read and checked; the first step comes next."""
        ...

    def rows(self, table: str, columns: Mapping[str, ArrayLike]) -> None:
        """Rows of a table: ``timeseries``, ``requests`` or ``power_fast``."""
        ...

    def reached(self, simulated_s: int) -> None:
        """Everything before `simulated_s` (s from the start) is simulated."""
        ...


@runtime_checkable
class Choosing(Listener, Protocol):
    """A listener that has no use for every table.

    Attributes
    ----------
    tables
        Those it wants.
    """

    tables: Collection[str]


@runtime_checkable
class Watching(Listener, Watcher, Protocol):
    """A listener that wants rows more often than they are stored: a page that shows the run."""


class _Sink:
    """Hands what is recorded to memory and to the listeners, some of which keep it on disk (`StoringSink`)."""

    def __init__(
        self,
        memory: MemorySink,
        listeners: Sequence[Listener],
        keep_requests: bool,
        lateness: Lateness | None,
    ) -> None:
        self._memory = memory
        self._lateness = lateness
        self._listeners = listeners
        self.watching: list[Watching] = []  # they get their rows elsewhere
        self._storing = [listener for listener in listeners if isinstance(listener, StoringSink)]
        self.kept = ("timeseries", "requests") if keep_requests else ("timeseries",)

    def wants(self, table: str) -> bool:
        """Whether anybody has a use for a table."""
        told = [one for one in self._listeners if one not in self.watching]
        return table in self.kept or any(not isinstance(one, Choosing) or table in one.tables for one in told)

    def rows(self, table: str, columns: Mapping[str, ArrayLike]) -> None:
        if table in self.kept:
            self._memory.rows(table, columns)
        for listener in self._listeners:
            if listener not in self.watching:
                listener.rows(table, columns)

    def reached(self, simulated_s: int) -> None:
        if self._lateness is not None:
            self._lateness.reached(simulated_s)
        for listener in self._listeners:
            listener.reached(simulated_s)

    @contextmanager
    def uninterrupted(self) -> Iterator[None]:
        with ExitStack() as stack:
            for listener in self._storing:
                stack.enter_context(listener.uninterrupted())
            yield

    def before_closing(self, flush: Callable[[], None]) -> None:
        for listener in self._storing:
            listener.before_closing(flush)


def simulate(
    study: Study,
    *,
    listeners: Sequence[Listener] = (),
    keep_requests: bool = False,
    attach: Callable[[World], None] | None = None,
    checkpoints: Checkpoints | None = None,
) -> Result:
    """Simulate a study.

    Parameters
    ----------
    study
        What to simulate.
    listeners
        Hear of it while it goes on: disk, progress bar, a live page.
    keep_requests
        Whether the result holds a row for every finished request; memory then grows with them.
    attach
        Called with the wired world before its first step: start simulators of your own in `world.mosaik` and connect
        them.
    checkpoints
        Keep the state from time to time, or go on from one; not of a run with something attached, with simulators
        elsewhere, or of energy alone, which is over in seconds.

    Returns
    -------
    Result
        The same for the same study, to the last bit.

    Raises
    ------
    InputError
        Whatever is wrong with the study or its files; also from a simulator elsewhere.
    SimulatorLost
        If a simulator elsewhere stopped answering; the message names it.

    Examples
    --------
    >>> from scenarios import Study, simulate
    >>> small = Study().changed(days=0.02, model="meta-llama/Meta-Llama-3-8B", gpu="a100", tp=1, replicas=1, rate=0.3)
    >>> [round(simulate(small.changed(pv_kw=kw)).figures.energy_mwh.pv, 6) for kw in (1.0, 2.0)]
    [0.0, 0.0]
    """
    return simulate_plan(
        build(study),
        listeners=listeners,
        keep_requests=keep_requests,
        attach=attach,
        checkpoints=checkpoints,
    )


def simulate_plan(
    plan: Plan,
    *,
    listeners: Sequence[Listener] = (),
    keep_requests: bool = False,
    attach: Callable[[World], None] | None = None,
    simulators: Mapping[str, type[Any]] | None = None,
    checkpoints: Checkpoints | None = None,
) -> Result:
    """Simulate a plan, e.g. one whose entities were changed; see `simulate`.

    Parameters
    ----------
    plan, listeners, keep_requests, attach, checkpoints
        As for `simulate`.
    simulators
        Classes that stand in for those of rooms, by the room's name.
    """
    memory = MemorySink({"timeseries": plan.study.steps * len(plan.sites)})
    for listener in listeners:
        listener.started(plan)
    run = plan.study.run
    lateness = None if run.rt_factor is None else Lateness(run.rt_factor, run.step)
    sink = _Sink(memory, listeners, keep_requests, lateness)
    sink.watching.extend(listener for listener in listeners if isinstance(listener, Watching))
    with _world(plan, sink, simulators, attach, checkpoints) as world:
        if isinstance(world, World):
            world.lateness = lateness
            for listener in sink.watching:
                world.watch(listener)
        if checkpoints is not None:
            for table in sink.kept:
                if (earlier := checkpoints.rows(table)) is not None:
                    memory.rows(table, earlier)
        world.run()
        summaries = _summaries(world, plan)
    frame = memory.frame("timeseries")
    check_requests(frame, plan.study.run.step)
    figures = {}
    for name in plan.sites:
        rows = frame if len(plan.sites) == 1 else frame[frame["site"] == name]
        figures[name] = summarise(plan, name, rows, summaries[name])
        found = uncertainty(plan, name, figures[name], rows, summaries[name]["facts"])
        figures[name] = figures[name].model_copy(update={"uncertainty": found})
    latencies = {
        name: LatencyRecord.from_plain(parts["cluster"]["latencies"]) if parts["cluster"] else LatencyRecord()
        for name, parts in summaries.items()
    }
    connections = {name: found.connection for name, found in figures.items() if found.connection}
    connection = connections_together(plan, frame, connections) if len(connections) > 1 else None
    return Result(
        study=plan.study,
        plan=plan,
        figures=together(figures, latencies, connection),
        sites=figures,
        timeseries=frame,
        latencies=latencies,
        requests=memory.frame("requests") if keep_requests else None,
        facts={name: parts["facts"] for name, parts in summaries.items()},
        notes=_notes(plan, summaries, figures),
        network=world.answers.get("summary", {}),
        network_record=world.answers.get("record", {}),
        network_series=world.answers.get("series", {}),
        real_time=None if lateness is None else lateness.figures(),
    )


def _world(
    plan: Plan,
    sink: _Sink,
    simulators: Mapping[str, type[Any]] | None,
    attach: Callable[[World], None] | None,
    checkpoints: Checkpoints | None,
) -> World | EnergyChain:
    """mosaik's world, or a plain loop where that is asked for or suffices."""
    engine = plan.study.run.engine
    reason = "something is attached to it" if attach or simulators else not_plain(plan)
    if engine == "plain" and reason is not None:
        raise InputError(
            f"--engine plain: {reason}, expected a study of energy alone (--load) or --engine mosaik"
        )
    if engine == "plain" or (engine == "auto" and reason is None):
        return EnergyChain(plan, sink)
    if attach is not None:
        checkpoints = None
    # what is attached may come between any two of them
    world = World(
        *(plan, sink, simulators),
        join=attach is None,
        keep_requests=sink.wants("requests"),
        checkpoints=checkpoints,
    )
    if attach is not None:
        try:
            attach(world)
        except BaseException:
            world.close()
            raise
    return world


def _summaries(world: World | EnergyChain, plan: Plan) -> dict[str, dict[str, dict[str, Any]]]:
    """What every part of every site says of the run; of the network into `world.answers`."""
    if (NETWORK, "network") in world.entities:
        world.answers["summary"] = world.ask(NETWORK, "network")
        for method in ("record", "series"):
            world.answers[method] = world.ask(NETWORK, "network", method)
    parts = ("cluster", "storage", "traffic", "controller", "shedding")
    return {
        name: {part: world.ask(name, part) for part in parts}
        | {"facts": world.ask(name, "cluster", "facts") if site.study.serves else facts_of(site)}
        for name, site in plan.sites.items()
    }


def _parking_note(group: Mapping[str, Any]) -> str:
    """What parking the idle replicas of a group takes and whether it saves energy, in a sentence."""
    parked = group["idle_state"]
    low, high = parked["leave_range_s"]
    pause_s = parked["break_even_s"]
    saves = "no energy" if pause_s is None else f"energy in pauses above {pause_s:.0f} s"
    return (
        f"Idle {group['gpu_name']}: {parked['name']} draws {parked['power_w']:g} W ({parked['power_basis']}) and "
        f"loaded {group['gpu_idle_w']:g} W; ready again after {parked['leave_s']:.1f} s ({low:.1f} to {high:.1f}), "
        f"so parking saves {saves}."
    )


def _notes(
    plan: Plan, summaries: Mapping[str, Mapping[str, Mapping[str, Any]]], figures: Mapping[str, Figures]
) -> tuple[str, ...]:
    notes: list[str] = []
    for name, site in plan.sites.items():
        facts = summaries[name]["facts"]
        notes += site.notes
        notes += [f"{text[0].upper()}{text[1:]}." for text in figures[name].uncertainty.trust]
        notes += [_parking_note(group) for group in facts.get("groups", [facts]) if "idle_state" in group]
    return tuple(dict.fromkeys(notes))
