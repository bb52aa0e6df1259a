"""What finished requests experienced, and a record of it that does not grow with their number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulators.quantities.experience import BY_CLASS, Experiences, different
from simulators.quantities.sketch import ERROR, Sketch

Array = NDArray[np.float64]

LATENCIES = ("ttft_s", "tpot_s", "e2e_s", "queueing_s", "held_s")
"""Names of the latencies, all in s."""

OVER_TIME = ("ttft_s", "tpot_s", "e2e_s")
"""Those kept by time of arrival."""

OVER_TIME_ERROR = 0.005
"""Relative error of quantiles over time and of tenants: 0.5 %, so that a year of days takes megabytes."""

HOUR_S, DAY_S = 3600.0, 86_400.0

HOURLY_UP_TO_S = 14 * DAY_S
"""A longer run is kept by day of arrival, not by hour."""

_TOGETHER = 4096
"""Requests counted in one go: a step brings some ninety, and a sketch costs as much for them as for one."""


def latencies(requests: Any) -> dict[str, Array]:
    """Latencies of finished requests, s; each of shape (n,).

    Serving times count from the release to the cluster, so that a request held back on purpose does not look like a
    slow server.

    Parameters
    ----------
    requests
        Columns by name: a mapping of arrays or lists, a structured array or a data frame. Without ``released_at``
        nothing was held; without ``scheduled_at`` nothing is known of queueing.

    Returns
    -------
    dict
        ``ttft_s`` release to the first token, ``tpot_s`` mean time per output token after the first (NaN for a single
        token), ``e2e_s`` release to the last token, ``queueing_s`` release to the start of the first batch (NaN if not
        known), ``held_s`` arrival to release.

    Examples
    --------
    >>> one = {"arrived_at": [0.0], "released_at": [100.0], "scheduled_at": [101.0], "prefill_completed_at": [103.0],
    ...        "completed_at": [107.0], "decode_tokens": [5]}
    >>> {name: values.tolist() for name, values in latencies(one).items()}
    {'ttft_s': [3.0], 'tpot_s': [1.0], 'e2e_s': [7.0], 'queueing_s': [1.0], 'held_s': [100.0]}
    """
    arrived_at = _column(requests, "arrived_at")
    released_at = _column(requests, "released_at") if _has(requests, "released_at") else arrived_at
    first_token_at = _column(requests, "prefill_completed_at")
    completed_at = _column(requests, "completed_at")
    # the first output token comes with the prefill, so n tokens have n - 1 gaps
    gaps = _column(requests, "decode_tokens") - 1
    gaps = np.where(gaps > 0, gaps, np.nan)
    scheduled_at = (
        _column(requests, "scheduled_at")
        if _has(requests, "scheduled_at")
        else np.full(len(arrived_at), np.nan)
    )
    return {
        "ttft_s": first_token_at - released_at,
        "tpot_s": (completed_at - first_token_at) / gaps,
        "e2e_s": completed_at - released_at,
        "queueing_s": scheduled_at - released_at,
        "held_s": released_at - arrived_at,
    }


def _column(requests: Any, name: str) -> Array:
    return np.asarray(requests[name], dtype=np.float64)


def _has(requests: Any, name: str) -> bool:
    names = requests.dtype.names if isinstance(requests, np.ndarray) else requests
    return name in names


class LatencyRecord:
    """Distributions of the latencies of a run, overall, by class, by tenant and over time.

    Memory is fixed by the spread of the latencies, by the tenants (`MOST_TENANTS` at most) and, over time, by the
    length of the run (some ten kilobytes an hour), not by the number of requests.

    Parameters
    ----------
    span_s
        Length of the run where it is known, s. Over time, latencies are kept by hour of arrival up to 14 days and by
        day beyond; a run that turns out longer is brought to days on the way.

    Attributes
    ----------
    error, over_time_error
        Relative errors of quantiles overall, and over time or of one tenant.

    Examples
    --------
    >>> record = LatencyRecord(span_s=7200.0)
    >>> record.add({"arrived_at": [0.0, 4000.0], "prefill_completed_at": [1.0, 4003.0], "completed_at": [1.0, 4009.0],
    ...             "decode_tokens": [1, 4], "deferrable": [False, True]})
    >>> record.sketch("ttft_s").mean, record.sketch("ttft_s", deferrable=True).mean, record.sketch("tpot_s").mean
    (2.0, 3.0, 2.0)
    >>> [(starts_at, sketch.count) for starts_at, sketch in record.over_time("e2e_s")]
    [(0.0, 1), (3600.0, 1)]
    """

    error = ERROR
    over_time_error = OVER_TIME_ERROR

    def __init__(self, span_s: float = 0.0) -> None:
        self._period_s = HOUR_S if span_s <= HOURLY_UP_TO_S else DAY_S
        self._sketches = {name: Sketch(ERROR) for name in LATENCIES if name not in BY_CLASS}
        self._experiences = Experiences(ERROR, OVER_TIME_ERROR)
        self._over_time: dict[int, dict[str, Sketch]] = {}
        self._recent: list[dict[str, Array]] = []
        self._recent_count = 0
        self._recent_weight = 1.0

    def add(self, finished: Any, weight: float = 1.0, times: Mapping[str, Array] | None = None) -> None:
        """Count finished requests.

        Parameters
        ----------
        finished
            Columns as `latencies` takes them, and ``deferrable``, ``deadline`` (s), ``tenant`` and ``prefill_tokens``
            if there are such.
        weight
            How many requests each stands for.
        times
            Their `latencies`, where they are known already.
        """
        arrived_at = _column(finished, "arrived_at")
        if not len(arrived_at):
            return
        if weight != self._recent_weight:
            self._count()
            self._recent_weight = weight
        given = {
            name: _column(finished, name) if _has(finished, name) else np.full(len(arrived_at), absent)
            for name, absent in (
                ("deferrable", 0.0),
                ("deadline", np.inf),
                ("tenant", 0.0),
                ("prefill_tokens", 0.0),
            )
        }
        given["decode_tokens"] = _column(finished, "decode_tokens")
        given |= {"arrived_at": arrived_at, "completed_at": _column(finished, "completed_at")}
        self._recent.append(dict(times or latencies(finished)) | given)
        self._recent_count += len(arrived_at)
        if self._recent_count >= _TOGETHER:
            self._count()

    def _count(self) -> None:
        """Bring what came since into the sketches."""
        if not self._recent:
            return
        times = {name: np.concatenate([part[name] for part in self._recent]) for name in self._recent[0]}
        arrived_at = times["arrived_at"]
        self._recent.clear()
        self._recent_count = 0
        weight = self._recent_weight
        self._experiences.add(times, weight)
        known = ~np.isnan(times["tpot_s"])
        self._sketches["queueing_s"].add(times["queueing_s"][~np.isnan(times["queueing_s"])], weight)
        self._sketches["held_s"].add(times["held_s"][times["held_s"] > 0], weight)
        if arrived_at.max() >= HOURLY_UP_TO_S:
            self._by_day()
        periods = (arrived_at // self._period_s).astype(np.int64)
        for period in different(periods):
            of_period = periods == period
            sketches = self._at(period)
            for name in OVER_TIME:
                values = times[name][of_period & known if name == "tpot_s" else of_period]
                sketches[name].add(values, weight)

    def _at(self, period: int) -> dict[str, Sketch]:
        if period not in self._over_time:
            self._over_time[period] = {name: Sketch(OVER_TIME_ERROR) for name in OVER_TIME}
        return self._over_time[period]

    def _by_day(self) -> None:
        """Merge hours into days."""
        if self._period_s == DAY_S:
            return
        hours, self._over_time, self._period_s = self._over_time, {}, DAY_S
        for hour, sketches in sorted(hours.items()):
            for name, sketch in sketches.items():
                self._at(hour // 24)[name].merge(sketch)

    @property
    def period_s(self) -> float:
        """Length of a period over time, s: an hour or a day."""
        self._count()
        return self._period_s

    def sketch(self, name: str, deferrable: bool | None = None) -> Sketch:
        """Distribution of a latency; of one class (`BY_CLASS` only) or of all requests.

        ``held_s`` is of the requests that were held at all, ``tpot_s`` of those with two output tokens or more.
        """
        self._count()
        if name not in BY_CLASS:
            return self._sketches[name]
        if deferrable is not None:
            return self._experiences.classes[deferrable].sketches[name]
        both = Sketch(ERROR)
        for one in self._experiences.classes.values():
            both.merge(one.sketches[name])
        return both

    @property
    def experiences(self) -> Experiences:
        """What interactive and deferrable requests experienced, all together and tenant by tenant."""
        self._count()
        return self._experiences

    def over_time(self, name: str) -> Iterator[tuple[float, Sketch]]:
        """Start (s) and distribution of a latency (`OVER_TIME`) for each period in which requests arrived."""
        self._count()
        for period in sorted(self._over_time):
            yield period * self._period_s, self._over_time[period][name]

    @property
    def nbytes(self) -> int:
        """Memory of the record, without what waits to be counted, bytes."""
        self._count()
        over_time = [sketch for sketches in self._over_time.values() for sketch in sketches.values()]
        both = [*self._sketches.values(), *over_time]
        return self._experiences.nbytes + sum(sketch.nbytes for sketch in both)

    def merge(self, other: LatencyRecord) -> None:
        """Count what another record has counted, e.g. of another site."""
        self._count()
        other._count()
        for key, sketch in other._sketches.items():
            self._sketches[key].merge(sketch)
        self._experiences.merge(other._experiences)
        if other._period_s == DAY_S:
            self._by_day()
        for period, sketches in other._over_time.items():
            at = int(period * other._period_s // self._period_s)
            for name, sketch in sketches.items():
                self._at(at)[name].merge(sketch)

    def to_plain(self) -> dict[str, Any]:
        """The record as JSON values."""
        self._count()
        return {
            "period_s": self._period_s,
            "sketches": {name: sketch.to_plain() for name, sketch in self._sketches.items()},
            "experiences": self._experiences.to_plain(),
            "over_time": [
                {"period": period, **{name: sketch.to_plain() for name, sketch in sketches.items()}}
                for period, sketches in sorted(self._over_time.items())
            ],
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> LatencyRecord:
        """A record from `to_plain`."""
        record = cls()
        record._period_s = plain["period_s"]
        record._sketches = {name: Sketch.from_plain(entry) for name, entry in plain["sketches"].items()}
        record._experiences.fill(plain["experiences"])
        for entry in plain["over_time"]:
            record._over_time[entry["period"]] = {name: Sketch.from_plain(entry[name]) for name in OVER_TIME}
        return record
