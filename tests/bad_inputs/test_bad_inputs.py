"""Every broken file beside this one gives exactly one line that names the file, the row and what was expected."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from simulators.errors import InputError
from simulators.profiles.readers import read_csv_profile
from simulators.profiles.site import load_site
from simulators.profiles.weather import read_weather

HERE = Path(__file__).parent

# file, options, what the line must say besides the file's name
CARBON: list[tuple[str, dict[str, Any], str]] = [
    ("no_such_file.csv", {}, "no such file"),
    ("nan.csv", {}, "row 6 (line of the file): column 'carbon_intensity[gCO2eq/kWh]' has no value"),
    ("text_value.csv", {}, "row 6 (line of the file): 'offline' in column"),
    ("negative_carbon.csv", {}, "row 8 (line of the file): negative carbon intensity -5"),
    ("duplicate.csv", {}, "row 7 (line of the file): duplicate time 2023-06-05 04:00"),
    ("unsorted.csv", {}, "row 6 (line of the file): time 2023-06-05 03:00 is earlier than"),
    ("gap.csv", {}, "row 9 (line of the file): 2 rows missing before 2023-06-05 09:00"),
    ("non_uniform.csv", {}, "row 5 (line of the file): 2023-06-05 03:10:00 is 4200 s after"),
    ("bad_time.csv", {}, "row 4 (line of the file): 'yesterday' in column 'time' is not a time"),
    ("bad_first_time.csv", {}, "row 2 (line of the file): 'Monday' in column 'time' is not a time"),
    ("ambiguous_date.csv", {}, "row 2 (line of the file): '03/04/2023 00:00' may be day/month or month/day"),
    ("ragged.csv", {}, "row 7 (line of the file): has 3 cells; expected 2"),
    ("decimal_comma.csv", {}, "row 2 (line of the file): has 3 cells; expected 2"),
    ("cut_row.csv", {}, "row 10 (line of the file): has 1 cells; expected 2"),
    (
        "mixed_offsets.csv",
        {},
        "row 6 (line of the file): '2023-06-05 04:00' has no UTC offset, unlike the rows",
    ),
    ("huge_exponent.csv", {}, "row 7 (line of the file): '3e4009000000000' is out of range"),
    ("open_quote.csv", {}, "row 7 (line of the file): has an open quotation mark"),
    (
        "several_columns.csv",
        {},
        "--carbon-column NAME (in a study: column = \"NAME\"), one of 'north', 'south'",
    ),
    ("several_columns.csv", {"column": "east"}, "no column 'east'; expected one of 'time', 'north', 'south'"),
    ("no_time_column.csv", {}, "no time column; expected one named time"),
    ("wrong_unit.csv", {}, "has the unit 'm/s'; expected one of gCO2eq/kWh"),
    ("implausible_unit.csv", {}, "names no unit and its mean 0.305 is implausible in gCO2eq/kWh"),
    ("seconds_axis.csv", {}, "column 'time' counts seconds; expected dates and times"),
    ("header_only.csv", {}, "has no data rows"),
    ("one_row.csv", {"column": "price", "unit": "g/kWh"}, "has 1 data row; expected at least two"),
    ("empty.csv", {}, "the file is empty"),
    ("binary.csv", {}, "is not a text file"),
    ("damaged.csv.gz", {}, "damaged archive"),
    ("damaged.parquet", {}, "damaged parquet file"),
    ("nan.csv", {"fill": "guess"}, "fill 'guess': expected interpolate or previous, with a limit"),
    ("nan.csv", {"label": "middle"}, "label 'middle': expected start, end or instant"),
    ("nan.csv", {"timezone": "Europe/Atlantis"}, "unknown time zone 'Europe/Atlantis'"),
    ("short.csv", {"cyclic": True}, "covers 0.5 days; expected a whole year"),
]
PRICE: list[tuple[str, dict[str, Any], str]] = [
    (
        "dst_spring.csv",
        {},
        "row 4 (line of the file): 1 row missing before 2023-03-26 03:00 (looks like daylight saving",
    ),
    (
        "dst_autumn.csv",
        {},
        "row 5 (line of the file): duplicate time 2023-10-29 02:00 (looks like daylight saving",
    ),
    (
        "dst_autumn_quarters.csv",
        {},
        "row 10 (line of the file): time 2023-10-29 02:00 is earlier than 2023-10-29 02:45",
    ),
    (
        "fixed_offset_spring.csv",
        {"timezone": "Europe/Berlin"},
        "row 4 (line of the file): 2023-03-26 02:00 does not exist",
    ),
    (
        "fixed_offset_autumn.csv",
        {"timezone": "Europe/Berlin"},
        "row 4 (line of the file): 2023-10-29 02:00 happens twice",
    ),
]
WEATHER: list[tuple[str, dict[str, Any], str]] = [
    ("no_such_file.epw", {}, "no such file"),
    ("negative_irradiance.csv", {}, "row 9 (line of the file): negative global horizontal irradiance -12"),
    ("missing_temperature.csv", {}, "row 9 (line of the file): column 'temp_air[degC]' has no value"),
    ("kelvin_as_celsius.csv", {}, "row 4 (line of the file): air temperature 293"),
    ("no_place.csv", {}, "has ghi and dni only; expected all of ghi, dni, dhi, or a latitude and longitude"),
    ("bad_latitude.csv", {}, "'latitude: north' above the header; expected a number"),
    ("no_weather_column.csv", {}, "no weather column; expected any of ghi, dni"),
    ("damaged_openmeteo.json", {}, "row 4 (line of the file): damaged JSON"),
    ("other.json", {}, "unknown JSON; expected Open-Meteo"),
    ("pvgis_in_plane.csv", {}, "in the plane of the modules; expected a PVGIS TMY"),
    ("short.epw", {}, "has 12 hours; expected the 8760 of a EPW year"),
    ("cut_row.epw", {}, "row 11 (line of the file): has 10 cells; expected 35"),
    ("damaged_tmy3.csv", {}, "row 4 (line of the file): has 2 cells; expected 3"),
    ("damaged_nsrdb.csv", {}, "damaged NSRDB PSM file"),
    ("negative_irradiance.csv", {"fill": "interpolate"}, "negative global horizontal irradiance"),
]
SITES = [
    ("site_without_carbon.toml", "entry 'carbon': field required"),
    ("site_unknown_entry.toml", "entry 'latitdue': extra inputs are not permitted"),
    ("site_naive_start.toml", "entry 'start': input should have timezone info"),
    ("site_latitude.toml", "entry 'latitude': input should be less than or equal to 90"),
    ("site_timezone.toml", "unknown time zone 'Mars/Olympus'"),
    ("site_not_toml.toml", "not valid TOML"),
    (
        "no_such_site.toml",
        "no such file; expected a site file or one of california, california_2022, germany",
    ),
]


def refusal(call: Callable[[], object], name: str) -> str:
    """Run `call`, which must refuse in one line that opens with the file or names it."""
    with pytest.raises(InputError) as caught:
        call()
    line = str(caught.value)
    assert "\n" not in line
    assert len(line) < 400
    return line.replace(f"{HERE}/", "")


@pytest.mark.parametrize(("name", "options", "said"), CARBON)
def test_carbon_file(name: str, options: dict[str, Any], said: str) -> None:
    line = refusal(lambda: read_csv_profile(HERE / name, "carbon", **options), name)
    assert said in line
    assert line.startswith(f"{name}: ") or set(options) & {"fill", "label", "timezone"}


@pytest.mark.parametrize(("name", "options", "said"), PRICE)
def test_clock_changes_are_recognised(name: str, options: dict[str, Any], said: str) -> None:
    line = refusal(lambda: read_csv_profile(HERE / name, "price", **options), name)
    assert line.startswith(f"{name}: {said}")
    assert "Etc/GMT-1" in line if options else "Europe/Berlin" in line


@pytest.mark.parametrize(("name", "options", "said"), WEATHER)
def test_weather_file(name: str, options: dict[str, Any], said: str) -> None:
    line = refusal(lambda: read_weather(HERE / name, **options), name)
    assert said in line
    assert line.startswith(f"{name}: ")


@pytest.mark.parametrize(("name", "said"), SITES)
def test_site_file(name: str, said: str) -> None:
    line = refusal(lambda: load_site(HERE / name), name)
    assert said in line
    assert line.startswith(f"{name}: ")


def test_site_that_names_a_missing_file() -> None:
    site = load_site(HERE / "site_missing_file.toml")
    assert "nowhere.csv: no such file" in refusal(lambda: site.carbon.read("carbon"), "nowhere.csv")


def test_unknown_site_and_quantity() -> None:
    assert "expected one of california, california_2022, germany" in refusal(
        lambda: load_site("atlantis"), "atlantis"
    )
    assert "expected one of carbon, marginal, price" in refusal(
        lambda: read_csv_profile(HERE / "gap.csv", "co2"), "co2"
    )


def test_profile_shorter_than_the_run() -> None:
    profile = read_csv_profile(HERE / "short.csv", "carbon")
    line = refusal(lambda: profile.means(datetime(2023, 6, 5, tzinfo=UTC), 3600, 13), "short.csv")
    assert line == (
        "short.csv: carbon intensity covers 2023-06-05 00:00 to 2023-06-05 12:00 UTC, "
        "the run needs 2023-06-05 00:00 to 2023-06-05 13:00 UTC"
    )


def test_every_file_here_is_used() -> None:
    named = {case[0] for case in [*CARBON, *PRICE, *WEATHER, *SITES]} | {"site_missing_file.toml"}
    there = {path.name for path in HERE.iterdir() if path.is_file() and path.suffix != ".py"}
    assert there <= named
