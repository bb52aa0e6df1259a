"""PV against PVWatts, and what must hold for any weather."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pvlib
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from simulators.errors import InputError
from simulators.generation.irradiance import finer_irradiance
from simulators.generation.pv import pv_per_unit
from simulators.generation.pv_array import MOUNTINGS, PvArray, optimal_tilt_deg
from simulators.generation.sky import Sky, sky
from simulators.generation.steps import resampled

SHARED = Path(__file__).resolve().parents[2] / ".." / "shared"
PVWATTS = SHARED / "data" / "weather" / "pvlib_pvwatts_8760_roofmount.csv"

MUNICH = (48.0, 11.0, 500.0)
SOUTH = PvArray(30.0, 180.0)
TRACKER = PvArray(0.0, 180.0, tracked=True, mounting="open_rack")


def clear_weather(place=MUNICH, date: str = "2023-06-21", hours: int = 24) -> dict:
    """Hourly weather of a cloudless sky (Haurwitz global, a fifth of it diffuse)."""
    times = pd.date_range(date, periods=hours, freq="h", tz="UTC")
    zenith = pvlib.solarposition.get_solarposition(times + pd.Timedelta("30min"), *place[:2])["zenith"]
    ghi = pvlib.clearsky.haurwitz(zenith)["ghi"].to_numpy()
    cosine = np.maximum(np.cos(np.radians(zenith.to_numpy())), 0.05)
    return {
        "ghi_w_m2": ghi,
        "dni_w_m2": 0.8 * ghi / cosine,
        "dhi_w_m2": 0.2 * ghi,
        "air_c": np.full(hours, 20.0),
        "wind_m_s": np.full(hours, 2.0),
        "times": times,
        "weather_step_s": 3600,
        "place": place,
    }


def power(above: Sky, array: PvArray = SOUTH, step_s: int = 3600, steps: int = 24) -> np.ndarray:
    return resampled(pv_per_unit(above, array), above.step_s, 0, step_s, steps)


@pytest.fixture(scope="module")
def day() -> Sky:
    return sky(**clear_weather())


@pytest.mark.shared
@pytest.mark.parametrize("mounting", ["roof", "open_rack", "open_rack_glass"])
def test_year_matches_pvwatts(mounting):
    if not PVWATTS.exists():
        pytest.skip("reference data is not there")
    table = pd.read_csv(PVWATTS, skiprows=17, nrows=8760)
    dni, dhi, temp, wind = (table.iloc[:, i].to_numpy(float) for i in (3, 4, 5, 6))
    theirs_wh = table.iloc[:, 10].to_numpy(float)
    times = pd.date_range("2019-01-01", periods=8760, freq="h", tz="Etc/GMT+7")
    sun = pvlib.solarposition.get_solarposition(times + pd.Timedelta("30min"), 39.73, -105.18)
    ghi = dni * np.maximum(np.cos(np.radians(sun["zenith"].to_numpy())), 0.0) + dhi
    above = sky(ghi, dni, dhi, temp, wind, times, 3600, (39.73, -105.18, 1820.0))
    ours_wh = 4000.0 * power(above, PvArray(20.0, 180.0, mounting=mounting, losses=0.1408), steps=8760)
    error = ours_wh.sum() / theirs_wh.sum() - 1.0
    hourly = np.abs(ours_wh - theirs_wh).mean() / theirs_wh.mean()
    print(f"PVWatts Denver, {mounting}: year {error:+.2%}, mean hourly error {hourly:.2%}")
    assert np.corrcoef(ours_wh, theirs_wh)[0, 1] > 0.9995
    assert hourly < 0.02
    # the file is of a roof mount, on which a run's modules stand unless told otherwise; an open rack is cooler
    assert abs(error) < 0.01 if mounting != "open_rack" else 0.0 < error < 0.02


def test_a_run_stands_on_the_roof_unless_told_otherwise():
    assert PvArray(20.0, 180.0).mounting == "roof"
    heating = {name: mounting.heating_k for name, mounting in MOUNTINGS.items()}
    assert sorted(heating, key=heating.get) == [
        *("open_rack", "open_rack_glass", "roof", "close_roof", "insulated"),
    ]
    assert heating["open_rack"] == pytest.approx(1000 * np.exp(-3.56 - 0.075) + 3.0)  # Sandia's table


@pytest.mark.parametrize("array", [SOUTH, TRACKER, replace(TRACKER, backtracking=False, tilt_deg=20.0)])
def test_energy_is_the_same_in_steps_of_every_length(day, array):
    energy = [
        power(day, array, step_s, 86400 // step_s).sum() * step_s / 3600.0
        for step_s in (7, 60, 300, 900, 3600, 7200)
        if 86400 % step_s == 0
    ]
    assert energy == pytest.approx([energy[0]] * len(energy), rel=1e-12)
    assert 5.0 < energy[0] < 10.5


def test_minutes_follow_the_sun_inside_the_hour(day):
    minutes = power(day, step_s=60, steps=1440)
    morning = minutes[7 * 60 : 8 * 60]  # 7 to 8 UTC: the sun still climbs
    assert morning[-1] > 1.1 * morning[0]
    assert np.all(np.diff(morning) > 0)


def test_night_is_dark_and_inverter_limits(day):
    for step_s in (10, 60, 3600):
        series = power(day, replace(SOUTH, losses=0.0, dc_ac_ratio=2.0), step_s, 86400 // step_s)
        assert series.max() == pytest.approx(0.5, rel=1e-6)
        assert np.all(series[22 * 3600 // step_s :] == 0.0)
        assert np.all(series >= 0.0)


def test_southern_and_equatorial_best():
    assert [optimal_tilt_deg(latitude) for latitude in (0.0, 40.0, -35.0)] == pytest.approx(
        [1.3793, 31.53, 30.07], abs=0.01
    )


@pytest.mark.parametrize("latitude", [5.0, 25.0, -20.0])
def test_a_tracker_under_a_clear_sky_gives_more_than_fixed_modules(latitude):
    """Every tenth day of a year."""
    gained = []
    for date in pd.date_range("2023-01-01", periods=36, freq="10D"):
        above = sky(**clear_weather((latitude, 0.0, 0.0), f"{date:%Y-%m-%d}"))
        towards = 180.0 if latitude > 0 else 0.0
        fixed = PvArray(optimal_tilt_deg(latitude), towards, mounting="open_rack")
        gained.append([pv_per_unit(above, array).sum() for array in (fixed, TRACKER)])
    fixed_wh, tracked_wh = np.sum(gained, axis=0)
    assert 1.1 < tracked_wh / fixed_wh < 1.4


def test_backtracking_shades_no_row_and_turns_less(day):
    steep = pv_per_unit(day, replace(TRACKER, backtracking=False))
    kept = pv_per_unit(day, TRACKER)
    wide = pv_per_unit(day, replace(TRACKER, ground_cover=0.05))
    assert kept.sum() < wide.sum() <= steep.sum()  # shade of the rows is not counted without backtracking
    noon = slice(10 * 12, 12 * 12)
    np.testing.assert_allclose(kept[noon], steep[noon])


def test_a_tracker_that_may_not_turn_lies_flat(day):
    still = replace(TRACKER, max_angle_deg=0.0)
    np.testing.assert_allclose(
        pv_per_unit(day, still), pv_per_unit(day, PvArray(0.0, 180.0, mounting="open_rack")), rtol=1e-12
    )


@pytest.mark.parametrize(
    ("change", "more"),
    [
        ({"losses": 0.05}, True),
        ({"losses": 0.3}, False),
        ({"inverter_efficiency": 0.98}, True),
        ({"gamma_per_k": -0.003}, True),
        ({"albedo": 0.6}, True),
        ({"mounting": "open_rack"}, True),
        ({"mounting": "insulated"}, False),
        ({"azimuth_deg": 90.0}, False),
        ({"dc_ac_ratio": 2.0}, False),
    ],
)
def test_every_option_moves_the_energy_its_way(day, change, more):
    changed = pv_per_unit(day, replace(SOUTH, **change)).sum()
    assert bool(changed > pv_per_unit(day, SOUTH).sum()) is more


@given(
    st.lists(st.floats(0, 1000, allow_subnormal=False), min_size=6, max_size=6),
    st.floats(0, 90),
    st.floats(0, 360),
    st.sampled_from([False, True]),
    st.floats(-60, 60),
)
@settings(max_examples=40, deadline=None)
def test_power_lies_between_nothing_and_the_inverter(dni, tilt, azimuth, tracked, latitude):
    times = pd.date_range("2023-04-01T05:00", periods=6, freq="h", tz="UTC")
    above = sky(
        dni, dni, np.asarray(dni) / 3, np.full(6, 10.0), np.ones(6), times, 3600, (latitude, 0.0, 0.0)
    )
    array = PvArray(tilt, azimuth, tracked=tracked, mounting="open_rack")
    series = pv_per_unit(above, array)
    assert np.all((series >= 0.0) & (series <= 1 / 1.2 + 1e-12))


@given(
    st.lists(st.floats(0, 1), min_size=4, max_size=24),
    st.sampled_from([1, 60, 150, 300, 600]),
    st.integers(0, 3),
)
@settings(max_examples=100, deadline=None)
def test_finer_steps_keep_every_mean_and_stay_between_their_neighbours(means, step_s, late):
    means = np.asarray(means)
    whole = (len(means) - late) * 300 // step_s
    assume(whole > 0)
    series = resampled(means, 300, late * 300, step_s, whole)
    if 300 % step_s == 0:
        np.testing.assert_allclose(series.reshape(-1, 300 // step_s).mean(axis=1), means[late:], atol=1e-14)
    assert series.min() >= means.min() - 1e-15
    assert series.max() <= means.max() + 1e-15


def test_finer_irradiance_keeps_the_hours_energy():
    rng = np.random.default_rng(1)
    ghi, dni, dhi = rng.uniform(0, 800, (3, 4))
    cos_zenith = np.array([[-0.2, -0.1, 0.0, 0.1], [0.1, 0.3, 0.4, 0.6], [0.9] * 4, [-0.3] * 4])
    fine = finer_irradiance(ghi, dni, dhi, cos_zenith)
    means = [part.reshape(4, 4).mean(axis=1) for part in fine]
    np.testing.assert_allclose(means[0], ghi)
    np.testing.assert_allclose(means[2], dhi)
    np.testing.assert_allclose(means[1][:3], dni[:3])
    assert means[1][3] == 0.0  # no beam from below the horizon
    assert np.all(np.diff(fine[1].reshape(4, 4)[1]) > 0)  # the beam of a low sun is weaker


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"place": (91.0, 0.0, 0.0)}, "latitude is 91.0"),
        ({"place": (0.0, 200.0, 0.0)}, "longitude is 200.0"),
        ({"ghi_w_m2": np.full(24, -1.0)}, "global irradiance of interval 0 is -1.0"),
        ({"air_c": np.full(24, np.nan)}, "air temperature of interval 0 is nan"),
        ({"wind_m_s": np.ones(23)}, r"shape \(23,\), expected \(24,\)"),
    ],
)
def test_bad_weather_is_named(change, message):
    with pytest.raises(InputError, match=message):
        sky(**(clear_weather() | change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mounting": "roofs"}, "expected one of roof, .*; did you mean roof"),
        ({"losses": 1.0}, "losses are 1.0"),
        ({"dc_ac_ratio": 0.0}, "DC-to-AC ratio"),
        ({"inverter_efficiency": 1.1}, "inverter efficiency is 1.1"),
        ({"gamma_per_k": -0.35}, "temperature coefficient is -0.35, expected -0.01 to 0"),
        ({"tilt_deg": 91.0}, "tilt is 91.0"),
        ({"albedo": float("nan")}, "albedo is nan"),
        ({"tracked": True}, "a tracker with mounting 'roof', expected one of open_rack"),
    ],
)
def test_a_bad_array_is_named(change, message):
    with pytest.raises(InputError, match=message):
        replace(SOUTH, **change)


def test_times_without_a_zone_or_with_gaps_are_refused():
    weather = clear_weather()
    for times in (
        weather["times"].tz_localize(None),
        weather["times"] + pd.to_timedelta([0] * 23 + [60], "s"),
    ):
        with pytest.raises(ValueError, match="carry a time zone and be 3600 s apart"):
            sky(**(weather | {"times": times}))
