"""What one power flow says."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from simulators.grid.limits import Violation

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Result:
    """One power flow. Every float is NaN where `converged` is false.

    Attributes
    ----------
    converged
        Whether a solution was found. If not, `violations` holds one entry that says so.
    vm_pu, va_degree
        Voltage magnitude, p.u., and angle, degree, in the order of `Network.buses`; NaN without supply.
    line_loading_percent, trafo_loading_percent
        Loading in the order of `Network.lines` and `Network.trafos` (three-winding ones after the others).
    p_loss_mw
        Active losses of lines, transformers and other branches.
    p_slack_mw, q_slack_mvar
        What the external grids (and slack generators) feed in.
    site_p_mw, site_q_mvar
        What each site took, in the order of `Network.sites`; consumption positive.
    violations
        Limits exceeded; see `simulators.grid.limits`.
    tap_pos
        Positions of the tap changers that hold a voltage, in the order of `Network.taps`; none where taps stay.
    """

    converged: bool
    vm_pu: Array
    va_degree: Array
    line_loading_percent: Array
    trafo_loading_percent: Array
    p_loss_mw: float
    p_slack_mw: float
    q_slack_mvar: float
    site_p_mw: Array
    site_q_mvar: Array
    violations: tuple[Violation, ...]
    tap_pos: Array = field(default_factory=lambda: np.zeros(0))

    @property
    def vm_min(self) -> float:
        """Lowest voltage of all supplied buses, p.u."""
        return float(np.nanmin(self.vm_pu)) if self.converged else math.nan

    @property
    def vm_max(self) -> float:
        """Highest voltage of all supplied buses, p.u."""
        return float(np.nanmax(self.vm_pu)) if self.converged else math.nan

    @property
    def unsupplied_buses(self) -> int:
        """How many buses in service have no connection to a source."""
        return sum(violation.kind == "no supply" for violation in self.violations)

    @property
    def unsupplied_mw(self) -> float:
        """Load at buses without supply, MW."""
        lost = sum(violation.value for violation in self.violations if violation.kind == "no supply")
        return float(lost) if self.converged else math.nan

    @property
    def line_loading_max(self) -> float:
        """Highest loading of all lines, %; 0 in a network without lines."""
        return self._highest(self.line_loading_percent)

    @property
    def trafo_loading_max(self) -> float:
        """Highest loading of all transformers, %; 0 in a network without transformers."""
        return self._highest(self.trafo_loading_percent)

    def _highest(self, loading: Array) -> float:
        return float(np.nanmax(loading, initial=0.0)) if self.converged else math.nan


def unsolved(buses: int, lines: int, trafos: int, p_mw: Array, q_mvar: Array) -> Result:
    """The result of a power flow without solution, for that many buses, lines and transformers."""
    return Result(
        converged=False,
        vm_pu=np.full(buses, math.nan),
        va_degree=np.full(buses, math.nan),
        line_loading_percent=np.full(lines, math.nan),
        trafo_loading_percent=np.full(trafos, math.nan),
        p_loss_mw=math.nan,
        p_slack_mw=math.nan,
        q_slack_mvar=math.nan,
        site_p_mw=p_mw.copy(),
        site_q_mvar=q_mvar.copy(),
        violations=(Violation("network", 0, "no solution", math.nan, math.nan),),
    )
