"""Tables in memory, for runs that need no disk."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray


class _Column:
    """Values that become more, in one stretch of memory: parts joined at the end would be there twice."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._dtype: np.dtype[Any] | None = None
        self._objects: list[Any] = []
        self._zone: Any = None

    def add(self, values: ArrayLike) -> None:
        """Keep further values."""
        if isinstance(values, pd.DatetimeIndex):
            self._zone = values.tz
            values = values.tz_localize(None) if values.tz is None else values.tz_convert(None)
        part = np.asarray(values)
        if part.dtype == object or self._objects:
            self._objects.extend(part.tolist())
            return
        dtype = part.dtype if self._dtype is None else np.result_type(self._dtype, part.dtype)
        if dtype != self._dtype and self._bytes:
            self._bytes = bytearray(self._held().astype(dtype).tobytes())
        self._dtype = dtype
        try:
            self._bytes += part.astype(dtype, copy=False).tobytes()
        except BufferError:  # they were handed out
            self._bytes = self._bytes + part.astype(dtype, copy=False).tobytes()

    def values(self) -> NDArray[Any] | pd.DatetimeIndex:
        """All of them."""
        if self._objects:
            return np.array(self._objects, dtype=object)
        held = self._held()
        return (
            held if self._zone is None else pd.DatetimeIndex(held).tz_localize("UTC").tz_convert(self._zone)
        )

    def _held(self) -> NDArray[Any]:
        return np.frombuffer(self._bytes, dtype=self._dtype or object)


class MemorySink:
    """Keeps tables as arrays and hands them out as data frames.

    Examples
    --------
    >>> sink = MemorySink()
    >>> sink.rows("timeseries", {"site": ["a"], "it_mw": [0.25]})
    >>> sink.rows("timeseries", {"site": ["a"], "it_mw": [0.5]})
    >>> sink.frame("timeseries")["it_mw"].tolist()
    [0.25, 0.5]
    """

    def __init__(self) -> None:
        self._tables: dict[str, dict[str, _Column]] = {}
        self.simulated_s = 0

    @property
    def tables(self) -> tuple[str, ...]:
        """Names of the tables that have been written to."""
        return tuple(self._tables)

    def rows(self, table: str, columns: Mapping[str, ArrayLike]) -> None:
        """Keep rows."""
        held = self._tables.setdefault(table, {name: _Column() for name in columns})
        for name, values in columns.items():
            held[name].add(values)

    def reached(self, simulated_s: int) -> None:
        """Note how far the run is."""
        self.simulated_s = simulated_s

    def frame(self, table: str) -> pd.DataFrame:
        """All rows of a table so far; it stays as it is when rows are added.

        Raises
        ------
        KeyError
            If nothing was written to it.
        """
        columns = self._tables[table]
        return pd.DataFrame({name: column.values() for name, column in columns.items()}, copy=False)
