"""From the rows of a trace to checked requests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

import simulators.traffic.traces.tables as tables
from simulators.errors import InputError
from simulators.quantities.requests import RequestBlock, ragged
from simulators.traffic.lengths import MAX_TOKENS
from simulators.traffic.traces.formats import Layout, find

if TYPE_CHECKING:
    import pandas as pd

SINCE_1970_S = 1e9
"""Thirty years: no trace begins so late, all that count from 1970 do."""
MOST_HASH = 2**48
"""Hashes stay below, so that every block of one can have a number of its own."""


def requests(
    path: Path, layout: Layout, *, tenant: int = 0, hash_tokens: int | None = None
) -> Iterator[RequestBlock]:
    """The trace's requests, block by block, as they are in the file.

    Where hashes are given and `hash_tokens` too, each row must have one for every so many tokens of its prompt, and may
    have more for its output.

    Raises
    ------
    InputError
        A column is missing, a value is no number, negative or not whole where tokens are counted, the
        arrivals are not in order, or there is no request at all.
    """
    names = tables.columns(path)
    why = " (the file has lengths but no arrival times)"
    wanted = [find(names, layout.prefill, str(path)), find(names, layout.decode, str(path))]
    wanted.insert(0, find(names, layout.arrival, str(path), why=why))
    tenant_name = next((name for name in layout.tenant if name in names), None)
    deadline_name = next((name for name in layout.deadline if name in names), None)
    hashes_name = next((name for name in layout.hashes if name in names), None)
    if hashes_name is None and hash_tokens is not None and tables.kind(path) not in ("csv", "parquet"):
        hashes_name = next(iter(layout.hashes), None)  # of JSON lines the first alone may lack it
    optional = [name for name in (tenant_name, deadline_name, hashes_name) if name]
    row, last_s, origin, seen = 0, -np.inf, None, False
    for frame in tables.frames(path, wanted + optional):
        arrival, prompt, output = (frame[name] for name in wanted)
        if layout.unit_s is None:
            stamps = _calendar(arrival, path, row)
            origin = stamps[0] if origin is None else origin
            arrived_s = (stamps - origin) / np.timedelta64(1, "s")
        else:
            arrived_s = _numbers(arrival, path, row) * layout.unit_s
        if float(arrived_s[0]) >= SINCE_1970_S:
            raise InputError(
                f"{path}: {tables.row_name(path, row)}: arrives after {arrived_s[0]:.0f} s, which counts from 1970; "
                "expected seconds from the start of the trace"
            )
        _check_order(arrived_s, last_s, path, row)
        last_s = float(arrived_s[-1])
        prefill, decode, kept = _lengths(prompt, output, layout, path, row)
        block = RequestBlock.of(arrived_s, prefill, decode)
        block.tenant[:] = _tokens(frame[tenant_name], path, row) if tenant_name else tenant
        if deadline_name:
            given = frame[deadline_name].notna().to_numpy()
            block.deferrable[:] = given
            block.deadline[given] = _numbers(frame[deadline_name].fillna(0), path, row)[given]
            late = block.deadline < arrived_s
            _refuse(late, frame[deadline_name], "a time at or after the arrival", path, row)
        if hashes_name:
            block = replace(block, hash_ids=_hashes(frame[hashes_name], path, row))
            if hash_tokens is not None:
                _check_counts(block, frame[hashes_name], hash_tokens, path, row)
        row += len(frame)
        seen = seen or bool(kept.any())
        yield block if kept.all() else block[kept]
    if not seen:
        raise InputError(f"{path}: the trace has no requests")


def lengths(path: Path, layout: Layout) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Prefill and decode tokens, block by block; arrival times need not be there."""
    names = tables.columns(path)
    prefill_name = find(names, layout.prefill, str(path))
    decode_name = find(names, layout.decode, str(path))
    row = 0
    for frame in tables.frames(path, [prefill_name, decode_name]):
        prefill, decode, kept = _lengths(frame[prefill_name], frame[decode_name], layout, path, row)
        row += len(frame)
        yield prefill[kept], decode[kept]


def rates(path: Path) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Interval starts (s) and rates (1/s) of a rate profile with the columns t_s, req_per_s."""
    names = tables.columns(path)
    time_name = find(names, ("t_s",), str(path))
    rate_name = find(names, ("req_per_s", "rate"), str(path))
    row = 0
    for frame in tables.frames(path, [time_name, rate_name]):
        yield _numbers(frame[time_name], path, row), _numbers(frame[rate_name], path, row)
        row += len(frame)


def _lengths(
    prefill_column: pd.Series, decode_column: pd.Series, layout: Layout, path: Path, row: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Prefill and decode tokens, and which rows are requests."""
    prefill = _tokens(prefill_column, path, row)
    decode = _tokens(decode_column, path, row)
    if layout.drops_failures:
        return prefill, decode, (prefill > 0) & (decode > 0)
    _refuse(prefill == 0, prefill_column, "at least 1 token", path, row)
    return prefill, np.maximum(decode, 1), np.ones(len(prefill), dtype=np.bool_)


def _numbers(column: pd.Series, path: Path, row: int) -> NDArray[np.float64]:
    """A column as finite, non-negative numbers; true is none."""
    import pandas as pd

    if pd.api.types.is_bool_dtype(column):
        _refuse(np.ones(len(column), dtype=np.bool_), column, "a number >= 0", path, row)
    if column.dtype == object:
        _refuse(
            column.map(lambda cell: isinstance(cell, bool)).to_numpy(dtype=np.bool_),
            column,
            "a number",
            path,
            row,
        )
    values = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    _refuse(~(np.isfinite(values) & (values >= 0)), column, "a number >= 0", path, row)
    return values


def _tokens(column: pd.Series, path: Path, row: int) -> NDArray[np.int64]:
    """A column as whole numbers."""
    values = _numbers(column, path, row)
    whole = np.minimum(values, MAX_TOKENS).astype(np.int64)
    _refuse(whole != values, column, f"a whole number up to {MAX_TOKENS}", path, row)
    return whole


def _hashes(column: pd.Series, path: Path, row: int) -> NDArray[np.object_]:
    """A column of lists of whole numbers; an empty one where it is missing."""
    import pandas as pd

    def is_known(cell: object) -> bool:
        return isinstance(cell, list) and all(type(h) is int and 0 <= h < MOST_HASH for h in cell)

    cells = [[] if cell is None or cell is pd.NA else cell for cell in column.tolist()]
    bad = np.array([not is_known(cell) for cell in cells])
    _refuse(bad, column.astype(str), f"a list of whole numbers from 0 to {MOST_HASH - 1}", path, row)
    return ragged([np.array(cell, dtype=np.int64) for cell in cells])


def _check_counts(block: RequestBlock, column: pd.Series, each: int, path: Path, row: int) -> None:
    """Refuse a row with too few hashes for its prompt, or with more than prompt and output take."""
    hashes = [] if block.hash_ids is None else block.hash_ids.tolist()
    counts = np.array([len(one) for one in hashes])
    least = -(-block.prefill_tokens // each)
    most = np.maximum(least + 1, -(-(block.prefill_tokens + block.decode_tokens) // each))
    bad = (counts < least) | (counts > most)
    if bad.any():
        at = int(np.argmax(bad))
        told = "missing" if not counts[at] else f"{counts[at]} numbers"
        raise InputError(
            f"{path}: {tables.row_name(path, row + at)}: {column.name} is {told}, expected {least[at]}: one for every "
            f"{each} tokens (--hash-tokens) of the {block.prefill_tokens[at]} of the prompt"
        )


def _calendar(column: pd.Series, path: Path, row: int) -> NDArray[np.datetime64]:
    """A column of calendar times; UTC where no zone is given."""
    import pandas as pd

    stamps = pd.to_datetime(column, format="ISO8601", utc=True, errors="coerce")
    _refuse(stamps.isna().to_numpy(), column, "a time such as 2023-11-16 18:15:46.68", path, row)
    return stamps.dt.tz_localize(None).to_numpy(dtype="datetime64[ns]")


def _refuse(bad: NDArray[np.bool_], column: pd.Series, expected: str, path: Path, row: int) -> None:
    """Name the first bad row of a column."""
    import pandas as pd

    if bad.any():
        at = int(np.argmax(bad))
        value = "missing" if pd.isna(column.iloc[at]) else str(column.iloc[at])[:40]
        raise InputError(
            f"{path}: {tables.row_name(path, row + at)}: {column.name} is {value}, expected {expected}"
        )


def _check_order(arrived_s: NDArray[np.float64], last_s: float, path: Path, row: int) -> None:
    back = np.diff(arrived_s, prepend=last_s) < 0
    if back.any():
        at = int(np.argmax(back))
        before = arrived_s[at - 1] if at else last_s
        raise InputError(
            f"{path}: {tables.row_name(path, row + at)}: arrives at {arrived_s[at]:.9g} s, earlier than the row "
            f"above ({before:.9g} s); sort the file by arrival"
        )
