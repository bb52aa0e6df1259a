"""mosaik adapter: hands what is connected to it, step by step, to a `Sink`.

It is the one adapter that stays in the process of the world: its sink is a Python object (a folder, memory, a
progress bar), not a plain value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from typing import ClassVar

import pandas as pd
from mosaik_api_v3.types import InputData, ModelDescription

from simulators.adapter import Adapter
from simulators.errors import InputError
from simulators.recorder.rows import Clock, FastRows, Inputs, Recorded, RequestRows, SeriesRows
from simulators.recorder.sinks import Sink, StoringSink

__all__ = ["Recorder", "Sink"]

FINISHED = "finished"
SERIES = "P_series[MW]"
ROWS_AT_ONCE = 32_768
"""Requests and parts of steps that are buffered at most."""
BUFFER_STEPS = 1440
"""Steps between two hand-overs."""


class _Tables:
    """The tables of a run and the steps that are buffered in them."""

    def __init__(
        self, columns: Sequence[Recorded], tables: Mapping[str, str], sites: Sequence[str], step_s: int
    ) -> None:
        self.series = SeriesRows(columns, sites)
        self.requests = RequestRows()
        self.fast = FastRows(step_s)
        self.site_of = dict(tables)
        self.times: list[int] = []
        self.checked = False
        self.serves = False

    def add(self, time: int, inputs: Inputs) -> None:
        if not self.checked:
            self._check(inputs)
        if finished := inputs.get(FINISHED):
            self.serves = True
            for source in sorted(finished):
                self.requests.add(time, self.site_of[source], finished[source])
        if series := inputs.get(SERIES):
            by_site: dict[str, list[Sequence[float]]] = {}
            for source in sorted(series):
                if series[source] is not None and len(series[source]):
                    by_site.setdefault(self.site_of[source], []).append(series[source])
            self.fast.add(time, by_site)
        self.series.add(time, inputs)
        self.times.append(time)  # last: a step counts once it is whole

    def _check(self, inputs: Inputs) -> None:
        self.series.check(inputs, (FINISHED, SERIES))
        for attribute in (FINISHED, SERIES):
            for source in inputs.get(attribute, {}):
                if source not in self.site_of:
                    raise InputError(
                        f"recorder: {source} {attribute} is connected, expected its site in tables"
                    )
        self.checked = True

    @property
    def full(self) -> bool:
        return max(self.requests.waiting, self.fast.waiting) >= ROWS_AT_ONCE


class Recorder(Adapter[_Tables]):
    """Buffers steps and hands whole ones to a sink.

    Parameters
    ----------
    sink
        Who gets the rows. One that is a `StoringSink`, too, gets each step in all its tables or not at all,
        even if the run is interrupted.

    Notes
    -----
    Parameters of the simulator: `start` of the run (ISO 8601 with offset, or an aware datetime), `buffer_steps`
    between two hand-overs.

    Parameters of the model: `columns`, a list of ``[source's full id, attribute, site, column]``; `sites`, in the
    order of their rows; `tables`, the site of each cluster whose requests and power are recorded, by full id.

    The time series (``timeseries``) has one row per step and site: `time` (start of the step, UTC), `site`, and
    the columns in the order of the schema. Values are numbers; None is stored as NaN. What is recorded for
    the site ``*`` stands in every site's row. ``finished`` of a cluster, a dictionary of equally long lists, goes to
    ``requests``, in the order in which requests finish, with `site`. ``P_series[MW]``, the power in equal parts
    of the step, goes to ``power_fast`` (`time`, `site`, `gpu_w`).
    """

    MODELS: ClassVar[dict[str, ModelDescription]] = {
        "Recorder": {
            "public": True,
            "any_inputs": True,
            "params": ["columns", "tables", "sites"],
            "attrs": [FINISHED, SERIES],
        },
    }

    def __init__(self, sink: Sink) -> None:
        super().__init__()
        self._sink = sink
        # asked once: whether an object keeps to a protocol takes longer than all else in a step
        self._storing = sink if isinstance(sink, StoringSink) else None
        self._buffer_steps = BUFFER_STEPS
        self._told: dict[str, Mapping[str, bool]] = {}

    def set_up(  # type: ignore[override]
        self, *, start: datetime | str, buffer_steps: int = BUFFER_STEPS
    ) -> None:
        """Take the start of the run and the size of the buffer."""
        moment = pd.Timestamp(start)
        if moment.tzinfo is None:
            raise InputError(
                f"recorder: start {start} has no offset, expected e.g. 2016-08-01T07:00:00+00:00"
            )
        self._clock = Clock(moment.to_pydatetime())
        self._buffer_steps = buffer_steps
        if self._storing is not None:
            self._storing.before_closing(self.flush)

    def make(  # type: ignore[override]
        self,
        eid: str,
        model: str,
        columns: Sequence[Sequence[str]] = (),
        tables: Mapping[str, str] | None = None,
        sites: Sequence[str] = (),
    ) -> _Tables:
        """The tables of the run; a recorder has one entity."""
        if self.entities:
            raise InputError(f"{eid}: this recorder has its tables, expected another recorder for more")
        for entry in columns:
            if len(entry) != 4:
                raise InputError(
                    f"{eid}: columns entry {list(entry)}, expected [source, attribute, site, column]"
                )
        made = _Tables([Recorded(*entry) for entry in columns], tables or {}, sites, self.step_size)
        if eid in self._told:
            made.serves, made.requests.written = self._told[eid]["serves"], self._told[eid]["requests"]
        return made

    def step(self, time: int, inputs: InputData, max_advance: int) -> int:
        """Buffer what is connected in [time, time + step size)."""
        with self._whole():  # rows and the time they reach belong together
            for eid, tables in self.entities.items():
                tables.add(time, inputs.get(eid, {}))
                if len(tables.times) >= self._buffer_steps or tables.full:
                    self.flush()
            self._sink.reached(time + self.step_size)
        return time + self.step_size

    def told(self) -> dict[str, dict[str, bool]]:
        """What a recorder must know to go on, once it has handed over everything; see `tell`."""
        return {
            eid: {"serves": tables.serves, "requests": tables.requests.written}
            for eid, tables in self.entities.items()
        }

    def tell(self, told: Mapping[str, Mapping[str, bool]]) -> None:
        """Go on where another recorder was when it `told` this; its entity is made later."""
        self._told = dict(told)

    def flush(self) -> None:
        """Hand over the buffered steps; whole ones only, each once."""
        for tables in self.entities.values():
            with self._whole():
                if not tables.times:
                    continue
                times, tables.times = tables.times, []
                until = times[-1] + 1
                requests, fast = tables.requests.take(until), tables.fast.take(until, self._clock)
                self._sink.rows("timeseries", tables.series.take(times, self._clock))
                if requests is not None:
                    self._sink.rows("requests", requests)
                if fast is not None:
                    self._sink.rows("power_fast", fast)

    def finalize(self) -> None:
        """Hand over the rest; a run that serves has a table of requests, even an empty one."""
        self.flush()
        for tables in self.entities.values():
            if tables.serves and not tables.requests.written:
                self._sink.rows("requests", tables.requests.empty())

    def _whole(self) -> AbstractContextManager[None]:
        return nullcontext() if self._storing is None else self._storing.uninterrupted()
