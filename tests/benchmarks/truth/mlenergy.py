"""ML.ENERGY leaderboard v3: GPU power at measured throughput, and energy per token from the configuration alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from simulators.inference.power.fit import fit
from simulators.inference.power.measurements import read_measurements
from simulators.inference.power.prices import PHYSICS
from tests.benchmarks.power_accuracy import FITTED, MEASUREMENTS, coverage, published_w, shipped_w
from tests.benchmarks.power_end_to_end import end_to_end
from tests.benchmarks.truth.row import Row, row

SOURCE = "ML.ENERGY v3 (vLLM 0.11.1)"
POWER, PER_TOKEN = "GPU power at measured throughput [W]", "energy per output token, configuration alone [J]"


def rows(path: Path = MEASUREMENTS, every: int = 1) -> list[Row]:
    """Lines for a file in this layout; `every`: only each n-th run through the batch loop."""
    points = read_measurements(path)
    left_out = path == MEASUREMENTS
    found = fit(points).points if left_out else points
    found["published_w"], found["physics_w"] = published_w(points), shipped_w(points, PHYSICS)
    found["shipped_w"] = shipped_w(points, FITTED)
    lines = []
    for (gpu, kind), part in found.groupby(["gpu", "architecture"]):
        group, measured = f"{gpu}, {kind}", part["power_w"]
        if left_out:
            inside = (measured >= part["low_w"]) & (measured <= part["high_w"])
            lines.append(
                row(SOURCE, POWER, f"{group}, {FITTED}", part["left_out_w"], measured, inside=inside,
                    note="model left out of the fit; interval: maker left out")
            )  # fmt: skip
        elif part["shipped_w"].notna().all():
            inside = coverage(part, part["shipped_w"].to_numpy(), FITTED)
            lines.append(row(SOURCE, POWER, f"{group}, {FITTED}", part["shipped_w"], measured, inside=inside))
        inside = coverage(part, part["physics_w"].to_numpy(), PHYSICS)
        lines.append(row(SOURCE, POWER, f"{group}, physics", part["physics_w"], measured, inside=inside))
        lines.append(
            row(SOURCE, POWER, f"{group}, mfu", part["published_w"], measured, note="the published law")
        )
    for gpu in ("H100", "B200"):
        runs = end_to_end(path, gpu, ("dense", "moe", "hybrid"), every)
        if runs.empty:
            continue
        for kind, part in runs.groupby("architecture"):
            biases = [float(np.median(part[f"{name}_error"])) for name in ("time", "power")]
            note = f"bias of time {biases[0]:+.1%}, of power {biases[1]:+.1%}"
            lines.append(
                row(
                    SOURCE,
                    PER_TOKEN,
                    f"{gpu.lower()}, {kind}",
                    part["predicted_j"],
                    part["measured_j"],
                    note=note,
                )
            )
    return lines
