"""One command in this process, stopped where its simulation would start: refused, accepted, or a fault of ours."""

from __future__ import annotations

import contextlib
import io
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import scenarios.energy_chain
import scenarios.grid_hosting
import scenarios.world
import simulators.inference.__main__ as inference
from scenarios import cli
from simulators.inference import calibrate

CPU_S, WALL_S = 20.0, 180
"""What is still running then hangs; in the suite nothing else is asserted of time."""

FREE = ("profiles", "simulator", "calibrate", "paper", "sites", "models")
"""Commands without a folder for results."""


class Accepted(BaseException):
    """Everything was read and the simulation would start."""


class Hangs(BaseException):
    """It did not come to an end."""


@dataclass(frozen=True)
class Outcome:
    """What a command left behind: its end, what it said, CPU time, s, and whether a folder stayed."""

    end: str
    said: str
    cpu_s: float
    left: bool

    @property
    def fault(self) -> str:
        """What is wrong with it as the answer to a wrong input; empty if nothing is."""
        lines = self.said.splitlines()
        if self.end != "refused":
            return self.end
        if len(lines) != 1 or not lines[0].startswith("error: "):
            return f"{len(lines)} lines: {self.said[:300]}"
        if len(lines[0]) > 310 or not lines[0].isprintable():
            return f"too long or not printable: {lines[0]!r}"
        return "a folder is left" if self.left else ""


def _stop(*_: object, **__: object) -> None:
    raise Accepted


@contextlib.contextmanager
def stopped() -> Iterator[None]:
    """No simulation starts."""
    places: list[tuple[Any, str]] = [
        (scenarios.world.World, "run"),
        (scenarios.energy_chain.EnergyChain, "run"),
        (inference, "run_to_end"),
        (calibrate, "fit"),
    ]
    before = [getattr(place, name) for place, name in places]
    for place, name in places:
        setattr(place, name, _stop)
    try:
        yield
    finally:
        for (place, name), was in zip(places, before, strict=True):
            setattr(place, name, was)


def _hang(*_: object) -> None:
    raise Hangs


def attempt(arguments: Sequence[str], folder: Path) -> Outcome:
    """Run a command; results would go below `folder`."""
    out = folder / "out"
    told = [*arguments]
    if told and told[0] in cli.COMMANDS and told[0] not in FREE and "--out" not in told:
        told += ["--out", str(out)]
    if told and told[0] == "run":
        told += ["--no-compare", "--no-report"]
    said = io.StringIO()
    before, sys.argv = sys.argv, ["wattloop", *told]
    started = time.process_time()
    handlers = [(name, signal.signal(name, _hang)) for name in (signal.SIGALRM, signal.SIGPROF)]
    signal.setitimer(signal.ITIMER_PROF, CPU_S)
    signal.alarm(WALL_S)
    end = "returned"
    try:
        with stopped(), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
            if told and told[0] == "calibrate":
                sys.argv = told
                calibrate.app(prog_name="calibrate")
            else:
                cli.main()
    except SystemExit as ended:
        end = {2: "refused", 0: "returned", None: "returned"}.get(ended.code, f"exit {ended.code}")  # type: ignore[arg-type]
    except Accepted:
        end = "accepted"
    except Hangs:
        end = "hangs"
    except BaseException as error:
        end = f"{type(error).__name__}: {error}"[:200]
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.alarm(0)
        for name, handler in handlers:
            signal.signal(name, handler)
        sys.argv = before
    left = out.exists() or any(folder.glob(".out.partial*")) or any(folder.glob("out.incomplete*"))
    if end == "accepted" or left:
        for path in (out, *folder.glob(".out*"), *folder.glob("out.*")):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    return Outcome(end, said.getvalue(), time.process_time() - started, left)
