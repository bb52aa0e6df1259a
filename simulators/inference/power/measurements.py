"""Measured serving runs -> operating points: what a GPU did per second, and what it drew.

Three CSV layouts are read, told apart by their columns; a file has one of them throughout:

ML.ENERGY (leaderboard v3, flattened)
    model_id, task, architecture, total_params_b, active_params_b, precision, gpu, num_gpus, avg_batch_size,
    avg_output_len (tokens), output_tokens_per_s (all GPUs), avg_power_w_per_gpu; optional: ep, dp (expert and data
    parallel ranks), itl_ms_p50 (median time between tokens, ms). Further columns are ignored.
Generic, also written by `measure`
    gpu, model, tp, batch, context (tokens, mean), tokens_per_s (output, all GPUs), power_w (per GPU); optional:
    precision (default the checkpoint's), prefill_tokens_per_s, ep (GPUs experts are spread over), sampling (greedy,
    random or sorted; default greedy), version (of vLLM; default the newest).
Utilisation
    gpu, model, mfu, mbu, comm (1; MFU against the bf16 peak), power_w (per GPU): dense models in 16 bit.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd

from simulators.errors import InputError
from simulators.inference.catalogue import Precision, gpu
from simulators.inference.catalogue.precision import precision_named
from simulators.inference.power.points import (
    TERMS,
    Deployment,
    Load,
    prompt_tokens_per_s,
    rates,
    work_of,
)
from simulators.inference.power.terms import SAMPLINGS
from simulators.inference.timing.sampling import Sampling
from simulators.profiles.tables import plain_csv

MLENERGY = (
    "model_id", "task", "architecture", "total_params_b", "active_params_b", "precision", "gpu", "num_gpus",
    "avg_batch_size", "avg_output_len", "output_tokens_per_s", "avg_power_w_per_gpu",
)  # fmt: skip
GENERIC = ("gpu", "model", "tp", "batch", "context", "tokens_per_s", "power_w")
UTILISATION = ("gpu", "model", "mfu", "mbu", "comm", "power_w")

MLENERGY_VLLM = "0.11.1"
"""The server of ML.ENERGY v3."""
PROMPT_TOKENS = {"lm-arena-chat": 100.0, "gpqa": 250.0}
"""Mean prompt length of ML.ENERGY v3 tasks whose prompts are short text, tokens: a chat turn, a multiple-choice science
question. The data set does not give them; they cost so little that a factor of two does not show."""
LONGEST_PROMPT = {"sourcegraph-fim": 2000.0, "image-chat": 1000.0, "video-chat": 700.0}
"""Longest mean prompt of the others, tokens. Code completion: what the throughput at 1,000 to 1,500 requests at once
leaves time for. Images and clips: vision tokens of one, as these models' processors make them by default."""
LONGEST_OTHER = 2000.0
GEMMA_IMAGE = 650.0
"""The same for Gemma 3, which makes 256 tokens of an image of any size (its model card): those, a question of about 100
tokens, and its vision encoder, in prompt tokens of the 12B model: 4,096 patches through 0.4e9 parameters and 27 layers
of attention are 5.4e12 FLOP, as much as 250 tokens. (In the other models' limits the encoder is counted too.)"""
SAMPLING: dict[str, Sampling] = {"gpt-oss-120b": "random", "gpt-oss-20b": "random"}
"""Models of ML.ENERGY v3 whose published generation settings have neither top-p nor top-k; the others' have."""

POINT = ("gpu", "model", "architecture", *TERMS, "power_w")
"""Columns of an operating point: W per GPU, and units of every term per second and GPU (`points.rates`)."""


def read_measurements(path: str | Path) -> pd.DataFrame:
    """Operating points of a measurement file, one row per run, columns `POINT`.

    Parameters
    ----------
    path
        A CSV file in one of the layouts above; lines starting with # are comments.

    Raises
    ------
    InputError
        If the file cannot be read, has none of the layouts, no rows, or a value that is no number or out of range.
    """
    frame = plain_csv(Path(path), comment="#", dtype={"version": str})  # 0.10 is no 0.1
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
    for name in frame["gpu"].unique():
        _check_gpu(path, frame, name)
    records = [{str(key): value for key, value in row.items()} for row in frame.to_dict("records")]
    read = {"ML.ENERGY": _mlenergy, "generic": _generic, "utilisation": _utilisation}[layout]
    rows = [read(path, i, row) for i, row in enumerate(records)]
    return pd.DataFrame(rows, columns=list(POINT))


def _numbers(path: str | Path, frame: pd.DataFrame, columns: list[str], may_be_zero: bool) -> None:
    for column in columns:
        values = pd.to_numeric(frame[column], errors="coerce")
        fine = np.isfinite(values) & ((values >= 0) if may_be_zero and column != "power_w" else (values > 0))
        if not fine.all():
            row = int(np.argmin(fine.to_numpy()))
            expected = "a number >= 0" if may_be_zero and column != "power_w" else "a number > 0"
            raise InputError(
                f"{path}: data row {row + 1}, {column}: {str(frame[column].iloc[row])!r}, expected {expected}"
            )
        frame[column] = values


def _check_gpu(path: str | Path, frame: pd.DataFrame, name: object) -> None:
    try:
        gpu(str(name))
    except InputError as error:
        row = int(np.argmax((frame["gpu"] == name).to_numpy())) if isinstance(name, str) else 0
        raise InputError(f"{path}: data row {row + 1}: {error}") from None


def _mlenergy(path: str | Path, i: int, row: dict[str, float | str]) -> dict[str, float | str]:
    task, architecture, name = str(row["task"]), str(row["architecture"]), str(row["model_id"])
    deployment = Deployment(
        name, str(row["gpu"]), int(row["num_gpus"]), max(1, int(_optional(path, i, row, "ep") or 1)),
        _precision(path, i, row["precision"]), SAMPLING.get(name.split("/")[-1], "sorted"), MLENERGY_VLLM,
        float(row["total_params_b"]) * 1e9, float(row["active_params_b"]) * 1e9,
    )  # fmt: skip
    batch, output, rate = (float(row[c]) for c in ("avg_batch_size", "avg_output_len", "output_tokens_per_s"))
    median_ms = _optional(path, i, row, "itl_ms_p50")
    prompt = prompt_length(task, deployment, batch, output, rate, median_ms)
    ranks = max(1.0, _optional(path, i, row, "dp") or 1.0)
    load = Load(batch, prompt + output / 2, rate, ranks * prompt / output)
    kind = (
        "MoE"
        if architecture.lower() == "moe"
        else ("hybrid" if "hybrid" in architecture.lower() else "dense")
    )
    return _point(path, i, deployment, load, kind, float(row["avg_power_w_per_gpu"]))


def prompt_length(
    task: str, deployment: Deployment, batch: float, output: float, rate: float, median_ms: float | None
) -> float:
    """Mean prompt of a run, tokens.

    Chat turns and exam questions are short and known well enough (`PROMPT_TOKENS`). What else a request brings (source
    files, images as the language model sees them) is taken from the run itself: its mean time between tokens exceeds
    the median by the prompts that come in between; at most `LONGEST_PROMPT`, for a stalled host does that too.

    Parameters
    ----------
    task
        ML.ENERGY's name of it.
    deployment, batch, output, rate
        What ran; requests at once, answer length (tokens), throughput (tokens/s).
    median_ms
        Median time between tokens, ms; None: not in the file.
    """
    if task in PROMPT_TOKENS:
        return PROMPT_TOKENS[task]
    longest = LONGEST_PROMPT.get(task, LONGEST_OTHER)
    if task == "image-chat" and "gemma-3" in deployment.model.lower():
        longest = GEMMA_IMAGE
    if median_ms is None:
        return longest
    extra_s = batch / rate - 1e-3 * median_ms
    return min(longest, max(0.0, extra_s) * prompt_tokens_per_s(deployment) * output / batch)


def _generic(path: str | Path, i: int, row: dict[str, float | str]) -> dict[str, float | str]:
    named, sampling = _text(row, "precision"), _text(row, "sampling") or "greedy"
    precision = _precision(path, i, named) if named else None
    if sampling not in SAMPLINGS:
        raise InputError(
            f"{path}: data row {i + 1}, sampling: {sampling!r}, expected one of {', '.join(SAMPLINGS)}"
        )
    gpus, batch, context, rate = (float(row[c]) for c in ("tp", "batch", "context", "tokens_per_s"))
    deployment = Deployment(
        str(row["model"]), str(row["gpu"]), int(gpus), int(_optional(path, i, row, "ep") or 1), precision,
        cast(Sampling, sampling), _text(row, "version"),
    )  # fmt: skip
    prompts = (_optional(path, i, row, "prefill_tokens_per_s") or 0.0) / rate
    return _point(path, i, deployment, Load(batch, context, rate, prompts), None, float(row["power_w"]))


def _point(
    path: str | Path, i: int, deployment: Deployment, load: Load, kind: str | None, power_w: float
) -> dict[str, float | str]:
    try:
        sheet = gpu(deployment.gpu)
        found = rates(deployment._replace(gpu=sheet.name), load)
        shape, _, _ = work_of(deployment._replace(gpu=sheet.name))
    except InputError as error:
        raise InputError(f"{path}: data row {i + 1}: {error}") from None
    if kind is None:
        kind = "MoE" if shape.num_experts else ("hybrid" if shape.linear_layers else "dense")
    return {
        "gpu": sheet.name, "model": deployment.model, "architecture": kind, **found, "power_w": power_w,
    }  # fmt: skip


def _utilisation(path: str | Path, i: int, row: dict[str, float | str]) -> dict[str, float | str]:
    for column in ("mfu", "mbu", "comm"):
        if float(row[column]) > 1:
            raise InputError(
                f"{path}: data row {i + 1}, {column}: {row[column]}, expected a share within 0..1"
            )
    sheet = gpu(str(row["gpu"]))
    nothing = dict.fromkeys(TERMS, 0.0)
    known = {
        "active": 1.0 - float(row["comm"]),
        "weights": float(row["mbu"]) * sheet.memory_bandwidth,
        "flop16": float(row["mfu"]) * sheet.peak("bf16"),
    }
    return {
        "gpu": sheet.name, "model": str(row["model"]), "architecture": "dense", **nothing, **known,
        "power_w": float(row["power_w"]),
    }  # fmt: skip


def _text(row: dict[str, float | str], column: str) -> str | None:
    """An entry that may be left out or empty."""
    value = row.get(column)
    return None if value is None or value != value else str(value)


def _precision(path: str | Path, i: int, name: object) -> Precision:
    lowered = str(name).lower()
    if lowered in ("mxfp4", "nvfp4"):
        return "fp4"
    try:
        return precision_named(lowered)
    except InputError as error:
        raise InputError(f"{path}: data row {i + 1}: {error}") from None


def _optional(path: str | Path, i: int, row: dict[str, float | str], column: str) -> float | None:
    value = _text(row, column)
    if value is None:
        return None
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not 0 <= number < np.inf:
        raise InputError(f"{path}: data row {i + 1}, {column}: {value!r}, expected a number >= 0")
    return number
