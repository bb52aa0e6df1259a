"""Drawing tokens on the GPU: a kernel that the tables of measured kernels leave out."""

from __future__ import annotations

from typing import Literal

Sampling = Literal["greedy", "random", "sorted"]

SORTED_S_PER_LOGIT = 0.37e-9
"""Drawing from a sorted vocabulary (top-p or top-k without a fused sampler), s per logit and sequence.

ML.ENERGY v3 on H100 (vLLM 0.11.1 with its default sampler): the time of a decode iteration above its kernels grows by
55 us per sequence with Llama-3.1-8B (128 k logits), 51 with Qwen3-8B (152 k), 75 with Qwen3-32B, 107 with Gemma-3-12B
(262 k): 0.27 to 0.50 ns per logit, 0.37 in the median, in proportion to the vocabulary, which no host work would be.
The GPU is busy in it: power per sequence grows with the vocabulary too. A fused sampler needs 12-18 us per sequence at
131 k logits (vllm PR 40376), 0.09 to 0.14 ns per logit."""
RANDOM_SHARE = 0.4
"""The same without sorting (softmax and draw over the whole vocabulary), as a share: gpt-oss-120b, which is served with
top-p 1, takes 34 us per sequence at 201 k logits in the same runs, 0.17 ns per logit."""


def sampled_logits(vocab: int, sampling: Sampling) -> float:
    """Logits per sequence, counted as if sorted: all of them, a share, or none (greedy takes the largest)."""
    return vocab * {"greedy": 0.0, "random": RANDOM_SHARE, "sorted": 1.0}[sampling]


def sampling_s(vocab: int, sampling: Sampling) -> float:
    """GPU time of drawing one sequence's token, s."""
    return SORTED_S_PER_LOGIT * sampled_logits(vocab, sampling)
