"""Round the clock: which share of the load is free of carbon in the interval in which it is drawn.

`accounting.matched_ratio` counts own supply alone. Here a plant under contract counts too, for the import of the same
interval, and the grid's own carbon-free part for what is left. Both are flows of energy, whatever certificates say.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def carbon_free_ratio(
    load_w: ArrayLike, own_w: ArrayLike, grid_share: ArrayLike = 0.0, contract_w: ArrayLike = 0.0
) -> float:
    """``sum(free + (load - free) * grid share) / sum(load)``, where ``free = min(load, own + contract)``.

    What the battery gives of grid energy counts with the grid's share at that moment, as all else that is drawn.

    Parameters
    ----------
    load_w, own_w
        Load, and generation (without what was curtailed) with the own part of the battery's discharge
        (`accounting.own_discharge_w`), W; shape (n,).
    grid_share
        Carbon-free share of grid power, 0 to 1.
    contract_w
        What carbon-free plants under contract cover of the import (`contracts.ppa_covered_w`), W.

    Returns
    -------
    float
        0 to 1; 0 without a load.

    Examples
    --------
    Half of the first hour is own; of the rest, the grid is free of carbon to 40 % and 20 %:

    >>> carbon_free_ratio([1e3, 1e3], [500.0, 0.0], [0.4, 0.2])
    0.45
    """
    load = np.asarray(load_w, dtype=np.float64)
    free = np.minimum(load, np.asarray(own_w, dtype=np.float64) + np.asarray(contract_w, dtype=np.float64))
    found = free + (load - free) * np.asarray(grid_share, dtype=np.float64)
    whole = float(load.sum())
    return float(found.sum()) / whole if whole > 0 else 0.0
