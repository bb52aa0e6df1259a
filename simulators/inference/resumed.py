"""Requests whose KV cache a failure took and that are prefilled again with the answer they had so far.

Where prefill and decode are apart, what stands before the pools has every token that was handed out, so a request goes
on where it was: its prompt and those tokens are prefilled again, and their new KV cache is sent (NVIDIA Dynamo,
"Request Migration"). To the pools it is a request with a longer prompt and a shorter answer; what it had is kept here
until it is done: the tokens, the energy of the decodes that made them, and when each thing first happened to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.inference.batching.state import OFF, Limits, Records
from simulators.inference.emptied import NO_HASHES, begun_anew
from simulators.inference.request_records import hashed_tokens
from simulators.quantities.requests import RequestBlock

Key = tuple[int, int, float]
KEY = ("request_id", "tenant", "arrived_at")
"""What tells requests apart."""

ENERGIES = ("decode_j", "draft_j", "rejected_j")
TIMES = ("scheduled_at", "prefill_completed_at", "handed_at", "decoding_at")


class _Had(NamedTuple):
    """What a request had: output tokens, `ENERGIES` in J, hits of its first admission, and first `TIMES`, s."""

    tokens: int
    energies: tuple[float, ...]
    cached_tokens: int
    times: tuple[float, ...]


class Resumed:
    """What is kept of such requests, from a failure until they are done.

    Examples
    --------
    >>> from simulators.inference.batching.state import REQUEST
    >>> one = np.zeros(1, REQUEST)
    >>> one["prefill_tokens"], one["decode_tokens"], one["decode_j"], resumed = 10, 8, 5.0, Resumed()
    >>> again = resumed.begin(one, np.array([3]))
    >>> again["prefill_tokens"].tolist(), again["decode_tokens"].tolist(), resumed.requests_j
    ([13], [5], 5.0)
    >>> resumed.tell(again)["prefill_tokens"].tolist(), again["decode_j"].tolist()
    ([10], [5.0])
    """

    def __init__(self) -> None:
        self._had: dict[Key, _Had] = {}

    @property
    def requests_j(self) -> float:
        """Energy of the decodes of what they had, J."""
        return sum(had.energies[0] for had in self._had.values())

    def begin(self, lost: Records, tokens: NDArray[np.int64]) -> Records:
        """Requests as they begin again, in the order of `lost`.

        Parameters
        ----------
        lost
            As the pools had them; their `prefill_j`, and what drafting took of it, is lost, `decode_j` is not.
        tokens
            Output tokens that each gained since it last began; shape (requests,).
        """
        anew = begun_anew(lost)
        for i in np.flatnonzero(tokens).tolist():
            row, count = lost[i], int(tokens[i])
            key = _key(row)
            energies = [float(row[name]) for name in ENERGIES]
            energies[1] -= float(row["prompt_draft_j"])
            times, hits = tuple(float(row[name]) for name in TIMES), int(row["cached_tokens"])
            if (had := self._had.get(key)) is not None:
                count += had.tokens
                energies = [one + more for one, more in zip(had.energies, energies, strict=True)]
                times, hits = _first(had.times, times), had.cached_tokens
            self._had[key] = _Had(count, tuple(energies), hits, times)
        anew["prefill_tokens"] += tokens
        anew["decode_tokens"] -= tokens
        anew["target"] = anew["prefill_tokens"]
        return anew

    def tell(self, requests: Records, done: bool = False) -> Records:
        """Requests with what they had before, in place; of those that are `done` nothing is kept."""
        if not self._had or not len(requests):
            return requests
        for i in np.flatnonzero(requests["restarts"]).tolist():
            row = requests[i]
            had = self._had.get(_key(row))
            if had is None:
                continue
            row["prefill_tokens"] -= had.tokens
            row["decode_tokens"] += had.tokens
            for name, joules in zip(ENERGIES, had.energies, strict=True):
                row[name] += joules
            for name, at in zip(TIMES, _first(had.times, tuple(row[name] for name in TIMES)), strict=True):
                row[name] = at
            row["cached_tokens"] = had.cached_tokens
            if done:
                del self._had[_key(row)]
        return requests


class Contents:
    """What is in requests until they are done, for the prefix caches of replicas that may have to prefill them again.

    Parameters
    ----------
    limits
        Of the replicas that prefill.
    """

    def __init__(self, limits: Sequence[Limits]) -> None:
        self._hash_tokens = next((one.hash_tokens for one in limits if one.cache != OFF), 0)
        self._known: dict[Key, tuple[NDArray[np.int64], int]] = {}

    def see(self, requests: RequestBlock) -> None:
        """Requests come."""
        if not self._hash_tokens or requests.hash_ids is None:
            return
        keys = zip(*(getattr(requests, name).tolist() for name in KEY), strict=True)
        counts = hashed_tokens(requests, self._hash_tokens).tolist()
        self._known.update(zip(keys, zip(requests.hash_ids, counts, strict=True), strict=True))

    def of(self, requests: Records) -> list[NDArray[np.int64]]:
        """The hashes of requests that begin again, which are told how many tokens they stand for, in place."""
        found = [self._known.get(_key(row), (NO_HASHES[:0], 0)) for row in requests]
        requests["hashed_tokens"] = [tokens for _, tokens in found]
        return [hashes for hashes, _ in found]

    def forget(self, requests: Records) -> None:
        """Requests are done."""
        if self._known:
            for row in requests:
                self._known.pop(_key(row), None)


def _key(row: np.void) -> Key:
    number, tenant, arrived_at = (row[name] for name in KEY)
    return int(number), int(tenant), float(arrived_at)


def _first(earlier: tuple[float, ...], later: tuple[float, ...]) -> tuple[float, ...]:
    """`TIMES`, the earlier of each where it is known: NaN is not, nor is 0 of the last two."""
    known = [not np.isnan(one) and (one > 0 or k < 2) for k, one in enumerate(earlier)]
    return tuple(
        one if is_known else other for one, other, is_known in zip(earlier, later, known, strict=True)
    )
