"""What a sweep has got so far: a line on disk for every study that is done, and the table of them all."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from scenarios.result import Result

ROWS = "rows.jsonl"

LEFT_OUT = frozenset(
    {"assumptions", "uncertainty", "own_supply", "embodied", "plants", "reasons", "groups", "slo"}
)
"""Parts of a summary that say what figures rest on."""

SATURATION = "inference.saturation.label"
"""The one figure that is a word."""

FIRST = {
    "energy_mwh.facility": "facility MWh", "energy_mwh.grid_import": "import MWh", "carbon_kg.settled": "kgCO2eq",
    "cost.total": "cost", "inference.requests_completed": "completed", SATURATION: "saturation",
    "inference.ttft_s.p99": "TTFT p99 s", "inference.tpot_s.p99": "TPOT p99 s",
    "inference.prefix_cache.block_hit_ratio": "blocks hit", "renewable.matched_ratio": "matched",
}  # fmt: skip
"""Columns that stand before the others, and what the terminal calls them."""


def row_of(result: Result) -> dict[str, Any]:
    """Every number of a result by its path in ``summary.json``, and its saturation; what it does not have is None.

    `carbon_kg.settled` is the operational carbon with the battery brought back to its charge at the start.
    """
    numbers: dict[str, Any] = dict(_numbers(result.to_json()))
    numbers["carbon_kg.settled"] = result.figures.carbon_kg.settled
    served = result.figures.inference
    numbers[SATURATION] = served.saturation.label if served and served.saturation else None
    first = {name: numbers[name] for name in FIRST if name in numbers}
    return first | numbers


def _numbers(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            if name not in LEFT_OUT:
                yield from _numbers(item, f"{path}.{name}" if path else str(name))
    elif value is None or isinstance(value, int | float):
        yield path, value


class Kept:
    """Rows of studies that are done, by the hash of the study, in a file beside the results until they are whole.

    A line is on disk before the next study is counted as done: whatever ends the sweep, the next one goes on.

    Parameters
    ----------
    out
        Folder of the results; an earlier sweep's rows in it count too.
    fresh
        Whether nothing of earlier sweeps counts.
    """

    def __init__(self, out: Path, fresh: bool = False) -> None:
        out = Path(os.path.abspath(out))
        self.path = out.with_name(f"{out.name}.{ROWS}")
        self.rows: dict[str, dict[str, Any]] = {}
        if fresh:
            self.path.unlink(missing_ok=True)
        else:
            for file in (out / ROWS, self.path):
                self.rows |= _read(file)

    def add(self, digest: str, row: dict[str, Any]) -> None:
        """Keep a row."""
        self.rows[digest] = row
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps([digest, row]) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def write(self, path: Path, digests: Sequence[str]) -> None:
        """Write the rows of these studies into a file of the results."""
        lines = (json.dumps([digest, self.rows[digest]]) for digest in digests if digest in self.rows)
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    def clear(self) -> None:
        """Remove the file beside the results: they hold all of it."""
        self.path.unlink(missing_ok=True)


def _read(file: Path) -> dict[str, dict[str, Any]]:
    """Rows of a file; a line that was cut off when a machine went down counts as not there."""
    rows = {}
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    for line in lines:
        try:
            digest, row = json.loads(line)
        except ValueError:
            continue
        if isinstance(digest, str) and isinstance(row, dict):
            rows[digest] = row
    return rows


def table(
    changes: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any] | None], errors: Mapping[int, str]
) -> pd.DataFrame:
    """A row for each study in order: its number, what varies, why it failed (empty if it did not), its figures."""
    names = list(dict.fromkeys(name for entry in changes for name in entry))
    varied = {name: _column([entry.get(name) for entry in changes]) for name in names}
    figures = pd.DataFrame([row or {} for row in rows], index=range(len(rows)))
    columns = [str(name) for name in figures if not figures[name].isna().all()]
    head = pd.DataFrame(
        {"study": range(1, len(rows) + 1), **varied, "error": [errors.get(k, "") for k in range(len(rows))]}
    )
    numbers = {name: float for name in columns if name != SATURATION}
    return pd.concat([head, figures[columns].astype(numbers)], axis=1)


def _column(values: Sequence[Any]) -> list[Any]:
    """Values of an option: numbers if all are such, else text."""
    try:
        return [None if value is None else float(value) for value in values]
    except (TypeError, ValueError):
        return [
            None if value is None else value if isinstance(value, str) else json.dumps(value)
            for value in values
        ]
