"""Reading a profile by layers: what LLMServingSim's profiler measures of vLLM, one CSV file per kind of layer.

    attention.csv     prefill_chunk, kv_prefill, n_decode, kv_decode, time_us
    dense.csv         layer, tokens, time_us
    per_sequence.csv  layer, sequences, time_us
    moe.csv           tokens, activated_experts, time_us        (mixtures of experts only)
    meta.yaml         what was profiled

The files lie in a sub-folder ``tpN`` for every degree of tensor parallelism, or in the folder itself; their names may
be prefixed (``profile_dense.csv``) and gzipped. One call of one layer each, measured on a model of one layer. Later
versions add a column ``layer`` and ``decode_q_len`` to attention.csv and ``ep`` to moe.csv.

A row that cannot be used is an error that names file, row and column.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from simulators.errors import InputError
from simulators.files import read_text
from simulators.inference.catalogue import Gpu, Model, gpu, model
from simulators.inference.timing.profile import find_file, read_csv

DENSE = ("dense", ("layer",), ("tokens",))
PER_SEQUENCE = ("per_sequence", ("layer",), ("sequences",))
ATTENTION = ("attention", (), ("prefill_chunk", "kv_prefill", "n_decode", "kv_decode"))
MOE = ("moe", (), ("tokens", "activated_experts"))
FIXED = {"decode_q_len": 1, "ep": 1}
"""Columns of later versions, and the rows of them that are read: no speculation; experts of one GPU."""
TIME = "time_us"


class LayerProfile(NamedTuple):
    """A checked profile; times in us for one call of one layer.

    Attributes
    ----------
    folder, tp
        Where it lies and for how many tensor-parallel GPUs.
    dense, per_sequence, attention, moe
        The files, with their numbers as float64; `moe` is None where the model has no experts.
    """

    folder: Path
    tp: int
    dense: pd.DataFrame
    per_sequence: pd.DataFrame
    attention: pd.DataFrame
    moe: pd.DataFrame | None


def is_layer_profile(folder: Path) -> bool:
    """Whether a folder is laid out as such a profile, complete or not."""
    return any(
        find_file(part, stem) is not None
        for part in (folder, *_parts(folder).values())
        for stem in (DENSE[0], PER_SEQUENCE[0])
    )


def _parts(folder: Path) -> dict[int, Path]:
    """Sub-folders tp1, tp2... by their degree."""
    found = {path: re.fullmatch(r"tp(\d+)", path.name) for path in folder.glob("tp*") if path.is_dir()}
    return {int(match[1]): path for path, match in found.items() if match}


def read_layer_profile(folder: Path, shape: Model, sheet: Gpu, tp: int) -> LayerProfile:
    """The profile of a model on a GPU at a degree of tensor parallelism.

    Raises
    ------
    InputError
        If a file, column or row is missing or wrong, or it was measured for something else.
    """
    parts = _parts(folder)
    _check_meta(folder, shape, sheet)
    if parts:
        if tp not in parts:
            known = ", ".join(f"tp{degree}" for degree in sorted(parts))
            raise InputError(f"profile {folder}: tp {tp} was not profiled, found {known}")
        part = parts[tp]
    else:
        part, measured = folder, _flat_degree(folder)
        if tp != measured:
            raise InputError(
                f"profile {folder}: measured with tp {measured}, not {tp}; expected a sub-folder tp{tp}"
            )
    moe = None
    if shape.moe_layers:
        # experts are profiled on one GPU; others hold whole ones of the same size (expert parallelism)
        home = part if find_file(part, MOE[0]) or 1 not in parts else parts[1]
        moe = _table(home, *MOE)
    return LayerProfile(
        part, tp, _table(part, *DENSE), _table(part, *PER_SEQUENCE), _table(part, *ATTENTION), moe
    )


def _flat_degree(folder: Path) -> int:
    """For how many tensor-parallel GPUs files without a sub-folder are: by the folder's name, or the meta file's.

    Every profile has one GPU; where the meta file lists more degrees, files without a sub-folder are those of one.
    """
    named = re.fullmatch(r"tp(\d+)", folder.resolve().name)
    if named:
        return int(named[1])
    degrees = re.findall(r"\d+", _meta(folder).get("tp_degrees", ""))
    return int(degrees[0]) if len(degrees) == 1 else 1


def _meta(folder: Path) -> dict[str, str]:
    """Top-level ``key: value`` lines of the meta file beside the tables or one folder up; empty without one."""
    for place in (folder, folder.parent):
        for name in ("meta.yaml", "profile_meta.yaml"):
            path = place / name
            if path.is_file():
                lines = read_text(path).splitlines()
                pairs = (line.partition(":") for line in lines if re.match(r"\w+:", line))
                return {key: value.strip().strip("'\"") for key, _, value in pairs}
    return {}


def _check_meta(folder: Path, shape: Model, sheet: Gpu) -> None:
    """A profile of a known model or GPU is only taken for that shape, that GPU."""
    meta = _meta(folder)
    if name := meta.get("model"):
        try:
            profiled = model(name)
        except InputError:
            profiled = shape  # not in the catalogue: nothing to compare with
        for field in ("num_layers", "hidden", "heads", "kv_heads", "ffn", "vocab", "num_experts", "moe_ffn"):
            if getattr(profiled, field) != getattr(shape, field):
                raise InputError(
                    f"profile {folder}: measured with {name} ({field} {getattr(profiled, field)}), "
                    f"not {shape.name} ({getattr(shape, field)})"
                )
    if name := meta.get("gpu"):
        try:
            measured = gpu(name)
        except InputError:
            return
        if measured.name != sheet.name:
            raise InputError(f"profile {folder}: measured on {name}, not on {sheet.title}")


def _table(folder: Path, stem: str, names: tuple[str, ...], keys: tuple[str, ...]) -> pd.DataFrame:
    """One file: keys are whole numbers from 0, times finite and not negative, no key twice."""
    path = find_file(folder, stem)
    if path is None:
        raise InputError(f"profile {folder}: {stem}.csv is missing")
    frame = read_csv(path, (*names, *keys, TIME))
    if frame.empty:
        raise InputError(f"{path}: holds no row")
    numbers = [*keys, *(column for column in FIXED if column in frame), TIME]
    for column in numbers:
        values = pd.to_numeric(frame[column], errors="coerce").to_numpy(dtype=np.float64)
        wrong = ~np.isfinite(values) | (values < 0)
        if column != TIME:
            wrong |= values != np.floor(values)
        if wrong.any():
            row = int(np.argmax(wrong))
            expected = "a time in us, 0 or more" if column == TIME else "a whole number, 0 or more"
            raise InputError(
                f"{path}: row {row + 2}, column {column}: {frame[column].iloc[row]!r} given, expected {expected}"
            )
        frame[column] = values
    for column, kept in FIXED.items():
        if column in frame:
            frame = frame[frame[column] == kept]
    if not names and "layer" in frame:
        frame = _one_layer(path, frame, stem)
    key = [*names, *keys]
    again = frame.duplicated(key)
    if again.any():
        row = frame.index[again.to_numpy()][0]
        shown = ", ".join(f"{column} {frame.loc[row, column]:g}" for column in keys)
        raise InputError(f"{path}: row {row + 2}, column {keys[0]}: {shown} stands there twice")
    return frame.reset_index(drop=True)


def _one_layer(path: Path, frame: pd.DataFrame, stem: str) -> pd.DataFrame:
    """The rows of a table that may hold several kernels; only full attention is understood."""
    other = frame["layer"] != stem
    if other.any():
        row = int(frame.index[other.to_numpy()][0])
        raise InputError(
            f"{path}: row {row + 2}, column layer: {frame.loc[row, 'layer']!r} given, expected {stem}: "
            "sparse and linear attention are not covered"
        )
    return frame
