"""What a policy sees, and the names by which it asks for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import nan

import numpy as np
from numpy.typing import NDArray

NEEDS: dict[str, tuple[str, ...]] = {
    "carbon": ("ci_g_per_kwh",),
    "carbon_forecast": ("ci_forecast_g_per_kwh",),
    "marginal": ("marginal_ci_g_per_kwh",),
    "price": ("price_per_kwh",),
    "generation": ("generation_w",),
    "load": ("load_w",),
    "charge": ("soc",),
    "queue": ("held", "arrived", "completed", "waiting", "running", "awake", "slots"),
    "voltage": ("vm_pu",),
    "loading": ("line_loading_percent",),
}
"""Signals by the name in `Policy.needs`, and the fields of an `Observation` they fill."""


@dataclass(frozen=True)
class Observation:
    """What a policy sees at the start of a step. A quantity that it did not ask for is NaN (an empty forecast).

    Attributes
    ----------
    time_s, step_s
        Start and length of the step, s.
    site
        Name of the site.
    ci_g_per_kwh
        Average carbon intensity of grid power in this step; the marginal one where the site has no other.
    ci_forecast_g_per_kwh
        The same for the coming steps, the first of them this one; shape (horizon,).
    marginal_ci_g_per_kwh
        Marginal carbon intensity in this step.
    generation_w
        Own generation in this step, W.
    load_w
        Power at the meter in the step before, W.
    soc
        State of charge of the battery at the end of the step before, 0 to 1.
    held, waiting, running
        Requests held back, queued and running at the end of the step before.
    arrived, completed
        Requests that arrived, and that were completed, in the step before.
    awake, slots
        Replicas that serve, and the requests that may run on them at once, at the end of the step before.
    price_per_kwh
        Price of grid power in this step.
    vm_pu
        Voltage at the site's bus in the step before, per unit.
    line_loading_percent
        Highest loading of all lines of the network in the step before, %.
    refused
        Commands that were not carried out in the step before, and why.

    Examples
    --------
    >>> Observation(time_s=0, step_s=60, ci_g_per_kwh=310.0).price_per_kwh
    nan
    """

    time_s: int
    step_s: int
    site: str = ""
    ci_g_per_kwh: float = nan
    ci_forecast_g_per_kwh: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    marginal_ci_g_per_kwh: float = nan
    generation_w: float = nan
    load_w: float = nan
    soc: float = nan
    held: float = 0.0
    waiting: float = 0.0
    running: float = 0.0
    arrived: float = 0.0
    completed: float = 0.0
    awake: float = nan
    slots: float = nan
    price_per_kwh: float = nan
    vm_pu: float = nan
    line_loading_percent: float = nan
    refused: tuple[tuple[str, str], ...] = ()
