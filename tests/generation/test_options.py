"""What a study may say of own generation."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from simulators.generation.options import GenerationOptions
from simulators.options import leaves
from simulators.profiles.fileref import FileRef


def test_a_profile_may_be_a_path_or_a_table_and_goes_to_json_and_back():
    options = GenerationOptions(pv_profile="pv.csv", wind_profile={"path": "w.csv", "column": "a"})
    assert options.pv_profile == FileRef(path="pv.csv")
    assert options.wind_profile.column == "a"
    assert GenerationOptions.model_validate_json(options.model_dump_json()) == options


def test_only_options_that_work_are_offered():
    names = [leaf.name for leaf in leaves(GenerationOptions) if leaf.name.startswith("pv_profile")]
    expected = [
        "pv_profile",
        *(
            f"pv_profile_{name}"
            for name in (
                "column",
                "unit",
                "timezone",
                "label",
                "fill",
                "format",
                "decimal",
                "implausible",
                "rating",
                "align",
            )
        ),
    ]
    assert names == expected


@pytest.mark.parametrize(("entry", "part"), [("pv_kw", "pv"), ("wind_kw", "wind")])
@pytest.mark.parametrize("value", [0, -1.0, float("inf")])
def test_a_plant_has_a_size_or_is_left_out(entry, part, value):
    with pytest.raises(
        ValidationError, match=f"expected a number above 0; leave it out with --without {part}"
    ):
        GenerationOptions(**{entry: value})
