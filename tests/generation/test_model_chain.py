"""PV of whole years against pvlib's own model chain, and wind against windpowerlib's, with the same parameters."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pvlib.location import Location
from pvlib.modelchain import ModelChain
from pvlib.pvsystem import Array, FixedMount, PVSystem, SingleAxisTrackerMount
from pvlib.temperature import TEMPERATURE_MODEL_PARAMETERS

from simulators.generation.pv import pv_per_unit
from simulators.generation.pv_array import MOUNTINGS, PvArray, optimal_tilt_deg
from simulators.generation.sky import sky
from simulators.profiles.weather import Weather, read_weather

FOLDER = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "weather"
FILES = [
    "USA_CA_San.Jose-Mineta.epw",
    "USA_IL_Chicago.OHare.epw",
    "USA_AZ_Phoenix-Sky.Harbor.epw",
    "DEU_NW_Aachen.105010_TMYx.epw",
    "DEU_Aachen-Orsbach_DWD_2022_actual.epw",
    "DWD_TRY2015_507931060546_Jahr.dat",
    "pvlib_723170TYA.CSV",
    "pvlib_NLD_Amsterdam062400_IWEC.epw",
    "pvlib_tmy_45.000_8.000_2005_2023.csv",
    "pvlib_test_read_psm4.csv.gz",
]

TRACKER = PvArray(0.0, 180.0, tracked=True, mounting="open_rack")


def weather_of(name: str) -> Weather:
    if not (FOLDER / name).exists():
        pytest.skip("reference data is not there")
    place = {"latitude": 50.8, "longitude": 6.0} if name.startswith("DWD") else {}
    return read_weather(FOLDER / name, **place)


def columns(weather: Weather) -> dict[str, np.ndarray]:
    return {
        "ghi": weather.ghi_w_m2,
        "dni": weather.dni_w_m2,
        "dhi": weather.dhi_w_m2,
        "temp_air": weather.temp_air_c,
        "wind_speed": weather.wind_speed_m_s,
    }


def chain_w(weather: Weather, frame: pd.DataFrame, array: PvArray) -> np.ndarray:
    """AC power of pvlib's model chain, W per W."""
    mounting = MOUNTINGS[array.mounting]
    if mounting.sandia is None:
        model, parameters = "noct_sam", {"noct": mounting.noct_c, "module_efficiency": 0.15}
    else:
        model, parameters = "sapm", TEMPERATURE_MODEL_PARAMETERS["sapm"][mounting.sandia]
    mount = FixedMount(array.tilt_deg, array.azimuth_deg)
    if array.tracked:
        mount = SingleAxisTrackerMount(
            array.tilt_deg, array.azimuth_deg, array.max_angle_deg, array.backtracking, array.ground_cover
        )
    module = {"pdc0": 1.0, "gamma_pdc": array.gamma_per_k}
    arrays = [
        Array(mount, albedo=array.albedo, module_parameters=module, temperature_model_parameters=parameters)
    ]
    names = ["shading", "snow", "mismatch", "wiring", "connections", "lid", "nameplate_rating", "age"]
    losses = dict.fromkeys([*names, "availability"], 0) | {"soiling": 100 * array.losses}
    efficiency = array.inverter_efficiency
    inverter = {"pdc0": 1.0 / array.dc_ac_ratio / efficiency, "eta_inv_nom": efficiency}
    chain = ModelChain(
        PVSystem(arrays, inverter_parameters=inverter, losses_parameters=losses),
        Location(weather.latitude, weather.longitude, altitude=weather.altitude_m),
        aoi_model="physical",
        spectral_model="no_loss",
        temperature_model=model,
        dc_model="pvwatts",
        ac_model="pvwatts",
        losses_model="pvwatts",
        transposition_model="perez",
    )
    chain.run_model(frame)
    return np.maximum(np.nan_to_num(np.asarray(chain.results.ac)), 0.0)


@pytest.mark.shared
@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
@pytest.mark.parametrize("name", FILES)
def test_year_matches_pvlibs_model_chain(name):
    """On the weather's own steps, as one runs pvlib by hand, and on the steps in which the sun moves here."""
    weather = weather_of(name)
    place = (weather.latitude, weather.longitude, weather.altitude_m)
    times = weather.midpoints - pd.Timedelta(seconds=weather.step_s / 2)
    above = sky(*columns(weather).values(), times, weather.step_s, place)
    by_hand = pd.DataFrame(columns(weather), index=weather.midpoints)
    arrays = {
        "fixed": PvArray(optimal_tilt_deg(weather.latitude), 180.0),
        "tracker": TRACKER,
    }
    for kind, array in arrays.items():
        error = pv_per_unit(above, array).mean() / chain_w(weather, by_hand, array).mean() - 1.0
        print(f"PV, pvlib's chain, {name}, {kind}: year {error:+.3%}")
        assert abs(error) < 0.002


@pytest.mark.shared
@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
@pytest.mark.parametrize("kind", ["fixed", "tracker"])
def test_the_chain_itself_is_pvlibs(kind):
    """The same irradiance in the same steps, so that nothing of the way into finer steps is in it."""
    weather = weather_of(FILES[3])
    place = (weather.latitude, weather.longitude, weather.altitude_m)
    times = weather.midpoints - pd.Timedelta(seconds=weather.step_s / 2)
    above = sky(*columns(weather).values(), times, weather.step_s, place)
    array = PvArray(35.0, 170.0) if kind == "fixed" else TRACKER
    middles = times[0] + pd.to_timedelta(above.step_s * (np.arange(len(above.ghi_w_m2)) + 0.5), unit="s")
    parts = (above.ghi_w_m2, above.dni_w_m2, above.dhi_w_m2, above.air_c, above.wind_m_s)
    frame = pd.DataFrame(dict(zip(columns(weather), parts, strict=True)), index=middles)
    error = pv_per_unit(above, array).mean() / chain_w(weather, frame, array).mean() - 1.0
    print(f"PV, pvlib's chain in steps of {above.step_s} s, {kind}: year {error:+.5%}")
    assert abs(error) < 1e-4
