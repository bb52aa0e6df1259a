"""Profile replay under mosaik: every step gets the mean of its own interval."""

from __future__ import annotations

import json
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


def means(of: Profile, step_s: int = 900, steps: int = 8) -> list[float]:
    """One value per step, as it goes to the adapter in plain JSON."""
    values: list[float] = json.loads(json.dumps(of.means(START, step_s, steps).tolist()))
    return values


def test_every_step_gets_its_mean() -> None:
    rows: list[tuple[int, float, float]] = []
    configuration = {"Replay": PythonStarter(ProfileReplay), "Sink": PythonStarter(Sink)}
    with mosaik.World(configuration, cache=False) as world:
        replay = world.start("Replay", step_size=900, attributes=["price[1/kWh]", "T[degC]"])
        sink = world.start("Sink", rows=rows).Sink()
        price = replay.Profile(values=means(profile("price", [0.1, 0.3])))
        temperature = replay.Profile(
            values=means(profile("T", [10, 20, 30, 40, 50, 60], 1200)), attribute="T[degC]"
        )
        world.connect(price, sink, "price[1/kWh]")
        world.connect(temperature, sink, "T[degC]")
        world.run(7200, print_progress=False, lazy_stepping=False)
    times, prices, temperatures = map(np.array, zip(*rows, strict=True))
    assert times.tolist() == list(range(0, 7200, 900))
    np.testing.assert_allclose(prices, [0.1] * 4 + [0.3] * 4)
    # 1200 s values seen through 900 s windows: 900 of the first; 300 of it and 600 of the next; ...
    np.testing.assert_allclose(
        temperatures,
        [10, (300 * 10 + 600 * 20) / 900, (600 * 20 + 300 * 30) / 900, 30, 40, 140 / 3, 160 / 3, 60],
    )


def test_a_profile_that_does_not_cover_the_run_is_refused_before_it() -> None:
    with pytest.raises(InputError, match="the run needs 2023-06-05 00:00 to 2023-06-05 02:15 UTC"):
        means(profile("price", [0.1, 0.3]), steps=9)


def replay(**parameters: Any) -> ProfileReplay:
    simulator = ProfileReplay()
    simulator.init("Replay", 1.0, step_size=900, **parameters)
    return simulator


def test_an_attribute_is_a_declared_one() -> None:
    with pytest.raises(InputError, match=r"'other' was not declared, expected one of price\[1/kWh\]"):
        replay().create(1, "Profile", values=[0.1, 0.3], attribute="other")
    with pytest.raises(InputError, match=r"'price\[1/kWh\]' was not declared, expected one of T\[degC\]"):
        replay(attributes=["T[degC]"]).create(1, "Profile", values=[0.1, 0.3])


@pytest.mark.parametrize("values", [[], [0.1, float("nan")], [[0.1, 0.3]], 0.1])
def test_values_are_one_number_for_every_step(values: Any) -> None:
    with pytest.raises(InputError, match="here: expected one number for every step"):
        replay().create(1, "Profile", name="here", values=values)


def test_a_run_longer_than_its_values_ends() -> None:
    simulator = replay()
    simulator.create(1, "Profile", name="here", values=[0.1])
    asked = {"here": ["price[1/kWh]"]}
    simulator.step(0, {}, 900)
    assert json.loads(json.dumps(simulator.get_data(asked))) == {"here": {"price[1/kWh]": 0.1}}
    assert simulator.summary("here") == {}
    simulator.step(900, {}, 900)
    with pytest.raises(InputError, match="here: has values for 1 steps, the run goes on at step 1"):
        simulator.get_data(asked)
