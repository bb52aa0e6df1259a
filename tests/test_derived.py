"""What is kept on disk: the same bytes with and without, by several processes at once, and damage is noticed."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from simulators import derived as kept
from simulators.derived import FOLDER, code_of, derived, package_of
from simulators.inference.catalogue import gpu, model
from simulators.inference.timing import kernels, measured, resolve_kind, stage_tables
from simulators.inference.timing.tables import StageTables
from tests.conftest import ROOT

SIZE = {"max_tokens": 64, "max_batch": 4, "max_context": 256}

TABLES = f"""
from simulators.inference.catalogue import gpu, model
from simulators.inference.timing import stage_tables
from tests.test_derived import digest
print(digest(stage_tables("auto", model("Qwen/Qwen3-8B"), gpu("h200"), **{SIZE})))
"""


def digest(tables: StageTables) -> str:
    """A hash of every number of the tables."""
    content = b"".join(repr(v).encode() if isinstance(v, int | float) else v.tobytes() for v in tables)
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(FOLDER, str(tmp_path / "kept"))
    return tmp_path / "kept"


class Counting:
    """Makes arrays of every kind, and counts how often it had to."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> dict[str, np.ndarray]:
        self.times += 1
        column = np.asfortranarray(np.arange(6.0).reshape(2, 3) / 3.0)
        return {
            "values": column,
            "text": np.array("§ text"),
            "number": np.asarray(1 / 3),
            "none": np.zeros(0),
        }


def test_it_is_made_once_and_read_as_it_was(folder: Path):
    make = Counting()
    first, second = (derived("test", {"a": 1.5}, "code", make) for _ in range(2))
    assert make.times == 1
    for name, values in make().items():
        for found in (first[name], second[name]):
            assert (found.dtype, found.shape, found.tobytes("A")) == (
                values.dtype,
                values.shape,
                values.tobytes("A"),
            )
            assert found.flags.f_contiguous == values.flags.f_contiguous
    second["values"][0, 0] = 7.0
    assert derived("test", {"a": 1.5}, "code", make)["values"][0, 0] == 0.0, (
        "what is handed out is the caller's"
    )


@pytest.mark.parametrize(
    "changed", [("other", {"a": 1}, "code"), ("test", {"a": 2}, "code"), ("test", {"a": 1}, "code 2")]
)
def test_another_key_or_other_code_is_made_anew(folder: Path, changed: tuple[str, dict[str, int], str]):
    make = Counting()
    derived("test", {"a": 1}, "code", make)
    derived(*changed, make)
    assert make.times == 2


@pytest.mark.parametrize(
    "damage",
    [b"", b"PK", hashlib.sha256(b"").digest(), hashlib.sha256(b"PK").digest() + b"PK", None, "cut", "bit"],
)
def test_a_damaged_file_is_made_anew(folder: Path, damage: bytes | str | None):
    make = Counting()
    whole = derived("test", {}, "code", make)
    (path,) = folder.iterdir()
    content = path.read_bytes()
    middle = len(content) // 2
    if damage is None:
        path.unlink()
        path.mkdir()  # not even a file, and nothing can take its place
    elif damage == "cut":
        path.write_bytes(content[:middle])
    elif damage == "bit":
        path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    else:
        path.write_bytes(bytes(damage))
    again = derived("test", {}, "code", make)
    assert make.times == 2
    assert all(whole[name].tobytes() == again[name].tobytes() for name in whole)
    derived("test", {}, "code", make)
    assert make.times == (3 if damage is None else 2)


def test_nothing_is_kept_where_that_is_switched_off_or_others_could_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    theirs.chmod(0o777)
    (tmp_path / "file").touch()
    make = Counting()
    for said in ("off", str(theirs), str(tmp_path / "file")):
        monkeypatch.setenv(FOLDER, said)
        for _ in range(2):
            derived("test", {}, "code", make)
    assert make.times == 6
    assert not list(theirs.iterdir())


def test_what_fails_is_not_kept(folder: Path):
    def fails() -> dict[str, np.ndarray]:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        derived("test", {}, "code", fails)
    make = Counting()
    derived("test", {}, "code", make)
    assert make.times == 1


def test_what_was_not_read_for_longest_goes(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(kept, "MOST_FILES", 3)
    make = Counting()
    for number in range(3):
        derived("test", {"n": number}, "code", make)
    derived("test", {"n": 0}, "code", make)
    derived("test", {"n": 3}, "code", make)
    assert (make.times, len(list(folder.iterdir()))) == (4, 3)
    derived("test", {"n": 0}, "code", make)
    assert make.times == 4
    derived("test", {"n": 1}, "code", make)
    assert make.times == 5
    monkeypatch.setattr(kept, "MOST_BYTES", 0)
    derived("test", {"n": 9}, "code", make)
    assert not list(folder.iterdir())


def test_code_and_packages_are_known_by_what_is_in_them(tmp_path: Path):
    (tmp_path / "a.py").write_text("1")
    before = code_of(tmp_path)
    code_of.cache_clear()
    (tmp_path / "a.py").write_text("2")
    assert code_of(tmp_path) != before
    assert package_of("numpy") != package_of("aiconfigurator_core", "aiconfigurator-core")
    assert package_of("no_such_package") == ""


def test_processes_at_once_share_tables_and_say_the_same_as_without(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    command, shape, sheet = [sys.executable, "-c", TABLES], model("Qwen/Qwen3-8B"), gpu("h200")
    both = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    digests = {process.communicate()[0].strip() for process in both}
    assert sorted(path.name.split("-")[0] for path in folder.iterdir()) == ["kernels", "tables"]
    with monkeypatch.context() as without:
        without.setenv(FOLDER, "off")
        digests.add(digest(stage_tables("auto", shape, sheet, **SIZE)))
    monkeypatch.setattr(measured, "measured_tables", None)  # from here on only what they kept helps
    monkeypatch.setattr(kernels, "kernels", None)
    digests.add(digest(stage_tables("auto", shape, sheet, **SIZE)))
    assert len(digests) == 1


def test_a_combination_that_was_not_measured_stays_unmeasured(folder: Path):
    a40, shape = gpu("a40"), model("Qwen/Qwen3-8B")
    for _ in range(2):
        kind, why = resolve_kind("auto", shape, a40, 1)
        assert kind == "roofline"
        assert "a40" in why
    assert stage_tables("auto", shape, a40, **SIZE).token_s.shape == (65,)
    assert not folder.exists() or not list(folder.iterdir())
