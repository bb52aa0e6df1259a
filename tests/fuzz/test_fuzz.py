"""Every wrong option and every broken file ends in one line, exit code 2 and no folder; nothing is guessed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from .attempt import attempt
from .cases import CONTENTS, OPTIONS
from .faults import FAULTS
from .files import TAKES, write_all

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pipes, devices and alarms of POSIX")


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A right file of every kind."""
    return write_all(tmp_path_factory.mktemp("right"))


def line(kind: str, name: str | Path) -> list[str]:
    """The command line that takes a file of a kind."""
    return [word.replace("FILE", str(name)) for word in TAKES[kind]]


def test_right_files_are_accepted(right: dict[str, Path], tmp_path: Path) -> None:
    ends = {kind: attempt(line(kind, path), tmp_path) for kind, path in right.items()}
    wrong = {kind: end.said for kind, end in ends.items() if end.end not in ("accepted", "returned")}
    assert wrong == {}


def test_there_are_enough_cases() -> None:
    assert len(OPTIONS) + len(TAKES) * len(FAULTS) // 4 + sum(map(len, CONTENTS.values())) >= 500


@pytest.mark.parametrize("kind", TAKES)
def test_what_is_no_file_of_the_kind_is_refused(kind: str, right: dict[str, Path], tmp_path: Path) -> None:
    faults = {}
    for number, (name, made) in enumerate(FAULTS.items()):
        if number % 4 != list(TAKES).index(kind) % 4:  # a quarter, to be quick; `make fuzz` has them all
            continue
        (tmp_path / name).mkdir()
        path = made(tmp_path / name / kind, right[kind].read_bytes())
        found = attempt(line(kind, path), tmp_path)
        if found.fault:
            faults[name] = found.fault
    assert faults == {}


@pytest.mark.parametrize("kind", CONTENTS)
def test_what_a_file_must_not_say_is_refused(kind: str, right: dict[str, Path], tmp_path: Path) -> None:
    faults = {}
    path = right[kind].with_name(f"wrong-{kind}")
    for name, change in CONTENTS[kind].items():
        path.write_text(change if isinstance(change, str) else change(right[kind].read_text()))
        found = attempt(line(kind, path), tmp_path)
        if found.fault:
            faults[name] = found.fault
    assert faults == {}


@pytest.mark.parametrize("command", sorted({words[0] for words in OPTIONS}))
def test_wrong_options_are_refused(command: str, tmp_path: Path) -> None:
    found = {" ".join(words): attempt(words, tmp_path).fault for words in OPTIONS if words[0] == command}
    assert {words: fault for words, fault in found.items() if fault} == {}
