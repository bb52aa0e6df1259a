"""From GPUs to the meter: servers, power chain, cooling."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import ceil, isfinite
from typing import Any

from simulators.datacenter.cooling import ConstantPue, Overhead
from simulators.datacenter.node import Node
from simulators.errors import InputError


@dataclass(frozen=True)
class FacilityPower:
    """Mean powers of a facility over one interval, W: ``facility = it + cooling + losses``."""

    it_w: float
    cooling_w: float
    losses_w: float

    @property
    def facility_w(self) -> float:
        """At the meter, W."""
        return self.it_w + self.cooling_w + self.losses_w

    @property
    def pue(self) -> float:
        """Facility over IT power; 1 where nothing runs."""
        return self.facility_w / self.it_w if self.it_w > 0 else 1.0


@dataclass(frozen=True)
class Facility:
    """A data centre around the GPUs.

    Attributes
    ----------
    node
        The servers; None counts the GPUs alone as IT, as arXiv 2507.11417 does.
    nodes
        How many servers there are.
    overhead
        What comes on top of IT, the power chain's losses included; cooling is what the losses leave of it.
    power_chain_efficiency
        From the meter to the servers' plugs (UPS, distribution): 0.96 is the rectifiers' of the Frontier
        system (ExaDigiT RAPS); above 0, at most 1.

    Examples
    --------
    Eight GPUs at 500 W in their server, at a PUE of 1.2:

    >>> power = Facility.for_gpus(8).power(4000.0)
    >>> round(power.it_w), round(power.facility_w), round(power.pue, 3)
    (6229, 7475, 1.2)
    """

    node: Node | None = None
    nodes: int = 0
    overhead: Overhead = field(default_factory=ConstantPue)
    power_chain_efficiency: float = 0.96

    def __post_init__(self) -> None:
        if not 0 < self.power_chain_efficiency <= 1:
            raise InputError(
                f"data centre: power_chain_efficiency is {self.power_chain_efficiency}, "
                "expected above 0 and at most 1"
            )
        if (self.node is None) != (self.nodes == 0) or self.nodes < 0:
            raise InputError(
                f"data centre: {self.nodes} nodes, expected at least 1 with a node model, else 0"
            )
        losses = 1.0 / self.power_chain_efficiency - 1.0
        if isinstance(self.overhead, ConstantPue) and self.overhead.pue - 1.0 < losses - 1e-12:
            raise InputError(
                f"data centre: PUE {self.overhead.pue} is less than the power chain alone makes of it "
                f"({1.0 + losses:.4g} at an efficiency of {self.power_chain_efficiency})"
            )

    @classmethod
    def for_gpus(cls, gpus: int, node: Node | None = None, **options: Any) -> Facility:
        """A facility with as many servers as `gpus` GPUs need; `options` are its other attributes.

        Raises
        ------
        InputError
            If there is no GPU.
        """
        if gpus < 1:
            raise InputError(f"data centre: {gpus} GPUs, expected at least 1")
        node = node or Node()
        return cls(node, ceil(gpus / node.gpus), **options)

    def without_hosts(self, off: float, utilisation: float) -> tuple[Facility, float]:
        """The facility with so many servers (on average) switched off, and how busy those left are.

        Parameters
        ----------
        off
            Servers that are off, 0 to `nodes`; fewer than all, for those that serve must be on.
        utilisation
            How busy the hosts are, mean of all.

        Examples
        --------
        >>> facility, busy = Facility.for_gpus(16).without_hosts(1.0, 0.25)
        >>> facility.nodes, busy
        (1.0, 0.5)
        """
        left: Any = self.nodes - off  # on average: a broken number
        if self.node is None or off <= 0 or left <= 0:
            return self, utilisation
        return replace(self, nodes=left), min(1.0, utilisation * self.nodes / left)

    def power(self, gpu_w: float, utilisation: float = 1.0, step: int = 0) -> FacilityPower:
        """Where the power goes while the GPUs draw `gpu_w`.

        Parameters
        ----------
        gpu_w
            All GPUs together, W, >= 0.
        utilisation
            How busy the host CPUs are, 0 to 1; has no effect without a node model.
        step
            Number of the interval, for what depends on the weather.

        Raises
        ------
        InputError
            If an argument is out of range, or the overhead falls below the power chain's losses.
        """
        if not (isfinite(gpu_w) and gpu_w >= 0):
            raise InputError(f"data centre: GPU power is {gpu_w} W, expected a number >= 0")
        if not 0 <= utilisation <= 1:
            raise InputError(f"data centre: utilisation is {utilisation}, expected 0 to 1")
        it_w = self.node.plug_w(gpu_w, self.nodes, utilisation) if self.node else gpu_w
        losses_w = it_w * (1.0 / self.power_chain_efficiency - 1.0)
        cooling_w = self.overhead.overhead_w(it_w, losses_w, step) - losses_w
        if cooling_w < -1e-9 * it_w:
            raise InputError(
                f"data centre: the power chain loses {losses_w:.6g} W at {it_w:.6g} W, "
                "more than the whole overhead"
            )
        return FacilityPower(it_w, max(cooling_w, 0.0), losses_w)
