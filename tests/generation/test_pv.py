"""PV against PVWatts, and what must hold for any weather."""

from pathlib import Path

import numpy as np
import pandas as pd
import pvlib
import pytest

from simulators.errors import InputError
from simulators.generation.irradiance import finer_irradiance
from simulators.generation.pv import optimal_tilt_deg, pv_power_w

SHARED = Path(__file__).resolve().parents[2] / ".." / "shared"
PVWATTS = SHARED / "data" / "weather" / "pvlib_pvwatts_8760_roofmount.csv"

SITE = {"latitude": 48.0, "longitude": 11.0, "altitude_m": 500.0}


def clear_day(date: str = "2023-06-21", hours: int = 24) -> dict:
    """Hourly weather of a cloudless day (Haurwitz global, a fifth of it diffuse)."""
    times = pd.date_range(date, periods=hours, freq="h", tz="UTC")
    zenith = pvlib.solarposition.get_solarposition(times + pd.Timedelta("30min"), 48.0, 11.0)["zenith"]
    ghi = pvlib.clearsky.haurwitz(zenith)["ghi"].to_numpy()
    cosine = np.maximum(np.cos(np.radians(zenith.to_numpy())), 0.05)
    return {
        "ghi_w_m2": ghi,
        "dni_w_m2": 0.8 * ghi / cosine,
        "dhi_w_m2": 0.2 * ghi,
        "temp_air_c": np.full(hours, 20.0),
        "wind_speed_m_s": np.full(hours, 2.0),
        "times": times,
        "weather_step_s": 3600,
    }


@pytest.mark.shared
def test_year_matches_pvwatts():
    if not PVWATTS.exists():
        pytest.skip("reference data is not there")
    table = pd.read_csv(PVWATTS, skiprows=17, nrows=8760)
    dni, dhi, temp, wind = (table.iloc[:, i].to_numpy(float) for i in (3, 4, 5, 6))
    theirs_wh = table.iloc[:, 10].to_numpy(float)
    times = pd.date_range("2019-01-01", periods=8760, freq="h", tz="Etc/GMT+7")
    sun = pvlib.solarposition.get_solarposition(times + pd.Timedelta("30min"), 39.73, -105.18)
    ghi = dni * np.maximum(np.cos(np.radians(sun["zenith"].to_numpy())), 0.0) + dhi
    errors = {}
    for mounting in ("open_rack_glass", "open_rack"):
        ours_wh = pv_power_w(
            ghi,
            dni,
            dhi,
            temp,
            wind,
            times,
            weather_step_s=3600,
            latitude=39.73,
            longitude=-105.18,
            altitude_m=1820.0,
            peak_w=4000.0,
            tilt_deg=20.0,
            azimuth_deg=180.0,
            mounting=mounting,
            losses=0.1408,
        )
        errors[mounting] = ours_wh.sum() / theirs_wh.sum() - 1.0
        hourly = np.abs(ours_wh - theirs_wh).mean() / theirs_wh.mean()
        print(f"PVWatts Denver, {mounting}: year {errors[mounting]:+.2%}, mean hourly error {hourly:.2%}")
        assert np.corrcoef(ours_wh, theirs_wh)[0, 1] > 0.9995
        assert hourly < 0.02
    # PVWatts' cells (roof mount, Fuentes) run as warm as Sandia's glass/glass rack; glass/polymer is cooler
    assert abs(errors["open_rack_glass"]) < 0.005
    assert 0.0 < errors["open_rack"] < 0.02


def test_day_energy_hardly_depends_on_step():
    energy = [
        pv_power_w(**clear_day(), **SITE, peak_w=1000.0, step_s=step).sum() * step / 3600.0
        for step in (60, 300, 900, 3600, 7200)
    ]
    assert energy == pytest.approx([energy[0]] * 5, rel=1e-3)
    assert 5000 < energy[0] < 8500


def test_minutes_follow_the_sun_inside_the_hour():
    power = pv_power_w(**clear_day(), **SITE, peak_w=1000.0, step_s=60).reshape(24, 60)
    morning = power[7]  # 7 to 8 UTC: the sun still climbs
    assert morning[-1] > 1.1 * morning[0]


def test_night_is_dark_and_inverter_limits():
    power = pv_power_w(**clear_day(), **SITE, peak_w=1000.0, losses=0.0, dc_ac_ratio=2.0, step_s=300)
    assert power.max() == pytest.approx(500.0, rel=1e-6)
    assert np.all(power[22 * 12 :] == 0.0)
    assert np.all(power >= 0.0)


def test_power_is_proportional_to_peak():
    one = pv_power_w(**clear_day(), **SITE, peak_w=1.0)
    many = pv_power_w(**clear_day(), **SITE, peak_w=3e6)
    np.testing.assert_allclose(many, 3e6 * one, rtol=1e-9)


def test_southern_array_faces_north():
    weather = clear_day()
    site = {"latitude": -48.0, "longitude": 11.0}
    north = pv_power_w(**weather, **site, peak_w=1.0)
    np.testing.assert_allclose(north, pv_power_w(**weather, **site, peak_w=1.0, azimuth_deg=0.0))


@pytest.mark.parametrize(("latitude", "tilt"), [(0.0, 1.3793), (40.0, 31.53), (-35.0, 30.07)])
def test_optimal_tilt(latitude, tilt):
    assert optimal_tilt_deg(latitude) == pytest.approx(tilt, abs=0.01)


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


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"peak_w": 0.0}, "capacity is 0.0 W"),
        ({"latitude": 91.0}, "latitude is 91.0"),
        ({"longitude": 200.0}, "longitude is 200.0"),
        ({"mounting": "moon"}, "expected one of open_rack"),
        ({"losses": 1.0}, "losses are 1.0"),
        ({"dc_ac_ratio": 0.0}, "DC-to-AC ratio"),
        ({"step_s": 7000}, "no whole number of 7000 s steps"),
        ({"step_s": 0}, "step is 0 s"),
        ({"ghi_w_m2": np.full(24, -1.0)}, "global irradiance of interval 0 is -1.0"),
        ({"temp_air_c": np.full(24, np.nan)}, "air temperature of interval 0 is nan"),
        ({"wind_speed_m_s": np.ones(23)}, r"shape \(23,\), expected \(24,\)"),
    ],
)
def test_bad_input_is_named(change, message):
    with pytest.raises(InputError, match=message):
        pv_power_w(**({**clear_day(), **SITE, "peak_w": 1.0} | change))


def test_times_without_a_zone_or_with_gaps_are_refused():
    weather = clear_day()
    for times in (
        weather["times"].tz_localize(None),
        weather["times"] + pd.to_timedelta([0] * 23 + [60], "s"),
    ):
        with pytest.raises(ValueError, match="carry a time zone and be 3600 s apart"):
            pv_power_w(**(weather | {"times": times}), **SITE, peak_w=1.0)
