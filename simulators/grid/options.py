"""What a study says about the power network."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from simulators.grid.network import DEFAULT_POWER_FACTOR


class NetworkOptions(BaseModel):
    """The network; which bus a site is at belongs to the site's connection."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    network: str = Field(
        "mv_oberrhein", description="pandapower network by name, a pandapower JSON file, or a SimBench code"
    )
    power_factor: float = Field(DEFAULT_POWER_FACTOR, gt=0, le=1, description="of the site's import, lagging")
    voltage_limits: Literal["network", "en50160"] = Field(
        "network", description="network (its own, else EN 50160) or en50160 (+-10 %)"
    )

    def files(self) -> list[tuple[str, Path]]:
        """The file of an own network."""
        path = Path(self.network)
        return [("network", path)] if path.suffix.lower() == ".json" and path.is_file() else []
