"""Compile the batch loop once, after installation, so that no run waits: `python -m simulators.inference.warmup`."""

from __future__ import annotations

import sys
import time

import numpy as np

from simulators.inference.batching.policies import limits_for
from simulators.inference.cluster import Cluster
from simulators.inference.power.laws import constant_law
from simulators.inference.replica import Replica
from simulators.inference.routing import LeastOutstanding
from simulators.inference.timing.tables import INTERPOLATE, StageTables
from simulators.quantities.requests import RequestBlock


def main() -> None:
    """Compile by serving one request; the result lies in numba's cache beside the source."""
    started = time.perf_counter()
    print("compiling the batch loop (once per installation)...", file=sys.stderr)
    two, grid = np.ones(2), np.array([0.0, 1.0])
    table = np.ones((2, 2))
    tables = StageTables(
        *(INTERPOLATE, two, two, two, two, table, grid, table, grid, grid),
        *(0.0, 1, 1.0, 1.0, 1.0, two, 1.0, 1.0, 1.0),
    )
    replica = Replica(limits_for("vllm", total_blocks=1), tables, constant_law(1.0, 1.0))
    one = RequestBlock.of(np.zeros(1), np.ones(1, np.int64), np.ones(1, np.int64))
    Cluster([replica], LeastOutstanding()).advance(1.0, one)
    print(f"done in {time.perf_counter() - started:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
