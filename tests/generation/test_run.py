"""Weather of one resolution into a run of another."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from simulators.errors import InputError
from simulators.generation.options import GenerationOptions
from simulators.generation.pv_array import PvArray
from simulators.generation.run import sky_for_run, wind_for_run
from simulators.profiles.weather import Weather

ARRAY = PvArray(35.0, 180.0)
SMALL = GenerationOptions(wind_kw=1.0).wind_plant()


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


def pv_w(weather: Weather, start: datetime, step_s: int, steps: int) -> np.ndarray:
    return 1000.0 * sky_for_run(weather, start, step_s, steps).pv_per_unit(ARRAY)


def test_run_that_starts_within_an_hour_and_past_new_year():
    weather = typical_year()
    start = datetime(2023, 12, 31, 20, 20, tzinfo=UTC)
    power = pv_w(weather, start, 600, 6 * 24 + 9)
    whole = pv_w(weather, datetime(2023, 12, 31, 20, tzinfo=UTC), 600, 6 * 25)
    np.testing.assert_allclose(power[:140], whole[2:142], rtol=1e-6)
    local_noon = 6 * 15 + 4 - 2  # 12:00 of the next day
    assert power[local_noon] > 400
    assert power[0] == 0.0


@pytest.mark.parametrize("minute", [0, 7, 30])
def test_energy_is_the_same_in_every_step_size(minute):
    """PV and wind, also of a run that starts within an hour and within a step of the sun."""
    weather, start = typical_year(), datetime(2023, 6, 1, 0, minute, tzinfo=UTC)
    for series in (pv_w, lambda *run: wind_for_run(*run, SMALL)):
        energy = [
            series(weather, start, step_s, 2 * 86400 // step_s).sum() * step_s
            for step_s in (60, 300, 900, 3600, 7200)
        ]
        assert energy == pytest.approx([energy[0]] * 5, rel=1e-12)
        assert energy[0] > 0


def test_wind_is_held_within_the_hour():
    weather, start = typical_year(), datetime(2023, 6, 1, 0, 30, tzinfo=UTC)
    power = wind_for_run(weather, start, 900, 8, SMALL)
    assert power[0] == pytest.approx(power[1])
    np.testing.assert_allclose(power[2:6], power[2])
    assert power[2] > power[0]


def test_roughness_of_the_options_goes_before_the_weathers_and_that_before_the_default():
    start = datetime(2023, 6, 1, tzinfo=UTC)

    def first_w(weather_roughness_m: float | None, **options: float) -> float:
        plant = GenerationOptions(wind_kw=1.0, **options).wind_plant(weather_roughness_m)
        return float(wind_for_run(typical_year(), start, 3600, 1, plant)[0])

    assert (
        first_w(None) < first_w(0.5) < first_w(0.5, wind_roughness=1.0) == first_w(None, wind_roughness=1.0)
    )


def test_missing_columns_and_place_are_named():
    start = datetime(2023, 6, 1, tzinfo=UTC)
    with pytest.raises(InputError, match="made up: names no place"):
        pv_w(replace(typical_year(), latitude=None), start, 3600, 1)
    with pytest.raises(InputError, match="made up"):
        wind_for_run(replace(typical_year(), wind_speed_m_s=None), start, 3600, 1, SMALL)
