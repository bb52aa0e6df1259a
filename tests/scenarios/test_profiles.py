"""Files of a user in a run: whose place counts, what the report says of each, and what `profiles inspect` finds."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from scenarios import profiles
from scenarios.series import SiteSeries, read_series
from scenarios.span import Span
from scenarios.study import Study
from simulators.errors import InputError
from simulators.paths import DATA
from simulators.profiles.site import load_site
from tests.conftest import Ended, call_app
from tests.profiles import samples

GREENSBORO = DATA / "weather" / "greensboro_tmy3.csv.gz"
"""A typical year of North Carolina: 3,400 km from California, 6,900 km from Germany."""

JUNE = Span(datetime(2017, 6, 5, 7, tzinfo=UTC), 3600, 48)


def series(span: Span = JUNE, **leaves: object) -> SiteSeries:
    study = Study().changed(**leaves).site
    return read_series(study, load_site(study.place.site_name), span)


def local_weather(folder: Path, latitude: float | None, longitude: float | None) -> Path:
    """Clear days at a place that the file names, or not."""
    times = pd.date_range("2017-06-01", periods=24 * 12, freq="h", tz="UTC")
    light = samples.sun(times + pd.Timedelta(minutes=30), (34.09, -117.43, 0.0))
    place = (
        []
        if latitude is None
        else [f"# latitude: {latitude}", f"# longitude: {longitude}", "# altitude: 5 m"]
    )
    rows = [
        f"{t:%Y-%m-%dT%H:%M}Z,{light['ghi'][i]:.2f},{light['dni'][i]:.2f},{light['dhi'][i]:.2f},20.0"
        for i, t in enumerate(times)
    ]
    header = "time,ghi[W/m2],dni[W/m2],dhi[W/m2],temp_air[degC]"
    return samples.written(folder, "weather.csv", [*place, header, *rows])


def test_weather_of_another_continent_has_its_own_sun_where_no_site_is_stated():
    """The sun of California over North Carolina's irradiance would make a quarter of its energy at this time of day."""
    site = load_site("california")
    there = series(weather=str(GREENSBORO))
    own = GREENSBORO
    from simulators.generation.pv_array import PvArray, optimal_tilt_deg
    from simulators.generation.run import sky_for_run
    from simulators.profiles.fileref import FileRef

    weather = FileRef(path=own).read_weather(site.latitude, site.longitude, site.altitude_m)
    assert (weather.latitude, weather.longitude) == (36.1, -79.95)
    array = PvArray(optimal_tilt_deg(36.1), 180.0)
    expected = 20e3 * sky_for_run(weather, JUNE.start, 3600, 48).pv_per_unit(array)
    assert there.pv_w.tolist() == expected.tolist()
    assert any("Weather is of 36.1, -79.95, 3," in note for note in there.notes)


def test_weather_far_from_a_stated_site_is_an_error_unless_the_study_says_so():
    with pytest.raises(
        InputError, match=r"is of 36.1, -79.95, .* km from site california; .* --weather-elsewhere"
    ):
        series(site="california", weather=str(GREENSBORO))
    read = series(site="california", weather={"path": str(GREENSBORO), "elsewhere": True})
    assert any("its own place" in note for note in read.notes)


def test_a_site_file_and_its_own_weather_may_not_contradict_either(tmp_path):
    carbon = DATA / "carbon" / "california_2016-2017.csv"
    text = (
        'title = "Mine"\nlatitude = 48.0\nlongitude = 11.0\nstart = 2017-06-05T00:00:00Z\n'
        f'carbon = "{carbon}"\n[weather]\npath = "{GREENSBORO}"\n'
    )
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(InputError, match=r"is of 36.1, -79.95, .* km from site mine"):
        series(site=str(tmp_path / "mine.toml"), without=["wind"])
    (tmp_path / "said.toml").write_text(text + "elsewhere = true\n")
    assert series(site=str(tmp_path / "said.toml"), without=["wind"]).pv_w.max() > 0


def test_weather_near_the_site_or_without_a_place_needs_no_word(tmp_path):
    near = local_weather(tmp_path, 34.0, -117.3)
    assert not any(
        "km from" in note for note in series(site="california", weather=str(near), without=["wind"]).notes
    )
    bare = local_weather(tmp_path, None, None)
    assert series(site="california", weather=str(bare), without=["wind"]).pv_w.max() > 5e3


def test_weather_without_irradiance_says_what_to_leave_out(tmp_path):
    file = samples.open_meteo_csv(tmp_path, radiation=False)
    span = Span(datetime(2024, 6, 2, tzinfo=UTC), 3600, 24)
    with pytest.raises(InputError, match=r"has no global horizontal irradiance.*expected --without pv"):
        series(span, weather=str(file), align="calendar")


def test_every_series_is_told_as_what_it_is(tmp_path):
    span = Span(datetime(2024, 3, 29, 12, tzinfo=UTC), 3600, 24)
    read = series(
        span, site="germany", carbon=str(samples.electricity_maps(tmp_path, new=True)), without=["wind"]
    )
    entry = next(one for one in read.inputs if one.what == "carbon intensity").entry()
    assert (entry["kind"], entry["basis"], entry["unit"]) == ("average", "life cycle", "gCO2eq/kWh")
    assert (entry["format"], entry["estimated_share"]) == ("Electricity Maps CSV", 0.5)
    assert "Carbon intensity: 50% of the run's values are the publisher's estimates." in read.notes
    assert not any(
        "2021 to 2024 (Electricity Maps)" in note for note in read.notes
    )  # that was the site's own file


def test_a_marginal_file_is_never_called_average(tmp_path):
    span = Span(datetime(2024, 1, 1, tzinfo=UTC), 300, 12)
    file = samples.watttime_v3(tmp_path)
    read = series(span, site="germany", carbon=str(file), without=["wind", "pv"])
    kinds = {one.what: one.kind for one in read.inputs if one.kind}
    assert kinds == {"marginal carbon intensity": "marginal"}
    assert read.average is None
    assert not any("average" in note.lower() for note in read.notes)


def test_a_file_that_does_not_say_its_kind_is_said_to_count_as_average(tmp_path):
    rows = [f"{t:%Y-%m-%dT%H:%M}Z,300" for t in pd.date_range("2023-06-01", periods=48, freq="h")]
    file = samples.written(tmp_path, "mine.csv", ["time,carbon_intensity", *rows])
    span = Span(datetime(2023, 6, 1, tzinfo=UTC), 3600, 24)
    read = series(span, site="germany", carbon=str(file))
    assert any("does not say whether it is average or marginal" in note for note in read.notes)


def test_price_and_carbon_may_be_left_out():
    read = series(without=["price", "carbon"])
    assert (read.price, read.average, read.marginal) == (None, None, None)
    assert "The price of grid power was left out." in read.notes


def test_a_file_of_another_year_is_moved_when_asked_and_named(tmp_path):
    file = samples.electricity_maps(tmp_path, new=True)
    span = Span(datetime(2017, 3, 30, tzinfo=UTC), 3600, 24)
    with pytest.raises(InputError, match="the run needs 2017-03-30"):
        series(span, carbon=str(file))
    read = series(span, carbon={"path": str(file), "align": "calendar"})
    assert read.average[0] == 174.0  # 150 and one more every hour since 29 March
    assert any("of 2024, used in another year: align = calendar" in note for note in read.notes)


def test_a_whole_run_moves_to_another_year_in_one_go():
    """The site's own files end in July 2017; the run is of 2023."""
    span = Span(datetime(2023, 6, 5, 7, tzinfo=UTC), 3600, 48)
    read = series(span, align="calendar")
    plain = series()
    for name in ("average", "price"):
        assert getattr(read, name) == pytest.approx(getattr(plain, name), rel=1e-9)
    assert read.pv_w == pytest.approx(plain.pv_w, rel=0.02)  # the sun of another year is almost the same
    assert sum("used in another year" in note for note in read.notes) == 3
    here = series(align="weekday")
    assert here.price == pytest.approx(plain.price, rel=1e-9)
    assert not any("used in another year" in note for note in here.notes)


def inspect(*arguments: object) -> Ended:
    return call_app(profiles.app(), "inspect", *arguments)


def test_inspect_tells_what_is_there_and_how_to_use_it(tmp_path):
    file = samples.electricity_maps(tmp_path, new=True)
    told = inspect(file, "--out", tmp_path / "pictures")
    assert (told.code, told.err) == (0, "")
    for part in (
        "as carbon", "Electricity Maps CSV", "average, life cycle", "2024-03-29 00:00 to 2024-04-02 00:00 UTC, 4 days",
        "60 min, 96 intervals", "none", "mean 197.5, least 150", "25.0% of the values", f"--carbon {file}",
        "--start 2024-03-29",
    ):  # fmt: skip
        assert part in told.out, part
    picture = tmp_path / "pictures" / "AT_2024_hourly-carbon.png"
    assert picture.read_bytes()[:4] == b"\x89PNG"


def test_inspect_shows_a_file_with_holes_and_the_option_it_needs(tmp_path):
    rows = [
        f"{t:%Y-%m-%dT%H:%M}Z,{'' if i == 3 else 300 + i}" for i, t in enumerate(samples.UTC_DAY) if i != 7
    ]
    file = samples.written(tmp_path, "holes.csv", ["time,carbon_intensity[g/kWh]", *rows])
    out = inspect(file).out
    assert "refused: row 9 (line of the file): 1 row missing" in out
    assert "1 rows missing, 1 rows without a value" in out
    assert f"--carbon {file} --carbon-fill previous" in out


def test_inspect_says_why_a_mix_is_no_intensity_and_power_no_profile(tmp_path):
    out = inspect(samples.eia930(tmp_path)).out
    assert "as load" in out
    assert "holds generation by source" in out
    assert "expected its rated power: --pv-profile-rating" in out


def test_inspect_refuses_in_one_line(tmp_path):
    assert "no such file" in inspect(tmp_path / "none.csv").complaint
    file = samples.electricity_maps(tmp_path, new=True)
    assert inspect(file, "--as", "gold").complaint.startswith("--as gold: unknown")
    assert inspect(file, "--label", "middle").complaint.startswith("--label: ")
    two = samples.entsoe_new(tmp_path, areas=("BZN|AT", "BZN|DE-LU"))
    assert "several columns could be" in inspect(two).complaint


def test_inspect_of_weather_names_the_place(tmp_path):
    out = inspect(GREENSBORO).out
    assert "36.1, -79.95, 273 m" in out
    assert "NREL TMY3" in out
    assert "--start" not in out  # a typical year fits any run


def test_inspect_shows_forecasts_beside_the_values(tmp_path):
    file = samples.sgip(tmp_path, forecasts=True)
    out = inspect(file).out
    assert "as carbon" in out
    assert "36 times, 2020-06-01 00:00 to 2020-06-01 02:55 UTC" in out
    assert "36 values, 5 min apart: 3 h" in out
    assert f"--carbon-forecast {file} --forecast file" in out
    rows = [f"2023-06-08 00:00:00,2023-06-08 00:{minute:02d}:00,400" for minute in (5, 10, 15)]
    alone = samples.written(tmp_path, "f.csv", ["request_time,forecast_time,Caiso_North", *rows])
    assert "as forecasts" in inspect(alone).out


def test_inspect_names_a_start_inside_the_file(tmp_path):
    """A file of a few hours was said to be used from the day after its end."""
    rows = [f"2024-05-01T{hour:02d}:00Z,{hour}" for hour in range(7, 12)]
    out = inspect(samples.written(tmp_path, "short.csv", ["time,power_kw", *rows]), "--as", "load").out
    assert "--start 2024-05-01T07:00Z" in out
    assert "unit        W, from 'power_kw'" in out
