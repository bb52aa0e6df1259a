"""What a study says about the controller of a site."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from simulators.own_code import own_file
from simulators.scheduler.policies import POLICIES, policy


class ControlOptions(BaseModel):
    """The policy of a site, and the forecast it sees.

    Examples
    --------
    >>> ControlOptions(policy="carbon:quantile=0.2").forecast
    'perfect'
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    policy: str = Field(
        "none",
        description=f"what the scheduler does: {', '.join(POLICIES)}; with parameters as in carbon:quantile=0.2; "
        "or your own FILE.py:CLASS",
    )
    forecast: Literal["perfect", "persistence", "seasonal", "noisy", "file"] = Field(
        "perfect",
        description="forecasts the policy sees: perfect, persistence (as the day before), seasonal (as the week "
        "before), noisy, or file (of carbon what a publisher told at the time: --carbon-forecast; of all else "
        "persistence)",
    )
    forecast_error: float = Field(
        0.1, ge=0, description="relative standard deviation of a noisy forecast a day ahead, 1"
    )

    @field_validator("policy")
    @classmethod
    def _known(cls, value: str) -> str:
        policy(value)
        return value

    def files(self) -> list[tuple[str, Path]]:
        """The file of an own policy."""
        file = own_file(self.policy)
        return [("policy", file)] if file else []
