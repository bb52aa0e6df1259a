"""Power below the step's resolution: the fast series is the meter, and is written while the run goes on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from scenarios import Study, simulate
from scenarios.build import build
from simulators.errors import InputError
from simulators.inference.simulator import Inference
from simulators.recorder.parquet import ROWS_PER_GROUP
from simulators.recorder.sinks import FolderSink
from simulators.recorder.store import RunFolder

OPTIONS = {
    "model": "meta-llama/Meta-Llama-3-8B", "tp": 1, "replicas": 1, "iteration_time": "roofline", "rate": 4.0,
    "without": ("wind", "battery"), "policy": "none",
}  # fmt: skip


class Folder(FolderSink):
    def started(self, plan):
        pass


@pytest.mark.parametrize("resolution_s", [0.01, 0.25])
def test_the_mean_of_every_step_is_its_power(tmp_path: Path, resolution_s: float):
    study = Study().changed(**OPTIONS, days=720 / 86400, power_resolution_s=resolution_s)
    with RunFolder(tmp_path / "out", until_s=720) as folder:
        simulate(study, listeners=[Folder(folder)])
        steps, fast = folder.frame("timeseries"), folder.frame("power_fast")
        groups = pq.ParquetFile(folder.path("power_fast.parquet")).metadata
        folder.write_json("summary.json", {})
        folder.finish()
    per_step = round(60 / resolution_s)
    assert len(fast) == 12 * per_step
    assert fast["time"].iloc[0] == steps["time"].iloc[0]
    assert (fast["time"].diff().iloc[1:] == pd.Timedelta(seconds=resolution_s)).all()
    mean_w = fast["gpu_w"].to_numpy().reshape(12, per_step).mean(axis=1)
    np.testing.assert_allclose(mean_w, steps["gpu_mw"] * 1e6, rtol=1e-12)
    assert fast["gpu_w"].std() > 10  # prefills stand out of decodes
    # what is not yet written stays bounded, however long the run
    largest = max(groups.row_group(i).num_rows for i in range(groups.num_row_groups))
    assert largest <= 2 * (ROWS_PER_GROUP + per_step)


def test_without_the_option_there_is_no_fast_series(tmp_path: Path):
    study = Study().changed(**OPTIONS, days=180 / 86400)
    with RunFolder(tmp_path / "out", until_s=180) as folder:
        simulate(study, listeners=[Folder(folder)])
        assert not folder.path("power_fast.parquet").exists()
        folder.write_json("summary.json", {})
        folder.finish()


@pytest.mark.parametrize("resolution_s", [0.7, 90.0])
def test_a_resolution_that_does_not_divide_a_step_is_refused(resolution_s: float):
    with pytest.raises(InputError, match="--power-resolution-s"):
        build(Study().changed(**OPTIONS, power_resolution_s=resolution_s))


@pytest.mark.parametrize(
    ("state", "saves"), [("off", "saves energy in pauses above 41 s"), ("sleep", "parking saves no energy")]
)
def test_the_notes_say_what_parking_saves(state: str, saves: str):
    options = OPTIONS | {"gpu": "h100", "idle_off_s": 120.0, "idle_state": state}
    result = simulate(Study().changed(**options, days=120 / 86400))
    [note] = [note for note in result.notes if note.startswith("Idle h100")]
    assert saves in note


def test_cap_and_idle_rule_reach_the_cluster():
    plan = build(Study().changed(**OPTIONS, power_cap_w=400.0, idle_off_s=120.0))
    [entity] = [entity for entity in plan.entities if entity.part == "cluster"]
    served = Inference().make("here", "Cluster", **entity.config)
    assert served.cluster.power_cap_w == 400.0
    rule = served.cluster.replicas[0].standby.rule
    assert rule is not None
    assert (rule.state.name, rule.after_s) == ("off", 120.0)
    assert served.facts["gpu_max_w"] == 400.0
