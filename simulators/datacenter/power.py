"""Where the power of a facility goes, at one moment or over a whole run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from simulators.errors import InputError

Array = NDArray[np.float64]

Power = TypeVar("Power", float, Array)
"""A power, W: of one step, or one per step; the models give the same bits either way."""

Steps = int | slice | NDArray[np.intp]
"""Numbers of steps of the run: one, or as many as the powers are."""


@dataclass(frozen=True)
class FacilityPower(Generic[Power]):
    """Mean powers of a facility over one interval, or over many, W: ``facility = it + cooling + losses``.

    Attributes
    ----------
    it_w, cooling_w, losses_w
        Servers at their plugs, cooling, power chain; NaN where only the meter is known.
    facility_w
        At the meter.
    """

    it_w: Power
    cooling_w: Power
    losses_w: Power
    facility_w: Power

    @classmethod
    def of(cls, it_w: Power, cooling_w: Power, losses_w: Power) -> FacilityPower[Power]:
        """From its parts."""
        return cls(it_w, cooling_w, losses_w, it_w + cooling_w + losses_w)

    @classmethod
    def at_meter(cls, facility_w: Power) -> FacilityPower[Power]:
        """Of what a meter read; its parts are unknown, not 0.

        Raises
        ------
        InputError
            If a power is negative or no number.
        """
        check_power(facility_w, "power at the meter")
        unknown = facility_w * np.nan
        return cls(unknown, unknown, unknown, facility_w)

    @property
    def pue(self) -> Power:
        """Facility over IT power; 1 where nothing runs, NaN where only the meter is known."""
        it_w: Any = np.asarray(self.it_w)
        with np.errstate(all="ignore"):
            values: Any = np.where(it_w == 0, 1.0, self.facility_w / it_w)
        pue: Any = values if it_w.ndim else float(values)
        return cast(Power, pue)


def check_power(power_w: Power, what: str) -> None:
    """Refuse powers that are negative or no numbers.

    Raises
    ------
    InputError
        Names the first one, and its step where there are many.
    """
    values = np.asarray(power_w)
    wrong = ~((values >= 0) & (values < np.inf))
    if np.any(wrong):
        at = int(np.flatnonzero(wrong)[0])
        where = f" in step {at}" if values.ndim else ""
        raise InputError(f"data centre: {what} is {values.reshape(-1)[at]} W{where}, expected a number >= 0")
