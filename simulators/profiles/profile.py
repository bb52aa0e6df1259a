"""One checked time series: UTC, interval start, uniform resolution, a unit."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from simulators.errors import InputError

Kind = Literal["average", "marginal"]
"""Of a carbon intensity: of the mix, or of what a change in demand brings about; one never stands for the other."""


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
    kind
        Of a carbon intensity; None for all else.
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
                f"{self.source}: {self.name} covers {self.start:%Y-%m-%d %H:%M} to "
                f"{self.end:%Y-%m-%d %H:%M} UTC, "
                f"the run needs {start:%Y-%m-%d %H:%M} to {run_end:%Y-%m-%d %H:%M} UTC"
            )
        repeats = int(np.ceil(end_s / total_s)) if self.cyclic else 1
        values = np.tile(self.values, repeats) if repeats > 1 else self.values
        integral = np.concatenate(([0.0], np.cumsum(values))) * self.step_s
        edges_s = offset_s + step_s * np.arange(steps + 1)
        at_edges = np.interp(edges_s, self.step_s * np.arange(len(values) + 1), integral)
        return np.asarray(np.diff(at_edges) / step_s)
