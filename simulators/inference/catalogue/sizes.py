"""The likely shape of a model of which nothing is known but its size."""

from __future__ import annotations

from simulators.inference.catalogue.models import Model
from simulators.inference.catalogue.precision import Precision

SHARED_SHARE = 0.4
"""Share of a mixture's active parameters that every token uses (attention, shared experts, LM head): 0.29 in
gpt-oss-120b, 0.44 in Qwen3-30B-A3B, 0.45 in DeepSeek-V3, from their configurations."""
HEAD_DIM, KV_HEADS, CHOSEN, VOCAB = 128, 8, 8, 150_000
"""Head size, KV heads, experts per token and vocabulary of most models since 2024."""
DENSE_ABOVE = 0.8
"""Active over total parameters from which on a model is taken for a dense one."""


def model_of_size(name: str, parameters: float, active: float, precision: Precision = "bf16") -> Model:
    """A model with so many parameters, of the usual proportions.

    Hidden size and layers follow N = 12 layers hidden^2 (Kaplan et al. 2020, arXiv:2001.08361, section 2.1) with
    hidden = 100 layers, about the shape of Llama and Qwen; a mixture is as deep and wide as a dense model of its active
    parameters. Held against eight mixtures (Qwen3-30B to DeepSeek-V3 671B) active parameters come out within 6 %, bytes
    read at batches of 1 to 512 within 11 %; where a token uses one wide expert (Llama 4 Scout), 32 % too many at 8.

    Parameters
    ----------
    name
        What it is called.
    parameters, active
        All of them, and those a token passes through.
    precision
        Of the weights.

    Examples
    --------
    >>> shape = model_of_size("someone/new", 30e9, 3e9)
    >>> shape.num_experts > 64, round(shape.parameters / 1e9)
    (True, 30)
    """
    routed = active < DENSE_ABOVE * parameters
    width = active if routed else parameters
    layers = max(1, round((width / 12e4) ** (1 / 3)))
    hidden = max(HEAD_DIM, HEAD_DIM * round(100.0 * layers / HEAD_DIM))
    heads = max(KV_HEADS, KV_HEADS * round(hidden / HEAD_DIM / KV_HEADS))
    attention = hidden * HEAD_DIM * (2 * heads + 2 * KV_HEADS)
    fields = {
        "name": name, "num_layers": layers, "hidden": hidden, "heads": heads, "kv_heads": KV_HEADS,
        "head_dim": HEAD_DIM, "vocab": VOCAB, "attention_layers": layers, "precision": precision,
    }  # fmt: skip
    per_layer = (parameters - 2.0 * VOCAB * hidden) / layers - attention
    if not routed:
        ffn = max(1, round(per_layer / 3 / hidden))
        return Model(**fields, ffn=ffn, dense_layers=layers)
    expert_ffn = max(1, round((1 - SHARED_SHARE) * active / layers / CHOSEN / 3 / hidden))
    shared = SHARED_SHARE * active - VOCAB * hidden
    shared_ffn = max(0, round((shared / layers - attention) / 3 / hidden))
    experts = max(CHOSEN, round((per_layer - 3 * hidden * shared_ffn) / (3 * hidden * expert_ffn)))
    return Model(
        **fields, ffn=0, dense_layers=0, moe_layers=layers, num_experts=experts, experts_per_token=CHOSEN,
        moe_ffn=expert_ffn, shared_ffn=shared_ffn,
    )  # fmt: skip
