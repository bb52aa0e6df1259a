"""Weather formats: which hour a row means, held against the sun, and the irradiance closure."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pvlib
import pytest

from simulators.errors import InputError
from simulators.profiles.weather import Weather, midpoints, read_weather

DATA = Path(__file__).resolve().parents[2] / "data"
SHIPPED = Path(pvlib.__file__).parent / "data"


def cosine(weather: Weather, shift_s: int = 0) -> np.ndarray:
    """Cosine of the zenith at the middle of every interval, as if the file were `shift_s` late; 0 at night."""
    assert weather.latitude is not None
    times = weather.midpoints + pd.Timedelta(seconds=shift_s)
    zenith = pvlib.solarposition.get_solarposition(times, weather.latitude, weather.longitude)["zenith"]
    return np.maximum(np.cos(np.radians(zenith.to_numpy())), 0)


def closure_error(weather: Weather, shift_s: int) -> float:
    """Root mean square of GHI - DNI cos(zenith) - DHI with the sun high, W/m2."""
    assert weather.ghi_w_m2 is not None
    assert weather.dni_w_m2 is not None
    assert weather.dhi_w_m2 is not None
    cos = cosine(weather, shift_s)
    error = (weather.ghi_w_m2 - weather.dni_w_m2 * cos - weather.dhi_w_m2)[cos > 0.1]
    return float(np.sqrt(np.mean(error**2)))


def test_tmy3_rows_are_hours_that_end_at_their_label() -> None:
    weather = read_weather(DATA / "weather" / "greensboro_tmy3.csv.gz")
    assert weather.start == datetime(1990, 1, 1, 5, tzinfo=UTC)  # 00:00 EST
    assert (weather.step_s, weather.steps, weather.cyclic, weather.height_m) == (3600, 8760, True, 10.0)
    assert (weather.latitude, weather.longitude, weather.altitude_m) == (36.1, -79.95, 273.0)
    # the three components of the file agree with the sun there and nowhere else
    here, before, after = (closure_error(weather, shift) for shift in (0, -1800, 1800))
    assert here < 10
    assert here < before / 2
    assert here < after / 2
    assert weather.column("pressure_pa").values[0] == 99300.0  # first row: 993 mbar
    assert weather.column("wind_speed_m_s").values[:3].tolist() == [6.2, 5.2, 5.7]


def test_tmy3_plain_file_of_pvlib_is_the_same() -> None:
    bundled, shipped = (
        read_weather(path)
        for path in (DATA / "weather" / "greensboro_tmy3.csv.gz", SHIPPED / "723170TYA.CSV")
    )
    np.testing.assert_array_equal(bundled.ghi_w_m2, shipped.ghi_w_m2)  # type: ignore[arg-type]


def epw(path: Path, years: list[int], ghi: float = 0.0) -> Path:
    header = "LOCATION,Testville,-,DEU,none,0,52.0,8.0,1.0,100.0\n" + "".join(f"H{n},0\n" for n in range(7))
    rows = []
    for index, stamp in enumerate(pd.date_range("1990-01-01", periods=8760, freq="h")):
        year = years[index * len(years) // 8760]
        cells = [year, stamp.month, stamp.day, stamp.hour + 1, 60, "-", index / 1000, 2, 80, 98000, 0, 0, 300]
        rows.append(",".join(map(str, [*cells, ghi, 0, 0, 0, 0, 0, 0, 0, 4, *[0] * 13])))
    path.write_text(header + "\n".join(rows) + "\n")
    return path


def test_epw_typical_and_measured_year(tmp_path: Path) -> None:
    typical = read_weather(epw(tmp_path / "typical.epw", [2005, 1999]))
    assert typical.start == datetime(1989, 12, 31, 23, tzinfo=UTC)  # 1 January 00:00 at UTC+1
    assert typical.cyclic
    measured = read_weather(epw(tmp_path / "measured.epw", [2022]))
    assert measured.start == datetime(2021, 12, 31, 23, tzinfo=UTC)
    assert not measured.cyclic
    temperature = measured.column("temp_air_c")
    np.testing.assert_allclose(temperature.means(datetime(2022, 1, 1, tzinfo=UTC), 3600, 2), [0.001, 0.002])


def test_epw_code_for_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"row 9 .*negative global horizontal irradiance"):
        read_weather(epw(tmp_path / "negative.epw", [2022], ghi=-5))
    path = epw(tmp_path / "missing.epw", [2022])
    lines = path.read_text().splitlines()
    cells = lines[20].split(",")
    cells[6] = "99.9"
    lines[20] = ",".join(cells)
    path.write_text("\n".join(lines))
    with pytest.raises(InputError, match=r"row 21 .*column 'temperature' has no value"):
        read_weather(path)
    assert read_weather(path, fill="interpolate").column("temp_air_c").values[12] == pytest.approx(0.012)


def test_epw_hour_out_of_order_is_named(tmp_path: Path) -> None:
    path = epw(tmp_path / "swapped.epw", [2022])
    lines = path.read_text().splitlines()
    lines[30], lines[31] = lines[31], lines[30]
    path.write_text("\n".join(lines))
    with pytest.raises(InputError, match=r"row 31 .*is 01-01 23:00; expected 01-01 22:00"):
        read_weather(path)


def test_open_meteo(tmp_path: Path) -> None:
    """Irradiance belongs to the hour before its label, temperature to the label."""
    content = {
        "latitude": 50.0, "longitude": 8.6, "elevation": 111.0, "utc_offset_seconds": 3600,
        "hourly_units": {"temperature_2m": "°C", "wind_speed_10m": "km/h", "shortwave_radiation": "W/m²"},
        "hourly": {
            "time": [f"2023-06-05T{h:02d}:00" for h in range(10, 14)],
            "temperature_2m": [20.0, 22.0, 24.0, 26.0], "wind_speed_10m": [36.0] * 4,
            "shortwave_radiation": [500.0, 600.0, 700.0, 750.0],
        },
    }  # fmt: skip
    path = tmp_path / "meteo.json"
    path.write_text(json.dumps(content))
    weather = read_weather(path)
    assert weather.start == datetime(2023, 6, 5, 9, tzinfo=UTC)
    np.testing.assert_allclose(weather.column("ghi_w_m2").values, [600, 700, 750])
    np.testing.assert_allclose(weather.column("temp_air_c").values, [21, 23, 25])
    np.testing.assert_allclose(weather.column("wind_speed_m_s").values, 10.0)
    # split of a global series: the parts close again with the sun of the interval's middle
    cos = cosine(weather)
    np.testing.assert_allclose(weather.dni_w_m2 * cos + weather.dhi_w_m2, [600, 700, 750])  # type: ignore[operator]
    assert "Erbs" in weather.source


def test_generic_csv_completes_irradiance(tmp_path: Path) -> None:
    path = tmp_path / "weather.csv"
    place = "# latitude: 34.1\n# longitude: -117.4\n# altitude: 376 m\n"
    start = datetime(2023, 6, 5, 18, tzinfo=UTC)
    zenith = pvlib.solarposition.get_solarposition(midpoints(start, 3600, 2), 34.1, -117.4)["zenith"]
    cos = np.cos(np.radians(zenith.to_numpy()))
    rows = {
        "ghi": ("dni[W/m2],dhi[W/m2]", "800,100", 800 * cos + 100),
        "dhi": ("ghi[W/m2],dni[W/m2]", "900,800", 900 - 800 * cos),
        "dni": ("ghi[W/m2],dhi[W/m2]", "900,100", 800 / cos),
    }
    for missing, (header, cells, expected) in rows.items():
        path.write_text(f"{place}time,{header}\n2023-06-05T18:00Z,{cells}\n2023-06-05T19:00Z,{cells}\n")
        weather = read_weather(path)
        assert (weather.latitude, weather.longitude, weather.altitude_m) == (34.1, -117.4, 376.0)
        np.testing.assert_allclose(weather.column(f"{missing}_w_m2").values, expected, rtol=1e-9)
        assert f"{missing} computed" in weather.source


def test_generic_csv_wind_height_label_and_missing_column(tmp_path: Path) -> None:
    path = tmp_path / "weather.csv"
    path.write_text("time,wind_speed_80m[m/s]\n2023-06-05 01:00,7\n2023-06-05 02:00,8\n")
    weather = read_weather(path, timezone="Europe/Berlin", label="end")
    assert (weather.start, weather.height_m) == (datetime(2023, 6, 4, 22, tzinfo=UTC), 80.0)
    with pytest.raises(InputError, match="has no air temperature; it has wind speed"):
        weather.column("temp_air_c")


def test_windpowerlib_layout(tmp_path: Path) -> None:
    path = tmp_path / "weather.csv"
    path.write_text(
        "variable_name,pressure,temperature,wind_speed,roughness_length,temperature,wind_speed\n"
        "height,0,2,10,0,10,80\n"
        "2010-01-01 00:00:00+01:00,98405.7,267.6,5.3,0.15,267.5,7.8\n"
        "2010-01-01 01:00:00+01:00,98382.7,267.6,5.4,0.15,267.5,7.9\n"
    )
    weather = read_weather(path)
    assert (weather.start, weather.height_m, weather.roughness_m) == (
        datetime(2009, 12, 31, 23, tzinfo=UTC),
        80.0,
        0.15,
    )
    np.testing.assert_allclose(weather.column("wind_speed_m_s").values, [7.8, 7.9])
    np.testing.assert_allclose(weather.column("temp_air_c").values, -5.55)


def test_humidity_is_read_where_it_is_whole(tmp_path: Path) -> None:
    """Cooling alone needs it: a file that has gaps in it serves PV and wind all the same."""
    tmy3 = read_weather(DATA / "weather" / "greensboro_tmy3.csv.gz")
    assert tmy3.humidity_percent is not None
    assert 60 < tmy3.humidity_percent.mean() < 80
    assert tmy3.humidity_percent.max() <= 100
    file = tmp_path / "own.csv"
    for header, cells, expected in (
        ("rh[%]", ("50", "60", "70"), [50.0, 60.0, 70.0]),
        ("relative_humidity[1]", ("0.5", "0.6", "0.7"), [50.0, 60.0, 70.0]),
        ("RelHum[%]", ("50", "", "70"), None),
        ("humidity[%]", ("50", "600", "70"), None),
        ("humidity[g/m3]", ("50", "60", "70"), None),
    ):
        rows = [f"2023-06-05T0{hour}:00Z,{20 + hour},{cell}" for hour, cell in enumerate(cells)]
        file.write_text("\n".join([f"time,temp_air[degC],{header}", *rows]) + "\n")
        weather = read_weather(file)
        assert weather.temp_air_c is not None
        assert weather.temp_air_c.tolist() == [20.0, 21.0, 22.0]
        found = weather.humidity_percent
        assert (None if found is None else found.round(9).tolist()) == expected
        if expected is None:
            with pytest.raises(
                InputError, match="has no relative humidity in % without gaps; it has air temp"
            ):
                weather.column("humidity_percent")
    filled = file.with_name("filled.csv")
    filled.write_text(
        "time,temp_air[degC],rh[%]\n2023-06-05T00:00Z,20,50\n2023-06-05T01:00Z,21,\n2023-06-05T02:00Z,22,70\n"
    )
    humidity = read_weather(filled, fill="interpolate:3h").humidity_percent
    assert humidity is not None
    assert humidity.tolist() == [50.0, 60.0, 70.0]
