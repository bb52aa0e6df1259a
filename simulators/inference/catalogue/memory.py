"""How a model lies in the memory of its GPUs: parameters, weights, KV cache."""

from __future__ import annotations

import math
from typing import Literal

from simulators.errors import InputError
from simulators.inference.catalogue.gpus import Gpu
from simulators.inference.catalogue.models import Model
from simulators.inference.catalogue.precision import Precision, bytes_per_parameter

GB = 1e9
STATE_BYTES = 4.0
"""Of a value of recurrent state (32 bit)."""


def check_parallelism(model: Model, tp: int, pp: int) -> None:
    """Check that heads and layers divide evenly.

    Raises
    ------
    InputError
        If query heads are not divisible by `tp` or layers by `pp`.
    """
    if tp < 1 or model.heads % tp:
        raise InputError(f"tp: {tp} does not divide the {model.heads} attention heads of {model.name}")
    if pp < 1 or model.num_layers % pp:
        raise InputError(f"pp: {pp} does not divide the {model.num_layers} layers of {model.name}")


def kv_heads_per_gpu(model: Model, tp: int) -> int:
    """KV heads one GPU holds; with more GPUs than heads each head is on several."""
    return math.ceil(model.kv_heads / tp)


def parameters_per_gpu(model: Model, tp: int, pp: int) -> float:
    """Weights of the attention and MLP projections a token passes through on one GPU of one stage.

    This is Vidur's count (no embedding, LM head, norms), extended to routed experts by counting those a token uses.
    """
    check_parallelism(model, tp, pp)
    if model.mla or model.linear_layers or model.moe_layers:
        return model.active_parameters / tp / pp
    attention = model.hidden * model.head_dim * (2 * model.heads // tp + 2 * kv_heads_per_gpu(model, tp))
    mlp = model.dense_parameters // tp
    return float((attention * model.attention_layers + mlp * model.dense_layers) // pp)


def weight_bytes_per_gpu(
    model: Model, tp: int, pp: int, precision: Precision | None = None, *, experts: float | None = None
) -> float:
    """Bytes of weights one GPU of one stage holds; the first and last stage's embeddings are spread over all stages.

    Parameters
    ----------
    model
        The model.
    tp, pp
        GPUs a layer is split over; pipeline stages.
    precision
        Of the matrices; default the checkpoint's. Embedding and LM head stay in bf16.
    experts
        Experts to count per routed layer; default all. Expert parallelism splits them as tensor parallelism does.
    """
    check_parallelism(model, tp, pp)
    matrices = precision or model.precision
    attention_format = matrices if model.attention_quantised or precision == "bf16" else "bf16"
    counted = model.num_experts if experts is None else experts
    attention = (
        model.attention_layers * model.attention_parameters + model.linear_layers * model.linear_parameters
    )
    mlp = model.dense_layers * model.dense_parameters + model.moe_layers * (
        model.shared_parameters + counted * model.expert_parameters
    )
    embeddings = (1 if model.tied else 2) * model.vocab * model.hidden
    layers_bytes = attention * bytes_per_parameter(attention_format) + mlp * bytes_per_parameter(matrices)
    return (layers_bytes + 2.0 * embeddings) / tp / pp


def kv_bytes_per_token_per_gpu(
    model: Model, tp: int, pp: int, precision: Precision = "bf16", context: int = 1
) -> float:
    """Bytes of KV cache one token of context takes on one GPU; where tokens are dealt out among `context`, on average.

    Layers with a sliding window are left out: beyond the window they do not grow. Latent attention keeps one compressed
    vector per token and layer on every GPU of the tensor-parallel group (DeepSeek-V2, arXiv:2405.04434, section 2.1).
    """
    check_parallelism(model, tp, pp)
    layers = (model.attention_layers - model.sliding_layers) or model.attention_layers
    values = model.kv_lora + model.rope_dim if model.mla else 2 * model.head_dim * kv_heads_per_gpu(model, tp)
    return values * bytes_per_parameter(precision) * layers / pp / context


def state_bytes_per_sequence_per_gpu(model: Model, tp: int, pp: int) -> float:
    """Bytes of recurrent state one sequence keeps on one GPU, whatever its length.

    Kept in 32 bit, as servers advise for Mamba-2: decode iterations of Nemotron-Nano-12B-v2 on H100 (ML.ENERGY v3) take
    about 96 us per sequence beyond kernels and sampling, the time to read and write 283 MB at 2.9 TB/s.
    """
    check_parallelism(model, tp, pp)
    return STATE_BYTES * model.state_values * model.linear_layers / tp / pp


def kv_blocks(
    model: Model,
    gpu: Gpu,
    tp: int,
    pp: int,
    block_tokens: int = 16,
    rule: Literal["paged", "slots"] = "paged",
    max_model_len: int = 4096,
    memory_fraction: float = 0.9,
    precision: Precision | None = None,
    kv_precision: Precision = "bf16",
    ranks: int = 1,
    context: int = 1,
) -> int:
    """Blocks of KV cache a replica has.

    Parameters
    ----------
    model, gpu, tp, pp
        What runs where.
    block_tokens
        Tokens per block.
    rule
        ``paged``: all memory left over is cut into blocks, as vLLM does. ``slots``: Vidur's rule, whole slots of
        `max_model_len` tokens, weights without embeddings in 2 bytes, every layer counted on every stage, times `pp`.
    max_model_len
        Longest request, tokens; used by ``slots`` only.
    memory_fraction
        Share of the GPU's memory the server may use.
    precision, kv_precision
        Of the weights (default the checkpoint's) and the KV cache.
    ranks
        ``paged`` only: data-parallel ranks that share the experts; each holds a part of them and all other weights.
    context
        ``paged`` only: GPUs among which the tokens of a sequence are dealt out.

    Raises
    ------
    InputError
        If the weights leave no room for a single block (or slot).
    """
    if not 0 < memory_fraction <= 1:
        raise InputError(f"memory fraction: {memory_fraction} is outside 0..1")
    usable = gpu.memory_bytes * memory_fraction
    if rule == "slots":
        check_parallelism(model, tp, pp)
        weights = 2.0 * parameters_per_gpu(model, tp, pp)
        value = 2.0 * bytes_per_parameter(kv_precision) * model.head_dim
        unit = value * kv_heads_per_gpu(model, tp) * max_model_len * model.num_layers
        slots = (usable - weights) // unit
        blocks = int(max_model_len // block_tokens * slots * pp)
    else:
        weights = weight_bytes_per_gpu(model, tp, pp, precision, experts=model.num_experts / ranks)
        unit = kv_bytes_per_token_per_gpu(model, tp, pp, kv_precision, context) * block_tokens
        blocks = int((usable - weights) // unit) * ranks
    if blocks < 1:
        raise InputError(
            f"{model.name} does not fit on {gpu.name} with tp {tp} and pp {pp}: weights take {weights / GB:.1f} GB per "
            f"GPU, {memory_fraction:.0%} of its memory is {usable / GB:.1f} GB and the smallest KV allocation "
            f"{unit / GB:.4f} GB; use more GPUs or a smaller precision"
        )
    return blocks
