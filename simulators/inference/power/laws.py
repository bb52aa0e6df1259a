"""Constructors of the power laws, and `law_for`: the law of a GPU as its data sheet has it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from simulators.errors import InputError
from simulators.inference.catalogue import Gpu, Model, Precision
from simulators.inference.power.law import CONSTANT, ENERGY, MFU, SEQUENCE_J, TABLE, FloatArray, PowerLaw
from simulators.inference.power.prices import loaded_idle_w, prices
from simulators.inference.power.terms import Joules, amounts, joules
from simulators.inference.timing.engine import Framework
from simulators.inference.timing.sampling import Sampling
from simulators.profiles.tables import plain_csv

_NONE = np.zeros(0)
BEND_SHARE = 0.03
"""Width of the bend below the limit, as a share of it: measured averages come within 1-4 % of the limit, not onto
it."""
SATURATION, EXPONENT = 0.45, 0.7
"""Of the published law, arXiv 2507.11417; the same for every GPU."""


def make_law(
    kind: int,
    idle_w: float,
    limit_w: float,
    *parameters: float,
    curve: tuple[Any, Any] = (_NONE, _NONE),
) -> PowerLaw:
    """A law with what its kind does not use left empty."""
    first, second, third, fourth, fifth = (*parameters, 0.0, 0.0, 0.0, 0.0, 0.0)[:5]
    return PowerLaw(kind, idle_w, limit_w, (first, second, third, fourth, fifth), *curve)


def mfu_law(
    idle_w: float, max_w: float, saturation: float = SATURATION, exponent: float = EXPONENT
) -> PowerLaw:
    """P = idle + (max - idle) * min(1, (MFU / saturation) ** exponent), arXiv 2507.11417."""
    return make_law(MFU, idle_w, max_w, saturation, exponent)


def constant_law(idle_w: float, busy_w: float) -> PowerLaw:
    """`busy_w` while anything runs, `idle_w` otherwise."""
    return make_law(CONSTANT, idle_w, max(idle_w, busy_w), busy_w)


def energy_law(idle_w: float, limit_w: float, active_w: float, each: Joules) -> PowerLaw:
    """P = idle + active + energy of the work over the time, bent below the limit; see `without_waiting`.

    Parameters
    ----------
    idle_w
        While a model is loaded and nothing runs, or the GPU waits; the law never goes below it, W.
    limit_w
        Board power limit, W.
    active_w, each
        See `terms`.

    Raises
    ------
    InputError
        If the limit lies below idle.
    """
    if not 0 <= idle_w < limit_w:
        raise InputError(
            f"power law: idle is {idle_w} W and the limit {limit_w} W, expected 0 <= idle < limit"
        )
    return make_law(
        ENERGY, idle_w, limit_w, limit_w * BEND_SHARE, active_w, each.per_sequence, each.per_pair, each.per_cached,
        curve=(_NONE, each.per_tokens),
    )  # fmt: skip


def without_waiting(law: PowerLaw, comm_s: FloatArray, host_s: tuple[float, float]) -> PowerLaw:
    """An `ENERGY` law for a server whose GPUs wait, so that `active_w` counts only while kernels run; others as given.

    What `active_w` would draw in that time is taken off the energies once, here, and not in every iteration.

    Parameters
    ----------
    law
        Of the GPU.
    comm_s
        `comm_s[n]`: communication in an iteration of `n` tokens, s (`StageTables`).
    host_s
        Waiting for the host, per iteration and per sequence in it, s.
    """
    if law.kind != ENERGY:
        return law
    tokens = np.arange(len(law.curve))
    waits_s = np.interp(tokens, np.arange(len(comm_s)), comm_s) + host_s[0]
    curve = law.curve - law.active_w * waits_s
    curve[0] = 0.0
    parameters = list(law.parameters)
    parameters[SEQUENCE_J] -= law.active_w * host_s[1]
    first, second, third, fourth, fifth = parameters
    return law._replace(curve=curve, parameters=(first, second, third, fourth, fifth))


def table_law(path: str | Path, idle_w: float | None = None) -> PowerLaw:
    """A measured curve from a CSV file with the columns ``utilisation`` (0..1) and ``power_w``.

    It is read at the higher of MFU and MBU, in straight lines, and held constant beyond its ends. Without `idle_w` the
    power at the lowest utilisation is taken for idle.

    Raises
    ------
    InputError
        If the file cannot be read, a column is missing, or a row is out of range or order.
    """
    frame = plain_csv(Path(path), comment="#")
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
    return make_law(TABLE, idle, float(max(watts.max(), idle)), curve=(x, watts))


def _of_gpu(law: PowerLaw, gpu: Gpu, path: str) -> PowerLaw:
    """The law, unless its watts are none of one GPU: kilowatts, or those of a rack.

    Raises
    ------
    InputError
        If it draws at most less than a tenth of the board's limit, or more than ten times as much.
    """
    if not 0.1 * gpu.tdp_w <= law.limit_w <= 10.0 * gpu.tdp_w:
        raise InputError(
            f"{path}: power_w is at most {law.limit_w:g} W, expected W of one GPU ({gpu.name}: {gpu.tdp_w:g} W)"
        )
    return law


def _table(gpu: Gpu, *names: str) -> dict[str, Any] | None:
    table: Any = gpu.power
    for name in names:
        table = table.get(name)
        if table is None:
            return None
    return dict(table)


def law_for(
    gpu: Gpu,
    kind: str,
    model: Model,
    precision: Precision | None = None,
    *,
    tp: int = 1,
    pp: int = 1,
    kv_precision: Precision = "bf16",
    sampling: Sampling = "greedy",
    framework: Framework = "vllm",
    version: str | None = None,
    ranks: int = 1,
    context: int = 1,
    max_tokens: int = 8192,
) -> PowerLaw:
    """The power law of a GPU that serves a model.

    Parameters
    ----------
    gpu
        Its data sheet.
    kind
        ``auto``, ``physics`` or the name of another set of `prices`; ``mfu`` (published), ``constant`` (the limit while
        busy) or ``table:FILE``. See `default_prices` for what ``auto`` chooses.
    model, precision, tp, pp, kv_precision, sampling, framework, version, ranks, context
        What runs on it, and the server it runs in; precision defaults to the checkpoint's, no version is the newest.
    max_tokens
        Largest batch, tokens; larger ones are continued in a straight line.

    Raises
    ------
    InputError
        If the kind is unknown or the data sheet has no parameters for it.
    """
    name, _, path = kind.partition(":")
    if name == "table":
        if not path:
            raise InputError("power law: table needs a file, as in table:FILE.csv")
        return _of_gpu(table_law(path), gpu, path)
    if path:
        raise InputError(f"power law: {kind!r} is unknown, expected table:FILE.csv or a name without a colon")
    if name == "mfu":
        published = _table(gpu, "mfu")
        if published is None:
            raise InputError(f"{gpu.file}: [power.mfu] with idle_w is missing")
        return mfu_law(float(published["idle_w"]), float(published.get("max_w", gpu.tdp_w)))
    if name == "constant":
        return constant_law(loaded_idle_w(gpu), gpu.tdp_w)
    chosen = prices(gpu, kind)
    work = amounts(
        model, gpu, tp, pp, precision, kv_precision, sampling=sampling, framework=framework, version=version,
        ranks=ranks, context=context, max_tokens=max_tokens,
    )  # fmt: skip
    return energy_law(
        loaded_idle_w(gpu), gpu.tdp_w, chosen.coefficients.active, joules(chosen.coefficients, work)
    )
