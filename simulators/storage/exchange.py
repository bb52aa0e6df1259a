"""The site's energy balance in one interval: what is left over goes to, or comes from, the grid."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isfinite

TOLERANCE = 1e-9
ROUNDING = 1e-14
"""Largest relative residual of the balance that still counts as rounding."""


class ConservationError(RuntimeError):
    """Energy appeared or vanished: a bug, not an input. The message names the interval."""


@dataclass(frozen=True)
class Exchange:
    """Mean powers over one interval, W, all of them >= 0.

    ``generation + import + discharge = load + export + charge + curtailed``.
    """

    load_w: float
    generation_w: float
    charge_w: float
    discharge_w: float
    import_w: float
    export_w: float
    curtailed_w: float

    @property
    def relative_residual(self) -> float:
        """Imbalance over the larger side; 0 where nothing flows."""
        supply_w = self.generation_w + self.import_w + self.discharge_w
        use_w = self.load_w + self.export_w + self.charge_w + self.curtailed_w
        larger_w = max(supply_w, use_w)
        return abs(supply_w - use_w) / larger_w if larger_w > 0 else 0.0


def exchange(load_w: float, generation_w: float, battery_w: float, export_limit_w: float = inf) -> Exchange:
    """Close the balance: the grid covers a deficit and takes surplus up to a limit; the rest is curtailed.

    Parameters
    ----------
    load_w, generation_w
        Mean consumption and generation of the site, W, >= 0.
    battery_w
        Mean power of the battery at its terminals, W; charging is positive.
    export_limit_w
        Most the grid takes, W, >= 0. Only generation can be curtailed: a battery discharging into a closed
        connection breaks the balance, and `check` says so.
    """
    net_w = load_w + battery_w - generation_w
    if abs(net_w) <= ROUNDING * max(load_w, generation_w):
        net_w = 0.0  # what rounding leaves where a battery covers everything is no exchange
    surplus_w = max(-net_w, 0.0)
    export_w = min(surplus_w, export_limit_w)
    return Exchange(
        load_w=load_w,
        generation_w=generation_w,
        charge_w=max(battery_w, 0.0),
        discharge_w=max(-battery_w, 0.0),
        import_w=max(net_w, 0.0),
        export_w=export_w,
        curtailed_w=surplus_w - export_w,
    )


def check(flows: Exchange, interval: str) -> float:
    """The relative residual of `flows`.

    Raises
    ------
    ConservationError
        If it is above `TOLERANCE`, a flow is negative or no number, the battery charges and discharges at
        once, or more than the generation is curtailed. `interval` is named in the message.
    """
    for name, value in vars(flows).items():
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
    residual = flows.relative_residual
    if residual > TOLERANCE:
        raise ConservationError(f"{interval}: energy balance is off by {residual:.3g} of the power flowing")
    return residual
