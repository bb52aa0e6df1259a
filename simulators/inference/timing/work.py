"""Work of a stage, independent of how its time is found: FLOP, bytes, peaks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulators.inference.catalogue import (
    Gpu,
    Model,
    Precision,
    kv_bytes_per_token_per_gpu,
    parameters_per_gpu,
    weight_bytes_per_gpu,
)

FloatArray = NDArray[np.float64]

GPUS_PER_NODE = 8
"""GPUs that share NVLink or a PCIe root: DGX and HGX systems since A100."""
TRAYS = {"gb200": 4, "gb300": 4}
"""GPUs of a host by aiconfigurator's systems, where it has fewer."""
LINK_LATENCY_S = 10e-6
"""Point to point between two GPUs: `p2p_latency` of every system in aiconfigurator-core 0.12."""


@dataclass(frozen=True)
class StageWork:
    """The fields of `StageTables` that say how much is done, per GPU of one stage."""

    flops_per_token: float
    flops_per_pair: float
    weight_bytes: FloatArray
    kv_bytes_per_token: float
    peak_flops: float
    peak_bytes: float


def flops_per_pair(model: Model, tp: int, pp: int) -> float:
    """FLOP per (query token, visible token) pair on one GPU: a product for the score, one for the value.

    Layers with a sliding window are left out, as their pairs do not grow with the context.
    """
    layers = (model.attention_layers - model.sliding_layers) or model.attention_layers
    per_head = model.nope_dim + model.rope_dim + model.value_dim if model.mla else 2 * model.head_dim
    return 2.0 * per_head * model.heads / tp * layers / pp


def experts_touched(model: Model, tokens: FloatArray) -> FloatArray:
    """Expected number of distinct experts of a layer that `tokens` tokens use, if routing is even.

    A token uses k of E experts, so it misses a given one with probability 1 - k / E:
    E (1 - (1 - k / E)^n). Shape as `tokens`.
    """
    if not model.num_experts:
        return np.zeros_like(tokens)
    miss = 1.0 - model.experts_per_token / model.num_experts
    return np.asarray(model.num_experts * (1.0 - miss**tokens))


def weight_traffic(
    model: Model, tp: int, pp: int, precision: Precision, max_tokens: int, ranks: int = 1
) -> FloatArray:
    """Bytes of weights one GPU reads for n tokens of all ranks, n = 0..max_tokens; shape (max_tokens + 1,).

    The embedding is looked up, not read; the LM head is, and is spread evenly over the stages.
    """
    touched = experts_touched(model, np.arange(max_tokens + 1, dtype=np.float64))
    fixed = weight_bytes_per_gpu(model, tp, pp, precision, experts=0.0)
    if not model.tied:
        fixed -= 2.0 * model.vocab * model.hidden / tp / pp
    one = weight_bytes_per_gpu(model, tp, pp, precision, experts=1.0) - weight_bytes_per_gpu(
        model, tp, pp, precision, experts=0.0
    )
    return np.asarray(fixed + one * touched / ranks)


def stage_work(
    model: Model,
    gpu: Gpu,
    tp: int,
    pp: int,
    precision: Precision,
    max_tokens: int,
    kv_precision: Precision = "bf16",
    peak_flops: float | None = None,
    ranks: int = 1,
    context: int = 1,
) -> StageWork:
    """Work per token and pair, traffic and peaks of one GPU of one stage.

    Parameters
    ----------
    model, gpu, tp, pp, precision, kv_precision
        What runs where and in which format.
    max_tokens
        Longest entry of `weight_bytes`.
    peak_flops
        Denominator of MFU instead of the data sheet's, FLOP/s. Vidur counts a TFLOP as 2^40: 312 * 2**40 for an A100.
    ranks
        Data-parallel ranks that share the requests and the experts; each has all other weights.
    context
        GPUs among which the tokens of a sequence are dealt out.
    """
    return StageWork(
        flops_per_token=2.0 * parameters_per_gpu(model, tp, pp) / ranks,
        flops_per_pair=flops_per_pair(model, tp, pp) / ranks,
        weight_bytes=weight_traffic(model, tp, pp, precision, max_tokens, ranks),
        kv_bytes_per_token=kv_bytes_per_token_per_gpu(model, tp, pp, kv_precision) / ranks / context,
        peak_flops=peak_flops or gpu.peak(precision),
        peak_bytes=gpu.memory_bandwidth,
    )


def send_seconds(model: Model, gpu: Gpu, tp: int, pp: int, tokens: FloatArray) -> FloatArray:
    """Sending 16 bit activations of `tokens` tokens to the next stage, s; shape as `tokens`.

    Latency plus bytes over the link; stages within one node use its links, others the network.
    """
    bandwidth = gpu.link_bandwidth if tp * pp <= GPUS_PER_NODE else gpu.network_bandwidth
    return np.asarray(LINK_LATENCY_S + tokens * model.hidden * 2.0 / bandwidth)
