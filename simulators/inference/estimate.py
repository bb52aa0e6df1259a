"""What a deployment draws and how fast it answers, in milliseconds: a steady state in place of a simulation.

A replica that serves `k` requests at once completes them at a rate x(k) that follows from the tables the simulation
reads (`estimate_costs`): each needs its outputs' iterations, shared by all k, and holds the others up while its prompt
is read. With arrivals by chance at a rate r the number of requests then has the distribution

    p(k) ~ product over j = 1..k of r / x(j)

whatever the lengths are distributed like: processor sharing at a rate that depends on the state is insensitive to them
(J. W. Cohen, The multiple phase service network with generalized processor sharing, Acta Informatica 12, 1979,
245-284). Above the most that may run at once, requests wait in their order, and x stays. A router that deals requests
out in turn makes arrivals more even than chance: the distribution is narrowed as that of an unlimited group of servers
would be (to its peakedness, (1 + c^2) / 2 with c^2 the squared variation of the gaps), and tilted so that as many
requests leave as come.

Latencies are drawn from it: a request meets k others, its tokens take the iterations of that batch, and the prompts
that come meanwhile hold them up, the more the more there are at once (`TOGETHER`); its own prompt is read together with
those that come with it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from simulators.inference.batching.policies import SARATHI, VLLM_V1
from simulators.inference.estimate_costs import costs, first_tokens
from simulators.inference.replica import Replica

Array = NDArray[np.float64]
Tokens = NDArray[np.int64]

SHARES = (*np.linspace(0.0, 0.95, 39).tolist(), 0.97, 0.98, 0.99, 0.995, 0.999, 1.0)
"""Quantiles of the prompts' lengths at which costs are worked out; between them they lie on straight lines."""
DRAWS = 4000
"""Requests that latencies are drawn for."""
MOST_UTILISED = 0.97
"""Of what full batches complete: beyond, how long requests wait hangs on how long they have been coming."""
TOGETHER = 0.6
"""Correlation between how many requests there are at once and how many come while one of them is served: those that
come make up half of the former on the way."""


class Estimate(NamedTuple):
    """Steady state of a deployment.

    Attributes
    ----------
    utilisation
        Rate of requests over what full batches complete, 1. Above `MOST_UTILISED` power is that of full batches, and
        latencies are NaN.
    gpu_w
        Power of all GPUs, W.
    busy
        Share of the time in which iterations run, 1.
    batch
        Mean requests in a batch while there is one.
    j_per_output_token
        Energy of the GPUs over output tokens, J.
    ttft_s, tpot_s
        The asked-for percentile of time to first token and time per output token, s.
    """

    utilisation: float
    gpu_w: float
    busy: float
    batch: float
    j_per_output_token: float
    ttft_s: float
    tpot_s: float


def knows(replica: Replica) -> bool:
    """Whether the steady state of such a replica is known.

    Of one that reads prompts beside its decodes, without a prefix cache, without drafts, of which more or fewer are
    accepted, and that is not parked for lack of requests.
    """
    limits = replica.limits
    plain = not limits.whole_prompts and not replica.capacity.cache and not limits.depth
    return plain and limits.policy in (VLLM_V1, SARATHI) and replica.standby.rule is None


def estimate(
    replica: Replica,
    replicas: int,
    rate_per_s: float,
    prefill_tokens: Tokens,
    decode_tokens: Tokens,
    *,
    percentile: float = 99.0,
    gap_cv: float = 1.0,
    in_turn: bool = True,
) -> Estimate:
    """The steady state of equal replicas.

    Parameters
    ----------
    replica
        One of them, which `knows`.
    replicas
        How many share the requests evenly.
    rate_per_s
        Requests per second, of all.
    prefill_tokens, decode_tokens
        Lengths of some requests that stand for all; shape (n,), n > 0.
    percentile
        Of the latencies.
    gap_cv
        Coefficient of variation of the gaps between all requests (1: by chance).
    in_turn
        Whether a router deals them out in turn, or to whoever has the fewest.

    Examples
    --------
    >>> from simulators.inference.serving import Serving, build_replicas
    >>> (replica,), _ = build_replicas(Serving(gpu="h100", iteration_time="roofline"))
    >>> lengths = np.array([500]), np.array([100])
    >>> few, many = (estimate(replica, 1, rate, *lengths) for rate in (2.0, 20.0))
    >>> few.j_per_output_token > many.j_per_output_token, few.tpot_s < many.tpot_s
    (True, True)
    >>> estimate(replica, 1, 1000.0, *lengths).utilisation > 1
    True
    """
    outputs = decode_tokens.astype(np.float64)
    each_per_s = rate_per_s / replicas
    speed = _Speed(replica, prefill_tokens, outputs, each_per_s)
    utilisation = each_per_s / float(speed.full_per_s)
    evenness = gap_cv**2 / replicas if in_turn else gap_cv**2
    completed_per_s, joules = speed.completed_per_s, speed.joules
    if utilisation < MOST_UTILISED:
        share, tail = _occupancy(each_per_s, completed_per_s, (1.0 + evenness) / 2.0)
        ttft_s, tpot_s = _latencies(speed, (prefill_tokens, outputs), share, tail, each_per_s, evenness)
        latencies = [_quantile(values, percentile) for values in (ttft_s, tpot_s)]
    else:
        share, tail = np.append(np.zeros(len(joules)), 1.0), 0.0
        latencies = [np.nan, np.nan]
    share_with_tail = np.append(share[1:-1], share[-1] + tail)
    above_idle_w = replica.gpus * float(share_with_tail @ (completed_per_s * joules))
    gpu_w = replicas * (replica.gpu_count * replica.law.idle_w + above_idle_w)
    busy = 1.0 - float(share[0])
    tokens_per_s = min(rate_per_s, replicas * float(speed.full_per_s)) * float(outputs.mean())
    batch = float(share_with_tail @ np.arange(1, len(share))) / busy / replica.limits.stages
    return Estimate(utilisation, gpu_w, busy, batch, gpu_w / tokens_per_s, *latencies)


def _quantile(values: Array, percentile: float) -> float:
    return float(np.quantile(values, percentile / 100.0)) if len(values) else 0.0


def _most_at_once(replica: Replica, prefill_tokens: Tokens, outputs: Array) -> int:
    """Requests that run at once at most: by the batch cap, and by the KV cache that they fill on the way."""
    limits = replica.limits
    held = float(((prefill_tokens + 0.5 * outputs) * outputs).sum() / outputs.sum())
    held = limits.block_tokens * (np.ceil(held / limits.block_tokens) + 0.5)
    blocks = limits.total_blocks - limits.watermark
    return max(1, min(limits.max_requests, int(blocks * limits.block_tokens / held)))


class _Speed:
    """How fast a replica is with 1, 2, ... requests at once; arrays have shape (most,) unless said otherwise.

    Attributes
    ----------
    iteration_s
        From one token of a request to its next, undisturbed, s.
    extra_s
        What a prompt takes of the others' time, mean, s.
    completed_per_s
        Requests completed while there are so many.
    full_per_s
        Requests completed by full batches, a number.
    joules
        Energy above idle of a request, one GPU of every stage, J.
    prompts_s, stage_s
        What a prompt takes of the others' time at a few sizes and lengths of prompts, in all stages and in the slowest
        one, s; shape (sizes, lengths).
    sizes, lengths
        Those, in requests at once and tokens.
    """

    def __init__(self, replica: Replica, prefill_tokens: Tokens, outputs: Array, rate_per_s: float) -> None:
        limits, stages = replica.limits, replica.limits.stages
        most = _most_at_once(replica, prefill_tokens, outputs)
        largest = max(1, min(limits.max_batch, -(-most // stages)))
        batches = np.unique(np.rint(np.geomspace(1, largest, 24)).astype(np.int64))
        lengths = np.unique(np.rint(np.quantile(prefill_tokens, SHARES)).astype(np.int64))
        further = np.maximum(outputs - 1.0, 0.0)
        weight = float(further.sum())
        context = float(((prefill_tokens + 0.5 * outputs) * further).sum() / weight) if weight else 1.0
        alone_s, alone_j, extra_s, stage_s, extra_j = costs(
            replica.tables, replica.law, stages, limits.max_tokens, batches, context, lengths,
        )  # fmt: skip
        self.delayed = limits.ahead
        self.sizes = (batches * stages).astype(np.float64)
        self.lengths = lengths.astype(np.float64)
        self.prompts_s, self.stage_s, self.stages = extra_s, stage_s, stages
        weights = _mean_weights(self.lengths, prefill_tokens)
        at = np.arange(1, most + 1, dtype=np.float64)
        tokens = float(further.mean())
        # of fewer requests than stages each has one to itself, and is as fast as one alone
        in_batch = np.maximum(1.0, at / stages)
        grid_batches = batches.astype(np.float64)
        self.iteration_s: Array = np.interp(in_batch, grid_batches, alone_s)
        longest: Array = np.interp(in_batch, grid_batches, extra_s @ weights)
        shortest: Array = np.interp(in_batch, grid_batches, stage_s @ weights)
        # in a pipeline, a second prompt that follows the first is held up by it as all are, but overlaps with it
        overlapping = np.minimum(1.0, rate_per_s * longest)
        self.extra_s: Array = longest + overlapping * (shortest - longest)
        each_s = tokens * self.iteration_s / at
        self.full_per_s = float((1.0 / (each_s + shortest)).max())
        self.completed_per_s: Array = np.maximum.accumulate(1.0 / (each_s + self.extra_s))
        self.budget = max(1, limits.max_tokens)
        self.joules: Array = tokens * np.interp(in_batch, grid_batches, alone_j) / in_batch + np.interp(
            in_batch, grid_batches, extra_j @ weights
        )

    def of_prompts(self, of_s: Array, prompts: Array, at_once: float) -> Array:
        """`prompts_s` or `stage_s` of prompts of these lengths where so many requests are at once, s."""
        near = round(float(np.interp(at_once, self.sizes, np.arange(len(self.sizes)))))
        found: Array = np.interp(prompts, self.lengths, of_s[near])
        return found


def _occupancy(rate_per_s: float, completed_per_s: Array, peakedness: float) -> tuple[Array, float]:
    """Share of the time with 0, 1, ... most requests at once, and with more, who wait."""
    steps = np.log(rate_per_s / completed_per_s)
    if steps[-1] >= 0.0:  # in a pipeline: it keeps up because prompts overlap
        steps = np.minimum(steps, np.log(MOST_UTILISED))
    logs = np.concatenate(([0.0], np.cumsum(steps / peakedness)))
    counts = np.arange(len(logs))
    low, high = -20.0, float(-steps[-1] / peakedness) - 1e-6

    def tilted(by: float) -> tuple[Array, float]:
        raised = logs + by * counts
        share = np.exp(raised - raised.max())
        ratio = float(np.exp(steps[-1] / peakedness + by))
        tail = float(share[-1]) * ratio / (1.0 - ratio)
        total = float(share.sum()) + tail
        return share / total, tail / total

    if peakedness == 1.0:
        return tilted(0.0)
    for _ in range(40):
        middle = 0.5 * (low + high)
        share, tail = tilted(middle)
        leaving = float(share[1:] @ completed_per_s) + tail * float(completed_per_s[-1])
        low, high = (middle, high) if leaving < rate_per_s else (low, middle)
    return tilted(low)


def _latencies(
    speed: _Speed,
    lengths: tuple[Tokens, Array],
    share: Array,
    tail: float,
    rate_per_s: float,
    evenness: float,
) -> tuple[Array, Array]:
    """Times to the first token and per further token of drawn requests, s; those of one token have no latter."""
    rng = np.random.default_rng(1)
    most = len(speed.iteration_s)
    sizes = np.arange(most + 1)
    drawn = rng.integers(0, len(lengths[0]), DRAWS)
    prompts, outputs = lengths[0][drawn].astype(np.float64), lengths[1][drawn]
    # who comes sees k others (or none); of who runs, size k holds k
    seen = _sums_to_one(np.append(share[:-1], share[-1] + tail))
    running = _sums_to_one(seen[1:] * sizes[1:])
    met = np.minimum(np.searchsorted(np.cumsum(seen), rng.random(DRAWS)), most)
    met_first = np.where(met > 0, speed.iteration_s[np.maximum(met, 1) - 1], 0.0)
    usual = max(1.0, float(seen @ sizes))
    arrived_at = np.cumsum(rng.gamma(1.0 / evenness, evenness / rate_per_s, DRAWS))
    # a stage is free for the next batch while the following ones still read the prompt
    whole_s, own_s = (speed.of_prompts(of_s, prompts, usual) for of_s in (speed.prompts_s, speed.stage_s))
    iteration_s = float(np.interp(usual, sizes[1:], speed.iteration_s))
    budget = float(max(1.0, speed.budget - usual))
    rests_s = (rng.random(DRAWS) + speed.delayed) * met_first
    first_s = first_tokens(arrived_at, prompts, own_s, rests_s, iteration_s / speed.stages, budget)
    first_s += whole_s - own_s + iteration_s * (1.0 - 1.0 / speed.stages)
    ratio = min(MOST_UTILISED, rate_per_s / speed.completed_per_s[-1])
    ahead = rng.geometric(1.0 - ratio, DRAWS)
    first_s += np.where(met >= most, ahead / speed.completed_per_s[-1], 0.0)

    further, spread = outputs - 1.0, min(1.0, evenness)
    crowded = rng.standard_normal(DRAWS)
    at = 1 + np.minimum(np.searchsorted(np.cumsum(running), ndtr(crowded)), most - 1)
    pace_s = speed.iteration_s[at - 1]
    held_s = rate_per_s * speed.extra_s[at - 1]
    mean = rate_per_s * further * pace_s / np.maximum(1.0 - held_s, 0.05)
    busier = TOGETHER * crowded + np.sqrt(1.0 - TOGETHER**2) * rng.standard_normal(DRAWS)
    # a Poisson distribution's quantile by its first three moments (Cornish and Fisher)
    came = mean + np.sqrt(spread * mean) * busier + spread * (busier**2 - 1.0) / 6.0
    came = np.rint(came).clip(0, 3 * DRAWS).astype(np.int64)
    each_s = rng.permutation(speed.of_prompts(speed.prompts_s, prompts, float(at.mean())))
    held_up = np.concatenate(([0.0], np.cumsum(np.tile(each_s, 4))))
    begins = rng.integers(0, DRAWS, DRAWS)
    scale = speed.extra_s[at - 1] / max(float(each_s.mean()), 1e-12)
    held = (held_up[begins + came] - held_up[begins]) * scale
    several = further > 0
    return first_s, (pace_s + held / np.maximum(further, 1.0))[several]


def _mean_weights(grid: Array, values: Tokens) -> Array:
    """Weights of the points of a grid that make the mean over values of straight lines between the points."""
    if len(grid) == 1:
        return np.ones(1)
    cell = np.clip(np.searchsorted(grid, values, side="right") - 1, 0, len(grid) - 2)
    part = (values - grid[cell]) / (grid[cell + 1] - grid[cell])
    low = np.bincount(cell, 1.0 - part, len(grid))
    found: Array = (low + np.bincount(cell + 1, part, len(grid))) / len(values)
    return found


def _sums_to_one(weights: Array) -> Array:
    found: Array = weights / weights.sum()
    return found
