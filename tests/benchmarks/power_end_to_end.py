"""Energy per output token of a serving configuration through the batch loop, nothing measured as input.

What goes in: model, GPU, number of GPUs, number of clients, and the workload (the kind of task, how long its answers
are). A closed loop keeps `clients` requests at once: as many as that wait, and the next joins when one ends. The
replica runs until it has been full for a while; energy, time and tokens are those of the intervals in which it was.
Kernels are the measured ones (the roofline where nobody measured), the server is vLLM 0.11.1 as these runs had it: its
host time, its experts, and a sampler that sorts the vocabulary. What no configuration tells stays wrong: on the B200
nodes iterations of the exam questions stall for 28 ms, whatever the batch.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from simulators.errors import InputError
from simulators.inference.batching.policies import limits_for
from simulators.inference.batching.state import REQUEST
from simulators.inference.catalogue import gpu, kv_blocks, model
from simulators.inference.power.fit import family
from simulators.inference.power.laws import law_for, without_waiting
from simulators.inference.power.measurements import (
    GEMMA_IMAGE,
    LONGEST_PROMPT,
    MLENERGY_VLLM,
    PROMPT_TOKENS,
    SAMPLING,
)
from simulators.inference.replica import Replica
from simulators.inference.timing import host_seconds, resolve_kind, stage_tables

MEMORY_FRACTION = 0.9
"""vLLM's default gpu_memory_utilization."""
MAX_BATCH_TOKENS = 8192
"""vLLM's default on these GPUs."""
BLOCK_TOKENS = 16
MAX_CLIENTS = 1024
AT_LIMIT = 0.95
"""Share of the limit from which on a board is taken to throttle."""
TURNS = 3
"""Requests a client sends."""
INTERVALS = 60
SEED = 7


@cache
def _deployment(name: str, device: str, gpus: int, ep: int, clients: int, power_law: str):
    shape, sheet = model(name), gpu(device)
    parallel = ep if shape.moe_layers else 1
    kind, _ = resolve_kind("auto", shape, sheet, gpus, expert_parallel=parallel)
    sampling = SAMPLING.get(name.split("/")[-1], "sorted")
    tables = stage_tables(
        kind, shape, sheet, gpus, max_tokens=MAX_BATCH_TOKENS, max_batch=clients, expert_parallel=parallel,
        version=MLENERGY_VLLM, sampling=sampling,
    )  # fmt: skip
    blocks = kv_blocks(shape, sheet, gpus, 1, BLOCK_TOKENS, memory_fraction=MEMORY_FRACTION)
    law = law_for(
        sheet, power_law, shape, tp=gpus, sampling=sampling, version=MLENERGY_VLLM, max_tokens=MAX_BATCH_TOKENS
    )  # fmt: skip
    law = without_waiting(law, tables.comm_s, host_seconds(kind, "vllm", MLENERGY_VLLM, None))
    limits = limits_for(
        "vllm_v1", total_blocks=blocks, batch_cap=clients, max_batch_tokens=MAX_BATCH_TOKENS,
        block_tokens=BLOCK_TOKENS,
    )  # fmt: skip
    return kind, Replica(limits, tables, law, gpus)


def prompt_tokens(name: str, task: str) -> float:
    """Prompt length of a task, tokens."""
    if task == "image-chat" and "gemma-3" in name.lower():
        return GEMMA_IMAGE
    return PROMPT_TOKENS.get(task) or LONGEST_PROMPT.get(task, 100.0)


def requests(clients: int, prompt: float, output: float) -> np.ndarray:
    """`TURNS` requests per client, all at time 0, as records; answers spread evenly around their mean.

    Clients that start together would stay in step with equal lengths; the first turn is cut at random points instead,
    as if each client had been at it for a while.
    """
    rng = np.random.default_rng(SEED)
    count = clients * TURNS
    rows = np.zeros(count, REQUEST).view(np.recarray)
    for field in ("scheduled_at", "prefill_completed_at", "completed_at"):
        rows[field] = np.nan
    rows["request_id"] = np.arange(count)
    rows["prefill_tokens"] = rows["target"] = max(1, round(prompt))
    lengths = rng.uniform(0.5, 1.5, count) * output
    lengths[:clients] *= rng.uniform(0.0, 1.0, clients)
    rows["decode_tokens"] = np.maximum(2, lengths.astype(int))
    return rows


def serve(
    name: str,
    device: str,
    gpus: int,
    clients: int,
    task: str,
    output: float,
    ep: int = 1,
    power_law: str = "auto",
) -> tuple[float, float, float, float]:
    """J per output token over all GPUs, s per token and request, W per GPU and mean batch of a closed loop.

    Raises
    ------
    InputError
        If the model does not fit or is unknown.
    """
    _, replica = _deployment(name, device, gpus, ep, clients, power_law)
    replica = Replica(replica.limits, replica.tables, replica.law, gpus)
    rows = requests(clients, prompt_tokens(name, task), output)
    replica.enqueue(rows, 0, len(rows))
    c = replica.state.counters[0]
    width_s = max(1e-3, 0.02 * output / 4)
    joules = busy_s = tokens = slots = 0.0
    now = 0.0
    full_j = []
    while replica.outstanding:
        before = int(c.decode_tokens), int(c.batch_sizes), int(c.batches)
        bins = np.zeros((1, 5))
        replica.advance(now + width_s, bins, now, width_s)
        replica.meter_in_flight(bins, now, width_s)
        now += width_s
        made = int(c.decode_tokens) - before[0]
        waiting = int(c.queue_size) + int(c.inbox_size)
        if waiting and c.completed >= clients / 2 and made:
            joules += bins[0, :2].sum()
            busy_s += bins[0, 2]
            tokens += made
            slots += int(c.batch_sizes) - before[1]
            full_j.append(int(c.batches) - before[2])
    if not tokens:
        raise InputError(f"{name}: never full with {clients} clients")
    batches = sum(full_j)
    return joules / tokens, busy_s / batches, joules / busy_s / gpus, tokens / batches


def end_to_end(
    path: Path, device: str = "H100", kinds: tuple[str, ...] = ("dense",), every: int = 1
) -> pd.DataFrame:
    """Predicted and measured J per output token of every n-th run on `device`; empty if the file has none.

    Columns: model, architecture, task, tp, clients, timing, predicted_j, measured_j, error, time_error, power_error
    (relative), why (the larger of the parts of the error).
    """
    frame = pd.read_csv(path, comment="#")
    if "energy_per_token_j" not in frame:
        return pd.DataFrame()
    rows = []
    for row in frame[frame["gpu"].astype(str).str.upper() == device].iloc[::every].itertuples():
        kind = str(row.architecture).lower()
        kind = "moe" if kind == "moe" else "hybrid" if "hybrid" in kind else "dense"
        clients = int(row.max_num_seqs)
        if kind not in kinds or clients > MAX_CLIENTS or int(getattr(row, "dp", 1)) > 1:
            continue
        gpus, ep = int(row.num_gpus), int(getattr(row, "ep", 1))
        try:
            joule, seconds, watts, batch = serve(
                row.model_id, device.lower(), gpus, clients, row.task, float(row.avg_output_len), ep
            )
        except InputError:
            continue  # not in the catalogue, or too large for its GPUs by our count
        measured_s = row.avg_batch_size / row.output_tokens_per_s
        parts = {
            "batch": np.log(row.avg_batch_size / batch),
            "iteration time": np.log(seconds / measured_s),
            "power": np.log(watts / row.avg_power_w_per_gpu),
        }
        largest = max(parts, key=lambda part: abs(parts[part]))
        why = f"mostly {largest} ({np.expm1(parts[largest]):+.0%})"
        if row.avg_power_w_per_gpu > AT_LIMIT * gpu(device.lower()).tdp_w:
            why += "; measured at the board's limit, where clocks fall below those the kernels were timed at"
        rows.append(
            {
                "model": row.model_id, "family": family(row.model_id), "architecture": kind, "task": row.task,
                "tp": gpus, "clients": clients,
                "timing": _deployment(row.model_id, device.lower(), gpus, ep, clients, "auto")[0],
                "predicted_j": joule, "measured_j": row.energy_per_token_j,
                "error": joule / row.energy_per_token_j - 1,
                "time_error": seconds / batch / (measured_s / row.avg_batch_size) - 1,
                "power_error": watts / row.avg_power_w_per_gpu - 1, "why": why,
            }
        )  # fmt: skip
    return pd.DataFrame(rows)
