"""One writer per results folder."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from simulators.errors import InputError
from simulators.recorder.lock import Lock
from simulators.recorder.store import RunFolder

ROOT = Path(__file__).resolve().parents[2]


def test_second_writer_is_refused_in_one_line_and_the_first_goes_on(tmp_path):
    with RunFolder(tmp_path / "run") as run:
        with pytest.raises(InputError, match=rf"process {os.getpid()} on .* is writing there") as refused:
            RunFolder(tmp_path / "run").__enter__()
        assert "\n" not in str(refused.value)
        run.write_json("summary.json", {})
        run.finish()
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    with RunFolder(tmp_path / "run"):
        pass


def test_lock_of_another_process_is_seen_and_ends_with_it(tmp_path):
    script = f"""
import time
from pathlib import Path
from simulators.recorder.lock import Lock
with Lock(Path({str(tmp_path / "run")!r})):
    print("locked", flush=True)
    time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "locked\n"
    try:
        with pytest.raises(InputError, match=f"process {process.pid} on"), Lock(tmp_path / "run"):
            pass
    finally:
        process.kill()
        process.wait()
    assert (tmp_path / ".run.lock").exists()
    with Lock(tmp_path / "run"):
        assert json.loads((tmp_path / ".run.lock").read_text())["pid"] == os.getpid()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content", ["", "not json", "[]", json.dumps({"pid": 1, "host": socket.gethostname()})]
)
def test_lock_nobody_holds_is_taken_even_if_the_number_is_in_use_again(tmp_path, content):
    (tmp_path / ".run.lock").write_text(content)
    with Lock(tmp_path / "run"):
        pass


def test_lock_of_another_host_is_never_broken(tmp_path):
    (tmp_path / ".run.lock").write_text(json.dumps({"pid": 7, "host": "elsewhere"}))
    with (
        pytest.raises(InputError, match=r"process 7 on elsewhere.*delete .*\.run\.lock"),
        Lock(tmp_path / "run"),
    ):
        pass
    assert (tmp_path / ".run.lock").exists()


def test_without_flock_the_number_of_the_process_tells(tmp_path, monkeypatch):
    monkeypatch.setattr("simulators.recorder.lock.fcntl", None)
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    for pid, held in ((dead.pid, False), (os.getppid(), True)):
        (tmp_path / ".run.lock").write_text(json.dumps({"pid": pid, "host": socket.gethostname()}))
        if held:
            with pytest.raises(InputError, match=f"process {pid}"), Lock(tmp_path / "run"):
                pass
        else:
            with Lock(tmp_path / "run"):
                pass
