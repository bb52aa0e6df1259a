"""What a user says about replicas that fail, and the published figures that stand in where nothing is said."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from simulators.quantities.factor import Assumption, Factor

GPU_MTBF = Factor(
    value=50_700.0,
    low=29_500.0,
    high=82_000.0,
    unit="h",
    source="training, not serving: 419 unexpected interruptions in 54 days of 16,384 GPUs (The Llama 3 Herd of Models, "
    "arXiv 2407.21783, section 3.3.4); range: 1.8 h between failures of 16,384 GPUs and 2.34 failures in a thousand "
    "days of a server of eight (Kokolis et al., arXiv 2410.21680, RSC-1 and RSC-2)",
)
"""Mean time between failures for each GPU, whatever part fails: memory, host, network, software. So many GPUs fail so
many times as often."""

REPAIR = Factor(
    value=2.2,
    low=0.1,
    high=120.0,
    unit="h",
    source="recovery of a GPU server of Delta (Cui et al., arXiv 2503.11901); the range is an estimate, from a restart "
    "of the process to GPUs that are replaced after days",
)
"""Mean time to repair; loading the model comes after."""


class Reliability(BaseModel):
    """What fails, how often and for how long.

    Examples
    --------
    >>> round(Reliability(failing="replica").mtbf_h(gpus=8)), Reliability(failing="host", mtbf_hours=500).mtbf_h(gpus=8)
    (6338, 500.0)
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    failing: Literal["none", "replica", "host"] = Field(
        "none",
        description="what fails by chance, with all it is doing: none, replica, or host (a server of eight GPUs with "
        "all replicas on it, which is then off)",
    )
    mtbf_hours: float | None = Field(
        None,
        gt=0,
        le=1e9,
        description="mean time between failures of each (--failing), h; exponential  [default: 50,700 h over its GPUs, "
        "published of training]",
    )
    repair_hours: float | None = Field(
        None,
        gt=0,
        le=1e6,
        description=f"mean time to repair (--failing), h; exponential, and the model is loaded after  [default: "
        f"{REPAIR.value:g}]",
    )
    failures: Path | None = Field(
        None,
        description="CSV of outages that are known: replica (from 0), start, end (s from the start of the run), and "
        "kind: failure (default) or maintenance, before which it is drained",
    )

    @model_validator(mode="after")
    def _together(self) -> Self:
        for name, value in (("--mtbf-hours", self.mtbf_hours), ("--repair-hours", self.repair_hours)):
            if value is not None and self.failing == "none":
                raise ValueError(f"{name}: {value:g} given, expected with --failing replica or host")
        return self

    @property
    def any(self) -> bool:
        """Whether anything can be out."""
        return self.failing != "none" or self.failures is not None

    @property
    def repair_h(self) -> float:
        """Mean time to repair, h."""
        return REPAIR.own(self.repair_hours).value

    def mtbf_h(self, gpus: int) -> float:
        """Mean time between failures of what has so many GPUs, h."""
        return GPU_MTBF.value / gpus if self.mtbf_hours is None else self.mtbf_hours

    def files(self) -> list[tuple[str, Path]]:
        """What is read."""
        return [] if self.failures is None else [("outages", self.failures)]

    def assumptions(self) -> list[Assumption]:
        """What a run rests on in which something fails by chance."""
        if self.failing == "none":
            return []
        if self.mtbf_hours is None:
            often = Assumption("mtbf_hours_of_a_gpu", GPU_MTBF)
        else:
            often = Assumption("mtbf_hours", GPU_MTBF.own(self.mtbf_hours))
        return [often, Assumption("repair_hours", REPAIR.own(self.repair_hours))]


NEVER = Reliability()
"""Nothing fails."""
