"""A user's own class: found in its file, made with options, or refused in one line that says what is wrong."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from simulators.errors import InputError
from simulators.own_code import load_class, made, own_file, parse_options


@pytest.mark.parametrize(
    ("spec", "file"),
    [
        ("mine.py:Mine", "mine.py"),
        ("a b/mine.py:Mine:limit=3", "a b/mine.py"),
        ("C:/rules/mine.py:Mine", "C:/rules/mine.py"),
        ("carbon", None),
        ("carbon:quantile=0.2", None),
        ("mine.py", "mine.py"),
        ("mine.py:", "mine.py"),
        ("mine.toml:Mine", None),
    ],
)
def test_a_file_and_a_class_are_told_from_a_name(spec, file):
    assert own_file(spec) == (None if file is None else Path(file))


def written(folder: Path, text: str) -> Path:
    file = folder / "mine.py"
    file.write_text(text)
    return file


def test_a_class_is_found_with_what_stands_after_it(tmp_path):
    file = written(tmp_path, "class Mine:\n    pass\n")
    found, rest = load_class(f"{file}:Mine", "policy")
    assert (found.__name__, rest) == ("Mine", "")
    again, rest = load_class(f"{file}:Mine:a=1,b=x:y", "policy")
    assert again is found  # the file is run once
    assert rest == "a=1,b=x:y"


def test_a_changed_file_is_read_again(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    file = written(tmp_path, "class Mine:\n    limit = 1\n")
    assert load_class(f"{file}:Mine", "policy")[0].limit == 1
    written(tmp_path, "class Mine:\n    limit = 2\n")
    assert load_class(f"{file}:Mine", "policy")[0].limit == 2
    assert [entry.name for entry in tmp_path.iterdir()] == ["mine.py"]


def test_files_of_one_name_are_kept_apart(tmp_path):
    found = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        file = written(tmp_path / folder, "class Mine:\n    pass\n")
        found.append(load_class(f"{file}:Mine", "policy")[0])
    assert found[0] is not found[1]


def test_a_file_keeps_its_own_annotations(tmp_path):
    file = written(tmp_path, "class Mine:\n    limit: float = 1.0\n")
    assert load_class(f"{file}:Mine", "policy")[0].__annotations__ == {"limit": float}


def test_a_dataclass_with_late_annotations_can_be_loaded(tmp_path):
    file = written(
        tmp_path,
        "from __future__ import annotations\nfrom dataclasses import dataclass\nfrom typing import ClassVar\n\n"
        "@dataclass\nclass Mine:\n    needs: ClassVar[set[str]] = set()\n    limit: float | None = None\n",
    )
    cls, rest = load_class(f"{file}:Mine:limit=3", "policy")
    assert made(cls, parse_options(rest, "policy"), "policy").limit == 3
    with pytest.raises(InputError, match="limit is 'x', expected a number or none"):
        made(cls, {"limit": "x"}, "policy")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no such file"),
        ("class Mine(:\n    pass\n", "cannot be read as Python, line 1: "),
        ("\n\nclass Mine:\npass\n", "cannot be read as Python, line 4: "),
        ("class Mine:\n    x = '\0'\n", "cannot be read as Python"),
        (
            "import nowhere_to_be_found\n",
            "fails on import: ModuleNotFoundError: No module named 'nowhere_to_be",
        ),
        ("1 / 0\n", "fails on import: ZeroDivisionError: division by zero"),
        ("raise SystemExit(0)\n", "fails on import: SystemExit: 0"),
        ("class Mien:\n    pass\n", "has no class 'Mine'; did you mean Mien"),
        ("Mine = 3\n", "has no class 'Mine'"),
        ("", "has no class 'Mine'"),
    ],
)
def test_what_cannot_be_loaded_is_one_line_with_the_file(tmp_path, text, message):
    file = tmp_path / "mine.py" if text is None else written(tmp_path, text)
    for _ in range(2):  # a file that failed once fails the same way again
        with pytest.raises(InputError, match=message) as error:
            load_class(f"{file}:Mine", "battery rule")
        assert str(error.value).startswith(f"battery rule {file}: ")
        assert len(str(error.value).splitlines()) == 1
    broken = [name for name, module in sys.modules.items() if name.startswith("own_") and not vars(module)]
    assert broken == []


def test_bytes_that_are_no_text_are_named(tmp_path):
    file = tmp_path / "mine.py"
    file.write_bytes(b"x = '\xff\xfe'\n")
    with pytest.raises(InputError, match="cannot be read as Python"):
        load_class(f"{file}:Mine", "policy")


@pytest.mark.skipif(
    os.name == "nt" or os.geteuid() == 0, reason="whoever may do everything can read every file"
)
def test_a_file_that_may_not_be_read_is_named(tmp_path):
    file = written(tmp_path, "class Mine:\n    pass\n")
    file.chmod(0)
    with pytest.raises(InputError, match=r"cannot be read as Python: .*Permission"):
        load_class(f"{file}:Mine", "policy")


def test_a_folder_is_no_file(tmp_path):
    (tmp_path / "mine.py").mkdir()
    with pytest.raises(InputError, match="is a folder, expected a file"):
        load_class(f"{tmp_path}/mine.py:Mine", "policy")


def test_what_names_no_class_is_refused():
    with pytest.raises(InputError, match=r"policy mine\.py: no class named, expected FILE\.py:CLASS"):
        load_class("mine.py", "policy")


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("", {}),
        ("quantile=0.2", {"quantile": 0.2}),
        ("window_s=28800,quantile=2e-1,", {"window_s": 28800, "quantile": 0.2}),
        ("spread=false,calm=True", {"spread": False, "calm": True}),
        ("limit=none,most=inf", {"limit": None, "most": float("inf")}),
        ("window-s = 5 , mode = slow ", {"window_s": 5, "mode": "slow"}),
        ("name='2',path=a/b=c", {"name": "2", "path": "a/b=c"}),
        ("empty=", {"empty": ""}),
        ("least=-3", {"least": -3}),
    ],
)
def test_options_are_read_with_their_types(text, options):
    found = parse_options(text, "policy")
    assert found == options
    assert {name: type(value) for name, value in found.items()} == {
        name: type(value) for name, value in options.items()
    }


def test_an_option_without_a_value_is_named():
    with pytest.raises(InputError, match="policy 'carbon': 'quantile' given, expected name=value"):
        parse_options("window_s=5,quantile", "policy 'carbon'")


@dataclass
class Typed:
    """Something with options."""

    limit: float
    calm: bool = True
    steps: int | None = None
    mode: str = "slow"
    _seen: int = 0

    def __post_init__(self) -> None:
        if self.limit < 0:
            raise ValueError(f"limit is {self.limit}, expected >= 0")


def test_an_instance_has_its_options():
    assert made(Typed, {"limit": 3, "steps": 2, "calm": False}, "policy") == Typed(3, False, 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "policy x: option 'limit' is missing"),
        ({"limt": 3}, "unknown option 'limt', expected one of limit, calm, steps, mode; did you mean limit"),
        ({"limit": 3, "_seen": 3}, "unknown option '_seen'"),
        ({"limit": "low"}, "limit is 'low', expected a number"),
        ({"limit": None}, "limit is None, expected a number"),
        ({"limit": True}, "limit is True, expected a number"),
        ({"limit": 1, "calm": 1}, "calm is 1, expected true or false"),
        ({"limit": 1, "steps": "few"}, "steps is 'few', expected a number or none"),
        ({"limit": -1.0}, "policy x: ValueError: limit is -1.0, expected >= 0"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(InputError, match=message) as error:
        made(Typed, options, "policy x")
    assert str(error.value).startswith("policy x: ")


class Plain:
    """A class that is no dataclass."""

    def __init__(self, limit: float = 1.0) -> None:
        if limit > 5:
            raise InputError("too much")
        self.limit = limit


def test_a_class_need_not_be_a_dataclass():
    assert made(Plain, {"limit": 2}, "policy").limit == 2
    with pytest.raises(InputError, match=r"policy x: .*unexpected keyword argument 'limt'"):
        made(Plain, {"limt": 2}, "policy x")
    with pytest.raises(InputError, match=r"^too much$"):
        made(Plain, {"limit": 6}, "policy x")
