"""Profile replay under mosaik: every step gets the mean of its own interval."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import mosaik
import mosaik_api_v3
import numpy as np
import pytest
from mosaik.starters import PythonStarter

from simulators.errors import InputError
from simulators.profiles.profile import Profile
from simulators.profiles.simulator import ProfileReplay

START = datetime(2023, 6, 5, tzinfo=UTC)


class Sink(mosaik_api_v3.Simulator):
    """Keeps what it is handed."""

    def __init__(self) -> None:
        super().__init__(
            {
                "api_version": "3.0",
                "type": "time-based",
                "models": {"Sink": {"public": True, "params": [], "attrs": ["price[1/kWh]", "T[degC]"]}},
            }
        )

    def init(self, sid: str, time_resolution: float = 1.0, *, rows: list[Any]) -> Any:
        self._rows = rows
        return self.meta

    def create(self, num: int, model: str) -> Any:
        return [{"eid": "Sink", "type": model}]

    def step(self, time: int, inputs: Any, max_advance: int) -> int:
        values = {attr: next(iter(sources.values())) for attr, sources in inputs["Sink"].items()}
        self._rows.append((time, values["price[1/kWh]"], values["T[degC]"]))
        return time + 900

    def get_data(self, outputs: Any) -> Any:
        return {}


def profile(name: str, values: list[float], step_s: int = 3600) -> Profile:
    return Profile(name, "1", START, step_s, np.array(values), "test")


def test_every_step_gets_its_mean() -> None:
    rows: list[tuple[int, float, float]] = []
    configuration = {"Replay": PythonStarter(ProfileReplay), "Sink": PythonStarter(Sink)}
    prices = profile("price", [0.1, 0.3]).means(START, 900, 8)
    degrees = profile("T", [10, 20, 30, 40, 50, 60], 1200).means(START, 900, 8)
    with mosaik.World(configuration, cache=False) as world:
        replay = world.start("Replay", step_size=900, attributes=["price[1/kWh]", "T[degC]"])
        sink = world.start("Sink", rows=rows).Sink()
        price = replay.Profile(values=prices.tolist())
        temperature = replay.Profile(values=degrees.tolist(), attribute="T[degC]")
        world.connect(price, sink, "price[1/kWh]")
        world.connect(temperature, sink, "T[degC]")
        world.run(7200, print_progress=False, lazy_stepping=False)
    times, seen, temperatures = map(np.array, zip(*rows, strict=True))
    assert times.tolist() == list(range(0, 7200, 900))
    np.testing.assert_allclose(seen, [0.1] * 4 + [0.3] * 4)
    # 1200 s values seen through 900 s windows: 900 of the first; 300 of it and 600 of the next; ...
    np.testing.assert_allclose(
        temperatures,
        [10, (300 * 10 + 600 * 20) / 900, (600 * 20 + 300 * 30) / 900, 30, 40, 140 / 3, 160 / 3, 60],
    )


def test_a_run_longer_than_its_series_is_refused() -> None:
    with pytest.raises(InputError, match="the run needs 2023-06-05 00:00 to 2023-06-05 02:15 UTC"):
        profile("price", [0.1, 0.3]).means(START, 900, 9)
    simulator = ProfileReplay()
    simulator.init("Replay", 1.0, step_size=900)
    simulator.create(1, "Profile", values=[0.1])
    simulator.step(900, {}, 900)
    with pytest.raises(InputError, match="Profile-0: has values for 1 steps, the run goes on at step 1"):
        simulator.get_data({"Profile-0": ["price[1/kWh]"]})
