"""Tables in memory, for runs that need no disk."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray


class _Column:
    """Values that become more, in one stretch of memory: parts joined at the end would be there twice.

    Parameters
    ----------
    expected
        How many there will be, if that is known; memory is taken as it is filled.
    """

    def __init__(self, expected: int) -> None:
        self._expected = expected
        self._held: NDArray[Any] = np.empty(0)
        self._count = 0
        self._zone: Any = None

    def add(self, values: ArrayLike) -> None:
        """Keep further values."""
        if isinstance(values, pd.DatetimeIndex):
            self._zone = values.tz
            values = values.tz_convert(None) if values.tz is not None else values
        part = np.asarray(values)
        dtype = np.result_type(self._held, part) if self._count else part.dtype
        count = self._count + len(part)
        if count > len(self._held) or dtype != self._held.dtype:
            room = np.empty(max(self._expected, count, 2 * self._count), dtype)
            room[: self._count] = self._held[: self._count]
            self._held = room
        self._held[self._count : count] = part
        self._count = count

    def values(self) -> NDArray[Any] | pd.DatetimeIndex:
        """All of them so far."""
        held = self._held[: self._count]
        return (
            held if self._zone is None else pd.DatetimeIndex(held).tz_localize("UTC").tz_convert(self._zone)
        )


class MemorySink:
    """Keeps tables as arrays and hands them out as data frames.

    Parameters
    ----------
    expected
        Rows that a table will have, by its name, where that is known.

    Examples
    --------
    >>> sink = MemorySink()
    >>> sink.rows("timeseries", {"site": ["a"], "it_mw": [0.25]})
    >>> sink.rows("timeseries", {"site": ["a"], "it_mw": [0.5]})
    >>> sink.frame("timeseries")["it_mw"].tolist()
    [0.25, 0.5]
    """

    def __init__(self, expected: Mapping[str, int] | None = None) -> None:
        self._expected = dict(expected or {})
        self._tables: dict[str, dict[str, _Column]] = {}
        self.simulated_s = 0

    @property
    def tables(self) -> tuple[str, ...]:
        """Names of the tables that have been written to."""
        return tuple(self._tables)

    def rows(self, table: str, columns: Mapping[str, ArrayLike]) -> None:
        """Keep rows."""
        held = self._tables.setdefault(
            table, {name: _Column(self._expected.get(table, 0)) for name in columns}
        )
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
