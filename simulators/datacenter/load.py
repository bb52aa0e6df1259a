"""What a study says about a load that is a file."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from simulators.leaves import HIDDEN
from simulators.profiles.fileref import FileRef


class MeasuredLoad(BaseModel):
    """The load of a site from a file."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    load: FileRef | None = Field(
        None,
        description="file with the site's power, W or as its header says, instead of a simulated cluster: energy, "
        "carbon and cost alone; the timeseries.parquet of an earlier run is one  [default: simulate the cluster]",
        json_schema_extra={HIDDEN: ["kind", "elsewhere"]},
    )
    load_at: Literal["meter", "it"] = Field(
        "meter", description="where --load was measured: meter (of the whole facility) or it (of its servers)"
    )
    load_scale_to_mw: float | None = Field(
        None,
        gt=0,
        le=10**5,
        description="scale --load so that its highest value is this, MW  [default: as it is]",
    )
