"""Iteration times of the paper: the A100 kernels its simulator was profiled with in 2024.

`data/paper/kernels` holds the profiles of two models, thinned out (source in every file): Llama-3-8B, whose attention
was profiled with FlashInfer, and Llama-2-7B with FlashAttention. They explain what today's kernels cannot: in the first
the KV-cache write of a prompt takes 0.55 us per token and layer (38 ms for 2,150 tokens, some 200 times what the bytes
need), so the server saturates at 5.05
instead of 6.0 req/s; in the second, prefill attention takes 2.7 times that of FlashInfer.

Other models take today's measured kernels (a roofline where there are none) for everything that depends on tokens
alone, and attention from the profile whose heads are grouped as theirs: Llama-2-7B where every query head has its own
KV head, Llama-2-70B on two GPUs (32 query and 4 KV heads per GPU, FlashAttention) elsewhere. A decode kernel runs one
block per request and KV head, so a batch of b requests with h KV heads takes as long as b h / h0 requests with the
profile's h0; prefill goes with the query heads.

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
from simulators.inference.catalogue.memory import kv_heads_per_gpu
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
LINEAR_SLOWDOWN = ((512.0, 1024.0), (1.0, 1.24))
"""Tokens, and how much longer projections and MLP took in 2024 than the kernels measured today.

From the two models that have both: 0.92 to 1.04 times up to 512 tokens (Llama-3-8B), 1.20 to 1.28 times from 1,024 to
4,096 (both, mean 1.24). A prompt of 2,048 tokens on CodeLlama-34B takes 100 ms longer.
"""
HEADS = {"llama3-8b": (32, 8), "llama2-7b": (32, 32), "llama2-70b-tp2": (32, 4)}
"""Query and KV heads, of 128 each, on the GPU that was profiled."""
_HEAD_DIM = 128


def attention_of(model: Model, tp: int) -> str:
    """The profile a model's attention is read from."""
    if tp == 1 and model.name in PROFILED:
        return PROFILED[model.name]
    return "llama2-70b-tp2" if model.grouped else "llama2-7b"


def source_of(model: Model, gpu: Gpu, tp: int) -> str:
    """What gives a model's iteration times, in words."""
    if model.name in PROFILED and tp == 1:
        backend = "FlashInfer" if PROFILED[model.name] == "llama3-8b" else "FlashAttention"
        return f"own profile of 2024 ({backend})"
    kind, _ = resolve_kind("auto", model, gpu, tp)
    linear = "kernels measured today" if kind == "measured" else "data-sheet roofline"
    shape = "Llama-2-70B on 2 GPUs" if model.grouped else "Llama-2-7B"
    return f"{linear}; attention of {shape} (2024), scaled by heads"


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
    short = np.maximum(square, 0) * chunk**2 + linear * chunk
    return np.asarray(np.where(chunk < n[0], short, np.interp(chunk, n, ms)))


@functools.cache
def _decode(stem: str) -> tuple[Array, list[tuple[Array, Array]]]:
    """Contexts profiled, and at each the batches (ascending, from 0) and their decode attention in ms.

    Some batches were profiled at the shorter of two neighbouring contexts; they count for the longer, in proportion.
    """
    frame = _read(f"{stem}_decode")
    contexts = np.sort(frame["context"].unique()).astype(float)
    groups = [c for c in contexts if not any(c < other <= 1.2 * c for other in contexts)]
    curves = []
    for context in groups:
        near = frame[(frame["context"] <= context) & (frame["context"] * 1.2 >= context)].sort_values("batch")
        ms = (near["ms"] * context / near["context"]).to_numpy(float)
        curves.append((np.append(0.0, near["batch"].to_numpy(float)), np.append(0.0, ms)))
    return np.array(groups), curves


def _decode_grid(stem: str, blocks_per_request: float) -> Array:
    """Decode attention, ms, of batches 0..128 at contexts 0, 64...4096; shape (129, 65).

    `blocks_per_request`: KV heads over those of the profile.
    """
    contexts, curves = _decode(stem)
    batch = np.arange(MAX_BATCH + 1) * blocks_per_request
    columns = []
    for b, ms in curves:
        least = ms[1]  # a launch takes this long however little it does
        read = np.maximum(np.interp(batch, b, ms), least)
        beyond = batch > b[-1]
        read[beyond] = ms[-1] * batch[beyond] / b[-1]
        columns.append(read)
    floor = np.minimum(columns[0], curves[0][1][1])
    known = np.concatenate(([0.0], contexts))
    rows = np.column_stack([floor, *columns])
    wanted = np.arange(0.0, MAX_TOKENS + 1, KV_STEP)
    slope = (rows[:, -1] - rows[:, -2]) / (known[-1] - known[-2])
    read = np.array([np.interp(wanted, known, row) for row in rows])
    read = read + slope[:, None] * np.maximum(wanted - known[-1], 0.0)
    read[0] = 0.0
    return np.asarray(read)


def all_reduce_s(size_bytes: Array, gpus: int) -> Array:
    """One all-reduce of `size_bytes` among `gpus` GPUs of the pairwise node, s; shape of its input."""
    return ALL_REDUCE_FLOOR_S + size_bytes / ALL_REDUCE_BYTES_PER_S[gpus] + ALL_REDUCE_LAUNCH_S


def paper_tables(model: Model, gpu: Gpu, tp: int, pp: int) -> StageTables:
    """Tables of one GPU of one stage as the paper's simulator had them; `source_of` says where from."""
    layers = model.num_layers / pp
    tokens = np.arange(MAX_TOKENS + 1)
    rounded = np.minimum(-(-tokens // ROUND_TO) * ROUND_TO, MAX_TOKENS)
    bytes_sent: Array = np.asarray(tokens * model.hidden * 2.0, dtype=np.float64)
    stem = PROFILED.get(model.name) if tp == 1 else None
    if stem:
        token_s = _curve(f"{stem}_linear")[rounded] * layers * MS
        if stem == "llama3-8b":
            token_s = token_s + _curve(f"{stem}_kv_write") * layers * MS
    else:
        today = stage_tables(
            "auto", model, gpu, tp, pp, max_tokens=MAX_TOKENS, max_batch=MAX_BATCH, overhead_s=0.0
        )
        token_s = (today.token_s - today.comm_s)[rounded] * np.interp(tokens, *LINEAR_SLOWDOWN)
    comm_s = np.zeros(len(tokens))
    if tp > 1:
        comm_s = 2 * layers * all_reduce_s(bytes_sent, tp)
    attention = attention_of(model, tp)
    queries, caches = HEADS[attention]
    width = model.heads / tp * model.head_dim / (queries * _HEAD_DIM)
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
        decode_s=_decode_grid(attention, kv_heads_per_gpu(model, tp) / caches) * layers * MS,
        decode_kv=np.arange(0.0, MAX_TOKENS + 1, KV_STEP),
        prefill_s=np.column_stack((prefill, prefill)),
        prefill_chunk=np.arange(MAX_TOKENS + 1, dtype=float),
        prefill_kv=np.array([0.0, KV_STEP]),
        prefill_floor_s=0.0,
        kv_step=KV_STEP,
        shared_factor=SHARED_ATTENTION if model.grouped else 1.0,
        **vars(work),
    )
