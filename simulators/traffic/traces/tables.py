"""Tables on disk as a sequence of frames, never held as a whole: CSV, JSON lines, Parquet."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from simulators.errors import InputError
from simulators.files import check_file, once

if TYPE_CHECKING:
    import pandas as pd

ROWS = 16_384
MOST_BYTES = 1 << 40
_MONSTER = re.compile(rb"\d[eE][+-]?\d{7,}")


def kind(path: Path) -> str:
    """``csv``, ``jsonl`` or ``parquet``, by the file's name.

    Raises
    ------
    InputError
        If the name ends in none of them.
    """
    name = path.name.lower().removesuffix(".gz")
    for ending, table in ((".csv", "csv"), (".jsonl", "jsonl"), (".parquet", "parquet")):
        if name.endswith(ending):
            return table
    raise InputError(f"{path}: unknown kind of file, expected .csv, .csv.gz, .jsonl, .jsonl.gz or .parquet")


def row_name(path: Path, index: int) -> str:
    """Name data row `index` (from 0) the way a person finds it: the header of a CSV file is line 1."""
    table = kind(path)
    return f"row {index + (2 if table == 'csv' else 1)} ({'record' if table == 'parquet' else 'line'} of the file)"


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn whatever a broken file raises while it is read into an `InputError` that names it."""
    import pandas as pd
    import pyarrow as pa

    check_file(path, most_bytes=MOST_BYTES)
    try:
        yield
    except (pd.errors.EmptyDataError, StopIteration) as error:
        raise InputError(f"{path}: the file is empty") from error
    except (
        pd.errors.ParserError,
        pa.ArrowInvalid,
        UnicodeDecodeError,
        EOFError,
        OSError,
        zlib.error,
        OverflowError,
        _NoText,
    ) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: cannot be read: {reason}") from error


class _NoText(Exception):
    """Bytes that no text has."""


class _Checked(io.RawIOBase):
    """Bytes of a file, unpacked; refuses what pandas would read as something else, or would crash on."""

    def __init__(self, path: Path) -> None:
        packed = path.name.lower().endswith(".gz")
        self._file = cast("IO[bytes]", (gzip.open if packed else open)(path, "rb"))

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        chunk = self._file.read(len(buffer))
        if b"\0" in chunk:
            raise _NoText("it is no text (NUL in it)")
        if monster := _MONSTER.search(chunk):
            raise _NoText(f"{monster[0].decode()[:40]} in it is out of range")
        buffer[: len(chunk)] = chunk
        return len(chunk)

    def close(self) -> None:
        self._file.close()
        super().close()


def text(path: Path) -> IO[str]:
    """Open a text file, plain or gzip."""
    return io.TextIOWrapper(io.BufferedReader(_Checked(path), 1 << 18), encoding="utf-8-sig")


def columns(path: Path) -> list[str]:
    """Names of a table's columns (JSON lines: those of the first line)."""
    import pyarrow.parquet as pq

    with readable(path):
        if kind(path) == "parquet":
            return [str(name) for name in pq.read_schema(path).names]
        if kind(path) == "csv":
            with text(path) as file:
                names = [name.strip() for name in next(csv.reader([next(file)], skipinitialspace=True))]
            if again := next((name for name in names if name and names.count(name) > 1), None):
                raise InputError(f"{path}: two columns are called {again[:60]!r}, expected every name once")
            return names
        with text(path) as file:
            return list(_object(path, next(file), 0))


def frames(path: Path, wanted: list[str], *, rows: int = ROWS) -> Iterator[pd.DataFrame]:
    """The columns `wanted`, at most `rows` rows at a time and never none."""
    return (frame for frame in _frames(path, wanted, rows) if len(frame))


def _frames(path: Path, wanted: list[str], rows: int) -> Iterator[pd.DataFrame]:
    import pandas as pd
    import pyarrow.parquet as pq

    with readable(path):
        if kind(path) == "parquet":
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(batch_size=rows, columns=wanted):
                    yield batch.to_pandas()
        elif kind(path) == "csv":
            # round_trip: the nearest double, so that a time written by us comes back bit by bit
            with (
                text(path) as source,
                pd.read_csv(
                    source,
                    chunksize=rows,
                    float_precision="round_trip",
                    low_memory=False,
                    skipinitialspace=True,
                ) as reader,
            ):
                # every column is read: with `usecols` pandas passes over rows that have too many fields
                for frame in reader:
                    if not isinstance(frame.index, pd.RangeIndex):
                        raise InputError(f"{path}: the rows have more fields than the header")
                    yield frame[wanted]
        else:
            yield from _json_lines(path, wanted, rows)


def _json_lines(path: Path, wanted: list[str], rows: int) -> Iterator[pd.DataFrame]:
    import pandas as pd

    with text(path) as file:
        lines = enumerate(line for line in file if not line.isspace())
        while values := [_values(_object(path, line, row), wanted) for row, line in islice(lines, rows)]:
            yield pd.DataFrame(values, columns=wanted)


def _values(entry: dict[str, Any], wanted: list[str]) -> list[Any]:
    return [entry.get(name) for name in wanted]


def _object(path: Path, line: str, row: int) -> dict[str, Any]:
    try:
        entry = json.loads(line, object_pairs_hook=once)
    except json.JSONDecodeError as error:
        raise InputError(
            f"{path}: {row_name(path, row)}: not JSON: {error.msg} at character {error.pos + 1}"
        ) from error
    except (ValueError, RecursionError) as error:
        said = "nested too deeply" if isinstance(error, RecursionError) else str(error)[:120]
        raise InputError(f"{path}: {row_name(path, row)}: {said}, expected an object") from None
    if not isinstance(entry, dict):
        raise InputError(f"{path}: {row_name(path, row)}: not a JSON object")
    return entry
