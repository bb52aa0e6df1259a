"""The weather as a facility's cooling sees it: where heat goes, and what evaporates there."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulators.datacenter.options import FacilityOptions
from simulators.datacenter.psychrometrics import SEA_LEVEL_PA, evaporated_kg_per_kwh, wet_bulb_c
from simulators.errors import InputError

Array = NDArray[np.float64]


def outdoor_series(
    options: FacilityOptions,
    temp_c: Array,
    humidity_percent: Array | None = None,
    pressure_pa: Array | float = SEA_LEVEL_PA,
) -> dict[str, Array]:
    """What `facility_from_plain` takes of the weather, by name; empty where cooling does not depend on it.

    Water of a tower is as cold as its approach to the wet bulb allows, and no colder than what the servers are supplied
    with; its air leaves saturated at the mean of cold and warm water.

    Parameters
    ----------
    options
        Which cooling.
    temp_c, humidity_percent, pressure_pa
        Air temperature, degrees Celsius, relative humidity, %, and pressure, Pa; shape (n,) each. Humidity only where
        ``options.wet``.

    Raises
    ------
    InputError
        If humidity is needed and missing.

    Examples
    --------
    >>> wet = FacilityOptions(pue_model="outdoor", cooling="wet")
    >>> seen = outdoor_series(wet, np.array([10.0, 35.0]), np.array([80.0, 20.0]))
    >>> {name: values.round(1).tolist() for name, values in seen.items()}
    {'outdoor_c': [8.3, 19.0], 'evaporated_kg_per_kwh': [1.0, 1.6]}
    """
    if not options.outdoor:
        return {}
    if not options.wet:
        return {"outdoor_c": temp_c}
    if humidity_percent is None:
        raise InputError("data centre: cooling towers need the humidity of the air")
    known = options.factors()
    outdoor_c = wet_bulb_c(temp_c, humidity_percent, pressure_pa)
    cold_c = np.maximum(outdoor_c + known["approach"].value, known["supply_temperature"].value)
    leaving_c = cold_c + known["return_rise"].value / 2.0
    evaporated = evaporated_kg_per_kwh(temp_c, humidity_percent, leaving_c, pressure_pa)
    return {"outdoor_c": outdoor_c, "evaporated_kg_per_kwh": evaporated}
