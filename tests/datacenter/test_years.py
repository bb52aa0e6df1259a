"""Whole years of real weather: NREL's measured PUE, published PUE and WUE of designs, a hot and a cold place."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from pvlib import atmosphere

from simulators.datacenter.options import FacilityOptions
from simulators.datacenter.outdoors import outdoor_series
from simulators.datacenter.plain import facility_from_plain
from simulators.profiles.weather import Weather, read_weather

WEATHER = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "weather"
HOT, COLD = "USA_AZ_Phoenix-Sky.Harbor.epw", "pvlib_NLD_Amsterdam062400_IWEC.epw"
PLACES = {
    "Phoenix": HOT,
    "Singapore": "openmeteo_SG_2023.json.gz",
    "San Jose": "USA_CA_San.Jose-Mineta.epw",
    "Chicago": "USA_IL_Chicago.OHare.epw",
    "Aachen": "DWD_TRY2015_507931060546_Jahr.dat",
    "Amsterdam": COLD,
}
IT_W = 1e6

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not WEATHER.is_dir(), reason="no reference data beside the checkout"),
]


@cache
def weather_of(file: str) -> Weather:
    return read_weather(WEATHER / file)


def year(file: str, **options) -> tuple[float, float]:
    """Mean PUE and WUE (L/kWh) of a year at a constant load."""
    weather = weather_of(file)
    pressure_pa = weather.pressure_pa
    if pressure_pa is None:
        pressure_pa = np.full(weather.steps, atmosphere.alt2pres(weather.altitude_m))
    chosen = FacilityOptions(**options)
    humidity = np.minimum(weather.humidity_percent, 100.0)
    seen = outdoor_series(chosen, weather.temp_air_c, humidity, pressure_pa)
    design = {"design_it_kw": IT_W / 1e3} if chosen.has_design_load else {}
    facility = facility_from_plain(design | options | seen)
    power = facility.from_it(np.full(weather.steps, IT_W), slice(None))
    water = facility.water_m3_per_h(power, slice(None))
    return float(power.facility_w.mean() / IT_W), float(np.mean(water)) * 1e6 / IT_W


def test_a_year_in_colorado_is_as_nrel_measures():
    """ESIF in Golden: water at 24 degC to the racks, towers, no chillers; its meters leave the power chain out.

    What its pumps and fans take is the model's default; that chillers would hardly run is what the weather says.
    """
    pue, wue = year(
        "pvlib_test_read_psm4.csv.gz", pue_model="outdoor", cooling="wet", server_cooling="liquid",
        supply_temperature=24.0, power_chain_efficiency=1.0,
    )  # fmt: skip
    print(f"\nESIF: PUE {pue:.4f} (measured 1.036), WUE {wue:.2f} L/kWh")
    assert pue == pytest.approx(1.036, abs=0.004)  # chillers hardly ever


@pytest.mark.parametrize(
    ("options", "pues", "wues"),
    [
        (
            {"cooling": "dry", "server_cooling": "liquid", "supply_temperature": 45.0},
            (1.02, 1.17),
            (0.0, 0.1),
        ),
        ({"cooling": "wet", "server_cooling": "liquid"}, (1.02, 1.26), (1.63, 2.46)),
        ({"cooling": "wet"}, (1.03, 1.23), (1.73, 2.77)),
    ],
)
def test_designs_lie_where_a_thermodynamic_model_has_them(options, pues, wues):
    """LBNL-2001637, fig. 4.4, whiskers over 965 stations: liquid with dry coolers, liquid and air with towers."""
    chosen = {"pue_model": "outdoor", "ups": "double-conversion", "transformer": "dry"} | options
    for place, file in PLACES.items():
        pue, wue = year(file, **chosen)
        print(f"\n{place}: PUE {pue:.3f}, WUE {wue:.2f} L/kWh {options}")
        # US stations: the tropics may lie a little above, and a cold year a little below
        assert pues[0] <= pue <= pues[1]
        assert wues[0] * 0.8 <= wue <= wues[1]


@pytest.mark.parametrize("cooling", ["dry", "wet"])
@pytest.mark.parametrize("model", ["outdoor", "outdoor-load"])
def test_a_hot_year_costs_more_than_a_cold_one(cooling, model):
    hot, cold = (year(file, pue_model=model, cooling=cooling) for file in (HOT, COLD))
    print(
        f"\n{model}, {cooling}: Phoenix PUE {hot[0]:.3f}, WUE {hot[1]:.2f}; Amsterdam {cold[0]:.3f}, {cold[1]:.2f}"
    )
    assert hot[0] > cold[0] + (0.05 if cooling == "dry" else 0.001)
    assert hot[1] >= cold[1]


def test_towers_help_most_where_the_air_is_dry():
    saved = {
        place: year(file, pue_model="outdoor")[0] - year(file, pue_model="outdoor", cooling="wet")[0]
        for place, file in PLACES.items()
    }
    print("\nPUE that towers save:", {place: round(value, 3) for place, value in saved.items()})
    assert min(saved.values()) >= 0.0
    assert max(saved, key=saved.__getitem__) == "Phoenix"
    assert saved["Phoenix"] > 2 * saved["Chicago"]
