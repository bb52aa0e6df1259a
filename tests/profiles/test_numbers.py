"""Numbers and units are stated or plain: what could be two things is refused, with the option that settles it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from simulators.errors import InputError
from simulators.profiles.readers import read_csv_profile


def table(folder: Path, header: str, *cells: str) -> Path:
    separator = ";" if ";" in header else ","
    rows = [f"2023-01-01T{i:02d}:00Z{separator}{cell}" for i, cell in enumerate(cells)]
    path = folder / "table.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


@pytest.mark.parametrize(
    ("header", "cells", "values"),
    [
        ("time;ci[g/kWh]", ("1,015", "2,030", "12,5"), [1.015, 2.03, 12.5]),
        ("time;ci[g/kWh]", ("1.015", "30,5"), [1015.0, 30.5]),
        ("time;ci[g/kWh]", ("1.234.567,5", "7"), [1234567.5, 7.0]),
        ("time;ci[g/kWh]", ("1,015", "2,030.5"), [1015.0, 2030.5]),
        ("time;ci[g/kWh]", ("1.015", "2.5"), [1.015, 2.5]),
        ("time,ci[g/kWh]", ('"1,015.5"', "12"), [1015.5, 12.0]),
        ("time,ci[g/kWh]", ("1.5e2", "12"), [150.0, 12.0]),
        ("time;ci[g/kWh]", ("0,125", "-"), [0.125, np.nan]),
    ],
)
def test_a_column_that_tells_is_read(tmp_path, header, cells, values):
    options = {"fill": "previous"} if np.isnan(values).any() else {}
    path = table(tmp_path, header.replace("ci[g/kWh]", "load[W]"), *cells)
    profile = read_csv_profile(path, "load", **options)
    expected = np.where(np.isnan(values), values[0], values)
    np.testing.assert_allclose(profile.values, expected, rtol=1e-15)


@pytest.mark.parametrize(
    ("header", "cells", "said"),
    [
        ("time;ci[g/kWh]", ("1,015", "2,030"), "row 2 (line of the file): '1,015' may be 1015 or 1.015"),
        ("time,ci[g/kWh]", ("985", '"1,015"'), "row 3 (line of the file): '1,015' may be 1015 or 1.015"),
        (
            "time;ci[g/kWh]",
            ("1,5", "2030.5"),
            "row 3 (line of the file): '2030.5' has a decimal point, '1,5'",
        ),
        ("time;a;ci[g/kWh]", ("3,5;1.015", "2,5;2.015"), "'1.015' may be 1015 or 1,015"),
        ("time;ci[g/kWh]", ("1,5", "12,34,5"), "'12,34,5' in column 'ci[g/kWh]' is not a number"),
    ],
)
def test_what_could_be_a_thousand_or_one_is_refused(tmp_path, header, cells, said):
    with pytest.raises(InputError) as caught:
        read_csv_profile(table(tmp_path, header, *cells), "carbon", column="ci")
    assert said in str(caught.value)
    assert "--carbon-decimal point" in str(caught.value) or "not a number" in said


def test_the_convention_may_be_stated(tmp_path):
    path = table(tmp_path, "time;ci[g/kWh]", "1,015", "2,030")
    assert read_csv_profile(path, "carbon", decimal="point").values.tolist() == [1015.0, 2030.0]
    assert read_csv_profile(path, "carbon", decimal="comma").values.tolist() == [1.015, 2.03]
    odd = table(tmp_path, "time;ci[g/kWh]", "10,15", "2,030")
    with pytest.raises(InputError, match=r"'10,15' in column .* is not a number"):
        read_csv_profile(odd, "carbon", decimal="point")


def test_pounds_per_megawatt_hour_are_never_grams_per_kilowatt_hour(tmp_path):
    """A bare `value` of 900 was taken as 900 g/kWh; in lbs/MWh it is 408."""
    bare = table(tmp_path, "time,value", "900", "950")
    with pytest.raises(
        InputError, match=r"column 'value' names no unit .* expected --carbon-unit lbsCO2/MWh"
    ):
        read_csv_profile(bare, "carbon")
    assert read_csv_profile(bare, "carbon", unit="lbs/MWh").values[0] == pytest.approx(408.233133)
    named = table(tmp_path, "time,ci [lb/MWh]", "900", "950")
    assert read_csv_profile(named, "carbon").values[0] == pytest.approx(408.233133)


def test_a_region_without_a_unit_is_read_only_where_the_values_prove_it(tmp_path):
    """WattTime publishes whole lbs/MWh: values that are multiples of a pound in grams were converted."""
    proven = table(tmp_path, "time,Caiso_North", *(f"{0.45359237 * (900 + i):.8f}" for i in range(12)))
    profile = read_csv_profile(proven, "carbon")
    assert (profile.kind, round(profile.values[0], 3)) == ("marginal", 408.233)
    open_ = table(tmp_path, "time,Caiso_North", *(f"{900 + i}" for i in range(12)))
    with pytest.raises(InputError, match=r"names no unit"):
        read_csv_profile(open_, "carbon")


def test_a_bare_price_is_per_kilowatt_hour_only_if_all_of_it_may_be(tmp_path):
    for cells in (("30", "80"), ("0.3", "-80", "80")):
        with pytest.raises(InputError, match=r"names no unit"):
            read_csv_profile(table(tmp_path, "time,price", *cells), "price")


def test_an_implausible_value_is_refused_or_mended_by_a_rule_and_said(tmp_path):
    path = table(tmp_path, "time,pv", *(["0.5"] * 20 + ["7.5", "0.4", "0.5"]))
    with pytest.raises(
        InputError, match=r"row 22 .*PV per unit 7.5 .*or a rule: --pv-profile-implausible cap"
    ):
        read_csv_profile(path, "pv")
    capped = read_csv_profile(path, "pv", implausible="cap")
    assert capped.values[20:22].tolist() == [1.5, 0.4]
    assert "1 values of PV per unit such as 7.5 taken as the nearest of 0 to 1.5" in capped.source
    filled = read_csv_profile(path, "pv", implausible="missing", fill="interpolate")
    assert filled.values[20] == pytest.approx(0.45)
    many = table(tmp_path, "time,pv[1]", "7.5", "7.5")
    with pytest.raises(InputError, match="more than a rule may mend"):
        read_csv_profile(many, "pv", implausible="cap")


def test_a_kind_that_nobody_states_is_marked(tmp_path):
    path = table(tmp_path, "time,carbon_intensity", "300", "310")
    assert not read_csv_profile(path, "carbon").kind_known
    assert read_csv_profile(path, "carbon", kind="average").kind_known


@pytest.mark.parametrize("cell", ["1 015.5", "1\u00a0015.5", "1\u202f015.5", "1'015.5", "1,015.5"])
def test_thousands_may_be_apart_by_what_is_no_point(tmp_path, cell):
    path = table(tmp_path, "time;load[W]", cell, "30")
    assert read_csv_profile(path, "load").values.tolist() == [1015.5, 30.0]


def test_a_minus_may_be_a_printers(tmp_path):
    assert (
        read_csv_profile(table(tmp_path, "time;price[EUR/kWh]", "\u22120.5", "0.1"), "price").values[0]
        == -0.5
    )


@pytest.mark.parametrize("cell", ["1_000", "1e-320", "0x10", "12 %", "$12", "True", "1 00", "1.2.3", "(12)"])
def test_what_is_no_number_is_named(tmp_path, cell):
    with pytest.raises(
        InputError, match=r"row 2 \(line of the file\): '.*' in column 'load\[W\]' is not a number"
    ):
        read_csv_profile(table(tmp_path, "time;load[W]", cell, "30"), "load")


@pytest.mark.parametrize("cell", ["", "-", "n/e", "NULL", "#N/A", "nan", "<NA>"])
def test_what_stands_for_nothing_is_a_hole(tmp_path, cell):
    path = table(tmp_path, "time;load[W]", "20", cell, "30")
    with pytest.raises(InputError, match=r"row 3 .* has no value .* a fill rule: --load-fill previous"):
        read_csv_profile(path, "load")
    assert read_csv_profile(path, "load", fill="interpolate").values.tolist() == [20.0, 25.0, 30.0]


def test_output_per_unit_above_one_needs_a_word(tmp_path):
    path = table(tmp_path, "time,pv", "0.4", "1.2", "1.3")
    with pytest.raises(InputError, match=r"goes up to 1.3; .*--pv-profile-unit 1 .*--pv-profile-rating"):
        read_csv_profile(path, "pv")
    assert read_csv_profile(path, "pv", unit="1").values[2] == 1.3
    assert read_csv_profile(path, "pv", unit="kW", rating="2kW").values[2] == 0.65


def test_a_column_known_to_be_something_else_is_not_taken(tmp_path):
    """Wind was read as PV, pumped storage as the load."""
    for header, quantity in (("wind", "pv"), ("Solar [MW]", "load"), ("price[EUR/kWh]", "pv")):
        with pytest.raises(InputError, match=r"holds .*, no "):
            read_csv_profile(table(tmp_path, f"time,{header}", "0.5", "0.6"), quantity)
