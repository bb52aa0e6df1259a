"""A user's own classes from files: every way it can go wrong is one line that names the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulators.errors import InputError
from simulators.own_code import load_class, made, own_file, parse_options

GOOD = """
from dataclasses import dataclass

@dataclass(frozen=True)
class Mine:
    limit: float
    spread: bool = False

class Plain:
    def __init__(self, limit=1.0):
        if limit < 0:
            raise ValueError("limit is negative")

number = 3
"""


def written(folder: Path, text: str, name: str = "mine.py") -> Path:
    file = folder / name
    file.write_text(text)
    return file


def test_a_class_and_what_follows_it(tmp_path):
    file = written(tmp_path, GOOD)
    cls, rest = load_class(f"{file}:Mine:limit=2,spread=true", "policy")
    assert rest == "limit=2,spread=true"
    mine = made(cls, parse_options(rest, "policy"), "policy")
    assert (mine.limit, mine.spread) == (2, True)
    assert load_class(f"{file}:Mine", "policy") == (cls, "")


def test_a_changed_file_is_read_again(tmp_path):
    file = written(tmp_path, "class Mine: value = 1\n")
    assert load_class(f"{file}:Mine", "policy")[0].value == 1
    written(tmp_path, "class Mine: value = 2\n")
    assert load_class(f"{file}:Mine", "policy")[0].value == 2


@pytest.mark.parametrize(
    ("text", "spec", "said"),
    [
        (GOOD, "{folder}/other.py:Mine", "other.py: no such file"),
        (GOOD, "{folder}/mine.py", "expected FILE.py:CLASS"),
        (GOOD, "{folder}/mine.py:Mien", "mine.py: has no class 'Mien'; did you mean Mine?"),
        (GOOD, "{folder}/mine.py:number", "mine.py: has no class 'number'"),
        ("class Mine:\n    def (", "{folder}/mine.py:Mine", "mine.py: cannot be read as Python, line 2"),
        ("x = 1 / 0\n", "{folder}/mine.py:Mine", "mine.py: fails on import: ZeroDivisionError"),
        ("import nowhere_to_be_found\n", "{folder}/mine.py:Mine", "ModuleNotFoundError"),
        ("raise SystemExit(3)\n", "{folder}/mine.py:Mine", "mine.py: fails on import: SystemExit: 3"),
        ("x = '\x00'\n", "{folder}/mine.py:Mine", "mine.py: cannot be read as Python"),
    ],
)
def test_what_is_wrong_is_one_line_that_names_the_file(tmp_path, text, spec, said):
    written(tmp_path, text)
    with pytest.raises(InputError) as caught:
        load_class(spec.format(folder=tmp_path), "battery rule")
    line = str(caught.value)
    assert said in line
    assert "\n" not in line
    assert line.startswith("battery rule ")


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("Mine", {}, "option 'limit' is missing"),
        ("Mine", {"limti": 1}, "unknown option 'limti', expected one of limit, spread; did you mean limit?"),
        ("Plain", {"limit": -1}, "limit is negative"),
        ("Plain", {"other": 1}, "other"),
    ],
)
def test_wrong_options_of_an_own_class(tmp_path, name, options, said):
    cls, _ = load_class(f"{written(tmp_path, GOOD)}:{name}", "policy")
    with pytest.raises(InputError, match="policy mine: ") as caught:
        made(cls, options, "policy mine")
    assert said in str(caught.value)


def test_names_of_bundled_things_are_no_files():
    assert own_file("carbon:quantile=0.2") is None
    assert own_file("a/b.py:C") == Path("a/b.py")
    with pytest.raises(InputError, match="'quantile' given, expected name=value"):
        parse_options("quantile", "policy")
