"""Three groups of models whose kernels draw different power at the same utilisation."""

from __future__ import annotations

from simulators.inference.catalogue import Model, Precision

CLASSES = ("dense", "moe", "moe_fp8")
"""`dense`: one MLP per layer (recurrent hybrids included). `moe`: routed experts. `moe_fp8`: routed experts in fp8 with
a scale per block of weights, on the general kernels of vLLM 2025-26: they keep the GPU at 60-95 % of its limit at a few
per cent of MFU, whatever the batch (ML.ENERGY v3: all Qwen3 fp8 mixtures on H100 and B200)."""


def kernel_class(model: Model | None, precision: Precision) -> str:
    """The group `model` in `precision` belongs to; no model is taken for a dense one.

    Two kinds of fp8 mixture are measured to behave like bf16 ones and are counted with them: those with latent
    attention (DeepSeek, which servers have kernels of their own for) and those that send a token to a single expert
    (Llama 4, with one scale per channel instead of per block)."""
    if model is None or not model.num_experts:
        return "dense"
    if precision == "fp8" and not model.mla and model.experts_per_token > 1:
        return "moe_fp8"
    return "moe"
