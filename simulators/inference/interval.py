"""What a cluster did in one interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from simulators.inference.batching.state import REQUEST, Records

SERIES = ("prefill_w", "decode_w", "idle_w", "mfu", "mbu")

BOTH, PREFILL, DECODE = range(3)
"""What a replica does (`Interval.roles`)."""

POOLS = ("prefill_pool_w", "decode_pool_w", "transfer_w")
"""Columns of `Interval.pool_w`."""

# columns of `Interval.by_replica`
BY_REPLICA = (
    "prefill_j", "decode_j", "idle_j", "transition_j", "prefill_tokens", "decode_tokens", "completed",
    "lost_work_j", "lost_tokens",
)  # fmt: skip


SUMS = (
    "prefill_j", "decode_j", "idle_j", "transition_j", "transfer_j", "lost_work_j",
    "received", "completed", "rejected", "running", "waiting", "prefill_tokens", "decode_tokens", "lost_tokens",
)  # fmt: skip
"""Joules and counts of an `Interval`: they add up over clusters, and over copies of one."""


@dataclass(frozen=True)
class Interval:
    """What a cluster did in [begins_at, ends_at).

    Attributes
    ----------
    begins_at, ends_at
        s.
    prefill_j, decode_j, idle_j, transfer_j
        GPU energy by phase, J; idle is drawn while no iteration runs on a GPU, transfer is that of KV caches between
        pools, or of KV blocks to host memory and back. Their sum is the meter.
    transition_j
        What of `idle_j` went into parking replicas and waking them, J.
    series
        The interval in equal bins, columns `SERIES`: powers in W, utilisations in 1; shape (bins, 5).
    mfu, mbu
        Achieved FLOP/s and memory traffic of all GPUs over their peaks, time-weighted, 1.
    busy
        Share of the GPU time in which iterations ran, 1.
    received, completed, rejected
        Requests, within the interval.
    running, waiting
        Requests at its end: holding KV cache; queued at a replica.
    prefill_tokens, decode_tokens
        Tokens processed (recomputed ones included) and produced.
    kv_use
        Mean share of the KV blocks in use, 1.
    finished
        The completed requests (`REQUEST` records), each once however many copies there are.
    by_replica
        Energy, tokens and completed requests of every replica, columns `BY_REPLICA`; shape (replicas, 9).
    pool_w
        Where pools of replicas are apart, the power of those that only prefill, of those that only decode, and of what
        `transfer_j` is of, W, in the bins of `series`; shape (bins, 3). Else None.
    roles
        There, of each replica, one of `BOTH`, `PREFILL` and `DECODE`; shape (replicas,). Else None.
    lost_work_j, lost_tokens
        What failures undid in it: energy of requests that began anew, J, drawn in it or before and in nobody's
        account but the meter's, and output tokens that they had (`failures.py`); by replica, of the one that failed.
    """

    begins_at: float
    ends_at: float
    prefill_j: float
    decode_j: float
    idle_j: float
    transition_j: float
    series: NDArray[np.float64]
    mfu: float
    mbu: float
    busy: float
    received: float
    completed: float
    rejected: float
    running: float
    waiting: float
    prefill_tokens: float
    decode_tokens: float
    kv_use: float
    finished: Records
    by_replica: NDArray[np.float64]
    transfer_j: float = 0.0
    pool_w: NDArray[np.float64] | None = None
    roles: NDArray[np.int8] | None = None
    lost_work_j: float = 0.0
    lost_tokens: float = 0.0

    @property
    def energy_j(self) -> float:
        """The meter, J."""
        return self.prefill_j + self.decode_j + self.idle_j + self.transfer_j

    @property
    def power_w(self) -> NDArray[np.float64]:
        """The meter in the bins of `series`, W; what moves to host memory and back is spread evenly over them."""
        watts: NDArray[np.float64] = self.series[:, :3].sum(axis=1)
        if self.pool_w is not None:
            return watts + self.pool_w[:, POOLS.index("transfer_w")]
        return watts + self.transfer_j / (self.ends_at - self.begins_at) if self.transfer_j else watts

    @property
    def prefill_pool_j(self) -> float:
        """What the replicas that only prefill drew, J."""
        return self._role_j(PREFILL)

    @property
    def decode_pool_j(self) -> float:
        """What those that only decode drew, J."""
        return self._role_j(DECODE)

    def _role_j(self, role: int) -> float:
        return 0.0 if self.roles is None else float(self.by_replica[self.roles == role, :3].sum())

    def times(self, copies: float) -> Interval:
        """The interval of so many equal clusters: joules, powers, requests and tokens together; shares stay."""
        series = self.series.copy()
        series[:, : SERIES.index("mfu")] *= copies
        return replace(
            self,
            **{name: copies * getattr(self, name) for name in SUMS},
            series=series,
            by_replica=copies * self.by_replica,
            pool_w=None if self.pool_w is None else copies * self.pool_w,
        )

    def cut(self, at: float, after_j: NDArray[np.float64]) -> tuple[Interval, int]:
        """The interval ended at `at`, after which nothing was served; and the bins that remain.

        `after_j` is what the replicas drew after `at`, and what of it fell on transitions, J; shape (replicas, 2). The
        last remaining bin keeps its full width in `series`.
        """
        span_s, kept_s = self.ends_at - self.begins_at, at - self.begins_at
        bins = max(1, int(np.ceil(kept_s / span_s * len(self.series) - 1e-9)))
        by_replica = self.by_replica.copy()
        energy = [BY_REPLICA.index("idle_j"), BY_REPLICA.index("transition_j")]
        by_replica[:, energy] = 0.0 if kept_s <= 0 else by_replica[:, energy] - after_j
        idle_j, transition_j = by_replica[:, energy].sum(axis=0).tolist()
        stretch = span_s / kept_s if kept_s > 0 else 0.0
        return (
            replace(
                self,
                ends_at=at,
                idle_j=idle_j,
                transition_j=transition_j,
                mfu=self.mfu * stretch,
                mbu=self.mbu * stretch,
                busy=self.busy * stretch,
                kv_use=self.kv_use * stretch,
                by_replica=by_replica,
            ),
            bins,
        )


_WHOLE = np.dtype(f"V{REQUEST.itemsize}")
"""A record as bytes: NumPy then does not look at every field of every one (50 us)."""


def joined(parts: Sequence[Records]) -> Records:
    """Request records one after the other."""
    filled = [part.view(_WHOLE) for part in parts if len(part)]
    return np.concatenate(filled).view(REQUEST) if filled else np.zeros(0, REQUEST)


def copied(records: Records) -> Records:
    """Some records of any kind once more."""
    return records.view(f"V{records.dtype.itemsize}").copy().view(records.dtype)


def taken(records: Records, places: NDArray[np.int64]) -> Records:
    """Some request records, in the order of `places`."""
    return records.view(_WHOLE)[places].view(REQUEST)
