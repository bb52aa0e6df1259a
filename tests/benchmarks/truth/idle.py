"""Idle states: what data sheets say beside loaded servers that other laboratories measured."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from simulators.inference.catalogue import gpu
from tests.benchmarks.truth.row import Row, row

POWERTRACE = (
    Path(__file__).resolve().parents[3] / ".." / "shared" / "data" / "gpu_power" / "powertrace_facts_give.csv"
)


def rows(path: Path = POWERTRACE) -> list[Row]:
    """Loaded idle of powertrace-sim's servers, W per GPU; H100 and A100 sheets are from the medians of this file."""
    frame = pd.read_csv(path)
    lines = []
    for name, part in frame.groupby("gpu"):
        state = gpu(str(name)).power["states"]["loaded_idle"]
        measured = part["p_idle_loaded_w"] / part["tp"]
        low, high = state["range_w"]
        lines.append(
            row(
                "powertrace-sim", "loaded idle [W]", str(name).lower(), [state["power_w"]] * len(part), measured,
                inside=(measured >= low) & (measured <= high), note="the sheet is from this file's median",
            )
        )  # fmt: skip
    return lines
