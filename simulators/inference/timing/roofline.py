"""Iteration time from data sheets: every operator takes the longer of computing and loading, plus its launch.

    time = max(FLOP / (peak * COMPUTE), bytes / (bandwidth * MEMORY)) + launch

(Williams et al. 2009, doi:10.1145/1498765.1498785).

The factors are fitted once, to the measured kernels of Llama-3.1-8B and 70B and Qwen3-30B-A3B on A100, H100, H200,
B200 and L40S, and are not tuned per GPU. `tests/benchmarks/roofline_fit.py` repeats the fit: over decodes, prompts
and mixed iterations the median error is 7 %, the worst 40 % (few tokens on a mixture of experts).
"""

from __future__ import annotations

import numpy as np

from simulators.inference.catalogue import Gpu, Model, Precision, bytes_per_parameter
from simulators.inference.catalogue.layout import ONE, Layout
from simulators.inference.catalogue.memory import kv_heads_per_gpu, state_bytes_per_sequence_per_gpu
from simulators.inference.timing.all_to_all import all_to_all_s, nodes_of
from simulators.inference.timing.collectives import hops_s
from simulators.inference.timing.context import decode_exchange_s, prompt_exchange_s
from simulators.inference.timing.imbalance import busiest
from simulators.inference.timing.measured import geometric_grid
from simulators.inference.timing.tables import INTERPOLATE, FloatArray, StageTables, on_busiest, with_ranks
from simulators.inference.timing.work import (
    GPUS_PER_NODE,
    experts_touched,
    flops_per_pair,
    send_seconds,
    stage_work,
)

COMPUTE = 0.79
"""Share of the dense peak large matrix products reach."""
ATTENTION_COMPUTE = 0.31
"""The same for causal prefill attention, whose masked half is not counted as work."""
MEMORY = 0.79
"""Share of the memory bandwidth streaming kernels reach."""
LAUNCH_S = 2.6e-6
"""Start and drain of one kernel."""
DECODE_LAUNCH_S = 13.5e-6
"""Start, split and combine of decode attention, per layer."""
PREFILL_LAUNCH_S = 45e-6
"""The same of prefill attention."""
LINK = 0.79
"""Share of the link bandwidth a large all-reduce reaches."""
ALL_REDUCE_S = 6e-6
"""Latency of an all-reduce within a node: 7 us measured on four H100 with 256 kB, less the transfer."""
KERNELS_PER_LAYER = 8
"""Projections, norms, activation and the write of the KV cache; attention is counted apart."""


def _product(
    gpu: Gpu,
    precision: Precision,
    rows: FloatArray,
    weights: FloatArray | float,
    parameters_per_row: FloatArray | float,
) -> FloatArray:
    """A matrix product: `weights` parameters are read once, each row is multiplied with `parameters_per_row`; s."""
    compute = 2.0 * rows * parameters_per_row / (gpu.peak(precision) * COMPUTE)
    memory = weights * bytes_per_parameter(precision) / (gpu.memory_bandwidth * MEMORY)
    return np.asarray(np.maximum(compute, memory))


def _per_token(
    model: Model, gpu: Gpu, tp: int, precision: Precision, tokens: FloatArray, routed_s: FloatArray | float
) -> FloatArray:
    """All layers without attention and communication, s; `tokens` are those of one rank, `routed_s` is `_routed`."""
    attention_format: Precision = precision if model.attention_quantised else "bf16"
    projections = model.attention_parameters / tp
    seconds = model.attention_layers * _product(gpu, attention_format, tokens, projections, projections)
    state = model.linear_parameters / tp
    seconds = seconds + model.linear_layers * _product(gpu, attention_format, tokens, state, state)
    dense = model.dense_parameters / tp
    seconds = seconds + model.dense_layers * _product(gpu, precision, tokens, dense, dense)
    seconds = seconds + routed_s
    # norms, residuals and activation: about 12 reads or writes of the hidden state and 3 of the MLP's width, 2
    # bytes each
    width = max(model.ffn, model.moe_ffn * model.experts_per_token + model.shared_ffn)
    moved = 2.0 * tokens * (12 * model.hidden + 3 * width / tp) * model.num_layers
    return np.asarray(
        seconds + moved / (gpu.memory_bandwidth * MEMORY) + model.num_layers * KERNELS_PER_LAYER * LAUNCH_S
    )


def _routed(
    model: Model,
    gpu: Gpu,
    layout: Layout,
    precision: Precision,
    count: tuple[FloatArray, FloatArray],
    imbalance: float | None,
) -> tuple[FloatArray, FloatArray]:
    """Routed layers on the busiest GPU, and how long the mean one waits for it, s.

    Parameters
    ----------
    model, gpu, layout, precision
        What runs where.
    count
        Tokens of one rank, and of all of them.
    imbalance
        Load of the busiest GPU over the mean one's, beyond chance; None: 1.
    """
    own, every = count
    if not model.moe_layers:
        return np.zeros_like(own), np.zeros_like(own)
    one, shared = model.expert_parameters / layout.tp, model.shared_parameters / layout.tp

    def seconds(load: FloatArray | float) -> FloatArray:
        # of the tokens of all ranks a GPU gets its share, and `load` times as much where it is the busiest
        touched = experts_touched(model, every * load)
        weights = shared + one * touched / layout.ranks
        if layout.ranks == 1 and not layout.spread:
            return _product(gpu, precision, own, weights, shared + one * model.experts_per_token)
        multiplied = own * shared + one * model.experts_per_token * every * load / layout.ranks
        return _product(gpu, precision, np.ones_like(own), weights, multiplied)

    if not layout.spread:
        return model.moe_layers * seconds(1.0), np.zeros_like(own)
    slowest, mean = seconds(busiest(model, layout.experts, every, imbalance)), seconds(1.0)
    return model.moe_layers * slowest, model.moe_layers * (slowest - mean)


def _exchange(model: Model, gpu: Gpu, layout: Layout, precision: Precision, tokens: FloatArray) -> FloatArray:
    """Communication of all layers, s: all-reduces of each rank's tokens, and with several ranks all-to-all for experts.

    Two all-reduces per layer; a ring moves 2 (tp - 1) / tp of the data over each link. A routed layer of several ranks
    has one, its experts' results come back by the exchange instead.
    """
    tp = layout.tp
    seconds = np.zeros_like(tokens)
    if tp > 1:
        bandwidth = gpu.link_bandwidth if tp <= GPUS_PER_NODE else gpu.network_bandwidth
        moved = 2.0 * tokens * model.hidden * 2.0 * (tp - 1) / tp
        times = 2.0 * model.num_layers - (model.moe_layers if layout.ranks > 1 else 0)
        latency_s = ALL_REDUCE_S + hops_s(nodes_of(gpu, tp))
        seconds = np.asarray(times * (latency_s + moved / (bandwidth * LINK)))
    if layout.ranks > 1:
        sent_s = all_to_all_s(gpu, model, layout.gpus, precision, tokens / tp)
        seconds = seconds + model.moe_layers * sent_s
    return seconds


def _attention_bytes(model: Model, tp: int, kv_precision: Precision, context: FloatArray) -> FloatArray:
    """KV cache one request's query reads in all layers, bytes; layers with a window read no more than it."""
    values = model.kv_lora + model.rope_dim if model.mla else 2 * model.head_dim * kv_heads_per_gpu(model, tp)
    full = (model.attention_layers - model.sliding_layers) * context
    windowed = model.sliding_layers * np.minimum(context, model.window)
    return np.asarray((full + windowed) * values * bytes_per_parameter(kv_precision))


def _pairs(model: Model, chunk: FloatArray, cached: FloatArray) -> FloatArray:
    """Causal pairs of a chunk, scaled so that `flops_per_pair` (of unlimited layers) gives the work of all layers."""
    unlimited = model.attention_layers - model.sliding_layers
    full = chunk * (cached + chunk / 2)
    if not model.window:
        return np.asarray(full)
    windowed = np.minimum(full, chunk * model.window)
    return np.asarray(
        (unlimited * full + model.sliding_layers * windowed) / (unlimited or model.attention_layers)
    )


def roofline_tables(
    model: Model,
    gpu: Gpu,
    layout: Layout = ONE,
    precision: Precision | None = None,
    max_tokens: int = 8192,
    max_batch: int = 256,
    max_context: int = 32768,
    *,
    kv_precision: Precision = "bf16",
    imbalance: float | None = None,
    peak_flops: float | None = None,
) -> StageTables:
    """Tables in `INTERPOLATE` mode for any model on any GPU with a data sheet; parameters as in `measured_tables`."""
    chosen, tp, pp, ranks = precision or model.precision, layout.tp, layout.pp, layout.ranks
    every = np.arange(max_tokens + 1, dtype=np.float64)
    own = on_busiest(every, ranks, max_batch)
    routed_s, waits_s = _routed(model, gpu, layout, chosen, (own, every), imbalance)
    comm_s = _exchange(model, gpu, layout, chosen, own) / pp
    token_s = _per_token(model, gpu, tp, chosen, own, routed_s) / pp + comm_s
    comm_s = comm_s + waits_s / pp
    batch = on_busiest(np.arange(max_batch + 1, dtype=np.float64), ranks, max_batch)
    head = model.vocab * model.hidden / tp
    contexts = geometric_grid(max_context, 1.19)
    state = 2.0 * state_bytes_per_sequence_per_gpu(model, tp, 1)  # read and written
    read = batch[:, None] * (_attention_bytes(model, tp, kv_precision, contexts)[None, :] + state)
    launches = model.attention_layers * DECODE_LAUNCH_S
    decode_s = (read / layout.context / (gpu.memory_bandwidth * MEMORY) + launches) / pp
    decode_s = decode_s + decode_exchange_s(model, gpu, layout, batch)[:, None] / pp
    chunks = geometric_grid(max_tokens, 1.19)
    cached = np.concatenate(([0.0], geometric_grid(max_context, 1.35, first=64)))
    flops = flops_per_pair(model, tp, pp) * _pairs(model, chunks[:, None], cached[None, :])
    # attention products run in bf16 whatever the weights' format
    compute = flops / (gpu.peak("bf16") * ATTENTION_COMPUTE)
    memory = _attention_bytes(model, tp, kv_precision, cached[None, :] + chunks[:, None]) / (
        gpu.memory_bandwidth * MEMORY
    )
    floor_s = model.attention_layers * PREFILL_LAUNCH_S / pp
    prefill_s = floor_s + np.maximum(compute, memory / pp)
    prefill_s = prefill_s + prompt_exchange_s(model, gpu, layout, kv_precision, cached)[None, :] / pp
    if ranks > 1:
        alone, even = (_per_token(model, gpu, tp, chosen, n, 0.0) / pp for n in (chunks, chunks / ranks))
        prefill_s = with_ranks(prefill_s, alone - even, ranks)
    token_s[0] = comm_s[0] = 0.0
    decode_s[0] = 0.0
    work = stage_work(model, gpu, tp, pp, chosen, max_tokens, kv_precision, peak_flops, ranks, layout.context)
    return StageTables(
        mode=INTERPOLATE,
        token_s=token_s,
        sequence_s=_product(gpu, "bf16", batch, head, head) + LAUNCH_S,
        send_s=send_seconds(model, gpu, layout.gpus, pp, own),
        comm_s=comm_s,
        decode_s=decode_s,
        decode_kv=contexts,
        prefill_s=prefill_s,
        prefill_chunk=chunks,
        prefill_kv=cached,
        prefill_floor_s=floor_s,
        kv_step=1,
        shared_factor=1.0,
        **vars(work),
    )
