"""Prompts of data-parallel ranks in lockstep: time on the busiest rank, and what the others wait for (`with_ranks`)."""

from __future__ import annotations

import numpy as np

from simulators.inference.compiled import compiled
from simulators.inference.power.law import ACTIVE_W, ENERGY, PowerLaw
from simulators.inference.timing.tables import StageTables


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
def spread_s(
    ranks: float, prompts: float, each: tuple[float, float], apart: tuple[float, float]
) -> tuple[float, float]:
    """Time that prompts take on the busiest of `ranks` data-parallel ranks, and how long the mean one waits for it, s.

    Parameters
    ----------
    ranks, prompts
        How many there are.
    each, apart
        Of their attention, and of `prompt_apart_s`: the sum over the prompts and the longest of them, s.

    Examples
    --------
    >>> spread_s(4.0, 1.0, (8.0, 8.0), (3.0, 3.0)) # alone on its rank: three of four wait
    (11.0, 9.0)
    >>> spread_s(4.0, 8.0, (64.0, 8.0), (24.0, 3.0)) # two on each
    (16.0, 0.0)
    """
    share = np.ceil(prompts / ranks) / prompts
    attention_s = max(each[1], each[0] * share)
    # what one prompt has apart is its time less a rank's even part of it
    late_s = (max(apart[1], apart[0] * share) - apart[0] / ranks) / (1.0 - 1.0 / ranks)
    return attention_s + late_s, attention_s - each[0] / ranks + late_s


@compiled
def waiting(
    law: PowerLaw, constants: tuple[float, float, float, float, float], waits_s: float
) -> tuple[float, float, float, float, float]:
    """`stage_constants` of a batch in which the mean GPU waits so long for the busiest rank: that is no work."""
    seconds, flops, read, comm_s, joules = constants
    if law.kind == ENERGY:
        joules -= law.parameters[ACTIVE_W] * waits_s
    return seconds, flops, read, comm_s + waits_s, joules
