"""What lies between a replica that prefills and those that decode: how fast it is, and what moving a KV cache takes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.quantities.factor import Factor

MOVED = Factor(
    value=2.1e-10,
    low=1.8e-10,
    high=1.4e-9,
    unit="J/B",
    source="a read of memory at one end and a write at the other, 1.07e-10 J/B each (fitted to H200 kernels in fp16; "
    "0.9 to 1.25e-10 on other GPUs); the upper end adds a 25 W adapter for 400 Gb/s at each end. Not measured on "
    "transfers, and adapters draw most of it idle as well",
)
"""Energy of moving one byte of KV cache between GPUs."""


class Link(NamedTuple):
    """How the KV caches of one replica leave it.

    Attributes
    ----------
    s_per_token, s_per_request
        Time on the link for each token of the prompt, and for whatever does not depend on it, s.
    bytes_per_token, bytes_per_request
        What arrives, over all GPUs, B.
    latency_s
        Of each transfer, s.
    overlap
        Largest share of the time for the bytes that runs while the prompt is still computed, 1.
    joules_per_byte
        J/B.
    """

    s_per_token: float
    s_per_request: float
    bytes_per_token: float
    bytes_per_request: float
    latency_s: float = 0.0
    overlap: float = 0.0
    joules_per_byte: float = MOVED.value


def put_into_bins(
    running: NDArray[np.float64],
    between: tuple[float, float],
    bins: NDArray[np.float64],
    begins_at: float,
    width_s: float,
) -> None:
    """Add what transfers took between two times to equal bins, J.

    Parameters
    ----------
    running
        Of each transfer its start and end, s, and its energy, J, drawn evenly; shape (transfers, 3).
    between
        s; within the bins.
    bins
        Changed in place, J; shape (bins,).
    begins_at, width_s
        Start of the first bin and width of each, s.

    Examples
    --------
    >>> bins = np.zeros(3)
    >>> put_into_bins(np.array([[1.0, 5.0, 8.0]]), (2.0, 6.0), bins, 0.0, 2.0)
    >>> bins.tolist()
    [0.0, 4.0, 2.0]
    """
    from_s, to_s, of_each = running.T
    low = np.maximum(from_s, between[0])
    high = np.minimum(to_s, between[1])
    watts = of_each / np.maximum(to_s - from_s, 1e-300)
    count = len(bins)
    first = np.clip(((low - begins_at) / width_s).astype(np.int64), 0, count - 1)
    last = np.clip(((high - begins_at) / width_s).astype(np.int64), 0, count - 1)
    within = first == last
    whole = np.where(to_s > from_s, watts * (high - low), of_each)
    np.add.at(bins, first[within], whole[within])
    left = ~within
    for number in range(int(first[left].min(initial=count)), int(last[left].max(initial=-1)) + 1):
        starts_at = begins_at + number * width_s
        covered_s = np.minimum(high[left], starts_at + width_s) - np.maximum(low[left], starts_at)
        bins[number] += float((watts[left] * np.maximum(covered_s, 0.0)).sum())
