"""What a study says about own generation."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, field_validator

from simulators.profiles.fileref import FileRef


class GenerationOptions(BaseModel):
    """PV and wind of a site."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    pv_kw: float = Field(20.0, gt=0, description="PV peak power (DC), kW")
    wind_kw: float = Field(5.0, gt=0, description="rated wind power, kW")
    wind_turbine: str | None = Field(
        None,
        description="type of the turbines (`wattloop turbines`)  [default: by size, from 12.6 kW machines up]",
    )
    wind_hub_height: float | None = Field(
        None, gt=0, le=250, description="hub height of the turbines, m  [default: the turbine's usual one]"
    )
    pv_profile: FileRef | None = Field(
        None,
        description="PV output per unit of capacity, instead of weather",
        json_schema_extra={"hidden": ["kind", "elsewhere"]},
    )
    wind_profile: FileRef | None = Field(
        None,
        description="wind output per unit of capacity, instead of weather",
        json_schema_extra={"hidden": ["kind", "elsewhere"]},
    )

    @field_validator("pv_kw", "wind_kw", mode="wrap")
    @classmethod
    def _positive(cls, value, handler, info):  # type: ignore[no-untyped-def]
        part = info.field_name.partition("_")[0]
        try:
            return handler(value)
        except ValueError as error:
            raise ValueError(f"expected a number above 0; leave it out with --without {part}") from error
