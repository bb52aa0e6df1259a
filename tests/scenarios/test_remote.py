"""Parts of a world in processes of their own: the same bytes, and a death that is named."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import pandas as pd
import pytest

from scenarios import simulate
from scenarios.grid_integration import STUDY
from simulators.errors import InputError, SimulatorLost
from tests.conftest import ROOT
from tests.scenarios import runs
from tests.scenarios.runs import everything

SMALL = STUDY.changed(
    site="california",
    days=0.05, start="2017-06-05T11:00", step=300, model="meta-llama/Meta-Llama-3-8B", gpu="a100", tp=1, replicas=1,
    rate=0.5, mw=0.5, bus="100", policy="carbon", defer_hours=1, iteration_time="roofline",
)  # fmt: skip


@contextmanager
def elsewhere(room: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A simulator in a process of its own, by the command that a user types."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{found.getsockname()[1]}"
    process = subprocess.Popen(
        [sys.executable, "-m", "scenarios.cli", "simulator", room, "--listen", address],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line == f"{room}: waiting for mosaik at {address} (Ctrl-C ends it)\n"
        yield address, process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def three() -> Iterator[dict[str, tuple[str, subprocess.Popen[str]]]]:
    with ExitStack() as stack:
        yield {room: stack.enter_context(elsewhere(room)) for room in ("inference", "storage", "grid")}


def placed(three: Mapping[str, tuple[str, Any]]) -> Any:
    where = {room: three[room][0] for room in ("inference", "storage")}
    return SMALL.changed(where=where, grid_at=three["grid"][0])


def test_inference_storage_and_grid_elsewhere_give_the_same_bytes(three):
    here = simulate(SMALL, keep_requests=True)
    assert here.figures.inference.requests_completed > 1000
    assert everything(simulate(placed(three), keep_requests=True)) == everything(here)
    assert everything(simulate(placed(three), keep_requests=True)) == everything(
        here
    )  # a server lasts for many runs


def test_what_an_own_simulator_refuses_is_an_input_error_here_too(three, tmp_path):
    (tmp_path / "mine.py").write_text(
        "class Mine:\n    def power_w(self, situation):\n        return 1 / 0\n"
    )
    study = placed(three).changed(battery_kwh=100.0, dispatch=f"{tmp_path}/mine.py:Mine")
    with pytest.raises(InputError, match=r"mine\.py:Mine at 0 s: ZeroDivisionError"):
        simulate(study)


class Kill:
    """Ends a process in the middle of a run."""

    def __init__(self, process: subprocess.Popen[str], at_s: int) -> None:
        self._process, self._at_s = process, at_s

    def started(self, plan: object) -> None: ...

    def rows(self, table: str, columns: object) -> None: ...

    def reached(self, simulated_s: int) -> None:
        if simulated_s == self._at_s:
            self._process.kill()
            self._process.wait()


@pytest.mark.parametrize("room", ["inference", "storage"])
def test_one_that_dies_is_named_soon(room):
    with elsewhere(room) as (address, process):
        began = time.monotonic()
        with pytest.raises(SimulatorLost, match=rf"(?i){room}.*{address} is gone"):
            simulate(SMALL.changed(where={room: address}), listeners=[Kill(process, 1500)])
        assert time.monotonic() - began < 10 + 5  # five to begin


def test_what_was_simulated_before_a_death_is_kept(tmp_path):
    with elsewhere("inference") as (address, process):
        command = subprocess.Popen(
            [sys.executable, "scenarios/solar_datacenter.py", *runs.SMALL, *runs.QUICK, "--days", "30",
             "--where", f"inference={address}", "--out", str(tmp_path / "out")],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        deadline = time.monotonic() + 240
        while not list(tmp_path.glob("**/timeseries/*.parquet")) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.kill()
        _, errors = command.communicate(timeout=120)
    assert command.returncode == 1
    assert address in errors
    assert "Traceback" not in errors
    kept = pd.read_parquet(tmp_path / "out.incomplete" / "timeseries.parquet")
    assert len(kept) > 1000
    assert "SimulatorLost" in (tmp_path / "out.incomplete" / "INCOMPLETE.txt").read_text()


def test_nobody_at_an_address_is_told_before_the_run():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises((InputError, SimulatorLost), match=address):
            simulate(SMALL.changed(where={"storage": address}))
