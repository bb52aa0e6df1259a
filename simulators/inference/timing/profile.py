"""Iteration time from a folder of profiles: Vidur's rules, table by table.

Two kinds of folder are read. *Tables* (`per_num_tokens.csv`, `attn_decode.csv`, `attn_prefill_matrix.csv`) hold ms per
layer for every key and are taken as they are. *Raw profiles* (`mlp.csv`, `attention.csv`, with `all_reduce.csv` and
`send_recv.csv` where several GPUs work together) are what Vidur's profiler writes; `raw_profile.py` interpolates them
onto the same keys. Files may be gzipped.

The rules (Agrawal et al., "Vidur", MLSys 2024): all per-token operators are read at the tokens rounded up to a
multiple of 8, but the KV-cache write, which is read at the tokens themselves; with tensor parallelism two all-reduces
per layer, each 20 us longer than measured (launch); a stage takes its layer's time times its layers.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from simulators.errors import InputError
from simulators.inference.catalogue import Gpu, Model, Precision, check_parallelism
from simulators.inference.catalogue.layout import ONE, Layout
from simulators.inference.timing.tables import LOOKUP, FloatArray, StageTables
from simulators.inference.timing.work import StageWork, stage_work
from simulators.profiles.tables import plain_csv

ROUND_TO = 8
ALL_REDUCE_LAUNCH_MS = 0.02
KV_STEP = 64
SHARED_ATTENTION = 1.1
"""Decode or prefill attention that several requests share takes 10 % longer with grouped heads."""
ROUNDED_OPERATORS = (
    "attn_pre_proj", "attn_post_proj", "attn_rope", "input_layernorm", "mlp_up_proj", "mlp_act", "mlp_down_proj", "add",
)  # fmt: skip
KV_SAVE = "attn_kv_cache_save"
OPTIONAL_OPERATOR = "post_attention_layernorm"
MS = 1e-3


def find_file(folder: Path, stem: str) -> Path | None:
    """`stem.csv` or `stem.csv.gz` in the folder, also if other words stand before the stem."""
    for pattern in (f"{stem}.csv", f"{stem}.csv.gz", f"*_{stem}.csv", f"*_{stem}.csv.gz"):
        found = sorted(folder.glob(pattern))
        if len(found) > 1:
            raise InputError(f"profile {folder}: several files fit {pattern}; keep one model per folder")
        if found:
            return found[0]
    return None


def read_csv(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    """Read a CSV file that has to have these columns."""
    frame = plain_csv(path, comment="#")
    missing = [column for column in columns if column not in frame]
    if missing:
        raise InputError(
            f"{path}: column {missing[0]!r} is missing; found {', '.join(map(str, frame.columns[:12]))}"
        )
    return frame


def profile_tables(
    folder: str | Path,
    model: Model,
    gpu: Gpu,
    layout: Layout = ONE,
    precision: Precision = "bf16",
    max_tokens: int = 4096,
    max_batch: int = 128,
    *,
    kv_precision: Precision = "bf16",
    imbalance: float | None = None,
    peak_flops: float | None = None,
    overhead_s: tuple[float, float] | None = None,
) -> StageTables:
    """Tables from a folder of profiles: in `LOOKUP` mode from Vidur's, else in `INTERPOLATE` mode.

    Parameters
    ----------
    folder
        Tables or raw profiles of this model on this GPU at the layout's `tp`.
    model, gpu, layout, precision, kv_precision
        What runs where; the profile supplies times only, work comes from the model's shape.
    max_tokens, max_batch
        Raw profiles are interpolated up to these; tables are as long as they are.
    peak_flops
        Denominator of MFU instead of the data sheet's, FLOP/s.
    imbalance, overhead_s
        Profiles by layers only: see `layer_tables.layer_stage_tables`.

    Raises
    ------
    InputError
        If files, columns or rows are missing or hold no finite, non-negative times.
    """
    from simulators.inference.timing.layer_profile import is_layer_profile, read_layer_profile
    from simulators.inference.timing.layer_tables import layer_stage_tables
    from simulators.inference.timing.raw_profile import raw_layer_tables

    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"profile: {folder} is no folder")
    tp, pp = layout.tp, layout.pp
    check_parallelism(model, tp, pp)
    if layout.ranks > 1 and not is_layer_profile(folder):
        raise InputError(f"--data-parallel {layout.ranks}: {folder} is no profile by layers, expected one")
    if find_file(folder, "per_num_tokens"):
        per_token, decode, prefill = _read_tables(folder)
    elif find_file(folder, "mlp"):
        per_token, decode, prefill = raw_layer_tables(folder, model, tp, pp, max_tokens, max_batch)
    elif is_layer_profile(folder):
        found = read_layer_profile(folder, model, gpu, tp)
        return layer_stage_tables(
            found, model, gpu, layout, precision, max_tokens, max_batch,
            kv_precision=kv_precision, imbalance=imbalance, overhead_s=overhead_s, peak_flops=peak_flops,
        )  # fmt: skip
    else:
        raise InputError(
            f"profile {folder}: expected per_num_tokens.csv, attn_decode.csv and attn_prefill_matrix.csv, "
            "or mlp.csv and attention.csv, or dense.csv, per_sequence.csv and attention.csv"
        )
    for name, frame in (("per token", per_token), ("decode", decode), ("prefill", prefill)):
        if not np.isfinite(frame.to_numpy()).all() or (frame.to_numpy() < 0).any():
            raise InputError(f"profile {folder}: the {name} times hold a gap or a negative number")
    work = stage_work(
        model, gpu, tp, pp, precision, len(per_token) // ROUND_TO * ROUND_TO, kv_precision, peak_flops
    )
    return _compile(folder, per_token, decode, prefill, model, layout, work)


def _read_tables(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Per-token operators by tokens; decode by (batch, kv); prefill by (chunk, kv); all in ms per layer."""
    paths = {
        stem: find_file(folder, stem) for stem in ("per_num_tokens", "attn_decode", "attn_prefill_matrix")
    }
    for stem, path in paths.items():
        if path is None:
            raise InputError(f"profile {folder}: {stem}.csv is missing")
    token_path, decode_path, prefill_path = (Path(str(path)) for path in paths.values())
    per_token = read_csv(token_path, ("num_tokens", KV_SAVE, *ROUNDED_OPERATORS)).set_index("num_tokens")
    keys = ("decode_batch_size", "avg_kv_cache_size_rounded_up", "ms")
    decode = read_csv(decode_path, keys).pivot_table(index=keys[0], columns=keys[1], values=keys[2])
    prefill = read_csv(prefill_path, ("chunk",)).set_index("chunk")
    try:
        prefill.columns = pd.Index([int(str(column).removeprefix("kv")) for column in prefill.columns])
    except ValueError:
        raise InputError(f"{prefill_path}: expected columns kv0, kv64, kv128...") from None
    return per_token, decode, prefill


def _contiguous(folder: Path, frame: pd.DataFrame, what: str) -> pd.DataFrame:
    """The rows 1, 2, 3... of a table; a missing one is an error."""
    rows = pd.RangeIndex(1, int(frame.index.max()) + 1)
    missing = rows.difference(pd.Index(frame.index))
    if len(missing):
        raise InputError(f"profile {folder}: {what} {missing[0]} is missing from the tables")
    return frame.loc[rows]


def _kv_step(folder: Path, frame: pd.DataFrame, what: str) -> int:
    columns = np.asarray(frame.columns, dtype=np.int64)
    step = int(columns[1] - columns[0]) if len(columns) > 1 else 0
    if step < 1 or columns[0] != 0 or (np.diff(columns) != step).any():
        raise InputError(
            f"profile {folder}: {what}: expected KV lengths 0, {KV_STEP}, {2 * KV_STEP}... without gaps"
        )
    return step


def _needs(folder: Path, table: pd.DataFrame, column: str, why: str) -> None:
    if column not in table:
        raise InputError(f"profile {folder}: {why} but there is no column {column} (or no {column}.csv)")


def _compile(
    folder: Path,
    per_token: pd.DataFrame,
    decode: pd.DataFrame,
    prefill: pd.DataFrame,
    model: Model,
    layout: Layout,
    work: StageWork,
) -> StageTables:
    tp, pp = layout.tp, layout.pp
    per_token = _contiguous(folder, per_token, "num_tokens")
    decode = _contiguous(folder, decode, "decode_batch_size")
    prefill = _contiguous(folder, prefill, "chunk")
    step = _kv_step(folder, decode, "attn_decode")
    if _kv_step(folder, prefill, "attn_prefill_matrix") != step:
        raise InputError(f"profile {folder}: decode and prefill tables round contexts differently")
    layers = model.num_layers // pp
    longest = len(per_token) // ROUND_TO * ROUND_TO
    tokens = np.arange(1, longest + 1)
    rounded = (tokens + ROUND_TO - 1) // ROUND_TO * ROUND_TO

    def at(column: str, keys: FloatArray | np.ndarray) -> FloatArray:
        return np.asarray(per_token[column].to_numpy(dtype=np.float64)[keys - 1])

    layer_ms = at(KV_SAVE, tokens) + sum(at(name, rounded) for name in ROUNDED_OPERATORS)
    if OPTIONAL_OPERATOR in per_token:
        layer_ms = layer_ms + at(OPTIONAL_OPERATOR, rounded)
    comm_ms, send_ms = np.zeros(longest), np.zeros(longest)
    if tp > 1:
        _needs(folder, per_token, "all_reduce", f"tp is {tp}")
        comm_ms = 2.0 * (at("all_reduce", rounded) + ALL_REDUCE_LAUNCH_MS)
    if pp > 1:
        _needs(folder, per_token, "send_recv", f"pp is {pp}")
        send_ms = at("send_recv", rounded)

    def from_zero(values: FloatArray) -> FloatArray:
        return np.concatenate(([0.0], values))

    def grid(frame: pd.DataFrame) -> FloatArray:
        values = frame.to_numpy(dtype=np.float64) * layers * MS
        return np.vstack((np.zeros(values.shape[1]), values))

    return StageTables(
        mode=LOOKUP,
        token_s=from_zero((layer_ms + comm_ms) * layers * MS),
        sequence_s=np.zeros(len(decode) + 1),
        send_s=from_zero(send_ms * MS),
        comm_s=from_zero(comm_ms * layers * MS),
        decode_s=grid(decode),
        decode_kv=np.asarray(decode.columns, dtype=np.float64),
        prefill_s=grid(prefill),
        prefill_chunk=np.arange(len(prefill) + 1, dtype=np.float64),
        prefill_kv=np.asarray(prefill.columns, dtype=np.float64),
        prefill_floor_s=0.0,
        kv_step=step,
        shared_factor=SHARED_ATTENTION if model.grouped else 1.0,
        **vars(work),
    )
