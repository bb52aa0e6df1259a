"""Requests as arrays, made while time advances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class RequestBlock:
    """Requests in order of arrival; all arrays have shape (n,).

    Attributes
    ----------
    arrived_at
        Arrival, s from the start of the run, ascending.
    prefill_tokens
        Prompt length, tokens, >= 1.
    decode_tokens
        Output length, tokens, >= 1 (the first comes with the prefill).
    deferrable
        Whether a scheduler may hold the request back.
    deadline
        When a held request must have been released at the latest, s; inf where not deferrable.
    tenant
        Who sent it: an index a caller gives its sources; 0 where nobody said.
    """

    arrived_at: NDArray[np.float64]
    prefill_tokens: NDArray[np.int64]
    decode_tokens: NDArray[np.int64]
    deferrable: NDArray[np.bool_]
    deadline: NDArray[np.float64]
    tenant: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, dtype=np.int32))

    def __post_init__(self) -> None:
        if len(self.tenant) != len(self.arrived_at):
            if len(self.tenant):
                raise ValueError("tenant must have one entry per request")
            object.__setattr__(self, "tenant", np.zeros(len(self.arrived_at), dtype=np.int32))

    def __len__(self) -> int:
        return len(self.arrived_at)

    def __getitem__(self, rows: slice | NDArray[np.intp] | NDArray[np.bool_]) -> RequestBlock:
        """The requests at `rows`: views for a slice, copies for an index array or a mask."""
        return RequestBlock(
            self.arrived_at[rows],
            self.prefill_tokens[rows],
            self.decode_tokens[rows],
            self.deferrable[rows],
            self.deadline[rows],
            self.tenant[rows],
        )

    @classmethod
    def of(
        cls,
        arrived_at: NDArray[np.float64],
        prefill_tokens: NDArray[np.int64],
        decode_tokens: NDArray[np.int64],
    ) -> RequestBlock:
        """A block of which nothing is deferrable."""
        n = len(arrived_at)
        return cls(
            np.asarray(arrived_at, dtype=np.float64),
            np.asarray(prefill_tokens, dtype=np.int64),
            np.asarray(decode_tokens, dtype=np.int64),
            np.zeros(n, dtype=np.bool_),
            np.full(n, np.inf),
        )

    @classmethod
    def concatenate(cls, blocks: Sequence[RequestBlock]) -> RequestBlock:
        """The requests of `blocks` one after the other, as they are; an empty block for none."""
        if not blocks:
            return cls.of(np.zeros(0), np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))
        if len(blocks) == 1:
            return blocks[0]
        return cls(
            np.concatenate([b.arrived_at for b in blocks]),
            np.concatenate([b.prefill_tokens for b in blocks]),
            np.concatenate([b.decode_tokens for b in blocks]),
            np.concatenate([b.deferrable for b in blocks]),
            np.concatenate([b.deadline for b in blocks]),
            np.concatenate([b.tenant for b in blocks]),
        )


class Workload(Protocol):
    """A source of requests. The requests depend on the seed alone, never on how time is cut into steps."""

    def take(self, until_s: float) -> RequestBlock:
        """All requests that arrive before `until_s` and were not taken before."""
        ...

    @property
    def exhausted(self) -> bool:
        """Whether no request is left."""
        ...
