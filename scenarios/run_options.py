"""When a study runs, how long, and in which steps."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from simulators.errors import InputError
from simulators.profiles.times import in_zone


class Part(BaseModel):
    """Base of the parts of a study."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, protected_namespaces=())


class RunOptions(Part):
    """When, how long, in which steps."""

    start: str | None = Field(
        None,
        description="start of the run, e.g. 2017-06-05 or 2017-06-05T06:00; local time  [default: the site's]",
    )
    days: float = Field(7.0, gt=0, le=3660, description="length of the run, days")
    step: int = Field(60, ge=1, le=3600, description="length of a step, s")
    seed: int = Field(42, ge=0, le=2**63 - 1, description="random seed")
    drain_hours: float | None = Field(
        None,
        ge=0,
        le=8760,
        description="how long the run goes on after its last arrivals to finish what was deferred, h  [default: "
        "--defer-hours under a policy that may hold requests, else 0]",
    )
    power_resolution_s: float | None = Field(
        None,
        ge=0.01,
        le=3600,
        description="also write GPU power at this resolution to power_fast.parquet, s, e.g. 0.1  [default: not]",
    )

    engine: Literal["auto", "plain", "mosaik"] = Field(
        "auto",
        description="mosaik, plain (a loop without it, for energy alone: --load) or auto (plain where that suffices); "
        "results are the same",
    )
    rt_factor: float | None = Field(
        None,
        gt=0,
        description="hold the run to real time: seconds of the wall clock per simulated second, e.g. 1, or 0.01 for a "
        "hundred times as fast  [default: as fast as it goes]",
    )

    @property
    def steps(self) -> int:
        """Number of steps in which requests arrive; the last is a whole one."""
        return max(1, round(self.days * 86400 / self.step))

    @property
    def length_s(self) -> int:
        """Time in which requests arrive, s."""
        return self.steps * self.step

    @property
    def bins_per_step(self) -> int:
        """Rows of power_fast.parquet per step; 1 if it is not wanted."""
        if self.power_resolution_s is None:
            return 1
        bins = round(self.step / self.power_resolution_s)
        if bins < 1 or abs(bins * self.power_resolution_s - self.step) > 1e-9 * self.step:
            raise InputError(
                f"--power-resolution-s: {self.power_resolution_s:g} given, expected a part of a step of {self.step} s"
            )
        return bins

    def starts_at(self, default: datetime, timezone: str) -> datetime:
        """Start of the run, UTC; a time without a zone is local to `timezone`."""
        if self.start is None:
            return default.astimezone(UTC)
        try:
            start = datetime.fromisoformat(self.start)
        except ValueError:
            raise InputError(
                f"--start: {self.start!r} given, expected a date such as 2017-06-05 or 2017-06-05T06:00"
            ) from None
        return in_zone(start, timezone, "--start")
