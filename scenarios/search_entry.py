"""One deployment of a search, and what has been found of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scenarios.search_choice import Targets
from scenarios.search_space import Candidate


@dataclass
class Entry:
    """One deployment and what has been found of it.

    Attributes
    ----------
    candidate
        What it is.
    estimate, run, full
        Figures of the three stages; None before.
    why
        Why it was left out; empty if it was not.
    on_front
        Whether it is on the front of those that keep the targets.
    """

    candidate: Candidate
    estimate: dict[str, Any] | None = None
    run: dict[str, Any] | None = None
    full: dict[str, Any] | None = None
    why: str = ""
    on_front: bool = False

    @property
    def found(self) -> dict[str, Any]:
        """The figures of the last stage it came to."""
        return self.full or self.run or self.estimate or {}


def broken(row: Mapping[str, Any], targets: Targets) -> str:
    """Which target a run breaks, and by how much."""
    if row["ttft_s"] is None:
        return "no request was finished"
    told = [
        f"{name[:4].upper()} p{targets.percentile:g} {row[name]:.3g} s, {row[name] / target - 1:+.0%}"
        for name, target in (("ttft_s", targets.ttft_s), ("tpot_s", targets.tpot_s))
        if row[name] is not None and row[name] > target
    ]
    if row["rejected"]:
        told.append(f"{row['rejected']:.0f} requests rejected")
    if row["saturation"] == "overloaded":
        told.append("overloaded")
    return ", ".join(told)
