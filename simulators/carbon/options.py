"""What a study says about its accounting."""

from __future__ import annotations

from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from simulators.carbon.contracts import Contracts
from simulators.carbon.factors import BATTERY_LIFE
from simulators.leaves import HIDDEN, option_name
from simulators.profiles.fileref import FileRef
from simulators.quantities.factor import Factor

Boundary = Literal["operational", "life-cycle"]
"""What counts, for grid and own supply alike: emissions where fuel is burnt, or fuel chains and plants as well."""

BASES: dict[Boundary, Literal["direct", "life cycle"]] = {
    "operational": "direct",
    "life-cycle": "life cycle",
}
"""What the grid's intensity must be within a boundary."""


class AccountingOptions(BaseModel):
    """One boundary for all of a site's supply, contracts for its import, and factors in place of the published ones."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    boundary: Boundary | None = Field(
        None,
        description="what counts, for grid, PV, wind and battery alike: operational or life-cycle  "
        "[default: as the grid's series says, else operational]",
    )
    pv_g_per_kwh: float | None = Field(
        None,
        ge=0,
        le=10**4,
        description="life-cycle emissions of PV, gCO2eq/kWh  [default: 41, from 1 MW on 48]",
    )
    wind_g_per_kwh: float | None = Field(
        None, ge=0, le=10**4, description="life-cycle emissions of wind, gCO2eq/kWh  [default: 11]"
    )
    battery_kg_per_kwh: float | None = Field(
        None,
        ge=0,
        le=10**4,
        description="making of the battery, kgCO2eq per kWh of capacity  [default: 83.5]",
    )
    battery_life_years: float | None = Field(
        None, gt=0, le=100, description="over which the battery's making is spread, years  [default: 15]"
    )
    gpu_embodied_kg: float | None = Field(
        None, ge=0, le=10**6, description="making of one GPU, kgCO2eq  [default: as data/gpus has it]"
    )
    server_embodied_kg: float | None = Field(
        None, ge=0, le=10**7, description="making of one server without its GPUs, kgCO2eq  [default: 2500]"
    )
    hardware_life_years: float | None = Field(
        None, gt=0, le=100, description="over which GPUs and servers are spread, years  [default: 6]"
    )
    building: bool = Field(False, description="also count the making of the building, by its IT capacity")
    building_kg_per_kw: float | None = Field(
        None,
        ge=0,
        le=10**6,
        description="making of the building, kgCO2eq per kW of IT capacity; counts it  "
        "[default: 180 with --building]",
    )
    building_life_years: float | None = Field(
        None, gt=0, le=200, description="over which the building is spread, years  [default: 20]"
    )
    ppa_share: float | None = Field(
        None, ge=0, le=1, description="share of the import that a power purchase agreement covers"
    )
    ppa_kwh: float | None = Field(
        None,
        ge=0,
        le=10**12,
        description="or the energy that it delivers over the run, kWh; covers at most the import",
    )
    ppa_profile: FileRef | None = Field(
        None,
        description="or what its plant delivers, a file of power (W, kW, MW); covers the import of the same interval",
        json_schema_extra={HIDDEN: ["kind", "rating", "elsewhere"]},
    )
    ppa_g_per_kwh: float = Field(
        0.0,
        ge=0,
        le=10**4,
        description="factor of the agreement, gCO2eq/kWh; market-based, so 0 for sun and wind",
    )
    go_share: float | None = Field(
        None,
        ge=0,
        le=1,
        description="share of the import with guarantees of origin (or RECs), beside the agreement",
    )
    go_mwh: float | None = Field(
        None,
        ge=0,
        le=10**9,
        description="or the guarantees cancelled for this run, MWh; cover at most what is left",
    )
    go_g_per_kwh: float = Field(0.0, ge=0, le=10**4, description="factor of the guarantees, gCO2eq/kWh")
    residual_mix: float | None = Field(
        None,
        ge=0,
        le=10**4,
        description="residual mix for what contracts do not cover, gCO2eq/kWh; without it there is no market-based "
        "figure (Europe: AIB; U.S.: Green-e)",
    )
    residual_mix_low: float | None = Field(
        None, ge=0, le=10**4, description="low end of the residual mix, gCO2eq/kWh"
    )
    residual_mix_high: float | None = Field(
        None, ge=0, le=10**4, description="high end of the residual mix, gCO2eq/kWh"
    )
    residual_mix_source: str | None = Field(
        None, description="where the residual mix is from, for the report"
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        for names in (("ppa_share", "ppa_kwh", "ppa_profile"), ("go_share", "go_mwh")):
            given = [name for name in names if getattr(self, name) is not None]
            if len(given) > 1:
                options = [option_name(name) for name in given]
                raise ValueError(f"{' and '.join(options)} given, expected one of them")
        for factor, ways in (
            ("ppa_g_per_kwh", ("ppa_share", "ppa_kwh", "ppa_profile")),
            ("go_g_per_kwh", ("go_share", "go_mwh")),
        ):
            if getattr(self, factor) and all(getattr(self, way) is None for way in ways):
                needed = " or ".join(option_name(way) for way in ways)
                raise ValueError(
                    f"{option_name(factor)}: {getattr(self, factor):g} given, but has an effect only with {needed}"
                )
        if (self.ppa_share or 0.0) + (self.go_share or 0.0) > 1 + 1e-9:
            raise ValueError(
                f"--go-share: {self.go_share:g} given beside --ppa-share {self.ppa_share:g}, expected at most all of "
                "the import together"
            )
        if self.building_life_years is not None and not self.building and self.building_kg_per_kw is None:
            raise ValueError(
                f"--building-life-years: {self.building_life_years:g} given, but has an effect only with --building"
            )
        low, value, high = (getattr(self, f"residual_mix{end}") for end in ("_low", "", "_high"))
        if value is None:
            if (low, high) != (None, None):
                raise ValueError("--residual-mix: not given, expected it with its range")
        elif not (low if low is not None else value) <= value <= (high if high is not None else value):
            ends = [
                f"{end} {limit:g}"
                for end, limit in (("at least", low), ("at most", high))
                if limit is not None
            ]
            raise ValueError(
                f"--residual-mix: {value:g} given, expected {' and '.join(ends)} gCO2eq/kWh, as its range says"
            )
        return self

    @property
    def residual(self) -> Factor | None:
        """The residual mix with its range."""
        if self.residual_mix is None:
            return None
        low, high = self.residual_mix_low, self.residual_mix_high
        return Factor(
            self.residual_mix,
            self.residual_mix if low is None else low,
            self.residual_mix if high is None else high,
            "gCO2eq/kWh",
            self.residual_mix_source or "the study's own, without a source",
        )

    @property
    def battery_life(self) -> Factor:
        """Over which the battery's making is spread."""
        return BATTERY_LIFE.own(self.battery_life_years)

    def contracts(self, ppa_w: NDArray[np.float64] | None) -> Contracts:
        """What was bought; `ppa_w` is the file of the agreement, one mean power per step of the run, W."""
        return Contracts(
            ppa_share=self.ppa_share or 0.0,
            ppa_kwh=self.ppa_kwh or 0.0,
            ppa_w=ppa_w,
            ppa_g_per_kwh=self.ppa_g_per_kwh,
            go_share=self.go_share or 0.0,
            go_kwh=1e3 * (self.go_mwh or 0.0),
            go_g_per_kwh=self.go_g_per_kwh,
            residual_g_per_kwh=self.residual_mix,
        )
