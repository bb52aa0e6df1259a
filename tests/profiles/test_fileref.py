"""References to files: what a study may say of them, and what advice a message gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from simulators.errors import InputError
from simulators.paths import DATA
from simulators.profiles.fileref import FileRef
from simulators.profiles.site import load_site


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
    with pytest.raises(InputError, match="carbon intensity is marginal, average given"):
        FileRef(path=moer, kind="average").read("carbon")


@pytest.mark.parametrize(
    ("header", "cell", "kind", "value"),
    [
        ("time,moer [lbs CO2/MWh]", "1000", "marginal", 453.59237),
        ("timestamp,moer", "0.4", "marginal", 400.0),
        ("time,co2_moer[lbs/MWh]", "1000", "marginal", 453.59237),
        ("time,Marginal intensity[g/kWh]", "500", "marginal", 500.0),
        ("time,avg_CI", "300", "average", 300.0),
        ("Datetime (UTC),Carbon Intensity gCO₂eq/kWh (direct)", "300", "average", 300.0),
    ],
)
def test_publishers_headers_tell_the_kind(tmp_path, header, cell, kind, value):
    profile = FileRef(path=hourly(tmp_path, cell, cell, header=header)).read("carbon")
    assert profile.kind == kind
    assert profile.values[0] == pytest.approx(value, rel=1e-12)


def test_a_marginal_column_stays_marginal_when_it_is_chosen_by_name(tmp_path):
    """Naming the column hid what it is: 0.4 kg/kWh was booked as an average of 0.4 g/kWh, or refused."""
    file = hourly(tmp_path, "300,0.4", "300,0.5", header="time,avg_ci,moer")
    profile = FileRef(path=file, column="moer").read("carbon")
    assert (profile.kind, profile.values.tolist()) == ("marginal", [400.0, 500.0])
    assert FileRef(path=file).read("carbon").kind == "average"
    assert FileRef(path=file, kind="marginal").read("carbon").values[0] == 400.0
    assert FileRef(path=file).read("marginal").values[0] == 400.0


def test_watttimes_pounds_are_not_taken_for_grams(tmp_path):
    file = hourly(tmp_path, "900", "950", header="timestamp,MOER")
    with pytest.raises(
        InputError, match=r"mean is 925; WattTime's unit is lbs/MWh.*--carbon-unit lbsCO2/MWh"
    ):
        FileRef(path=file).read("carbon")
    profile = FileRef(path=file, unit="lbsCO2/MWh").read("carbon")
    assert (profile.kind, round(profile.values[0], 3)) == ("marginal", 408.233)


def test_a_file_given_as_marginal_is_marginal_unless_it_is_known_to_be_average(tmp_path):
    plain = hourly(tmp_path, "500", "600", header="time,value[g/kWh]")
    assert FileRef(path=plain).read("marginal").kind == "marginal"
    average = hourly(tmp_path, "300", "300", header="time,avg_ci", name="eia.csv")
    with pytest.raises(
        InputError, match="carbon intensity is average, marginal given, expected another file for --marginal"
    ):
        FileRef(path=average).read("marginal")
    with pytest.raises(InputError, match="kind average given"):
        FileRef(path=plain, kind="average").read("marginal")
    two = hourly(tmp_path, "1,2", "1,2", header="time,a[g/kWh],b[g/kWh]", name="two.csv")
    with pytest.raises(InputError, match="--marginal-column NAME"):
        FileRef(path=two).read("marginal")


def test_advice_for_what_has_no_option_is_pythons(tmp_path):
    hole = hourly(tmp_path, "1", "", header="time,temp_air[degC]")
    with pytest.raises(InputError, match=r'a fill rule: fill="previous"$'):
        FileRef(path=hole).read("temperature")


def test_weather_takes_zone_label_and_fill_but_no_column(tmp_path):
    file = hourly(tmp_path, "10", "", "30", header="time,temp_air[degC]")
    file.write_text(file.read_text().replace("Z", ""))  # local times
    ref = FileRef(path=file, timezone="Europe/Berlin", label="end", fill="interpolate:1h")
    weather = ref.read_weather()
    assert weather.start.isoformat() == "2022-12-31T22:00:00+00:00"
    np.testing.assert_allclose(weather.temp_air_c, [10, 20, 30])
    with pytest.raises(InputError, match="--weather-fill previous"):
        FileRef(path=file).read_weather()
    for wrong in ({"column": "t"}, {"unit": "K"}, {"kind": "average"}):
        with pytest.raises(InputError, match="expected no --weather-"):
            FileRef(path=file, **wrong).read_weather()


def test_a_site_file_may_say_file_or_path_and_its_folder_counts(tmp_path):
    (tmp_path / "data").mkdir()
    hourly(tmp_path / "data", "100", "200", name="ci.csv")
    for key in ("file", "path"):
        site = tmp_path / f"{key}.toml"
        site.write_text(
            'title = "x"\nlatitude = 1.0\nlongitude = 2.0\nstart = 2023-01-01T00:00:00Z\n'
            f'price = "data/ci.csv"\n[carbon]\n{key} = "data/ci.csv"\nfill = "previous:3h"\nnote = "mine"\n'
        )
        read = load_site(site)
        assert read.carbon.path == (tmp_path / "data" / "ci.csv").resolve()
        assert read.price is not None
        assert (read.price.path, read.carbon.note) == (read.carbon.path, "mine")
        assert read.carbon.read("carbon").values[1] == 200.0


def test_what_a_file_settles_itself_is_not_said_of_it():
    tmy3 = DATA / "weather" / "greensboro_tmy3.csv.gz"
    for said in ({"timezone": "Europe/Berlin"}, {"label": "end"}):
        with pytest.raises(InputError, match=r"its format settles the .* expected no --weather-"):
            FileRef(path=tmy3, **said).read_weather()


def test_only_a_carbon_intensity_has_a_kind(tmp_path):
    file = hourly(tmp_path, "0.1", "0.2", header="time,price[EUR/kWh]")
    with pytest.raises(InputError, match="kind average given, expected none"):
        FileRef(path=file, kind="average").read("price")
