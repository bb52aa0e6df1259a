"""Irradiance that is not where the sun is: found by two tests, moved there, and said."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pvlib import solarposition

from simulators.errors import InputError
from simulators.profiles.formats.base import RawWeather
from simulators.profiles.sun import Place, centre_min, on_time
from simulators.profiles.weather import read_weather
from tests.profiles import samples

PLACE = Place(40.0, -105.0)
DAYS = 90


def clear(
    shift_min: float = 0.0, decomposed_min: float | None = None, settled: bool = True, noise: float = 0.0
) -> RawWeather:
    """Clear hours whose values belong `shift_min` later than their labels say."""
    first = pd.Timestamp("2023-04-01", tz="UTC")
    times = pd.date_range(first + pd.Timedelta(minutes=30), periods=24 * DAYS, freq="h")

    def cosine(minutes: float) -> np.ndarray:
        found = solarposition.get_solarposition(times + pd.Timedelta(minutes=minutes), *PLACE)
        return np.maximum(np.cos(np.radians(found["zenith"].to_numpy())), 0.0)

    there = cosine(shift_min)
    ghi, dhi = 1000.0 * there**1.1, 100.0 * there
    beam = ghi - dhi
    sun = cosine(shift_min if decomposed_min is None else decomposed_min)
    dni = np.where(sun > 0.05, beam / np.maximum(sun, 0.05), 0.0)
    temperature = 10.0 + 5.0 * np.sin(np.arange(24 * DAYS) * 2 * np.pi / 24)
    return RawWeather(
        "x.epw", first.to_pydatetime(), 3600,
        {"ghi": ghi, "dni": dni + noise * (ghi > 0), "dhi": dhi, "temperature": temperature}, "", settled=settled,
    )  # fmt: skip


@pytest.mark.parametrize("shift_min", [-30, 0, 30, 50])
def test_irradiance_is_moved_to_the_sun_and_temperature_is_not(shift_min):
    raw = clear(shift_min)
    moved, note = on_time(raw, PLACE, components=True)
    assert (moved.start - raw.start).total_seconds() == 60 * shift_min
    assert (f"moved by {shift_min:+d} min" in note) == (shift_min != 0)
    np.testing.assert_array_equal(moved.columns["ghi"], raw.columns["ghi"])
    late = np.interp(np.arange(5, 50) + shift_min / 60, np.arange(24 * DAYS), raw.columns["temperature"])
    np.testing.assert_allclose(moved.columns["temperature"][5:50], late, atol=1e-9)
    assert abs(centre_min(moved, PLACE)) < 3


def test_where_the_two_tests_differ_the_irradiance_counts_and_the_beam_is_made_anew():
    """A file whose publisher took the sun of half an hour later, and whose irradiance is 50 minutes late."""
    raw = clear(50, decomposed_min=30)
    moved, note = on_time(raw, PLACE, components=True)
    assert (moved.start - raw.start).total_seconds() == 3000
    assert "dni made anew of ghi and dhi, whose sun was +30 min away" in note
    high = raw.columns["ghi"] > 300
    np.testing.assert_allclose(moved.columns["dni"][high], clear(50).columns["dni"][high], rtol=0.02)


@pytest.mark.parametrize("shift_min", [-30, 0, 30])
def test_a_few_slips_do_not_hide_where_the_sun_is(shift_min):
    """One value capped at 1500 W/m2 kept a year's irradiance half an hour away, and nothing said so."""
    raw = clear(shift_min)
    noons = np.flatnonzero(raw.columns["ghi"] > 800)[[3, 70, 150]]
    raw.columns["ghi"][noons] = raw.columns["dhi"][noons]  # clouds, and yet a beam
    raw.columns["dni"][noons] = 1500.0
    moved, note = on_time(raw, PLACE, components=True)
    assert (moved.start - raw.start).total_seconds() == 60 * shift_min
    assert "belong" not in note


def test_components_that_do_not_belong_together_are_said_and_left():
    raw = clear(noise=-150.0)
    same, note = on_time(raw, PLACE, components=True)
    assert same.start == raw.start
    assert "do not belong together" in note


def test_a_table_in_another_zone_is_refused():
    hours_off = clear(-7 * 60, settled=False)
    with pytest.raises(InputError, match=r"its irradiance is 7.0 h after the sun .*--weather-timezone"):
        on_time(hours_off, PLACE, components=False)
    fixed, note = on_time(clear(-7 * 60), PLACE, components=True)
    assert "wrong place or time zone" in note
    assert fixed.start == hours_off.start


def epw(folder, dni: float = 500.0, lag_h: int = 0):
    """A year whose hours are labelled `lag_h` too late; one of them has its own DNI."""
    hours = pd.date_range("2021-01-01", periods=8760, freq="h")
    middle = pd.DatetimeIndex(hours + pd.Timedelta(hours=7, minutes=30)).tz_localize("UTC")
    zenith = solarposition.get_solarposition(middle, *PLACE)["zenith"].to_numpy()
    cosine = np.maximum(np.cos(np.radians(zenith)), 0.0)
    beam = np.where(cosine > 0.05, 500.0, 0.0)
    ghi = np.roll(beam * cosine + np.where(beam > 0, 60.0, 0.0), lag_h)
    rolled = np.roll(beam, lag_h)
    head = ["LOCATION,Here,CO,USA,TMYx,1,40.0,-105.0,-7.0,1600.0", *["X"] * 7]
    rows = []
    for i, t in enumerate(hours):
        direct = dni if i == 8 * 24 * 20 + 12 else rolled[i]
        rows.append(
            f"{2000 + t.month},{t.month},{t.day},{t.hour + 1},60,x,10.0,5.0,60,84000,0,0,300,{ghi[i]:.2f},{direct:.2f},"
            f"{60.0 if rolled[i] > 0 else 0.0},0,0,0,0,180,3.0,5,5,10,77777,9,999,10,0.1,0,88,0.2,0,0"
        )
    path = folder / "here.epw"
    path.write_text("\n".join([*head, *rows]) + "\n")
    return path


def test_an_epw_an_hour_late_is_mended(tmp_path):
    right = read_weather(epw(tmp_path))
    assert "moved" not in right.source
    late = read_weather(epw(tmp_path, lag_h=1))
    assert "irradiance moved by -60 min" in late.source
    assert late.start == datetime(1990, 1, 1, 6, tzinfo=UTC)


def test_one_impossible_beam_needs_a_rule_and_no_more(tmp_path):
    path = epw(tmp_path, dni=1903.0)
    with pytest.raises(
        InputError, match=r"direct normal irradiance 1903 .*or a rule: --weather-implausible cap"
    ):
        read_weather(path)
    capped = read_weather(path, implausible="cap")
    assert capped.dni_w_m2.max() == 1500.0
    assert (
        "1 values of direct normal irradiance such as 1903 taken as the nearest of 0 to 1500 W/m2"
        in capped.source
    )
    filled = read_weather(path, implausible="missing", fill="interpolate:2h")
    assert filled.dni_w_m2.max() == 500.0


def plain(folder: Path, days: int = 3, **columns: np.ndarray) -> Path:
    times = pd.date_range("2024-06-01", periods=24 * days, freq="h", tz="UTC")
    held = {name: columns.get(name, light(days)[name]) for name in ("ghi", "dni", "dhi")}
    pd.DataFrame({"time": times, **held}).to_csv(folder / "plain.csv", index=False)
    return folder / "plain.csv"


def light(days: int = 3) -> dict[str, np.ndarray]:
    times = pd.date_range("2024-06-01", periods=24 * days, freq="h", tz="UTC")
    return samples.sun(times + pd.Timedelta(minutes=30))


HERE = {"latitude": samples.PLACE[0], "longitude": samples.PLACE[1]}


def test_sun_at_night_is_refused_though_days_are_too_few_to_centre(tmp_path):
    assert read_weather(plain(tmp_path), **HERE).ghi_w_m2 is not None
    away = {name: np.roll(values, 12) for name, values in light().items()}
    with pytest.raises(
        InputError, match=r"W/m2 of sun at 2024-06-0\d \d\d:30 UTC, when it is night at 48.2, 16.4"
    ):
        read_weather(plain(tmp_path, **away), **HERE)


def test_diffuse_light_above_the_global_irradiance_is_refused(tmp_path):
    """Exchanged columns were read, with a note."""
    exchanged = {"ghi": light()["dhi"], "dhi": light()["ghi"]}
    with pytest.raises(InputError, match=r"diffuse irradiance \d+ W/m2 is above the global one of 80 W/m2"):
        read_weather(plain(tmp_path, **exchanged), **HERE)


@pytest.mark.parametrize(
    ("header", "factor"),
    [("ghi", 1e-3), ("ghi[kW/m2]", None), ("wind_speed", 36.0), ("temp_air", 288.0), ("temp_air", 70.0)],
)
def test_bare_weather_in_another_unit_is_asked_for_it(tmp_path, header, factor):
    """36 km/h was taken as 36 m/s, 59 degF as 59 degC, kW/m2 as W/m2."""
    times = pd.date_range("2024-06-01", periods=72, freq="h", tz="UTC")
    values = light()["ghi"] * 1e-3 if "ghi" in header else np.full(72, factor)
    pd.DataFrame({"time": times, header: values}).to_csv(tmp_path / "bare.csv", index=False)
    if factor is None:
        assert read_weather(tmp_path / "bare.csv", **HERE).ghi_w_m2.max() == pytest.approx(
            light()["ghi"].max()
        )
        return
    with pytest.raises(
        InputError, match=rf"column '{header}' names no unit .* expected the unit in the header"
    ):
        read_weather(tmp_path / "bare.csv", **HERE)


@pytest.mark.parametrize(
    ("unit", "per_w"), [("J/cm2", 0.36), ("MJ/m2", 0.0036), ("kJ/m2", 3.6), ("Wh/m2", 1.0)]
)
def test_energies_of_the_interval_become_mean_irradiance(tmp_path, unit, per_w):
    times = pd.date_range("2024-06-01", periods=72, freq="h", tz="UTC")
    pd.DataFrame({"time": times, f"ghi[{unit}]": light()["ghi"] * per_w}).to_csv(
        tmp_path / "e.csv", index=False
    )
    np.testing.assert_allclose(read_weather(tmp_path / "e.csv", **HERE).ghi_w_m2, light()["ghi"], rtol=1e-9)
