"""References to files: what a study may say of them, and what advice a message gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from simulators.errors import InputError
from simulators.profiles.fileref import FileRef


def hourly(tmp_path: Path, *values: str, header: str = "time,ci[g/kWh]", name: str = "ci.csv") -> Path:
    file = tmp_path / name
    rows = [f"2023-01-01T{hour:02d}:00Z,{value}" for hour, value in enumerate(values)]
    file.write_text("\n".join([header, *rows]) + "\n")
    return file


def test_a_path_alone_is_a_reference(tmp_path):
    file = hourly(tmp_path, "100", "200")
    assert FileRef.model_validate(str(file)) == FileRef.model_validate({"file": file}) == FileRef(path=file)
    assert FileRef.model_validate(str(file)).read("carbon").values.tolist() == [100.0, 200.0]


def test_it_goes_to_json_and_back(tmp_path):
    ref = FileRef(
        path=Path("a.csv"),
        column="x",
        unit="kg/kWh",
        timezone="Europe/Berlin",
        label="end",
        fill="previous:3h",
    )
    assert FileRef.model_validate_json(ref.model_dump_json()) == ref


@pytest.mark.parametrize(
    "wrong",
    [
        {"fill": "guess"},
        {"fill": "previous:3"},
        {"timezone": "Mars/Olympus"},
        {"label": "middle"},
        {"kind": "dirty"},
    ],
)
def test_wrong_entries_are_refused(wrong):
    with pytest.raises(ValidationError):
        FileRef(path=Path("a.csv"), **wrong)


def test_a_hole_within_the_limit_is_filled_and_a_longer_one_is_not(tmp_path):
    file = hourly(tmp_path, "100", "", "", "400")
    filled = FileRef(path=file, fill="interpolate:2h").read("carbon")
    np.testing.assert_allclose(filled.values, [100, 200, 300, 400])
    assert "2 of 4 values filled" in filled.source
    with pytest.raises(
        InputError, match=r"no value from 2023-01-01 01:00 UTC on for more than the fill rule's 3600 s"
    ):
        FileRef(path=file, fill="previous:1h").read("carbon")


def test_an_instant_holds_until_the_next(tmp_path):
    file = hourly(tmp_path, "100", "200")
    assert FileRef(path=file, label="instant").read("carbon").start.hour == 0


@pytest.mark.parametrize(
    ("quantity", "prefix"),
    [("carbon", "--carbon"), ("price", "--price"), ("pv", "--pv-profile"), ("wind", "--wind-profile")],
)
def test_advice_names_options_that_exist(tmp_path, quantity, prefix):
    columns = {"price": "a[EUR/kWh],b[EUR/kWh]", "carbon": "a[g/kWh],b[g/kWh]"}.get(quantity, "a,b")
    header = f"time,{columns}"
    file = hourly(tmp_path, "0.5,1", "0.5,1", header=header)
    with pytest.raises(InputError, match=f"{prefix}-column NAME"):
        FileRef(path=file).read(quantity)
    hole = hourly(tmp_path, "0.5", "", header=header.rpartition(",")[0], name="hole.csv")
    with pytest.raises(InputError, match=f"{prefix}-fill previous"):
        FileRef(path=hole).read(quantity)


def test_a_misspelt_column_suggests_the_nearest(tmp_path):
    file = hourly(tmp_path, "1,2", "1,2", header="time,lifecycle[g/kWh],direct[g/kWh]")
    with pytest.raises(InputError, match="did you mean lifecycle"):
        FileRef(path=file, column="livecycle").read("carbon")


def test_kind_comes_from_the_file_or_from_the_user_and_never_contradicts(tmp_path):
    plain = hourly(tmp_path, "100", "200")
    assert FileRef(path=plain).read("carbon").kind == "average"
    assert FileRef(path=plain, kind="marginal").read("carbon").kind == "marginal"
    moer = hourly(tmp_path, "0.4", "0.5", header="time,moer", name="moer.csv")
    assert FileRef(path=moer).read("carbon").kind == "marginal"
    with pytest.raises(InputError, match="is a marginal carbon intensity, average given"):
        FileRef(path=moer, kind="average").read("carbon")
