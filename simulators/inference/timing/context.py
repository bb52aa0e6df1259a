"""Decode context parallelism: the tokens of a sequence's KV cache dealt out among GPUs that hold the same heads.

With more tensor-parallel GPUs than KV heads (latent attention: one) several GPUs keep the same cache. vLLM's
`--decode-context-parallel-size` gives each of them every n-th token instead: n times the cache fits, and each reads an
n-th of it. Its queries then have to see the other tokens too, so in every layer the n GPUs gather the queries of all
their heads, attend to their own tokens, and add the outputs up, weighted by their softmax sums (one all-gather and one
reduce-scatter). A prompt's chunk gathers what is cached before it.
"""

from __future__ import annotations

import numpy as np

from simulators.inference.catalogue import Gpu, Model, Precision, bytes_per_parameter
from simulators.inference.catalogue.layout import Layout
from simulators.inference.catalogue.memory import kv_heads_per_gpu
from simulators.inference.timing.collectives import collective_seconds
from simulators.inference.timing.tables import FloatArray

VALUE_BYTES = 2.0
SOFTMAX_BYTES = 4.0


def decode_exchange_s(model: Model, gpu: Gpu, layout: Layout, requests: FloatArray) -> FloatArray:
    """Gathering queries and adding up outputs of `requests` decodes in all layers, s; shape as `requests`."""
    if layout.context == 1:
        return np.zeros_like(requests)
    heads = model.heads / layout.tp * layout.context
    query = model.kv_lora + model.rope_dim if model.mla else model.head_dim
    output = model.kv_lora if model.mla else model.head_dim
    gathered = collective_seconds(gpu, "all_gather", layout.context, requests * heads * query * VALUE_BYTES)
    size = requests * heads * (output * VALUE_BYTES + SOFTMAX_BYTES)
    added = collective_seconds(gpu, "reduce_scatter", layout.context, size)
    return np.asarray(model.attention_layers * (gathered + added))


def prompt_exchange_s(
    model: Model, gpu: Gpu, layout: Layout, kv_precision: Precision, cached: FloatArray
) -> FloatArray:
    """Gathering `cached` tokens before a prompt's chunk in all layers, s; shape as `cached`."""
    if layout.context == 1:
        return np.zeros_like(cached)
    heads = 2 * model.head_dim * kv_heads_per_gpu(model, layout.tp)
    values = model.kv_lora + model.rope_dim if model.mla else heads
    size = cached * values * bytes_per_parameter(kv_precision)
    gathered = collective_seconds(gpu, "all_gather", layout.context, size)
    return np.asarray(model.attention_layers * np.where(cached > 0, gathered, 0.0))
