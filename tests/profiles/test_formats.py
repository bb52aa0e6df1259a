"""A native file of every format is read with its times, unit, kind and place, or refused with the reason."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from simulators.errors import InputError
from simulators.profiles.formats.base import Content
from simulators.profiles.formats.lambert import to_degrees
from simulators.profiles.readers import read_csv_profile
from simulators.profiles.registry import FORMATS, detect
from simulators.profiles.weather import Weather, read_weather
from tests.profiles import samples

LB = 0.45359237
SOLCAST = (15.5, 3.5, 99000.0)


def refusal(path: Path, quantity: str, **options) -> str:
    with pytest.raises(InputError) as caught:
        read_weather(path, **options) if quantity == "weather" else read_csv_profile(
            path, quantity, **options
        )
    line = str(caught.value)
    assert line.startswith(f"{path}: ")
    assert "\n" not in line
    return line


@pytest.mark.parametrize("new", [True, False])
def test_electricity_maps(tmp_path, new):
    path = samples.electricity_maps(tmp_path, new)
    life_cycle = read_csv_profile(path, "carbon")
    assert (life_cycle.kind, life_cycle.basis, life_cycle.unit) == ("average", "life cycle", "gCO2eq/kWh")
    assert life_cycle.values[:2].tolist() == [150.0, 151.0]
    assert life_cycle.start == datetime(2024, 3, 29, tzinfo=UTC)
    assert life_cycle.estimated_share(life_cycle.start, 3600, 96) == 0.25
    assert life_cycle.estimated_share(datetime(2024, 3, 30, tzinfo=UTC), 3600, 24) == 0.0
    direct = read_csv_profile(
        path, "carbon", column=life_cycle.column.replace("Life cycle", "direct").replace("LCA", "direct")
    )
    assert (direct.basis, direct.values[0]) == ("direct", 100.0)
    assert read_csv_profile(path, "carbon", column="direct").values[0] == 100.0
    assert read_csv_profile(path, "carbon", column="life cycle").values[0] == 150.0


@pytest.mark.parametrize(
    ("make", "options", "start"),
    [
        (samples.watttime_v3, {}, datetime(2024, 1, 1, tzinfo=UTC)),
        (lambda d: samples.watttime_v3(d, forecast=True), {}, datetime(2024, 1, 1, tzinfo=UTC)),
        (samples.watttime_v2, {}, datetime(2021, 1, 1, tzinfo=UTC)),
        (samples.watttime_v2_csv, {}, datetime(2021, 1, 1, tzinfo=UTC)),
        (samples.watttime_v3_csv, {"format": "watttime-v3"}, datetime(2024, 1, 1, tzinfo=UTC)),
        (
            lambda d: samples.watttime_v3_csv(d, "CAISO_NORTH_co2_moer_2024.csv"),
            {},
            datetime(2024, 1, 1, tzinfo=UTC),
        ),
        (lambda d: samples.watttime_v3_csv(d, meta=True), {}, datetime(2024, 1, 1, tzinfo=UTC)),
    ],
)
def test_watttime_is_marginal_and_in_pounds(tmp_path, make, options, start):
    profile = read_csv_profile(make(tmp_path), "carbon", **options)
    assert (profile.kind, profile.step_s, profile.start, len(profile.values)) == ("marginal", 300, start, 36)
    np.testing.assert_allclose(profile.values, LB * (900 + np.arange(36)), rtol=1e-12)
    assert "average" not in profile.name


def test_watttime_says_what_it_is_or_is_refused(tmp_path):
    assert read_csv_profile(samples.watttime_v3(tmp_path, signal="co2_aoer"), "carbon").kind == "average"
    assert "health_damage" in refusal(samples.watttime_v3(tmp_path, signal="health_damage"), "carbon")
    assert "--carbon-format watttime-v3" in refusal(samples.watttime_v3_csv(tmp_path), "carbon")
    assert (
        "a forecast issued" in read_csv_profile(samples.watttime_v3(tmp_path, forecast=True), "carbon").source
    )


@pytest.mark.parametrize("forecasts", [True, False])
def test_sgip(tmp_path, forecasts):
    profile = read_csv_profile(samples.sgip(tmp_path, forecasts), "marginal")
    assert (profile.kind, profile.step_s) == ("marginal", 300)
    np.testing.assert_allclose(profile.values, 300 + np.arange(36), rtol=1e-12)


def test_entsoe_through_both_clock_changes(tmp_path):
    old = read_csv_profile(samples.entsoe_old(tmp_path), "price")
    assert (old.start, old.end, old.unit) == (
        samples.BERLIN[0],
        samples.BERLIN[-1] + pd.Timedelta(hours=1),
        "EUR/kWh",
    )
    np.testing.assert_allclose(old.values, (50.25 + np.arange(96)) / 1000)
    for zone in ("CET/CEST", "UTC"):
        new = read_csv_profile(samples.entsoe_new(tmp_path, zone), "price")
        assert (new.start, len(new.values)) == (datetime(2024, 10, 26, 22, tzinfo=UTC), 48)
        np.testing.assert_allclose(new.values, (50.5 + np.arange(48)) / 1000)


def test_entsoe_of_several_areas_asks_which(tmp_path):
    two = samples.entsoe_new(tmp_path, areas=("BZN|AT", "BZN|DE-LU"))
    assert "'Day-ahead Price (EUR/MWh) BZN|DE-LU'" in refusal(two, "price")
    chosen = read_csv_profile(two, "price", column="Day-ahead Price (EUR/MWh) BZN|DE-LU")
    np.testing.assert_allclose(chosen.values, (150.5 + np.arange(48)) / 1000)


def test_smard_prices(tmp_path):
    german = read_csv_profile(samples.smard_price(tmp_path), "price")
    english = read_csv_profile(
        samples.smard_price(tmp_path, english=True), "price", column="Germany/Luxembourg"
    )
    for profile in (german, english):
        assert (profile.start, profile.unit) == (samples.BERLIN[0], "EUR/kWh")
        np.testing.assert_allclose(profile.values, (1000.25 + np.arange(96)) / 1000)


def test_smard_energies_become_power_per_unit_of_a_rating(tmp_path):
    path = samples.smard_generation(tmp_path)
    assert "--pv-profile-rating" in refusal(path, "pv")
    profile = read_csv_profile(path, "pv", rating="100 MW")
    assert (profile.start, profile.step_s, len(profile.values)) == (
        datetime(2024, 10, 26, 22, tzinfo=UTC),
        900,
        192,
    )
    np.testing.assert_allclose(profile.values, 4 * (np.arange(192) % 7 + 0.5) / 100)
    assert "expected a power such as 10 kW" in refusal(path, "pv", rating="big")


def test_eia930(tmp_path):
    load = read_csv_profile(samples.eia930(tmp_path), "load")
    assert load.start == datetime(2023, 1, 1, 8, tzinfo=UTC)  # times are the ends of their hours
    np.testing.assert_allclose(load.values, (24000 + np.arange(48)) * 1e6)
    intensity = read_csv_profile(samples.eia_workbook(tmp_path), "carbon")
    assert (intensity.kind, intensity.basis, intensity.start) == (
        "average",
        "direct",
        datetime(2023, 1, 1, tzinfo=UTC),
    )
    np.testing.assert_allclose(intensity.values, LB * 1e3 * (0.5 + np.arange(48) / 1000))


@pytest.mark.parametrize("make", [samples.eia930, samples.entsoe_mix, samples.smard_generation])
def test_a_generation_mix_is_no_intensity(tmp_path, make):
    assert "holds generation by source" in refusal(make(tmp_path), "carbon")


@pytest.mark.parametrize(("kind", "capacity"), [("PV", 2.0), ("Wind", 1.0)])
def test_renewables_ninja(tmp_path, kind, capacity):
    profile = read_csv_profile(samples.ninja(tmp_path, kind, capacity), kind.lower())
    assert profile.start == samples.UTC_DAY[0]
    np.testing.assert_allclose(profile.values, np.arange(96) % 24 / 100, atol=6e-4)


def test_pvgis_hourly_is_a_pv_profile(tmp_path):
    profile = read_csv_profile(samples.pvgis_hourly(tmp_path), "pv")
    assert profile.start == datetime(2019, 12, 31, 23, 40, tzinfo=UTC)  # the hour around 00:10
    np.testing.assert_allclose(profile.values, np.arange(48) * 50.0 / 5000.0)
    assert "without their power" in refusal(samples.pvgis_hourly(tmp_path, power=False), "pv")
    assert "plane of the modules" in refusal(samples.pvgis_hourly(tmp_path), "weather")


def closure(weather: Weather, place: tuple[float, float]) -> float:
    from pvlib import solarposition

    zenith = solarposition.get_solarposition(weather.midpoints, *place)["zenith"].to_numpy()
    cosine = np.maximum(np.cos(np.radians(zenith)), 0.0)
    error = weather.ghi_w_m2 - weather.dni_w_m2 * cosine - weather.dhi_w_m2
    return float(np.sqrt(np.mean(error[cosine > 0.15] ** 2)))


@pytest.mark.parametrize(
    ("make", "start", "step_s", "steps", "own", "columns"),
    [
        (samples.solcast, datetime(2024, 6, 1, tzinfo=UTC), 1800, 96, False, SOLCAST),
        (lambda d: samples.solcast(d, old=True), datetime(2024, 6, 1, tzinfo=UTC), 1800, 96, False, SOLCAST),
        (samples.open_meteo_csv, datetime(2024, 5, 31, 22, tzinfo=UTC), 3600, 71, True, (10.5, 10.0, 99000.0)),
        (samples.cams, datetime(2024, 6, 1, tzinfo=UTC), 900, 96, True, (None, None, None)),
        (samples.surfrad, datetime(2024, 5, 31, 23, 59, tzinfo=UTC), 60, 1440, True, (21.5, 3.5, 99000.0)),
    ],
)  # fmt: skip
def test_weather(tmp_path, make, start, step_s, steps, own, columns):
    weather = read_weather(make(tmp_path), latitude=samples.PLACE[0], longitude=samples.PLACE[1])
    assert (weather.start, weather.step_s, weather.steps, weather.own_place) == (start, step_s, steps, own)
    first = tuple(
        None if values is None else float(values[0])
        for values in (weather.temp_air_c, weather.wind_speed_m_s, weather.pressure_pa)
    )
    assert first == columns
    assert closure(weather, (weather.latitude, weather.longitude)) < 0.5


def test_files_without_irradiance_say_so_where_pv_is_wanted(tmp_path):
    weather = read_weather(samples.open_meteo_csv(tmp_path, radiation=False))
    with pytest.raises(InputError, match=r"has no global horizontal irradiance.*expected --without pv"):
        weather.column("ghi_w_m2")
    assert "McClear" in refusal(samples.cams(tmp_path, clear=True), "weather")


def test_a_file_is_read_as_what_it_is_told_to_be(tmp_path):
    path = samples.electricity_maps(tmp_path, new=True)
    assert "unknown format 'smart'; expected one of" in refusal(path, "carbon", format="smart")
    assert read_csv_profile(path, "carbon", format="csv").format.startswith("CSV")
    assert "holds PV output" in refusal(samples.pvgis_hourly(tmp_path), "weather")
    assert "as --weather" in refusal(samples.surfrad(tmp_path), "carbon")


def test_every_format_has_its_facts_and_is_found_by_its_sample(tmp_path):
    names = [entry.name for entry in FORMATS]
    assert len(set(names)) == len(names)
    for entry in FORMATS:
        facts = (
            entry.title,
            entry.holds,
            entry.unit,
            entry.resolution,
            entry.label,
            entry.sign,
            entry.source,
        )
        assert all(facts)
        assert entry.series or entry.weather or entry.issued
    made = {
        "electricity-maps": samples.electricity_maps(tmp_path, True), "watttime-json": samples.watttime_v2(tmp_path),
        "watttime-v2": samples.watttime_v2_csv(tmp_path), "sgip": samples.sgip(tmp_path, True),
        "entsoe": samples.entsoe_old(tmp_path), "smard": samples.smard_price(tmp_path),
        "eia-930": samples.eia930(tmp_path), "renewables-ninja": samples.ninja(tmp_path),
        "pvgis-hourly": samples.pvgis_hourly(tmp_path), "open-meteo-csv": samples.open_meteo_csv(tmp_path),
        "surfrad": samples.surfrad(tmp_path), "cams": samples.cams(tmp_path),
        "solcast": samples.solcast(tmp_path),
    }  # fmt: skip
    for name, path in made.items():
        assert detect(Content(path)).name == name


def test_the_map_of_the_test_reference_years_is_that_of_europe():
    """Corner of the grid cell that DWD's own file names gives 50.79 N, 6.05 E in its header's projection."""
    latitude, longitude = to_degrees(3_731_500.0, 2_677_500.0)
    assert (latitude, longitude) == pytest.approx((50.7931, 6.0546), abs=1e-3)


def test_an_older_entsoe_export_calls_its_ranges_time(tmp_path):
    rows = [
        f'"{t:%d.%m.%Y %H:%M} - {t + pd.Timedelta(hours=1):%d.%m.%Y %H:%M}","{40000 + i}","{41000 + i}"'
        for i, t in enumerate(pd.date_range("2020-01-01", periods=48, freq="h"))
    ]
    header = '"Time (CET/CEST)","Day-ahead Total Load Forecast [MW] - BZN|DE-LU","Actual Total Load [MW] - BZN|DE-LU"'
    load = read_csv_profile(samples.written(tmp_path, "load.csv", [header, *rows]), "load")
    assert load.start == datetime(2019, 12, 31, 23, tzinfo=UTC)
    np.testing.assert_allclose(load.values, (41000 + np.arange(48)) * 1e6)


def test_a_mix_in_long_form_is_no_intensity_either(tmp_path):
    header = "period,respondent,fueltype,type-name,value,value-units"
    rows = [
        f"2023-01-01T{h:02d},CISO,{fuel},x,{100 + h},megawatthours"
        for h in range(24)
        for fuel in ("NG", "SUN")
    ]
    assert "holds generation by source" in refusal(
        samples.written(tmp_path, "eia.csv", [header, *rows]), "carbon"
    )


def test_a_unit_may_stand_beside_the_values(tmp_path):
    times = pd.date_range("2023-01-01", periods=4, freq="h")
    rows = [f"{t:%Y-%m-%dT%H:%M}Z,{900 + i},lb/MWh" for i, t in enumerate(times)]
    beside = samples.written(tmp_path, "beside.csv", ["time,value,units", *rows])
    above = samples.written(
        tmp_path, "above.csv", ["# unit: lb/MWh", "time,value", *(row.rpartition(",")[0] for row in rows)]
    )
    for path in (beside, above):
        np.testing.assert_allclose(read_csv_profile(path, "carbon").values, LB * (900 + np.arange(4)))


def test_a_date_and_a_clock_in_two_columns_are_one_time(tmp_path):
    times = pd.date_range("2023-01-01", periods=48, freq="h")
    rows = [f"{t:%d.%m.%Y};{t:%H:%M};{i},5" for i, t in enumerate(times)]
    path = samples.written(tmp_path, "two.csv", ["Date;Time;price[EUR/MWh]", *rows])
    profile = read_csv_profile(path, "price")
    assert profile.start == datetime(2023, 1, 1, tzinfo=UTC)
    np.testing.assert_allclose(profile.values, (np.arange(48) + 0.5) / 1000)


def test_a_workbook_is_told_apart_from_an_archive(tmp_path):
    import zipfile

    book = tmp_path / "CISO.xlsx"
    with zipfile.ZipFile(book, "w") as made:
        made.writestr("xl/workbook.xml", "<workbook/>")
        made.writestr("xl/styles.xml", "<x/>")
    assert "is an Excel workbook; expected its sheet saved as CSV" in refusal(book, "carbon")
    archive = tmp_path / "two.zip"
    with zipfile.ZipFile(archive, "w") as made:
        made.write(samples.electricity_maps(tmp_path, new=True), "a.csv")
        made.writestr("b.csv", "x")
    for member in (archive / "a.csv", Path(f"{archive}{{a.csv}}")):
        assert read_csv_profile(member, "carbon").values[0] == 150.0


def test_nsrdb_without_the_attributes_nobody_asked_for(tmp_path):
    head = [
        "Source,Location ID,City,State,Country,Latitude,Longitude,Time Zone,Elevation,Local Time Zone,DHI Units,"
        "Version",
        "NSRDB,1,-,-,-,40.0,-105.0,-7,1600,-7,w/m2,3.0.6",
        "Year,Month,Day,Hour,Minute,DHI,DNI,GHI,Temperature",
    ]
    times = pd.date_range("2020-06-01 00:30", periods=48, freq="h")
    light = samples.sun(
        pd.DatetimeIndex(times + pd.Timedelta(hours=7)).tz_localize("UTC"), (40.0, -105.0, 1600.0)
    )
    rows = [
        f"{t.year},{t.month},{t.day},{t.hour},{t.minute},"
        f"{light['dhi'][i]:.1f},{light['dni'][i]:.1f},{light['ghi'][i]:.1f},20.0"
        for i, t in enumerate(times)
    ]
    weather = read_weather(samples.written(tmp_path, "psm3.csv", [*head, *rows]))
    assert weather.start == datetime(
        2020, 6, 1, 7, tzinfo=UTC
    )  # 00:30 at -07:00 is the middle of the first hour
    assert weather.pressure_pa is None
    assert closure(weather, (40.0, -105.0)) < 0.5


@pytest.mark.parametrize(("factor", "basis"), [("lifecycle", "life cycle"), ("direct", "direct")])
def test_electricity_maps_interface(tmp_path, factor, basis):
    history = [
        {"zone": "DE", "carbonIntensity": 300 + i, "datetime": f"{t:%Y-%m-%dT%H:%M:%S.000Z}",
         "emissionFactorType": factor, "isEstimated": i < 6, "createdAt": "x"}
        for i, t in enumerate(samples.UTC_DAY[:24])
    ]  # fmt: skip
    path = samples.written(tmp_path, "history.json", [json.dumps({"zone": "DE", "history": history})])
    profile = read_csv_profile(path, "carbon")
    assert (profile.kind, profile.basis, profile.start) == ("average", basis, samples.UTC_DAY[0])
    assert profile.values[:2].tolist() == [300.0, 301.0]
    assert profile.estimated.mean() == 0.25


def test_solcast_interface(tmp_path):
    ends = pd.date_range("2024-06-01 00:30", periods=48, freq="30min", tz="UTC")
    light = samples.sun(ends - pd.Timedelta(minutes=15))
    records = [
        {"ghi": light["ghi"][i], "dni": light["dni"][i], "dhi": light["dhi"][i], "air_temp": 15.0,
         "period_end": f"{t:%Y-%m-%dT%H:%M:%S.0000000Z}", "period": "PT30M"}
        for i, t in enumerate(ends)
    ]  # fmt: skip
    path = samples.written(tmp_path, "s.json", [json.dumps({"estimated_actuals": records[::-1]})])
    weather = read_weather(path, latitude=48.2, longitude=16.4)
    assert (weather.start, weather.step_s, weather.steps) == (datetime(2024, 6, 1, tzinfo=UTC), 1800, 48)
    assert closure(weather, (48.2, 16.4)) < 0.5


def test_sgip_of_several_versions_takes_the_newest_and_says_so(tmp_path):
    times = pd.date_range("2021-06-01", periods=12, freq="5min", tz="UTC")
    rows = [f"{t.isoformat()},0.9,{0.3 + i / 1000:.3f}" for i, t in enumerate(times)]
    path = samples.written(tmp_path, "all.csv", ["timestamp,MOER version 1.0,MOER version 2.0", *rows])
    profile = read_csv_profile(path, "carbon")
    np.testing.assert_allclose(profile.values, 300 + np.arange(12))
    assert "MOER version 2.0, the newest of 2" in profile.source
    assert read_csv_profile(path, "carbon", column="MOER version 1.0").values[0] == pytest.approx(900)


def test_eia_writes_the_month_first_whatever_the_days(tmp_path):
    rows = [
        f"CISO,{t:%m/%d/%Y %H:%M},{i}"
        for i, t in enumerate(pd.date_range("2023-02-03 01:00", periods=24, freq="h"))
    ]
    path = samples.written(
        tmp_path, "eia.csv", ["Balancing Authority,UTC Time at End of Hour,Demand (MW)", *rows]
    )
    assert read_csv_profile(path, "load").start == datetime(2023, 2, 3, tzinfo=UTC)
