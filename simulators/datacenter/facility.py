"""From GPUs to the meter: servers, power chain, cooling, water."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil
from typing import Any

import numpy as np

from simulators.datacenter.cooling import ConstantPue, Cooling
from simulators.datacenter.node import Node
from simulators.datacenter.power import FacilityPower, Power, Steps, check_power
from simulators.datacenter.power_chain import ConstantEfficiency, PowerChain
from simulators.datacenter.water import ConstantWue, Water
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
    cooling
        What comes on top of IT and losses; a constant PUE is of all three together.
    power_chain
        From the meter to the servers' plugs: UPS, transformer, distribution.
    water
        What is evaporated on site.

    Examples
    --------
    Eight GPUs at 500 W in their server, at a PUE of 1.2:

    >>> power = Facility.for_gpus(8).power(4000.0)
    >>> round(power.it_w), round(power.facility_w), round(power.pue, 3)
    (6229, 7475, 1.2)
    """

    node: Node | None = None
    nodes: int = 0
    cooling: Cooling = field(default_factory=ConstantPue)
    power_chain: PowerChain = field(default_factory=ConstantEfficiency)
    water: Water = field(default_factory=ConstantWue)

    def __post_init__(self) -> None:
        if (self.node is None) != (self.nodes == 0) or self.nodes < 0:
            raise InputError(
                f"data centre: {self.nodes} nodes, expected at least 1 with a node model, else 0"
            )
        if not isinstance(self.cooling, ConstantPue):
            return
        if not isinstance(self.power_chain, ConstantEfficiency):
            raise InputError(
                "data centre: a constant PUE holds the losses already, expected another model of cooling beside UPS "
                "and transformer"
            )
        losses = self.power_chain.losses_w(1.0)
        if self.cooling.pue - 1.0 < losses - 1e-12:
            raise InputError(
                f"data centre: PUE {self.cooling.pue} is less than the power chain alone makes of it "
                f"({1.0 + losses:.4g} at an efficiency of {self.power_chain.efficiency})"
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

    def it_w(self, gpu_w: Power, utilisation: float | Power = 1.0) -> Power:
        """Power at the servers' plugs, W; arguments as of `power`."""
        return self.node.plug_w(gpu_w, self.nodes, utilisation) if self.node else gpu_w

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
            If an argument is out of range.

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
        return self._around(self.it_w(gpu_w, utilisation), step)

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
        losses_w = self.power_chain.losses_w(it_w)
        cooling_w = self.cooling.cooling_w(it_w, losses_w, step)
        return FacilityPower.of(it_w, np.maximum(cooling_w, 0.0), losses_w)  # below by rounding alone

    def water_m3_per_h(self, power: FacilityPower[Power], step: Steps = 0) -> Power:
        """Water taken in on site at these powers, m3/h.

        Examples
        --------
        >>> facility = Facility()
        >>> round(facility.water_m3_per_h(facility.from_it(1e6)), 2)
        0.61
        """
        return self.water.m3_per_h(power, step)

    def highest_w(self, gpu_w: float) -> float:
        """At the meter while the GPUs draw `gpu_w` and the hosts are busy, W; of all weather, in the hottest step."""
        return float(np.max(self.power(gpu_w, 1.0, slice(None)).facility_w))
