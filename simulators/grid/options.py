"""What a user may choose about the power network."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from simulators.grid.defaults import DEFAULT_POWER_FACTOR


class NetworkOptions(BaseModel):
    """A network that sites stand on; which bus a site has is said with the site.

    Examples
    --------
    >>> NetworkOptions(network="cigre_mv").files()
    []
    >>> [(what, path.name) for what, path in NetworkOptions(network="my_net.json").files()]
    [('network', 'my_net.json')]
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    network: str = Field(
        "mv_oberrhein",
        min_length=1,
        description="pandapower network by name, a pandapower JSON file, or a SimBench code",
    )
    power_factor: float = Field(DEFAULT_POWER_FACTOR, gt=0, le=1, description="of the site's import, lagging")
    voltage_limits: Literal["network", "en50160"] = Field(
        "network", description="network (its own, else EN 50160) or en50160 (+-10 %)"
    )
    enforce_q_lims: bool = Field(
        False,
        description="hold generators at their reactive limits, where their voltage then gives; else they hold their "
        "voltage and what they exceed is a violation",
    )

    def files(self) -> list[tuple[str, Path]]:
        """The file the network is read from, where it is one: what it is, and its path."""
        from simulators.grid.sources import network_file  # pandapower takes seconds to import

        path = network_file(self.network)
        return [] if path is None else [("network", path)]
