"""Prompts of data-parallel ranks in lockstep: they take as long as the busiest rank's (`timing.tables.with_ranks`)."""

from __future__ import annotations

import numpy as np

from simulators.inference.batching.cost import prompt_attention_s
from simulators.inference.batching.state import State
from simulators.inference.compiled import compiled
from simulators.inference.timing.tables import StageTables

Work = tuple[int, int, float, float, int]


@compiled
def prompt_apart_s(tables: StageTables, chunk: int) -> float:
    """What a chunk takes longer on one data-parallel rank than spread over all (`tables.with_ranks`), s."""
    last = len(tables.prefill_chunk) - 2
    i = min(max(int(np.searchsorted(tables.prefill_chunk, float(chunk), side="right")) - 1, 0), last)
    u = (chunk - tables.prefill_chunk[i]) / (tables.prefill_chunk[i + 1] - tables.prefill_chunk[i])
    column = len(tables.prefill_kv)
    low = tables.prefill_s[i, column]
    return float(max(0.0, low + u * (tables.prefill_s[i + 1, column] - low)))


@compiled
def spread_s(ranks: float, prompts: int, each: tuple[float, float], apart: tuple[float, float]) -> float:
    """Time that prompts take on the busiest of `ranks` data-parallel ranks, s.

    Parameters
    ----------
    ranks, prompts
        How many there are.
    each, apart
        Of their attention, and of `prompt_apart_s`: the sum over the prompts and the longest of them, s.

    Examples
    --------
    >>> spread_s(4.0, 1, (8.0, 8.0), (3.0, 3.0)) # alone on its rank
    11.0
    >>> spread_s(4.0, 8, (64.0, 8.0), (24.0, 3.0)) # two on each
    16.0
    """
    share = np.ceil(prompts / ranks) / prompts
    # what one prompt has apart is its time less a rank's even part of it
    late_s = (max(apart[1], apart[0] * share) - apart[0] / ranks) / (1.0 - 1.0 / ranks)
    return float(max(each[1], each[0] * share) + late_s)


@compiled
def on_busiest_rank(state: State, tables: StageTables, flight: int, work: Work) -> Work:
    """`cost.batch_work` of data-parallel ranks, among which the prompts of the batch are shared out."""
    f = state.flights[flight]
    if f.prefills == 0:
        return work
    each_s, longest_s, apart_s, longest_apart_s = 0.0, 0.0, 0.0, 0.0
    for i in range(f.members):
        r = state.requests[state.members[flight, i]]
        if r.prefilled == 0:
            q = state.chunks[flight, i]
            seconds = prompt_attention_s(tables, q, r.processed)
            each_s += seconds
            longest_s = max(longest_s, seconds)
            seconds = prompt_apart_s(tables, q)
            apart_s += seconds
            longest_apart_s = max(longest_apart_s, seconds)
    ranks = tables.prefill_s[0, -1]
    seconds = spread_s(ranks, f.prefills, (each_s, longest_s), (apart_s, longest_apart_s))
    context, cached, pairs, attention_s, prefill_tokens = work
    return context, cached, pairs, attention_s - each_s + seconds, prefill_tokens
