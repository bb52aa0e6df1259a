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
    assert ended.code == 2
    assert "No such option: --spout" in ended.err
    assert "Traceback" not in ended.err


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


def test_a_bug_keeps_its_traceback():
    def run(kettle: Kettle) -> None:
        """Fail."""
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        call(Kettle, run)


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
