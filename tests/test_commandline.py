"""Command lines made of pydantic models: what wins, what is refused, and how it is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import pytest
from pydantic import BaseModel, Field, model_validator

from simulators.commandline import option_name
from simulators.errors import InputError

from .conftest import Ended, call


class Kettle(BaseModel):
    """Options of every kind."""

    model_config = {"extra": "forbid", "allow_inf_nan": False}

    power_kw: float = Field(2.0, gt=0, description="heating power, kW")
    cups: int = Field(4, ge=1, description="cups of water")
    lid: bool = Field(True, description="keep the lid on")
    whistle: bool = Field(False, description="whistle when done")
    tea: Literal["green", "black"] = Field("green", description="green or black")
    notes: Path | None = Field(None, description="file to write to")
    without: tuple[Literal["milk", "sugar"], ...] = Field((), description="leave out (repeatable)")
    limit_w: float | None = Field(None, ge=0, description="most it may draw, W  [default: no limit]")

    @model_validator(mode="after")
    def _enough(self) -> Kettle:
        if self.cups > 10 and self.power_kw < 1:
            raise ValueError("--cups: more than 10 take at least --power-kw 1")
        return self


def boil(*arguments: object) -> tuple[Ended, Kettle | None]:
    got: list[Kettle] = []

    def run(kettle: Kettle) -> None:
        """Boil water."""
        if kettle.notes:
            raise InputError(f"--notes {kettle.notes}: row 3 is wet, expected paper")
        got.append(kettle)

    ended = call(Kettle, run, *arguments)
    return ended, got[0] if got else None


def test_defaults():
    ended, kettle = boil()
    assert ended == Ended(0, "", "")
    assert kettle == Kettle()


def test_options_of_every_kind():
    _, kettle = boil(
        "--power-kw", "1.5", "--cups", 7, "--no-lid", "--whistle", "--tea", "black",
        "--without", "milk", "--without", "sugar", "--limit-w", 0,
    )  # fmt: skip
    assert kettle == Kettle(
        power_kw=1.5, cups=7, lid=False, whistle=True, tea="black", without=("milk", "sugar"), limit_w=0.0
    )


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("kettle.toml", 'power-kw = 1.5\ncups = 7\nlid = false\nwithout = ["milk"]\n'),
        ("kettle.json", '{"power_kw": 1.5, "cups": 7, "lid": false, "without": ["milk"]}'),
        (
            "config.json",
            '{"options": {"power_kw": 1.5, "cups": 7, "lid": false, "without": ["milk"]}, "facts": {}}',
        ),
    ],
)
def test_what_is_typed_wins_over_the_file_and_the_file_over_the_defaults(tmp_path, name, text):
    file = tmp_path / name
    file.write_text(text)
    _, kettle = boil("--config", file)
    assert kettle == Kettle(power_kw=1.5, cups=7, lid=False, without=("milk",))
    _, kettle = boil("--config", file, "--cups", 2, "--lid", "--without", "sugar")
    assert kettle == Kettle(power_kw=1.5, cups=2, without=("sugar",))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--power-kw", "0"], "--power-kw: '0' given, input should be greater than 0"),
        (["--power-kw", "nan"], "--power-kw: 'nan' given, input should be a finite number"),
        (["--power-kw", "inf"], "--power-kw: 'inf' given, input should be a finite number"),
        (["--power-kw", "hot"], "--power-kw: 'hot' given, input should be a valid number, unable to parse"),
        (["--cups", "2.5"], "--cups: '2.5' given, input should be a valid integer, unable to parse"),
        (["--tea", "mint"], "--tea: 'mint' given, input should be 'green' or 'black'"),
        (["--without", "milk", "--without", "tea"], "--without: 'tea' given, input should be 'milk' or 'sugar'"),
        (["--cups", "11", "--power-kw", "0.5"], "--cups: more than 10 take at least --power-kw 1"),
        (["--notes", "wall.txt"], "--notes wall.txt: row 3 is wet, expected paper"),
    ],
)  # fmt: skip
def test_wrong_values_are_one_line(arguments, expected):
    ended, kettle = boil(*arguments)
    assert kettle is None
    assert ended.complaint.startswith(expected)


def test_unknown_options_are_refused():
    ended, kettle = boil("--spout", "long")
    assert kettle is None
    assert ended.complaint.startswith("--spout: no such option of ")
    assert boil("--power_kw", 3)[0].complaint.split("; ")[1] == "did you mean --power-kw?"
    assert boil("--cups")[0].complaint == "--cups: no value given, expected one; --help tells what it means"
    assert boil("--lid=3")[0].complaint.startswith("--lid: given a value, expected none")


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.toml", "cups = ", "Invalid value"),
        ("a.json", '{"cups": 3', "Expecting"),
        ("a.toml", "cup = 3", "unknown option 'cup', expected some of those --help lists"),
        ("a.toml", "cups = 0", "--cups: 0 given (in "),
        ("a.json", "[1, 2]", "expected a table of options"),
        ("a.json", '{"options": 3}', "expected a table of options"),
        ("a.toml", b"cups = 3 # \xff", "expected TOML or JSON"),
    ],
)
def test_wrong_files_are_one_line_that_names_them(tmp_path, name, text, expected):
    file = tmp_path / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    complaint = boil("--config", file)[0].complaint
    assert str(file) in complaint
    assert expected in complaint


def test_a_missing_file_and_a_folder_are_one_line(tmp_path):
    assert (
        boil("--config", tmp_path / "none.toml")[0].complaint
        == f"--config {tmp_path}/none.toml: no such file"
    )
    assert str(tmp_path) in boil("--config", tmp_path)[0].complaint


def test_a_resolved_run_can_be_written_down_and_read_back(tmp_path):
    _, kettle = boil("--cups", 9, "--without", "sugar", "--limit-w", 700)
    assert kettle is not None
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"options": kettle.model_dump(mode="json")}))
    assert boil("--config", file)[1] == kettle


def test_help_names_every_option_with_its_unit_and_default():
    ended, _ = boil("--help")
    assert ended.code == 0
    text = " ".join(ended.out.split())
    assert "Boil water." in text
    for name, field in Kettle.model_fields.items():
        assert option_name(name) in text
        assert " ".join(field.description.split()) in text
    assert "heating power, kW [default: 2.0]" in text
    assert "[default: no limit]" in text
    assert "[default: None]" not in text


def faulty(kettle: Kettle) -> None:
    """Fail."""
    raise ZeroDivisionError("of \x1b[31m a kettle\nand more")


def test_a_fault_is_reported_with_the_path_of_a_log_that_only_its_owner_reads(tmp_path, monkeypatch):
    monkeypatch.delenv("WATTLOOP_DEBUG", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    ended = call(Kettle, faulty, "--cups", 3)
    said, told = ended.err.splitlines()
    assert (ended.code, ended.out) == (70, "")
    assert (
        said == "error: a fault in WattLoop, not in your input: ZeroDivisionError: of [31m a kettle and more"
    )
    [log] = tmp_path.iterdir()
    assert told.endswith(f"the traceback is in {log}")
    assert log.stat().st_mode & 0o777 == 0o600
    text = log.read_text()
    assert "['--cups', '3']" in text
    assert "in faulty" in text


def test_a_file_that_ends_too_early_is_a_fault_and_no_ctrl_c(tmp_path, monkeypatch):
    def ends(kettle: Kettle) -> None:
        raise EOFError("ran out of input")

    def stops(kettle: Kettle) -> None:
        raise KeyboardInterrupt

    monkeypatch.delenv("WATTLOOP_DEBUG", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    ended = call(Kettle, ends)
    assert ended.code == 70
    assert "not in your input: EOFError: ran out of input" in ended.err
    assert call(Kettle, stops).code == 130


def test_a_fault_without_a_place_for_a_log_is_reported_too(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    ended = call(Kettle, faulty)
    assert ended.code == 70
    assert "no log could be written (no such file or directory)" in ended.err.splitlines()[1]


def test_debugging_keeps_the_traceback(monkeypatch):
    monkeypatch.setenv("WATTLOOP_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        call(Kettle, faulty)
    with pytest.raises(InputError):
        boil("--cups", 0)


def test_memory_that_is_not_there_and_files_that_cannot_be_written_are_one_line(tmp_path):
    def greedy(kettle: Kettle) -> None:
        """Fail."""
        if kettle.cups == 1:
            raise MemoryError
        (tmp_path / ("n" * 300)).write_text("")

    assert call(Kettle, greedy, "--cups", 1).complaint.startswith("this takes more memory than there is")
    assert call(Kettle, greedy).complaint.endswith("nn: file name too long")


@pytest.mark.parametrize(
    ("arguments", "file", "expected"),
    [
        (["--power-kw", "1_0"], "", "--power-kw: '1_0' given, expected a number such as 1200 or 0.5"),
        (["--power-kw", "１２"], "", "--power-kw: '１２' given, expected a number such as"),
        (["--tea", "gre\x00en"], "", "--tea: 'gre?en' given, expected text without control characters"),
        (["--without", "milk\x1b[0m"], "", "--without: 'milk?[0m' given, expected text without"),
        ([], "power_kw = true", "--power-kw: True given (in FILE), expected a number"),
        ([], "power-kw = 1\npower_kw = 2", "--config FILE: power_kw: given twice, with - and with _"),
        ([], "power_kw = 1\npower_kw = 2", "--config FILE: not valid TOML: Cannot overwrite a value"),
        ([], "power_kw = 1e400", "--config FILE: power_kw is inf, expected a finite number"),
        ([], f"cups = {10**30}", "--config FILE: cups is a number of 100 bits, expected at most 1e18"),
        ([], f"cups = {'9' * 5000}", "--config FILE: not valid TOML: a number has too many digits"),
        ([], "cups = " + "[" * 9999, "--config FILE: nested too deeply"),
        ([], 'tea = "a\\u0000"', "--config FILE: tea holds control characters"),
        ([], "", "--config FILE: expected a table of options"),
    ],
)
def test_what_would_be_taken_for_something_else_is_refused(tmp_path, arguments, file, expected):
    given = tmp_path / "kettle.toml"
    given.write_text(file)
    complaint = boil(*arguments)[0].complaint if arguments else boil("--config", given)[0].complaint
    assert complaint.replace(str(given), "FILE").startswith(expected)


@pytest.mark.parametrize("value", ["1e-320", "5e-324", "1e-10", "1e13", "1e308"])
def test_a_number_of_an_impossible_size_is_refused(value):
    assert boil("--power-kw", value)[0].complaint.startswith(
        f"--power-kw: {float(value):g} given, expected 0 or a size"
    )
    assert "between 1e-09 and 1e+12" in boil("--limit-w", value)[0].complaint
    assert boil("--limit-w", "0")[1] is not None


def test_a_number_of_an_impossible_size_is_named_in_a_file(tmp_path):
    file = tmp_path / "kettle.toml"
    file.write_text("power_kw = 1e300")
    assert boil("--config", file)[0].complaint.startswith(f"--power-kw: 1e+300 given (in {file}), expected")
