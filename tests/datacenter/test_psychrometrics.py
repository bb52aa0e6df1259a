"""Moist air against tables, formulas and a closed balance of others."""

import numpy as np
import pytest

from simulators.datacenter.options import FacilityOptions
from simulators.datacenter.outdoors import outdoor_series
from simulators.datacenter.psychrometrics import (
    enthalpy_kj,
    evaporated_kg_per_kwh,
    humidity_ratio,
    vapour_pressure_pa,
    wet_bulb_c,
)


def stull(temp, humidity):
    """R. Stull (2011), J. Appl. Meteor. Climatol. 50, 2267: at sea level, within -1 to +0.65 K of the exact one."""
    return (
        temp * np.arctan(0.151977 * np.sqrt(humidity + 8.313659))
        + np.arctan(temp + humidity)
        - np.arctan(humidity - 1.676331)
        + 0.00391838 * humidity**1.5 * np.arctan(0.023101 * humidity)
        - 4.686035
    )


# temperature, humidity, pressure, and ASHRAE's thermodynamic wet bulb (PsychroLib 2.5.0)
ASHRAE = [
    (20.0, 50.0, 101325.0, 13.783),
    (35.0, 20.0, 101325.0, 18.870),
    (35.0, 80.0, 101325.0, 31.814),
    (5.0, 90.0, 101325.0, 4.302),
    (30.0, 40.0, 85000.0, 19.525),
    (25.0, 100.0, 70000.0, 25.0),
]


@pytest.mark.parametrize(("temp", "humidity", "pressure", "expected"), ASHRAE)
def test_wet_bulb_is_near_the_thermodynamic_one(temp, humidity, pressure, expected):
    assert -0.01 < float(wet_bulb_c(temp, humidity, pressure)) - expected < 0.27


def test_wet_bulb_is_near_stulls_at_sea_level():
    temp, humidity = np.meshgrid(np.linspace(0.0, 45.0, 40), np.linspace(10.0, 95.0, 40))
    off = wet_bulb_c(temp, humidity) - stull(temp, humidity)
    print(f"\nwet bulb less Stull (2011): {off.min():+.2f} to {off.max():+.2f} K")
    assert np.abs(off).max() < 1.0


def test_wet_bulb_lies_below_the_air_and_rises_with_its_humidity():
    humidity = np.linspace(0.0, 100.0, 101)
    for temp in (-20.0, 0.0, 15.0, 40.0):
        found = wet_bulb_c(temp, humidity)
        assert np.all(found <= temp + 1e-9)
        assert np.all(np.diff(found) > 0)
        assert found[-1] == pytest.approx(temp)


def test_saturated_air_is_in_the_tables():
    # WMO-No. 8 and ASHRAE tables: e_w in hPa, humidity ratio in g/kg at sea level
    assert vapour_pressure_pa([0.0, 20.0, 40.0]) == pytest.approx([611.2, 2338.8, 7384.9], rel=0.006)
    assert 1e3 * humidity_ratio(vapour_pressure_pa(20.0)) == pytest.approx(14.75, rel=0.006)


def test_a_tower_evaporates_less_in_the_cold_and_never_much_more_than_its_heat_can():
    temp = np.linspace(-15.0, 45.0, 61)
    wet = FacilityOptions(pue_model="outdoor", cooling="wet")
    for humidity in (10.0, 50.0, 100.0):
        seen = outdoor_series(wet, temp, np.full(61, humidity))
        found = seen["evaporated_kg_per_kwh"]
        print(
            f"\n{humidity:g} %: {found.min():.2f} to {found.max():.2f} kg/kWh (Perry's rule of thumb: 1.32)"
        )
        assert np.all(np.diff(found) > -1e-9)
        assert found.min() > 0.8
        # latent heat alone makes 1.47; dry air warmer than the water gives it heat of its own
        assert found.max() < (1.8 if humidity == 10.0 else 1.47)
    assert float(evaporated_kg_per_kwh(25.0, 60.0, 32.0)) == pytest.approx(1.32, rel=0.1)


def test_a_balance_of_a_tower_closes():
    """Heat into the air is what its enthalpy gained; water that left is what its humidity gained."""
    evaporated = float(evaporated_kg_per_kwh(20.0, 40.0, 30.0))
    enters = float(humidity_ratio(0.4 * vapour_pressure_pa(20.0)))
    leaves = float(humidity_ratio(vapour_pressure_pa(30.0)))
    air_kg = evaporated / (leaves - enters)
    heat_kj = air_kg * float(enthalpy_kj(30.0, leaves) - enthalpy_kj(20.0, enters))
    assert heat_kj == pytest.approx(3600.0, rel=1e-12)
