"""What a study says about the building around the GPUs."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from simulators.datacenter.cooling import ConstantPue
from simulators.datacenter.facility import Facility


class FacilityOptions(BaseModel):
    """Servers, cooling and power chain.

    Examples
    --------
    >>> FacilityOptions(pue=1.2).build(gpus=8).nodes
    1
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    node_overhead: bool = Field(
        True, description="count the servers around the GPUs (CPU, memory, network, fans)"
    )
    pue: float = Field(1.2, ge=1, description="power usage effectiveness, facility / IT")

    def build(self, gpus: int) -> Facility:
        """The facility around some GPUs."""
        overhead, efficiency = ConstantPue(self.pue), max(0.96, 1 / self.pue)
        if not self.node_overhead:
            return Facility(overhead=overhead, power_chain_efficiency=efficiency)
        return Facility.for_gpus(gpus, overhead=overhead, power_chain_efficiency=efficiency)
