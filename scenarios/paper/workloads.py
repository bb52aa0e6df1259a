"""The paper's requests, drawn exactly as its simulator (Vidur) draws them, so that the rest can be compared.

Two streams, both seeded with 42. *Arrivals*: exponential gaps by inversion from Python's Mersenne Twister, each cut
at 3 / rate, so the mean rate is 1 / (1 - exp(-3)) = 5.2 % above the nominal one. *Lengths*: NumPy's legacy Mersenne
Twister through the approximate inverse of the Zipf law of Gray et al., SIGMOD 1994, doi:10.1145/191839.191886, with
sums that leave out the last rank. Both generators are specified bit for bit, which is why they are used here although
the rest of the project draws from `numpy.random.Generator`.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulators.quantities.requests import RequestBlock
from simulators.traffic.stream import Stream, with_deferral

SEED = 42
LONGEST_GAP = 3.0
"""Times the mean gap."""
_BLOCK = 4096


@dataclass(frozen=True)
class ZipfLengths:
    """Total tokens from `minimum` to `maximum`, split `prefill_to_decode` : 1, both parts cut to whole tokens."""

    minimum: int = 1024
    maximum: int = 4096
    theta: float = 0.6
    prefill_to_decode: float = 20.0

    def blocks(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Prompt and output tokens without end, each of shape (4096,)."""
        generator = np.random.RandomState(SEED)
        items = self.maximum - self.minimum + 1
        zeta = float(np.sum(np.arange(1, items) ** -self.theta))
        eta = (1 - (2 / items) ** (1 - self.theta)) / (1 - 1 / zeta)
        while True:
            u = generator.random_sample(_BLOCK)
            rank = np.floor(items * (eta * u - eta + 1) ** (1 / (1 - self.theta))).astype(np.int64)
            rank[u * zeta < 1 + 0.5**self.theta] = 1
            rank[u * zeta < 1] = 0
            total = self.minimum + rank
            decode = total / (1 + self.prefill_to_decode)
            prefill = (total - decode).astype(np.int64)
            yield np.maximum(prefill, 1), np.maximum(decode.astype(np.int64), 1)


@dataclass(frozen=True)
class FixedLengths:
    """Every request alike, tokens."""

    prefill_tokens: int
    decode_tokens: int

    def blocks(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """See `ZipfLengths.blocks`."""
        while True:
            yield np.full(_BLOCK, self.prefill_tokens), np.full(_BLOCK, self.decode_tokens)


Lengths = ZipfLengths | FixedLengths
DEFAULT = ZipfLengths()
STARVED = ZipfLengths(16, 4096, 1.1, 0.5)
"""Of the number-of-requests experiment, with 512 KV blocks."""
SYNTHETIC = FixedLengths(2048, 512)
"""What Vidur takes where no length generator is named, as in the parallelism experiment."""


def arrivals(rate_per_s: float) -> Iterator[NDArray[np.float64]]:
    """Arrival times without end, s; each of shape (4096,)."""
    generator = random.Random(SEED)
    now = 0.0
    while True:
        times = np.empty(_BLOCK)
        for i in range(_BLOCK):
            gap = -math.log(1.0 - generator.random()) / rate_per_s
            now += min(gap, LONGEST_GAP / rate_per_s)
            times[i] = now
        yield times


class PaperRequests(Stream):
    """`count` requests of the paper at a nominal rate; with `defer_window_s` all of them may be held that long."""

    def __init__(
        self, count: int, rate_per_s: float, lengths: Lengths = DEFAULT, defer_window_s: float | None = None
    ) -> None:
        blocks: Iterator[RequestBlock] = (
            RequestBlock.of(times, prefill, decode)
            for times, (prefill, decode) in zip(arrivals(rate_per_s), lengths.blocks(), strict=False)
        )
        if defer_window_s is not None:
            blocks = with_deferral(blocks, 1.0, defer_window_s, np.random.SeedSequence(SEED))
        super().__init__(blocks, max_requests=count)
