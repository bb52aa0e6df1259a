"""Runs that are killed at moments drawn at random, and what is left of them; all 60 kills with `make kills`.

A process that has everything imported forks one that runs the command and, at its n-th event (a step, a change of the
disk, a figure, waiting for the comparison), sends itself the signal. What it leaves is looked at, and gone on from with
``--resume``. The comparison's process is a fork, too, instead of a fresh interpreter.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scenarios import solar_datacenter
from simulators.recorder import store
from tests.conftest import Ended, call_app, files_below

SITE = (
    "--model", "meta-llama/Meta-Llama-3-8B", "--gpu", "a100", "--tp", "1", "--replicas", "1", "--rate", "0.1",
    "--step", "900", "--days", "0.2", "--drain-hours", "0", "--checkpoint-hours", "1.5", "--policy", "carbon",
)  # fmt: skip
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
TABLES = ("timeseries", "requests")
WARM: list[Ended] = []


class Forked:
    """Stands in for `subprocess.Popen` of a command: a fork of this process, its output dropped."""

    def __init__(self, arguments: Sequence[str], env: dict[str, str], **_: Any) -> None:
        self.returncode: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            os.environ.update(env)
            run_and_leave(arguments[2:], os.devnull)

    def communicate(self) -> tuple[str, str]:
        self.wait()
        return "", ""

    def poll(self) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode

    def wait(self) -> None:
        while self.poll() is None:
            time.sleep(0.01)

    def terminate(self) -> None:
        os.kill(self.pid, signal.SIGTERM)


def run_and_leave(arguments: Sequence[str], said: str) -> None:
    """Run the command in this process, a fork, which ends with it."""
    code = 70
    try:
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests may ignore it
        with ExitStack() as stack:
            file = stack.enter_context(open(said, "w", buffering=1))
            stack.enter_context(redirect_stdout(file))
            stack.enter_context(redirect_stderr(file))
            try:
                solar_datacenter.app()(list(arguments))
                code = 0
            except SystemExit as end:
                code = int(end.code or 0)
            except BaseException as error:
                print(f"{type(error).__name__}: {error}", file=sys.stderr)
    finally:
        os._exit(code)


def at_event(number: int, act: Callable[[], None]) -> list[int]:
    """Have `act` called at the n-th event of this process from now on; the list counts them."""
    count = [0]

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def counting(*arguments: Any, **options: Any) -> Any:
            count[0] += 1
            if count[0] == number and os.getpid() == here:
                act()
            return call(*arguments, **options)

        return counting

    here = os.getpid()
    from matplotlib.figure import Figure

    for owner, name in ((store.RunFolder, "reached"), (Figure, "savefig"), (Forked, "communicate")):
        setattr(owner, name, counted(getattr(owner, name)))
    for name in ("rename", "replace", "unlink", "fsync", "mkdir"):
        setattr(os, name, counted(getattr(os, name)))
    return count


def forked(
    arguments: Sequence[str], said: Path, before: Callable[[], object] = lambda: None
) -> tuple[int, int]:
    """Run the command in a fork with a session of its own; its process and exit code (negative: the signal)."""
    pid = os.fork()
    if pid == 0:
        os.setsid()
        solar_datacenter.subprocess.Popen = Forked  # type: ignore[attr-defined,misc,assignment]
        before()
        run_and_leave(arguments, str(said))
    return pid, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


class Whole:
    """What the unbroken run came to, and how many events it has."""

    def __init__(self, folder: Path, options: Sequence[str]) -> None:
        self.options = (*SITE, *options)
        if not WARM:  # what is compiled and imported by now is so in every fork
            WARM.append(call_app(solar_datacenter.app(), *SITE, "--no-compare", "--out", folder / "warm"))
            assert WARM[0].code == 0, WARM[0].err
        self.out = folder / "whole"
        counted = folder / "events"

        def count() -> None:
            events = at_event(-1, lambda: None)
            leave = os._exit

            def leaving(code: int) -> None:
                counted.write_text(str(events[0]))
                leave(code)

            os._exit = leaving  # type: ignore[assignment]

        code = forked([*self.options, "--out", str(self.out)], folder / "said", count)[1]
        assert code == 0, (folder / "said").read_text()
        self.events = int(counted.read_text())
        self.tables = {name: pd.read_parquet(self.out / f"{name}.parquet") for name in TABLES}

    def check_same(self, out: Path) -> None:
        """Whether another result is this one, byte by byte but for where it lies and how long it took."""
        odd = (files_below(out) - {"notes.md"}) ^ files_below(self.out)
        assert not odd, odd
        for name in sorted(files_below(self.out)):
            ours, theirs = self.out / name, out / name
            if name.endswith("summary.json"):
                assert timeless(theirs) == timeless(ours)
            elif name.endswith(("parquet", "csv", "png")):
                assert theirs.read_bytes() == ours.read_bytes(), name


def timeless(summary: Path) -> dict[str, Any]:
    content = json.loads(summary.read_text())
    del content["wall_s"]
    return content


def check_readable(left: Path, whole: Whole) -> int:
    """Whether what lies in an incomplete folder can be read and is the beginning of the whole; its time steps."""
    steps = 0
    for name in TABLES:
        for path in (left / f"{name}.parquet", left / name):
            if path.exists() and (path.is_file() or any(path.glob("[0-9]*.parquet"))):
                found = pd.read_parquet(path)
                pd.testing.assert_frame_equal(found, whole.tables[name].iloc[: len(found)])
                steps = len(found) if name == "timeseries" else steps
    return steps


def kill(number: signal.Signals, event: int, whole: Whole, folder: Path) -> str:
    """Kill a run at an event, look at what is left, go on; what was found, in a word."""
    out, said = folder / "run", folder / "said"
    with store.RunFolder(out) as earlier:
        earlier.write_json("summary.json", {"value": 1})
        earlier.finish()
    (out / "notes.md").write_text("mine")
    arguments = [*whole.options, "--out", str(out)]

    def hit() -> None:
        os.kill(os.getpid(), number)

    pid, code = forked(arguments, said, lambda: at_event(event, hit))
    no_orphan(pid)
    assert "Traceback" not in said.read_text(), said.read_text()
    assert (out / "notes.md").read_text() == "mine" or not out.exists()
    lefts = sorted(folder.glob("run.incomplete*"))
    assert len(lefts) <= 1
    found = f"{code}"
    for left in lefts:
        found += f", {check_readable(left, whole)} steps kept"
        assert (left / "INCOMPLETE.txt").exists() or code == -signal.SIGKILL
    if code != 0:
        assert code in (130, 128 + number, -number), said.read_text()
        code = forked([*arguments, "--resume"], said)[1]
        assert code == 0, said.read_text()
        found += ", begun anew" if "begins anew" in said.read_text() else ", gone on"
    whole.check_same(out)
    assert (out / "notes.md").read_text() == "mine"
    there = {path.name for path in folder.iterdir()}
    # what was stopped before its first checkpoint is not gone on with, and stays
    assert there - ({"run.incomplete"} if "anew" in found else set()) == {"run", "said"}, (there, found)
    return found


def no_orphan(group: int) -> None:
    """Whether nobody of a process's session is left; who belongs to it may take a moment."""
    for _ in range(200):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    raise AssertionError(f"processes of {group} are left")


def draws(each: int, seed: int, events: int) -> Iterator[tuple[signal.Signals, int]]:
    """Signals and moments; every stretch of the run gets its share."""
    rng = np.random.default_rng(seed)
    for number in SIGNALS:
        moments = 1 + (np.arange(each) + rng.random(each)) / each * (events - 1)
        for moment in moments.astype(int).tolist():
            yield number, moment


def main() -> None:
    """All kills, with the comparison and the report."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--each", type=int, default=20, help="kills of each signal")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as place:
        whole = Whole(Path(place), ())
        for index, (number, event) in enumerate(draws(chosen.each, chosen.seed, whole.events)):
            folder = Path(place) / str(index)
            folder.mkdir()
            found = kill(number, event, whole, folder)
            print(
                f"{index + 1:3d} {number.name:8} at event {event:4d} of {whole.events}: {found}", flush=True
            )
    print(f"{3 * chosen.each} kills, nothing lost, {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
