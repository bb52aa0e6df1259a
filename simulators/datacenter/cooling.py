"""How much a facility draws on top of its IT: three models, from one number to the weather."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from simulators.datacenter.power import Power, Steps
from simulators.errors import InputError


class Overhead(Protocol):
    """Facility power beyond IT: cooling, power-chain losses and the rest together."""

    def overhead_w(self, it_w: Power, losses_w: Power, step: Steps) -> Power:
        """Power beyond IT in step number `step` (or in several), W, given IT power and the power chain's losses."""
        ...


@dataclass(frozen=True)
class ConstantPue:
    """PUE (ISO/IEC 30134-2: facility energy over IT energy) is the same at every moment.

    Attributes
    ----------
    pue
        At least 1. 1.2 is what arXiv 2507.11417 assumes; 1.12 is Microsoft's design value for Azure
        (GreenSKU); 1.036 the measured yearly mean of NREL's liquid-cooled ESIF.
    """

    pue: float = 1.2

    def __post_init__(self) -> None:
        if not 1 <= self.pue < np.inf:
            raise InputError(f"data centre: PUE is {self.pue}, expected at least 1")

    def overhead_w(self, it_w: Power, losses_w: Power, step: Steps) -> Power:
        return (self.pue - 1.0) * it_w


@dataclass(frozen=True)
class PartLoadPue:
    """A share of the overhead never falls: pumps, fans and lights sized for the rated load.

    At `rated_it_w` the PUE is `pue`; below, ``overhead = (pue - 1) * (fixed * rated + (1 - fixed) * IT)``.

    Attributes
    ----------
    pue
        At rated IT power.
    rated_it_w
        IT power the facility is built for, W.
    fixed_share
        Share of the rated overhead that does not depend on load, 0 to 1.
    """

    pue: float
    rated_it_w: float
    fixed_share: float

    def __post_init__(self) -> None:
        if not 1 <= self.pue < np.inf:
            raise InputError(f"data centre: PUE is {self.pue}, expected at least 1")
        if not 0 < self.rated_it_w < np.inf:
            raise InputError(
                f"data centre: rated IT power is {self.rated_it_w} W, expected a positive number"
            )
        if not 0 <= self.fixed_share <= 1:
            raise InputError(f"data centre: fixed share of overhead is {self.fixed_share}, expected 0 to 1")

    def overhead_w(self, it_w: Power, losses_w: Power, step: Steps) -> Power:
        scale_w = self.fixed_share * self.rated_it_w + (1.0 - self.fixed_share) * it_w
        return (self.pue - 1.0) * scale_w


@dataclass(frozen=True, eq=False)
class OutdoorCooling:
    """Free cooling while it is cold, chillers while it is hot, a mix of both between.

    All heat (IT and losses) goes out through fans and pumps (`circulation`, W per W of heat); the share
    that free cooling cannot take goes through chillers of coefficient of performance ``COP(T) = 0.0068
    T^2 + 0.0008 T + 0.458`` at the supply temperature T in degrees Celsius (J. Moore, J. Chase, P.
    Ranganathan, R. Sharma, "Making Scheduling Cool", USENIX ATC 2005, fig. 1: measured at HP's utility
    data centre, 10 to 30 degrees).

    Attributes
    ----------
    outdoor_c
        Outdoor air temperature of every step, degrees Celsius; shape (steps,).
    supply_c
        Air supplied to the servers, degrees Celsius, 10 to 30; ASHRAE TC 9.9 recommends 18 to 27.
    approach_k
        Heat exchangers' approach: free cooling alone suffices up to ``supply_c - approach_k``, K.
    return_rise_k
        Warming of the air through the servers, K: from ``supply_c + return_rise_k - approach_k`` outdoor
        air on, free cooling gives nothing.
    circulation
        Fans and pumps, W per W of heat; 0.036 is NREL's ESIF, whose measured yearly mean PUE is 1.036 with
        chiller-free cooling. The other defaults are a designer's choices, not measurements.
    """

    outdoor_c: NDArray[np.float64]
    supply_c: float = 24.0
    approach_k: float = 5.0
    return_rise_k: float = 12.0
    circulation: float = 0.036

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "outdoor_c", np.asarray(self.outdoor_c, dtype=np.float64)
        )  # may be a plain list
        if np.ndim(self.outdoor_c) != 1 or not np.all(np.isfinite(self.outdoor_c)):
            raise InputError("data centre: outdoor temperature must be one number for every step")
        if not 10 <= self.supply_c <= 30:
            raise InputError(
                f"data centre: supply temperature is {self.supply_c}, expected 10 to 30 degrees C"
            )
        if not (self.approach_k >= 0 and self.return_rise_k > 0 and self.circulation >= 0):
            raise InputError("data centre: expected approach >= 0 K, return rise > 0 K and circulation >= 0")

    @property
    def cop(self) -> float:
        """The chillers' coefficient of performance."""
        return 0.0068 * self.supply_c**2 + 0.0008 * self.supply_c + 0.458

    def chiller_share(self, outdoor_c: Power) -> Power:
        """Share of the heat that chillers must take, 0 to 1."""
        above_k = outdoor_c - (self.supply_c - self.approach_k)
        share: Power = np.minimum(np.maximum(above_k / self.return_rise_k, 0.0), 1.0)
        return share

    def overhead_w(self, it_w: Power, losses_w: Power, step: Steps) -> Power:
        if isinstance(step, int) and step >= len(self.outdoor_c):
            raise InputError(
                f"data centre: outdoor temperature covers {len(self.outdoor_c)} steps, "
                f"the run goes on at step {step}"
            )
        heat_w = it_w + losses_w
        outdoor_c: Any = self.outdoor_c[step]
        share: Power = self.chiller_share(outdoor_c)
        return losses_w + heat_w * (self.circulation + share / self.cop)
