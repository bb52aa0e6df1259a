"""Wind turbines and per-unit profiles."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import windpowerlib

from simulators.errors import InputError
from simulators.generation.options import GenerationOptions
from simulators.generation.per_unit import per_unit_power_w
from simulators.generation.turbines import machine_of, turbine, turbine_names, turbine_of_size
from simulators.generation.wind import WindPlant, wind_power_w

HUB_M = 135.0
LARGE = WindPlant(turbine("E-126/4200"), 1000.0, HUB_M)


def standard(hub_m: float) -> dict[str, float]:
    """Air of 1.225 kg/m3 at hub height, by the ideal gas law and 1/8 hPa per metre, as windpowerlib has them."""
    hub_k = 288.15 - 0.0065 * (hub_m - 2.0)
    return {"temp_air_c": 15.0, "pressure_pa": 1.225 * 287.058 * hub_k + hub_m * 100.0 / 8.0}


def at_hub(speed_m_s, plant: WindPlant = LARGE, **air):
    """Power with the wind measured at hub height."""
    air = standard(plant.hub_height_m) | air
    return wind_power_w(np.atleast_1d(speed_m_s), **air, plant=plant, wind_height_m=plant.hub_height_m)


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


@pytest.mark.parametrize("name", ["Excel 10", "NPS 100C-21", "E-53/800", "E-126/4200", "V126/3300"])
def test_nodes_of_the_power_curve_are_exact(name):
    machine = turbine(name)
    hub_m = machine.hub_height_m or 120.0
    plant = WindPlant(machine, machine.nominal_w, hub_m)
    np.testing.assert_allclose(
        at_hub(machine.curve_m_s, plant), machine.curve_w, rtol=1e-12, atol=1e-12 * machine.nominal_w
    )
    if machine.source.startswith("windpowerlib"):
        theirs = windpowerlib.WindTurbine(hub_m, turbine_type=name).power_curve
        np.testing.assert_array_equal(machine.curve_w, theirs["value"])


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
    plant = WindPlant(turbine("V126/3300"), 3.3e6, 119.0)
    for model, exponent in (("logarithmic", None), ("hellman", 0.2)):
        chain = windpowerlib.ModelChain(
            machine, density_model="ideal_gas", density_correction=True, wind_speed_model=model,
            hellman_exp=exponent,
        )  # fmt: skip
        theirs = chain.run_model(frame).power_output.to_numpy()
        ours = wind_power_w(speed, temp_c, pressure, replace(plant, shear_exponent=exponent))
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-6)
        assert ours.max() > 3.2e6


def test_logarithmic_profile_lifts_the_wind():
    # ln(135 / 0.1) / ln(10 / 0.1) = 1.565
    low = wind_power_w(np.array([5.0]), **standard(HUB_M), plant=LARGE)
    assert low[0] == pytest.approx(at_hub(5.0 * 1.5653)[0], rel=1e-3)


def test_hellman_profile_lifts_the_wind():
    low = wind_power_w(np.array([5.0]), **standard(HUB_M), plant=replace(LARGE, shear_exponent=1 / 7))
    assert low[0] == pytest.approx(at_hub(5.0 * 13.5 ** (1 / 7))[0], rel=1e-9)


def test_thin_air_gives_less():
    thin = at_hub(8.0, pressure_pa=80000.0)
    assert thin[0] < 0.85 * at_hub(8.0)[0]


def test_wakes_and_capacity_scale():
    np.testing.assert_allclose(
        at_hub(9.0, replace(LARGE, wake_efficiency=0.8, rated_w=5e6)), 4000.0 * at_hub(9.0)
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rated_w": 0.0}, "rated power is 0.0"),
        ({"hub_height_m": -1.0}, "hub height is -1.0"),
        (
            {"hub_height_m": 60.0},
            "hub height is 60 m, expected more than half the rotor of E-126/4200, 127 m",
        ),
        ({"wake_efficiency": 1.1}, "wake efficiency is 1.1"),
        ({"shear_exponent": -0.1}, "shear exponent is -0.1"),
        ({"roughness_m": 0.0}, "roughness length is 0.0"),
    ],
)
def test_a_bad_plant_is_named(change, message):
    with pytest.raises(InputError, match=message):
        replace(LARGE, **change)


def test_bad_weather_is_named():
    with pytest.raises(InputError, match="air pressure of interval 0"):
        at_hub(8.0, pressure_pa=-1.0)
    with pytest.raises(InputError, match=r"wind speed of interval 1 is -3\.0"):
        at_hub([8.0, -3.0])
    with pytest.raises(InputError, match=r"roughness length is 2\.0 m, .* below the wind's height, 1 m"):
        wind_power_w([8.0], **standard(HUB_M), plant=replace(LARGE, roughness_m=2.0), wind_height_m=1.0)


def test_a_small_plant_is_built_of_small_machines():
    """5 kW of wind were 0.12 % of a 4.2 MW turbine with its hub at 135 m."""
    assert turbine_of_size(5e3).hub_height_m <= 40.0
    assert turbine_of_size(5e3).nominal_w < 20e3
    assert [turbine_of_size(w).name for w in (12.6e3, 99e3, 100e3, 0.8e6, 4.2e6, 1e9)] == [
        *("Excel 10", "Excel 10", "NPS 100C-21", "E-53/800", "E-126/4200", "E-126/4200"),
    ]
    plant = GenerationOptions(wind_kw=5.0).wind_plant()
    small = wind_power_w(np.array([5.0]), **standard(24.0), plant=plant)[0]
    assert small < 0.6 * wind_power_w(np.array([5.0]), **standard(24.0), plant=replace(LARGE, rated_w=5e3))[0]
    most = wind_power_w(np.linspace(0, 25, 500), **standard(24.0), plant=plant).max()
    assert most <= 5e3 * (1 + 1e-9)


def test_the_small_machine_gives_its_certified_energy():
    """13,800 kWh a year at a mean of 5 m/s (Rayleigh, AWEA 9.1-2009), as the Small Wind Certification Council says."""
    machine = turbine("Excel 10")
    speeds, scale = np.arange(0.0, 30.0, 0.01), 5.0 / 0.886227
    density = 2 * speeds / scale**2 * np.exp(-((speeds / scale) ** 2))
    power_w = np.interp(speeds, machine.curve_m_s, machine.curve_w, left=0.0, right=0.0)
    assert (density * power_w).sum() * 0.01 * 8.76 == pytest.approx(13_800, rel=0.01)


def test_a_turbine_is_known_and_has_a_height():
    with pytest.raises(
        InputError, match="V126/3300 has no usual hub height, expected --wind-hub-height METRES"
    ):
        machine_of(1e6, "V126/3300")
    with pytest.raises(InputError, match=r"'E-126/420' is unknown, .*; did you mean E-126/4200"):
        turbine("E-126/420")


def test_per_unit():
    np.testing.assert_array_equal(per_unit_power_w([0.0, 0.5, 1.0], 2e6), [0.0, 1e6, 2e6])
    with pytest.raises(InputError, match="capacity is -1"):
        per_unit_power_w([0.5], -1.0)
    with pytest.raises(InputError, match="share of interval 1 is nan"):
        per_unit_power_w([0.5, np.nan], 1.0)
