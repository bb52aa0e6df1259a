"""Other laboratories' servers: power at measured throughput by `physics`, in which nothing is fitted to them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from simulators.inference.power.points import TERMS, Deployment, Load, rates
from simulators.inference.power.prices import PHYSICS
from tests.benchmarks.power_accuracy import FITTED, coverage, shipped_w
from tests.benchmarks.truth.row import Row, row

ARGONNE = (
    Path(__file__).resolve().parents[3]
    / ".." / "shared" / "data" / "gpu_power" / "argonne_Fig_16_a_b_power_results.csv"
)  # fmt: skip
POWER = "GPU power at measured throughput [W]"
INFERENCEX = (
    # gpt-oss-120b FP4 on H100: (GPUs, clients, TPOT in s, W per GPU); the last may include idle seconds
    (2, 64, 15.2e-3, 397.0), (4, 64, 9.9e-3, 301.0), (8, 4, 3.7e-3, 159.0),
)  # fmt: skip


def _argonne(path: Path) -> pd.DataFrame:
    """LLM-Inference-Bench: 1,024 tokens in and out, so as many prompt tokens as output tokens; power in mW."""
    frame = pd.read_csv(path).dropna(how="all")
    points = []
    for cells in frame.to_dict("records"):
        gpu = "a100" if "A100" in str(cells["Hardware"]) else "h100"
        batch, length = float(cells["Batch Size"]), float(cells["Input Output Length"])
        load = Load(batch, 1.5 * length, batch * length / float(cells["Latency"]), 1.0)
        found = rates(Deployment(str(cells["Model"]), gpu, int(cells["Num of Hardware"])), load)
        points.append(
            {
                "gpu": gpu,
                "group": f"{gpu}, {cells['Framework']}",
                **found,
                "power_w": cells["avg_power"] / 1e3,
            }
        )
    return pd.DataFrame(points)


def _inferencex() -> pd.DataFrame:
    points = []
    for gpus, clients, tpot_s, watts in INFERENCEX:
        found = rates(
            Deployment("openai/gpt-oss-120b", "h100", gpus), Load(clients, 1500.0, clients / tpot_s, 1.0)
        )
        points.append({"gpu": "h100", "group": "h100, vLLM", **found, "power_w": watts})
    return pd.DataFrame(points)


def rows(path: Path = ARGONNE) -> list[Row]:
    """Lines by GPU and framework; those of the file only if it is there."""
    lines = []
    sources = [("InferenceX #828 (gpt-oss-120b)", _inferencex())]
    if path.is_file():
        sources.append(("LLM-Inference-Bench (Argonne)", _argonne(path)))
    for source, points in sources:
        assert set(TERMS) <= set(points)
        for group, part in points.groupby("group"):
            part = part.reset_index(drop=True)
            for kind in (PHYSICS, FITTED):
                predicted = shipped_w(part, kind)
                if not np.isfinite(predicted).all():
                    continue
                inside = coverage(part, predicted, kind)
                lines.append(
                    row(source, POWER, f"{group}, {kind}", predicted, part["power_w"], inside=inside)
                )
    return lines
