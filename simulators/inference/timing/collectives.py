"""What GPUs take to exchange data: NCCL's collectives as measured, or the data sheet's link.

aiconfigurator-core brings times of nccl-tests per system and number of GPUs; their size is that of the whole buffer, of
which each GPU holds a share (for an all-reduce, a copy). A GPU without measurements takes a latency and its share of
the transfer at the rate of its link.

Beyond a node nothing was collected. A collective there takes NCCL's time on one node, a hop over the network for every
doubling of the nodes (up and down again for an all-reduce), and each GPU's share of the transfer at the network's rate.
"""

from __future__ import annotations

import functools
import importlib.resources
import math
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from simulators.inference.catalogue import Gpu
from simulators.inference.timing.all_to_all import nodes_of
from simulators.inference.timing.tables import FloatArray
from simulators.inference.timing.work import LINK_LATENCY_S

Collective = Literal["all_reduce", "all_gather", "reduce_scatter"]
_SENT = {"all_reduce": 2.0, "all_gather": 1.0, "reduce_scatter": 1.0}
"""Times the buffer passes over each link of a ring, but for the share (gpus - 1) / gpus."""

HOP_S = 18e-6
"""One hop of a small all-reduce over InfiniBand, s: 99 us for 32 and 64 KiB on four nodes of eight B200 against 26 us
on one (stas00/ml-engineering, network/benchmarks, 2026), by two hops up NCCL's tree and two down."""
HOP_RANGE_S = (9e-6, 23e-6)
"""Low: two A100 on two nodes, 19 us there and back (NVIDIA/nccl-tests, issue 150). High: H100 in virtual machines, 62
us on two nodes (NVIDIA/nccl, issue 1453)."""


def hops_s(nodes: int, operation: Collective = "all_reduce") -> float:
    """What a small collective takes longer over so many nodes than within one, s; an all-reduce goes up NCCL's tree and
    down again.

    Examples
    --------
    >>> [round(1e6 * hops_s(nodes)) for nodes in (1, 2, 4)]
    [0, 36, 72]
    """
    return _SENT[operation] * math.ceil(math.log2(nodes)) * HOP_S


def collective_seconds(gpu: Gpu, operation: Collective, gpus: int, size: FloatArray) -> FloatArray:
    """Time of one collective, s; shape as `size`.

    Parameters
    ----------
    gpu
        Which GPUs.
    operation
        What is done.
    gpus
        How many take part; for 1, nothing is to be done.
    size
        Bytes of the whole buffer.

    Examples
    --------
    >>> from simulators.inference.catalogue import gpu
    >>> collective_seconds(gpu("rtx-4090"), "all_gather", 2, np.array([64e6])) # 10 us and 32 MB at 32 GB/s
    array([0.00101])
    >>> [round(1e6 * collective_seconds(gpu("h100"), "all_reduce", n, np.array([14336.0]))[0]) for n in (8, 16)]
    [19, 55]
    """
    if gpus == 1:
        return np.zeros_like(size)
    measured = _measured(gpu.aiconfigurator_system, gpus)
    if operation in measured:
        sizes, seconds = measured[operation]
        beyond = np.maximum(0.0, size - sizes[-1]) * seconds[-1] / sizes[-1]
        return np.asarray(np.interp(size, sizes, seconds) + beyond)
    nodes = nodes_of(gpu, gpus)
    if nodes > 1:
        near_s = collective_seconds(gpu, operation, -(-gpus // nodes), size)
        far_s = _SENT[operation] * size * (nodes - 1) / gpus / gpu.network_bandwidth
        return near_s + hops_s(nodes, operation) + far_s
    return np.asarray(LINK_LATENCY_S + _SENT[operation] * size * (gpus - 1) / gpus / gpu.link_bandwidth)


@functools.cache
def _measured(system: str | None, gpus: int) -> dict[str, tuple[FloatArray, FloatArray]]:
    """Sizes (B) and times (s) by operation, of the newest NCCL measured with 16 bit values; empty if none was."""
    if system is None:
        return {}
    home = Path(str(importlib.resources.files("aiconfigurator_core"))) / "systems" / "data" / system
    files = sorted(home.glob("comm/nccl/*/nccl_perf.parquet"))
    if not files:
        return {}
    frame = pd.read_parquet(files[-1])
    frame = frame[(frame["num_gpus"] == gpus) & (frame["nccl_dtype"] == "half")]
    curves = {
        str(name): part.groupby("message_size")["latency"].median() for name, part in frame.groupby("op_name")
    }
    return {
        name: (curve.index.to_numpy(dtype=np.float64), curve.to_numpy(dtype=np.float64) * 1e-3)
        for name, curve in curves.items()
    }
