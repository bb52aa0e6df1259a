"""What a policy sees, and the names by which it asks for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulators.quantities.facts import SiteFacts

NEEDS: dict[str, tuple[str, ...]] = {
    "carbon": ("ci_g_per_kwh",),
    "carbon_forecast": ("ci_forecast_g_per_kwh",),
    "marginal": ("marginal_ci_g_per_kwh",),
    "price": ("price_per_kwh",),
    "price_forecast": ("price_forecast_per_kwh",),
    "generation": ("generation_w",),
    "generation_forecast": ("generation_forecast_w",),
    "arrivals_forecast": ("arrivals_forecast_per_s", "deferrable_forecast_per_s"),
    "load": ("load_w",),
    "charge": ("soc",),
    "exchange": ("import_w", "export_w"),
    "queue": ("held", "arrived", "deferrable", "completed", "waiting", "running", "awake", "slots"),
    "replicas": ("waking", "draining"),
    "deadlines": ("held_due",),
    "tenants": ("tenants",),
    "latency": ("ttft_p99_s", "tpot_p99_s"),
    "voltage": ("vm_pu",),
    "loading": ("line_loading_percent", "vm_min_pu", "vm_max_pu"),
    "load_curve": (),
}
"""Signals by the name in `Policy.needs`, and the fields of an `Observation` they fill (`load_curve`: `facts.curve`)."""


def _none() -> NDArray[np.float64]:
    return np.empty(0)


@dataclass(frozen=True)
class TenantSeen:
    """What a policy sees of one tenant; counts as those of the same names in `Observation`.

    Attributes
    ----------
    arrived, deferrable
        Requests that arrived in the step before, and those of them that may be held.
    held, waiting
        Requests held back at the gate, and queued at the replicas, at the end of the step before.
    held_due
        Those held by when they must leave at the latest: in each coming span of 900 s (`facts.DUE_S`); shape (96,).
    """

    arrived: float = 0.0
    deferrable: float = 0.0
    held: float = 0.0
    waiting: float = 0.0
    held_due: NDArray[np.float64] = field(default_factory=_none)


def tenants_seen(tables: Sequence[Mapping[str, Sequence[Any]]]) -> dict[int, TenantSeen]:
    """Tenants by number, ascending, from columns of counts that several give; what more than one counts adds up.

    Examples
    --------
    >>> seen = tenants_seen([{"tenant": [7], "held": [3], "held_due": [[1, 2]]}, {"tenant": [4, 7], "waiting": [1, 5]}])
    >>> list(seen), seen[7].held, seen[7].waiting, seen[4].held
    ([4, 7], 3.0, 5.0, 0.0)
    """
    counts: dict[int, dict[str, Any]] = {}
    for table in tables:
        columns = {name: values for name, values in table.items() if name != "tenant"}
        for row, tenant in enumerate(table.get("tenant", ())):
            told = counts.setdefault(int(tenant), {})
            for name, values in columns.items():
                value = np.asarray(values[row], dtype=np.float64)
                told[name] = told.get(name, 0.0) + (value if value.ndim else float(value))
    return {tenant: TenantSeen(**told) for tenant, told in sorted(counts.items())}


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
    import_w, export_w
        Power from the grid and to it in the step before, W.
    held, waiting, running
        Requests held back, queued and running at the end of the step before.
    arrived, deferrable, completed
        Requests that arrived, those of them that may be held, and those completed, in the step before.
    awake, slots
        Replicas that serve (of one copy of the cluster), and the requests that may run at once on those of all copies,
        at the end of the step before.
    waking, draining
        Replicas of one copy that load their model, and those that finish what they have to be parked then.
    held_due
        Held requests by when they must leave at the latest: in each coming span of 900 s (`facts.DUE_S`); shape (96,).
    tenants
        The same counts tenant by tenant, of those that have sent a request so far, by their numbers.
    ttft_p99_s, tpot_p99_s
        99th percentiles of the interactive requests finished in the last 900 s, s; NaN if there were none.
    price_per_kwh
        Price of grid power in this step.
    price_forecast_per_kwh, generation_forecast_w
        Price and own generation in the coming steps, the first of them this one; shape (horizon,).
    arrivals_forecast_per_s, deferrable_forecast_per_s
        Rate of arrivals in the coming steps, all and those that may be held, 1/s; shape (horizon,).
    vm_pu
        Voltage at the site's bus in the step before, per unit.
    line_loading_percent
        Highest loading of all lines of the network in the step before, %.
    vm_min_pu, vm_max_pu
        Lowest and highest voltage of the network in the step before, per unit.
    refused
        Commands that were not carried out in the step before, and why.
    facts
        What does not change: sizes, limits, the end of the run. Always there.

    Examples
    --------
    >>> Observation(time_s=0, step_s=60, ci_g_per_kwh=310.0).price_per_kwh
    nan
    """

    time_s: int
    step_s: int
    site: str = ""
    ci_g_per_kwh: float = nan
    ci_forecast_g_per_kwh: NDArray[np.float64] = field(default_factory=_none)
    marginal_ci_g_per_kwh: float = nan
    generation_w: float = nan
    load_w: float = nan
    soc: float = nan
    import_w: float = nan
    export_w: float = nan
    held: float = 0.0
    waiting: float = 0.0
    running: float = 0.0
    arrived: float = 0.0
    deferrable: float = 0.0
    completed: float = 0.0
    awake: float = nan
    slots: float = nan
    waking: float = 0.0
    draining: float = 0.0
    held_due: NDArray[np.float64] = field(default_factory=_none)
    tenants: Mapping[int, TenantSeen] = field(default_factory=dict)
    ttft_p99_s: float = nan
    tpot_p99_s: float = nan
    price_per_kwh: float = nan
    price_forecast_per_kwh: NDArray[np.float64] = field(default_factory=_none)
    generation_forecast_w: NDArray[np.float64] = field(default_factory=_none)
    arrivals_forecast_per_s: NDArray[np.float64] = field(default_factory=_none)
    deferrable_forecast_per_s: NDArray[np.float64] = field(default_factory=_none)
    vm_pu: float = nan
    line_loading_percent: float = nan
    vm_min_pu: float = nan
    vm_max_pu: float = nan
    refused: tuple[tuple[str, str], ...] = ()
    facts: SiteFacts = field(default_factory=SiteFacts)
