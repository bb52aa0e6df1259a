"""Work of a whole model per token, from the catalogue or, for a model it does not know, from its parameter counts."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from simulators.errors import InputError
from simulators.inference.catalogue import (
    Model,
    Precision,
    bytes_per_parameter,
    kv_bytes_per_token_per_gpu,
    model,
)
from simulators.inference.power.kernel_class import kernel_class
from simulators.inference.timing.work import flops_per_pair, weight_traffic

LARGEST_BATCH = 8192
SHARED_SHARE = 0.4
"""Share of a mixture's active parameters that every token uses (attention, shared experts, LM head), for models known
by size only: 0.29 in gpt-oss-120b, 0.44 in Qwen3-30B-A3B, 0.45 in DeepSeek-V3, from their configurations."""


@dataclass(frozen=True)
class Work:
    """FLOP and bytes of the whole model, before it is split over GPUs.

    Attributes
    ----------
    flops_per_token
        2 x active parameters.
    flops_per_pair
        Attention, per pair of query and visible token.
    weights_read
        Bytes of weights read in an iteration of n tokens, at n = 0..`LARGEST_BATCH`.
    kv_bytes_per_token, window_bytes_per_token, window
        Bytes of KV cache read per token of context in full and in sliding layers; tokens the latter see.
    hidden, layers
        For the size and number of messages.
    routed
        Whether it has routed experts.
    precision
        Of the weights.
    kernel_class
        See `kernel_class`.
    """

    flops_per_token: float
    flops_per_pair: float
    weights_read: tuple[float, ...]
    kv_bytes_per_token: float
    window_bytes_per_token: float
    window: float
    hidden: float
    layers: float
    routed: bool
    precision: Precision
    kernel_class: str

    def weight_bytes(self, tokens: float) -> float:
        """Bytes of weights read in an iteration of `tokens` tokens."""
        return float(np.interp(tokens, np.arange(len(self.weights_read)), self.weights_read))

    def kv_bytes(self, context: float) -> float:
        """Bytes of KV cache one request at `context` tokens reads per iteration."""
        return self.kv_bytes_per_token * context + self.window_bytes_per_token * min(context, self.window)


@functools.lru_cache(maxsize=256)
def work_of(
    name: str, precision: Precision | None = None, parameters: tuple[float, float] | None = None
) -> Work:
    """Work of the model called `name`.

    Parameters
    ----------
    name
        In the catalogue, or anything if `parameters` are given.
    precision
        Of the weights; default the checkpoint's.
    parameters
        Total and active parameters, used where the catalogue does not know the name.

    Raises
    ------
    InputError
        If the model is unknown and no parameters are given.
    """
    try:
        shape = model(name)
    except InputError:
        if parameters is None:
            raise
        return _from_size(name, precision or "bf16", *parameters)
    return _from_shape(shape, precision or shape.precision)


def _from_shape(shape: Model, precision: Precision) -> Work:
    sliding = 2.0 * 2.0 * shape.kv_heads * shape.head_dim * shape.sliding_layers
    return Work(
        flops_per_token=2.0 * shape.active_parameters,
        flops_per_pair=flops_per_pair(shape, 1, 1),
        weights_read=tuple(weight_traffic(shape, 1, 1, precision, LARGEST_BATCH)),
        kv_bytes_per_token=kv_bytes_per_token_per_gpu(shape, 1, 1),
        window_bytes_per_token=sliding if shape.sliding_layers < shape.attention_layers else 0.0,
        window=float(shape.window),
        hidden=float(shape.hidden),
        layers=float(shape.num_layers),
        routed=shape.num_experts > 0,
        precision=precision,
        kernel_class=kernel_class(shape, precision),
    )


def _from_size(name: str, precision: Precision, total: float, active: float) -> Work:
    """Work from parameter counts alone.

    Hidden size and layers follow N = 12 layers hidden^2 (Kaplan et al. 2020, arXiv:2001.08361, section 2.1) with
    hidden = 100 layers, about the shape of Llama and Qwen; a mixture is as wide as a dense model of the geometric
    mean of its total and active parameters. KV heads are taken as 8 of 128, bf16. `SHARED_SHARE` of a mixture's
    active parameters are not routed; the rest over all routed ones is the chance that a token uses a given expert.
    """
    width = total if active > 0.8 * total else (active * total) ** 0.5
    layers = (width / 12e4) ** (1 / 3)
    tokens = np.arange(LARGEST_BATCH + 1, dtype=np.float64)
    routed = active < 0.8 * total
    shared = SHARED_SHARE * active if routed else total
    used = (active - shared) / (total - shared) if routed else 0.0
    read = shared + (total - shared) * (1.0 - (1.0 - used) ** tokens)
    block_scaled = (
        routed and precision == "fp8" and not any(f in name.lower() for f in ("deepseek", "kimi", "llama-4"))
    )
    return Work(
        flops_per_token=2.0 * active,
        flops_per_pair=4.0 * layers * 100.0 * layers,
        weights_read=tuple(read * bytes_per_parameter(precision)),
        kv_bytes_per_token=layers * 2 * 8 * 128 * 2.0,
        window_bytes_per_token=0.0,
        window=0.0,
        hidden=100.0 * layers,
        layers=layers,
        routed=routed,
        precision=precision,
        kernel_class="moe_fp8" if block_scaled else ("moe" if routed else "dense"),
    )
