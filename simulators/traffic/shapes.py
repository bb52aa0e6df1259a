"""Lengths and daily shapes from short specifications and files.

Lengths are written as

    fixed:PROMPT:OUTPUT                         tokens
    uniform:MIN:MAX:PREFILL_TO_DECODE           total tokens, split by the ratio
    zipf:MIN:MAX:THETA:PREFILL_TO_DECODE        total tokens, the shortest the most frequent
    lognormal:MEAN:CV:MEAN:CV                   prompt, then output; cv = standard deviation / mean
    cdf:FILE.json:PREFILL_TO_DECODE             total tokens from [[tokens, cumulative probability], ...]
    quantiles:FILE.json:NAME                    prompt and output from measured quantiles, see below
    trace:FILE                                  prompt and output of a recorded trace, row by row

A daily shape is a JSON file {"hourly_factor": [24 numbers], "lengths": ...}. The factors are relative to
their mean and start at local midnight. "lengths" is optional: a specification as above, or measured quantiles
{NAME: {"prefill_tokens": {"quantiles": [...]}, "decode_tokens": {"quantiles": [...]}}} at the levels
"quantile_percent", of which the first is used.
A CSV file with t_s, req_per_s is a rate profile: it starts with the run and ends it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulators.errors import InputError, nearest
from simulators.files import is_there, read_json
from simulators.paths import DATA
from simulators.spelling import plain_number
from simulators.traffic import lengths as laws
from simulators.traffic import measured
from simulators.traffic.traces import read_lengths, trace_files

TRAFFIC_FOLDER = DATA / "traffic"

_LAWS: dict[str, tuple[Callable[..., laws.Lengths], str]] = {
    "fixed": (laws.Fixed, "PROMPT:OUTPUT"),
    "uniform": (laws.Uniform, "MIN:MAX:PREFILL_TO_DECODE"),
    "zipf": (laws.Zipf, "MIN:MAX:THETA:PREFILL_TO_DECODE"),
    "lognormal": (laws.LogNormal, "MEAN_PROMPT:CV_PROMPT:MEAN_OUTPUT:CV_OUTPUT"),
}
MOST_FACTOR = 1e6
"""No hour of a day is so many times its mean."""

_WHOLE_NUMBERS = {"fixed": 2, "uniform": 2, "zipf": 2, "lognormal": 0}


def parse_lengths(spec: str) -> laws.Lengths:
    """A law of lengths from its specification.

    Raises
    ------
    InputError
        If it is none, or its file is.

    Examples
    --------
    >>> parse_lengths("fixed:512:128")
    Fixed(prefill_tokens=512, decode_tokens=128)
    >>> parse_lengths("fixed:512")
    Traceback (most recent call last):
        ...
    simulators.errors.InputError: lengths fixed:512: expected fixed:PROMPT:OUTPUT
    """
    name, _, rest = spec.partition(":")
    if name == "trace" and rest:
        return read_lengths(rest)
    if name == "cdf" and rest.count(":"):
        file, _, ratio = rest.rpartition(":")
        return _cdf(Path(file), _number(ratio, spec, "cdf:FILE.json:PREFILL_TO_DECODE"))
    if name == "quantiles" and rest.count(":"):
        file, _, which = rest.rpartition(":")
        path, document = _shape_file(file)
        return _measured(document, which, path)
    if name not in _LAWS:
        known = ", ".join(f"{law}:{form}" for law, (_, form) in _LAWS.items())
        raise InputError(
            f"lengths {spec}: expected one of {known}, cdf:FILE.json:RATIO, quantiles:FILE.json:NAME, trace:FILE"
        )
    law, form = _LAWS[name]
    parts = rest.split(":") if rest else []
    if len(parts) != form.count(":") + 1:
        raise InputError(f"lengths {spec}: expected {name}:{form}")
    values: list[float] = [_number(part, spec, f"{name}:{form}") for part in parts]
    for at in range(_WHOLE_NUMBERS[name]):
        if values[at] != int(values[at]):
            raise InputError(f"lengths {spec}: {parts[at]} must be a whole number of tokens")
        values[at] = int(values[at])
    return law(*values)


def lengths_files(spec: str) -> list[Path]:
    """The files that a specification of lengths names."""
    name, _, rest = spec.partition(":")
    if name == "trace":
        return trace_files(rest)
    if name == "cdf":
        return [Path(rest.rpartition(":")[0])]
    return [_shape_file(rest.rpartition(":")[0])[0]] if name == "quantiles" else []


def _number(text: str, spec: str, form: str) -> float:
    try:
        value = plain_number(text)
    except ValueError:
        value = np.nan
    if not np.isfinite(value):
        raise InputError(f"lengths {spec}: {text!r} is not a number; expected {form}")
    return value


def _json(path: Path) -> Any:
    return read_json(path)


def _all_numbers(values: Any) -> bool:
    """Whether a list, or lists in it, holds numbers alone: NumPy would take text and true for some."""
    if isinstance(values, list):
        return all(map(_all_numbers, values))
    return isinstance(values, int | float) and not isinstance(values, bool)


def _cdf(path: Path, prefill_to_decode: float) -> measured.TotalCdf:
    document = _json(path)
    pairs = document.get("cdf") if isinstance(document, dict) else document
    try:
        if not _all_numbers(pairs):
            raise ValueError("text among the numbers")
        table = np.asarray(pairs, dtype=np.float64)
        tokens, cumulative = table.T
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: expected [[tokens, cumulative probability], ...]") from error
    try:
        return measured.TotalCdf(tokens, cumulative, prefill_to_decode)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


@dataclass(frozen=True)
class DailyShape:
    """A day's relative rates from local midnight, shape (n,), and the lengths that go with it."""

    factors: NDArray[np.float64]
    lengths: laws.Lengths | None


def read_daily_shape(name: str | Path) -> DailyShape:
    """A daily shape from a JSON file, or by the name of one in ``data/traffic``.

    Raises
    ------
    InputError
        If there is no such file, or it has no factors.

    Examples
    --------
    >>> shape = read_daily_shape("diurnal_day")
    >>> len(shape.factors), int(shape.factors.argmax())
    (24, 20)
    """
    path, document = _shape_file(name)
    told = document.get("hourly_factor") if isinstance(document, dict) else None
    if not isinstance(told, list) or not _all_numbers(told):
        raise InputError(f'{path}: expected {{"hourly_factor": [24 numbers]}}')
    factors = np.asarray(told, dtype=np.float64)
    if factors.shape != (24,):
        raise InputError(
            f"{path}: hourly_factor has {len(told)} entries, expected 24, one for each hour of a day"
        )
    if not np.all((factors >= 0) & (factors <= MOST_FACTOR)) or not factors.any():
        raise InputError(
            f"{path}: hourly_factor must be numbers from 0 to {MOST_FACTOR:g}, not all of them 0"
        )
    known = ("hourly_factor", "lengths", "quantile_percent")
    for entry in document:
        if not entry.startswith(known) and (hint := nearest(entry, known)):
            raise InputError(f"{path}: unknown entry {entry[:40]!r}{hint}")
    lengths = document.get("lengths")
    if lengths is None:
        return DailyShape(factors, None)
    if isinstance(lengths, str):
        return DailyShape(factors, parse_lengths(lengths))
    return DailyShape(factors, _measured(document, None, path))


def shape_files(name: str | Path) -> list[Path]:
    """The files that a daily shape is read from: its own, and that of the lengths it names."""
    path, document = _shape_file(name)
    lengths = document.get("lengths")
    return [path, *(lengths_files(lengths) if isinstance(lengths, str) else [])]


def _shape_file(name: str | Path) -> tuple[Path, Any]:
    """Path and content of a JSON file, or of the one of that name in ``data/traffic``."""
    path = Path(name)
    if not path.suffix and not is_there(path):
        path = TRAFFIC_FOLDER / f"{name}.json"
        if not path.exists():
            known = ", ".join(sorted(file.stem for file in TRAFFIC_FOLDER.glob("*.json"))) or "none"
            hint = nearest(str(name), known.split(", "))
            raise InputError(
                f"daily shape {name}: unknown (known: {known}); or give a .json or .csv file{hint}"
            )
    document = _json(path)
    if not isinstance(document, dict):
        raise InputError(f'{path}: a list, expected {{"hourly_factor": [24 numbers]}} or lengths by name')
    return path, document


def _measured(document: Any, name: str | None, path: Path) -> measured.Quantiles:
    """Lengths from the quantiles called `name` in a daily shape; the first if no name is given."""
    named = document.get("lengths") if isinstance(document, dict) else None
    if not isinstance(named, dict) or not named:
        raise InputError(f"{path}: has no lengths with quantiles")
    name = next(iter(named)) if name is None else name
    if name not in named:
        raise InputError(f"{path}: has no lengths {name}, only {', '.join(named)}")
    try:
        prompt, output = (named[name][part]["quantiles"] for part in ("prefill_tokens", "decode_tokens"))
        return measured.Quantiles(document["quantile_percent"], prompt, output)
    except InputError as error:
        raise InputError(f"{path}: {name}: {error}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path}: lengths {name}: expected quantile_percent and quantiles of both parts"
        ) from error
