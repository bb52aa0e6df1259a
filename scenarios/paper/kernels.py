"""Iteration times of the paper: the A100 kernels its simulator was profiled with in 2024.

`data/paper/kernels` holds the profiles of two models, thinned out (source in every file): Llama-3-8B, whose attention
was profiled with FlashInfer, and Llama-2-7B with FlashAttention. They explain what today's kernels cannot: in the first
the KV-cache write of a prompt takes 0.55 us per token and layer (38 ms for 2,150 tokens, some 200 times what the bytes
need), so the server saturates at 5.0 req/s; in the second, prefill attention takes 2.7 times that of FlashInfer.

Other models have no published profile to compare with. They take today's measured kernels for everything that depends
on tokens alone, and Llama-2-7B's attention for theirs: prefill in proportion to query heads, decode to the KV cache read.

All-reduce on two NVLink pairs joined by PCIe, read off the same profiles' `a100_pairwise_nvlink`: a floor of 60 us,
then 195 GB/s on two GPUs and 15.75 GB/s on four (2.74 and 33.9 ms for 536 MB).
"""

from __future__ import annotations

import functools

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenarios.paper.published import DATA
from simulators.inference.catalogue import Gpu, Model
from simulators.inference.timing import resolve_kind, stage_tables
from simulators.inference.timing.tables import LOOKUP, StageTables
from simulators.inference.timing.work import stage_work

Array = NDArray[np.float64]

MS = 1e-3
MAX_TOKENS = 4096
MAX_BATCH = 128
KV_STEP = 64
ROUND_TO = 8
SHARED_ATTENTION = 1.1
"""Grouped heads: attention of several requests takes 10 % longer (Vidur's assumption)."""
VIDUR_PEAK = 312 * 2.0**40
"""Denominator of the published MFU: a TFLOP counted as 2**40, FLOP/s."""
ALL_REDUCE_FLOOR_S = 60e-6
ALL_REDUCE_LAUNCH_S = 20e-6
ALL_REDUCE_BYTES_PER_S = {2: 195e9, 4: 15.75e9}
NVLINK_BYTES_PER_S, PCIE_BYTES_PER_S = 300e9, 25e9
"""Between the stages of a pipeline: within a pair (A100 NVLink bridge, one direction), between pairs (PCIe 4.0 x16)."""
SEND_LATENCY_S = 10e-6
PROFILED = {
    "meta-llama/Meta-Llama-3-8B": "llama3-8b",
    "meta-llama/Llama-2-7b-hf": "llama2-7b",
}
ATTENTION_OF = "llama2-7b"
"""Whose attention stands in for models without a profile: 32 query and 32 KV heads of 128."""
_HEADS, _HEAD_DIM = 32, 128


def source_of(model: Model, gpu: Gpu, tp: int) -> str:
    """What gives a model's iteration times, in words."""
    if model.name in PROFILED and tp == 1:
        backend = "FlashInfer" if PROFILED[model.name] == "llama3-8b" else "FlashAttention"
        return f"own profile of 2024 ({backend})"
    kind, _ = resolve_kind("auto", model, gpu, tp)
    linear = "kernels measured today" if kind == "measured" else "data-sheet roofline"
    return f"{linear}; attention of Llama-2-7B (2024), scaled by heads"


def _read(stem: str) -> pd.DataFrame:
    return pd.read_csv(DATA / "kernels" / f"{stem}.csv", comment="#")


def _curve(stem: str, upto: int = MAX_TOKENS) -> Array:
    """A column over 0..upto tokens, ms, entry 0 is 0."""
    frame = _read(stem)
    read = np.interp(np.arange(upto + 1), frame["tokens"], frame["ms"])
    read[0] = 0.0
    return np.asarray(read)


def _prefill(stem: str) -> Array:
    """Prefill attention of 0..4096 tokens, ms; below the shortest profiled prompt a quadratic through both ends."""
    frame = _read(f"{stem}_prefill")
    n, ms = frame["tokens"].to_numpy(float), frame["ms"].to_numpy(float)
    square, linear = np.linalg.solve([[n[0] ** 2, n[0]], [n[-1] ** 2, n[-1]]], [ms[0], ms[-1]])
    chunk = np.arange(MAX_TOKENS + 1, dtype=float)
    return np.where(chunk < n[0], np.maximum(square, 0) * chunk**2 + linear * chunk, np.interp(chunk, n, ms))


@functools.cache
def _decode(stem: str) -> tuple[Array, Array]:
    """Contexts, and decode attention in ms of batches 0..128 at each; shapes (k,) and (129, k).

    A batch was profiled at one of two neighbouring contexts; both count for the longer one, in proportion.
    """
    frame = _read(f"{stem}_decode")
    contexts = np.sort(frame["context"].unique()).astype(float)
    groups = [c for c in contexts if not any(c < other <= 1.2 * c for other in contexts)]
    batch = np.arange(MAX_BATCH + 1)
    columns = []
    for context in groups:
        near = frame[(frame["context"] <= context) & (frame["context"] * 1.2 >= context)]
        ms = near["ms"] * context / near["context"]
        order = np.argsort(near["batch"].to_numpy(), kind="stable")
        b, ms = near["batch"].to_numpy(float)[order], ms.to_numpy(float)[order]
        read = np.interp(batch, b, ms)
        if b[-1] < MAX_BATCH:
            beyond = batch > b[-1]
            read[beyond] = ms[-1] * batch[beyond] / b[-1]
        columns.append(read)
    table = np.column_stack(columns)
    table[0] = 0.0
    return np.array(groups), table


def _decode_grid(stem: str, share: float) -> Array:
    """Decode attention, ms, at contexts 0, 64...4096 where a token's cache is `share` of the profile's; (129, 65)."""
    contexts, table = _decode(stem)
    wanted = np.arange(0, MAX_TOKENS + 1, KV_STEP) * share
    floor = np.minimum(table[:, 0], table[1, 0])
    known = np.concatenate(([0.0], contexts))
    rows = np.column_stack((floor, table))
    last_slope = (rows[:, -1] - rows[:, -2]) / (known[-1] - known[-2])
    read = np.array([np.interp(wanted, known, row) for row in rows])
    return np.asarray(read + last_slope[:, None] * np.maximum(wanted - known[-1], 0.0))


def all_reduce_s(size_bytes: Array, gpus: int) -> Array:
    """One all-reduce of `size_bytes` among `gpus` GPUs of the pairwise node, s; shape of its input."""
    return ALL_REDUCE_FLOOR_S + size_bytes / ALL_REDUCE_BYTES_PER_S[gpus] + ALL_REDUCE_LAUNCH_S


def paper_tables(model: Model, gpu: Gpu, tp: int, pp: int) -> StageTables:
    """Tables of one GPU of one stage as the paper's simulator had them; `source_of` says where from."""
    layers = model.num_layers / pp
    tokens = np.arange(MAX_TOKENS + 1)
    rounded = np.minimum(-(-tokens // ROUND_TO) * ROUND_TO, MAX_TOKENS)
    bytes_sent = tokens * model.hidden * 2.0
    stem = PROFILED.get(model.name) if tp == 1 else None
    if stem:
        token_s = _curve(f"{stem}_linear")[rounded] * layers * MS
        if stem == "llama3-8b":
            token_s = token_s + _curve(f"{stem}_kv_write") * layers * MS
    else:
        today = stage_tables(
            "auto", model, gpu, tp, pp, max_tokens=MAX_TOKENS, max_batch=MAX_BATCH, overhead_s=0.0
        )
        token_s = (today.token_s - today.comm_s)[rounded]
    comm_s = np.zeros(len(tokens))
    if tp > 1:
        comm_s = 2 * layers * all_reduce_s(bytes_sent, tp)
    attention = stem or ATTENTION_OF
    width = 1.0 if stem else model.heads / tp * model.head_dim / (_HEADS * _HEAD_DIM)
    cache = 1.0 if stem else model.kv_heads / tp * model.head_dim / (_HEADS * _HEAD_DIM)
    prefill = _prefill(attention) * width * layers * MS
    link = NVLINK_BYTES_PER_S if tp * pp <= 2 else PCIE_BYTES_PER_S
    work = stage_work(model, gpu, tp, pp, "bf16", MAX_TOKENS, peak_flops=VIDUR_PEAK)
    token_s = token_s + comm_s
    token_s[0] = comm_s[0] = 0.0
    return StageTables(
        mode=LOOKUP,
        token_s=token_s,
        sequence_s=np.zeros(MAX_BATCH + 1),
        send_s=SEND_LATENCY_S + bytes_sent / link,
        comm_s=comm_s,
        decode_s=_decode_grid(attention, cache) * layers * MS,
        decode_kv=np.arange(0.0, MAX_TOKENS + 1, KV_STEP),
        prefill_s=np.column_stack((prefill, prefill)),
        prefill_chunk=np.arange(MAX_TOKENS + 1, dtype=float),
        prefill_kv=np.array([0.0, KV_STEP]),
        prefill_floor_s=0.0,
        kv_step=KV_STEP,
        shared_factor=SHARED_ATTENTION if model.grouped else 1.0,
        flops_per_token=work.flops_per_token,
        flops_per_pair=work.flops_per_pair,
        weight_bytes=work.weight_bytes,
        kv_bytes_per_token=work.kv_bytes_per_token,
        peak_flops=work.peak_flops,
        peak_bytes=work.peak_bytes,
    )
