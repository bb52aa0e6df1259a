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
        self._tables: dict[str, list[Mapping[str, ArrayLike]]] = {}
        self.simulated_s = 0

    @property
    def tables(self) -> tuple[str, ...]:
        """Names of the tables that have been written to."""
        return tuple(self._tables)

    def rows(self, table: str, columns: Mapping[str, ArrayLike]) -> None:
        """Keep rows; the arrays must not be changed afterwards."""
        self._tables.setdefault(table, []).append(columns)

    def reached(self, simulated_s: int) -> None:
        """Note how far the run is."""
        self.simulated_s = simulated_s

    def frame(self, table: str) -> pd.DataFrame:
        """All rows of a table so far.

        Raises
        ------
        KeyError
            If nothing was written to it.
        """
        parts = self._tables[table]
        if len(parts) > 1:
            joined = {name: _joined([part[name] for part in parts]) for name in parts[0]}
            parts[:] = [joined]
        return pd.DataFrame(dict(parts[0]))


def _joined(parts: list[Any]) -> Any:
    if isinstance(parts[0], pd.DatetimeIndex):
        return parts[0].append(parts[1:])
    return np.concatenate([np.asarray(part) for part in parts])
