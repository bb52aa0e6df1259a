"""The rows of a run that goes on, in memory that does not grow with it: coarser the longer it lasts."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from simulators.quantities.schema import BY_NAME, Over
from simulators.report import series
from simulators.report.plotting import MOST_POINTS

_HOW: dict[Over, str] = {"mean": "mean", "sum": "sum", "last": "last", "lowest": "min", "highest": "max"}


class Window:
    """Rows of all sites together, over the whole run so far.

    Twice as many rows as a chart shows are kept at most; then two of them make one, as the schema says: means of
    powers, sums of counts, the last of what is a state.

    Parameters
    ----------
    step_s
        Length of a step, s.
    most
        Rows that are kept.

    Attributes
    ----------
    width_s
        Length of the rows, s.

    Examples
    --------
    >>> window = Window(60, most=2)
    >>> for minute in range(4):
    ...     at = pd.Timestamp("2024-01-01T00:00Z") + pd.Timedelta(minutes=minute)
    ...     window.add({"time": pd.DatetimeIndex([at]), "site": ["a"], "pv_mw": [1.0 * minute], "arrived": [1.0]})
    >>> window.width_s, window.frame()["pv_mw"].tolist(), window.frame()["arrived"].tolist()
    (120, [0.5, 2.5], [2.0, 2.0])
    """

    def __init__(self, step_s: int, most: int = 2 * MOST_POINTS) -> None:
        self.width_s = step_s
        self._step_s = step_s
        self._most = most
        self._start = pd.Timestamp(0, tz="UTC")
        self._rows = pd.DataFrame()
        self._fresh: list[Mapping[str, ArrayLike]] = []
        self._waiting = 0

    def add(self, columns: Mapping[str, ArrayLike]) -> None:
        """Take further rows, one per step and site."""
        self._fresh.append(columns)  # made a table only when somebody looks, or when there are many
        self._waiting += len(np.asarray(columns["site"]))
        if self._waiting >= self._most // 2:
            self._settle()

    def frame(self) -> pd.DataFrame:
        """The rows so far; the last of them may be of a shorter time. Empty before the first."""
        self._settle()
        return self._rows.drop(columns="steps", errors="ignore")

    def _settle(self) -> None:
        if not self._fresh:
            return
        parts = [pd.DataFrame(dict(columns)) for columns in self._fresh]
        fresh = series.all_sites(pd.concat(parts, ignore_index=True)).assign(steps=1)
        if self._rows.empty:
            self._start = fresh["time"].iloc[0]
        self._fresh, self._waiting = [], 0
        self._rows = self._merged(pd.concat([self._rows, fresh], ignore_index=True))
        while len(self._rows) > self._most:
            self.width_s *= 2
            self._rows = self._merged(self._rows)

    def _merged(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Rows of one width each; means count every step once."""
        if self.width_s == self._step_s:
            return rows
        since_s = (rows["time"] - self._start).dt.total_seconds().to_numpy(dtype=np.int64)
        group = since_s // self.width_s
        found = {"time": rows["time"].groupby(group).first()}
        steps = rows["steps"].groupby(group).sum()
        for name in rows.columns.drop(["time", "steps"]):
            how = _HOW[BY_NAME[name].over_time] if name in BY_NAME else "mean"
            if how == "mean":
                known = rows["steps"].where(rows[name].notna(), 0)
                sums = (rows[name] * rows["steps"]).groupby(group).sum(min_count=1)
                found[name] = sums / known.groupby(group).sum().replace(0, np.nan)
            elif how == "sum":
                found[name] = rows[name].groupby(group).sum(min_count=1)
            else:
                found[name] = rows[name].groupby(group).agg(how)
        return pd.DataFrame(found).assign(steps=steps).reset_index(drop=True)
