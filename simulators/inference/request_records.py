"""Requests as the replicas keep them, and what a prefix cache is to know of their content."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulators.errors import InputError
from simulators.inference.batching.state import REQUEST, Records
from simulators.inference.emptied import NO_HASHES
from simulators.quantities.requests import RequestBlock


def records_of(block: RequestBlock) -> Records:
    """A block of requests as the replicas keep them."""
    records = np.zeros(len(block), REQUEST)
    for name in (
        "request_id",
        "arrived_at",
        "released_at",
        "prefill_tokens",
        "decode_tokens",
        "deferrable",
        "tenant",
        "deadline",
    ):
        records[name] = getattr(block, name)
    for name in ("scheduled_at", "prefill_completed_at", "completed_at"):
        records[name] = np.nan
    records["target"] = block.prefill_tokens
    return records


def hashes_of(block: RequestBlock, records: Records, hash_tokens: int) -> NDArray[np.int64]:
    """The hashes of a block's requests one after the other; its records are told where theirs are.

    A hash stands for `hash_tokens` tokens; the last one of a prompt for what is left of it.

    Raises
    ------
    InputError
        If nothing is known of the content of any: a cache could find nothing, and would seem to.
    """
    if not len(block):
        return NO_HASHES
    if block.hash_ids is None:
        raise InputError(
            "--prefix-cache: nothing is known of what is in the requests, expected --session-turns or a trace with "
            "hash_ids (Mooncake)"
        )
    counts = np.array([len(hashes) for hashes in block.hash_ids])
    records["table_at"] = np.cumsum(counts) - counts
    records["hashed_tokens"] = hashed_tokens(block, hash_tokens)
    return np.concatenate((*block.hash_ids, NO_HASHES))


def hashed_tokens(block: RequestBlock, hash_tokens: int) -> NDArray[np.int64]:
    """Tokens of each request that its hashes stand for, of the answer too where there are enough; shape (requests,)."""
    if block.hash_ids is None:
        return np.zeros(len(block), np.int64)
    known = hash_tokens * np.array([len(hashes) for hashes in block.hash_ids], dtype=np.int64)
    total = block.prefill_tokens + block.decode_tokens
    beyond = known >= block.prefill_tokens + hash_tokens
    return np.minimum(known, np.where(beyond, total, block.prefill_tokens))
