"""What flows at a site in an interval, and the check that its energy balance closes."""

from __future__ import annotations

from math import isfinite
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

TOLERANCE = 1e-9
ROUNDING = 1e-14
"""Largest relative residual of the balance that still counts as rounding."""


class ConservationError(RuntimeError):
    """Energy appeared or vanished: a bug, not an input. The message names the interval."""


class Exchange(NamedTuple):
    """Mean powers over one interval, W, all of them >= 0.

    ``generation + import + discharge + unserved = load + export + charge + curtailed``.

    Attributes
    ----------
    load_w, generation_w
        What the site would consume, and what its plants could give.
    charge_w, discharge_w
        Of the battery, at its terminals.
    import_w, export_w
        From and to the grid.
    curtailed_w, pv_curtailed_w, wind_curtailed_w
        Generation not used; of which PV and wind.
    unserved_w
        Load that was not met.
    too_fast
        1 if the exchange changed faster than the connection allows, for want of anything to hold it, else 0.
    """

    load_w: float
    generation_w: float
    charge_w: float
    discharge_w: float
    import_w: float
    export_w: float
    curtailed_w: float
    unserved_w: float = 0.0
    pv_curtailed_w: float = 0.0
    wind_curtailed_w: float = 0.0
    too_fast: float = 0.0

    @property
    def relative_residual(self) -> float:
        """Imbalance over the larger side; 0 where nothing flows."""
        supply_w = self.generation_w + self.import_w + self.discharge_w + self.unserved_w
        use_w = self.load_w + self.export_w + self.charge_w + self.curtailed_w
        larger_w = max(supply_w, use_w)
        return abs(supply_w - use_w) / larger_w if larger_w > 0 else 0.0


def check(flows: Exchange, interval: str) -> float:
    """The relative residual of `flows`.

    Raises
    ------
    ConservationError
        If it is above `TOLERANCE`, a flow is negative or no number, the battery charges and discharges at
        once, or more than the generation is curtailed or than the load unserved. `interval` is named in the message.
    """
    for name, value in zip(Exchange._fields, flows, strict=True):
        if not isfinite(value) or value < 0:
            raise ConservationError(f"{interval}: {name} is {value}, expected a number >= 0")
    if flows.charge_w > 0 and flows.discharge_w > 0:
        raise ConservationError(
            f"{interval}: the battery charges {flows.charge_w} W and discharges {flows.discharge_w} W at once"
        )
    if flows.curtailed_w > flows.generation_w * (1 + TOLERANCE):
        raise ConservationError(
            f"{interval}: {flows.curtailed_w} W curtailed of {flows.generation_w} W generated"
        )
    if flows.unserved_w > flows.load_w * (1 + TOLERANCE):
        raise ConservationError(f"{interval}: {flows.unserved_w} W unserved of a load of {flows.load_w} W")
    residual = flows.relative_residual
    if residual > TOLERANCE:
        raise ConservationError(f"{interval}: energy balance is off by {residual:.3g} of the power flowing")
    return residual


def check_series(flows: NDArray[np.float64], name: str, step_s: int) -> float:
    """`check` of a whole series; the largest relative residual.

    Parameters
    ----------
    flows
        The fields of `Exchange`, W; shape (fields, steps).
    name, step_s
        Of the site, and the length of a step, s: for the message.

    Raises
    ------
    ConservationError
        As `check`, for the first interval that is wrong.
    """
    seen = Exchange(*flows)
    supply_w = seen.generation_w + seen.import_w + seen.discharge_w + seen.unserved_w
    use_w = seen.load_w + seen.export_w + seen.charge_w + seen.curtailed_w
    larger_w = np.maximum(supply_w, use_w)
    residual = np.divide(np.abs(supply_w - use_w), larger_w, out=np.zeros(flows.shape[1]), where=larger_w > 0)
    wrong = (
        ~np.all(np.isfinite(flows) & (flows >= 0), axis=0)
        | (np.minimum(seen.charge_w, seen.discharge_w) > 0)
        | (seen.curtailed_w > seen.generation_w * (1 + TOLERANCE))
        | (seen.unserved_w > seen.load_w * (1 + TOLERANCE))
        | (residual > TOLERANCE)
    )
    for i in np.flatnonzero(wrong):
        check(Exchange(*flows[:, i].tolist()), interval(name, int(i) * step_s, step_s))
    return float(residual.max(initial=0.0))


def interval(name: str, start_s: int, step_s: int) -> str:
    """What an interval of a site is called in messages."""
    return f"{name}, {start_s} to {start_s + step_s} s"
