"""Weather of one resolution into a run of another."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from simulators.errors import InputError
from simulators.generation.run import pv_for_run, wind_for_run
from simulators.profiles.weather import Weather


def typical_year() -> Weather:
    hours = np.arange(8760)
    ghi = np.maximum(0.0, 700.0 * np.sin((hours % 24 - 6) / 12 * np.pi))
    return Weather(
        start=datetime(1990, 1, 1, tzinfo=UTC),
        step_s=3600,
        latitude=40.0,
        longitude=0.0,
        altitude_m=100.0,
        ghi_w_m2=ghi,
        dni_w_m2=ghi,
        dhi_w_m2=0.3 * ghi,
        temp_air_c=np.full(8760, 15.0),
        wind_speed_m_s=6.0 + (hours % 24) / 8,
        pressure_pa=None,
        source="made up",
        cyclic=True,
    )


def test_run_that_starts_within_an_hour_and_past_new_year():
    weather = typical_year()
    start = datetime(2023, 12, 31, 20, 20, tzinfo=UTC)
    power = pv_for_run(weather, start, 600, 6 * 24 + 9, peak_w=1000.0)
    whole = pv_for_run(weather, datetime(2023, 12, 31, 20, tzinfo=UTC), 600, 6 * 25, peak_w=1000.0)
    np.testing.assert_allclose(power[:140], whole[2:142], rtol=1e-6)
    local_noon = 6 * 15 + 4 - 2  # 12:00 of the next day
    assert power[local_noon] > 400
    assert power[0] == 0.0


def test_energy_is_the_same_in_every_step_size():
    weather, start = typical_year(), datetime(2023, 6, 1, tzinfo=UTC)
    minutes = pv_for_run(weather, start, 60, 1440, peak_w=1000.0)
    two_hours = pv_for_run(weather, start, 7200, 12, peak_w=1000.0)
    np.testing.assert_allclose(minutes.reshape(12, -1).mean(axis=1), two_hours, atol=0.7)


def test_wind_is_held_within_the_hour():
    weather, start = typical_year(), datetime(2023, 6, 1, 0, 30, tzinfo=UTC)
    power = wind_for_run(weather, start, 900, 8, rated_w=1000.0)
    assert power[0] == pytest.approx(power[1])
    np.testing.assert_allclose(power[2:6], power[2])
    assert power[2] > power[0]


def test_rough_terrain_of_the_weather_is_used():
    start = datetime(2023, 6, 1, tzinfo=UTC)
    rough = replace(typical_year(), roughness_m=0.5)
    assert wind_for_run(rough, start, 3600, 1, rated_w=1.0) > wind_for_run(
        typical_year(), start, 3600, 1, rated_w=1.0
    )


def test_missing_columns_and_place_are_named():
    start = datetime(2023, 6, 1, tzinfo=UTC)
    with pytest.raises(InputError, match="made up: names no place"):
        pv_for_run(replace(typical_year(), latitude=None), start, 3600, 1, peak_w=1.0)
    with pytest.raises(InputError, match="made up"):
        wind_for_run(replace(typical_year(), wind_speed_m_s=None), start, 3600, 1, rated_w=1.0)
