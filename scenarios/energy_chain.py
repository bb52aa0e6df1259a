"""A plan of energy alone as a plain loop: the same simulators as in mosaik's world, each asked for a whole run at once.

Where no cluster, controller or network answers within a step, nothing needs lockstep: what a part gives is a series
that the next ones take. Links, columns and their order are those of the world, and so are the values, to the last bit.
"""

from __future__ import annotations

from collections import defaultdict
from contextlib import nullcontext
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow

from scenarios.plan import Entity, Plan
from scenarios.wiring import ENERGY, End, Link, links, recorded
from simulators.adapter import Adapter, Array, GivenSeries
from simulators.joint import NOW
from simulators.recorder.rows import Clock, Recorded, SeriesRows
from simulators.recorder.simulator import BUFFER_STEPS
from simulators.recorder.sinks import Sink, StoringSink
from simulators.rooms import simulator_class

Series = dict[str, Array]


def not_plain(plan: Plan) -> str | None:
    """Why a plan needs mosaik; None if it does not.

    Examples
    --------
    >>> from scenarios import Study
    >>> from scenarios.build import build
    >>> not_plain(build(Study().changed(days=0.02)))
    'there is a controller'
    """
    for entity in plan.entities:
        if entity.room not in ENERGY:
            return f"there is a {entity.part}"
    for name, site in plan.sites.items():
        if site.study.where:
            return f"a part of {name} runs elsewhere"
    if plan.study.run.rt_factor is not None:
        return "the run is held to real time"
    return None


class EnergyChain:
    """The parts of a plan of energy alone. `run` simulates it; otherwise it answers as a `World` does.

    Parameters
    ----------
    plan
        One that `not_plain` has nothing against.
    sink
        Who gets the rows of the time series.

    Attributes
    ----------
    entities
        What there is, by site and part.
    answers
        Of the network: none.
    """

    def __init__(self, plan: Plan, sink: Sink) -> None:
        self.plan = plan
        self.answers: dict[str, dict[str, Any]] = {}
        self.entities: dict[End, Entity] = {}
        self._sink = sink
        self._rooms: dict[str, Adapter[Any]] = {}
        for entity in plan.entities:
            self.entities[entity.site, entity.part] = entity
            self._room(entity.room).create(1, entity.model, name=entity.name, **entity.config)

    def _room(self, room: str) -> Adapter[Any]:
        if room not in self._rooms:
            self._rooms[room] = simulator_class(room)()
            self._rooms[room].init(room.capitalize(), step_size=self.plan.study.run.step)
        return self._rooms[room]

    def ask(self, site: str, part: str, method: str = "summary") -> dict[str, Any]:
        """What an extra method of a part's simulator says of it; empty if there is no such part."""
        entity = self.entities.get((site, part))
        if entity is None:
            return {}
        answer: dict[str, Any] = getattr(self._rooms[entity.room], method)(entity.name)
        return answer

    def run(self) -> None:
        """Simulate the whole run."""
        pyarrow.default_memory_pool().release_unused()  # what reading files left behind: 40 MB of a year's load
        columns = list(recorded(self.plan, self.entities))
        into: dict[End, list[tuple[End, Link]]] = defaultdict(list)
        wanted: dict[End, set[str]] = defaultdict(set)
        for source, target, link in links(self.plan, self.entities):
            if link.first is NOW:
                into[target].append((source, link))
                wanted[source].add(link.output)
        for end, column in columns:
            wanted[end].add(column.attribute)
        found: dict[End, Series] = {}
        for end, entity in self.entities.items():  # in the order of a step
            given: dict[str, Series] = defaultdict(dict)
            for source, link in into[end]:
                given[link.input][_label(source)] = found[source][link.output]
            found[end] = self._room(entity.room).over_run(
                entity.name, GivenSeries(entity.name, given), sorted(wanted[end]), self.plan.study.steps
            )
        rows = SeriesRows(
            [Recorded(_label(end), column.attribute, end[0], column.name) for end, column in columns],
            list(self.plan.sites),
        )
        self._hand_over(rows, found)

    def _hand_over(self, rows: SeriesRows, found: dict[End, Series]) -> None:
        """Rows in the portions in which the recorder hands them over, so that files are equal byte by byte."""
        clock, step_s, sink = Clock(self.plan.start), self.plan.study.run.step, self._sink
        by_attribute: dict[str, Series] = defaultdict(dict)
        for end, series in found.items():
            for attribute, values in series.items():
                by_attribute[attribute][_label(end)] = values
        for start in range(0, self.plan.study.steps, BUFFER_STEPS):
            stop = min(start + BUFFER_STEPS, self.plan.study.steps)
            rows.add_series(
                {
                    attribute: {label: values[start:stop] for label, values in sources.items()}
                    for attribute, sources in by_attribute.items()
                },
                stop - start,
            )
            with sink.uninterrupted() if isinstance(sink, StoringSink) else nullcontext():
                sink.rows("timeseries", rows.take(np.arange(start, stop) * step_s, clock))
                sink.reached(stop * step_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """There is nothing to stop."""


def _label(end: End) -> str:
    """A name of a part that sorts as those of the world do: by room, then by site."""
    site, part = end
    return f"{part}.{site}"
