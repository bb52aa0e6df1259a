"""Local time of a run's intervals, as far as tariffs know it: hour, weekday, month, billing interval."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

BILLING_S = 900
"""A quarter of an hour: the interval of load profile metering in most of Europe and in much of the U.S."""


@dataclass(frozen=True)
class LocalTimes:
    """Local time of `steps` intervals, by their starts; arrays of shape (n,).

    Attributes
    ----------
    step_s
        Length of an interval, s.
    hour
        Of the day, with its fraction: 14.5 is half past two.
    weekday, month
        0 (Monday) to 6, and 1 to 12.
    month_number, month_s
        Which calendar month (year * 12 + month - 1), and its length, s, an hour more or less where clocks change.
    slot
        Which billing interval. They count in standard time, so that none is an hour longer when clocks change.
    """

    step_s: float
    hour: NDArray[np.float64]
    weekday: NDArray[np.int64]
    month: NDArray[np.int64]
    month_number: NDArray[np.int64]
    month_s: NDArray[np.float64]
    slot: NDArray[np.int64]

    @cached_property
    def slots(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Which of the run's billing intervals each interval is in, from 0, shape (n,), and the first step of each."""
        new = np.concatenate(([True], self.slot[1:] != self.slot[:-1]))
        return np.cumsum(new) - 1, np.flatnonzero(new)

    @property
    def steps(self) -> int:
        """How many there are."""
        return len(self.hour)

    @classmethod
    def of(
        cls, start: datetime, step_s: int, steps: int, timezone: str, billing_s: int = BILLING_S
    ) -> LocalTimes:
        """Local time of a run.

        Parameters
        ----------
        start
            With its zone.
        step_s, steps
            Length of an interval, s, and how many follow.
        timezone, billing_s
            IANA name, and length of a billing interval, s.

        Examples
        --------
        >>> from datetime import UTC
        >>> times = LocalTimes.of(datetime(2017, 6, 5, 7, tzinfo=UTC), 60, 31, "America/Los_Angeles")
        >>> float(times.hour[30]), int(times.weekday[0]), times.month_name(int(times.month_number[0]))
        (0.5, 0, '2017-06')
        >>> len(set(times.slot.tolist()))
        3
        """
        import pandas as pd

        begin = pd.Timestamp(start).tz_convert("UTC")
        utc = pd.date_range(begin, periods=steps, freq=pd.Timedelta(seconds=step_s))
        local = utc.tz_convert(timezone)
        bare = local.tz_localize(None)
        day_s = (bare - bare.normalize()).total_seconds().to_numpy()
        number = local.year.to_numpy(dtype=np.int64) * 12 + local.month.to_numpy(dtype=np.int64) - 1
        lengths = {int(month): _month_s(int(month), timezone) for month in np.unique(number)}
        offset_s = (bare[0] - utc.tz_localize(None)[0]).total_seconds()
        since_s = (utc - pd.Timestamp(0, tz="UTC")).total_seconds().to_numpy() + offset_s
        return cls(
            float(step_s),
            day_s / 3600.0,
            local.dayofweek.to_numpy(dtype=np.int64),
            local.month.to_numpy(dtype=np.int64),
            number,
            np.array([lengths[int(month)] for month in number]),
            np.floor(since_s / billing_s).astype(np.int64),
        )

    @staticmethod
    def month_name(number: int) -> str:
        """Name of a calendar month, e.g. ``2017-06``."""
        return f"{number // 12:04d}-{number % 12 + 1:02d}"


def _month_s(number: int, timezone: str) -> float:
    import pandas as pd

    begin, end = (
        pd.Timestamp(year=at // 12, month=at % 12 + 1, day=1, tz=timezone) for at in (number, number + 1)
    )
    return float((end - begin).total_seconds())
