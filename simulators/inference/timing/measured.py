"""Iteration time from measured kernels: sampled on a grid once, interpolated linearly afterwards."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from simulators.inference.catalogue import Gpu, Model, Precision, check_parallelism
from simulators.inference.timing.engine import Framework, quiet
from simulators.inference.timing.kernels import Kernels, kernels
from simulators.inference.timing.tables import INTERPOLATE, FloatArray, StageTables
from simulators.inference.timing.unlisted import unlisted_s
from simulators.inference.timing.work import send_seconds, stage_work

_PADDED = 512
"""Rows up to which decodes are looked at for a shorter time of more rows, however small the table."""


def token_grid(longest: int) -> FloatArray:
    """Every count to 64, then steps of 8 to 512, 64 to 4096 and 512 beyond; GEMM times have steps of 8 to 256 rows."""
    parts = [
        np.arange(1, 65),
        np.arange(72, 513, 8),
        np.arange(576, 4097, 64),
        np.arange(4608, longest + 512, 512),
    ]
    grid = np.concatenate(parts)
    return np.asarray(np.union1d(grid[grid < longest], [longest]), dtype=np.float64)


def geometric_grid(longest: int, ratio: float, first: int = 1) -> FloatArray:
    """Whole numbers from `first` to `longest`, neighbours at most `ratio` (or 1) apart."""
    count = max(2, int(np.ceil(np.log(max(longest, first + 1) / first) / np.log(ratio))) + 1)
    return np.asarray(np.unique(np.rint(np.geomspace(first, max(longest, first + 1), count))))


def sampled(function: Callable[[int], float], grid: FloatArray, longest: int) -> FloatArray:
    """`function` at 0..longest, straight lines between the grid's points; entry 0 is 0. Shape (longest + 1,)."""
    values = np.array([function(int(n)) for n in grid])
    read = np.interp(np.arange(longest + 1), grid, values)
    read[0] = 0.0
    return np.asarray(read)


def never_longer(times: list[tuple[float, float]]) -> FloatArray:
    """Times of ascending numbers of rows, none above that of more rows: fewer can be padded. Shape (numbers, 2)."""
    return np.asarray(np.minimum.accumulate(np.array(times)[::-1], axis=0)[::-1]).copy()


def _per_token(
    measured: Kernels,
    model: Model,
    gpu: Gpu,
    tp: int,
    framework: Framework,
    tokens: FloatArray,
    max_batch: int,
) -> FloatArray:
    """(All but attention and sampling, communication in it) for `tokens` in the batch, s; shape (tokens, 2)."""
    seconds = never_longer([measured.prompt_tokens(int(n)) for n in tokens])
    # a batch of more tokens than requests holds prompts, whose kernels overlap less in some models
    decodes = token_grid(max(max_batch, _PADDED))
    decode_s = never_longer([measured.decode_tokens(int(n)) for n in decodes])
    decoding = tokens <= max_batch
    for column in range(2):
        seconds[decoding, column] = np.interp(tokens[decoding], decodes, decode_s[:, column])
    exchange_s = decode_s[0, 1] / (2 * model.num_layers)
    return np.asarray(seconds + np.column_stack(unlisted_s(model, gpu, tp, framework, tokens, exchange_s)))


def _prefill_attention(measured: Kernels, chunk: int, cached: int) -> float:
    """Attention of a chunk, at least what reading its context takes.

    aiconfigurator scales the kernel for the whole prompt by the share of its work that is left, which tends to
    nothing for a short chunk after a long prefix; a single query that reads the same context bounds it from below.
    """
    return max(measured.prefill_attention(chunk, cached), measured.decode_attention(1, cached + chunk))


def measured_tables(
    model: Model,
    gpu: Gpu,
    tp: int = 1,
    pp: int = 1,
    precision: Precision | None = None,
    max_tokens: int = 8192,
    max_batch: int = 256,
    max_context: int = 32768,
    *,
    kv_precision: Precision = "bf16",
    framework: Framework = "vllm",
    expert_parallel: int = 1,
    peak_flops: float | None = None,
) -> StageTables:
    """Tables in `INTERPOLATE` mode from the kernels aiconfigurator-core measured.

    Parameters
    ----------
    model, gpu, tp, pp, precision
        What runs where; a pipeline stage has 1/pp of every layer's time.
    max_tokens, max_batch, max_context
        Largest batch in tokens, in requests, and longest context the tables are sampled for.
    kv_precision, framework, expert_parallel
        See `kernels.kernels`.
    peak_flops
        Denominator of MFU instead of the data sheet's, FLOP/s.

    Raises
    ------
    InputError
        If there are no measurements for the combination.
    """
    check_parallelism(model, tp, pp)
    chosen = precision or model.precision
    measured = kernels(model, gpu, tp, precision, kv_precision, framework, expert_parallel)
    tokens = token_grid(max_tokens)
    batches = geometric_grid(max_batch, 1.12)
    contexts = geometric_grid(max_context, 1.19)
    chunks = geometric_grid(max_tokens, 1.19)
    cached = np.concatenate(([0.0], geometric_grid(max_context, 1.35, first=64)))
    with quiet():
        prompt_s = _per_token(measured, model, gpu, tp, framework, tokens, max_batch)
        sequence_s = sampled(measured.sampling, batches, max_batch)
        decode_rows = np.array(
            [[measured.decode_attention(int(b), int(k)) for k in contexts] for b in batches]
        )
        prefill_s = np.array([[_prefill_attention(measured, int(c), int(k)) for k in cached] for c in chunks])
    every = np.arange(max_tokens + 1, dtype=np.float64)
    every_batch = np.arange(max_batch + 1, dtype=np.float64)
    token_s = np.interp(every, tokens, prompt_s[:, 0]) / pp
    comm_s = np.interp(every, tokens, prompt_s[:, 1]) / pp
    token_s[0] = comm_s[0] = 0.0
    decode_s = np.column_stack([np.interp(every_batch, batches, column) for column in decode_rows.T]) / pp
    decode_s[0] = 0.0
    prefill_s = np.maximum.accumulate(prefill_s, axis=1)
    work = stage_work(model, gpu, tp, pp, chosen, max_tokens, kv_precision, peak_flops)
    return StageTables(
        mode=INTERPOLATE,
        token_s=token_s,
        sequence_s=sequence_s,
        send_s=send_seconds(model, gpu, tp, pp, every),
        comm_s=comm_s,
        decode_s=decode_s,
        decode_kv=contexts,
        prefill_s=prefill_s / pp,
        prefill_chunk=chunks,
        prefill_kv=cached,
        prefill_floor_s=float(prefill_s[0, 0]) / pp,
        kv_step=1,
        shared_factor=1.0,
        **vars(work),
    )
