"""What operators have -> measurement rows: a power log and a benchmark's result give one row per run.

A pair is a power log (`power_log`) and a result of vllm bench serve (`bench_result`). A manifest names many, one a row:

Manifest
    power_log, bench (files, relative to the manifest); optional: gpus (those of the server, names of the log separated
    by spaces; default all), tp (GPUs per replica; default all of them), model (default the result's), precision
    (default the checkpoint's).

Readings that average over a second (`power.draw` on most boards) are unfolded first. A run is found in its log by its
date, or by the plateau if the clocks differ; rows say which. Rows are in the generic layout of `measurements`, per
replica, with what they were made of beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from simulators.errors import InputError
from simulators.inference.catalogue import Gpu, model
from simulators.inference.catalogue.precision import precision_named
from simulators.inference.power.alignment import Drawn, drawn, find_window
from simulators.inference.power.bench_result import BenchRun, read_bench
from simulators.inference.power.deconvolve import WINDOW_S
from simulators.inference.power.power_log import PowerLog, read_power_log
from simulators.profiles.tables import plain_csv

MANIFEST = ("power_log", "bench")
OPTIONAL = ("gpus", "tp", "model", "precision")
COLUMNS = (
    "gpu", "model", "precision", "tp", "batch", "context", "tokens_per_s", "power_w", "prefill_tokens_per_s",
    "replicas", "found_by", "steady", "begins", "seconds", "power_column", "power_log", "bench",
)  # fmt: skip
LONGEST_GAP_S, LONGEST_GAP_SHARE = 5.0, 0.1
"""Readings of a run may be so far apart: s, or as a share of it."""
SLACKER = 0.5
"""A GPU that draws less than this share of its neighbours' median is taken not to belong to the server."""


@dataclass(frozen=True)
class Pair:
    """A power log, the result of the benchmark that ran meanwhile, and what neither of them says."""

    power_log: Path
    bench: Path
    gpus: tuple[str, ...] = ()
    tp: int | None = None
    model: str | None = None
    precision: str | None = None


def read_manifest(path: Path) -> list[Pair]:
    """The pairs a manifest names.

    Raises
    ------
    InputError
        If it cannot be read, a column is missing or unknown, or a cell is empty or no number.
    """
    frame = plain_csv(path, dtype=str, keep_default_na=False, comment="#", skipinitialspace=True)
    frame.columns = frame.columns.str.strip()
    missing = [name for name in MANIFEST if name not in frame]
    unknown = [str(name) for name in frame.columns if name not in MANIFEST + OPTIONAL]
    if missing or unknown:
        what = f"column {missing[0]!r} is missing" if missing else f"column {unknown[0]!r} is unknown"
        raise InputError(f"{path}: {what}, expected {', '.join(MANIFEST)}; optional {', '.join(OPTIONAL)}")
    if frame.empty:
        raise InputError(f"{path}: no rows, expected one per pair of power log and result")
    pairs = []
    for number, row in enumerate(frame.to_dict("records"), start=1):
        cells = {str(name): str(value).strip() for name, value in row.items()}
        for name in MANIFEST:
            if not cells[name]:
                raise InputError(f"{path}: data row {number}, {name}: empty, expected a file")
        tp = cells.get("tp", "")
        if tp and not (tp.isdecimal() and int(tp) > 0):
            raise InputError(f"{path}: data row {number}, tp: {tp!r}, expected a whole number >= 1")
        pairs.append(
            Pair(
                path.parent / cells["power_log"],
                path.parent / cells["bench"],
                tuple(cells.get("gpus", "").replace(";", " ").split()),
                int(tp) if tp else None,
                cells.get("model") or None,
                cells.get("precision") or None,
            )
        )
    return pairs


def rows_of(pairs: list[Pair], sheet: Gpu) -> pd.DataFrame:
    """Measurement rows of all runs of all pairs, columns `COLUMNS`.

    Parameters
    ----------
    pairs
        What was logged and measured.
    sheet
        The GPU it ran on.

    Raises
    ------
    InputError
        If a file is bad, a run does not lie in its log, or the GPUs do not fit what is said of them.
    """
    rows: list[dict[str, Any]] = []
    logs: dict[Path, tuple[PowerLog, dict[str, Drawn]]] = {}
    for pair in pairs:
        if pair.power_log not in logs:
            log = read_power_log(pair.power_log)
            averages_s = averaging_s(log, sheet)
            logs[pair.power_log] = log, {name: drawn(one, averages_s) for name, one in log.gpus.items()}
        rows += [_row(pair, run, *logs[pair.power_log], sheet) for run in read_bench(pair.bench)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def averaging_s(log: PowerLog, sheet: Gpu) -> float:
    """What a reading of the log averages over on this GPU, s (`[power.sensor]` of its data sheet)."""
    if log.sensor == "instant":
        return 0.0
    if log.sensor == "average":
        return WINDOW_S
    return float(sheet.power.get("sensor", {}).get("averages_s", WINDOW_S))


def _row(pair: Pair, run: BenchRun, log: PowerLog, gpus: dict[str, Drawn], sheet: Gpu) -> dict[str, Any]:
    names = pair.gpus or tuple(gpus)
    for name in names:
        if name not in gpus:
            raise InputError(f"{log.path}: GPU {name!r} is not in the log, expected one of {', '.join(gpus)}")
    tp = pair.tp or len(names)
    if len(names) % tp:
        raise InputError(
            f"{log.path}: {len(names)} GPUs ({', '.join(names)}) for {pair.bench} with tp {tp}, expected a multiple; "
            "name the server's in the manifest's column gpus"
        )
    name, precision = _model(pair, run)
    window = find_window(log, [gpus[name] for name in names], run)
    begin = window.begins_s + run.served.begins_s
    for one in names:
        _check_gaps(log, one, begin, begin + run.served.lasts_s)
    watts = {one: gpus[one].mean_w(begin, begin + run.served.lasts_s) for one in names}
    _check(pair, run, log, watts, sheet)
    replicas = len(names) // tp
    served = run.served
    if served.batch / replicas < 1:
        raise InputError(
            f"{run.path}: run {run.number}: {served.batch / replicas:.2f} requests run at a time, expected at least 1: "
            "a server that idles in between says nothing of its work"
        )
    return {
        "gpu": sheet.name, "model": name, "precision": precision, "tp": tp,
        "batch": served.batch / replicas, "context": served.context,
        "tokens_per_s": served.tokens_per_s / replicas, "power_w": float(np.mean(list(watts.values()))),
        "prefill_tokens_per_s": served.prefill_tokens_per_s / replicas,
        "replicas": replicas, "found_by": window.found_by, "steady": served.steady, "begins": _told(log, begin),
        "seconds": served.lasts_s, "power_column": log.column, "power_log": str(log.path), "bench": str(run.path),
    }  # fmt: skip


def _model(pair: Pair, run: BenchRun) -> tuple[str, str | None]:
    """Name and precision of the model that was served, checked."""
    name = pair.model or run.model
    try:
        precision = precision_named(pair.precision) if pair.precision else None
        model(name)
    except InputError as error:
        raise InputError(
            f"{run.path}: run {run.number}: {error} (its model is named by model_id, else by --model or the manifest)"
        ) from None
    return name, precision


def _check_gaps(log: PowerLog, name: str, begin: float, end: float) -> None:
    """That no long stretch of a run is without readings."""
    at_s = log.gpus[name].at_s
    within = at_s[(at_s > begin) & (at_s < end)]
    longest_s = float(np.diff(np.concatenate([[begin], within, [end]])).max())
    allowed_s = max(LONGEST_GAP_S, LONGEST_GAP_SHARE * (end - begin))
    if longest_s > allowed_s:
        raise InputError(
            f"{log.path}: GPU {name} has no reading for {longest_s:.0f} s of a run of {end - begin:.0f} s, expected "
            f"one at least every {allowed_s:.0f} s"
        )


def _check(pair: Pair, run: BenchRun, log: PowerLog, watts: dict[str, float], sheet: Gpu) -> None:
    """That the GPUs are the server's, and of the kind they are said to be."""
    least, most = min(watts, key=watts.__getitem__), max(watts, key=watts.__getitem__)
    usual = float(np.median(list(watts.values())))
    if watts[least] < SLACKER * usual:
        raise InputError(
            f"{log.path}: GPU {least} draws {watts[least]:.0f} W during {pair.bench} and the others {usual:.0f} W, "
            "expected only the server's GPUs; name them in the manifest's column gpus"
        )
    if watts[most] > 1.05 * sheet.tdp_w:
        raise InputError(
            f"{log.path}: GPU {most} draws {watts[most]:.0f} W during {pair.bench}, above the {sheet.tdp_w:g} W limit "
            f"of {sheet.name}; expected a log of that GPU"
        )


def _told(log: PowerLog, at_s: float) -> str:
    """A time of the log as its clock tells it."""
    if log.clock == "none":
        return f"{at_s:.1f}"
    told = pd.Timestamp(at_s, unit="s").isoformat(timespec="milliseconds")
    return told + ("Z" if log.clock == "utc" else "")


def found(rows: pd.DataFrame) -> str:
    """How each run was found in its log, as text."""
    lines = [
        f"{row.bench}: {row.power_w:.0f} W per GPU over {row.seconds:.0f} s from {row.begins}"
        f"{' (steady part)' if row.steady else ''}, found by {row.found_by}; batch {row.batch:.1f}, "
        f"{row.tokens_per_s:.0f} tokens/s"
        for row in rows.itertuples()
    ]
    return "\n".join(lines)
