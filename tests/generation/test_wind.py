"""Wind turbines and per-unit profiles."""

import numpy as np
import pandas as pd
import pytest
import windpowerlib

from simulators.errors import InputError
from simulators.generation.per_unit import per_unit_power_w
from simulators.generation.turbines import turbine, turbine_names, turbine_of_size
from simulators.generation.wind import wind_power_w

# standard density at hub height: pressure and temperature chosen so that the power curve applies as it is
STANDARD = {"temp_air_c": 15.0, "pressure_pa": 102930.0}

LARGE = {"turbine_name": "E-126/4200", "hub_height_m": 135.0}


def at_hub(speed_m_s, **options):
    """Power with the wind measured at hub height."""
    return wind_power_w(
        np.atleast_1d(speed_m_s), **(STANDARD | LARGE | {"rated_w": 1000.0, "wind_height_m": 135.0} | options)
    )


def test_library_offers_many_turbines():
    assert "E-126/4200" in turbine_names()
    assert len(turbine_names()) > 50
    assert turbine("E-126/4200").nominal_w == 4.2e6


def test_standstill_rated_and_storm():
    power = at_hub([0.0, 0.9, 15.0, 40.0])
    assert power[0] == 0.0
    assert power[1] == 0.0
    assert power[2] == pytest.approx(1000.0, rel=0.01)
    assert power[3] == 0.0  # beyond the curve: stopped


def test_power_curve_at_standard_density():
    machine = turbine("E-126/4200")
    i = int(np.searchsorted(machine.curve_m_s, 8.0))
    expected = machine.curve_w[i] / machine.nominal_w * 1000.0
    assert at_hub(machine.curve_m_s[i])[0] == pytest.approx(expected, rel=0.01)


def test_agrees_with_windpowerlibs_own_model_chain():
    rng = np.random.default_rng(3)
    speed, temp_c, pressure = (
        rng.uniform(0, 20, 500),
        rng.uniform(-15, 35, 500),
        rng.uniform(9e4, 1.03e5, 500),
    )
    frame = pd.DataFrame(
        np.transpose([speed, temp_c + 273.15, pressure, np.full(500, 0.1)]),
        columns=pd.MultiIndex.from_tuples(
            [("wind_speed", 10), ("temperature", 2), ("pressure", 0), ("roughness_length", 0)]
        ),
    )
    machine = windpowerlib.WindTurbine(hub_height=119, turbine_type="V126/3300")
    chain = windpowerlib.ModelChain(machine, density_model="ideal_gas", density_correction=True)
    theirs = chain.run_model(frame).power_output.to_numpy()
    ours = wind_power_w(speed, temp_c, pressure, rated_w=3.3e6, turbine_name="V126/3300", hub_height_m=119.0)
    np.testing.assert_allclose(ours, theirs, rtol=1e-9)
    assert ours.max() > 3.2e6


def test_logarithmic_profile_lifts_the_wind():
    # ln(135 / 0.1) / ln(10 / 0.1) = 1.565
    low = wind_power_w(np.array([5.0]), **STANDARD, **LARGE, rated_w=1000.0)
    assert low[0] == pytest.approx(at_hub(5.0 * 1.5653)[0], rel=1e-3)


def test_hellman_profile_lifts_the_wind():
    low = wind_power_w(np.array([5.0]), **STANDARD, **LARGE, rated_w=1000.0, hellman_exponent=1 / 7)
    assert low[0] == pytest.approx(at_hub(5.0 * 13.5 ** (1 / 7))[0], rel=1e-3)


def test_thin_air_gives_less():
    thin = at_hub(8.0, pressure_pa=80000.0)
    assert thin[0] < 0.85 * at_hub(8.0)[0]


def test_efficiency_and_capacity_scale():
    np.testing.assert_allclose(at_hub(9.0, efficiency=0.8, rated_w=5e6), 4000.0 * at_hub(9.0))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rated_w": 0.0}, "rated power is 0.0"),
        ({"turbine_name": "E-999"}, "'E-999' is unknown, expected one of Excel 10"),
        ({"efficiency": 1.1}, "efficiency is 1.1"),
        ({"roughness_m": 0.0}, "roughness length is 0.0"),
        ({"pressure_pa": -1.0}, "air pressure of interval 0"),
    ],
)
def test_bad_input_is_named(change, message):
    with pytest.raises(InputError, match=message):
        at_hub(8.0, **change)


def test_a_small_plant_is_built_of_small_machines():
    """5 kW of wind were 0.12 % of a 4.2 MW turbine with its hub at 135 m."""
    assert turbine_of_size(5e3).hub_height_m <= 40.0
    assert turbine_of_size(5e3).nominal_w < 20e3
    assert [turbine_of_size(w).name for w in (12.6e3, 99e3, 100e3, 0.8e6, 4.2e6, 1e9)] == [
        *("Excel 10", "Excel 10", "NPS 100C-21", "E-53/800", "E-126/4200", "E-126/4200"),
    ]
    small = wind_power_w(np.array([5.0]), **STANDARD, rated_w=5e3)[0]
    assert small < 0.6 * wind_power_w(np.array([5.0]), **STANDARD, **LARGE, rated_w=5e3)[0]
    assert wind_power_w(np.linspace(0, 25, 500), **STANDARD, rated_w=5e3).max() <= 5e3 * (1 + 1e-9)


def test_the_small_machine_gives_its_certified_energy():
    """13,800 kWh a year at a mean of 5 m/s (Rayleigh, AWEA 9.1-2009), as the Small Wind Certification Council says."""
    machine = turbine("Excel 10")
    speeds, scale = np.arange(0.0, 30.0, 0.01), 5.0 / 0.886227
    density = 2 * speeds / scale**2 * np.exp(-((speeds / scale) ** 2))
    power_w = np.interp(speeds, machine.curve_m_s, machine.curve_w, left=0.0, right=0.0)
    assert (density * power_w).sum() * 0.01 * 8.76 == pytest.approx(13_800, rel=0.01)


def test_a_turbine_without_a_usual_height_needs_one():
    with pytest.raises(
        InputError, match="V126/3300 has no usual hub height, expected --wind-hub-height METRES"
    ):
        wind_power_w(np.array([5.0]), **STANDARD, rated_w=1e6, turbine_name="V126/3300")


def test_bad_wind_is_named():
    with pytest.raises(InputError, match=r"wind speed of interval 1 is -3\.0"):
        at_hub([8.0, -3.0])


def test_per_unit():
    np.testing.assert_array_equal(per_unit_power_w([0.0, 0.5, 1.0], 2e6), [0.0, 1e6, 2e6])
    with pytest.raises(InputError, match="capacity is -1"):
        per_unit_power_w([0.5], -1.0)
    with pytest.raises(InputError, match="share of interval 1 is nan"):
        per_unit_power_w([0.5, np.nan], 1.0)
