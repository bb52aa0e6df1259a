"""What the tables mean, in plain Python: the reference the compiled loop and the tests are held to."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from simulators.inference.timing.tables import LOOKUP, FloatArray, StageTables


def along(curve: FloatArray, n: int) -> float:
    """`curve[n]`, beyond the end continued in a straight line."""
    last = len(curve) - 1
    if n <= last:
        return float(curve[n])
    return float(curve[last] + (n - last) * (curve[last] - curve[last - 1]))


def between(table: FloatArray, rows: FloatArray, columns: FloatArray, row: float, column: float) -> float:
    """Bilinear interpolation in `table`, linear beyond its edges, never negative."""
    i = min(max(int(np.searchsorted(rows, row, side="right")) - 1, 0), len(rows) - 2)
    k = min(max(int(np.searchsorted(columns, column, side="right")) - 1, 0), len(columns) - 2)
    u = (row - rows[i]) / (rows[i + 1] - rows[i])
    v = (column - columns[k]) / (columns[k + 1] - columns[k])
    low = table[i, k] + v * (table[i, k + 1] - table[i, k])
    high = table[i + 1, k] + v * (table[i + 1, k + 1] - table[i + 1, k])
    return float(max(0.0, low + u * (high - low)))


def decode_seconds(tables: StageTables, contexts: Sequence[int], longest_chunk: int = 0) -> float:
    """Attention of decoding requests with these contexts (tokens), beside prompt chunks of up to so many tokens, s."""
    count = len(contexts)
    if count == 0:
        return 0.0
    if tables.mode == LOOKUP:
        column = math.ceil(sum(contexts) // count / tables.kv_step)
        seconds = along(tables.decode_s[min(count, len(tables.decode_s) - 1)], column)
        return seconds * tables.shared_factor if count > 1 else seconds
    rows, columns = np.arange(float(len(tables.decode_s))), len(tables.decode_kv)
    first = columns if longest_chunk and tables.decode_s.shape[1] > columns else 0
    table = tables.decode_s[:, first : first + columns]
    seconds = between(table, rows, tables.decode_kv, count, sum(contexts) / count)
    if first:
        seconds += longest_chunk * float(tables.decode_s[min(count, len(rows) - 1), -1])
    return seconds


def prefill_seconds(tables: StageTables, prompts: Sequence[tuple[int, int]]) -> float:
    """Attention of prompt chunks, each (tokens, tokens cached before), s."""
    if not prompts:
        return 0.0
    if tables.mode == LOOKUP:
        chunk = round(math.sqrt(sum(tokens**2 for tokens, _ in prompts)))
        column = sum(math.ceil(cached / tables.kv_step) for _, cached in prompts)
        seconds = along(tables.prefill_s[min(chunk, len(tables.prefill_s) - 1)], column)
        return seconds * tables.shared_factor if len(prompts) > 1 else seconds
    each = [
        max(
            0.0,
            between(tables.prefill_s, tables.prefill_chunk, tables.prefill_kv, tokens, cached)
            - tables.prefill_floor_s,
        )
        for tokens, cached in prompts
    ]
    total = sum(each)
    if tables.prefill_s.shape[1] > len(tables.prefill_kv):
        # the busiest data-parallel rank's share of the prompts, and what is not spread evenly (`with_ranks`)
        ranks = float(tables.prefill_s[0, -1])
        late, either = tables.prefill_s[:, [-2, -2]], np.array([0.0, 1.0])
        apart = [between(late, tables.prefill_chunk, either, tokens, 0.0) for tokens, _ in prompts]
        share = math.ceil(len(prompts) / ranks) / len(prompts)
        total = max(max(each), total * share)
        total += (max(max(apart), sum(apart) * share) - sum(apart) / ranks) / (1 - 1 / ranks)
    return tables.prefill_floor_s + total


def stage_seconds(
    tables: StageTables,
    decodes: Sequence[int],
    prompts: Sequence[tuple[int, int]],
    last_stage: bool = True,
) -> float:
    """Time of one stage for one batch, s.

    Parameters
    ----------
    tables
        Of the stage.
    decodes
        Context of every decoding request, tokens.
    prompts
        Chunk and cached length of every prompt, tokens.
    last_stage
        Whether the stage samples; another sends its activations on.
    """
    tokens = len(decodes) + sum(chunk for chunk, _ in prompts)
    seconds = along(tables.token_s, tokens) + prefill_seconds(tables, prompts)
    seconds += decode_seconds(tables, decodes, max((chunk for chunk, _ in prompts), default=0))
    if last_stage:
        return seconds + along(tables.sequence_s, len(decodes) + len(prompts))
    return seconds + along(tables.send_s, tokens)


def stage_flops(tables: StageTables, decodes: Sequence[int], prompts: Sequence[tuple[int, int]]) -> float:
    """Work of one GPU of the stage for one batch, FLOP."""
    queries = [(1, context) for context in decodes] + list(prompts)
    tokens = sum(q for q, _ in queries)
    pairs = sum(q * (q + cached) for q, cached in queries)
    return tables.flops_per_token * tokens + tables.flops_per_pair * pairs
