"""One checked time series: UTC, interval start, uniform resolution, a unit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from simulators.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal["average", "marginal"]
"""Of a carbon intensity: of the mix, or of what a change in demand brings about; one never stands for the other."""

Align = Literal["calendar", "weekday"]
"""How a series of one year serves a run in another: at the same date and hour (UTC), or at the same hour of the same
weekday next to that date."""


@dataclass(frozen=True)
class Profile:
    """A quantity that is constant within each interval.

    Attributes
    ----------
    name
        What it is, e.g. ``carbon intensity``.
    unit
        Unit of `values`, e.g. ``gCO2eq/kWh``.
    start
        Start of the first interval, UTC (timezone aware).
    step_s
        Length of every interval, s.
    values
        One value per interval; shape (n,), finite.
    source
        File or description for the report; `sha256` of the file, empty if there is none.
    cyclic
        A typical year without a real date: it is aligned by its position in the year and wraps round.
    kind, kind_known
        Of a carbon intensity; None for all else. Whether the file or the user says so: otherwise it counts as average.
    format, column, basis
        Of its file; `basis` of a carbon intensity: direct or life cycle, empty if unknown.
    estimated
        Which values are the publisher's estimates; shape (n,); None if the file does not say.
    align
        How it is moved to a run in another year; None: not at all.
    path, option
        The file, and what its options begin with on the command line.
    """

    name: str
    unit: str
    start: datetime
    step_s: int
    values: NDArray[np.float64]
    source: str
    sha256: str = ""
    cyclic: bool = False
    kind: Kind | None = None
    kind_known: bool = True
    format: str = ""
    column: str = ""
    basis: str = ""
    estimated: NDArray[np.bool_] | None = None
    align: Align | None = None
    path: str = ""
    option: str = ""

    @property
    def end(self) -> datetime:
        """End of the last interval, UTC."""
        return self.start + timedelta(seconds=self.step_s * len(self.values))

    def means(self, start: datetime, step_s: int, steps: int) -> NDArray[np.float64]:
        """Time-weighted means over `steps` consecutive intervals of `step_s` from `start`; shape (steps,).

        Raises
        ------
        InputError
            If the profile does not cover the span (and is not cyclic).

        Examples
        --------
        >>> noon = datetime(2024, 6, 1, 12, tzinfo=UTC)
        >>> Profile("load", "W", noon, 3600, np.array([100.0, 200.0]), "example").means(noon, 1800, 4).tolist()
        [100.0, 100.0, 200.0, 200.0]
        """
        if start.tzinfo is None:
            raise ValueError("start must carry a time zone")
        if self.align is not None:
            return self._moved(start, step_s * steps).means(start, step_s, steps)
        offset_s = (start - self.start).total_seconds()
        total_s = self.step_s * len(self.values)
        end_s = offset_s + step_s * steps
        if self.cyclic:
            # align by position in the year: the calendar year of either date does not matter
            own_year = datetime(self.start.year, 1, 1, tzinfo=UTC)
            run_year = datetime(start.year, 1, 1, tzinfo=UTC)
            offset_s = ((start - run_year) - (self.start - own_year)).total_seconds() % total_s
            end_s = offset_s + step_s * steps
        elif offset_s < 0 or end_s > total_s:
            run_end = start + timedelta(seconds=step_s * steps)
            raise InputError(
                f"{self.path or self.source}: {self.name} covers {self.start:%Y-%m-%d %H:%M} to "
                f"{self.end:%Y-%m-%d %H:%M} UTC, "
                f"the run needs {start:%Y-%m-%d %H:%M} to {run_end:%Y-%m-%d %H:%M} UTC"
                f"{self._another_year(start, run_end)}"
            )
        repeats = int(np.ceil(end_s / total_s)) if self.cyclic else 1
        values = np.tile(self.values, repeats) if repeats > 1 else self.values
        integral = np.concatenate(([0.0], np.cumsum(values))) * self.step_s
        edges_s = offset_s + step_s * np.arange(steps + 1)
        at_edges = np.interp(edges_s, self.step_s * np.arange(len(values) + 1), integral)
        return np.asarray(np.diff(at_edges) / step_s)

    def estimated_share(self, start: datetime, step_s: int, steps: int) -> float | None:
        """Share of a run's time whose values are estimates; None if the file does not say."""
        if self.estimated is None:
            return None
        flags = replace(self, values=self.estimated.astype(np.float64))
        return float(flags.means(start, step_s, steps).mean())

    def _another_year(self, start: datetime, end: datetime) -> str:
        """Advice where a file of another year would do if it were moved."""
        if self.end - self.start < min(end - start, timedelta(days=365)):
            return ""
        how = f"--{self.option}-align calendar" if self.option else 'align = "calendar"'
        return f"; expected a file of that time, or {how} to use this one at the same days of the year"

    def _moved(self, start: datetime, length_s: int) -> Profile:
        """The profile with the run's dates: every interval of the run takes the value of its counterpart."""
        import pandas as pd

        begin = self.start + timedelta(
            seconds=np.floor((start - self.start).total_seconds() / self.step_s) * self.step_s
        )
        count = int(np.ceil(((start - begin).total_seconds() + length_s) / self.step_s))
        slots = pd.date_range(begin, periods=count, freq=pd.Timedelta(seconds=self.step_s))
        index = np.full(count, -1, dtype=np.int64)
        years = range(self.start.year - 1, self.end.year + 2)
        for year in sorted(years, key=lambda year: (abs(year - start.year), year)):
            for offset in (0, -1, 1):  # a run over New Year's Eve takes both ends of a year's file
                wanted = self._counterparts(slots, year, offset)
                fits = (index < 0) & (wanted >= 0) & (wanted < len(self.values))
                index[fits] = wanted[fits]
        if (index < 0).any():
            at = slots[int(np.argmax(index < 0))]
            raise InputError(
                f"{self.path or self.source}: {self.name} covers {self.start:%Y-%m-%d %H:%M} to "
                f"{self.end:%Y-%m-%d %H:%M} UTC, which has no counterpart of {at:%m-%d %H:%M}; "
                "expected a file with that time of the year"
            )
        return replace(
            self,
            start=begin,
            values=self.values[index],
            align=None,
            estimated=None if self.estimated is None else self.estimated[index],
        )

    def _counterparts(self, slots: pd.DatetimeIndex, year: int, offset: int) -> NDArray[np.int64]:
        """Positions in the profile of the run's intervals, its first year being `year` + `offset` there."""
        import pandas as pd

        first = slots[0]
        if self.align == "weekday":
            moved = _same_date(slots[:1], year + offset)[0]
            days = round((moved - first) / pd.Timedelta(days=7)) * 7
            there = slots + pd.Timedelta(days=days)
        else:
            there = _same_date(slots, year + offset - first.year + slots.year.to_numpy())
        return np.asarray(np.floor((there - self.start).total_seconds() / self.step_s), dtype=np.int64)


def _same_date(slots: pd.DatetimeIndex, year: int | NDArray[np.int64]) -> pd.DatetimeIndex:
    """The same month, day and time in another year; 29 February becomes the 28th where there is none."""
    import pandas as pd

    years = np.broadcast_to(np.asarray(year), len(slots))
    leap = (years % 4 == 0) & ((years % 100 != 0) | (years % 400 == 0))
    days = np.where((slots.month == 2) & (slots.day == 29) & ~leap, 28, slots.day)
    dates = pd.to_datetime({"year": years, "month": slots.month, "day": days}, utc=True)
    return pd.DatetimeIndex(dates) + (slots - slots.normalize())
