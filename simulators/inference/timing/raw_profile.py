"""From the CSV files Vidur's profiler writes to the tables `profile.py` compiles.

Vidur fits a random forest to them; we draw straight lines between the measured medians, which reproduces every
measured point and needs no training. Points that are less than half of both neighbours are measurement faults and are
left out (a run whose kernel did not launch is recorded as a few us). Beyond the last point the mean slope of the
upper half of the curve goes on. Prefill attention is measured for chunk + cached <= the longest request only; beyond,
it grows with the number of pairs, chunk * (cached + chunk / 2).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from simulators.errors import InputError
from simulators.inference.catalogue import Model
from simulators.inference.timing.profile import (
    KV_SAVE,
    KV_STEP,
    OPTIONAL_OPERATOR,
    ROUNDED_OPERATORS,
    find_file,
    read_csv,
)
from simulators.inference.timing.tables import FloatArray
from simulators.inference.timing.work import GPUS_PER_NODE

MAX_KV = 4096
"""Longest context of the tables, tokens; Vidur's default."""


def _median(name: str) -> str:
    return f"time_stats.{name}.median"


def curve(keys: FloatArray, values: FloatArray, at: FloatArray) -> FloatArray:
    """Straight lines through the median per key, without faulty points, continued beyond the last one.

    Parameters
    ----------
    keys, values
        Measured points in any order; shape (n,). NaN values are left out.
    at
        Where to read the curve; any shape.
    """
    points = pd.Series(values, index=keys).dropna().groupby(level=0).median()
    if points.empty:
        return np.full(np.shape(at), np.nan)
    x, y = points.index.to_numpy(dtype=np.float64), points.to_numpy(dtype=np.float64)
    inner = np.zeros(len(y), dtype=bool)
    inner[1:-1] = (y[1:-1] < 0.5 * y[:-2]) & (y[1:-1] < 0.5 * y[2:])
    x, y = x[~inner], y[~inner]
    read = np.interp(at, x, y)
    half = np.interp(x[-1] / 2, x, y)
    slope = max(0.0, 2.0 * (y[-1] - half) / x[-1]) if len(x) > 1 and x[-1] > 0 else 0.0
    return np.asarray(read + slope * np.maximum(0.0, at - x[-1]))


def _rows(path: Path, frame: pd.DataFrame, conditions: dict[str, object]) -> pd.DataFrame:
    """Rows that fit every condition whose column exists; says which condition left none."""
    for column, wanted in conditions.items():
        if column in frame:
            kept = frame[frame[column] == wanted]
            if kept.empty:
                found = ", ".join(str(value) for value in sorted(frame[column].unique())[:8])
                raise InputError(f"{path}: no row with {column} = {wanted}; found {found}")
            frame = kept
    return frame


def raw_layer_tables(
    folder: Path, model: Model, tp: int, pp: int, max_tokens: int, max_batch: int
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Per-token operators by tokens, decode by (batch, kv), prefill by (chunk, kv); ms per layer, without gaps."""
    mlp_path, attention_path = find_file(folder, "mlp"), find_file(folder, "attention")
    if mlp_path is None or attention_path is None:
        raise InputError(f"profile {folder}: mlp.csv and attention.csv are both needed")
    longest = -(-max_tokens // 8) * 8
    tokens = np.arange(1.0, longest + 1)
    mlp = _rows(
        mlp_path,
        read_csv(mlp_path, ("num_tokens", *(_median(name) for name in ROUNDED_OPERATORS if name != "add"))),
        {"n_embd": model.hidden, "n_expanded_embd": model.ffn, "num_tensor_parallel_workers": tp},
    )
    columns = {
        name: curve(mlp["num_tokens"].to_numpy(), mlp[_median(name)].to_numpy(), tokens)
        for name in (*ROUNDED_OPERATORS, OPTIONAL_OPERATOR)
        if _median(name) in mlp
    }
    columns.setdefault("add", np.zeros(longest))
    attention = _rows(
        attention_path,
        read_csv(
            attention_path, ("batch_size", "prefill_chunk_size", "kv_cache_size", _median("attn_decode"))
        ),
        {
            "n_embd": model.hidden,
            "n_q_head": model.heads,
            "n_kv_head": model.kv_heads,
            "num_tensor_parallel_workers": tp,
        },
    )
    columns[KV_SAVE] = np.zeros(longest)
    if _median(KV_SAVE) in attention:
        written = attention[["prefill_chunk_size", "batch_size"]].max(axis=1).to_numpy()
        columns[KV_SAVE] = curve(written, attention[_median(KV_SAVE)].to_numpy(), tokens)
    for needed, stem, workers, devices in (
        (tp > 1, "all_reduce", tp, tp),
        (pp > 1, "send_recv", 2, 2 if tp * pp <= GPUS_PER_NODE else 1),
    ):
        if needed:
            columns[stem] = _collective(folder, stem, workers, devices, model, tokens)
    per_token = pd.DataFrame(columns, index=pd.RangeIndex(1, longest + 1))
    return per_token, _decode(attention, max_batch), _prefill(attention, longest)


def _collective(
    folder: Path, stem: str, workers: int, devices: int, model: Model, tokens: FloatArray
) -> FloatArray:
    """Time of a collective by tokens: a token is `hidden` values of 2 bytes."""
    path = find_file(folder, stem)
    if path is None:
        raise InputError(f"profile {folder}: {stem}.csv is missing")
    rows = _rows(
        path, read_csv(path, ("size", _median(stem))), {"num_workers": workers, "devices_per_node": devices}
    )
    return curve(rows["size"].to_numpy() / (2.0 * model.hidden), rows[_median(stem)].to_numpy(), tokens)


def _kv_grid() -> FloatArray:
    return np.arange(0.0, MAX_KV + 1, KV_STEP)


def _decode(attention: pd.DataFrame, max_batch: int) -> pd.DataFrame:
    rows = attention[attention["prefill_chunk_size"] == 0]
    kv, batches = _kv_grid(), np.arange(1.0, max_batch + 1)
    measured = {
        float(str(batch)): curve(
            part["kv_cache_size"].to_numpy(), part[_median("attn_decode")].to_numpy(), kv
        )
        for batch, part in rows.groupby("batch_size")
    }
    by_batch = np.array(list(measured.values()))
    sizes = np.array(list(measured))
    table = np.column_stack([curve(sizes, by_batch[:, k], batches) for k in range(len(kv))])
    return pd.DataFrame(table, index=batches.astype(int), columns=kv.astype(int))


def _prefill(attention: pd.DataFrame, longest: int) -> pd.DataFrame:
    rows = attention[attention["prefill_chunk_size"] > 0]
    kv, chunks = _kv_grid(), np.arange(1.0, longest + 1)
    measured = []
    sizes = []
    for chunk, part in rows.groupby("prefill_chunk_size"):
        size = float(str(chunk))
        known = part.groupby("kv_cache_size")[_median("attn_prefill")].median().dropna()
        if known.empty:
            continue
        end = float(known.index[-1])
        inside = np.interp(kv, known.index.to_numpy(dtype=np.float64), known.to_numpy())
        pairs = np.maximum(1.0, (kv + size / 2) / (end + size / 2))
        sizes.append(size)
        measured.append(inside * pairs)
    by_chunk = np.array(measured)
    table = np.column_stack([curve(np.array(sizes), by_chunk[:, k], chunks) for k in range(len(kv))])
    return pd.DataFrame(table, index=chunks.astype(int), columns=kv.astype(int))
