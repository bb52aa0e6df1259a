"""Iteration time and work of one pipeline stage, as arrays the batch loop reads.

Every timing model (measured kernels, profile folders, a roofline) is compiled into this one form before a run, because
an iteration's time splits the same way in all of them:

    stage time = linear part, a function of the tokens in the batch
               + decode attention, a function of the decoding requests and their mean context
               + prefill attention, a function of the prompt chunks and what precedes them
               + (last stage) sampling, a function of the number of sequences
               + (other stages) sending the activations on
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

LOOKUP = 0
"""Attention tables are read at rounded-up keys, prompts of a batch are merged into one (Vidur's rules)."""
INTERPOLATE = 1
"""Attention tables are interpolated, every prompt of a batch is added up."""
MIXED = 2
"""As `INTERPOLATE`, and decodes take longer beside a prompt chunk: `decode_s` is `with_prompts`."""


class StageTables(NamedTuple):
    """Lookup tables of one GPU of one pipeline stage; times in s, work in FLOP and byte per GPU.

    What the batch loop does not read has no place here: two numbers more cost it 4 % of its speed, an array a third.

    Attributes
    ----------
    mode
        `LOOKUP`, `INTERPOLATE` or `MIXED`.
    token_s
        `token_s[n]`: everything that depends on the batch's `n` tokens only (projections, MLP, norms, tensor-parallel
        communication, per-iteration overhead); shape (max tokens + 1,), entry 0 unused. Beyond the end: extrapolated
        from the last two entries.
    sequence_s
        `sequence_s[b]`: sampling for `b` sequences (LM head), last stage only; shape (max batch + 1,).
    send_s
        `send_s[n]`: sending the activations of `n` tokens to the next stage; all but the last stage.
    comm_s
        `comm_s[n]`: the part of `token_s[n]` that is communication (the GPU waits or copies).
    decode_s
        `decode_s[b, k]`: decode attention of `b` requests at mean context `decode_kv[k]`; row 0 unused. Decodes that
        take longer beside a prompt chunk have more columns, see `with_prompts`.
    decode_kv
        Ascending contexts, tokens. In `LOOKUP` mode the multiples 0, kv_step, 2 kv_step...
    prefill_s
        `prefill_s[c, k]`: prefill attention of a chunk of `prefill_chunk[c]` tokens after `prefill_kv[k]` cached ones.
        Data-parallel ranks have two more columns, see `with_ranks`.
    prefill_chunk
        Ascending chunk lengths, tokens. In `LOOKUP` mode 0, 1, 2...
    prefill_kv
        Ascending cached lengths, tokens. In `LOOKUP` mode the multiples of kv_step.
    prefill_floor_s
        `INTERPOLATE` only: launch cost contained once in every entry of `prefill_s`; counted once per batch.
    kv_step
        `LOOKUP` only: contexts are rounded up to a multiple of this many tokens.
    shared_factor
        `LOOKUP` only: factor on attention when more than one request shares it (1.1 with grouped heads, else 1).
    flops_per_token
        Dense FLOP per token: 2 x active parameters per GPU of the stage.
    flops_per_pair
        Attention FLOP per (query token, visible token) pair: 4 x layers x heads x head_dim per GPU.
    weight_bytes
        `weight_bytes[n]`: bytes of weights read for `n` tokens (grows with n where experts are routed to).
    kv_bytes_per_token
        Bytes of KV cache per token of context and GPU.
    peak_flops
        The GPU's dense peak in the precision used, FLOP/s: the denominator of MFU.
    peak_bytes
        The GPU's memory bandwidth, B/s: the denominator of MBU.
    """

    mode: int
    token_s: FloatArray
    sequence_s: FloatArray
    send_s: FloatArray
    comm_s: FloatArray
    decode_s: FloatArray
    decode_kv: FloatArray
    prefill_s: FloatArray
    prefill_chunk: FloatArray
    prefill_kv: FloatArray
    prefill_floor_s: float
    kv_step: int
    shared_factor: float
    flops_per_token: float
    flops_per_pair: float
    weight_bytes: FloatArray
    kv_bytes_per_token: float
    peak_flops: float
    peak_bytes: float


def with_prompts(alone: FloatArray, beside: FloatArray, padding_s: float) -> FloatArray:
    """`decode_s` of a kernel that takes longer for the decodes of a batch that holds a prompt chunk (`MIXED`).

    It stands in one array with the times alone: a further array in the tables slows the compiled loop down by a third.

    Parameters
    ----------
    alone, beside
        Decode attention of b requests at contexts k alone and beside a prompt chunk, s; shape (b, k).
    padding_s
        What each decode adds per token of the longest chunk beside it, s.

    Returns
    -------
    FloatArray
        Columns of `alone`, of `beside`, and one with `padding_s` times the requests; shape (b, 2 k + 1).
    """
    padding = padding_s * np.arange(float(len(alone)))
    return np.column_stack((alone, beside, padding))


def with_ranks(prefill_s: FloatArray, apart_s: FloatArray, ranks: int) -> FloatArray:
    """`prefill_s` of data-parallel ranks in lockstep, each with prompts of its own, among which batches are shared out.

    `token_s` is that of tokens spread evenly over the ranks, which decodes are. Prompts are whole: of p prompts the
    busiest rank has the longest one, or ceil(p / ranks) of mean length where that takes longer, and the others wait
    until it is done, which counts as work in their power. One array, as in `with_prompts`.

    Parameters
    ----------
    prefill_s
        Of one rank; shape (chunks, cached).
    apart_s
        What a chunk takes longer on one rank, outside of attention and experts, than spread evenly over all; shape
        (chunks,).
    ranks
        How many there are.

    Returns
    -------
    FloatArray
        Columns of `prefill_s`, `apart_s` and the number of ranks; shape (chunks, cached + 2).
    """
    return np.column_stack((prefill_s, apart_s, np.full(len(prefill_s), float(ranks))))


DRAFT_BLOCKS, DRAFT_NUMBERS = 5, 6
"""Columns that `with_drafting` appends to `decode_s`: so many times its contexts, and so many more."""


class Drafting(NamedTuple):
    """What speculation adds to the cost of an iteration, on one GPU of the last stage.

    Attributes
    ----------
    decodes
        All drafts for `b` decoding requests at mean context `decode_kv[k]`: seconds, J at full clock and without a cap
        (idle power included), FLOP, bytes, and the share of the time bound by the clock; shape (5, b, k) with row 0
        unused.
    prompt
        The same for each token of a prompt that the draft reads; shape (5,).
    pair_s
        Attention of a verification takes at least so long for each (query, visible token) pair, s: its arithmetic. The
        context is read once, however many tokens are verified.
    """

    decodes: FloatArray
    prompt: FloatArray
    pair_s: float


def with_drafting(tables: StageTables, drafting: Drafting) -> StageTables:
    """The tables of a server that speculates; as in `with_prompts`, in one array with the decode attention.

    Parameters
    ----------
    tables
        Of the model that is served.
    drafting
        For as many requests and the same contexts as `decode_s` has.
    """
    numbers = np.tile(np.append(drafting.prompt, drafting.pair_s), (len(tables.decode_s), 1))
    return tables._replace(decode_s=np.column_stack((tables.decode_s, *drafting.decodes, numbers)))


def has_drafting(tables: StageTables) -> bool:
    """Whether the tables are those of `with_drafting`."""
    columns = len(tables.decode_kv)
    plain = 2 * columns + 1 if tables.mode == MIXED else columns
    return bool(tables.decode_s.shape[1] == plain + DRAFT_BLOCKS * columns + DRAFT_NUMBERS)


def on_busiest(count: FloatArray, ranks: int, max_batch: int) -> FloatArray:
    """Tokens or requests of the busiest of `ranks` ranks: decodes are whole, prompts are taken as even; as `count`."""
    return np.asarray(np.where(count <= max_batch, np.ceil(count / ranks), count / ranks))
