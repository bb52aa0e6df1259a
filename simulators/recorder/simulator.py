"""mosaik adapter: writes every connected attribute, step by step, into a `RunFolder`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import mosaik_api_v3
import numpy as np
import pandas as pd
from mosaik_api_v3.types import CreateResult, InputData, Meta, OutputData, OutputRequest
from numpy.typing import ArrayLike, NDArray

from simulators.recorder.store import RunFolder

META: Meta = {
    "api_version": "3.0",
    "type": "time-based",
    "models": {
        "Recorder": {
            "public": True,
            "any_inputs": True,
            "params": ["columns"],
            "attrs": ["requests", "P_series[MW]"],
        },
    },
    "extra_methods": [],
}
REQUESTS = "requests"
SERIES = "P_series[MW]"
TABLES = (REQUESTS, SERIES)  # what does not go into a row of the time series


class Recorder(mosaik_api_v3.Simulator):
    """Buffers one row per step and hands whole blocks to the run's folder.

    Simulator parameters (Python objects, so it runs in mosaik's own process)
        `run` the open `RunFolder`; `start` of the run, UTC; `step_size` in s; `buffer_steps`, rows between
        two writes; `progress`, called after each step with the seconds simulated so far.

    Model parameter
        `columns` names columns: ``{("Battery.Battery-0", "SoC[1]"): "soc"}``, the key being the source's
        `full_id` and attribute. Sources that share a column are added up. What is not named becomes
        ``<full_id>.<attribute>``.

    The attribute ``requests`` takes a mapping of equally long arrays, a list of such mappings, or None; its
    rows go to ``requests.parquet``. ``P_series[MW]`` takes the power in equal parts of the step, an array; those
    of several sources are added up and go to ``power_fast.parquet``, in W. Every other attribute must be a
    number (None is stored as NaN) and be there in every step.
    """

    def __init__(self) -> None:
        super().__init__(META)
        self._names: dict[tuple[str, str], str] = {}
        self._places: dict[str, dict[str, int]] | None = None
        self._columns: list[str] = []
        self._rows: NDArray[np.float64] = np.empty((0, 0))
        self._times: list[int] = []
        self._requests: list[Mapping[str, ArrayLike]] = []
        self._created = False

    def init(  # type: ignore[override]
        self,
        sid: str,
        time_resolution: float = 1.0,
        *,
        run: RunFolder,
        start: datetime,
        step_size: int = 60,
        buffer_steps: int = 1440,
        progress: Callable[[int], None] | None = None,
    ) -> Meta:
        self._run = run
        self._start = pd.Timestamp(start).tz_convert("UTC").tz_localize(None).to_datetime64()
        self._step_size = step_size
        self._buffer_steps = buffer_steps
        self._progress = progress
        run.before_closing(self.flush)
        return self.meta

    def create(  # type: ignore[override]
        self, num: int, model: str, columns: Mapping[tuple[str, str], str] | None = None
    ) -> list[CreateResult]:
        if num != 1 or self._created:
            raise ValueError("one Recorder writes one results folder; start another simulator for another")
        self._created = True
        self._names = dict(columns or {})
        return [{"eid": "Recorder", "type": model}]

    def step(self, time: int, inputs: InputData, max_advance: int) -> int:
        values = inputs.get("Recorder", {})
        if self._places is None:
            self._lay_out(values)
        with self._run.uninterrupted():  # a step is kept whole, its requests with its row, or not at all
            self._record(time, values)
            for _, blocks in sorted(values.get(REQUESTS, {}).items()):
                self._requests.extend(_blocks(blocks))
            if values.get(SERIES):
                self._run.append("power_fast", self._fast(time, values[SERIES]))
            if len(self._times) == self._buffer_steps:
                self.flush()
        if self._progress is not None:
            self._progress(time + self._step_size)
        return time + self._step_size

    def get_data(self, outputs: OutputRequest) -> OutputData:
        raise NotImplementedError("the Recorder has no outputs")

    def finalize(self) -> None:
        self.flush()

    def flush(self) -> None:
        """Hand the buffered rows to the folder; whole steps only, each exactly once."""
        with self._run.uninterrupted():
            if not self._times:
                return
            if self._requests:
                blocks, self._requests = self._requests, []
                names = list(blocks[0])
                self._run.append(
                    REQUESTS,
                    {name: np.concatenate([np.asarray(block[name]) for block in blocks]) for name in names},
                )
            times, self._times = self._times, []
            rows = self._rows[: len(times)]
            stamps = self._start + np.asarray(times, dtype="timedelta64[s]")
            table: dict[str, ArrayLike] = {"time": pd.DatetimeIndex(stamps, tz="UTC")}
            table.update({name: rows[:, index].copy() for index, name in enumerate(self._columns)})
            self._run.append("timeseries", table)
            self._run.reached(times[-1] + self._step_size)

    def _fast(self, time: int, series: Mapping[str, ArrayLike]) -> dict[str, ArrayLike]:
        """The power within one step as rows of their own."""
        power_mw = np.sum([np.asarray(series[source], float) for source in sorted(series)], axis=0)
        offsets_ns = (np.arange(len(power_mw)) * (self._step_size * 1e9 / len(power_mw))).round()
        stamps = self._start + np.timedelta64(time, "s") + offsets_ns.astype("timedelta64[ns]")
        return {"time": pd.DatetimeIndex(stamps, tz="UTC"), "gpu_w": power_mw * 1e6}

    def _lay_out(self, values: Mapping[str, Mapping[str, Any]]) -> None:
        """Give each source and attribute of the first step its column."""
        # mosaik's order changes from run to run; a fixed one gives equal files and equal sums
        sources = sorted((source, attr) for attr in values if attr not in TABLES for source in values[attr])
        unknown = sorted(set(self._names) - set(sources))
        if unknown:
            raise ValueError(f"columns names {unknown[0]}, but nothing of that name is connected")
        names = [self._names.get((source, attr), f"{source}.{attr}") for source, attr in sources]
        self._columns = list(dict.fromkeys([*self._names.values(), *names]))
        self._places = {attr: {} for _, attr in sources}
        for (source, attr), name in zip(sources, names, strict=True):
            self._places[attr][source] = self._columns.index(name)
        self._rows = np.zeros((self._buffer_steps, len(self._columns)))

    def _record(self, time: int, values: Mapping[str, Mapping[str, Any]]) -> None:
        assert self._places is not None
        row = self._rows[len(self._times)]
        row[:] = 0.0
        for attr, places in self._places.items():
            given = values.get(attr, {})
            for source, place in places.items():
                if source not in given:
                    raise ValueError(f"{source} did not hand over {attr} at {time} s")
                value = given[source]
                try:
                    row[place] += np.nan if value is None else value
                except (TypeError, ValueError):
                    raise ValueError(
                        f"{source} handed over {attr} = {value!r} at {time} s, not a number"
                    ) from None
        self._times.append(time)  # last: a row counts once it is whole


def _blocks(blocks: Any) -> Sequence[Mapping[str, ArrayLike]]:
    if blocks is None:
        return ()
    return (blocks,) if isinstance(blocks, Mapping) else tuple(blocks)
