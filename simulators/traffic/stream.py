"""Requests as time advances: synthetic ones, several sources together, and what may be deferred.

A source is an iterator of `RequestBlock`; `Stream` cuts it at the times a run asks for and holds no more than
the block it is in. Arrivals, lengths and deferral each draw from a child of the seed, so that one of them can
change and the others stay the same, request for request.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any, ClassVar

import numpy as np

from simulators.errors import InputError
from simulators.quantities.requests import RequestBlock, Workload
from simulators.threads import Beside, threads
from simulators.traffic.arrivals import Arrivals
from simulators.traffic.lengths import Lengths

Blocks = Iterator[RequestBlock]

MOST_AHEAD = 16
"""Blocks drawn ahead at once: memory stays that of some ten thousand requests."""


class Stream:
    """Cuts an iterator of blocks (ascending across blocks too) at the times asked for.

    Parameters
    ----------
    blocks
        The source; one block is read ahead.
    max_requests
        End after so many requests.
    horizon_s
        End before the first request at or after this time, s.
    bounded
        Whether `blocks` ends by itself. A source without end can only be taken up to a finite time.

    Examples
    --------
    >>> stream = Stream(iter([RequestBlock.of(np.arange(5.0), np.full(5, 512), np.full(5, 128))]))
    >>> stream.take(until_s=3.0).arrived_at.tolist(), stream.exhausted
    ([0.0, 1.0, 2.0], False)
    """

    REBUILT: ClassVar[tuple[str, ...]] = ("_blocks", "_ahead", "_drawing")

    def __init__(
        self,
        blocks: Blocks,
        *,
        max_requests: int | None = None,
        horizon_s: float | None = None,
        bounded: bool = True,
    ) -> None:
        if max_requests is not None and max_requests < 1:
            raise InputError(f"workload: the number of requests must be at least 1, got {max_requests}")
        if horizon_s is not None and not horizon_s > 0:
            raise InputError(f"workload: the horizon must be positive, got {horizon_s:g} s")
        self._blocks = blocks
        self._drawn = 0
        # of blocks that helpers draw before they are asked for: what came, None at the end, or what it failed with
        self._ahead: deque[RequestBlock | Exception | None] = deque()
        self._drawing: Beside[None] | None = None
        self._left = max_requests
        self._horizon_s = np.inf if horizon_s is None else horizon_s
        self._bounded = bounded or max_requests is not None or np.isfinite(self._horizon_s)
        self._ended = False
        self._block = RequestBlock.concatenate([])
        self._at = 0

    def take(self, until_s: float) -> RequestBlock:
        """All requests that arrive before `until_s` and were not taken before.

        Raises
        ------
        InputError
            If `until_s` is infinite and nothing bounds the source, or a recorded source turns out to be
            broken.
        """
        if until_s == np.inf and not self._bounded:
            raise InputError("workload: without end; give a number of requests or a horizon")
        taken: list[RequestBlock] = []
        drawn = self._drawn
        while self._fill():
            end = int(np.searchsorted(self._block.arrived_at, until_s, side="left"))
            if end > self._at:
                taken.append(self._block[self._at : end])
                self._at = end
            if end < len(self._block):
                break
        self._draw_ahead(self._drawn - drawn)
        return RequestBlock.concatenate(taken)

    @property
    def exhausted(self) -> bool:
        """Whether no request is left."""
        return not self._fill()

    def _next(self) -> RequestBlock | None:
        if self._drawing is not None:
            self._drawing.result()
            self._drawing = None
        if not self._ahead:
            self._draw(1)
        self._drawn += 1
        block = self._ahead.popleft()
        if isinstance(block, Exception):
            raise block
        return block

    def _draw(self, count: int) -> None:
        """Put the next blocks behind those ahead."""
        wanted = len(self._ahead) + count
        try:
            self._ahead.extend(islice(self._blocks, count))
            if len(self._ahead) < wanted:
                self._ahead.append(None)
        except Exception as error:  # raised where the block is asked for
            self._ahead.append(error)

    def _draw_ahead(self, count: int) -> None:
        """Have a helper draw as many blocks as were needed now, if there is one: they are the same whenever drawn."""
        missing = min(count, MOST_AHEAD) - len(self._ahead) if count else 0
        if missing > 0 and not self._ended and threads() > 1:
            self._drawing = Beside(partial(self._draw, missing))

    def rebuild(self, before: Mapping[str, Any]) -> None:
        """Have the source give again what was drawn from it when this stream was kept (`simulators.kept`)."""
        drawn, self._drawn = self._drawn, before["_drawn"]
        while self._drawn < drawn:
            self._next()

    def _fill(self) -> bool:
        """Have a request at hand; False if there is none."""
        while self._at >= len(self._block):
            block = None if self._ended else self._next()
            if block is None:
                self._ended = True
                self._block, self._at = RequestBlock.concatenate([]), 0
                return False
            end = len(block)
            if self._left is not None:
                end = min(end, self._left)
            if np.isfinite(self._horizon_s):
                end = min(end, int(np.searchsorted(block.arrived_at, self._horizon_s, side="left")))
            if self._left is not None:
                self._left -= end
            self._ended = end < len(block) or self._left == 0
            self._block, self._at = (block if end == len(block) else block[:end]), 0
        return True


class SyntheticWorkload(Stream):
    """Requests from a law of arrivals and a law of lengths.

    Parameters
    ----------
    arrivals, lengths
        The two laws; they draw from separate children of the seed.
    seed
        Seed of everything; the same seed gives the same requests.
    num_requests, horizon_s
        End after so many requests, or before that time (s); at least one where the arrivals do not end by
        themselves and all requests are taken at once.
    deferrable_share
        Share of the requests a scheduler may hold back, 0..1. A larger share adds requests to those of a
        smaller one.
    defer_window_s
        How long after its arrival such a request must be complete, s; a pair (shortest, longest) draws uniformly.
    tenant
        Index written into every request.

    Examples
    --------
    >>> from simulators.traffic.arrivals import Poisson
    >>> from simulators.traffic.lengths import Fixed
    >>> block = SyntheticWorkload(Poisson(2.0), Fixed(512, 128), seed=1, deferrable_share=0.25).take(until_s=3600.0)
    >>> 7000 < len(block) < 7400, bool(0.23 < block.deferrable.mean() < 0.27)
    (True, True)
    """

    def __init__(
        self,
        arrivals: Arrivals,
        lengths: Lengths,
        seed: int,
        num_requests: int | None = None,
        horizon_s: float | None = None,
        deferrable_share: float = 0.0,
        defer_window_s: float | tuple[float, float] = 3600.0,
        tenant: int = 0,
    ) -> None:
        arrival_seed, length_seed, defer_seed = child_seeds(seed)
        blocks = _synthetic(arrivals, lengths, arrival_seed, length_seed, tenant)
        super().__init__(
            with_deferral(blocks, deferrable_share, defer_window_s, defer_seed),
            max_requests=num_requests,
            horizon_s=horizon_s,
            bounded=arrivals.bounded,
        )


def child_seeds(seed: int) -> list[np.random.SeedSequence]:
    """Independent seeds for arrivals, lengths and deferral, in this order."""
    if seed < 0:
        raise InputError(f"workload: the seed must be a whole number >= 0, got {seed}")
    return np.random.SeedSequence(seed).spawn(3)


def _synthetic(
    arrivals: Arrivals,
    lengths: Lengths,
    arrival_seed: np.random.SeedSequence,
    length_seed: np.random.SeedSequence,
    tenant: int,
) -> Blocks:
    length_rng = np.random.default_rng(length_seed)
    for times in arrivals.chunks(np.random.default_rng(arrival_seed)):
        n = len(times)
        prefill, decode = lengths.draw(length_rng, n)
        never = np.full(n, np.inf)
        yield RequestBlock(
            times, prefill, decode, np.zeros(n, dtype=np.bool_), never, np.full(n, tenant, dtype=np.int32)
        )


def with_deferral(
    blocks: Blocks,
    share: float,
    window_s: float | tuple[float, float],
    seed: np.random.SeedSequence,
) -> Blocks:
    """Mark a random share of the requests as deferrable and give each its deadline.

    Requests a source marked already stay as they are. Two numbers are drawn per request whatever the share,
    so that neither the share nor the window moves the other's draws.
    """
    shortest, longest = window_s if isinstance(window_s, tuple) else (window_s, window_s)
    if not 0 <= share <= 1:
        raise InputError(f"workload: the deferrable share must be within 0..1, got {share:g}")
    if not 0 <= shortest <= longest < np.inf:
        raise InputError(f"workload: the deferral window must be seconds >= 0, got {shortest:g}..{longest:g}")
    if share == 0:
        return blocks
    return _deferred(blocks, share, shortest, longest, seed)


def _deferred(
    blocks: Blocks, share: float, shortest_s: float, longest_s: float, seed: np.random.SeedSequence
) -> Blocks:
    rng = np.random.default_rng(seed)
    for block in blocks:
        draws = rng.random((len(block), 2))
        chosen = (draws[:, 0] < share) & ~block.deferrable
        window_s = shortest_s + (longest_s - shortest_s) * draws[:, 1]
        yield replace(
            block,
            deferrable=block.deferrable | chosen,
            deadline=np.where(chosen, block.arrived_at + window_s, block.deadline),
        )


class Repeated:
    """A source each of whose requests comes several times at once: to as many clusters.

    Examples
    --------
    >>> tokens = np.array([9, 8])
    >>> one = Stream(iter([RequestBlock.of(np.array([0.0, 4.0]), tokens, tokens)]))
    >>> Repeated(one, 2).take(until_s=10.0).prefill_tokens.tolist()
    [9, 9, 8, 8]
    """

    def __init__(self, source: Workload, times: int) -> None:
        self._source = source
        self._times = times

    def take(self, until_s: float) -> RequestBlock:
        """See `Workload`."""
        block = self._source.take(until_s)
        return block if self._times == 1 else block[np.repeat(np.arange(len(block)), self._times)]

    @property
    def exhausted(self) -> bool:
        """Whether no request is left."""
        return self._source.exhausted


class Merged:
    """Several sources (tenants) as one, by arrival; of equal times the earlier source comes first.

    Examples
    --------
    >>> tokens = np.array([9, 9])
    >>> one, other = (Stream(iter([RequestBlock.of(np.array(at), tokens, tokens)])) for at in ([0.0, 4.0], [1.0, 4.0]))
    >>> Merged([one, other]).take(until_s=10.0).arrived_at.tolist()
    [0.0, 1.0, 4.0, 4.0]
    """

    def __init__(self, sources: Sequence[Workload]) -> None:
        if not sources:
            raise InputError("workload: nothing to merge")
        self._sources = list(sources)

    def take(self, until_s: float) -> RequestBlock:
        """See `Workload`."""
        blocks = [block for source in self._sources if len(block := source.take(until_s))]
        together = RequestBlock.concatenate(blocks)
        if len(blocks) < 2:
            return together
        return together[np.argsort(together.arrived_at, kind="stable")]

    @property
    def exhausted(self) -> bool:
        """Whether no source has a request left."""
        return all(source.exhausted for source in self._sources)
