"""ServeGen's client files: measured rates, burstiness and token distributions of production clients.

A client is a pair of files (alibaba/ServeGen, data/<category>/<model>; Xiang et al., *ServeGen*,
arXiv:2505.09999): ``chunk-N-trace.csv`` has rows of t_s, rate in 1/s, cv, family, shape, scale, one for each
window of 10 min, without a header; ``chunk-N-dataset.json`` maps window starts (every 6 h) to the
distributions of input and output tokens, written as Python dicts in strings.

Requests are drawn from them. Within a window the gaps follow the measured family and shape around the
measured rate (the file's own scale, a fit, does not reproduce that rate); the process is stationary in each
window. Prompt and output are independent, as in the files. A window whose lengths are missing uses those of
the window before.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import simulators.traffic.traces.tables as tables
from simulators.errors import InputError
from simulators.quantities.requests import RequestBlock
from simulators.traffic.gaps import ExponentialGaps, GammaGaps, GapLaw, WeibullGaps
from simulators.traffic.measured import Empirical
from simulators.traffic.traces.formats import SERVEGEN_FILE

WINDOW_S = 600.0
MIN_SHAPE = 0.01


def clients(path: Path) -> list[Path]:
    """The client traces of a folder, by number, if their lengths are there too; or the one file itself.

    Raises
    ------
    InputError
        If there is none.
    """
    if not path.is_dir():
        return [path]
    found = [(int(match[1]), file) for file in path.iterdir() if (match := SERVEGEN_FILE.search(file.name))]
    with_lengths = [file for _, file in sorted(found) if dataset(file).exists()]
    if not with_lengths:
        raise InputError(f"{path}: no client files, expected chunk-N-trace.csv beside chunk-N-dataset.json")
    return with_lengths


def requests(path: Path, seed: np.random.SeedSequence) -> Iterator[RequestBlock]:
    """One client's requests, window by window; the client's number is the tenant."""
    match = SERVEGEN_FILE.search(path.name)
    if not match:
        raise InputError(f"{path}: a ServeGen client file is named chunk-N-trace.csv")
    tenant = int(match[1])
    windows = _windows(path)
    starts_s, laws = _length_laws(dataset(path))
    arrival_rng, length_rng = (np.random.default_rng(child) for child in seed.spawn(2))
    for start_s, rate_per_s, law in windows:
        times = start_s + _within(law, rate_per_s, arrival_rng)
        at = max(int(np.searchsorted(starts_s, start_s, side="right")) - 1, 0)
        prefill, decode = laws[at].draw(length_rng, len(times))
        block = RequestBlock.of(times, prefill, decode)
        block.tenant[:] = tenant
        yield block


def _within(law: GapLaw, rate_per_s: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Arrivals of a stationary process in one window, s after its start."""
    expected = rate_per_s * WINDOW_S
    pieces = [np.array([law.residual(rng)])]
    while (last := float(pieces[-1][-1])) < expected:
        n = int(expected - last) + 16
        pieces.append(last + np.cumsum(law.gaps(rng, n)))
    operational = np.concatenate(pieces)
    return operational[: np.searchsorted(operational, expected)] / rate_per_s


def dataset(path: Path) -> Path:
    """The file with the token distributions that belongs to a client's trace, compressed or not."""
    plain = path.with_name(path.name.removesuffix(".gz").replace("-trace.csv", "-dataset.json"))
    packed = plain.with_name(plain.name + ".gz")
    return packed if packed.exists() and not plain.exists() else plain


def _windows(path: Path) -> list[tuple[float, float, GapLaw]]:
    """Start (s), rate (1/s) and gap law of every window with requests."""
    import pandas as pd

    names = ["t_s", "rate", "cv", "family", "shape", "scale"]
    with tables.readable(path), tables.text(path) as source:
        table = pd.read_csv(source, header=None, names=names, index_col=False)
    windows: list[tuple[float, float, GapLaw]] = []
    for row, (t_s, rate, family, shape) in enumerate(
        zip(table["t_s"], table["rate"], table["family"], table["shape"], strict=True), start=1
    ):
        if not all(isinstance(value, float | int) and 0 <= value < np.inf for value in (t_s, rate)):
            raise InputError(f"{path}: row {row}: expected t_s,rate,cv,family,shape,scale with numbers >= 0")
        if rate > 0:
            windows.append((float(t_s), float(rate), _law(family, shape, path, row)))
    if not windows:
        raise InputError(f"{path}: the client sends no requests")
    for (before_s, *_), (start_s, *_) in pairwise(windows):
        if start_s - before_s < WINDOW_S:
            raise InputError(f"{path}: the window at {start_s:g} s overlaps the one at {before_s:g} s")
    return windows


def _law(family: object, shape: float, path: Path, row: int) -> GapLaw:
    if family == "Exponential":
        return ExponentialGaps()
    # a Weibull law of an even smaller shape has no mean that a float can hold
    if family not in ("Gamma", "Weibull") or not shape >= MIN_SHAPE:
        raise InputError(
            f"{path}: row {row}: {family} with shape {shape}; expected Gamma or Weibull, shape >= {MIN_SHAPE}"
        )
    return GammaGaps(float(shape)) if family == "Gamma" else WeibullGaps(float(shape))


def _length_laws(path: Path) -> tuple[NDArray[np.float64], list[Empirical]]:
    """Window starts (s) and length laws, from the dataset file."""
    with tables.readable(path), tables.text(path) as file:
        try:
            windows = json.load(file)
        except json.JSONDecodeError as error:
            raise InputError(f"{path}: not JSON: {error.msg} in line {error.lineno}") from error
        except RecursionError:
            raise InputError(f"{path}: nested too deeply, expected windows of distributions") from None
    found: list[tuple[float, Empirical]] = []
    try:
        for start, entry in windows.items():
            prompt, output = _distribution(entry["input_tokens"]), _distribution(entry["output_tokens"])
            if prompt and output:
                law = Empirical(list(prompt), list(prompt.values()), list(output), list(output.values()))
                found.append((float(start), law))
    except (
        AttributeError,
        KeyError,
        TypeError,
        ValueError,
        SyntaxError,
        OverflowError,
        RecursionError,
        MemoryError,
    ) as error:
        expected = '{"0": {"input_tokens": "{tokens: probability}", "output_tokens": ...}}'
        reason = error if isinstance(error, InputError) else f"expected {expected}"
        raise InputError(f"{path}: {reason}") from error
    if not found:
        raise InputError(f"{path}: no window has token distributions")
    found.sort(key=lambda window: window[0])
    return np.array([start for start, _ in found]), [law for _, law in found]


def _distribution(written: str) -> dict[float, float]:
    """A distribution written as a Python dict of numbers; literals only, nothing is executed."""
    return {float(tokens): float(share) for tokens, share in ast.literal_eval(written).items()}
