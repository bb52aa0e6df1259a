"""What routed layers cost beyond the kernels of the tables, in servers before vLLM 0.14.

The tables of measured kernels are of newer servers. Held against decode iterations of ML.ENERGY v3 (vLLM 0.11.1, H100
and B200, time between tokens less kernels, sampling and host), routed layers took longer for two reasons:

- Block-scaled FP8 experts were padded. What a layer takes beyond the table halves with twice the GPUs, does not depend
  on the batch, and is the time of 128 rows of every local expert at 0.45 (H100) and 0.40 (B200) of the 8-bit peak:
  Qwen3-235B FP8 on 4 and 8 H100 160-184 and 85-130 us, on 2 and 4 B200 200-230 and 114-150 us a layer. Its energy says
  the same (`power/terms.py`).
- Experts spread whole over 4 or 8 GPUs exchanged tokens by gathering and scattering: 50-110 us a layer with Qwen3-235B
  in bf16 and DeepSeek-V3.1 on B200, 70-80 on H100 (Llama 4: 130-190); nothing on 1 or 2 GPUs.
"""

from __future__ import annotations

import re

from simulators.inference.catalogue import Gpu, Model, Precision
from simulators.inference.catalogue.layout import Layout

PADDED_ROWS = 128
"""Rows a block-scaled FP8 expert is padded to: the blocks of its scales (128 x 128, DeepSeek-V3) and the alignment of
grouped products over them."""
PADDED_PEAK = 0.43
"""Share of the 8-bit peak products over padding reach; 0.45 on H100, 0.40 on B200."""
EXCHANGE_S = 70e-6
"""Gathering tokens of all ranks and scattering results, per routed layer; range 50 to 110 us, Llama 4 130 to 190."""
EXCHANGE_FROM = 4
"""Ranks from which on that shows."""
MENDED_IN = (0, 14)


def is_old(framework: str, version: str | None) -> bool:
    """Whether a server is a vLLM before 0.14; None, or no number: the newest."""
    found = re.match(r"v?(\d+)\.(\d+)", version or "")
    return framework == "vllm" and found is not None and (int(found[1]), int(found[2])) < MENDED_IN


def pads_experts(model: Model, precision: Precision, framework: str, version: str | None) -> bool:
    """Whether its experts run on general block-scaled FP8 kernels, which pad.

    Two kinds of FP8 mixture do not: those with latent attention (DeepSeek), which servers have kernels of their own
    for, and those that send a token to a single expert (Llama 4, one scale per channel instead of per block).
    """
    general = not model.mla and model.experts_per_token > 1
    return bool(model.num_experts and precision == "fp8" and general and is_old(framework, version))


def padded_flops(
    model: Model, ranks: int, precision: Precision, framework: str, version: str | None
) -> float:
    """FLOP over padding of one GPU in every iteration, `ranks` GPUs sharing the experts."""
    if not pads_experts(model, precision, framework, version):
        return 0.0
    experts = model.moe_layers * model.num_experts * model.expert_parameters / ranks
    return 2.0 * PADDED_ROWS * experts


def beyond_tables_s(
    model: Model,
    gpu: Gpu,
    layout: Layout,
    precision: Precision,
    framework: str,
    version: str | None,
) -> float:
    """What an iteration takes beyond the kernels of the tables, for all routed layers, s.

    The exchange of data-parallel ranks is in the tables.
    """
    if not model.moe_layers or not is_old(framework, version):
        return 0.0
    gpus = layout.gpus * layout.pp
    seconds = padded_flops(model, gpus, precision, framework, version) / (PADDED_PEAK * gpu.peak("fp8"))
    if layout.experts >= EXCHANGE_FROM and layout.ranks == 1:
        seconds += EXCHANGE_S * model.moe_layers
    return seconds
