"""From GPUs to the meter: servers, power chain, cooling."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil
from typing import Any

import numpy as np

from simulators.datacenter.cooling import ConstantPue, Overhead
from simulators.datacenter.node import Node
from simulators.datacenter.power import FacilityPower, Power, Steps, check_power
from simulators.errors import InputError


@dataclass(frozen=True)
class Facility:
    """A data centre around the GPUs.

    Attributes
    ----------
    node
        The servers; None counts the GPUs alone as IT, as arXiv 2507.11417 does.
    nodes
        How many servers there are; all stay switched on.
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

    def power(self, gpu_w: Power, utilisation: float | Power = 1.0, step: Steps = 0) -> FacilityPower[Power]:
        """Where the power goes while the GPUs draw `gpu_w`.

        Parameters
        ----------
        gpu_w
            All GPUs together, W, >= 0: of one step, or an array of one value per step. Both give the same bits.
        utilisation
            How busy the host CPUs are, 0 to 1; has no effect without a node model.
        step
            Number of the interval, for what depends on the weather; of several, a slice or an array of numbers.

        Raises
        ------
        InputError
            If an argument is out of range, or the overhead falls below the power chain's losses.

        Examples
        --------
        >>> import numpy as np
        >>> Facility().power(np.array([100.0, 200.0]), step=slice(0, 2)).facility_w
        array([120., 240.])
        """
        check_power(gpu_w, "GPU power")
        busy = np.asarray(utilisation)
        if not np.all((busy >= 0) & (busy <= 1)):
            raise InputError(f"data centre: utilisation is {utilisation}, expected 0 to 1")
        return self._around(self.node.plug_w(gpu_w, self.nodes, utilisation) if self.node else gpu_w, step)

    def from_it(self, it_w: Power, step: Steps = 0) -> FacilityPower[Power]:
        """Where the power goes while the servers draw `it_w` at their plugs, W; otherwise as `power`.

        Examples
        --------
        >>> round(Facility().from_it(1000.0).facility_w)
        1200
        """
        check_power(it_w, "IT power")
        return self._around(it_w, step)

    def _around(self, it_w: Power, step: Steps) -> FacilityPower[Power]:
        losses_w = it_w * (1.0 / self.power_chain_efficiency - 1.0)
        cooling_w = self.overhead.overhead_w(it_w, losses_w, step) - losses_w
        short = np.asarray(cooling_w < -1e-9 * it_w)
        if np.any(short):
            at = int(np.flatnonzero(short)[0])
            lost, drawn = (np.asarray(power).reshape(-1)[at] for power in (losses_w, it_w))
            raise InputError(
                f"data centre: the power chain loses {lost:.6g} W at {drawn:.6g} W, "
                "more than the whole overhead"
            )
        return FacilityPower.of(it_w, np.maximum(cooling_w, 0.0), losses_w)
