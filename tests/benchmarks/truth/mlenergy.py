"""ML.ENERGY leaderboard v3: GPU power at measured throughput, and energy per token from the configuration alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from simulators.inference.power.fit import fit, interval, maker
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
    found, spread = points, ""
    if left_out:
        fitted = fit(points)
        found, spread = fitted.points, "{:.2f} to {:.2f}".format(*fitted.spread)
    found["published_w"], found["physics_w"] = published_w(points), shipped_w(points, PHYSICS)
    found["shipped_w"] = shipped_w(points, FITTED)
    lines = []
    for (gpu, kind), part in found.groupby(["gpu", "architecture"]):
        group, measured = f"{gpu}, {kind}", part["power_w"]
        if left_out:
            inside = (measured >= part["low_w"]) & (measured <= part["high_w"])
            lines.append(
                row(SOURCE, POWER, f"{group}, {FITTED}", part["left_out_w"], measured, inside=inside,
                    note=f"model left out of the fit; interval, maker left out: {spread} of power above idle")
            )  # fmt: skip
        elif part["shipped_w"].notna().all():
            inside = coverage(part, part["shipped_w"].to_numpy(), FITTED)
            lines.append(row(SOURCE, POWER, f"{group}, {FITTED}", part["shipped_w"], measured, inside=inside))
        inside = coverage(part, part["physics_w"].to_numpy(), PHYSICS)
        lines.append(row(SOURCE, POWER, f"{group}, physics", part["physics_w"], measured, inside=inside))
        lines.append(
            row(SOURCE, POWER, f"{group}, mfu", part["published_w"], measured, note="the published law")
        )
    return lines + per_token(path, every)


def per_token(path: Path, every: int = 1) -> list[Row]:
    """Lines for energy per token; the interval is that of the other makers' runs (`fit.interval`)."""
    kinds = ("dense", "moe", "hybrid")
    found = [end_to_end(path, name, kinds, every).assign(gpu=name.lower()) for name in ("H100", "B200")]
    runs = pd.concat([part for part in found if len(part)], ignore_index=True)
    ratio, makers = runs["measured_j"] / runs["predicted_j"], runs["model"].map(maker)
    inside = pd.Series(False, runs.index)
    for one in makers.unique():
        held = makers == one
        low, high = interval(ratio[~held], runs[~held])
        inside[held] = (ratio[held] >= low) & (ratio[held] <= high)
    low, high = interval(ratio, runs)
    lines = []
    for (gpu, kind), part in runs.groupby(["gpu", "architecture"]):
        biases = [float(np.median(part[f"{name}_error"])) for name in ("time", "power")]
        note = (
            f"bias of time {biases[0]:+.1%}, of power {biases[1]:+.1%}; interval of all makers {low:.2f} to {high:.2f} "
            "of the prediction"
        )
        lines.append(
            row(SOURCE, PER_TOKEN, f"{gpu}, {kind}", part["predicted_j"], part["measured_j"],
                inside=inside[part.index], note=note)
        )  # fmt: skip
    whole = row(
        SOURCE, PER_TOKEN, "all", runs["predicted_j"], runs["measured_j"], inside=inside,
        note="interval: maker left out",
    )  # fmt: skip
    return [*lines, whole]
