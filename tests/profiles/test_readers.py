"""CSV and parquet files of one column: units, labels, zones, fill rules, native headers."""

from __future__ import annotations

import gzip
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from simulators.errors import InputError
from simulators.profiles.readers import read_csv_profile
from simulators.profiles.units import normalise_unit, split_header


def write(folder: Path, header: str, *rows: str) -> Path:
    path = folder / "series.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


@pytest.mark.parametrize(
    ("quantity", "header", "cell", "value", "unit"),
    [
        ("carbon", "carbon_intensity[gCO2eq/kWh]", "300", 300.0, "gCO2eq/kWh"),
        ("carbon", "carbon_intensity", "300", 300.0, "gCO2eq/kWh"),
        ("carbon", "kg_CO2/kWh", "0.3", 300.0, "gCO2eq/kWh"),
        ("carbon", "ci (kgCO2eq/MWh)", "300", 300.0, "gCO2eq/kWh"),
        ("carbon", "moer [lbs CO2/MWh]", "1000", 453.59237, "gCO2eq/kWh"),
        ("carbon", "Carbon Intensity gCO₂eq/kWh", "300", 300.0, "gCO2eq/kWh"),
        ("price", "price[EUR/MWh]", "-50", -0.05, "EUR/kWh"),
        ("price", "Price (USD/MWh)", "80", 0.08, "USD/kWh"),
        ("price", "price[ct/kWh]", "30", 0.3, "1/kWh"),
        ("price", "price[€/kWh]", "0.3", 0.3, "EUR/kWh"),
        ("price", "price", "0.3", 0.3, "1/kWh"),
        ("pv", "pv[W/kW]", "250", 0.25, "1"),
        ("wind", "wind[%]", "25", 0.25, "1"),
        ("load", "load[MW]", "1.5", 1.5e6, "W"),
        ("temperature", "temp[K]", "293.15", 20.0, "degC"),
        ("temperature", "temp[degF]", "68", 20.0, "degC"),
        ("wind_speed", "wind_speed[km/h]", "36", 10.0, "m/s"),
        ("pressure", "pressure[hPa]", "1013", 101300.0, "Pa"),
        ("ghi", "ghi[kW/m²]", "0.8", 800.0, "W/m2"),
    ],
)
def test_header_units(tmp_path: Path, quantity: str, header: str, cell: str, value: float, unit: str) -> None:
    path = write(tmp_path, f"time,{header}", f"2023-01-01T00:00Z,{cell}", f"2023-01-01T01:00Z,{cell}")
    profile = read_csv_profile(path, quantity)
    np.testing.assert_allclose(profile.values, [value, value], rtol=1e-12)
    assert profile.unit == unit


def test_labels_and_resolution(tmp_path: Path) -> None:
    path = write(tmp_path, "time,load[W]", "2023-01-01 00:15,1", "2023-01-01 00:30,2")
    at_start = read_csv_profile(path, "load")
    assert (at_start.start, at_start.step_s) == (datetime(2023, 1, 1, 0, 15, tzinfo=UTC), 900)
    at_end = read_csv_profile(path, "load", label="end")
    assert at_end.start == datetime(2023, 1, 1, tzinfo=UTC)
    named = write(tmp_path, "period_end,load[W]", "2023-01-01 00:15,1", "2023-01-01 00:30,2")
    assert read_csv_profile(named, "load").start == datetime(2023, 1, 1, tzinfo=UTC)


def test_a_zone_that_offsets_or_a_header_contradict_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "time,load[W]", "2023-01-01T01:00:00+01:00,1", "2023-01-01T02:00:00+01:00,2")
    assert read_csv_profile(path, "load", timezone="Europe/Berlin").start == datetime(2023, 1, 1, tzinfo=UTC)
    with pytest.raises(InputError, match="not that of Asia/Tokyo"):
        read_csv_profile(path, "load", timezone="Asia/Tokyo")
    path = write(tmp_path, "Datetime (UTC),load[W]", "2023-01-01 00:00,1", "2023-01-01 01:00,2")
    assert read_csv_profile(path, "load", timezone="UTC").start == datetime(2023, 1, 1, tzinfo=UTC)
    with pytest.raises(InputError, match="are UTC by their name"):
        read_csv_profile(path, "load", timezone="Asia/Tokyo")


def test_local_time_through_both_clock_changes(tmp_path: Path) -> None:
    """A local year of quarter-hours has every UTC quarter-hour once, in order."""
    utc = pd.date_range("2022-12-31 23:00", "2023-12-31 22:45", freq="15min", tz="UTC")
    local = utc.tz_convert("Europe/Berlin").strftime("%d.%m.%Y %H:%M")
    path = write(tmp_path, "Zeit;Last [kW]", *(f"{t};{i % 997},5" for i, t in enumerate(local)))
    profile = read_csv_profile(path, "load", timezone="Europe/Berlin", column="Last")
    assert profile.start == utc[0]
    assert profile.end == datetime(2023, 12, 31, 23, tzinfo=UTC)
    np.testing.assert_allclose(profile.values, (np.arange(len(utc)) % 997 + 0.5) * 1000)


def test_slashed_dates_are_decided_by_the_file(tmp_path: Path) -> None:
    hours = pd.date_range("2023-01-11", "2023-01-14", freq="h")
    for layout in ("%m/%d/%Y %H:%M", "%d/%m/%Y %H:%M"):
        path = write(tmp_path, "time,load[W]", *(f"{t:{layout}},1" for t in hours))
        assert read_csv_profile(path, "load").start == datetime(2023, 1, 11, tzinfo=UTC)


def test_fill_rules(tmp_path: Path) -> None:
    rows = ["2023-01-01 00:00,1", "2023-01-01 01:00,", "2023-01-01 02:00,3", "2023-01-01 05:00,9"]
    path = write(tmp_path, "time,load[W]", *rows)
    linear = read_csv_profile(path, "load", fill="interpolate")
    np.testing.assert_allclose(linear.values, [1, 2, 3, 5, 7, 9])
    held = read_csv_profile(path, "load", fill="previous")
    np.testing.assert_allclose(held.values, [1, 1, 3, 3, 3, 9])
    assert held.source.endswith("(3 of 6 values filled: previous)")
    with pytest.raises(InputError, match=r"row 3 .*no value"):
        read_csv_profile(write(tmp_path, "time,load[W]", *rows[:3]), "load")


def test_a_fill_rule_never_hides_a_duplicate(tmp_path: Path) -> None:
    path = write(tmp_path, "time,load[W]", "2023-01-04 00:00,1", "2023-01-04 01:00,1", "2023-01-04 01:00,2")
    with pytest.raises(InputError, match=r"row 4 .*duplicate time"):
        read_csv_profile(path, "load", fill="previous")


def test_packed_files_are_the_same_profile(tmp_path: Path) -> None:
    path = write(tmp_path, "time,pv", "2023-01-01 00:00,0.5", "2023-01-01 01:00,0.25")
    packed = tmp_path / "series.csv.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    archive = tmp_path / "series.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        opened.write(path, "inner.csv")
        opened.writestr("other.csv", "time,pv\n")
    table = tmp_path / "series.parquet"
    pd.DataFrame(
        {"timestamp": pd.date_range("2023-01-01", periods=2, freq="h"), "pv": [0.5, 0.25]}
    ).to_parquet(table)
    plain = read_csv_profile(path, "pv")
    for other in (packed, archive / "inner.csv", table):
        profile = read_csv_profile(other, "pv")
        np.testing.assert_array_equal(profile.values, plain.values)
        assert (profile.start, profile.step_s) == (plain.start, plain.step_s)
        assert len(profile.sha256) == 64
    with pytest.raises(InputError, match="holds 2 files; expected one, or name it as"):
        read_csv_profile(archive, "pv")


def test_native_headers(tmp_path: Path) -> None:
    maps = write(
        tmp_path,
        "Datetime (UTC),Zone,Carbon Intensity gCO₂eq/kWh (direct),Carbon Intensity gCO₂eq/kWh (LCA),Low Carbon %",
        "2023-01-01 00:00:00,DE,140.5,185.8,83",
        "2023-01-01 01:00:00,DE,141.5,186.8,83",
    )
    life_cycle = read_csv_profile(maps, "carbon")
    assert life_cycle.name == "average carbon intensity, life cycle"
    assert life_cycle.values[0] == 185.8
    direct = read_csv_profile(maps, "carbon", column="Carbon Intensity gCO₂eq/kWh (direct)")
    assert direct.values[0] == 140.5
    watttime = write(
        tmp_path,
        "oootime,Caiso_North",
        "2023-06-08 00:00:00,425.01605069",
        "2023-06-08 00:05:00,432.27352861",
    )
    assert read_csv_profile(watttime, "carbon").name == "marginal carbon intensity"
    sgip = write(
        tmp_path, "time,moer,f1", "2020-05-31 00:00:00+00:00,0.3,0.4", "2020-05-31 00:05:00+00:00,0.2,0.3"
    )
    np.testing.assert_allclose(read_csv_profile(sgip, "carbon").values, [300, 200])
    eia = write(
        tmp_path,
        "timestamp,WND,SUN,avg_CI",
        "2022-01-01 00:00+00:00,3130,1367,222",
        "2022-01-01 01:00+00:00,1,2,261",
    )
    assert read_csv_profile(eia, "carbon").values[1] == 261


def test_seconds_axis_with_a_start(tmp_path: Path) -> None:
    path = write(tmp_path, "time,pv", "0,0.1", "300,0.2")
    profile = read_csv_profile(path, "pv", start=datetime(2022, 6, 8, tzinfo=UTC))
    assert (profile.start, profile.step_s) == (datetime(2022, 6, 8, tzinfo=UTC), 300)


def test_cyclic_profile_is_aligned_by_day_of_year(tmp_path: Path) -> None:
    hours = pd.date_range("1990-01-01", periods=8760, freq="h")
    path = write(tmp_path, "time,load[W]", *(f"{t:%Y-%m-%d %H:%M},{i}" for i, t in enumerate(hours)))
    profile = read_csv_profile(path, "load", cyclic=True)
    march = profile.means(datetime(2023, 3, 1, tzinfo=UTC), 3600, 2)
    np.testing.assert_allclose(march, [59 * 24, 59 * 24 + 1])
    new_year = profile.means(datetime(2023, 12, 31, 23, tzinfo=UTC), 3600, 2)
    np.testing.assert_allclose(new_year, [8759, 0])


def test_units_fold_and_split() -> None:
    assert normalise_unit(" kg_CO₂ / kWh ") == "kgco2/kwh"
    assert split_header("price [EUR/MWh]") == ("price", "EUR/MWh")
    assert split_header("Carbon Intensity gCO₂eq/kWh (direct)") == ("Carbon Intensity (direct)", "gCO₂eq/kWh")
    assert split_header("Datetime (UTC)") == ("Datetime (UTC)", None)


@pytest.mark.parametrize(
    "layout",
    [
        "%Y-%m-%d %H:%M:%S UTC", "%Y-%m-%d %H:%M:%S+00", "%Y-%m-%dT%H:%M:%S.000Z", "%Y/%m/%d %H:%M:%S", "%Y%m%d%H",
        "%Y%m%d%H%M", "%Y%m%d:%H%M", "%d-%m-%Y %H:%M", "%d.%m.%Y %H:%M:%S", "%m/%d/%Y %I:%M:%S %p", "%Y%m%d%H%M%S",
    ],
)  # fmt: skip
def test_times_as_many_hands_write_them(tmp_path: Path, layout: str) -> None:
    hours = pd.date_range("2023-01-13", periods=30, freq="h")
    path = write(tmp_path, "time,load[W]", *(f"{t:{layout}},{i}" for i, t in enumerate(hours)))
    profile = read_csv_profile(path, "load")
    assert (profile.start, profile.step_s, len(profile.values)) == (
        datetime(2023, 1, 13, tzinfo=UTC),
        3600,
        30,
    )


def test_unix_times_are_counted_from_1970(tmp_path: Path) -> None:
    for factor in (1, 1000):
        rows = [f"{(1672531200 + 3600 * i) * factor},{i}" for i in range(5)]
        profile = read_csv_profile(write(tmp_path, "timestamp,load[W]", *rows), "load")
        assert profile.start == datetime(2023, 1, 1, tzinfo=UTC)
