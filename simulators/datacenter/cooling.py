"""How much power a facility's cooling draws: a PUE, a PUE with a share that never falls, the weather."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from simulators.datacenter.factors import APPROACH_K, CIRCULATION, RETURN_RISE_K, SUPPLY_C
from simulators.datacenter.power import Power, Steps
from simulators.errors import InputError


class Cooling(Protocol):
    """All that a facility draws beyond IT and the losses of the power chain: cooling, ventilation, lights."""

    def cooling_w(self, it_w: Power, losses_w: Power, step: Steps) -> Power:
        """Power in step number `step` (or in several), W, given IT power and the power chain's losses."""
        ...


def _checked_pue(pue: float) -> None:
    if not 1 <= pue < np.inf:
        raise InputError(f"data centre: PUE is {pue}, expected at least 1")


@dataclass(frozen=True)
class ConstantPue:
    """PUE (ISO/IEC 30134-2: facility energy over IT energy) is the same at every moment; losses are a part of it.

    Attributes
    ----------
    pue
        At least 1. 1.2 is what arXiv 2507.11417 assumes; 1.12 is Microsoft's design value for Azure
        (GreenSKU); 1.036 the measured yearly mean of NREL's liquid-cooled ESIF.
    """

    pue: float = 1.2

    def __post_init__(self) -> None:
        _checked_pue(self.pue)

    def cooling_w(self, it_w: Power, losses_w: Power, step: Steps) -> Power:
        return (self.pue - 1.0) * it_w - losses_w


@dataclass(frozen=True)
class PartLoadCooling:
    """A share of the cooling power never falls: pumps, fans and lights sized for the rated load.

    ``cooling = rated cooling * (fixed + (1 - fixed) * IT / rated IT)``.

    Attributes
    ----------
    rated_it_w, rated_cooling_w
        IT power the facility is built for, and its cooling power there, W.
    fixed_share
        Share of the rated cooling power that does not depend on load, 0 to 1.
    """

    rated_it_w: float
    rated_cooling_w: float
    fixed_share: float

    def __post_init__(self) -> None:
        if not 0 < self.rated_it_w < np.inf:
            raise InputError(
                f"data centre: rated IT power is {self.rated_it_w} W, expected a positive number"
            )
        if not 0 <= self.rated_cooling_w < np.inf:
            raise InputError(
                f"data centre: rated cooling power is {self.rated_cooling_w} W, expected a number >= 0"
            )
        if not 0 <= self.fixed_share <= 1:
            raise InputError(f"data centre: fixed share of cooling is {self.fixed_share}, expected 0 to 1")

    @classmethod
    def at_pue(cls, pue: float, rated_it_w: float, rated_losses_w: float, fixed_share: float) -> Self:
        """Of a facility whose PUE is `pue` at its rated IT power, where its power chain loses `rated_losses_w`."""
        _checked_pue(pue)
        rated_w = (pue - 1.0) * rated_it_w
        if rated_w < rated_losses_w * (1.0 - 1e-12):
            raise InputError(
                f"data centre: PUE {pue} at the rated load is less than the power chain alone makes of it "
                f"({1.0 + rated_losses_w / rated_it_w:.4g})"
            )
        return cls(rated_it_w, max(rated_w - rated_losses_w, 0.0), fixed_share)

    def cooling_w(self, it_w: Power, losses_w: Power, step: Steps) -> Power:
        return self.rated_cooling_w * (self.fixed_share + (1.0 - self.fixed_share) * (it_w / self.rated_it_w))


def chiller_cop(supply_c: float) -> float:
    """Coefficient of performance of chillers that supply air at a temperature of 10 to 30 degrees Celsius.

    ``0.0068 T^2 + 0.0008 T + 0.458`` (J. Moore, J. Chase, P. Ranganathan, R. Sharma, "Making Scheduling Cool", USENIX
    ATC 2005, fig. 1: measured at HP's utility data centre); above 30 degrees that of 30.

    Examples
    --------
    >>> round(chiller_cop(24.0), 2)
    4.39
    """
    inside_c = min(max(supply_c, 10.0), 30.0)
    return 0.0068 * inside_c**2 + 0.0008 * inside_c + 0.458


@dataclass(frozen=True, eq=False)
class OutdoorCooling:
    """Free cooling while it is cold, chillers while it is hot, a mix of both between.

    All heat (IT and losses) goes out through fans and pumps (`circulation`, W per W of heat); the share
    that free cooling cannot take goes through chillers.

    Attributes
    ----------
    outdoor_c
        Temperature to which heat is rejected, of every step, degrees Celsius: dry bulb of dry coolers and outdoor air,
        wet bulb of cooling towers; shape (steps,).
    supply_c
        Air or water supplied to the servers, degrees Celsius, 10 to 50.
    approach_k
        Heat exchangers' approach: free cooling alone suffices up to ``supply_c - approach_k``, K.
    return_rise_k
        Warming through the servers, K: from ``supply_c + return_rise_k - approach_k`` outdoors on, free cooling gives
        nothing.
    circulation
        Fans, pumps, lights, W per W of heat.
    cop
        Chillers' coefficient of performance; None: `chiller_cop` of the supply temperature.
    fixed_heat_w
        Heat for which fans and pumps always run, W: `fixed_share` times the rated heat, where load and weather count
        together.
    fixed_share
        Share of `circulation` that does not follow the load, 0 to 1.
    """

    outdoor_c: NDArray[np.float64]
    supply_c: float = SUPPLY_C["fans"].value
    approach_k: float = APPROACH_K.value
    return_rise_k: float = RETURN_RISE_K.value
    circulation: float = CIRCULATION.value
    cop: float | None = None
    fixed_heat_w: float = 0.0
    fixed_share: float = 0.0

    def __post_init__(self) -> None:
        outdoor_c = np.asarray(self.outdoor_c, dtype=np.float64)  # may be a plain list
        object.__setattr__(self, "outdoor_c", outdoor_c)
        if outdoor_c.ndim != 1 or not np.all(np.isfinite(outdoor_c)):
            raise InputError("data centre: outdoor temperature must be one number for every step")
        if not 10 <= self.supply_c <= 50:
            raise InputError(
                f"data centre: supply temperature is {self.supply_c}, expected 10 to 50 degrees C"
            )
        if not (self.approach_k >= 0 and self.return_rise_k > 0 and self.circulation >= 0):
            raise InputError("data centre: expected approach >= 0 K, return rise > 0 K and circulation >= 0")
        if self.cop is None:
            object.__setattr__(self, "cop", chiller_cop(self.supply_c))
        if not (self.cop and self.cop > 0):
            raise InputError(f"data centre: chillers' COP is {self.cop}, expected above 0")
        if not (0 <= self.fixed_share <= 1 and 0 <= self.fixed_heat_w < np.inf):
            raise InputError("data centre: expected a fixed share of 0 to 1 and a fixed heat >= 0 W")

    def chiller_share(self, outdoor_c: Power) -> Power:
        """Share of the heat that chillers must take, 0 to 1."""
        above_k = outdoor_c - (self.supply_c - self.approach_k)
        share: Power = np.minimum(np.maximum(above_k / self.return_rise_k, 0.0), 1.0)
        return share

    def cooling_w(self, it_w: Power, losses_w: Power, step: Steps) -> Power:
        if isinstance(step, int) and step >= len(self.outdoor_c):
            raise InputError(
                f"data centre: outdoor temperature covers {len(self.outdoor_c)} steps, "
                f"the run goes on at step {step}"
            )
        heat_w = it_w + losses_w
        outdoor_c: Any = self.outdoor_c[step]
        share: Power = self.chiller_share(outdoor_c)
        moved_w = self.fixed_heat_w + (1.0 - self.fixed_share) * heat_w
        return self.circulation * moved_w + heat_w * (share / (self.cop or 1.0))
