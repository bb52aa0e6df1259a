"""Requests as arrays, made while time advances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

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
        When a deferrable request must be complete at the latest, s; inf where not deferrable.
    tenant
        Who sent it: an index a caller gives its sources; 0 where nobody said.
    request_id
        Number in order of arrival at its source; -1 before it has one.
    released_at
        When it was let go to a cluster, s; its arrival unless a gate held it back.
    hash_ids
        What is in each prompt, for a prefix cache: arrays of whole numbers, each standing for equally many tokens and
        all before them, the last one perhaps for fewer; where they go on beyond the prompt, for the output. None: not
        known of any.
    session
        Number of the session that each is a turn of; -1 where it is of none; None: not known of any.

    Examples
    --------
    >>> block = RequestBlock.of(np.array([0.0, 2.5]), np.array([512, 900]), np.array([128, 1]))
    >>> len(block), block[1:].released_at.tolist()
    (2, [2.5])
    >>> RequestBlock.from_plain([block.to_plain(), None]).prefill_tokens.tolist()
    [512, 900]
    """

    arrived_at: NDArray[np.float64]
    prefill_tokens: NDArray[np.int64]
    decode_tokens: NDArray[np.int64]
    deferrable: NDArray[np.bool_]
    deadline: NDArray[np.float64]
    tenant: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, dtype=np.int32))
    request_id: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    released_at: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    hash_ids: NDArray[np.object_] | None = None
    session: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        rows = len(self.arrived_at)
        for name, default in (
            ("tenant", lambda: np.zeros(rows, dtype=np.int32)),
            ("request_id", lambda: np.full(rows, -1, dtype=np.int64)),
            ("released_at", lambda: self.arrived_at),
        ):
            given = len(getattr(self, name))
            if given != rows:
                if given:
                    raise ValueError(f"{name} must have one entry per request")
                object.__setattr__(self, name, default())

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
            self.request_id[rows],
            self.released_at[rows],
            None if self.hash_ids is None else self.hash_ids[rows],
            None if self.session is None else self.session[rows],
        )

    def arriving(self, arrived_at: NDArray[np.float64]) -> RequestBlock:
        """The same requests, arriving (and let go) at other times, s; deadlines stay."""
        return replace(self, arrived_at=arrived_at, released_at=arrived_at)

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
            np.concatenate([b.request_id for b in blocks]),
            np.concatenate([b.released_at for b in blocks]),
            None
            if all(b.hash_ids is None for b in blocks)
            else np.concatenate(
                [ragged([_NONE] * len(b)) if b.hash_ids is None else b.hash_ids for b in blocks]
            ),
            None
            if all(b.session is None for b in blocks)
            else np.concatenate([np.full(len(b), -1) if b.session is None else b.session for b in blocks]),
        )

    def to_plain(self) -> dict[str, list[Any]]:
        """Columns as lists, to cross mosaik; an empty dictionary for no request."""
        if not len(self):
            return {}
        plain: dict[str, list[Any]] = {name: getattr(self, name).tolist() for name in _DTYPES}
        if self.hash_ids is not None:
            plain["hash_ids"] = [hashes.tolist() for hashes in self.hash_ids]
        if self.session is not None:
            plain["session"] = self.session.tolist()
        return plain

    @classmethod
    def from_plain(cls, parts: Sequence[RequestBlock | Mapping[str, Sequence[Any]] | None]) -> RequestBlock:
        """The requests of several sources (`to_plain`, or blocks as they are), in order of their release."""
        blocks = [
            part
            if isinstance(part, RequestBlock)
            else cls(
                **{name: np.asarray(part[name], dtype=dtype) for name, dtype in _DTYPES.items()},
                hash_ids=ragged([np.array(h, dtype=np.int64) for h in part["hash_ids"]])
                if "hash_ids" in part
                else None,
                session=np.array(part["session"], dtype=np.int64) if "session" in part else None,
            )
            for part in parts
            if part
        ]
        together = cls.concatenate(blocks)
        if len(blocks) < 2:
            return together
        return together[np.argsort(together.released_at, kind="stable")]


def ragged(rows: Sequence[NDArray[np.int64]]) -> NDArray[np.object_]:
    """Arrays of different lengths as an array of them; shape (n,)."""
    made = np.empty(len(rows), dtype=np.object_)
    for number, row in enumerate(rows):  # not at once: NumPy would make rows of equal length one array
        made[number] = row
    return made


_NONE = np.zeros(0, dtype=np.int64)
_DTYPES: dict[str, Any] = {
    "arrived_at": np.float64,
    "prefill_tokens": np.int64,
    "decode_tokens": np.int64,
    "deferrable": np.bool_,
    "deadline": np.float64,
    "tenant": np.int32,
    "request_id": np.int64,
    "released_at": np.float64,
}


class Workload(Protocol):
    """A source of requests. The requests depend on the seed alone, never on how time is cut into steps."""

    def take(self, until_s: float) -> RequestBlock:
        """All requests that arrive before `until_s` and were not taken before."""
        ...

    @property
    def exhausted(self) -> bool:
        """Whether no request is left."""
        ...
