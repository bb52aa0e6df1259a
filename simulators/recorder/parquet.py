"""A table that grows on disk in parts, each of them a whole Parquet file, and becomes one file at its end.

A Parquet file can be read once its footer is written, which is the last thing that happens to it. So a table that is
still growing lies in a folder of its name, ``timeseries/``, as files that are whole: what was saved can be read
whatever becomes of the process, with ``pandas.read_parquet("results/solar.incomplete/timeseries")``. `ParquetStream.
close` makes one file of them, ``timeseries.parquet``, whose bytes depend on the rows alone, not on how and when they
came.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import ArrayLike

from simulators.quantities.schema import REQUESTS, TIMESERIES
from simulators.recorder.whole import whole

ROWS_PER_GROUP = 32_768  # 35 columns of 8 bytes: 9 MB held back at most


class Described(NamedTuple):
    """What a reader of a column is told: its unit and a label."""

    unit: str
    label: str


_KEYS = {"time": Described("UTC", "Start of the interval"), "site": Described("", "Site")}

DESCRIBED: Mapping[str, Mapping[str, Described]] = {
    "timeseries": _KEYS | {column.name: Described(column.unit, column.label) for column in TIMESERIES},
    "requests": _KEYS | {column.name: Described(column.unit, column.label) for column in REQUESTS},
    "power_fast": _KEYS | {"gpu_w": Described("W", "GPUs")},
}
"""Columns by table; a table or column that is not here has no description in its file."""


class ParquetStream:
    """Appends tables of equal columns to one file.

    The first table fixes the columns and their types; later ones are cast to them.

    Parameters
    ----------
    path
        The file. Until `close` it is not there; what was saved is in a folder beside it, of its name without suffix.
    rows_per_group
        Rows of a row group, and rows held back at most until they are saved.
    described
        Unit and label of columns by name; they stand in the metadata of the file's columns.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "power.parquet"
    >>> stream = ParquetStream(path, described={"it_mw": Described("MW", "IT")})
    >>> for hour in range(3):
    ...     stream.append({"hour": [hour], "it_mw": [0.25 * hour]})
    >>> stream.save()
    >>> pd.read_parquet(stream.parts)["it_mw"].tolist()
    [0.0, 0.25, 0.5]
    >>> stream.close()
    >>> pd.read_parquet(path)["it_mw"].tolist(), stream.parts.exists()
    ([0.0, 0.25, 0.5], False)
    >>> pq.read_schema(path).field("it_mw").metadata[b"unit"]
    b'MW'
    """

    def __init__(
        self,
        path: Path,
        rows_per_group: int = ROWS_PER_GROUP,
        described: Mapping[str, Described] | None = None,
    ) -> None:
        self.path = path
        self.parts = path.with_suffix("")
        self.rows = 0
        self.saved = 0
        self._described = described or {}
        self._rows_per_group = rows_per_group
        self._pending: list[Any] = []
        self._schema: Any = None
        self._closed = False

    @classmethod
    def found(cls, path: Path, rows: int | None = None) -> ParquetStream:
        """The table that another process left at `path`, whole or in parts, cut after `rows` rows.

        Raises
        ------
        ValueError
            If fewer rows are there.
        """
        stream = cls(path)
        if path.exists():
            stream._drop_parts()  # it was made of them, and is whole
            if rows is not None:
                stream.parts.mkdir(exist_ok=True)
                os.rename(path, stream.parts / _name(0))
        for part in stream._files():
            first, length = int(part.stem), pq.read_metadata(part).num_rows
            if rows is not None and first >= rows:
                part.unlink()
                continue
            if rows is not None and first + length > rows:
                kept = pq.ParquetFile(part).read().slice(0, rows - first)
                _write_whole(part, kept.schema, [kept])
                length = rows - first
            stream.saved = first + length
            stream._schema = pq.read_schema(part)
        if path.exists():
            stream.saved, stream._closed = pq.read_metadata(path).num_rows, True
        stream.rows = stream.saved
        if rows is not None and stream.rows < rows:
            raise ValueError(f"{path.name} has {stream.rows} rows, expected {rows}")
        return stream

    def append(self, columns: Mapping[str, ArrayLike] | pd.DataFrame) -> None:
        """Append rows; a table without rows still fixes the columns.

        Raises
        ------
        ValueError
            If the columns differ from the first table's, their lengths differ, or a value does not fit.
        """
        if self._closed:
            raise ValueError(f"{self.path.name} is closed, nothing can be appended")
        table = _table(columns)
        if self._schema is None:
            self._schema = _with_descriptions(table.schema, self._described)
        schema = self._schema
        if set(table.column_names) != set(schema.names):
            odd = sorted(set(table.column_names) ^ set(schema.names))
            raise ValueError(f"{self.path.name}: columns {odd} are not in every table")
        try:
            table = table.select(schema.names).cast(schema)
        except pa.ArrowInvalid as error:
            raise ValueError(f"{self.path.name}: {error}") from None
        self._pending.append(table)
        self.rows += table.num_rows
        if self.rows - self.saved >= self._rows_per_group:
            self.save()

    def save(self) -> None:
        """Write what is held back as a part, so that it outlives this process."""
        if self.rows > self.saved:
            self.parts.mkdir(exist_ok=True)
            _write_whole(self.parts / _name(self.saved), self._schema, self._pending)
            self._pending, self.saved = [], self.rows

    def close(self) -> None:
        """Make one file of all parts; closing twice is harmless."""
        if self._schema is None or self._closed:
            return
        _write_whole(self.path, self._schema, self._groups())
        self._closed, self._pending = True, []
        self._drop_parts()

    def _drop_parts(self) -> None:
        for part in reversed(self._files()):  # what is there is always the beginning
            part.unlink()
        if self.parts.is_dir() and not any(self.parts.iterdir()):
            self.parts.rmdir()

    def frame(self) -> pd.DataFrame:
        """All rows of a table that is not closed."""
        frame: pd.DataFrame = pa.concat_tables(self._tables()).to_pandas()
        return frame

    def _files(self) -> list[Path]:
        """The parts, in the order of their rows."""
        return sorted(part for part in self.parts.glob("*.parquet") if part.stem.isdecimal())

    def _groups(self) -> Iterator[Any]:
        """All rows in row groups of one size, but for the last."""
        waiting: list[Any] = []
        for table in self._tables():
            waiting.append(table)
            while sum(part.num_rows for part in waiting) >= self._rows_per_group:
                together = pa.concat_tables(waiting)
                yield together.slice(0, self._rows_per_group)
                waiting = [together.slice(self._rows_per_group)]
        if any(part.num_rows for part in waiting):
            yield pa.concat_tables(waiting)

    def _tables(self) -> Iterator[Any]:
        for part in self._files():
            yield pq.ParquetFile(part).read().cast(self._schema)
        yield from self._pending


def _name(first: int) -> str:
    """Of the part that begins with row `first`."""
    return f"{first:012d}.parquet"


def _write_whole(path: Path, schema: Any, tables: Iterable[Any]) -> None:
    """Write a file that takes its name when it is whole and on the disk; each table becomes a row group."""
    with whole(path) as made, pq.ParquetWriter(made, schema, compression="zstd") as writer:
        for table in tables:
            if table.num_rows:
                writer.write_table(table.combine_chunks(), row_group_size=table.num_rows)


def _table(columns: Mapping[str, ArrayLike] | pd.DataFrame) -> Any:
    if isinstance(columns, pd.DataFrame):
        table = pa.Table.from_pandas(columns, preserve_index=False).replace_schema_metadata(None)
    else:
        table = pa.table({name: _array(values) for name, values in columns.items()})
    for index, field in enumerate(table.schema):
        if pa.types.is_null(field.type):  # nothing known yet: a number is the best guess
            table = table.set_column(index, field.name, table.column(index).cast(pa.float64()))
    return table


def _with_descriptions(schema: Any, described: Mapping[str, Described]) -> Any:
    fields = []
    for field in schema:
        if told := described.get(field.name):
            field = field.with_metadata({key: text for key, text in told._asdict().items() if text})
        fields.append(field)
    return pa.schema(fields)


def _array(values: ArrayLike) -> Any:
    if isinstance(values, pd.Series | pd.DatetimeIndex):
        return pa.Array.from_pandas(values)
    return pa.array(np.asarray(values))
