"""Water that a facility evaporates on its site."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from simulators.datacenter.factors import CYCLES, WUE
from simulators.datacenter.power import FacilityPower, Power, Steps
from simulators.errors import InputError


class Water(Protocol):
    """Water taken in on site."""

    def m3_per_h(self, power: FacilityPower[Power], step: Steps) -> Power:
        """Mean flow in step number `step` (or in several) at these powers, m3/h; NaN where they are not known."""
        ...


@dataclass(frozen=True)
class ConstantWue:
    """WUE (ISO/IEC 30134-9: water over IT energy) is the same at every moment.

    Attributes
    ----------
    l_per_kwh
        L per kWh of IT, >= 0.

    Examples
    --------
    >>> ConstantWue(0.5).m3_per_h(FacilityPower.of(1e6, 2e5, 0.0), 0)
    0.5
    """

    l_per_kwh: float = WUE.value

    def __post_init__(self) -> None:
        if not 0 <= self.l_per_kwh < np.inf:
            raise InputError(f"data centre: WUE is {self.l_per_kwh} L/kWh, expected a number >= 0")

    def m3_per_h(self, power: FacilityPower[Power], step: Steps) -> Power:
        return self.l_per_kwh * power.it_w / 1e6


@dataclass(frozen=True, eq=False)
class TowerWater:
    """All that the facility draws leaves as heat through cooling towers, whatever the season.

    ``water = facility power * evaporation * cycles / (cycles - 1)``: what does not evaporate is blown down, before the
    salts in it are `cycles` times as strong as in fresh water. Drift is left out (0.002 % of the flow and less).

    Attributes
    ----------
    evaporated_kg_per_kwh
        Of every step, per kWh of heat (`psychrometrics.evaporated_kg_per_kwh`); shape (steps,).
    cycles
        Of concentration, above 1.

    Examples
    --------
    >>> TowerWater([1.2], cycles=4.0).m3_per_h(FacilityPower.of(1e6, 0.0, 0.0), 0).round(3)
    np.float64(1.6)
    """

    evaporated_kg_per_kwh: NDArray[np.float64]
    cycles: float = CYCLES.value

    def __post_init__(self) -> None:
        series = np.asarray(self.evaporated_kg_per_kwh, dtype=np.float64)  # may be a plain list
        object.__setattr__(self, "evaporated_kg_per_kwh", series)
        if series.ndim != 1 or not np.all(np.isfinite(series) & (series >= 0)):
            raise InputError("data centre: evaporation must be one number >= 0 for every step")
        if not 1 < self.cycles < np.inf:
            raise InputError(f"data centre: cycles of concentration are {self.cycles}, expected above 1")

    def m3_per_h(self, power: FacilityPower[Power], step: Steps) -> Power:
        evaporated: Any = self.evaporated_kg_per_kwh[step]
        flow: Power = power.facility_w / 1e6 * evaporated * (self.cycles / (self.cycles - 1.0))
        return flow
