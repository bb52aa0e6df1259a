"""Small kernels of a layer that the measured tables leave out: rotary embedding, norms and gates.

They move little, but every one is launched, and at few tokens a layer consists of launches. aiconfigurator-core counts
3.1 us for kernels of this kind that it does list (a norm with its residual, the activation of an MLP), on every GPU
and for any few tokens; the same is taken here.

Latent attention is measured as a whole module, so nothing is missing there.
"""

from __future__ import annotations

import numpy as np

from simulators.inference.catalogue import Gpu, Model
from simulators.inference.timing.tables import FloatArray

LAUNCH_S = 3.1e-6
"""One small kernel, s; aiconfigurator-core 0.12: `add_norm` and `act_gate` of a few tokens take 3.0-3.1 us."""
MEMORY = 0.8
"""Share of the memory bandwidth such kernels reach with many tokens."""
# vLLM and SGLang rotate in a kernel of their own; TensorRT-LLM's attention operator does it, and was measured with it
_ROTATES = {"vllm": 1, "sglang": 1, "trtllm": 0}
# queries and keys one after the other; TensorRT-LLM has one kernel for both (fused_qk_norm_rope)
_NORMS = {"vllm": 2, "sglang": 2, "trtllm": 1}
# of a layer with a state: the split of its projection, the gated norm of what it reads
_STATE_KERNELS = 2
_NORM_TYPES = ("qwen3", "gemma3", "minimax_m2", "olmo2", "olmo3", "cohere2")


def normalises(model: Model) -> bool:
    """Whether queries and keys are normalised before attention."""
    text = model.config.get("text_config") or model.config
    if text.get("use_qk_norm") is not None:
        return bool(text["use_qk_norm"])
    return str(text.get("model_type", "")).startswith(_NORM_TYPES)


def normalises_all_heads(model: Model) -> bool:
    """Whether one norm spans all heads, so that tensor-parallel GPUs exchange its variance (MiniMax-M2)."""
    text = model.config.get("text_config") or model.config
    return normalises(model) and text.get("qk_norm_type") == "per_layer"


def unlisted_s(
    model: Model, gpu: Gpu, tp: int, framework: str, tokens: FloatArray, all_reduce_s: float
) -> tuple[FloatArray, FloatArray]:
    """(Kernels, communication in them) of all layers for `tokens` tokens, s; shapes as `tokens`.

    Parameters
    ----------
    model, gpu, tp, framework
        What runs where.
    tokens
        In the batch.
    all_reduce_s
        One exchange of a few bytes between the tensor-parallel GPUs, s.
    """
    if model.mla:
        return np.zeros_like(tokens), np.zeros_like(tokens)
    kernels = _ROTATES[framework] + (_NORMS[framework] if normalises(model) else 0)
    kernels += int(model.query_gate)
    heads = (model.heads + model.kv_heads) / tp
    moved = tokens * heads * model.head_dim * 2.0 * 2.0 * kernels
    exchanged = np.full_like(tokens, all_reduce_s if normalises_all_heads(model) and tp > 1 else 0.0)
    layers = model.attention_layers
    seconds = layers * (kernels * LAUNCH_S + moved / (gpu.memory_bandwidth * MEMORY) + exchanged)
    seconds = seconds + model.linear_layers * _STATE_KERNELS * LAUNCH_S
    return np.asarray(seconds), layers * exchanged
