"""What the power of a run's own plants rests on: of plants that were computed from weather, and these alone."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from simulators.derived import code_of, derived, versions_of
from simulators.generation import factors
from simulators.generation.options import GenerationOptions
from simulators.generation.pv_array import MOUNTINGS, PvArray
from simulators.generation.wind import WindPlant
from simulators.quantities.factor import Assumption, Factor


def pv_assumptions(options: GenerationOptions, latitude: float) -> list[Assumption]:
    """What PV rests on; where arrays differ, each has an entry, by its number.

    Examples
    --------
    >>> options = GenerationOptions(pv_losses=0.1)
    >>> [(one.name, round(one.factor.value, 2)) for one in pv_assumptions(options, 40.0)[:2]]
    [('pv_mounting', 37.57), ('pv_losses', 0.1)]
    """
    own = [array.model_dump(exclude_none=True) for array in options.arrays] or [{}]
    made = options.pv_arrays(latitude)
    each = [_of_array(array, options.said("pv") | said) for (_, array), said in zip(made, own, strict=True)]
    found = []
    for name in dict.fromkeys(name for array in each for name in array):
        alike = len({array.get(name) for array in each}) == 1
        for number, array in enumerate(each[:1] if alike else each, start=1):
            if name in array:
                found.append(Assumption(f"pv_{name}" + ("" if alike else f" {number}"), array[name]))
    return found


def _of_array(array: PvArray, said: Mapping[str, Any]) -> dict[str, Factor]:
    values = {
        "mounting": (_heating(array.mounting), _heatings_k()[array.mounting]),
        "losses": (factors.LOSSES, array.losses),
        "dc_ac_ratio": (factors.DC_AC_RATIO, array.dc_ac_ratio),
        "inverter_efficiency": (factors.INVERTER_EFFICIENCY, array.inverter_efficiency),
        "temperature_coefficient": (factors.TEMPERATURE_COEFFICIENT, array.gamma_per_k),
        "albedo": (factors.ALBEDO, array.albedo),
    }
    if array.tracked:
        values["max_angle"] = (factors.MAX_ANGLE, array.max_angle_deg)
        if array.backtracking:
            values["ground_cover"] = (factors.GROUND_COVER, array.ground_cover)
    return {name: factor.own(value if name in said else None) for name, (factor, value) in values.items()}


def _heating(mounting: str) -> Factor:
    """How warm the cells run on a mounting; the range is over all mountings."""
    every = _heatings_k()
    return Factor(
        every[mounting],
        min(every.values()),
        max(every.values()),
        "K of the cells above air, at 1000 W/m2 and 1 m/s",
        f"{mounting}: {MOUNTINGS[mounting].source}; the range is that of all mountings",
    )


@lru_cache
def _heatings_k() -> dict[str, float]:
    """How warm the cells run on every mounting, K; kept, for it alone would load pvlib where PV is known already."""
    found = derived(
        "heating",
        {"mountings": list(MOUNTINGS)},
        repr((code_of(Path(__file__).with_name("pv_array.py")), versions_of("pvlib"))),
        lambda: {"heating_k": np.array([one.heating_k for one in MOUNTINGS.values()])},
    )
    return dict(zip(MOUNTINGS, found["heating_k"].tolist(), strict=True))


def wind_assumptions(
    options: GenerationOptions, plant: WindPlant, weather_roughness_m: float | None
) -> list[Assumption]:
    """What wind rests on.

    Examples
    --------
    >>> options = GenerationOptions(wind_kw=5.0)
    >>> [one.name for one in wind_assumptions(options, options.wind_plant(), None)]
    ['wind_roughness', 'wind_wake_efficiency']
    """
    wake = factors.WAKE_EFFICIENCY if plant.machines >= 2 else factors.LONE
    found = [Assumption("wind_wake_efficiency", wake.own(options.wind_wake_efficiency))]
    if plant.shear_exponent is not None:
        shear = Factor(plant.shear_exponent, 0.0, 1.0, "1", "").own(plant.shear_exponent)
        return [Assumption("wind_shear_exponent", shear), *found]
    roughness = factors.ROUGHNESS_M
    if weather_roughness_m is not None:
        value = weather_roughness_m
        roughness = Factor(value, value, value, roughness.unit, "the weather file")
    return [Assumption("wind_roughness", roughness.own(options.wind_roughness)), *found]
