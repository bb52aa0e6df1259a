"""A Parquet file that grows row group by row group, so that memory does not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import ArrayLike

from simulators.quantities.schema import REQUESTS, TIMESERIES

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

    The first table fixes the columns and their types; later ones are cast to them. The file is readable once
    `close` has written its footer.

    Parameters
    ----------
    path
        The file.
    rows_per_group
        Rows held back until they are written together.
    described
        Unit and label of columns by name; they stand in the metadata of the file's columns.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "power.parquet"
    >>> stream = ParquetStream(path, described={"it_mw": Described("MW", "IT")})
    >>> for hour in range(3):
    ...     stream.append({"hour": [hour], "it_mw": [0.25 * hour]})
    >>> stream.close()
    >>> pd.read_parquet(path)["it_mw"].tolist()
    [0.0, 0.25, 0.5]
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
        self._described = described or {}
        self.rows = 0
        self._rows_per_group = rows_per_group
        self._pending: list[Any] = []
        self._pending_rows = 0
        self._writer: Any = None
        self._closed = False

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
        if self._writer is None:
            schema = _with_descriptions(table.schema, self._described)
            self._writer = pq.ParquetWriter(self.path, schema, compression="zstd")
        schema = self._writer.schema
        if set(table.column_names) != set(schema.names):
            odd = sorted(set(table.column_names) ^ set(schema.names))
            raise ValueError(f"{self.path.name}: columns {odd} are not in every table")
        try:
            table = table.select(schema.names).cast(schema)
        except pa.ArrowInvalid as error:
            raise ValueError(f"{self.path.name}: {error}") from None
        self._pending.append(table)
        self._pending_rows += table.num_rows
        self.rows += table.num_rows
        if self._pending_rows >= self._rows_per_group:
            self._write()

    def close(self) -> None:
        """Write what is pending and the footer; closing twice is harmless."""
        if self._writer is not None and not self._closed:
            try:
                self._write()
            finally:
                self._closed = True
                self._writer.close()

    def _write(self) -> None:
        if self._pending_rows:
            table = pa.concat_tables(self._pending).combine_chunks()
            self._writer.write_table(table, row_group_size=table.num_rows)
        self._pending, self._pending_rows = [], 0


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
