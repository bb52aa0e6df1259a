"""A load through an event, and the network with it: steps, rebound, recovery, voltages before, during and after."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from simulators.errors import InputError
from simulators.grid.background.background import Background
from simulators.grid.limits import Violation
from simulators.grid.network import Network
from simulators.grid.record import RunRecord
from simulators.grid.studies.steps import results

Array = NDArray[np.float64]

RECOVERED = 0.9
"""Share of the undisturbed power at which a load counts as recovered: ERCOT's NOGRR 282 asks for 90 %."""


@dataclass(frozen=True)
class Effects:
    """What an event does to a load, from means of a second.

    Attributes
    ----------
    drop_mw_per_s, rise_mw_per_s
        Steepest fall and rise from one second to the next, from the event on.
    lowest_mw, highest_mw
        Power from the event on.
    rebound_mw
        Most above what it would have drawn undisturbed in the same second; 0: never above.
    rebound_at_s
        When; None: never above.
    recovered_s
        After the event's begin, until it draws 90 % of the undisturbed power again for good; 0: it never fell below,
        None: not in this run.
    missed_mwh, later_mwh
        Energy below and above the undisturbed course, from the event on.
    """

    drop_mw_per_s: float
    rise_mw_per_s: float
    lowest_mw: float
    highest_mw: float
    rebound_mw: float
    rebound_at_s: int | None
    recovered_s: int | None
    missed_mwh: float
    later_mwh: float


@dataclass(frozen=True)
class Event:
    """A run through an event.

    Attributes
    ----------
    network
        With the site as its only one.
    at_s
        When the event begins.
    p_mw, undisturbed_mw
        What the site draws, and would; shape (seconds,).
    effects
        What that comes to.
    vm_pu, vm_min_pu, vm_max_pu, loading_percent, violations
        Voltage at the site, lowest and highest of all buses, highest loading, limits exceeded; shape (seconds,).
    record
        Of the network.
    worst
        Worst limit exceeded, and when, s; None if none is.
    """

    network: Network
    at_s: int
    p_mw: Array
    undisturbed_mw: Array
    effects: Effects
    vm_pu: Array
    vm_min_pu: Array
    vm_max_pu: Array
    loading_percent: Array
    violations: Array
    record: RunRecord
    worst: tuple[Violation, int] | None

    def frame(self) -> pd.DataFrame:
        """One row per second."""
        return pd.DataFrame(
            {
                "time_s": np.arange(len(self.p_mw)),
                "p_mw": self.p_mw,
                "undisturbed_mw": self.undisturbed_mw,
                "vm_pu": self.vm_pu,
                "vm_min_pu": self.vm_min_pu,
                "vm_max_pu": self.vm_max_pu,
                "loading_max_percent": self.loading_percent,
                "violations": self.violations,
            }
        )


def effects(p_mw: Array, undisturbed_mw: Array, at_s: int) -> Effects:
    """Steps, rebound, recovery and energies of a load.

    Parameters
    ----------
    p_mw, undisturbed_mw
        Means of each second; shape (seconds,).
    at_s
        When the event begins.

    Examples
    --------
    >>> found = effects(np.array([5.0, 5, 1, 1, 4, 6, 5]), np.full(7, 5.0), at_s=2)
    >>> found.drop_mw_per_s, found.rise_mw_per_s, found.rebound_mw, found.rebound_at_s, found.recovered_s
    (4.0, 3.0, 1.0, 5, 3)
    >>> round(found.missed_mwh * 3600, 9), round(found.later_mwh * 3600, 9)
    (9.0, 1.0)
    """
    steps = np.diff(p_mw)[max(0, at_s - 1) :]
    above = p_mw - undisturbed_mw
    after = above[at_s:]
    rebound = float(after.max(initial=0.0))
    below = np.flatnonzero(p_mw[at_s:] < RECOVERED * undisturbed_mw[at_s:])
    last = int(below[-1]) + 1 if len(below) else 0
    return Effects(
        drop_mw_per_s=float(max(0.0, -steps.min(initial=0.0))),
        rise_mw_per_s=float(steps.max(initial=0.0)),
        lowest_mw=float(p_mw[at_s:].min()),
        highest_mw=float(p_mw[at_s:].max()),
        rebound_mw=rebound,
        rebound_at_s=at_s + int(after.argmax()) if rebound > 0.0 else None,
        recovered_s=None if last == len(after) else last,
        missed_mwh=float(np.maximum(-after, 0.0).sum()) / 3600.0,
        later_mwh=float(np.maximum(after, 0.0).sum()) / 3600.0,
    )


def run_event(
    network: Network, background: Background, p_mw: Array, undisturbed_mw: Array, at_s: int
) -> Event:
    """The network while a site goes through an event, one power flow a second.

    Quasi-stationary: frequency, machines, regulators and tap changers are not in it.

    Parameters
    ----------
    network
        With one site.
    background
        What its own elements do in these seconds.
    p_mw, undisturbed_mw
        What the site draws, and would; shape (seconds,).
    at_s
        When the event begins.

    Raises
    ------
    InputError
        If there is no solution in a second.
    """
    at = int(np.flatnonzero(network.buses == network.sites[0].bus)[0])
    record = RunRecord(network)
    rows = np.full((len(p_mw), 5), math.nan)
    worst: tuple[Violation, int] | None = None
    for second, result in enumerate(results(network, background, p_mw[:, None])):
        if not result.converged:
            raise InputError(
                f"network {network.name}: its power flow has no solution at {second} s with {p_mw[second]:.4g} MW at "
                f"bus {network.sites[0].bus}; expected less"
            )
        record.add(result, second, 1)
        loading = max(result.line_loading_max, result.trafo_loading_max)
        rows[second] = (
            *(result.vm_pu[at], result.vm_min, result.vm_max),
            *(loading, len(result.violations)),
        )
        for violation in result.violations:
            if worst is None or violation.rank > worst[0].rank:
                worst = (violation, second)
    vm_pu, vm_min_pu, vm_max_pu, loading_percent, violations = rows.T.copy()
    return Event(
        network,
        at_s,
        p_mw,
        undisturbed_mw,
        effects(p_mw, undisturbed_mw, at_s),
        vm_pu,
        vm_min_pu,
        vm_max_pu,
        loading_percent,
        violations,
        record,
        worst,
    )
