"""Tables in memory, for runs that need no disk."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike


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
        self._tables: dict[str, dict[str, list[ArrayLike]]] = {}
        self.simulated_s = 0

    @property
    def tables(self) -> tuple[str, ...]:
        """Names of the tables that have been written to."""
        return tuple(self._tables)

    def rows(self, table: str, columns: Mapping[str, ArrayLike]) -> None:
        """Keep rows; the arrays must not be changed afterwards."""
        parts = self._tables.setdefault(table, {name: [] for name in columns})
        for name, values in columns.items():
            parts[name].append(values)

    def reached(self, simulated_s: int) -> None:
        """Note how far the run is."""
        self.simulated_s = simulated_s

    def frame(self, table: str) -> pd.DataFrame:
        """All rows of a table so far; shares its memory with the sink.

        Raises
        ------
        KeyError
            If nothing was written to it.
        """
        columns = self._tables[table]
        for parts in columns.values():
            if len(parts) > 1:
                parts[:] = [_joined(parts)]  # column by column: never the whole table twice
        return pd.DataFrame({name: parts[0] for name, parts in columns.items()}, copy=False)


def _joined(parts: list[Any]) -> Any:
    if isinstance(parts[0], pd.DatetimeIndex):
        return parts[0].append(parts[1:])
    return np.concatenate([np.asarray(part) for part in parts])
