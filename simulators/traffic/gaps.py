"""Laws of the gaps between arrivals, scaled to mean 1."""

from __future__ import annotations

from dataclasses import dataclass
from math import gamma as gamma_function
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from simulators.errors import InputError

Times = NDArray[np.float64]


class GapLaw(Protocol):
    """The law of the gaps between arrivals, scaled to mean 1."""

    def gaps(self, rng: np.random.Generator, n: int) -> Times:
        """Independent gaps, shape (n,)."""
        ...

    def residual(self, rng: np.random.Generator) -> float:
        """Time from an arbitrary moment to the next arrival."""
        ...


@dataclass(frozen=True)
class ExponentialGaps:
    """Gaps of the Poisson process: no memory, coefficient of variation 1."""

    def gaps(self, rng: np.random.Generator, n: int) -> Times:
        """See `GapLaw`."""
        return rng.standard_exponential(n)

    def residual(self, rng: np.random.Generator) -> float:
        """See `GapLaw`."""
        return float(rng.standard_exponential())


@dataclass(frozen=True)
class GammaGaps:
    """Gamma gaps of mean 1; coefficient of variation 1 / sqrt(shape)."""

    shape: float

    def gaps(self, rng: np.random.Generator, n: int) -> Times:
        """See `GapLaw`."""
        return rng.standard_gamma(self.shape, n) / self.shape

    def residual(self, rng: np.random.Generator) -> float:
        """See `GapLaw`: a uniform part of a gap weighted by its own length, again gamma with shape + 1."""
        return float(rng.random() * rng.standard_gamma(self.shape + 1) / self.shape)


@dataclass(frozen=True)
class WeibullGaps:
    """Weibull gaps of mean 1; the smaller the shape, the burstier."""

    shape: float

    def gaps(self, rng: np.random.Generator, n: int) -> Times:
        """See `GapLaw`."""
        return rng.weibull(self.shape, n) / gamma_function(1 + 1 / self.shape)

    def residual(self, rng: np.random.Generator) -> float:
        """See `GapLaw`: a length-weighted gap to the power of the shape is gamma with 1 + 1 / shape."""
        gap = rng.standard_gamma(1 + 1 / self.shape) ** (1 / self.shape) / gamma_function(1 + 1 / self.shape)
        return float(rng.random() * gap)


def gap_law(cv: float) -> GapLaw:
    """Gaps with standard deviation / mean = `cv`: exponential at 1, gamma otherwise.

    Examples
    --------
    >>> gaps = gap_law(cv=2.0).gaps(np.random.default_rng(1), 100_000)
    >>> round(float(gaps.mean()), 1), round(float(gaps.std()), 1)
    (1.0, 2.0)
    """
    check_positive("coefficient of variation", cv)
    return ExponentialGaps() if cv == 1.0 else GammaGaps(1.0 / cv**2)


def check_positive(what: str, value: float) -> None:
    """Raise `InputError` unless a value is a number above 0."""
    if not (np.isfinite(value) and value > 0):
        raise InputError(f"arrivals: the {what} must be a positive number, got {value:g}")
