"""From GPU power to a server's plug: host CPUs, memory, network, disks, fans, power supply."""

from __future__ import annotations

from dataclasses import dataclass

from simulators.datacenter.factors import FAN_SHARE, HOST_FULL_W, HOST_IDLE_W, PSU_EFFICIENCY
from simulators.datacenter.power import Power
from simulators.errors import InputError


@dataclass(frozen=True)
class Node:
    """A GPU server without its GPUs. Defaults (`factors`) describe an 8-GPU HGX class machine, cooled by air.

    Idle and full values: two CPUs of 90 W idle and 280 W full, four NICs of 20 W, NVMe 30 W; memory 74.26 W idle to
    360 W full (16 modules of 64 GB DDR5, 23.68 W each at a derating of 0.95).

    Check: eight GPUs at 700 W and busy hosts come to 8.2 kW; the most measured on an 8x H100 node in training
    is 8.4 kW (I. Latif et al., IEEE Access 2025, arXiv 2412.08602).

    Attributes
    ----------
    gpus
        GPUs in one node.
    host_idle_w, host_full_w
        CPUs, memory, network and disks together, at no and full host utilisation, W.
    fan_share
        Fans' share of the power of the whole server behind its power supply; 0 to below 1.
    psu_efficiency
        Power supply: power delivered over power drawn; above 0, at most 1.
    """

    gpus: int = 8
    host_idle_w: float = HOST_IDLE_W.value
    host_full_w: float = HOST_FULL_W.value
    fan_share: float = FAN_SHARE["fans"].value
    psu_efficiency: float = PSU_EFFICIENCY.value

    def __post_init__(self) -> None:
        if self.gpus < 1:
            raise InputError(f"node: gpus is {self.gpus}, expected at least 1")
        if not 0 <= self.host_idle_w <= self.host_full_w:
            raise InputError(
                f"node: host power is {self.host_idle_w} to {self.host_full_w} W, expected 0 <= idle <= full"
            )
        if not 0 <= self.fan_share < 1:
            raise InputError(f"node: fan_share is {self.fan_share}, expected 0 to below 1")
        if not 0 < self.psu_efficiency <= 1:
            raise InputError(f"node: psu_efficiency is {self.psu_efficiency}, expected above 0 and at most 1")

    def plug_w(self, gpu_w: Power, nodes: int, utilisation: float | Power) -> Power:
        """Power at the plugs of `nodes` servers whose GPUs draw `gpu_w` together, W.

        ``(gpu + nodes * host(utilisation)) / (1 - fan share) / PSU efficiency``, where the host goes
        linearly from idle to full with `utilisation` (0 to 1; how busy the CPUs are).
        """
        host_w = nodes * (self.host_idle_w + utilisation * (self.host_full_w - self.host_idle_w))
        return (gpu_w + host_w) / (1.0 - self.fan_share) / self.psu_efficiency
