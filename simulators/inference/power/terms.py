"""What an iteration's energy is made of, and how much of each a model asks for.

One GPU, one iteration of duration T:

    E = idle T + active (T - host - communication) + sum over terms of (energy per unit) x (units of work)

`Amounts` counts the units and `Coefficients` prices them. Fit, batch loop and benchmarks take both from here, so what
is fitted is what is fed.

Sources. The form, and prices of bytes and FLOP from measurements of one laboratory: the three-term law of efficient-ai
(single GPU, fp16: static power, bytes of weights and of KV cache, FLOP). What was added, and why: the host's time is no
work (dynamic energy per iteration is the same at 29 and 65 ms on the same B200); block-scaled FP8 experts pad every
expert to 128 rows (ML.ENERGY v3: at a batch of 8 to 128 a Qwen3-235B FP8 iteration takes 0.13-0.16 J per GB of weights
read *plus* an amount that is the same for all batches and halves with twice the GPUs; 128 rows of every local expert at
0.5-0.8 pJ/FLOP); sampling sorts the vocabulary.
"""

from __future__ import annotations

from typing import NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from simulators.inference.catalogue import (
    Gpu,
    Model,
    Precision,
    bytes_per_parameter,
    kv_bytes_per_token_per_gpu,
)
from simulators.inference.catalogue.memory import parameters_per_gpu, state_bytes_per_sequence_per_gpu
from simulators.inference.timing.engine import Framework
from simulators.inference.timing.experts import padded_flops
from simulators.inference.timing.sampling import Sampling, sampled_logits
from simulators.inference.timing.work import experts_touched, flops_per_pair, weight_traffic

FloatArray = NDArray[np.float64]

UNPACKED_ROWS = 64
"""Rows of a tile of a grouped product whose 4-bit weights are unpacked to 16 bit in it: Hopper's smallest tensor-core
instruction over a warp group has 64 rows."""


class Coefficients(NamedTuple):
    """Prices of the terms; W for `active`, J per unit for the others, all >= 0.

    Attributes
    ----------
    active
        Drawn on top of idle while kernels run, whatever they do, W: clocks and schedulers at work.
    weights, experts, kv
        J per byte read: weights every token uses, weights of routed experts, KV cache and recurrent state (the latter
        written as well).
    flop16, flop8
        J per FLOP of products in 16 bit (4-bit weights are unpacked to it, 8-bit ones on GPUs without such units) and
        in 8 bit.
    padded
        J per FLOP of block-scaled FP8 experts over rows that are padding.
    unpacked
        J per FLOP of grouped products over 4-bit weights, on GPUs without 4-bit units, counted in whole tiles.
    logits
        J per logit that is sampled from with its neighbours sorted (top-p, top-k); see `sampled_logits`.
    """

    active: float
    weights: float
    experts: float
    kv: float
    flop16: float
    flop8: float
    padded: float = 0.0
    unpacked: float = 0.0
    logits: float = 0.0


class Amounts(NamedTuple):
    """Units of work of one GPU of one stage; names as in `Coefficients`.

    Attributes
    ----------
    weights
        B per iteration.
    experts
        `experts[n]`: B in an iteration of `n` tokens; shape (max tokens + 1,).
    kv_per_token
        B per token of context read.
    kv_per_sequence
        B per sequence, of recurrent state read and written.
    flop16_per_token, flop8_per_token
        FLOP of the linear layers.
    flop16_per_pair
        FLOP of attention per pair of query and visible token.
    padded
        FLOP per iteration.
    unpacked
        `unpacked[n]`: FLOP in an iteration of `n` tokens; shape as `experts`.
    logits_per_sequence
        See `Coefficients.logits`.
    """

    weights: float
    experts: FloatArray
    kv_per_token: float
    kv_per_sequence: float
    flop16_per_token: float
    flop8_per_token: float
    flop16_per_pair: float
    padded: float
    unpacked: FloatArray
    logits_per_sequence: float


class Joules(NamedTuple):
    """Energy of an iteration above idle and `active`, per GPU of one stage.

    Attributes
    ----------
    per_tokens
        `per_tokens[n]`: of an iteration of `n` tokens, J; entry 0 is 0.
    per_sequence, per_pair, per_cached
        Per sequence, per pair of query and visible token, per token of context read, J.
    """

    per_tokens: FloatArray
    per_sequence: float
    per_pair: float
    per_cached: float


def amounts(
    model: Model,
    gpu: Gpu,
    tp: int,
    pp: int = 1,
    precision: Precision | None = None,
    kv_precision: Precision = "bf16",
    *,
    sampling: Sampling = "greedy",
    framework: Framework = "vllm",
    version: str | None = None,
    ranks: int = 1,
    context: int = 1,
    max_tokens: int = 8192,
) -> Amounts:
    """Work of `model` on one of `tp` x `pp` GPUs.

    Parameters
    ----------
    model, gpu, tp, pp, precision, kv_precision
        What runs where and in which format; precision defaults to the checkpoint's.
    sampling
        How tokens are drawn.
    framework, version
        Of the server; no version: the newest.
    ranks
        Data-parallel ranks that share the requests and the experts; each has all other weights. Tokens and sequences
        are then those of all ranks.
    context
        GPUs among which the tokens of a sequence's cache are dealt out.
    max_tokens
        Longest entry of the arrays.

    Raises
    ------
    InputError
        If the model cannot be split so.
    """
    chosen = precision or model.precision
    read = weight_traffic(model, tp, pp, chosen, max_tokens, ranks)
    every = np.arange(max_tokens + 1, dtype=np.float64)
    touched = model.moe_layers * experts_touched(model, every)
    one = model.expert_parameters / tp / pp / ranks  # of an expert, on one GPU in the mean
    experts = touched * one * bytes_per_parameter(chosen)
    experts[0] = 0.0
    flops = 2.0 * parameters_per_gpu(model, tp, pp) / ranks
    eight = chosen in ("fp8", "int8") and chosen in gpu.peak_flops  # else they are widened to 16 bit
    rows = np.zeros_like(every)
    if model.num_experts and chosen in ("fp4", "int4") and "fp4" not in gpu.peak_flops:
        rows = touched * UNPACKED_ROWS
    return Amounts(
        weights=float(read[1] - experts[1]),
        experts=experts,
        kv_per_token=kv_bytes_per_token_per_gpu(model, tp, pp, kv_precision) / ranks / context,
        kv_per_sequence=2.0 * state_bytes_per_sequence_per_gpu(model, tp, pp) / ranks,
        flop16_per_token=0.0 if eight else flops,
        flop8_per_token=flops if eight else 0.0,
        flop16_per_pair=flops_per_pair(model, tp, pp) / ranks,
        padded=padded_flops(model, tp * pp * ranks, chosen, framework, version),
        unpacked=2.0 * one * rows,
        logits_per_sequence=sampled_logits(model.vocab, sampling) / ranks,
    )


def joules(coefficients: Coefficients, work: Amounts) -> Joules:
    """Prices times units, in the form the batch loop reads."""
    c = coefficients
    tokens = np.arange(len(work.experts), dtype=np.float64)
    per_tokens = (
        c.weights * work.weights
        + c.experts * work.experts
        + (c.flop16 * work.flop16_per_token + c.flop8 * work.flop8_per_token) * tokens
        + c.padded * work.padded
        + c.unpacked * work.unpacked
    )
    per_tokens[0] = 0.0
    return Joules(
        per_tokens,
        c.kv * work.kv_per_sequence + c.logits * work.logits_per_sequence,
        c.flop16 * work.flop16_per_pair,
        c.kv * work.kv_per_token,
    )


SAMPLINGS: tuple[str, ...] = get_args(Sampling)
