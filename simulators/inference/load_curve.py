"""The power and latency of one replica against its load, measured on the engine itself."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from simulators.errors import InputError
from simulators.inference.options import UNCACHED, Serving
from simulators.inference.serving import build_cluster
from simulators.quantities.commands import ChunkBudget, ClockLimit
from simulators.quantities.latencies import latencies
from simulators.quantities.load_curve import LoadCurve, Mode
from simulators.quantities.requests import RequestBlock

CLOCKS = (1.0, 0.9, 0.8, 0.7, 0.6)
"""Relative clocks that are tried."""

SMALL_CHUNK = 1024
"""A second token bound, tokens: prompts in smaller pieces hold up those that decode less."""

SHARES = (0.03, 0.06, 0.12, 0.25, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.97)
"""Rates that are tried, as shares of the saturated one."""

WARM_UP_S, LEAST_S, MOST_S, REQUESTS = 120.0, 120.0, 1800.0, 1500
"""A rate is served for a while before it is looked at, then so long that so many requests come, within limits."""

Array = NDArray[np.float64]
Lengths = tuple[NDArray[np.int64], NDArray[np.int64]]


def load_curve(serving: Serving, prefill_tokens: Sequence[int], decode_tokens: Sequence[int]) -> LoadCurve:
    """Serve requests of these lengths on one replica at several rates, in every mode.

    Parameters
    ----------
    serving
        A group of replicas; one of them is measured.
    prefill_tokens, decode_tokens
        Lengths of some requests, which come again and again; shape (n,), n > 0.

    Raises
    ------
    InputError
        If there is no request, or none of them can be served.

    Examples
    --------
    >>> curve = load_curve(Serving(gpu="h100", iteration_time="roofline"), [500], [100])
    >>> full, slow = curve.modes[0], curve.modes[-1]
    >>> bool(full.gpu_w[0] < full.gpu_w[1] < full.gpu_w[-1]), slow.clock, slow.watts(1.0) < full.watts(1.0)
    (True, 0.6, True)
    """
    if not len(prefill_tokens):
        raise InputError("load curve: no request, expected the lengths of some")
    return _curve(serving, tuple(map(int, prefill_tokens)), tuple(map(int, decode_tokens)))


@lru_cache(maxsize=8)
def saturated_per_s(
    serving: Serving, prefill_tokens: tuple[int, ...], decode_tokens: tuple[int, ...]
) -> float:
    """Requests per second that one replica completes while more than enough wait.

    Parameters
    ----------
    serving, prefill_tokens, decode_tokens
        As of `load_curve`.

    Raises
    ------
    InputError
        If none of them can be served.

    Examples
    --------
    >>> 10 < saturated_per_s(Serving(gpu="h100", iteration_time="roofline"), (500,), (100,)) < 200
    True
    """
    return _Bench(serving, (np.array(prefill_tokens), np.array(decode_tokens))).saturated_per_s()


@lru_cache(maxsize=8)
def _curve(serving: Serving, prefill_tokens: tuple[int, ...], decode_tokens: tuple[int, ...]) -> LoadCurve:
    bench = _Bench(serving, (np.array(prefill_tokens), np.array(decode_tokens)))
    clocks = [serving.clock_limit, *(clock for clock in CLOCKS if clock < serving.clock_limit)]
    rates = bench.saturated_per_s() * np.array(SHARES)
    found = [bench.mode(clock, chunk, rates) for chunk in (None, SMALL_CHUNK) for clock in clocks]
    return LoadCurve(tuple(mode for mode in found if mode is not None))


class _Bench:
    """One replica that is given one load after the other, of requests that have nothing in common."""

    def __init__(self, serving: Serving, lengths: Lengths) -> None:
        alone = {"replicas": 1, "idle_off_s": None} | UNCACHED
        self._cluster, _ = build_cluster(serving.model_copy(update=alone))
        self._replica = self._cluster.replicas[0]
        self._lengths = lengths

    def _requests(self, arrived_at: Array) -> RequestBlock:
        rows = np.arange(len(arrived_at)) % len(self._lengths[0])
        return RequestBlock.of(arrived_at, self._lengths[0][rows], self._lengths[1][rows])

    def saturated_per_s(self) -> float:
        """Requests per second that are completed while more than enough wait."""
        count = 30 * self._replica.limits.max_requests
        self._cluster.advance(1.0, self._requests(np.zeros(count)))
        while self._cluster.completed < count // 2 and self._cluster.outstanding:
            self._cluster.advance(1.5 * self._cluster.now, self._requests(np.zeros(0)))
        if not self._cluster.completed:
            raise InputError("load curve: no request could be served, expected shorter ones")
        completed_per_s = self._cluster.completed / self._cluster.now
        self._drain()
        return completed_per_s

    def _drain(self) -> None:
        while self._cluster.outstanding:
            self._cluster.advance(self._cluster.now + LEAST_S, self._requests(np.zeros(0)))

    def mode(self, clock: float, chunk: int | None, rates: Array) -> Mode | None:
        """A mode at every rate it keeps up with; None if the replica does not have it."""
        cluster, replica = self._cluster, self._replica
        if chunk is not None and chunk >= replica.most_tokens:
            return None
        budget = ChunkBudget(chunk or replica.most_tokens)
        if cluster.command(ClockLimit(clock)) or (chunk is not None and cluster.command(budget)):
            return None
        rows: list[tuple[float, ...]] = []
        for rate in rates.tolist():
            self._drain()
            begins_at, span_s = cluster.now, min(max(REQUESTS / rate, LEAST_S), MOST_S)
            block = self._requests(begins_at + _arrivals(rate, WARM_UP_S + span_s))
            early = block.arrived_at < begins_at + WARM_UP_S
            cluster.advance(begins_at + WARM_UP_S, block[early])
            interval = cluster.advance(begins_at + WARM_UP_S + span_s, block[~early])
            times = latencies(interval.finished)
            if not len(times["ttft_s"]):
                continue
            if not rows:
                rows.append((0.0, replica.law.idle_w * replica.gpu_count, 0.0, *_p99(times)))
            rows.append((rate, interval.energy_j / span_s, interval.busy, *_p99(times)))
            if interval.completed < 0.9 * np.count_nonzero(~early):
                break  # it falls behind: at higher rates requests only wait longer
        if not rows:
            return None
        return Mode(clock, replica.chunk_budget, *np.array(rows).T)


def _arrivals(rate_per_s: float, span_s: float) -> Array:
    """Poisson arrivals, the same for every mode, s."""
    rng = np.random.default_rng(1)
    times = np.cumsum(rng.exponential(1.0, int(1.2 * rate_per_s * span_s) + 50)) / rate_per_s
    found: Array = times[times < span_s]
    return found


def _p99(times: dict[str, Array]) -> tuple[float, float]:
    tpot = times["tpot_s"][~np.isnan(times["tpot_s"])]
    return float(np.quantile(times["ttft_s"], 0.99)), float(np.quantile(tpot, 0.99)) if len(tpot) else 0.0
