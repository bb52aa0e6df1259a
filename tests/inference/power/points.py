"""Operating points whose prices are known."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from simulators.inference.power.fit import TERMS, predict_w
from simulators.inference.power.measurements import POINT
from simulators.inference.power.terms import Coefficients

TRUTH = Coefficients(
    active=100.0, weights=100e-12, experts=110e-12, kv=115e-12, flop16=0.9e-12, flop8=0.6e-12,
    padded=0.55e-12, unpacked=0.45e-12, logits=1e-7,
)  # fmt: skip
"""On an H100; each within 25 % of where the fit expects it."""
PER_S = {
    "active": (0.5, 1.0), "weights": (2e11, 2e12), "experts": (0, 1e12), "kv": (1e10, 8e11), "flop16": (1e12, 9e13),
    "flop8": (0, 1e14), "padded": (0, 1e14), "unpacked": (0, 1e14), "logits": (0, 1e9),
}  # fmt: skip
"""Range of units per second."""


def made(
    models: int = 5,
    rows: int = 12,
    noise: float = 0.0,
    of: Mapping[str, Coefficients] | None = None,
    seed: int = 11,
    makers: int = 1,
) -> pd.DataFrame:
    """`rows` operating points of every model on every GPU of `of` (default an H100 with `TRUTH`)."""
    rng = np.random.default_rng(seed)
    of = of or {"h100": TRUTH}
    found = []
    for name in of:
        for i in range(models):
            for _ in range(rows):
                units = [rng.uniform(*PER_S[term]) for term in TERMS]
                found.append((name, f"maker{i % makers}/model-{i}", "dense", *units, 0.0))
    points = pd.DataFrame(found, columns=list(POINT))
    points["power_w"] = predict_w(points, of) * np.exp(noise * rng.standard_normal(len(points)))
    return points
