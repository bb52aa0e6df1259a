"""The Recorder inside a real mosaik world."""

import tracemalloc
from datetime import UTC, datetime

import mosaik
import mosaik_api_v3
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from mosaik.starters import PythonStarter

from simulators.errors import InputError
from simulators.quantities.schema import REQUESTS
from simulators.recorder.memory import MemorySink
from simulators.recorder.simulator import Recorder
from simulators.recorder.sinks import FolderSink, StoringSink
from simulators.recorder.store import RunFolder

START = datetime(2016, 8, 1, 7, tzinfo=UTC)
ONE = [["plant.P0", "P[MW]", "a", "pv_mw"]]


class Plant(mosaik_api_v3.Simulator):
    """Hands out what a table of functions of time and plant says."""

    def __init__(self, **attributes):
        super().__init__(
            {
                "models": {"Plant": {"public": True, "params": [], "attrs": list(attributes)}},
                "type": "time-based",
            }
        )
        self.attributes = attributes

    def create(self, num, model):
        return [{"eid": f"P{number}", "type": model} for number in range(num)]

    def step(self, time, inputs, max_advance):
        self.time = time
        return time + 60

    def get_data(self, outputs):
        return {
            eid: {attr: self.attributes[attr](self.time, eid) for attr in attrs}
            for eid, attrs in outputs.items()
        }


class Told(MemorySink):
    """Memory that notes what it was told."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def reached(self, simulated_s):
        self.seen.append(simulated_s)


def simulate(sink, attributes, *, plants=1, steps=10, buffer_steps=4, start=START, **created):
    with mosaik.World(cache=False, skip_greetings=True, configure_logging=False) as world:
        sources = world.start(PythonStarter(Plant, kwargs=attributes), "plant").Plant.create(plants)
        starter = PythonStarter(Recorder, args=(sink,))
        recorder = world.start(starter, "recorder", start=start, buffer_steps=buffer_steps).Recorder(
            **created
        )
        for source in sources:
            world.connect(source, recorder, *attributes)
        world.run(60 * steps, print_progress=False, lazy_stepping=False)
    return sink


def on_disk(out, attributes, *, steps=10, **options):
    with RunFolder(out, start=START, until_s=60 * steps) as folder:
        simulate(FolderSink(folder), attributes, steps=steps, **options)
        folder.write_json("summary.json", {})
        return folder.finish()


def test_one_row_per_step_and_site_in_the_order_of_the_schema():
    attributes = {
        "P[MW]": lambda t, eid: t / 60,
        "SoC[1]": lambda t, eid: None if t == 120 else 0.5,
        "Q[MVar]": lambda t, eid: 0.25,
        "P_slack[MW]": lambda t, eid: t,
    }
    sink = simulate(
        Told(),
        attributes,
        plants=3,
        sites=["b", "a"],
        columns=[
            *[[f"plant.P{n}", "Q[MVar]", "a", "own"] for n in range(3)],
            ["plant.P0", "SoC[1]", "a", "soc"],
            *[
                [f"plant.P{n}", "SoC[1]", "c*"[n - 1].replace("c", "b"), "spare" if n == 2 else "soc"]
                for n in (1, 2)
            ],
            *[[f"plant.P{n}", "P[MW]", "aba"[n], "pv_mw"] for n in range(3)],
            *[[f"plant.P{n}", "P_slack[MW]", "*", "slack_mw"] for n in range(3)],
        ],
    )
    frame = sink.frame("timeseries")
    assert list(frame.columns) == ["time", "site", "pv_mw", "soc", "slack_mw", "own", "spare"]
    assert frame["site"].tolist() == ["b", "a"] * 10
    assert frame["time"].tolist() == [
        stamp for stamp in pd.date_range(START, periods=10, freq="60s") for _ in "ab"
    ]
    of_a, of_b = frame[frame["site"] == "a"], frame[frame["site"] == "b"]
    assert of_a["pv_mw"].tolist() == [2.0 * step for step in range(10)]  # two plants of site a are added up
    assert of_b["pv_mw"].tolist() == [1.0 * step for step in range(10)]
    assert of_a["soc"].isna().tolist() == [step == 2 for step in range(10)]
    assert of_b["own"].isna().all()
    assert of_a["slack_mw"].tolist() == of_b["slack_mw"].tolist() == [180.0 * step for step in range(10)]
    assert sink.seen == [60 * (step + 1) for step in range(10)]


def test_memory_and_disk_hold_the_same_and_the_file_tells_units(tmp_path):
    attributes = {
        "P[MW]": lambda t, eid: t / 60,
        "finished": lambda t, eid: {"request_id": [t], "energy_j": [0.5], "deferrable": [True]},
        "P_series[MW]": lambda t, eid: [1e-6, 2e-6, 3e-6],
    }
    created = {"columns": ONE, "tables": {"plant.P0": "a"}}
    memory = simulate(MemorySink(), attributes, **created)
    out = on_disk(tmp_path / "run", attributes, **created)
    assert set(memory.tables) == {"timeseries", "requests", "power_fast"}
    for table in memory.tables:
        pd.testing.assert_frame_equal(memory.frame(table), pd.read_parquet(out / f"{table}.parquet"))
    schema = pq.read_schema(out / "timeseries.parquet")
    assert schema.field("pv_mw").metadata == {b"unit": b"MW", b"label": b"PV"}
    assert pq.read_schema(out / "requests.parquet").field("energy_j").metadata[b"unit"] == b"J"
    file = pq.ParquetFile(out / "timeseries.parquet")
    assert "RLE_DICTIONARY" in file.metadata.row_group(0).column(1).encodings  # of the site
    fast = memory.frame("power_fast")
    assert fast["gpu_w"].tolist()[:4] == [1.0, 2.0, 3.0, 1.0]
    assert (fast["time"] - pd.Timestamp(START)).dt.total_seconds().tolist()[:4] == [0.0, 20.0, 40.0, 60.0]
    assert set(fast["site"]) == {"a"}


def test_finished_requests_go_to_their_own_table_with_their_site():
    def finished(t, eid):
        if t == 60:
            return None
        n = t // 60 % 3
        return {"energy_j": [0.5] * n, "request_id": list(range(t, t + n)), "extra": ["x"] * n} if n else {}

    sink = simulate(
        MemorySink(),
        {"finished": finished, "P[MW]": lambda t, eid: 1.0},
        plants=2,
        steps=5,
        columns=[["plant.P0", "P[MW]", "a", "pv_mw"], ["plant.P1", "P[MW]", "b", "pv_mw"]],
        tables={"plant.P0": "b", "plant.P1": "a"},
    )
    frame = sink.frame("requests")
    assert list(frame.columns) == ["site", "request_id", "energy_j", "extra"]
    assert frame["request_id"].tolist() == [120, 121, 120, 121, 240, 240]
    assert frame["site"].tolist() == ["b", "b", "a", "a", "b", "a"]
    assert frame["request_id"].dtype == np.int64
    assert frame["energy_j"].sum() == 3.0


def test_run_without_a_finished_request_still_has_the_table():
    attributes = {"finished": lambda t, eid: {}, "P[MW]": lambda t, eid: 1.0}
    frame = simulate(MemorySink(), attributes, steps=2, columns=ONE, tables={"plant.P0": "a"}).frame(
        "requests"
    )
    assert list(frame.columns) == ["site", *(column.name for column in REQUESTS)]
    assert len(frame) == 0


def test_value_that_is_not_a_number_is_named_and_its_step_is_not_half_there(tmp_path):
    attributes = {
        "CI": lambda t, eid: [1.0] if t == 180 else 1.0,
        "finished": lambda t, eid: {"request_id": [t]},
    }
    with pytest.raises(ValueError, match=r"plant\.P0 handed over CI = \[1\.0\] at 180 s"):
        on_disk(
            tmp_path / "run", attributes, columns=[["plant.P0", "CI", "a", "ci"]], tables={"plant.P0": "a"}
        )
    kept = tmp_path / "run.incomplete"
    assert len(pd.read_parquet(kept / "timeseries.parquet")) == 3
    assert pd.read_parquet(kept / "requests.parquet")["request_id"].tolist() == [0, 60, 120]


@pytest.mark.parametrize(
    ("created", "words"),
    [
        (
            {"columns": [["plant.P7", "P[MW]", "a", "pv_mw"]]},
            r"names plant\.P7 P\[MW\], expected it to be connected",
        ),
        ({"columns": []}, r"plant\.P0 P\[MW\] is connected, expected a column"),
        ({"columns": ONE, "sites": ["b"]}, "the site 'a', expected one of b"),
        ({"columns": [*ONE, ["plant.P0", "P[MW]", "*", "pv_mw"]]}, "all sites and for a"),
        ({"columns": [["plant.P0", "P[MW]", "pv_mw"]]}, r"expected \[source, attribute, site, column\]"),
        ({"columns": ONE, "start": "2016-08-01"}, "no offset"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, created, words):
    with pytest.raises(InputError, match=words):
        on_disk(tmp_path / "run", {"P[MW]": lambda t, eid: 1.0}, **created)
    assert list(tmp_path.iterdir()) == []


def test_finished_requests_need_the_site_of_their_cluster():
    attributes = {"P[MW]": lambda t, eid: 1.0, "finished": lambda t, eid: None}
    with pytest.raises(InputError, match=r"plant\.P0 finished is connected, expected its site in tables"):
        simulate(MemorySink(), attributes, columns=ONE)


def test_many_requests_are_handed_on_before_the_buffer_of_steps_is_full():
    recorder = Recorder(sink := MemorySink())
    recorder.init("recorder", 1.0, step_size=60, start="2016-08-01T00:00:00+00:00")
    recorder.create(1, "Recorder", columns=ONE, tables={"plant.P0": "a"})
    block = {column.name: [1] * 2000 for column in REQUESTS}
    inputs = {"Recorder-0": {"P[MW]": {"plant.P0": 1.0}, "finished": {"plant.P0": block}}}
    tracemalloc.start()
    for step in range(100):
        recorder.step(60 * step, inputs, 0)
        sink._tables.clear()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 30e6  # 33,000 rows of 14 columns, twice while they are joined; all rows would be 20 MB more
    with pytest.raises(InputError, match="another recorder"):
        recorder.create(1, "Recorder")


def test_folder_sink_keeps_steps_whole(tmp_path):
    with RunFolder(tmp_path / "run") as folder:
        assert isinstance(FolderSink(folder), StoringSink)
    assert not isinstance(MemorySink(), StoringSink)
