"""Options of commands that write results: apart from what does so, which takes a second to import."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class OutputOptions(BaseModel):
    """Where results go, and which."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    report: bool = Field(True, description="draw the figures and write report.html")
    requests: bool = Field(
        True,
        description="write requests.parquet, one row for each finished request: the largest file of most runs",
    )
    out: Path = Field(Path("results/solar_datacenter"), description="folder for the results")
    resume: bool = Field(
        False,
        exclude=True,  # not an option of the result: who starts from its config.json starts anew
        description="go on from the last checkpoint of a run that did not finish; the result is the same, byte by byte",
    )
    checkpoint_hours: float | None = Field(
        None,
        gt=0,
        description="simulated hours between two checkpoints  [default: days, as many as take 20 s to simulate]",
    )


class LiveOptions(BaseModel):
    """A page that shows the run while it goes on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    live: bool = Field(False, description="show the run on a page at http://127.0.0.1 while it goes on")
    live_port: int = Field(8750, ge=0, le=65535, description="port of that page  [0: any that is free]")
