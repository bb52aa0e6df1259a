"""The Recorder inside a real mosaik world."""

from datetime import UTC, datetime

import mosaik
import mosaik_api_v3
import numpy as np
import pandas as pd
import pytest
from mosaik.starters import PythonStarter

from simulators.recorder.simulator import Recorder
from simulators.recorder.store import RunFolder

START = datetime(2016, 8, 1, 7, tzinfo=UTC)


class Plant(mosaik_api_v3.Simulator):
    """Hands out what a table of functions of time says."""

    def __init__(self, **attributes):
        super().__init__(
            {
                "models": {"Plant": {"public": True, "params": [], "attrs": list(attributes)}},
                "type": "time-based",
            }
        )
        self.attributes = attributes
        self.eids = []

    def create(self, num, model):
        new = [f"P{len(self.eids) + i}" for i in range(num)]
        self.eids += new
        return [{"eid": eid, "type": model} for eid in new]

    def step(self, time, inputs, max_advance):
        self.time = time
        return time + 60

    def get_data(self, outputs):
        return {
            eid: {attr: self.attributes[attr](self.time) for attr in attrs} for eid, attrs in outputs.items()
        }


def simulate(out, attributes, *, columns=None, plants=1, steps=10, buffer_steps=4, progress=None):
    with RunFolder(out, start=START, until_s=60 * steps) as run:
        with mosaik.World(cache=False, skip_greetings=True, configure_logging=False) as world:
            plant = world.start(PythonStarter(Plant, kwargs=attributes), "site")
            sources = plant.Plant.create(plants)
            recorder = world.start(
                PythonStarter(Recorder),
                "recorder",
                run=run,
                start=START,
                buffer_steps=buffer_steps,
                progress=progress,
            ).Recorder(columns=columns)
            for source in sources:
                world.connect(source, recorder, *attributes)
            world.run(60 * steps, print_progress=False, lazy_stepping=False)
        run.write_json("summary.json", {})
        run.finish()
    return pd.read_parquet(out / "timeseries.parquet")


def test_columns_are_renamed_added_up_and_stamped_with_the_start_of_the_interval(tmp_path):
    seen = []
    frame = simulate(
        tmp_path / "run",
        {"P[MW]": lambda t: t / 60, "SoC[1]": lambda t: None if t == 120 else 0.5},
        columns={("site.P0", "P[MW]"): "pv_mw", ("site.P1", "P[MW]"): "pv_mw", ("site.P0", "SoC[1]"): "soc"},
        plants=2,
        progress=seen.append,
    )
    assert list(frame.columns) == ["time", "pv_mw", "soc", "site.P1.SoC[1]"]
    assert frame["pv_mw"].tolist() == [2.0 * step for step in range(10)]
    assert frame["soc"].isna().tolist() == [step == 2 for step in range(10)]
    assert frame["time"].tolist() == list(pd.date_range(START, periods=10, freq="60s"))
    assert seen == [60 * (step + 1) for step in range(10)]


def test_finished_requests_go_to_their_own_table(tmp_path):
    def requests(t):
        if t == 60:
            return None
        n = t // 60 % 3
        block = {"request_id": np.arange(n) + t, "energy_j": np.full(n, 0.5)}
        return [block, block] if t == 120 else block

    simulate(tmp_path / "run", {"requests": requests, "P[MW]": lambda t: 1.0}, steps=5)
    frame = pd.read_parquet(tmp_path / "run" / "requests.parquet")
    assert frame["request_id"].tolist() == [120, 121, 120, 121, 240]
    assert frame["energy_j"].sum() == 2.5


def test_run_without_a_finished_request_still_has_the_table(tmp_path):
    nothing = {"request_id": np.arange(0), "energy_j": np.zeros(0)}
    simulate(tmp_path / "run", {"requests": lambda t: nothing, "P[MW]": lambda t: 1.0}, steps=2)
    frame = pd.read_parquet(tmp_path / "run" / "requests.parquet")
    assert list(frame.columns) == ["request_id", "energy_j"]
    assert len(frame) == 0


def test_value_that_is_not_a_number_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"site\.P0 handed over CI_forecast.*at 180 s"):
        simulate(tmp_path / "run", {"CI_forecast": lambda t: [1.0] if t == 180 else 1.0})
    kept = pd.read_parquet(tmp_path / "run.incomplete" / "timeseries.parquet")
    assert len(kept) == 3  # the step that failed is not half there


def test_misspelt_column_source_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"site\.P7"):
        simulate(tmp_path / "run", {"P[MW]": lambda t: 1.0}, columns={("site.P7", "P[MW]"): "pv_mw"})
    assert list(tmp_path.iterdir()) == []
