"""Energy per output token of a serving configuration, nothing measured as input.

What goes in: model, GPU, tensor parallelism, number of clients, and the kind of task. A closed loop keeps the batch
at min(clients, what fits into the KV cache). An iteration then decodes one token per request and, on average,
prefills prompt / output tokens per request beside it; its duration comes from the measured kernels (`timing`; the
roofline where nobody measured them), its power from the `utilisation` law:

    J per token = GPUs * power * iteration time / batch
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from simulators.errors import InputError
from simulators.inference.batching.cost import (
    decode_attention_s,
    prefill_attention_s,
    prompt_attention_s,
    stage_constants,
    stage_cost,
    stage_rates,
)
from simulators.inference.catalogue import gpu, kv_blocks, model
from simulators.inference.power.laws import law_for
from simulators.inference.power.measurements import PROMPT_TOKENS
from simulators.inference.timing import resolve_kind, stage_tables

OUTPUT_TOKENS = {
    "lm-arena-chat": 500,
    "gpqa": 7500,
    "image-chat": 500,
    "video-chat": 400,
    "sourcegraph-fim": 250,
}
"""What a task typically gets as an answer, tokens: rounded over the models of ML.ENERGY v3. Part of the workload,
like the prompt lengths; a row's own output length is not used."""
MEMORY_FRACTION = 0.9
"""vLLM's default gpu_memory_utilization."""
MAX_BATCH = 1024
BLOCK_TOKENS = 16
AT_LIMIT = 0.95
"""Share of the limit from which on a board is taken to throttle."""


@cache
def _deployment(name: str, device: str, tp: int):
    shape, sheet = model(name), gpu(device)
    kind, _ = resolve_kind("auto", shape, sheet, tp)
    tables = stage_tables(kind, shape, sheet, tp, max_batch=MAX_BATCH, max_tokens=4 * MAX_BATCH)
    tokens = BLOCK_TOKENS * kv_blocks(shape, sheet, tp, 1, BLOCK_TOKENS, memory_fraction=MEMORY_FRACTION)
    return kind, tables, tokens, law_for(sheet, "utilisation", shape)


def joule_per_token(
    name: str, device: str, tp: int, clients: int, task: str
) -> tuple[float, float, float, float]:
    """J per output token over all GPUs, iteration time (s), power per GPU (W) and batch of a closed loop.

    Raises
    ------
    InputError
        If the model does not fit or its kernels were not measured.
    """
    _, tables, capacity, law = _deployment(name, device, tp)
    prompt, output = PROMPT_TOKENS.get(task, 100.0), OUTPUT_TOKENS.get(task, 500)
    context = prompt + output / 2
    batch = int(max(1, min(clients, capacity / context)))
    arriving = batch / output  # requests prefilled per iteration
    attention_s = decode_attention_s(tables, batch, int(batch * context))
    chunk = int(prompt)
    attention_s += arriving * prefill_attention_s(
        tables, 1, float(chunk**2), 0, prompt_attention_s(tables, chunk, 0)
    )
    tokens = batch + round(arriving * prompt)
    pairs = batch * context + arriving * prompt**2
    constants = stage_constants(tables, True, tokens, batch)
    cached = int(batch * context + arriving * prompt)
    seconds, _, _, watts = stage_cost(law, constants, stage_rates(tables), attention_s, pairs, cached)
    return tp * watts * seconds / batch, seconds, watts, batch


def end_to_end(path: Path, device: str = "H100") -> pd.DataFrame:
    """Predicted and measured J per output token of the dense runs on `device`; empty if the file has none.

    Columns: model, task, tp, clients, predicted_j, measured_j, error (relative), why (the larger of the two parts of
    the error: time or power).
    """
    frame = pd.read_csv(path, comment="#")
    if "energy_per_token_j" not in frame:
        return pd.DataFrame()
    rows = []
    dense = frame[(frame["gpu"] == device) & frame["architecture"].astype(str).str.startswith("Dense")]
    for row in dense.itertuples():
        try:
            joule, seconds, watts, batch = joule_per_token(
                row.model_id, device.lower(), int(row.num_gpus), int(row.max_num_seqs), row.task
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
                "model": row.model_id, "task": row.task, "tp": int(row.num_gpus), "clients": int(row.max_num_seqs),
                "timing": _deployment(row.model_id, device.lower(), int(row.num_gpus))[0],
                "predicted_j": joule, "measured_j": row.energy_per_token_j, "error": joule / row.energy_per_token_j - 1,
                "why": why,
            }
        )  # fmt: skip
    return pd.DataFrame(rows)
