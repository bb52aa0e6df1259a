"""What a column can mean: each quantity's canonical unit, the units a column may have, what is plausible."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from simulators.errors import InputError


@dataclass(frozen=True)
class Quantity:
    """One kind of time series.

    Attributes
    ----------
    label
        Name used in messages and as the profile's name.
    unit
        Canonical unit; also what a bare header means.
    names
        Column names that mean this quantity (lower case, without unit).
    units
        Accepted units, normalised by :func:`normalise_unit` -> (factor, offset) to the canonical unit.
    low, high
        Values outside are refused (canonical unit): almost always a wrong unit or a code for "missing".
    bare_mean
        Plausible range of the mean if the header names no unit; outside it the reader asks for a unit
        instead of guessing. None: it always asks.
    """

    label: str
    unit: str
    names: tuple[str, ...]
    units: dict[str, tuple[float, float]]
    low: float
    high: float
    bare_mean: tuple[float, float] | None = field(default=(float("-inf"), float("inf")))


_MASS_G = {"mg": 1e-3, "g": 1.0, "kg": 1e3, "t": 1e6, "lb": 453.59237, "lbs": 453.59237}
_MASS_G |= {"tonne": 1e6, "tonnes": 1e6}
_ENERGY_KWH = {"kwh": 1.0, "mwh": 1e3}
_CARBON = {
    f"{mass}{gas}/{energy}": (grams / kwh, 0.0)
    for mass, grams in _MASS_G.items()
    for gas in ("co2", "co2eq", "co2e", "")
    for energy, kwh in _ENERGY_KWH.items()
}
# as WattTime's interface spells it: lbs_co2_per_mwh
_CARBON |= {unit.replace("/", "per"): factor for unit, factor in _CARBON.items()}
POWER_W = {"w": 1.0, "kw": 1e3, "mw": 1e6, "gw": 1e9}
ENERGY_WH = {"wh": 1.0, "kwh": 1e3, "mwh": 1e6, "gwh": 1e9}
"""Energies of an interval become its mean power once its length is known."""
_POWER = {unit: (factor, 0.0) for unit, factor in POWER_W.items()}
_PER_UNIT = {
    "1": (1.0, 0.0),
    "pu": (1.0, 0.0),
    "p.u.": (1.0, 0.0),
    "%": (0.01, 0.0),
    "w/w": (1.0, 0.0),
    "kw/kw": (1.0, 0.0),
    "kw/kwp": (1.0, 0.0),
    "w/kw": (1e-3, 0.0),
    "w/kwp": (1e-3, 0.0),
}
_TEMPERATURE = {
    "degc": (1.0, 0.0),
    "°c": (1.0, 0.0),
    "c": (1.0, 0.0),
    "k": (1.0, -273.15),
    "degf": (5 / 9, -160 / 9),
    "°f": (5 / 9, -160 / 9),
    "f": (5 / 9, -160 / 9),
}
# Wh/m2 is an hour's mean in files of hourly values, which is what publishes it
_IRRADIANCE = {"w/m2": (1.0, 0.0), "wh/m2": (1.0, 0.0), "kw/m2": (1e3, 0.0), "kwh/m2": (1e3, 0.0)}
# energies of the interval, here as Wh/m2: stations of weather services sum J/cm2
_IRRADIANCE |= {
    "j/cm2": (1e4 / 3600, 0.0),
    "j/m2": (1 / 3600, 0.0),
    "kj/m2": (1 / 3.6, 0.0),
    "mj/m2": (1e3 / 3.6, 0.0),
}
# 1 knot = 1852 m/h, 1 mile = 1609.344 m: exact by definition
_SPEED = {
    "m/s": (1.0, 0.0),
    "km/h": (1 / 3.6, 0.0),
    "kn": (1852 / 3600, 0.0),
    "mph": (0.44704, 0.0),
    "mp/h": (0.44704, 0.0),
}
_HUMIDITY = {"%": (1.0, 0.0), "1": (100.0, 0.0)}
_PRESSURE = {
    "pa": (1.0, 0.0),
    "hpa": (100.0, 0.0),
    "mbar": (100.0, 0.0),
    "kpa": (1e3, 0.0),
    "bar": (1e5, 0.0),
}

CARBON = Quantity(
    "carbon intensity",
    "gCO2eq/kWh",
    ("carbon_intensity", "carbon intensity", "ci", "avg_ci", "carbon_intensity_avg"),
    _CARBON,
    0.0,
    5000.0,
    (2.0, 5000.0),
)
MARGINAL = replace(CARBON, label="marginal carbon intensity")
# 1000 of a load may be W, kW or MW
LOAD = Quantity("load", "W", ("load", "power", "p"), _POWER, 0.0, 1e12, None)
CONTRACT = replace(
    LOAD,
    label="contracted supply",
    names=("ppa", "contract", "delivery", "generation", "power", "pv", "wind", "p"),
)

QUANTITIES: dict[str, Quantity] = {
    "carbon": CARBON,
    "marginal": MARGINAL,
    # units of price are parsed by _price_unit: any currency goes
    "price": Quantity(
        "price", "1/kWh", ("price", "electricity_price", "day_ahead_price"), {}, -1e5, 1e5, (-2.0, 2.0)
    ),
    "pv": Quantity("PV per unit", "1", ("pv", "solar", "pv_per_unit"), _PER_UNIT, 0.0, 1.5),
    "wind": Quantity("wind per unit", "1", ("wind", "wind_per_unit"), _PER_UNIT, 0.0, 1.5),
    "per_unit": Quantity("per-unit profile", "1", ("per_unit", "pu"), _PER_UNIT, 0.0, 1.5),
    "load": LOAD,
    "contract": CONTRACT,
    "carbon_free": Quantity(
        "carbon-free share",
        "1",
        ("carbon_free", "carbon_free_share", "cfe", "low_carbon"),
        {"1": (1.0, 0.0), "%": (0.01, 0.0)},
        0.0,
        1.0,
        (0.0, 1.0),
    ),
    "ghi": Quantity(
        "global horizontal irradiance",
        "W/m2",
        ("ghi", "globhorrad", "global_horizontal_irradiance", "shortwave_radiation"),
        _IRRADIANCE,
        0.0,
        2000.0,
    ),
    "dni": Quantity(
        "direct normal irradiance",
        "W/m2",
        ("dni", "dirnormrad", "direct_normal_irradiance"),
        _IRRADIANCE,
        0.0,
        1500.0,
    ),
    "dhi": Quantity(
        "diffuse horizontal irradiance",
        "W/m2",
        ("dhi", "diffhorrad", "diffuse_horizontal_irradiance", "diffuse_radiation"),
        _IRRADIANCE,
        0.0,
        1500.0,
    ),
    "temperature": Quantity(
        "air temperature",
        "degC",
        (
            "temp_air",
            "air_temp",
            "airtemp",
            "air_temperature",
            "temperature",
            "temperature_2m",
            "temp",
            "t2m",
            "drybulbtemp",
        ),
        _TEMPERATURE,
        -95.0,
        65.0,
        (-60.0, 45.0),
    ),
    "wind_speed": Quantity(
        "wind speed", "m/s", ("wind_speed", "windspeed", "wind speed"), _SPEED, 0.0, 120.0, (0.0, 20.0)
    ),
    "pressure": Quantity(
        "air pressure", "Pa", ("pressure", "atmpressure", "surface_pressure"), _PRESSURE, 3e4, 1.1e5
    ),
    "humidity": Quantity(
        "relative humidity",
        "%",
        ("relative_humidity", "relative_humidity_2m", "relhum", "rel_hum", "humidity", "rh"),
        _HUMIDITY,
        0.0,
        110.0,
    ),
}


def quantity_named(name: str) -> Quantity:
    """Look up a quantity; InputError lists the known ones."""
    if name not in QUANTITIES:
        raise InputError(f"unknown quantity '{name}': expected one of {', '.join(QUANTITIES)}")
    return QUANTITIES[name]
