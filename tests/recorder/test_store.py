"""The results folder: whole, or marked as incomplete, and never at the cost of somebody else's files."""

import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from simulators.errors import InputError
from simulators.recorder.parquet import ParquetStream
from simulators.recorder.store import RunFolder

ROOT = Path(__file__).resolve().parents[2]


def rows(start: int, n: int) -> dict[str, np.ndarray]:
    return {"time_s": np.arange(start, start + n), "power_mw": np.linspace(0.0, 1.0, n)}


def finished(out: Path, value: int = 1, figures: dict[str, bytes] | None = None) -> Path:
    with RunFolder(out) as run:
        run.append("timeseries", rows(0, 5))
        for name, content in (figures or {}).items():
            run.path(f"figures/{name}").write_bytes(content)
        run.write_json("config.json", {"value": value})
        run.write_json("summary.json", {"value": value})
        return run.finish()


def stopped(out: Path, error: BaseException, **options: object) -> None:
    """A run that simulates 600 s in four rows and is then hit by `error`."""
    with RunFolder(out, **options) as run:
        run.append("timeseries", rows(0, 4))
        run.reached(600)
        raise error


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_finished_run_is_whole_and_leaves_nothing_else(tmp_path):
    out = tmp_path / "results" / "solar"
    with RunFolder(out) as run:
        run.append("timeseries", rows(0, 5))
        run.append("timeseries", pd.DataFrame(rows(5, 3)))
        run.path("figures/carbon.png").write_bytes(b"png")
        run.write_json("summary.json", {"b": 2, "a": np.float64(0.1)})
        assert not out.exists()
        assert run.finish() == out
    assert names(out) == {"timeseries.parquet", "figures", "summary.json", "config.json", "manifest.json"}
    assert names(out.parent) == {"solar"}
    frame = pd.read_parquet(out / "timeseries.parquet")
    assert frame["time_s"].tolist() == list(range(8))
    assert (out / "summary.json").read_text() == '{\n  "a": 0.1,\n  "b": 2\n}\n'
    assert "numpy" in json.loads((out / "config.json").read_text())["versions"]


def test_older_result_is_replaced(tmp_path):
    out = finished(tmp_path / "run", 1, figures={"old.png": b"of the older run"})
    finished(out, 2)
    assert json.loads((out / "summary.json").read_text()) == {"value": 2}
    assert names(tmp_path) == {"run"}
    assert names(out) == {"timeseries.parquet", "summary.json", "config.json", "manifest.json"}


def test_older_result_survives_a_failed_run(tmp_path):
    out = finished(tmp_path / "run", 1)
    with pytest.raises(ZeroDivisionError):
        stopped(out, ZeroDivisionError())
    assert json.loads((out / "summary.json").read_text()) == {"value": 1}
    assert names(tmp_path) == {"run", "run.incomplete"}


@pytest.mark.parametrize("content", ["thesis.tex", "config.json", "manifest.json"])
def test_folder_of_somebody_else_is_refused_before_anything_runs(tmp_path, content):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / content).write_text("{}")
    with pytest.raises(InputError, match="not a finished result"):
        RunFolder(tmp_path / "mine")
    assert names(tmp_path / "mine") == {content}


def test_folder_filled_during_the_run_is_not_destroyed(tmp_path):
    out = tmp_path / "run"

    def disturbed():
        with RunFolder(out) as run:
            run.append("timeseries", rows(0, 4))
            run.write_json("summary.json", {})
            out.mkdir()
            (out / "thesis.tex").write_text("years of work")
            run.finish()

    with pytest.raises(InputError):
        disturbed()
    assert names(out) == {"thesis.tex"}
    assert (tmp_path / "run.incomplete" / "timeseries.parquet").exists()


def test_file_link_and_root_are_refused(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path)
    for target in (tmp_path / "file", tmp_path / "link", Path("/")):
        with pytest.raises(InputError, match=r"expected .*results"):
            RunFolder(target)
    with pytest.raises(InputError, match="cannot create"), RunFolder(tmp_path / "file" / "run"):
        pass


def test_empty_folder_is_taken(tmp_path):
    (tmp_path / "run").mkdir()
    finished(tmp_path / "run")
    assert "summary.json" in names(tmp_path / "run")


def test_bad_input_before_the_first_row_leaves_nothing(tmp_path):
    def refused():
        with RunFolder(tmp_path / "run") as run:
            run.write_json("config.json", {})
            raise InputError("no such file")

    with pytest.raises(InputError, match="no such file"):
        refused()
    assert names(tmp_path) == set()


def test_stopped_run_keeps_what_was_buffered_and_says_until_when(tmp_path, capsys):
    def interrupted():
        with RunFolder(tmp_path / "run", start=datetime(2016, 8, 1, tzinfo=UTC), until_s=3600) as run:
            run.append("requests", rows(0, 5))
            run.before_closing(lambda: run.append("requests", rows(5, 5)))
            run.before_closing(lambda: run.append("timeseries", rows(0, 10)))
            run.reached(600)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    kept = tmp_path / "run.incomplete"
    assert len(pd.read_parquet(kept / "requests.parquet")) == 10
    assert len(pd.read_parquet(kept / "timeseries.parquet")) == 10
    note = (kept / "INCOMPLETE.txt").read_text()
    assert "2016-08-01 00:10:00 UTC (600 s of 3600 s)" in note
    assert "KeyboardInterrupt" in note
    assert str(kept) in capsys.readouterr().err
    assert names(tmp_path) == {"run.incomplete"}


def test_incomplete_folder_is_replaced_only_if_it_is_ours(tmp_path):
    (tmp_path / "run.incomplete").mkdir()
    (tmp_path / "run.incomplete" / "thesis.tex").write_text("")
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            stopped(tmp_path / "run", ZeroDivisionError())
    assert names(tmp_path) == {"run.incomplete", "run.incomplete-2"}
    assert names(tmp_path / "run.incomplete") == {"thesis.tex"}


def test_failing_flush_does_not_lose_the_rest(tmp_path):
    def fail():
        raise ValueError("half a step")

    def broken():
        with RunFolder(tmp_path / "run") as run:
            run.append("timeseries", rows(0, 4))
            run.before_closing(fail)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        broken()
    assert len(pd.read_parquet(tmp_path / "run.incomplete" / "timeseries.parquet")) == 4
    assert "half a step" in (tmp_path / "run.incomplete" / "INCOMPLETE.txt").read_text()


def test_run_that_stopped_early_cannot_finish(tmp_path):
    def short():
        with RunFolder(tmp_path / "run", until_s=3600) as run:
            run.append("timeseries", rows(0, 10))
            run.reached(600)
            run.write_json("summary.json", {})
            run.finish()

    with pytest.raises(RuntimeError, match="600 s of 3600 s"):
        short()
    assert names(tmp_path) == {"run.incomplete"}


def test_signal_waits_for_a_guarded_block_and_finish_remembers_a_swallowed_one(tmp_path):
    done = []

    def swallowing():
        with RunFolder(tmp_path / "run") as run:
            try:
                with run.uninterrupted():
                    signal.raise_signal(signal.SIGINT)
                    done.append("whole")
            except KeyboardInterrupt:  # as a library in between might
                done.append("swallowed")
            run.write_json("summary.json", {})
            run.finish()

    with pytest.raises(KeyboardInterrupt):
        swallowing()
    assert done == ["whole", "swallowed"]
    assert signal.getsignal(signal.SIGINT) == signal.default_int_handler


def test_frame_reads_back_what_was_appended(tmp_path):
    with RunFolder(tmp_path / "run") as run:
        run.append("requests", {"request_id": np.arange(3), "energy_j": np.ones(3)})
        assert run.frame("requests", ["energy_j"])["energy_j"].tolist() == [1.0, 1.0, 1.0]
        with pytest.raises(ValueError, match="closed"):
            run.append("requests", {"request_id": np.arange(3), "energy_j": np.ones(3)})
        run.write_json("summary.json", {})
        run.finish()


def test_json_refuses_numbers_that_are_not_finite(tmp_path):
    with RunFolder(tmp_path / "run") as run:
        with pytest.raises(ValueError, match=r"carbon_kg\.total is nan"):
            run.write_json("summary.json", {"carbon_kg": {"total": np.nan}})
        assert not run.path("summary.json").exists()


def test_equal_runs_give_equal_bytes(tmp_path):
    first, second = finished(tmp_path / "a"), finished(tmp_path / "b")
    assert names(first) == names(second)
    for name in names(first):
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_rows_are_written_in_groups_as_they_come(tmp_path):
    stream = ParquetStream(tmp_path / "t.parquet", rows_per_group=1000)
    for start in range(0, 5000, 400):
        stream.append(rows(start, 400))
    saved = pd.read_parquet(tmp_path / "t")  # most of it can be read before the end
    assert saved["time_s"].tolist() == list(range(4800))
    stream.close()
    stream.close()
    file = pq.ParquetFile(tmp_path / "t.parquet")
    assert [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)] == [1000] * 5 + [200]
    assert file.read()["time_s"].to_pylist() == list(range(5200))


def test_stream_refuses_other_columns_and_wrong_types(tmp_path):
    stream = ParquetStream(tmp_path / "t.parquet")
    stream.append({"a": np.arange(2), "b": np.array([None, None])})
    stream.append({"b": np.array([0.5]), "a": np.arange(1)})
    with pytest.raises(ValueError, match=r"\['c'\]"):
        stream.append({"a": np.arange(1), "b": np.zeros(1), "c": np.zeros(1)})
    with pytest.raises(ValueError, match=r"t\.parquet"):
        stream.append({"a": np.array([0.5]), "b": np.zeros(1)})
    stream.close()
    assert pd.read_parquet(tmp_path / "t.parquet")["b"].isna().tolist() == [True, True, False]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, -signal.SIGINT), (signal.SIGTERM, 143)])
def test_signal_in_the_middle_of_a_mosaik_run_keeps_what_was_simulated(tmp_path, number, code):
    script = f"""
import sys, time
from datetime import UTC, datetime
import mosaik
from mosaik.basic_simulators import InputSimulator
from mosaik.starters import PythonStarter
from simulators.recorder.simulator import Recorder
from simulators.recorder.sinks import FolderSink
from simulators.recorder.store import RunFolder

def slow(t):
    if t == 60 * 60:
        print("running", flush=True)
    time.sleep(0.002)
    return 1.0

start = datetime(2016, 8, 1, tzinfo=UTC)
with RunFolder({str(tmp_path / "run")!r}, start=start, until_s=60 * 100_000) as run:
    with mosaik.World(cache=False, skip_greetings=True, configure_logging=False) as world:
        source = world.start(PythonStarter(InputSimulator), "load", step_size=60).Function(function=slow)
        recorder = world.start(PythonStarter(Recorder, args=(FolderSink(run),)), "recorder", start=start).Recorder(
            columns=[[source.full_id, "P[MW]", "a", "it_mw"]]
        )
        world.connect(source, recorder, ("value", "P[MW]"))
        world.run(60 * 100_000, print_progress=False, lazy_stepping=True)
    run.write_json("summary.json", {{}})
    run.finish()
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "running\n"
    time.sleep(0.3)
    os.kill(process.pid, number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code, errors
    kept = tmp_path / "run.incomplete"
    frame = pd.read_parquet(kept / "timeseries.parquet")
    assert len(frame) >= 60
    assert frame["time"].is_monotonic_increasing
    assert frame["time"].diff().dropna().eq(pd.Timedelta(minutes=1)).all()
    until = frame["time"].iloc[-1] + pd.Timedelta(minutes=1)
    assert f"Simulated until: {until:%Y-%m-%d %H:%M:%S} UTC" in (kept / "INCOMPLETE.txt").read_text()
    assert str(kept) in errors
    assert names(tmp_path) == {"run.incomplete"}
