"""Requests as arrays, made while time advances."""

from __future__ import annotations

from dataclasses import dataclass
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
    """

    arrived_at: NDArray[np.float64]
    prefill_tokens: NDArray[np.int64]
    decode_tokens: NDArray[np.int64]
    deferrable: NDArray[np.bool_]
    deadline: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.arrived_at)

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


class Workload(Protocol):
    """A source of requests. The requests depend on the seed alone, never on how time is cut into steps."""

    def take(self, until_s: float) -> RequestBlock:
        """All requests that arrive before `until_s` and were not taken before."""
        ...

    @property
    def exhausted(self) -> bool:
        """Whether no request is left."""
        ...
