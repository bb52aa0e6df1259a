"""What iterations cost at every size of a decode batch, alone and with a prompt in them, as the batch loop has it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from simulators.compiled import compiler
from simulators.inference.batching.cost import (
    decode_attention_s,
    mixed_attention_s,
    prefill_attention_s,
    prompt_attention_s,
    stage_constants,
    stage_cost,
    stage_rates,
)
from simulators.inference.compiled import ROOM, SOURCES
from simulators.inference.power.law import PowerLaw
from simulators.inference.timing.tables import LOOKUP, MIXED, StageTables

Array = NDArray[np.float64]

compiled = compiler(ROOM, (*SOURCES, Path(__file__)))


@compiled
def iteration(
    tables: StageTables, law: PowerLaw, stages: int, decodes: int, context: int, chunk: int, cached: int
) -> tuple[float, float, float]:
    """One iteration of some decodes and at most one prompt's chunk through all stages.

    Parameters
    ----------
    tables, law, stages
        Of the replica.
    decodes, context
        Requests that decode, and the sum of their contexts, tokens.
    chunk, cached
        Tokens of the prompt in this iteration (0: none), and those of it that came before.

    Returns
    -------
    tuple
        From the first stage's start to the last one's end, s; the slowest stage, s; energy above idle of one GPU of
        every stage, summed over the stages, J.
    """
    pairs, read = float(context + decodes), float(context + decodes)
    attention_s = 0.0
    if chunk > 0:
        pairs += float(chunk) * float(chunk + cached)
        read += float(chunk + cached)
        squares, before, each_s = 0.0, 0, 0.0
        if tables.mode == LOOKUP:
            squares = float(chunk) * float(chunk)
            before = (cached + tables.kv_step - 1) // tables.kv_step * tables.kv_step
        else:
            each_s = prompt_attention_s(tables, chunk, cached)
        attention_s += prefill_attention_s(tables, 1, squares, before, each_s)
    if chunk > 0 and decodes > 0 and tables.mode == MIXED:
        attention_s += mixed_attention_s(tables, decodes, context, chunk)
    else:
        attention_s += decode_attention_s(tables, decodes, context)
    sequences = decodes + (1 if chunk > 0 else 0)
    rates = stage_rates(tables)
    lasted_s, slowest_s, joules = 0.0, 0.0, 0.0
    for stage in range(stages):
        constants = stage_constants(tables, law, stage == stages - 1, decodes + chunk, sequences)
        cost = stage_cost(law, constants, rates, attention_s, pairs, read)
        lasted_s += cost[0]
        slowest_s = max(slowest_s, cost[0])
        joules += (cost[3] - law.idle_w) * cost[0]
    return lasted_s, slowest_s, joules


@compiled
def costs(
    tables: StageTables,
    law: PowerLaw,
    stages: int,
    max_tokens: int,
    sizes: NDArray[np.int64],
    context: float,
    prompts: NDArray[np.int64],
) -> tuple[Array, Array, Array, Array, Array]:
    """Costs at every size of a batch.

    Parameters
    ----------
    tables, law, stages
        Of the replica.
    max_tokens
        Token bound of a batch; prompts are cut to keep it.
    sizes
        Requests in a batch, ascending from 1; shape (k,).
    context
        Mean context of a decode, tokens.
    prompts
        Lengths of prompts that stand for all, tokens; shape (p,).

    Returns
    -------
    tuple
        Of an iteration of decodes alone: duration, s, and energy above idle (one GPU of every stage), J; shape (k,). Of
        a prompt beside one decode less: the time it takes of the others', s; of the slowest stage's, s; and its
        energy beyond theirs, J; shape (k, p).
    """
    alone_s, alone_j = np.zeros(len(sizes)), np.zeros(len(sizes))
    extra_s, stage_s = np.zeros((len(sizes), len(prompts))), np.zeros((len(sizes), len(prompts)))
    extra_j = np.zeros((len(sizes), len(prompts)))
    for k in range(len(sizes)):
        size = sizes[k]
        lasted_s, slowest_s, joules = iteration(tables, law, stages, size, int(size * context), 0, 0)
        alone_s[k], alone_j[k] = max(lasted_s, stages * slowest_s), joules
        beside = size - 1
        resting = (0.0, 0.0, 0.0)
        if beside > 0:
            resting = iteration(tables, law, stages, beside, int(beside * context), 0, 0)
        for p in range(len(prompts)):
            left, done = prompts[p], 0
            while left > 0:
                chunk = min(left, max(1, max_tokens - beside))
                lasted_s, slowest_s, joules = iteration(
                    tables, law, stages, beside, int(beside * context), chunk, done
                )
                # a batch behind this one waits for it in every stage
                extra_s[k, p] += lasted_s - resting[0]
                stage_s[k, p] += slowest_s - resting[1]
                extra_j[k, p] += joules - resting[2]
                left -= chunk
                done += chunk
    return alone_s, alone_j, extra_s, stage_s, extra_j


@compiled
def first_tokens(
    arrived_at: Array, tokens: Array, extra_s: Array, rests_s: Array, iteration_s: float, budget: float
) -> Array:
    """How long prompts take that are read together where they come together, as a batch has room for them, s.

    Parameters
    ----------
    arrived_at, tokens, extra_s
        Of each prompt, in order: when it comes, s; its length; what it adds to the iterations it is in, s.
    rests_s
        What is left of the iteration that it finds under way if no other prompt is there, s.
    iteration_s
        Of an iteration without prompts, s.
    budget
        Tokens of prompts in one iteration.
    """
    count = len(arrived_at)
    found = np.zeros(count)
    first, seen, done = (
        0,
        0,
        0.0,
    )  # the first that is not read, who has come, and what of the first was read before
    now = 0.0
    while first < count:
        if seen == first:
            now = max(now, arrived_at[first] + rests_s[first])
        while seen < count and arrived_at[seen] <= now:
            seen += 1
        left, begun = budget, first
        lasted_s = iteration_s
        while first < seen and left > 0.0:
            part = min(left, tokens[first] - done)
            lasted_s += extra_s[first] * part / tokens[first]
            left -= part
            done += part
            if done >= tokens[first]:
                first, done = first + 1, 0.0
        now += lasted_s
        for each in range(begun, first):
            found[each] = now - arrived_at[each]
    return found
