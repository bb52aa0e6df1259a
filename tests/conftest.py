"""What tests of command lines share: running one in this process, or as a user would in a process of its own."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from simulators.commandline import main

ROOT = Path(__file__).resolve().parents[1]

settings.register_profile(
    "same", derandomize=True, deadline=None
)  # the same today and tomorrow, on a busy machine too
settings.load_profile("same")
os.environ.setdefault("WATTLOOP_THREADS", "1")  # the tests have the cores to themselves, side by side


@dataclass(frozen=True)
class Ended:
    """What a command left behind on the terminal."""

    code: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """The one line a wrong input ends with."""
        assert self.code == 2, f"exit code {self.code}: {self.err or self.out}"
        assert self.out == ""
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("error: ")
        return lines[0].removeprefix("error: ")


def call(model: type[Any], run: Callable[[Any], None], *arguments: object) -> Ended:
    """Run a one-command script in this process (an import of everything costs seconds)."""
    return call_app(lambda: main(model, run), *arguments)


def call_app(app: Callable[[], Any], *arguments: object) -> Ended:
    """Run a command that reads `sys.argv` in this process."""
    out, err = io.StringIO(), io.StringIO()
    before = sys.argv
    sys.argv = ["command", *map(str, arguments)]
    code: Any = 0
    try:
        with redirect_stdout(out), redirect_stderr(err):
            app()
    except SystemExit as end:
        code = end.code or 0
    finally:
        sys.argv = before
    return Ended(int(code), out.getvalue(), err.getvalue())


def spawn(*arguments: object) -> Ended:
    """Run Python with these arguments in the repository, and wait."""
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"COLUMNS": "100"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def files_below(folder: Path) -> set[str]:
    """Everything in a folder, hidden files too, as relative paths."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="session", autouse=True)
def _plain_terminal() -> None:
    """Help texts and messages do not depend on the terminal the tests are started from."""
    os.environ.pop("FORCE_COLOR", None)
