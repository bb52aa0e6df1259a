"""How many of the tokens that are drafted at once are accepted: from published measurements, or as a user says.

What serving frameworks report is the acceptance length: tokens gained by a verification, the model's own one included.
It grows with the depth by the probability that one more drafted token is accepted, so the lengths at depths 1 to k
give the probabilities P(accepted >= i) for i = 1..k as their differences, and one plus their sum is the length at
depth k again. Measured lengths scatter, and where drafts interfere they fall with the depth; a probability can neither
rise with i nor leave 0..1. So the differences are brought to the nearest such row (isotonic regression, least squares)
whose sum is still that of the depth in use: the mean is the measured one, exactly.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from simulators.errors import InputError, nearest
from simulators.files import check_file, once
from simulators.inference.batching.state import MOST_DRAFTED
from simulators.paths import DATA, shown
from simulators.profiles.tables import plain_csv
from simulators.quantities.factor import Factor

FOLDER = DATA / "speculative"
SUFFIXES = (".csv", ".yaml", ".yml")
MODES = ("thinking_on", "thinking_off")
MEASURED_ON = "SPEED-Bench, coding prompts only; other prompts are accepted less or more"
SOURCE = "SemiAnalysisAI/InferenceX 843c6254, golden_al_distribution"


@dataclass(frozen=True)
class Acceptance:
    """Probabilities of acceptance for one depth.

    Attributes
    ----------
    at_least
        `at_least[i]` is the probability that more than `i` of the drafted tokens are accepted; shape (depth,).
    source
        Whose they are.
    length
        Their acceptance length, with its range, tokens per verification.
    """

    at_least: tuple[float, ...]
    source: str
    length: Factor


def acceptance_names() -> list[str]:
    """The bundled measurements."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def acceptance_file(given: str) -> Path | None:
    """The file that an acceptance is read from; None for numbers and for what is unknown."""
    name, _ = _split(given)
    if name in acceptance_names():
        return FOLDER / f"{name}.yaml"
    path = Path(name)
    if _numbers(given) is None and (path.suffix in SUFFIXES or path.exists()):
        return path
    return None


def acceptance(given: str, depth: int) -> Acceptance:
    """What is accepted of `depth` drafted tokens.

    Parameters
    ----------
    given
        A bundled name or a file (`.csv` with the columns ``depth`` and ``acceptance_length``, `.yaml` as InferenceX has
        them), both with ``:thinking_off`` behind for the other mode; a number above 1: the acceptance length; one up to
        1: the probability of every drafted token if those before it are accepted; several, separated by commas: the
        shares of drafts in which at least 1, 2... tokens are accepted, as vLLM logs them per position.
    depth
        Tokens drafted at once, from 1 on.

    Raises
    ------
    InputError
        Unknown, unreadable, out of range, or not known at that depth.

    Examples
    --------
    >>> acceptance("0.5", 3).at_least
    (0.5, 0.25, 0.125)
    >>> measured = acceptance("qwen3.5_mtp", 3)
    >>> [round(p, 2) for p in measured.at_least], round(1 + sum(measured.at_least), 2)
    ([0.93, 0.8, 0.66], 3.39)
    """
    if not 1 <= depth <= MOST_DRAFTED:
        raise InputError(f"--speculate {depth}: expected 1 to {MOST_DRAFTED} drafted tokens")
    numbers = _numbers(given)
    if numbers is not None:
        at_least = _stated(given, numbers, depth)
        length = 1.0 + sum(at_least)
        return Acceptance(
            at_least, "stated", Factor(length, length, length, "tokens per verification", "the study's own")
        )
    path = acceptance_file(given)
    if path is None:
        known = ", ".join(acceptance_names())
        raise InputError(
            f"--acceptance {given}: unknown, expected a file, a number, numbers separated by commas or one of {known}"
            f"{nearest(given, acceptance_names())}"
        )
    mode = _split(given)[1] or MODES[0]
    lengths = _read(path, mode, depth)
    bundled = path.parent == FOLDER
    source = f"{shown(path)}, {mode}" + (f": {SOURCE}; {MEASURED_ON}" if bundled else "")
    value = lengths[depth - 1]
    others = _others(depth) if bundled else [value]
    factor = Factor(value, min(others), max(others), "tokens per verification", source)
    return Acceptance(from_lengths(lengths), source, factor)


def from_lengths(lengths: Sequence[float]) -> tuple[float, ...]:
    """Probabilities P(accepted >= i), i = 1..k, from the acceptance lengths at depths 1..k.

    Examples
    --------
    >>> [round(p, 2) for p in from_lengths([1.8, 2.4, 2.3])]
    [0.75, 0.55, 0.0]
    """
    from scipy.optimize import (
        brentq,
        isotonic_regression,
    )  # here and below: a run without drafts needs neither

    differences = np.diff(np.concatenate(([1.0], lengths)))
    falling = isotonic_regression(differences, increasing=False).x
    wanted = float(lengths[-1]) - 1.0

    def surplus(shift: float) -> float:
        return float(np.clip(falling - shift, 0.0, 1.0).sum()) - wanted

    bound = 1.0 + float(np.abs(falling).max())
    shift = 0.0 if surplus(0.0) == 0.0 else brentq(surplus, -bound, bound, xtol=1e-15)
    return tuple(np.clip(falling - shift, 0.0, 1.0).tolist())


def _split(given: str) -> tuple[str, str]:
    """The name and, if one is given, the mode."""
    name, _, mode = given.rpartition(":")
    return (name, mode) if mode in MODES and name else (given, "")


def _numbers(given: str) -> list[float] | None:
    """The numbers that are given; None if it is no list of numbers."""
    try:
        return [float(part) for part in given.split(",")]
    except ValueError:
        return None


def _stated(given: str, numbers: list[float], depth: int) -> tuple[float, ...]:
    if len(numbers) > 1:
        falling = all(a >= b for a, b in pairwise(numbers))
        if len(numbers) < depth or not falling or not all(0 <= p <= 1 for p in numbers):
            raise InputError(
                f"--acceptance {given}: expected {depth} shares of drafts from 0 to 1, not rising: in how many at "
                "least 1, 2... tokens are accepted"
            )
        return tuple(numbers[:depth])
    (number,) = numbers
    if not (math.isfinite(number) and 0 <= number <= 1 + depth):
        raise InputError(
            f"--acceptance {given}: expected a probability from 0 to 1 or an acceptance length up to {1 + depth} tokens"
        )
    each = number
    if number > 1:
        from scipy.optimize import brentq

        def surplus(p: float) -> float:
            return sum(p**i for i in range(1, depth + 1)) - (number - 1)

        each = 1.0 if number == 1 + depth else brentq(surplus, 0.0, 1.0, xtol=1e-15)
    return tuple(each**i for i in range(1, depth + 1))


def _read(path: Path, mode: str, depth: int) -> list[float]:
    """Acceptance lengths at depths 1 to `depth` from a file."""
    check_file(path)
    by_depth = _yaml(path, mode) if path.suffix in (".yaml", ".yml") else _csv(path)
    lengths: list[float] = []
    for at in range(1, depth + 1):
        value = by_depth.get(at)
        if value is None:
            known = ", ".join(str(d) for d in sorted(by_depth))
            raise InputError(
                f"{shown(path)}: no acceptance length at depth {at}, only at {known}; expected all up to {depth}"
            )
        if not 1 <= value <= 1 + at:
            raise InputError(
                f"{shown(path)}: depth {at}: acceptance length {value:g}, expected 1 to {1 + at} tokens"
            )
        lengths.append(value)
    return lengths


@lru_cache(maxsize=32)
def _tree(path: Path, changed: float) -> Any:
    """What a file holds that was last changed then, s."""
    import yaml

    class Loader(yaml.SafeLoader):
        """Refuses what YAML's own loader takes: a key that stands twice."""

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> Any:
            once((str(key.value), None) for key, _ in node.value)
            return super().construct_mapping(node, deep)

    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read as YAML: {str(error).splitlines()[0]}") from None


def _yaml(path: Path, mode: str) -> dict[int, float]:
    tree = _tree(path, path.stat().st_mtime)
    expected = "expected one model with thinking_on or thinking_off, and acceptance lengths by depth under it"
    if not isinstance(tree, dict) or len(tree) != 1:
        raise InputError(f"{path}: {expected}")
    modes = next(iter(tree.values()))
    rows = modes.get(mode) if isinstance(modes, dict) else None
    if not isinstance(rows, dict) or not rows:
        raise InputError(f"{shown(path)}: no {mode} in it, {expected}")
    for depth, value in rows.items():
        if type(depth) is not int or type(value) not in (int, float):
            raise InputError(
                f"{path}: {mode}: {depth}: {value}; expected a depth and its acceptance length, tokens"
            )
    return {depth: float(value) for depth, value in rows.items()}


def _csv(path: Path) -> dict[int, float]:
    frame = plain_csv(path, comment="#")
    for column in ("depth", "acceptance_length"):
        if column not in frame:
            raise InputError(f"{path}: column {column!r} is missing, expected depth,acceptance_length")
    found: dict[int, float] = {}
    for row, (depth, value) in enumerate(
        zip(frame["depth"], frame["acceptance_length"], strict=True), start=1
    ):
        try:
            at, length = int(depth), float(value)
        except (TypeError, ValueError, OverflowError):
            at, length = 0, math.nan
        if at < 1 or at != float(depth) or math.isnan(length) or at in found:
            raise InputError(
                f"{path}: data row {row}: {depth}, {value}; expected a depth from 1 on, each once, and its acceptance "
                "length, tokens"
            )
        found[at] = length
    if not found:
        raise InputError(f"{path}: no row, expected depth,acceptance_length")
    return found


@cache
def _others(depth: int) -> list[float]:
    """Acceptance lengths of all bundled measurements at a depth."""
    found = []
    for path in sorted(FOLDER.glob("*.yaml")):
        for mode in MODES:
            try:
                found.append(_read(path, mode, depth)[-1])
            except InputError:  # not measured so
                continue
    return found
