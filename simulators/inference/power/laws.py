"""Constructors of the power laws, and `law_for`: the law of a GPU as its data sheet has it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from simulators.errors import InputError
from simulators.inference.catalogue import Gpu, Model, Precision
from simulators.inference.power.kernel_class import kernel_class
from simulators.inference.power.law import CONSTANT, MFU, TABLE, UTILISATION, PowerLaw

_NONE = np.zeros(0)
BEND_SHARE = 0.03
"""Width of the bend below the limit, as a share of it: measured averages come within 1-4 % of the limit, not onto
it."""
SATURATION, EXPONENT = 0.45, 0.7
"""Of the published law, arXiv 2507.11417; the same for every GPU."""
COEFFICIENTS = ("busy", "memory", "compute", "waiting")


def mfu_law(
    idle_w: float, max_w: float, saturation: float = SATURATION, exponent: float = EXPONENT
) -> PowerLaw:
    """P = idle + (max - idle) * min(1, (MFU / saturation) ** exponent), arXiv 2507.11417."""
    return PowerLaw(MFU, idle_w, max_w, (saturation, exponent, 0.0, 0.0, 0.0), _NONE, _NONE)


def constant_law(idle_w: float, busy_w: float) -> PowerLaw:
    """`busy_w` while anything runs, `idle_w` otherwise."""
    return PowerLaw(CONSTANT, idle_w, max(idle_w, busy_w), (busy_w, 0.0, 0.0, 0.0, 0.0), _NONE, _NONE)


def utilisation_law(
    idle_w: float,
    limit_w: float,
    busy: float,
    memory: float = 0.0,
    compute: float = 0.0,
    waiting: float = 0.0,
) -> PowerLaw:
    """P = limit * (busy + memory MBU + compute sqrt(MFU) - waiting comm), bent below the limit.

    Parameters
    ----------
    idle_w
        While a model is loaded and nothing runs; the law never goes below it, W.
    limit_w
        Board power limit, W.
    busy, memory, compute, waiting
        Coefficients as shares of the limit, >= 0: whatever is running, memory traffic, arithmetic, and what a GPU that
        waits for others saves.

    Raises
    ------
    InputError
        If a coefficient is negative or no number, or the limit lies below idle.
    """
    shares = (busy, memory, compute, waiting)
    for name, share in zip(COEFFICIENTS, shares, strict=True):
        if not share >= 0 or math.isinf(share):
            raise InputError(f"utilisation law: {name} is {share}, expected a number >= 0")
    if not 0 <= idle_w < limit_w:
        raise InputError(
            f"power law: idle is {idle_w} W and the limit {limit_w} W, expected 0 <= idle < limit"
        )
    busy_w, memory_w, compute_w, waiting_w = (limit_w * share for share in shares)
    watts = (busy_w, memory_w, compute_w, waiting_w, limit_w * BEND_SHARE)
    return PowerLaw(UTILISATION, idle_w, limit_w, watts, _NONE, _NONE)


def table_law(path: str | Path, idle_w: float | None = None) -> PowerLaw:
    """A measured curve from a CSV file with the columns ``utilisation`` (0..1) and ``power_w``.

    It is read at the higher of MFU and MBU, in straight lines, and held constant beyond its ends. Without `idle_w` the
    power at the lowest utilisation is taken for idle.

    Raises
    ------
    InputError
        If the file cannot be read, a column is missing, or a row is out of range or order.
    """
    try:
        frame = pd.read_csv(path, comment="#")
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as CSV: {str(error).splitlines()[0]}") from None
    for column in ("utilisation", "power_w"):
        if column not in frame:
            raise InputError(f"{path}: column {column!r} is missing, expected utilisation,power_w")
        frame[column] = pd.to_numeric(frame[column], errors="coerce")
    if len(frame) < 2:
        raise InputError(f"{path}: {len(frame)} rows, expected at least 2")
    x, watts = frame["utilisation"].to_numpy(float), frame["power_w"].to_numpy(float)
    bad = ~((x >= 0) & (x <= 1) & (watts >= 0) & np.isfinite(watts))
    bad[1:] |= np.diff(x) <= 0
    if bad.any():
        row = int(np.argmax(bad))
        raise InputError(
            f"{path}: data row {row + 1}: utilisation {x[row]:g}, power_w {watts[row]:g}; expected "
            "utilisation rising within 0..1 and power >= 0"
        )
    idle = float(watts[0]) if idle_w is None else idle_w
    return PowerLaw(TABLE, idle, float(max(watts.max(), idle)), (0.0, 0.0, 0.0, 0.0, 0.0), x, watts)


def _table(gpu: Gpu, *names: str) -> dict[str, Any] | None:
    table: Any = gpu.power
    for name in names:
        table = table.get(name)
        if table is None:
            return None
    return dict(table)


def loaded_idle_w(gpu: Gpu) -> float:
    """Drawn with a model in memory and nothing running, W; from `[power.states.loaded_idle]`.

    Raises
    ------
    InputError
        If the data sheet has no such table.
    """
    state = _table(gpu, "states", "loaded_idle")
    if state is None:
        raise InputError(f"data/gpus/{gpu.name}.toml: [power.states.loaded_idle] is missing")
    return float(state["power_w"])


def law_for(
    gpu: Gpu, kind: str = "utilisation", model: Model | None = None, precision: Precision | None = None
) -> PowerLaw:
    """The power law of a GPU.

    Parameters
    ----------
    gpu
        Its data sheet.
    kind
        ``mfu`` (published), ``utilisation`` (calibrated), ``constant`` (the limit while busy) or ``table:FILE``.
    model, precision
        What runs, for ``utilisation``: routed experts and their number format draw differently (`kernel_class`).
        Default: a dense model in bf16. Precision defaults to the model's.

    Raises
    ------
    InputError
        If the kind is unknown or the data sheet has no parameters for it.
    """
    name, _, path = kind.partition(":")
    if name == "table":
        if not path:
            raise InputError("power law: table needs a file, as in table:FILE.csv")
        return table_law(path)
    if path or name not in ("mfu", "utilisation", "constant"):
        raise InputError(
            f"power law: {kind!r} is unknown, expected mfu, utilisation, constant or table:FILE.csv"
        )
    if name == "mfu":
        published = _table(gpu, "mfu")
        if published is None:
            raise InputError(f"data/gpus/{gpu.name}.toml: [power.mfu] with idle_w is missing")
        return mfu_law(float(published["idle_w"]), float(published.get("max_w", gpu.tdp_w)))
    idle_w = loaded_idle_w(gpu)
    if name == "constant":
        return constant_law(idle_w, gpu.tdp_w)
    chosen = precision or (model.precision if model else "bf16")
    group = kernel_class(model, chosen)
    fitted = _table(gpu, "utilisation", group)
    if fitted is None:
        raise InputError(
            f"data/gpus/{gpu.name}.toml: no [power.utilisation.{group}]: nobody has calibrated this GPU for {group} "
            "models; use the law mfu, or python -m simulators.inference.calibrate with your own measurements"
        )
    shares = {key: float(fitted.get(key, 0.0)) for key in COEFFICIENTS}
    # coefficients count MFU against the bf16 peak, the batch loop against the peak of the format in use
    shares["compute"] *= math.sqrt(gpu.peak(chosen) / gpu.peak("bf16"))
    return utilisation_law(idle_w, gpu.tdp_w, **shares)
