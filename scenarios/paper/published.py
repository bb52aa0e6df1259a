"""What the paper published, and the constants of its method. The numbers lie in `data/paper`, with their source."""

from __future__ import annotations

import pandas as pd

from simulators import paths

DATA = paths.DATA / "paper"

PUE = 1.2
"""Of all its experiments but the case study."""
IDLE_W, MAX_W = 100.0, 400.0
"""A100 of its power law."""
EMBODIED_KG = 150.0
"""A100, charged per GPU-hour as published."""
RATE_PER_S = 6.45
"""Offered in every experiment but that of rates."""
GPU = "a100"
SINGLE = "meta-llama/Meta-Llama-3-8B"
"""Model of the batch, rate and length experiments."""
PARALLEL = "codellama/CodeLlama-34b-Instruct-hf"
CASE = "meta-llama/Llama-2-7b-hf"


def published(experiment: str) -> pd.DataFrame:
    """The published rows of ``batch``, ``rate``, ``parallelism``, ``requests``, ``lengths`` or ``case``."""
    return pd.read_csv(DATA / f"published_{experiment}.csv", comment="#")
