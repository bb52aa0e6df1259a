"""Small mosaik worlds in which an adapter stands beside mosaik's own basic simulators."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import mosaik
from mosaik.basic_simulators import InputSimulator, OutputSimulator
from mosaik.starters import PythonStarter

STEP_S = 900
LOSSLESS = {"charge_efficiency": 1.0, "discharge_efficiency": 1.0}
SMALL = LOSSLESS | {
    "capacity_wh": 1e6, "max_charge_w": 0.5e6, "max_discharge_w": 0.5e6, "soc_initial": 0.0
}  # fmt: skip


def crossed(value: Any) -> Any:
    """A value as it is behind a TCP connection: only JSON's kinds pass, every number to the last bit."""
    return json.loads(json.dumps(value))


def over_json(simulator: type) -> type:
    """The simulator with everything that goes in and comes out passed through JSON, as if it ran elsewhere."""

    class Elsewhere(simulator):  # type: ignore[misc,valid-type]
        def create(self, num: int, model: str, **parameters: Any) -> Any:
            return crossed(super().create(num, model, **crossed(parameters)))

        def step(self, time: int, inputs: Any, max_advance: int) -> Any:
            return super().step(time, crossed(inputs), max_advance)

        def get_data(self, outputs: Any) -> Any:
            return crossed(super().get_data(outputs))

        def summary(self, eid: str) -> Any:
            return crossed(super().summary(eid))

    return Elsewhere


class TinyWorld:
    """A world with sources and one recorder; `series` runs it and returns what was recorded.

    Used as a context manager, so that mosaik's event loop is closed even if a test fails.
    """

    def __init__(self) -> None:
        self.world = mosaik.World(cache=False, skip_greetings=True, configure_logging=False)
        self._recorder = self.world.start(PythonStarter(OutputSimulator), sim_id="Recorder")
        self._dict = self._recorder.Dict()
        self._names: dict[str, tuple[str, str]] = {}
        self._sources = 0

    def __enter__(self) -> TinyWorld:
        self.world.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        # a run that ends with an error leaves mosaik's other simulators waiting
        waiting = asyncio.all_tasks(self.world.loop)
        for task in waiting:
            task.cancel()
        self.world.loop.run_until_complete(asyncio.gather(*waiting, return_exceptions=True))
        self.world.__exit__(*error)

    def start(self, simulator: type, name: str) -> Any:
        """Start an adapter; what crosses between it and the world is JSON."""
        return self.world.start(PythonStarter(over_json(simulator)), sim_id=name, step_size=STEP_S)

    def source(self, function: Callable[[int], Any]) -> Any:
        """An entity of mosaik's InputSimulator whose `value` is `function(step number)`."""
        self._sources += 1
        name = f"Input-{self._sources}"
        factory = self.world.start(PythonStarter(InputSimulator), sim_id=name, step_size=STEP_S)
        return factory.Function(function=lambda time: function(time // STEP_S))

    def record(self, entity: Any, *attributes: str, prefix: str = "") -> None:
        """Keep attributes of an entity; `prefix` tells those of several apart in what `series` returns."""
        for attribute in attributes:
            self.world.connect(entity, self._dict, attribute)
            self._names[prefix + attribute] = (entity.full_id, attribute)

    def series(self, steps: int) -> dict[str, list[Any]]:
        """Run `steps` steps; what was recorded, by attribute, one value per step."""
        self.world.run(steps * STEP_S, print_progress=False, lazy_stepping=False, shutdown=False)
        by_time = self._recorder.get_dict(self._dict.eid)
        assert sorted(by_time) == [i * STEP_S for i in range(steps)]
        return {
            name: [by_time[time][attribute][full_id] for time in sorted(by_time)]
            for name, (full_id, attribute) in self._names.items()
        }
