"""Results of `vllm bench serve --save-result` (and `--append-result`): what a server did in a run.

Read are model_id, date, duration, completed, total_input_tokens, total_output_tokens and mean_tpot_ms; with
--save-detailed also input_lens, output_lens, start_times, ttfts and itls, from which the steady part of the run is
taken, without the filling of the batch and its draining. Rates follow from these; further fields are ignored.
"""

from __future__ import annotations

import datetime
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulators.errors import InputError
from simulators.files import once, read_text

FloatArray = NDArray[np.float64]

DETAILS = ("input_lens", "output_lens", "start_times", "ttfts", "itls")
FULL_SHARE = 0.8
"""The steady part is the longest stretch in which at least this share of the highest number of requests decodes."""
SHORTEST_STEADY_S = 10.0
SHORTEST_STEADY_SHARE = 0.25
"""A shorter stretch says less than the whole run."""


@dataclass(frozen=True)
class Served:
    """What was served in a stretch of a run.

    Attributes
    ----------
    begins_s, lasts_s
        Where it lies in the run, s from its start.
    batch
        Requests that decode, mean.
    context
        Tokens a decoding request has behind it, mean over output tokens.
    tokens_per_s, prefill_tokens_per_s
        Output and prompt tokens, 1/s.
    steady
        Whether it is the steady part of a run.
    """

    begins_s: float
    lasts_s: float
    batch: float
    context: float
    tokens_per_s: float
    prefill_tokens_per_s: float
    steady: bool = False


@dataclass(frozen=True)
class BenchRun:
    """One run of the benchmark.

    Attributes
    ----------
    path, number
        The file, and which run of it, from 1.
    model
        What was served, as the server calls it; empty where the result does not say.
    written_s
        When the result was written, after the run's end: s since 1970 on the client's wall clock, whole seconds; None
        where the result does not say.
    duration_s
        Of the run, s.
    served
        What is taken from it.
    """

    path: Path
    number: int
    model: str
    written_s: float | None
    duration_s: float
    served: Served


def read_bench(path: Path) -> list[BenchRun]:
    """The runs of a result file: one, or several appended to each other.

    Raises
    ------
    InputError
        If the file cannot be read, is no JSON, or a field is missing or no number in range.
    """
    text = read_text(path, expected="a result of vllm bench serve", most_bytes=1 << 29)
    decoder, at = json.JSONDecoder(object_pairs_hook=once), 0
    runs: list[BenchRun] = []
    while at < len(text.rstrip()):
        at += len(text[at:]) - len(text[at:].lstrip())
        try:
            fields, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path}: no JSON, expected a result of vllm bench serve: {error}") from None
        if not isinstance(fields, dict):
            raise InputError(f"{path}: {type(fields).__name__}, expected a JSON object of vllm bench serve")
        runs.append(_run(path, len(runs) + 1, fields))
    if not runs:
        raise InputError(f"{path}: empty, expected a result of vllm bench serve")
    return runs


def _run(path: Path, number: int, fields: dict[str, Any]) -> BenchRun:
    where = f"{path}: run {number}"
    duration_s, completed, prompt, output, tpot_ms = (
        _positive(where, fields, name)
        for name in ("duration", "completed", "total_input_tokens", "total_output_tokens", "mean_tpot_ms")
    )
    model = fields.get("model_id")
    whole = Served(
        begins_s=0.0,
        lasts_s=duration_s,
        batch=output / duration_s * tpot_ms / 1e3,
        context=prompt / completed + output / completed / 2,
        tokens_per_s=output / duration_s,
        prefill_tokens_per_s=prompt / duration_s,
    )
    detailed = all(fields.get(name) for name in DETAILS)
    steady = _steady(where, fields, duration_s) if detailed else None
    return BenchRun(
        path, number, str(model or ""), _written_s(where, fields.get("date")), duration_s, steady or whole
    )


def _positive(where: str, fields: dict[str, Any], name: str) -> float:
    value = fields.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < np.inf:
        raise InputError(f"{where}: {name}: {value!r}, expected a number > 0")
    return float(value)


def _written_s(where: str, date: Any) -> float | None:
    if date is None:
        return None
    for form in ("%Y%m%d-%H%M%S", "%Y-%m-%d %H:%M:%S"):
        try:
            stamp = datetime.datetime.strptime(str(date), form)  # the client's wall clock, zone unnamed
            return stamp.replace(tzinfo=datetime.UTC).timestamp()
        except ValueError:
            continue
    raise InputError(f"{where}: date: {date!r}, expected a time like 20261124-100000")


def _steady(where: str, fields: dict[str, Any], duration_s: float) -> Served | None:
    """The stretch with the batch full, if it is long enough to say something."""
    lengths = {name: len(fields[name]) for name in DETAILS}
    if len(set(lengths.values())) > 1:
        raise InputError(f"{where}: {lengths}, expected lists of one length, an entry per request")
    try:
        prompt, starts, ttfts = (
            np.array(fields[name], float) for name in ("input_lens", "start_times", "ttfts")
        )
        gaps = [np.array(entry, float) for entry in fields["itls"]]
        output = np.array(fields["output_lens"], float)
    except (TypeError, ValueError):
        raise InputError(f"{where}: {', '.join(DETAILS)}: expected lists of numbers") from None
    firsts = starts - starts.min() + ttfts
    lasts = firsts + np.array([entry.sum() for entry in gaps])
    served = (output > 1) & (lasts > firsts)
    if not served.any():
        return None
    begins_s, ends_s = _fullest(firsts[served], lasts[served])
    lasts_s = ends_s - begins_s
    if lasts_s < max(SHORTEST_STEADY_S, SHORTEST_STEADY_SHARE * duration_s):
        return None
    shares = np.clip(np.minimum(lasts, ends_s) - np.maximum(firsts, begins_s), 0, None)
    spans = np.where(served, lasts - firsts, 1.0)
    tokens = np.where(served, output, 0) * shares / spans
    middle = (np.clip(begins_s, firsts, lasts) + np.clip(ends_s, firsts, lasts)) / 2
    behind = prompt + output * np.where(served, (middle - firsts) / spans, 0)
    prefilled = prompt[(firsts >= begins_s) & (firsts < ends_s)].sum()
    return Served(
        begins_s=float(begins_s),
        lasts_s=float(lasts_s),
        batch=float(shares[served].sum() / lasts_s),
        context=float((tokens * behind).sum() / tokens.sum()),
        tokens_per_s=float(tokens.sum() / lasts_s),
        prefill_tokens_per_s=float(prefilled / lasts_s),
        steady=True,
    )


def _fullest(firsts: FloatArray, lasts: FloatArray) -> tuple[float, float]:
    """The longest stretch, s, in which at least `FULL_SHARE` of the highest number of requests decodes."""
    at = np.concatenate([firsts, lasts])
    order = np.argsort(at, kind="stable")
    at, running = at[order], np.cumsum(np.repeat([1, -1], len(firsts))[order])
    full = running[:-1] >= FULL_SHARE * running.max()
    edges = np.flatnonzero(np.diff(np.concatenate([[False], full, [False]]).astype(int)))
    stretches = [(at[begin], at[end]) for begin, end in edges.reshape(-1, 2)]
    return max(stretches, key=lambda stretch: float(stretch[1] - stretch[0]))
