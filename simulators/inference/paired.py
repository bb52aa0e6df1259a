"""The same requests without the prefix cache: what it saves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from simulators.inference.attribution import savings


def compare(
    out: Path, without: Path, summary: Mapping[str, Any], summary_without: Mapping[str, Any]
) -> dict[str, float]:
    """Write prefix_savings.csv from two runs to the end of the same requests (`attribution.savings`).

    Parameters
    ----------
    out, without
        Folders of the run with the prefix cache, where the table goes, and of the one without.
    summary, summary_without
        Their summaries.

    Returns
    -------
    dict
        Sums of the table, J, and the difference of the meters.
    """
    uncached, cached = (
        pd.read_csv(folder / "requests.csv", float_precision="round_trip") for folder in (without, out)
    )
    saved, sums = savings(uncached, cached, meter(summary_without), meter(summary))
    saved.to_csv(out / "prefix_savings.csv", index=False)
    return sums


def meter(summary: Mapping[str, Any]) -> dict[str, float]:
    """The meter of a summary by phase, J, as `attribution.phases` has it."""
    energy = summary["gpu_energy_j"]
    return {
        "prefill_j": energy["prefill"],
        "decode_j": energy["decode"],
        "idle_j": energy["idle"] - energy["transition_within_idle"],
        "transition_j": energy["transition_within_idle"],
        "transfer_j": energy["transfer"],
        "lost_work_j": (summary["failures"] or {"lost_work_j": 0.0})["lost_work_j"],
        "meter_j": energy["total"],
    }
