"""What a study says about its accounting."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Boundary = Literal["operational", "life-cycle"]
"""What counts, for grid and own supply alike: emissions where fuel is burnt, or fuel chains and plants as well."""

BASES: dict[Boundary, Literal["direct", "life cycle"]] = {
    "operational": "direct",
    "life-cycle": "life cycle",
}
"""What the grid's intensity must be within a boundary."""


class AccountingOptions(BaseModel):
    """One boundary for all of a site's supply, and factors in place of the published ones."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    boundary: Boundary | None = Field(
        None,
        description="what counts, for grid, PV, wind and battery alike: operational or life-cycle  "
        "[default: as the grid's series says, else operational]",
    )
    pv_g_per_kwh: float | None = Field(
        None, ge=0, description="life-cycle emissions of PV, gCO2eq/kWh  [default: 41, from 1 MW on 48]"
    )
    wind_g_per_kwh: float | None = Field(
        None, ge=0, description="life-cycle emissions of wind, gCO2eq/kWh  [default: 11]"
    )
    battery_kg_per_kwh: float | None = Field(
        None, ge=0, description="making of the battery, kgCO2eq per kWh of capacity  [default: 83.5]"
    )
