"""Wind turbines by name: windpowerlib's library, and small machines in ``data/turbines`` that it lacks.

The library begins at 800 kW. A plant of 5 kW taken from it would have a multi-megawatt rotor in the wind of 135 m.
"""

from __future__ import annotations

import tomllib
import warnings
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from simulators.errors import InputError, nearest
from simulators.paths import DATA

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Turbine:
    """A turbine with a power curve.

    Attributes
    ----------
    name, title
        Its type, e.g. ``E-126/4200``, and with its maker.
    nominal_w
        Rated power, W; of a small machine, whose certified rating lies below it, the peak of the curve: a plant never
        gives more than its rating.
    curve_m_s, curve_w
        Power curve: wind speeds at hub height, m/s, and power at 1.225 kg/m3, W; shape (k,).
    source
        Where the curve comes from.
    hub_height_m, rotor_m
        Usual hub height, and diameter of the rotor, m; None if they are not known.
    """

    name: str
    title: str
    nominal_w: float
    curve_m_s: Array
    curve_w: Array
    source: str
    hub_height_m: float | None = None
    rotor_m: float | None = None


LIBRARY = "windpowerlib's library (Open Energy Database, makers' data sheets)"

DEFAULTS: dict[str, float | None] = {
    "Excel 10": None,
    "NPS 100C-21": None,
    "E-53/800": 60.0,  # of 50, 60 and 73 m in the library
    "E-126/4200": 135.0,
}
"""What a plant is built of unless told otherwise, and the hub height where the turbine has no usual one, m: the largest
that is not larger than the plant, else the smallest."""


@lru_cache
def turbine_names() -> tuple[str, ...]:
    """Every turbine that has a power curve."""
    import windpowerlib

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # pandas' remark on windpowerlib's own code
        table = windpowerlib.get_turbine_types(print_out=False)
    return (*_small(), *table.loc[table["has_power_curve"], "turbine_type"])


@lru_cache
def turbine(name: str) -> Turbine:
    """The turbine called `name`.

    Raises
    ------
    InputError
        If there is no power curve of it.

    Examples
    --------
    >>> turbine("Excel 10").nominal_w
    12555.0
    """
    import windpowerlib

    if name in _small():
        return _small()[name]
    if name not in turbine_names():
        raise InputError(
            f"wind turbine: {name!r} is unknown, expected one that `wattloop turbines` lists"
            f"{nearest(name, turbine_names())}"
        )
    found = windpowerlib.WindTurbine(hub_height=200.0, turbine_type=name)
    curve = found.power_curve.sort_values("wind_speed")
    return Turbine(
        name,
        name,
        float(found.nominal_power),
        curve["wind_speed"].to_numpy(),
        curve["value"].to_numpy(),
        LIBRARY,
        DEFAULTS.get(name),
        found.rotor_diameter or None,
    )


def turbine_of_size(rated_w: float) -> Turbine:
    """What a plant of `rated_w` is built of unless told otherwise.

    Examples
    --------
    >>> [turbine_of_size(kw * 1e3).name for kw in (5, 250, 3000, 5000)]
    ['Excel 10', 'NPS 100C-21', 'E-53/800', 'E-126/4200']
    """
    known = [turbine(name) for name in DEFAULTS]
    return next((one for one in reversed(known) if one.nominal_w <= rated_w), known[0])


def machine_of(
    rated_w: float, machine: Turbine | str | None = None, hub_height_m: float | None = None
) -> tuple[Turbine, float]:
    """The turbine a plant is built of, and its hub height, m: those stated, else what suits its size.

    Raises
    ------
    InputError
        If the turbine is unknown, or has no usual hub height and none is given.

    Examples
    --------
    >>> machine, hub_m = machine_of(5e3)
    >>> machine.name, hub_m
    ('Excel 10', 24.0)
    """
    if machine is None:
        machine = turbine_of_size(rated_w)
    elif isinstance(machine, str):
        machine = turbine(machine)
    hub_m = machine.hub_height_m if hub_height_m is None else hub_height_m
    if hub_m is None:
        raise InputError(f"wind: {machine.name} has no usual hub height, expected --wind-hub-height METRES")
    return machine, hub_m


@lru_cache
def _small() -> dict[str, Turbine]:
    """The machines in ``data/turbines``, by name."""
    found = {}
    for path in sorted((DATA / "turbines").glob("*.toml")):
        sheet = tomllib.loads(path.read_text(encoding="utf-8"))
        power_w = np.asarray(sheet["power_w"], dtype=np.float64)
        found[sheet["name"]] = Turbine(
            sheet["name"],
            sheet["title"],
            float(power_w.max()),
            np.asarray(sheet["wind_m_s"], dtype=np.float64),
            power_w,
            sheet["source"],
            float(sheet["hub_height_m"]),
            float(sheet["rotor_m"]),
        )
    return found
