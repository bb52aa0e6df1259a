"""When requests come: renewal processes, steady or modulated by the hour.

Every process hands out its arrivals in chunks of `CHUNK` drawn from a generator of its own, so the times
depend on that generator alone and never on how a run is cut into steps.

A renewal process has independent gaps of mean 1/rate. It is started in its stationary state: the first gap
follows the law of the residual life, so the expected number of arrivals in any interval of length T is
exactly rate * T, for bursty gaps too (the equilibrium renewal process of Cox, *Renewal Theory*, 1962). A
modulated process is a renewal process of rate 1 in "operational time" Lambda(t) = integral of the rate,
mapped back through the exact inverse of Lambda; with exponential gaps that is the non-homogeneous Poisson
process (Cinlar, *Introduction to Stochastic Processes*, 1975, chapter 4).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from simulators.errors import InputError
from simulators.traffic.gaps import ExponentialGaps, GammaGaps, GapLaw, Times, check_positive, gap_law

CHUNK = 4096
DAY_S = 86_400.0


class Arrivals(Protocol):
    """A law of arrival times."""

    @property
    def bounded(self) -> bool:
        """Whether the arrivals end by themselves."""
        ...

    def chunks(self, rng: np.random.Generator) -> Iterator[Times]:
        """Arrival times, s from the start of the run, ascending within and across chunks."""
        ...


class Modelled(Arrivals, Protocol):
    """Arrivals at a rate."""

    @property
    def rate_at_start_per_s(self) -> float:
        """Mean rate when the run starts, 1/s."""
        ...


def _unit_renewal(law: GapLaw, rng: np.random.Generator) -> Iterator[Times]:
    """A stationary renewal process of rate 1 without end."""
    last = 0.0
    first = law.residual(rng)
    while True:
        gaps = law.gaps(rng, CHUNK)
        if last == 0.0:
            gaps[0] = first
        times = last + np.cumsum(gaps)
        last = float(times[-1])
        yield times


@dataclass(frozen=True)
class Poisson:
    """Poisson arrivals at a constant rate, 1/s.

    Examples
    --------
    >>> times = next(Poisson(rate_per_s=2.0).chunks(np.random.default_rng(1)))
    >>> len(times), bool(1900 < times[-1] < 2200)
    (4096, True)
    """

    rate_per_s: float
    bounded = False

    def __post_init__(self) -> None:
        check_positive("rate", self.rate_per_s)

    @property
    def rate_at_start_per_s(self) -> float:
        """See `Modelled`."""
        return self.rate_per_s

    def chunks(self, rng: np.random.Generator) -> Iterator[Times]:
        """See `Arrivals`."""
        for times in _unit_renewal(ExponentialGaps(), rng):
            yield times / self.rate_per_s


@dataclass(frozen=True)
class Gamma:
    """Renewal arrivals with gamma gaps: rate in 1/s; `cv` > 1 comes in bursts, < 1 is more regular.

    Examples
    --------
    >>> gaps = np.diff(next(Gamma(rate_per_s=2.0, cv=0.1).chunks(np.random.default_rng(1))))
    >>> round(float(gaps.mean()), 2), round(float(gaps.std() / gaps.mean()), 1)
    (0.5, 0.1)
    """

    rate_per_s: float
    cv: float
    bounded = False

    def __post_init__(self) -> None:
        check_positive("rate", self.rate_per_s)
        check_positive("coefficient of variation", self.cv)

    @property
    def rate_at_start_per_s(self) -> float:
        """See `Modelled`."""
        return self.rate_per_s

    def chunks(self, rng: np.random.Generator) -> Iterator[Times]:
        """See `Arrivals`."""
        for times in _unit_renewal(GammaGaps(1.0 / self.cv**2), rng):
            yield times / self.rate_per_s


class Modulated:
    """Arrivals whose rate is constant within intervals and follows a list from one to the next.

    Parameters
    ----------
    rates_per_s
        Mean rate in each interval, 1/s, >= 0; shape (n,).
    interval_s
        Length of every interval, s.
    cyclic
        Start over after the last interval; otherwise the arrivals end there.
    start_offset_s
        Where in the list the run starts, s.
    cv
        Coefficient of variation of the gaps in operational time; 1 is the non-homogeneous Poisson process.

    Raises
    ------
    InputError
        If a rate is negative or not a number, or all are zero.

    Examples
    --------
    >>> quiet_then_busy = Modulated([0.0, 2.0], interval_s=600.0)
    >>> times = np.concatenate(list(quiet_then_busy.chunks(np.random.default_rng(1))))
    >>> bool(600 <= times.min() < times.max() < 1200), 1100 < len(times) < 1300
    (True, True)
    """

    def __init__(
        self,
        rates_per_s: Sequence[float] | NDArray[np.float64],
        interval_s: float,
        *,
        cyclic: bool = False,
        start_offset_s: float = 0.0,
        cv: float = 1.0,
    ) -> None:
        rates = np.asarray(rates_per_s, dtype=np.float64)
        check_positive("interval", interval_s)
        if rates.ndim != 1 or not len(rates) or not np.all(np.isfinite(rates)) or np.any(rates < 0):
            raise InputError("arrivals: the rates must be a list of numbers >= 0")
        if not rates.any():
            raise InputError("arrivals: all rates are zero, no request would ever come")
        self._rates = rates
        self._edges_s = interval_s * np.arange(len(rates) + 1)
        self._expected = np.concatenate(([0.0], np.cumsum(rates * interval_s)))
        span_s = float(self._edges_s[-1])
        if not 0 <= start_offset_s < span_s:
            if not (cyclic and np.isfinite(start_offset_s)):
                raise InputError(f"arrivals: start offset {start_offset_s:g} s is not in 0..{span_s:g} s")
            start_offset_s = float(np.mod(start_offset_s, span_s))
        self._offset_s = start_offset_s
        self._law = gap_law(cv)
        self.bounded = not cyclic

    @property
    def rate_at_start_per_s(self) -> float:
        """See `Modelled`."""
        return float(self._rates[np.searchsorted(self._edges_s, self._offset_s, side="right") - 1])

    def chunks(self, rng: np.random.Generator) -> Iterator[Times]:
        """See `Arrivals`."""
        span_s, span_expected = self._edges_s[-1], self._expected[-1]
        start = np.interp(self._offset_s, self._edges_s, self._expected)
        last = 0.0
        for operational in _unit_renewal(self._law, rng):
            cycles, within = np.divmod(start + operational, span_expected)
            ended = self.bounded and bool(cycles[-1])
            if ended:
                within = within[cycles == 0]
                cycles = cycles[cycles == 0]
            # the last edge at or below: passes over intervals of rate zero, whose edges have equal values
            interval = np.searchsorted(self._expected, within, side="right") - 1
            times = self._edges_s[interval] + (within - self._expected[interval]) / self._rates[interval]
            times += cycles * span_s - self._offset_s
            # rounding at an edge may turn two arrivals round by 1 ulp
            times = np.maximum.accumulate(np.maximum(times, last))
            if len(times):
                last = float(times[-1])
                yield times
            if ended:
                return


class Diurnal(Modulated):
    """Arrivals that follow the hours of the day.

    Parameters
    ----------
    rate_per_s
        Mean rate over the day, 1/s.
    factors
        Relative rates of equal intervals from local midnight on: 24 for hours, any other number for other
        intervals. They are scaled to mean 1.
    start_offset_s
        Local time of day at the start of the run, s after midnight.
    cv
        Coefficient of variation of the gaps; 1 is the non-homogeneous Poisson process.

    Examples
    --------
    >>> by_day = Diurnal(rate_per_s=0.01, factors=[0, 1], start_offset_s=6 * 3600.0)
    >>> times = next(by_day.chunks(np.random.default_rng(1)))
    >>> bool(times[0] >= 6 * 3600.0)  # noon
    True
    """

    def __init__(
        self,
        rate_per_s: float,
        factors: Sequence[float] | NDArray[np.float64],
        start_offset_s: float = 0.0,
        cv: float = 1.0,
    ) -> None:
        check_positive("rate", rate_per_s)
        shape = np.asarray(factors, dtype=np.float64)
        mean = float(shape.mean()) if shape.size else 0.0
        if not (np.isfinite(mean) and mean > 0):
            raise InputError("arrivals: the daily factors must be numbers >= 0, not all zero")
        rates = rate_per_s * shape / mean
        super().__init__(rates, DAY_S / shape.size, cyclic=True, start_offset_s=start_offset_s, cv=cv)
