"""Publishers' files beyond the plain case: several zones, versions, forecasts, whole years, interfaces."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from simulators.profiles.forecasts import read_forecasts
from simulators.profiles.readers import read_csv_profile
from simulators.profiles.weather import read_weather
from tests.profiles import samples
from tests.profiles.test_formats import LB, closure, refusal


def test_electricity_maps_of_several_zones_asks_which(tmp_path):
    one = samples.electricity_maps(tmp_path, new=True).read_text(encoding="utf-8").splitlines()
    other = [row.replace(",AT,", ",DE,").replace(f",{100 + i},{150 + i},", f",{300 + i},{350 + i},")
             for i, row in enumerate(one[1:])]  # fmt: skip
    stacked = samples.written(tmp_path, "stacked.csv", [*one, *other])
    mixed = [row for pair in zip(one[1:], other, strict=True) for row in pair]
    interleaved = samples.written(tmp_path, "interleaved.csv", [one[0], *mixed])
    for path in (stacked, interleaved):
        assert "(Life cycle) DE'" in refusal(path, "carbon")
        zone = read_csv_profile(path, "carbon", column="DE")
        assert (zone.kind, zone.basis, zone.start) == ("average", "life cycle", samples.UTC_DAY[0])
        np.testing.assert_allclose(zone.values, 350 + np.arange(96))


def test_electricity_maps_days_and_forecast(tmp_path):
    header = samples.electricity_maps(tmp_path, new=True).read_text(encoding="utf-8").splitlines()[0]
    days = [f"2024-01-{d:02d} 00:00:00,Austria,Austria,AT,{d},{100 + d},80,70,x,false," for d in range(1, 31)]
    profile = read_csv_profile(samples.written(tmp_path, "d.csv", [header, *days]), "carbon")
    assert (profile.step_s, profile.values[0]) == (86400, 101.0)
    ahead = [{"carbonIntensity": 300 + i, "datetime": f"{t:%Y-%m-%dT%H:%M:%S.000Z}"}
             for i, t in enumerate(samples.UTC_DAY[:24])]  # fmt: skip
    path = samples.written(tmp_path, "f.json", [json.dumps({"zone": "DE", "forecast": ahead})])
    assert read_csv_profile(path, "carbon").values[:2].tolist() == [300.0, 301.0]


def watttime_rows(extra: str, more) -> list[str]:
    times = pd.date_range("2024-01-01", periods=24, freq="5min", tz="UTC")
    return [f"point_time,value{extra}", *(f"{t},{900 + i}{more(i, t)}" for i, t in enumerate(times))]


def test_watttimes_tables_with_more_beside_the_value(tmp_path):
    rows = watttime_rows(
        ",frequency,market,ba,datatype,version", lambda i, t: ",300,RTM,CAISO_NORTH,MOER,3.2"
    )
    v2 = read_csv_profile(samples.written(tmp_path, "v2.csv", rows), "carbon")
    assert (v2.kind, v2.values[0]) == ("marginal", pytest.approx(900 * LB))
    single = watttime_rows(",generated_at", lambda i, t: ",2024-01-01 00:00:00+00:00")
    one = read_csv_profile(samples.written(tmp_path, "co2_moer.csv", single), "carbon")
    assert "a forecast issued 2024-01-01" in one.source
    several = watttime_rows(",generated_at", lambda i, t: f",2024-01-01 0{i // 12}:00:00+00:00")
    path = samples.written(tmp_path, "co2_moer_forecasts.csv", several)
    assert "holds 2 forecasts, each issued at its own time" in refusal(path, "carbon")
    ahead = read_forecasts(path)
    assert (ahead.kind, ahead.lead_s, len(ahead.at_s)) == ("marginal", 300, 2)
    regions = watttime_rows(",region", lambda i, t: ",A")
    regions += [row.replace(",9", ",5").replace(",A", ",B") for row in regions[1:]]
    path = samples.written(tmp_path, "co2_moer_regions.csv", regions)
    assert "'value A', 'value B'" in refusal(path, "carbon")
    assert read_csv_profile(path, "carbon", column="B").values[0] == pytest.approx(500 * LB)


def test_watttimes_versions_and_sgips_interface(tmp_path):
    times = pd.date_range("2021-01-01", periods=12, freq="5min", tz="UTC")
    rows = [
        f"{t.isoformat()},{(900 if v == '3.1' else 500) + i},{v}"
        for i, t in enumerate(times)
        for v in ("3.0", "3.1")
    ]
    newest = read_csv_profile(
        samples.written(tmp_path, "v.csv", ["timestamp,MOER,MOER version", *rows]), "carbon"
    )
    np.testing.assert_allclose(newest.values, LB * (900 + np.arange(12)))
    assert "version 3.1, the newest of 2" in newest.source
    records = [{"point_time": t.isoformat(), "moer": "0.3", "version": "2.0", "freq": "300"} for t in times]
    sgip = read_csv_profile(samples.written(tmp_path, "s.json", [json.dumps(records)]), "carbon")
    assert (sgip.kind, sgip.values[0]) == ("marginal", pytest.approx(300.0))
    lost = [{"point_time": t.isoformat(), "percent": 5} for t in times]
    assert "no point_time and value" in refusal(
        samples.written(tmp_path, "l.json", [json.dumps(lost)]), "carbon"
    )


def test_a_header_of_a_marginal_rate_with_its_unit_behind(tmp_path):
    """`moer_lbs_per_mwh` was taken as an average intensity."""
    rows = [f"{t.isoformat()},{900 + i}" for i, t in enumerate(samples.UTC_DAY)]
    profile = read_csv_profile(samples.written(tmp_path, "m.csv", ["time,moer_lbs_per_mwh", *rows]), "carbon")
    assert (profile.kind, profile.values[0]) == ("marginal", pytest.approx(900 * LB))


@pytest.mark.parametrize("layout", ["csv", "json"])
def test_eias_interface_ends_at_its_period(tmp_path, layout):
    """It was read as a plain table, an hour late."""
    load = read_csv_profile(samples.eia_interface(tmp_path, layout, ("D", "DF")), "load")
    assert (load.start, load.column) == (datetime(2023, 1, 1, tzinfo=UTC), "MWh D")
    np.testing.assert_allclose(load.values, (24000 + np.arange(48)) * 1e6)
    mix = samples.eia_interface(tmp_path, "csv", ("NG", "SUN")).read_text().replace("type,", "fueltype,", 1)
    path = samples.written(tmp_path, "mix.csv", [mix.strip()])
    assert "holds generation by source" in refusal(path, "carbon")


def test_entsoes_file_library(tmp_path):
    load = read_csv_profile(samples.entsoe_file(tmp_path), "load")
    assert (load.start, load.step_s) == (datetime(2024, 3, 30, tzinfo=UTC), 900)
    np.testing.assert_allclose(load.values, (7000 + np.arange(96)) * 1e6)
    price = read_csv_profile(samples.entsoe_file(tmp_path, "price"), "price")
    assert (price.unit, price.values[0]) == ("EUR/kWh", 0.0075)


def test_a_zone_of_hours_beside_one_of_quarters_has_its_own_steps(tmp_path):
    quarters = samples.entsoe_file(tmp_path).read_text().splitlines()
    hours = [row.replace("PT15M", "PT60M").replace("Austria (AT)", "Germany").replace("\tAT\t", "\tDE\t")
             for row in quarters[1::4]]  # fmt: skip
    path = samples.written(tmp_path, "both.csv", [*quarters, *hours])
    german = read_csv_profile(path, "load", column="TotalLoad[MW] PT60M Germany")
    assert (german.step_s, len(german.values)) == (3600, 24)
    assert read_csv_profile(path, "load", column="TotalLoad[MW] PT15M Austria (AT)").step_s == 900


def test_entsoes_currency_is_that_of_its_column(tmp_path):
    text = samples.entsoe_old(tmp_path).read_text().replace('"EUR"', '"GBP"')
    assert read_csv_profile(samples.written(tmp_path, "gb.csv", [text.strip()]), "price").unit == "GBP/kWh"


@pytest.mark.parametrize(
    ("change", "start", "place"),
    [
        (lambda d: samples.epw(d, leap=True), datetime(2023, 12, 31, 23, tzinfo=UTC), (48.2, 16.4)),
        (samples.tmy3, datetime(1990, 1, 1, 7, tzinfo=UTC), samples.GOLDEN[:2]),
        (samples.pvgis_tmy, datetime(1989, 12, 31, 23, 42, tzinfo=UTC), (48.2, 16.4)),
        (samples.dwd_try, datetime(1989, 12, 31, 23, tzinfo=UTC), (50.4223, 10.0)),
        (lambda d: samples.nsrdb(d, typical=True), datetime(1990, 1, 1, 7, tzinfo=UTC), samples.GOLDEN[:2]),
        (samples.pvwatts, datetime(1990, 1, 1, 7, tzinfo=UTC), samples.GOLDEN[:2]),
    ],
)  # fmt: skip
def test_years_of_weather(tmp_path, change, start, place):
    weather = read_weather(change(tmp_path))
    assert weather.start == start
    assert (weather.latitude, weather.longitude) == pytest.approx(place, abs=1e-4)
    assert weather.steps == (8784 if start.year == 2023 else 8760)
    assert weather.cyclic == (start.year < 2000)
    assert "moved" not in weather.source
    assert closure(weather, place) < 1.0


def test_open_meteo_of_one_place_in_a_list_with_days_behind_or_at_another_height(tmp_path):
    held = json.loads(samples.open_meteo_json(tmp_path).read_text(encoding="utf-8"))
    original = read_weather(samples.open_meteo_json(tmp_path))
    listed = read_weather(samples.written(tmp_path, "list.json", [json.dumps([held])]))
    np.testing.assert_allclose(listed.ghi_w_m2, original.ghi_w_m2)
    two = samples.written(tmp_path, "two.json", [json.dumps([held, held])])
    assert "holds 2 places" in refusal(two, "weather")
    daily = {**held, "daily": {"time": ["2024-06-01"]}, "daily_units": {"time": "iso8601"}}
    del daily["hourly"], daily["hourly_units"]
    assert "holds days only" in refusal(samples.written(tmp_path, "d.json", [json.dumps(daily)]), "weather")
    text = (
        json.dumps(held)
        .replace("wind_speed_10m", "wind_speed_100m")
        .replace("temperature_2m", "temperature_2m_icon")
    )
    high = read_weather(samples.written(tmp_path, "high.json", [text]))
    assert (high.height_m, high.wind_speed_m_s[0], high.temp_air_c[0]) == (
        100.0,
        10.0,
        original.temp_air_c[0],
    )
    table = samples.open_meteo_csv(tmp_path).read_text(encoding="utf-8")
    behind = samples.written(tmp_path, "b.csv", [table, "time,temperature_2m_max (°C)", "2024-06-01,20.0"])
    assert read_weather(behind).steps == 71


def test_solcasts_rooftops_are_in_kilowatts(tmp_path):
    """`pv_estimate` was taken as output per unit."""
    ends = pd.date_range("2024-06-01 00:30", periods=48, freq="30min", tz="UTC")
    rows = [f"{i / 10},{i / 20},{t.isoformat()},PT30M" for i, t in enumerate(ends)]
    path = samples.written(tmp_path, "pv.csv", ["pv_estimate,pv_estimate10,period_end,period", *rows])
    assert "power in kW, not per unit" in refusal(path, "pv")
    roof = read_csv_profile(path, "pv", rating="10 kW")
    assert roof.start == datetime(2024, 6, 1, tzinfo=UTC)
    np.testing.assert_allclose(roof.values, np.arange(48) / 100)
    assert "no irradiance, temperature or wind speed in it" in refusal(path, "weather")


def test_cams_in_solar_time_is_refused_and_its_code_for_missing_known(tmp_path):
    """Solar time was taken as UTC."""
    text = samples.cams(tmp_path).read_text(encoding="utf-8")
    solar = text.replace("Universal time (UT)", "True solar time (TST)")
    assert "True solar time" in refusal(samples.written(tmp_path, "s.csv", [solar]), "weather")
    missing = text.replace(";0.0000;1.0000", ";-999.0000;1.0000", 1)
    assert "has no value" in refusal(samples.written(tmp_path, "m.csv", [missing]), "weather")
