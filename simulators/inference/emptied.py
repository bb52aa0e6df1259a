"""A replica whose GPUs have lost all they held: what it had to do, and its state without it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.inference.batching.shares import shared_as
from simulators.inference.batching.state import Capacity, Limits, Records, State, new_state

NO_HASHES = np.zeros(1, np.int64)
"""Of requests of which nobody knows what is in them."""

KEPT = (
    *("now", "serves_from", "completed", "last_completion", "log_on", "batches", "evictions"),
    *(
        "formed_at",
        "landed_at",
        "attributed_j",
        "kv_block_s",
        "batch_sizes",
        "prefill_tokens",
        "decode_tokens",
    ),
    *("serial", "overwritten", "prompt_tokens", "hit_tokens", "prompt_blocks", "hit_blocks"),
    *("host_written", "host_fetched", "host_overwritten", "host_hit_blocks"),
    *("host_block_s", "host_latency_s", "host_layers", "host_ranks"),
    *("key", "acceptance", "verifications", "drafted", "verified", "accepted", "draft_j", "rejected_j"),
)
"""Counters that tell of what was done, and go on; all others tell of what is there."""


def emptied(state: State, capacity: Capacity) -> State:
    """The same replica with nothing to do and, if it has a prefix cache, none of its blocks known."""
    counters = state.counters.view(np.ndarray)
    fresh = new_state(capacity, slots=len(state.requests))
    for name in KEPT:
        fresh.counters.view(np.ndarray)[name] = counters[name]
    if counters["shares"][0]:
        fresh = shared_as(fresh, state)
    return fresh._replace(finished=state.finished, log=state.log)


class Left(NamedTuple):
    """What a replica had to do when it failed.

    Attributes
    ----------
    requests
        Those that were not finished, with the energy spent on each, in order of release.
    hashes
        Of each; none without a prefix cache.
    in_flight_j
        Of that energy, what went into the batches in flight, J; shape (requests,).
    """

    requests: Records
    hashes: list[NDArray[np.int64]]
    in_flight_j: NDArray[np.float64]


def cut_flights(state: State, limits: Limits, at: float) -> None:
    """End the batches in flight at a time, s, where they are: what they would still do is not done."""
    counters, segments = state.counters.view(np.ndarray), state.segments.view(np.ndarray)
    for k in range(int(counters["flights"][0])):
        flight = segments[(int(counters["flight_head"][0]) + k) % limits.stages]
        for name in ("starts_at", "ends_at"):
            flight[name] = np.minimum(flight[name], at)


def hashes_from(where: NDArray[np.int64], requests: Records, hash_tokens: int) -> list[NDArray[np.int64]]:
    """The hashes of requests, one array each, from where they stand: each from its `table_at` on."""
    counts = -(-requests["hashed_tokens"] // hash_tokens)
    return [
        where[first : first + count].copy()
        for first, count in zip(requests["table_at"].tolist(), counts.tolist(), strict=True)
    ]


def one_after_the_other(requests: Records, hashes: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    """The hashes of requests in one array; the requests are told where theirs stand."""
    counts = np.array([len(one) for one in hashes], dtype=np.int64)
    requests["table_at"] = np.cumsum(counts) - counts
    return np.concatenate((*hashes, NO_HASHES))


def produced(requests: Records) -> NDArray[np.int64]:
    """Output tokens that unfinished requests have so far; an evicted one is to prefill them with its prompt."""
    reached = np.where(requests["prefilled"] == 1, requests["processed"], requests["target"])
    return np.asarray(reached - requests["prefill_tokens"], dtype=np.int64)


def begun_anew(requests: Records) -> Records:
    """Unfinished requests as they came, counting one restart more where a batch had been formed with them.

    What a prefix cache had of them when they were first admitted stays: it counts once.
    """
    anew = requests.copy()
    anew["restarts"] += ~np.isnan(requests["scheduled_at"])
    anew["target"] = requests["prefill_tokens"]
    for name in ("scheduled_at", "prefill_completed_at", "completed_at"):
        anew[name] = np.nan
    for name in (
        *("processed", "prefilled", "blocks", "hit_tokens"),
        *("prefill_j", "decode_j", "cached_j", "draft_j", "prompt_draft_j", "rejected_j"),
        *("handed_at", "decoding_at", "link_wait_s"),
    ):
        anew[name] = 0
    return anew
