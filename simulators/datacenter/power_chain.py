"""What is lost between the meter and the servers' plugs: one efficiency, or UPS and transformer over their load."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, Self

from simulators.datacenter.factors import TRANSFORMER_LOAD, TRANSFORMER_NO_LOAD, UPS_LOSSES
from simulators.datacenter.power import Power
from simulators.errors import InputError


class PowerChain(Protocol):
    """From the meter to the plugs."""

    def losses_w(self, it_w: Power) -> Power:
        """Power lost while the servers draw `it_w` at their plugs, W; both of one step, or of many."""
        ...


@dataclass(frozen=True)
class ConstantEfficiency:
    """The same efficiency at every load.

    Attributes
    ----------
    efficiency
        Power at the plugs over power at the meter, cooling apart: above 0, at most 1.

    Examples
    --------
    >>> ConstantEfficiency(0.8).losses_w(80.0)
    20.0
    """

    efficiency: float = 0.96

    def __post_init__(self) -> None:
        if not 0 < self.efficiency <= 1:
            raise InputError(
                f"data centre: power_chain_efficiency is {self.efficiency}, expected above 0 and at most 1"
            )

    def losses_w(self, it_w: Power) -> Power:
        return it_w * (1.0 / self.efficiency - 1.0)


@dataclass(frozen=True)
class Stage:
    """One machine of the chain, by the three-parameter loss model of N. Rasmussen (APC white paper 113).

    ``losses = rating * (no load + proportional * x + square * x^2)`` at a load of x times the rating.

    Attributes
    ----------
    rating_w
        Power it can deliver, W.
    no_load, proportional, square
        Losses over the rating: always, with the load, with its square.

    Examples
    --------
    >>> Stage(1000.0, no_load=0.01, square=0.04).losses_w(500.0)
    20.0
    """

    rating_w: float
    no_load: float = 0.0
    proportional: float = 0.0
    square: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.rating_w < float("inf"):
            raise InputError(f"power chain: rating is {self.rating_w} W, expected a positive number")
        if not all(0 <= share < 1 for share in (self.no_load, self.proportional, self.square)):
            raise InputError("power chain: expected losses of 0 to below 1 of the rating")

    @classmethod
    def ups(cls, rating_w: float, half_load_efficiency: float) -> Self:
        """A UPS by its efficiency at half load, with the shape of curve of the white paper (no load 4 to 5).

        Examples
        --------
        >>> ups = Stage.ups(1000.0, 0.96)
        >>> [round(load / (load + ups.losses_w(load)), 4) for load in (100.0, 250.0, 500.0, 1000.0)]
        [0.8739, 0.9369, 0.96, 0.972]
        """
        if not 0 < half_load_efficiency <= 1:
            raise InputError(f"UPS: efficiency is {half_load_efficiency}, expected above 0 and at most 1")
        no_load, proportional = UPS_LOSSES
        scale = 0.5 * (1.0 / half_load_efficiency - 1.0) / (no_load + 0.5 * proportional)
        return cls(rating_w, scale * no_load, scale * proportional)

    @classmethod
    def transformer(cls, rating_w: float, kind: str) -> Self:
        """A transformer, ``dry`` or ``liquid``: as much lost as the EU allows of a new one."""
        if kind not in TRANSFORMER_LOAD:
            raise InputError(f"transformer: {kind!r} is unknown, expected {' or '.join(TRANSFORMER_LOAD)}")
        return cls(rating_w, TRANSFORMER_NO_LOAD[kind].value, square=TRANSFORMER_LOAD[kind].value)

    def losses_w(self, load_w: Power) -> Power:
        """Losses while it delivers `load_w`, W."""
        x = load_w / self.rating_w
        return self.rating_w * (self.no_load + x * (self.proportional + x * self.square))


@dataclass(frozen=True)
class Stages:
    """Machines one behind the other, the one next to the servers first: each carries the losses of those before it.

    Examples
    --------
    >>> Stages((Stage(100.0, proportional=0.1), Stage(110.0, proportional=0.1))).losses_w(100.0)
    21.0
    """

    stages: tuple[Stage, ...]

    def losses_w(self, it_w: Power) -> Power:
        through = it_w
        for stage in self.stages:
            through = through + stage.losses_w(through)
        return through - it_w
