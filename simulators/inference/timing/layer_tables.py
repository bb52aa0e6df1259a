"""From a profile by layers (`layer_profile.py`) to the tables of the batch loop.

A stage takes its layers' time times their number; the embedding, the last norm, the LM head and the sampler come
once. Counts between the profiled ones are read off straight lines, counts beyond them off the mean slope of the upper
half (`raw_profile.curve`). Attention is put together in `layer_attention.py`.

**Between kernels.** The profile holds the time of kernels; a server adds `KERNEL_GAP_S` from one to the next.

**Experts.** The profile holds the time of a routed layer for tokens and experts used. Routing is taken as even
(`work.experts_touched`).

**Data parallelism with expert parallelism.** Ranks that share experts run in lockstep: every routed layer waits for
the tokens of all of them. They stand as one replica whose decodes are spread evenly over the ranks; a rank holds its
share of the experts, for which it gets the tokens of all ranks, exchanged by an all-gather before and a
reduce-scatter behind (vLLM's default, `allgather_reducescatter`; beyond eight GPUs all-to-all, `all_to_all.py`). A
prompt is one rank's, and the others wait where they have none of their own (`tables.with_ranks`). The GPU with the
most routed tokens sets the time of a routed layer (`imbalance.py`).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from simulators.errors import InputError
from simulators.inference.catalogue import Gpu, Model, Precision
from simulators.inference.catalogue.layout import Layout
from simulators.inference.timing.all_to_all import all_to_all_s, sends_apart
from simulators.inference.timing.collectives import collective_seconds
from simulators.inference.timing.imbalance import busiest
from simulators.inference.timing.layer_attention import decode_us, padding_us, prefill_us
from simulators.inference.timing.layer_profile import TIME, LayerProfile
from simulators.inference.timing.raw_profile import curve
from simulators.inference.timing.tables import (
    MIXED,
    FloatArray,
    StageTables,
    on_busiest,
    with_prompts,
    with_ranks,
)
from simulators.inference.timing.work import experts_touched, send_seconds, stage_work

US = 1e-6
KERNEL_GAP_S = 1.7e-6
"""From the end of one kernel to the start of the next in a CUDA graph; scheduling and output run beside the GPU.

vLLM 0.19 with Llama-3.1-8B on RTX PRO 6000 takes 0.5 to 0.6 ms longer per iteration of a few decodes than the profiled
kernels, for 326 kernels: read off the last 4 s of the one log in `tests/benchmarks/truth/vllm_logs.py`, and used for
every other. 1.3 to 2 us would fit it as well.
"""
PER_LAYER = {"layernorm": 2, "qkv_proj": 1, "rotary_emb": 1, "o_proj": 1}
"""Dense operators of every layer, and how often each is called in it."""
OPTIONAL = ("qk_norm",)
MLP = ("gate_up_proj", "act_fn", "down_proj")
ONCE = ("embedding", "final_layernorm")
SAMPLING = ("lm_head", "sampler")
ATTENTION_KERNELS = 2
"""The write of the KV cache and attention."""
EXPERT_KERNELS = 8
"""Router, its top-k, sorting (2), two products, the activation and the sum over experts: vLLM's fused experts."""


def layer_stage_tables(
    profile: LayerProfile,
    model: Model,
    gpu: Gpu,
    layout: Layout,
    precision: Precision,
    max_tokens: int,
    max_batch: int,
    *,
    kv_precision: Precision = "bf16",
    imbalance: float | None = None,
    overhead_s: tuple[float, float] | None = None,
    peak_flops: float | None = None,
) -> StageTables:
    """Tables in `MIXED` mode.

    Parameters
    ----------
    profile, model, gpu, layout, precision
        What runs where; the profile is for as many tensor-parallel GPUs.
    max_tokens, max_batch
        Largest batch in tokens and in requests, of all ranks together.
    kv_precision
        Of the KV cache, for the bytes read; its time is as profiled.
    imbalance
        Load of the busiest GPU with experts over the mean one's, beyond chance; None: 1.
    overhead_s
        Added to an iteration and to each sequence in it, s; None: `KERNEL_GAP_S` for every kernel.
    peak_flops
        Denominator of MFU instead of the data sheet's, FLOP/s.
    """
    pp, ranks = layout.pp, layout.ranks
    calls = layer_calls(profile, model)
    kernels = sum(calls.values()) + model.num_layers * ATTENTION_KERNELS + model.moe_layers * EXPERT_KERNELS
    fixed_s, each_s = overhead_s or (KERNEL_GAP_S * kernels / pp, 0.0)
    tokens = np.arange(max_tokens + 1, dtype=np.float64)
    batch = np.arange(max_batch + 1, dtype=np.float64)
    own, own_tokens = (on_busiest(count, ranks, max_batch) for count in (batch, tokens))

    def dense_us(at: FloatArray) -> FloatArray:
        return sum(
            (n * _layer(profile.dense, name, at) for name, n in calls.items() if name not in SAMPLING),
            np.zeros_like(at),
        )

    comm_s = _exchange_s(profile, model, gpu, layout, tokens, own_tokens) / pp
    token_s = dense_us(own_tokens) * US / pp + comm_s + fixed_s
    if profile.moe is not None:
        mean = _experts_us(profile.moe, model, tokens, layout.gpus, 1.0)
        slowest = mean
        if layout.spread:
            load = busiest(model, layout.experts, tokens, imbalance)
            slowest = np.maximum(mean, _experts_us(profile.moe, model, tokens, layout.gpus, load))
        token_s = token_s + model.moe_layers * slowest * US / pp
        comm_s = comm_s + model.moe_layers * (slowest - mean) * US / pp
    token_s[0] = comm_s[0] = 0.0
    chunks, cached, prefill, launch = prefill_us(profile, max_tokens)
    contexts, alone, beside = decode_us(profile, own, launch)
    padding = padding_us(profile, (chunks, cached, prefill), launch)
    stage = model.num_layers / pp * US
    work = stage_work(model, gpu, profile.tp, pp, precision, max_tokens, kv_precision, peak_flops, ranks)
    prefill_s = prefill * stage
    if ranks > 1:
        prefill_s = with_ranks(prefill_s, (dense_us(chunks) - dense_us(chunks / ranks)) * US / pp, ranks)
    return StageTables(
        mode=MIXED,
        token_s=token_s,
        sequence_s=sum(_layer(profile.per_sequence, name, own) for name in SAMPLING) * US + each_s * own,
        send_s=send_seconds(model, gpu, layout.gpus, pp, own_tokens),
        comm_s=comm_s,
        decode_s=with_prompts(alone * stage, beside * stage, padding / ranks * stage),
        decode_kv=contexts,
        prefill_s=prefill_s,
        prefill_chunk=chunks,
        prefill_kv=cached,
        prefill_floor_s=launch * stage,
        kv_step=1,
        shared_factor=1.0,
        **vars(work),
    )


def layer_calls(profile: LayerProfile, model: Model) -> dict[str, int]:
    """How often an iteration calls each operator, over all layers.

    Raises
    ------
    InputError
        If an operator is missing in the profile, or one in it is not understood.
    """
    if model.mla or model.linear_layers or model.sliding_layers:
        raise InputError(
            f"profile {profile.folder}: {model.name} has latent, linear or windowed attention, expected full "
            "attention in every layer"
        )
    found = set(profile.dense["layer"])
    calls = {name: count * model.num_layers for name, count in PER_LAYER.items()}
    calls |= {name: model.num_layers for name in OPTIONAL if name in found}
    calls |= {name: model.dense_layers for name in MLP if model.dense_layers}
    calls |= dict.fromkeys((*ONCE, *SAMPLING), 1)
    for stem, frame, known in (
        ("dense", profile.dense, {*PER_LAYER, *OPTIONAL, *MLP, *ONCE}),
        ("per_sequence", profile.per_sequence, set(SAMPLING)),
    ):
        names = frame["layer"]
        strange = ~names.isin(known).to_numpy()
        if strange.any():
            # time that is not understood is not left out
            row = int(np.argmax(strange))
            raise InputError(
                f"profile {profile.folder}: {stem}.csv, row {row + 2}, column layer: {names.iloc[row]!r} given, "
                f"expected one of {', '.join(sorted(known))}"
            )
        if missing := sorted(known & set(calls) - set(names)):
            raise InputError(
                f"profile {profile.folder}: {stem}.csv, column layer: no row of {missing[0]}, which {model.name} needs"
            )
    return calls


def _layer(frame: pd.DataFrame, name: str, at: FloatArray) -> FloatArray:
    """Time of one call of a layer by its tokens or sequences (second column), us."""
    rows = frame[frame["layer"] == name]
    return curve(rows.iloc[:, 1].to_numpy(), rows[TIME].to_numpy(), at)


def _experts_us(
    moe: pd.DataFrame, model: Model, tokens: FloatArray, gpus: int, load: FloatArray | float
) -> FloatArray:
    """A routed layer on one of `gpus` GPUs that share its experts whole, by the tokens of all of them, us.

    A GPU holds 1/gpus of the experts and gets `load` times that share of all (token, expert) pairs.
    """
    tokens = tokens * load
    used = np.sort(moe["activated_experts"].unique())
    by_used = np.array(
        [
            curve(rows["tokens"].to_numpy(), rows[TIME].to_numpy(), tokens / gpus)
            for rows in (moe[moe["activated_experts"] == n] for n in used)
        ]
    )
    touched = experts_touched(model, tokens) / gpus
    if len(used) == 1:
        return np.asarray(by_used[0])
    cell = np.clip(np.searchsorted(used, touched, side="right") - 1, 0, len(used) - 2)
    share = (touched - used[cell]) / (used[cell + 1] - used[cell])
    each = np.arange(len(tokens))
    low, high = by_used[cell, each], by_used[cell + 1, each]
    return np.asarray(np.maximum(0.0, low + share * (high - low)))


def _exchange_s(
    profile: LayerProfile, model: Model, gpu: Gpu, layout: Layout, tokens: FloatArray, own_tokens: FloatArray
) -> FloatArray:
    """Communication of all layers, s: two all-reduces of a rank's tokens per layer, and the exchange for experts."""
    hidden = 2.0 * model.hidden
    seconds = 2 * model.num_layers * collective_seconds(gpu, "all_reduce", profile.tp, own_tokens * hidden)
    ranks = layout.ranks
    if sends_apart(layout):
        sent_s = all_to_all_s(gpu, model, layout.gpus, model.precision, own_tokens / layout.tp)
        seconds = seconds + model.moe_layers * sent_s
    elif ranks > 1:
        # the router's 16 bit scores travel with the activations
        gathered = collective_seconds(gpu, "all_gather", ranks, tokens * (hidden + 2.0 * model.num_experts))
        scattered = collective_seconds(gpu, "reduce_scatter", ranks, tokens * hidden)
        seconds = seconds + model.moe_layers * (gathered + scattered)
    return np.asarray(seconds)
