"""Quantiles of any number of values in fixed memory, with a relative error that is known beforehand."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

ERROR = 0.0005
"""Relative error of a quantile: 0.05 %."""

LEAST = 1e-7
"""Smaller values count as 0: of a latency in s, a tenth of a microsecond."""

MOST = 1e9
"""Larger values count as this one in quantiles: of a latency in s, thirty years."""

PERCENTILES = {"p50": 0.50, "p95": 0.95, "p99": 0.99}

_GROWTH = 256
"""Bins a sketch grows by at either end."""


class Sketch:
    """Counts of values >= 0 in bins of equal width on a logarithmic scale (as in DDSketch, Masson et al., VLDB 2019).

    A quantile is off by at most `error` of itself (0.05 % unless told), and by at most 1e-7 below 1e-7, where values
    count as 0; 0 itself is exact. Count, mean, smallest and largest value are exact. Quantiles interpolate between two
    neighbouring values as NumPy's do. Memory is bounded by the spread of the values, 8 bytes a bin: 37,000 bins from
    1e-7 to 1e9, 2,300 for each factor of ten that occurs. Sketches of equal error merge without loss.

    Parameters
    ----------
    error
        Largest relative error of a quantile, above 0 and below 1.

    Examples
    --------
    >>> sketch = Sketch()
    >>> sketch.add(np.linspace(0.0, 10.0, 1001))
    >>> sketch.count, round(sketch.mean, 9), abs(sketch.quantile(0.95) - 9.5) < 9.5 * 0.0005
    (1001, 5.0, True)
    """

    def __init__(self, error: float = ERROR) -> None:
        if not 0 < error < 1:
            raise ValueError(f"the relative error must be between 0 and 1, got {error:g}")
        self.error = error
        growth = (1 + error) / (1 - error)
        self._bins_per_e = 1 / math.log(growth)
        # bin i >= 1 holds LEAST * growth**(i - 1) and what is above it; bin 0 all that counts as 0
        self._offset = 1 - math.log(LEAST) * self._bins_per_e
        self._values_at = LEAST * 2 / (growth + 1)
        self._first = 0
        self._weights = np.zeros(0)
        self._zeros = 0.0
        self._sum = 0.0
        self.count = 0
        """Values added, whatever they weigh."""
        self.weight = 0.0
        """Sum of their weights: how many values they stand for."""
        self.smallest, self.largest = math.inf, -math.inf

    def add(self, values: ArrayLike, weight: float = 1.0) -> None:
        """Count values, each `weight` times.

        Raises
        ------
        ValueError
            If a value is not a number.
        """
        x = np.asarray(values, dtype=np.float64)
        if not len(x):
            return
        smallest, largest = float(np.minimum.reduce(x)), float(np.maximum.reduce(x))
        if math.isnan(smallest):
            raise ValueError("a sketch counts numbers, got NaN")
        if smallest < LEAST or largest > MOST:
            zeros = int(np.count_nonzero(x < LEAST))
            self._zeros += zeros * weight
            binned = np.minimum(x[x >= LEAST], MOST) if zeros else np.minimum(x, MOST)
        else:
            binned = x
        if len(binned):
            at = (np.log(binned) * self._bins_per_e + self._offset).astype(np.int64)
            low = self._bin(max(smallest, LEAST))
            self._cover(low, self._bin(min(largest, MOST)))
            np.add.at(self._weights, at - self._first, weight)
        self.count += len(x)
        self.weight += len(x) * weight
        self._sum += float(np.add.reduce(x)) * weight
        self.smallest = min(self.smallest, smallest)
        self.largest = max(self.largest, largest)

    def _bin(self, value: float) -> int:
        return int(math.log(value) * self._bins_per_e + self._offset)

    def _cover(self, low: int, high: int) -> None:
        """Have bins from `low` to `high`, and one more where logarithms may round apart."""
        first, last = self._first, self._first + len(self._weights)
        if len(self._weights) and first < low and high + 1 < last:
            return
        new_first = max(0, low - 1) // _GROWTH * _GROWTH
        new_last = (high + 2 + _GROWTH) // _GROWTH * _GROWTH
        if len(self._weights):
            new_first, new_last = min(new_first, first), max(new_last, last)
        weights = np.zeros(new_last - new_first)
        weights[first - new_first : last - new_first] = self._weights
        self._first, self._weights = new_first, weights

    @property
    def mean(self) -> float:
        """Mean of the values, exact; NaN of none."""
        return self._sum / self.weight if self.weight else math.nan

    @property
    def nbytes(self) -> int:
        """Memory of the bins, bytes."""
        return self._weights.nbytes

    def bins(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The values that occur, ascending and within the error, and how often each: to draw a distribution."""
        filled = np.flatnonzero(self._weights)
        values = self._value(filled + self._first)
        weights = self._weights[filled]
        if self._zeros:
            values, weights = np.append(0.0, values), np.append(self._zeros, weights)
        return np.asarray(np.clip(values, self.smallest, self.largest)), weights

    def _value(self, numbers: NDArray[np.intp]) -> NDArray[np.float64]:
        """The value that stands for a bin: as far, relatively, from its lower as from its upper end."""
        return np.asarray(self._values_at * np.exp(numbers / self._bins_per_e))

    def quantiles(self, levels: ArrayLike) -> NDArray[np.float64]:
        """The values below which given shares (0..1) of all lie; NaN of none."""
        q = np.asarray(levels, dtype=np.float64)
        if not self.count:
            return np.full(q.shape, np.nan)
        values, weights = self.bins()
        cumulative = np.cumsum(weights)
        # every value stands for the mean weight; half of it more keeps sums of weights off the edges
        each = cumulative[-1] / self.count
        rank = q * (self.count - 1)
        below = np.floor(rank)
        low = np.searchsorted(cumulative, (below + 0.5) * each)
        high = np.searchsorted(cumulative, (np.minimum(below + 1, self.count - 1) + 0.5) * each)
        between = values[low] + (rank - below) * (values[high] - values[low])
        ends = np.where(q <= 0, self.smallest, np.where(q >= 1, self.largest, between))
        return np.asarray(ends, dtype=np.float64)

    def quantile(self, level: float) -> float:
        """The value below which a share `level` (0..1) of all lies; NaN of none."""
        return float(self.quantiles([level])[0])

    def percentiles(self) -> dict[str, float | None]:
        """Median, 95th and 99th percentile; None of nothing.

        Examples
        --------
        >>> Sketch().percentiles()
        {'p50': None, 'p95': None, 'p99': None}
        """
        if not self.count:
            return dict.fromkeys(PERCENTILES)
        return dict(zip(PERCENTILES, self.quantiles(list(PERCENTILES.values())).tolist(), strict=True))

    def merge(self, other: Sketch) -> None:
        """Count what another sketch of the same error has counted."""
        if other.error != self.error:
            raise ValueError(f"sketches of error {self.error:g} and {other.error:g} do not merge")
        if len(other._weights):
            first, last = other._first, other._first + len(other._weights)
            self._cover(first + 1, last - 2)
            at = first - self._first
            self._weights[at : at + len(other._weights)] += other._weights
        self._zeros += other._zeros
        self._sum += other._sum
        self.count += other.count
        self.weight += other.weight
        self.smallest = min(self.smallest, other.smallest)
        self.largest = max(self.largest, other.largest)

    def to_plain(self) -> dict[str, Any]:
        """The sketch as JSON values, with the bins that are filled alone."""
        filled = np.flatnonzero(self._weights)
        return {
            "error": self.error,
            "count": self.count,
            "weight": self.weight,
            "sum": self._sum,
            "smallest": self.smallest if self.count else None,
            "largest": self.largest if self.count else None,
            "zeros": self._zeros,
            "bins": (filled + self._first).tolist(),
            "weights": self._weights[filled].tolist(),
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Sketch:
        """A sketch from `to_plain`.

        Examples
        --------
        >>> sketch = Sketch()
        >>> sketch.add([0.2, 0.4])
        >>> Sketch.from_plain(sketch.to_plain()).quantile(0.5) == sketch.quantile(0.5)
        True
        """
        sketch = cls(plain["error"])
        bins = np.asarray(plain["bins"], dtype=np.int64)
        if len(bins):
            sketch._cover(int(bins[0]), int(bins[-1]))
            sketch._weights[bins - sketch._first] = plain["weights"]
        sketch._zeros, sketch._sum = plain["zeros"], plain["sum"]
        sketch.count, sketch.weight = plain["count"], plain["weight"]
        if sketch.count:
            sketch.smallest, sketch.largest = plain["smallest"], plain["largest"]
        return sketch
