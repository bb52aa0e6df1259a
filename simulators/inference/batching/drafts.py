"""What drafting costs: counted once for every number of requests and context, read in every iteration.

Drafts of a model of its own are so many of its iterations, one token each. A head on the model that is served (MTP,
EAGLE) is taken for a share of that model's iteration. Either way the whole comes down to `timing.tables.Drafting`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulators.inference.batching.cost import (
    cell_of,
    decode_attention_s,
    prefill_attention_s,
    prompt_attention_s,
    stage_constants,
    stage_cost,
    stage_rates,
)
from simulators.inference.compiled import compiled
from simulators.inference.power.cap import capped, compute_share
from simulators.inference.power.law import PowerLaw
from simulators.inference.timing.tables import (
    DRAFT_BLOCKS,
    DRAFT_NUMBERS,
    LOOKUP,
    Drafting,
    StageTables,
)

Drafts = tuple[float, float, float, float]
"""Seconds, J, FLOP and bytes of one GPU."""

NEVER_W = 1e12
"""A cap that changes nothing: with one, the loop's functions tell what is communication."""
PROMPT = 2048
"""Tokens of the chunk by which the draft's reading of prompts is counted, each of its tokens alike."""


@compiled
def passed(
    tables: StageTables,
    law: PowerLaw,
    stages: int,
    tokens: int,
    sequences: int,
    attention_s: float,
    pairs: float,
    cached: float,
) -> tuple[float, float, float, float, float]:
    """Seconds, J, FLOP, bytes and seconds bound by the clock of an iteration through all stages, of one GPU of each."""
    seconds, joules, flops, moved, bound_s = 0.0, 0.0, 0.0, 0.0, 0.0
    rates = stage_rates(tables)
    for stage in range(stages):
        constants = stage_constants(tables, law, stage == stages - 1, tokens, sequences)
        lasted_s, mfu, mbu, watts = stage_cost(law, constants, rates, attention_s, pairs, cached)
        seconds += lasted_s
        joules += watts * lasted_s
        flops += mfu * tables.peak_flops * lasted_s
        moved += mbu * tables.peak_bytes * lasted_s
        bound_s += compute_share(mfu, mbu, constants[3] / lasted_s) * lasted_s
    return seconds, joules, flops, moved, bound_s


@compiled
def fill_decodes(
    found: NDArray[np.float64],
    contexts: NDArray[np.float64],
    tables: StageTables,
    law: PowerLaw,
    stages: int,
    times: float,
) -> None:
    """Write `Drafting.decodes`: `times` decode iterations of the tables' model at every size and context."""
    for b in range(1, found.shape[1]):
        for k in range(len(contexts)):
            context = int(b * contexts[k])
            attention_s = decode_attention_s(tables, b, context)
            seen = float(context + b)
            cost = passed(tables, law, stages, b, b, attention_s, seen, seen)
            for i in range(4):
                found[i, b, k] = times * cost[i]
            found[4, b, k] = cost[4] / cost[0]


@compiled
def prompt_cost(
    tables: StageTables, law: PowerLaw, stages: int, tokens: int
) -> tuple[float, float, float, float, float]:
    """A prompt of so many tokens, as `passed`."""
    each_s = 0.0 if tables.mode == LOOKUP else prompt_attention_s(tables, tokens, 0)
    pairs = float(tokens) * float(tokens)
    attention_s = prefill_attention_s(tables, 1, pairs, 0, each_s)
    return passed(tables, law, stages, tokens, 1, attention_s, pairs, float(tokens))


def drafting_of(
    served: StageTables,
    tables: StageTables,
    law: PowerLaw,
    *,
    passes: float,
    share: float = 1.0,
    stages: int = 1,
    pair_factor: float = 1.0,
) -> Drafting:
    """What drafts by a model cost beside one that is served.

    Parameters
    ----------
    served
        Tables of the model that is served: for its requests and contexts the cost is counted.
    tables, law
        Of the model whose iterations are counted; its own, or `served` again.
    passes
        Iterations per verification: tokens drafted one after the other.
    share
        Of the cost of each, 1.
    stages
        Of the model counted.
    pair_factor
        Arithmetic of a (query, token) pair in decoding over that in prompts; latent attention has more, 1.
    """
    law = law._replace(cap_w=NEVER_W, clock=1.0)
    decodes = np.zeros((DRAFT_BLOCKS, len(served.decode_s), len(served.decode_kv)))
    prompt = np.zeros(DRAFT_BLOCKS)
    if passes * share > 0:
        fill_decodes(decodes, served.decode_kv, tables, law, stages, float(passes * share))
        tokens = min(PROMPT, len(tables.token_s) - 1)
        cost = prompt_cost(tables, law, stages, tokens)
        prompt = np.array([share * each / tokens for each in cost[:4]] + [cost[4] / cost[0]])
    chunk = float(served.prefill_chunk[-1])
    whole_s = float(served.prefill_s[-1, 0]) - (0.0 if served.mode == LOOKUP else served.prefill_floor_s)
    # a causal prompt has half as many pairs as the square of its length
    return Drafting(decodes, prompt, max(0.0, pair_factor * whole_s / (0.5 * chunk * chunk)))


@compiled
def read(tables: StageTables, row: int, column: int, part: tuple[float, float]) -> float:
    """Between two rows and two columns of `decode_s`."""
    each = tables.decode_s
    low = each[row, column] + part[1] * (each[row, column + 1] - each[row, column])
    high = each[row + 1, column] + part[1] * (each[row + 1, column + 1] - each[row + 1, column])
    return float(max(0.0, low + part[0] * (high - low)))


@compiled
def at_clock_of(
    law: PowerLaw, seconds: float, joules: float, flops: float, moved: float, bound: float
) -> Drafts:
    """Drafts under the cap and clock limit in force."""
    if seconds <= 0.0:
        return 0.0, 0.0, 0.0, 0.0
    lasted_s, watts = capped(law, law.cap_w, seconds, joules / seconds, bound, law.clock)
    return lasted_s, watts * lasted_s, flops, moved


@compiled
def decode_drafts(tables: StageTables, law: PowerLaw, decodes: int, context: int) -> Drafts:
    """Drafting for `decodes` requests whose contexts sum to `context` tokens."""
    if decodes == 0:
        return 0.0, 0.0, 0.0, 0.0
    grid, columns = tables.decode_kv, len(tables.decode_kv)
    start = tables.decode_s.shape[1] - DRAFT_NUMBERS - DRAFT_BLOCKS * columns
    row = min(decodes, len(tables.decode_s) - 2)
    k = cell_of(grid, context / decodes, -1)
    part = float(decodes - row), (context / decodes - grid[k]) / (grid[k + 1] - grid[k])
    return at_clock_of(
        law,
        read(tables, row, start + k, part),
        read(tables, row, start + columns + k, part),
        read(tables, row, start + 2 * columns + k, part),
        read(tables, row, start + 3 * columns + k, part),
        min(1.0, read(tables, row, start + 4 * columns + k, part)),
    )


@compiled
def prompt_drafts(tables: StageTables, law: PowerLaw, tokens: int) -> Drafts:
    """The draft's reading of `tokens` tokens of prompts."""
    each, at = tables.decode_s, tables.decode_s.shape[1] - DRAFT_NUMBERS
    return at_clock_of(
        law,
        each[0, at] * tokens,
        each[0, at + 1] * tokens,
        each[0, at + 2] * tokens,
        each[0, at + 3] * tokens,
        each[0, at + 4],
    )
