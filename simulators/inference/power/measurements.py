"""Measured serving runs -> operating points: how hard a GPU worked, and what it drew.

Three CSV layouts are read, told apart by their columns; a file has one of them throughout:

ML.ENERGY (leaderboard v3, flattened)
    model_id, task, architecture, total_params_b, active_params_b, precision, gpu, num_gpus, avg_batch_size,
    avg_output_len (tokens), output_tokens_per_s (all GPUs), avg_power_w_per_gpu. Further columns are ignored.
Generic, also written by `measure`
    gpu, model, tp, batch, context (tokens, mean), tokens_per_s (output, all GPUs), power_w (per GPU); optional:
    precision (default the checkpoint's), prefill_tokens_per_s, comm (share of the time, 1).
Utilisation
    gpu, model, mfu, mbu, comm (1; MFU against the bf16 peak), power_w (per GPU); optional: class (see `kernel_class`).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from simulators.errors import InputError
from simulators.inference.catalogue import Gpu, Precision, gpu
from simulators.inference.catalogue.precision import precision_named
from simulators.inference.power.kernel_class import CLASSES
from simulators.inference.power.work import Work, work_of
from simulators.inference.timing.work import LINK_LATENCY_S

MLENERGY = (
    "model_id", "task", "architecture", "total_params_b", "active_params_b", "precision", "gpu", "num_gpus",
    "avg_batch_size", "avg_output_len", "output_tokens_per_s", "avg_power_w_per_gpu",
)  # fmt: skip
GENERIC = ("gpu", "model", "tp", "batch", "context", "tokens_per_s", "power_w")
UTILISATION = ("gpu", "model", "mfu", "mbu", "comm", "power_w")

PROMPT_TOKENS = {
    "lm-arena-chat": 100.0,
    "gpqa": 250.0,
    "sourcegraph-fim": 3000.0,
    "image-chat": 1200.0,
    "video-chat": 3000.0,
}
"""Mean prompt length by ML.ENERGY v3 task, tokens. The data set does not give it; these are estimates from the kind of
prompt: a chat turn, a multiple-choice science question, a source file with context (checked against the time its mean
inter-token latency spends above the median), an image, a clip. An unknown task is taken for a chat turn."""
PREFILL_TASKS = ("sourcegraph-fim",)
"""Tasks whose prefill is counted as arithmetic. Chat prompts are too short to matter; image and video prompts wait
for the host to decode pictures, and counting their prefill made every fit worse."""
VISION_TASKS = ("image-chat", "video-chat")

POINT = (
    "gpu",
    "model",
    "architecture",
    "kernel_class",
    "mfu",
    "mbu",
    "comm",
    "wait",
    "format_speed",
    "power_w",
)
"""Columns of an operating point. `mfu` is counted against the bf16 peak; `format_speed` is the peak of the format in
use over that; `wait` is the share of the time the GPU waits for the host (1), during which it draws its loaded idle
power."""


def read_measurements(path: str | Path, vision_wait_s: dict[str, float] | None = None) -> pd.DataFrame:
    """Operating points of a measurement file, one row per run, columns `POINT`.

    Parameters
    ----------
    path
        A CSV file in one of the layouts above; lines starting with # are comments.
    vision_wait_s
        Per GPU: host seconds a GPU waits per image or video request (`[power.utilisation]` of its data sheet).

    Raises
    ------
    InputError
        If the file cannot be read, has none of the layouts, no rows, or a value that is no number or out of range.
    """
    try:
        frame = pd.read_csv(path, comment="#")
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as CSV: {str(error).splitlines()[0]}") from None
    layouts = {"ML.ENERGY": MLENERGY, "utilisation": UTILISATION, "generic": GENERIC}
    layout = next((name for name, needed in layouts.items() if set(needed) <= set(frame.columns)), None)
    if layout is None:
        name, missing = min(
            ((name, [c for c in needed if c not in frame.columns]) for name, needed in layouts.items()),
            key=lambda pair: len(pair[1]),
        )
        raise InputError(
            f"{path}: not a measurement file: the {name} layout needs the column(s) {', '.join(missing)}"
        )
    if frame.empty:
        raise InputError(f"{path}: no rows, expected one per measured run")
    texts = {"model_id", "model", "task", "architecture", "precision", "gpu"}
    _numbers(path, frame, [c for c in layouts[layout] if c not in texts], may_be_zero=layout == "utilisation")
    sheets = {name: _sheet(path, frame, name) for name in frame["gpu"].unique()}
    records = [{str(key): value for key, value in row.items()} for row in frame.to_dict("records")]
    if layout == "ML.ENERGY":
        rows = [_mlenergy(path, i, row, sheets, vision_wait_s or {}) for i, row in enumerate(records)]
    elif layout == "generic":
        rows = [_generic(path, i, row, sheets) for i, row in enumerate(records)]
    else:
        rows = [_utilisation(path, i, row, sheets) for i, row in enumerate(records)]
    return pd.DataFrame(rows, columns=list(POINT))


def _numbers(path: str | Path, frame: pd.DataFrame, columns: list[str], may_be_zero: bool) -> None:
    for column in columns:
        values = pd.to_numeric(frame[column], errors="coerce")
        fine = np.isfinite(values) & ((values >= 0) if may_be_zero and column != "power_w" else (values > 0))
        if not fine.all():
            row = int(np.argmin(fine.to_numpy()))
            expected = "a number >= 0" if may_be_zero and column != "power_w" else "a number > 0"
            raise InputError(
                f"{path}: data row {row + 1}, {column}: {frame[column].iloc[row]!r}, expected {expected}"
            )
        frame[column] = values


def _sheet(path: str | Path, frame: pd.DataFrame, name: object) -> Gpu:
    try:
        return gpu(str(name))
    except InputError as error:
        row = int(np.argmax((frame["gpu"] == name).to_numpy())) if isinstance(name, str) else 0
        raise InputError(f"{path}: data row {row + 1}: {error}") from None


def _point(
    sheet: Gpu,
    work: Work,
    gpus: float,
    batch: float,
    context: float,
    tokens_per_s: float,
    prefill_per_s: float,
) -> dict[str, float]:
    """MFU, MBU and communication share of steady decoding at the measured throughput.

    One iteration makes one token per request, so it takes batch / tokens_per_s.
    """
    iteration_s = batch / tokens_per_s
    flops = (
        work.flops_per_token * (tokens_per_s + prefill_per_s) + work.flops_per_pair * context * tokens_per_s
    )
    traffic = work.weight_bytes(batch) + work.kv_bytes(context) * batch
    comm = 0.0
    if gpus > 1:
        # two all-reduces (or all-to-alls) per layer; a ring moves 2 (g - 1) / g of the 16 bit activations
        sent = 2 * (gpus - 1) / gpus * batch * work.hidden * 2.0
        comm = 2 * work.layers * (LINK_LATENCY_S + sent / sheet.link_bandwidth) / iteration_s
    return {
        "mfu": flops / gpus / sheet.peak("bf16"),
        "mbu": traffic / gpus / iteration_s / sheet.memory_bandwidth,
        "comm": min(1.0, comm),
    }


def _mlenergy(
    path: str | Path, i: int, row: dict[str, float | str], sheets: dict[str, Gpu], waits: dict[str, float]
) -> dict[str, float | str]:
    task, architecture = str(row["task"]), str(row["architecture"])
    sheet = sheets[str(row["gpu"])]
    work = work_of(
        str(row["model_id"]), _precision(path, i, row["precision"]),
        (float(row["total_params_b"]) * 1e9, float(row["active_params_b"]) * 1e9),
    )  # fmt: skip
    output, rate = float(row["avg_output_len"]), float(row["output_tokens_per_s"])
    prompt = PROMPT_TOKENS.get(task, 100.0)
    prefill_per_s = rate * prompt / output if task in PREFILL_TASKS else 0.0
    gpus = float(row["num_gpus"])
    point = _point(sheet, work, gpus, float(row["avg_batch_size"]), prompt + output / 2, rate, prefill_per_s)
    wait = min(0.8, waits.get(sheet.name, 0.0) * rate / output) if task in VISION_TASKS else 0.0
    kind = (
        "MoE"
        if architecture.lower() == "moe"
        else ("hybrid" if "hybrid" in architecture.lower() else "dense")
    )
    busy = {name: value / (1 - wait) for name, value in point.items()}
    return {
        "gpu": sheet.name, "model": str(row["model_id"]), "architecture": kind, "kernel_class": work.kernel_class,
        **busy, "wait": wait, "format_speed": _speed(sheet, work), "power_w": float(row["avg_power_w_per_gpu"]),
    }  # fmt: skip


def _generic(
    path: str | Path, i: int, row: dict[str, float | str], sheets: dict[str, Gpu]
) -> dict[str, float | str]:
    sheet = sheets[str(row["gpu"])]
    named = row.get("precision")
    precision = _precision(path, i, named) if isinstance(named, str) else None
    try:
        work = work_of(str(row["model"]), precision)
    except InputError as error:
        raise InputError(f"{path}: data row {i + 1}: {error}") from None
    gpus, batch, context, rate = (float(row[c]) for c in ("tp", "batch", "context", "tokens_per_s"))
    prefill_per_s = _optional(path, i, row, "prefill_tokens_per_s") or 0.0
    point = _point(sheet, work, gpus, batch, context, rate, prefill_per_s)
    given = _optional(path, i, row, "comm")
    return {
        "gpu": sheet.name, "model": str(row["model"]), "architecture": "MoE" if work.routed else "dense",
        "kernel_class": work.kernel_class, **point, **({} if given is None else {"comm": given}), "wait": 0.0,
        "format_speed": _speed(sheet, work), "power_w": float(row["power_w"]),
    }  # fmt: skip


def _utilisation(
    path: str | Path, i: int, row: dict[str, float | str], sheets: dict[str, Gpu]
) -> dict[str, float | str]:
    group = str(row.get("class", "dense"))
    if group not in CLASSES:
        raise InputError(f"{path}: data row {i + 1}, class: {group!r}, expected one of {', '.join(CLASSES)}")
    for column in ("mfu", "mbu", "comm"):
        if float(row[column]) > 1:
            raise InputError(
                f"{path}: data row {i + 1}, {column}: {row[column]}, expected a share within 0..1"
            )
    return {
        "gpu": sheets[str(row["gpu"])].name, "model": str(row["model"]),
        "architecture": "dense" if group == "dense" else "MoE", "kernel_class": group,
        "mfu": float(row["mfu"]), "mbu": float(row["mbu"]), "comm": float(row["comm"]), "wait": 0.0,
        "format_speed": 1.0, "power_w": float(row["power_w"]),
    }  # fmt: skip


def _speed(sheet: Gpu, work: Work) -> float:
    return sheet.peak(work.precision) / sheet.peak("bf16")


def _precision(path: str | Path, i: int, name: object) -> Precision:
    lowered = str(name).lower()
    if lowered in ("mxfp4", "nvfp4"):
        return "fp4"
    try:
        return precision_named(lowered)
    except InputError as error:
        raise InputError(f"{path}: data row {i + 1}: {error}") from None


def _optional(path: str | Path, i: int, row: dict[str, float | str], column: str) -> float | None:
    value = row.get(column)
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return None
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not 0 <= number < np.inf:
        raise InputError(f"{path}: data row {i + 1}, {column}: {value!r}, expected a number >= 0")
    return number
