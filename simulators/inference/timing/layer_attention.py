"""Attention from a profile by layers: four measured dimensions in the form the batch loop reads.

vLLM's kernel treats the decodes of a batch that holds a prompt differently: they lose the packing of grouped heads and
take 1.3 to 2.9 times as long as alone (Llama-3.1-8B and Qwen3-30B-A3B on RTX PRO 6000, 16 to 128 decodes at 256 to
2048 tokens of context), and every decode is padded to the longest chunk. The profile measures chunk, cached tokens,
decodes and their context together; the tables keep parts of it,

    attention = beside(decodes, context) + alone(chunk, cached) - launch + padding x decodes x chunk

where `beside` is measured beside the shortest chunk, `alone` without decodes, and `padding` fitted to what is left.
Over the 18,960 mixed rows of each of the two profiles that is 4 and 5 % off in the median, 10 % in the mean, 1 to 2 %
low altogether; 2 and 3 % off in the median with 16 to 128 decodes of 256 to 2048 tokens. Decodes and prompts each taken
as measured alone would be 30 to 50 % low there.

All requests of a batch are taken at their mean context. A request far above it ends later than the others where a
batch is too small to fill the GPU around it: an iteration of 60 decodes of 1,300 tokens, one of them of 4,600, takes
10 % longer than read here.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from simulators.errors import InputError
from simulators.inference.timing.layer_profile import TIME, LayerProfile
from simulators.inference.timing.raw_profile import curve
from simulators.inference.timing.seconds import between
from simulators.inference.timing.tables import FloatArray


def decode_us(
    profile: LayerProfile, batches: FloatArray, launch: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Contexts (tokens); decode attention of one layer alone and beside a prompt by (requests, context), us.

    Parameters
    ----------
    profile
        Where it is measured.
    batches
        Requests, a row of the tables for each; shape (n,).
    launch
        What the prompt beside the decodes pays itself, us.
    """
    rows = profile.attention
    decodes = rows[rows["n_decode"] > 0]
    alone = decodes[decodes["prefill_chunk"] == 0]
    contexts = np.sort(alone["kv_decode"].unique())
    if len(contexts) < 2:
        raise InputError(
            f"profile {profile.folder}: attention.csv, column kv_decode: {len(contexts)} contexts with "
            "prefill_chunk 0, expected at least 2"
        )
    first = _grid(alone, "n_decode", "kv_decode", batches, contexts)
    shortest = _shortest(decodes[decodes["prefill_chunk"] > 0])
    if shortest.empty:
        return contexts, first, first
    beside = _grid(shortest, "n_decode", "kv_decode", batches, contexts)
    return contexts, first, np.maximum(0.0, beside - launch)


def _shortest(mixed: pd.DataFrame) -> pd.DataFrame:
    """The mixed rows with the shortest chunk and the least before it."""
    for column in ("prefill_chunk", "kv_prefill"):
        mixed = mixed.loc[mixed[column].to_numpy() == mixed[column].min()]
    return mixed


def _grid(frame: pd.DataFrame, row: str, column: str, at: FloatArray, columns: FloatArray) -> FloatArray:
    """Times by (row, column), read along each profiled row, then across them; row 0 is 0; us."""
    known = np.sort(frame[row].unique())
    by_row = np.array(
        [
            curve(part[column].to_numpy(), part[TIME].to_numpy(), columns)
            for part in (frame[frame[row] == n] for n in known)
        ]
    )
    table = np.column_stack([curve(known, by_row[:, k], at) for k in range(len(columns))])
    table[at == 0] = 0.0
    return table


def prefill_us(profile: LayerProfile, longest: int) -> tuple[FloatArray, FloatArray, FloatArray, float]:
    """Chunks, cached lengths, prefill attention of one layer by both, and what every batch pays of it once; us.

    A chunk beyond the longest profiled one costs in proportion to its (query, visible token) pairs.
    """
    rows = profile.attention
    alone = rows[(rows["n_decode"] == 0) & (rows["prefill_chunk"] > 0)]
    chunks, cached = np.sort(alone["prefill_chunk"].unique()), np.sort(alone["kv_prefill"].unique())
    for name, values in (("prefill_chunk", chunks), ("kv_prefill", cached)):
        if len(values) < 2:
            raise InputError(
                f"profile {profile.folder}: attention.csv, column {name}: {len(values)} values with n_decode 0, "
                "expected at least 2"
            )
    table = np.array(
        [
            curve(part["kv_prefill"].to_numpy(), part[TIME].to_numpy(), cached)
            for part in (alone[alone["prefill_chunk"] == c] for c in chunks)
        ]
    )
    last = chunks[-1]
    if longest > last:
        pairs = longest * (cached + longest / 2) / (last * (cached + last / 2))
        table = np.vstack((table, table[-1] * pairs))
        chunks = np.append(chunks, float(longest))
    return chunks, cached, table, float(table[0, 0])


def padding_us(
    profile: LayerProfile, prefill: tuple[FloatArray, FloatArray, FloatArray], launch: float
) -> float:
    """What a decode costs per token of the chunk beside it, us: the slope of what the other parts leave over.

    By least squares of relative errors, so that no batch counts for more because it is large.
    """
    rows = profile.attention
    mixed = rows[(rows["n_decode"] > 0) & (rows["prefill_chunk"] > 0)]
    if mixed.empty:
        return 0.0
    counts = np.arange(mixed["n_decode"].max() + 1.0)
    contexts, _, beside = decode_us(profile, counts, launch)
    chunks, cached, alone = prefill
    keys = mixed[["n_decode", "kv_decode", "prefill_chunk", "kv_prefill"]].to_numpy()
    parts = np.array(
        [
            between(beside, counts, contexts, n, kv) + between(alone, chunks, cached, chunk, before)
            for n, kv, chunk, before in keys
        ]
    )
    measured = mixed[TIME].to_numpy()
    left, padded = 1.0 - parts / measured, keys[:, 0] * keys[:, 2] / measured
    return max(0.0, float(left @ padded / (padded @ padded)))
