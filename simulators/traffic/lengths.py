"""How long requests are: laws of (prefill, decode) token counts, by formula; from tables in `measured`.

A law draws whole chunks; prompt and output are at least one token each. Laws of the *total* length split it
with a prefill-to-decode ratio r: decode = floor(total / (1 + r)) and prefill = total - decode, both at least
1, so the total is kept. (Vidur cuts both parts to whole numbers and so loses one token of the prompt where
the total is not divisible.)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from simulators.errors import InputError

Tokens = NDArray[np.int64]
MAX_TOKENS = 2**31 - 1
MOST_DRAWN = 10_000_000
"""Of a law: the longest contexts that models are made for, in tokens."""

_STEEPEST, _MOST_PER_DECODE = 100.0, 1e7


class Lengths(Protocol):
    """A law of request lengths."""

    def draw(self, rng: np.random.Generator, n: int) -> tuple[Tokens, Tokens]:
        """Prefill and decode tokens of `n` requests, each of shape (n,) and >= 1."""
        ...


def _whole(what: str, value: float, least: int = 1) -> None:
    if not (least <= value <= MOST_DRAWN and value == int(value)):
        raise InputError(
            f"lengths: {what} must be a whole number of at least {least} and at most {MOST_DRAWN} tokens, got {value:g}"
        )


def check_ratio(value: float) -> None:
    """Raise `InputError` for a prefill-to-decode ratio that is none."""
    if not 0 <= value <= _MOST_PER_DECODE:
        raise InputError(
            f"lengths: the prefill-to-decode ratio must be a number from 0 to {_MOST_PER_DECODE:g}, got {value:g}"
        )


def split(total: Tokens, prefill_to_decode: float) -> tuple[Tokens, Tokens]:
    """Divide total tokens (>= 2) into prefill and decode by the ratio; both >= 1 and their sum the total.

    Examples
    --------
    >>> [part.tolist() for part in split(np.array([2, 100, 1000]), prefill_to_decode=4.0)]
    [[1, 80, 800], [1, 20, 200]]
    """
    decode = np.clip((total / (1.0 + prefill_to_decode)).astype(np.int64), 1, total - 1)
    return total - decode, decode


@dataclass(frozen=True)
class Fixed:
    """Every request alike, tokens.

    Examples
    --------
    >>> [part.tolist() for part in Fixed(512, 128).draw(np.random.default_rng(1), 2)]
    [[512, 512], [128, 128]]
    """

    prefill_tokens: int
    decode_tokens: int

    def __post_init__(self) -> None:
        _whole("the prompt", self.prefill_tokens)
        _whole("the output", self.decode_tokens)

    def draw(self, rng: np.random.Generator, n: int) -> tuple[Tokens, Tokens]:
        """See `Lengths`; nothing is drawn."""
        return np.full(n, self.prefill_tokens, dtype=np.int64), np.full(n, self.decode_tokens, dtype=np.int64)


@dataclass(frozen=True)
class Uniform:
    """Total tokens uniform over minimum..maximum, both included, split by the ratio.

    Examples
    --------
    >>> prefill, decode = Uniform(100, 200, prefill_to_decode=4.0).draw(np.random.default_rng(1), 1000)
    >>> total = prefill + decode
    >>> total.min().item(), total.max().item()
    (100, 200)
    """

    minimum: int
    maximum: int
    prefill_to_decode: float

    def __post_init__(self) -> None:
        _range(self.minimum, self.maximum)
        check_ratio(self.prefill_to_decode)

    def draw(self, rng: np.random.Generator, n: int) -> tuple[Tokens, Tokens]:
        """See `Lengths`."""
        return split(rng.integers(self.minimum, self.maximum + 1, n), self.prefill_to_decode)


def _range(minimum: int, maximum: int) -> None:
    _whole("the minimum total", minimum, least=2)
    _whole("the maximum total", maximum, least=2)
    if maximum < minimum:
        raise InputError(f"lengths: the maximum {maximum} is below the minimum {minimum}")


@dataclass(frozen=True)
class Zipf:
    """Total tokens Zipf-distributed over minimum..maximum, split by the ratio.

    P(total = minimum + k - 1) is proportional to k**-theta for k = 1..maximum - minimum + 1: the shortest
    total is the most frequent one. The law is sampled exactly by inversion, for every theta >= 0 (0 is
    uniform). It is the meaning of Vidur's Zipf lengths (which approximate it after Gray et al., SIGMOD 1994,
    doi:10.1145/191839.191886) without their optional scrambling of totals, which depends on the interpreter's
    hash seed.

    Examples
    --------
    >>> prefill, decode = Zipf(1024, 4096, theta=0.6, prefill_to_decode=20.0).draw(np.random.default_rng(1), 10_000)
    >>> bool(1024 <= (prefill + decode).min()), bool(1500 < np.median(prefill + decode) < 1650)
    (True, True)
    """

    minimum: int
    maximum: int
    theta: float
    prefill_to_decode: float
    _cumulative: NDArray[np.float64] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _range(self.minimum, self.maximum)
        check_ratio(self.prefill_to_decode)
        if not 0 <= self.theta <= _STEEPEST:
            raise InputError(f"lengths: theta must be a number from 0 to {_STEEPEST:g}, got {self.theta:g}")
        ranks = np.arange(1, self.maximum - self.minimum + 2, dtype=np.float64)
        object.__setattr__(self, "_cumulative", cumulative_of(ranks**-self.theta))

    def draw(self, rng: np.random.Generator, n: int) -> tuple[Tokens, Tokens]:
        """See `Lengths`."""
        total = self.minimum + pick(self._cumulative, rng, n)
        return split(total, self.prefill_to_decode)


def cumulative_of(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cumulative probabilities of `weights`; the last is exactly 1."""
    cumulative = np.cumsum(weights)
    cumulative /= cumulative[-1]
    cumulative[-1] = 1.0
    return cumulative


def pick(cumulative: NDArray[np.float64], rng: np.random.Generator, n: int) -> Tokens:
    """Indices drawn with the probabilities behind `cumulative`."""
    index: Tokens = np.asarray(np.searchsorted(cumulative, rng.random(n), side="right"), dtype=np.int64)
    return index


@dataclass(frozen=True)
class LogNormal:
    """Prompt and output independent and log-normal, given by mean (tokens) and coefficient of variation.

    With s2 = ln(1 + cv**2) and m = ln(mean) - s2 / 2 the variable exp(N(m, s2)) has that mean and that ratio
    of standard deviation to mean (Johnson, Kotz, Balakrishnan, *Continuous Univariate Distributions 1*, 1994,
    ch. 14). Values are rounded to whole tokens, at least 1.

    Examples
    --------
    >>> prefill, _ = LogNormal(1000.0, 0.5, 200.0, 1.0).draw(np.random.default_rng(1), 100_000)
    >>> round(float(prefill.mean()), -1), round(float(prefill.std() / prefill.mean()), 1)
    (1000.0, 0.5)
    """

    prefill_mean: float
    prefill_cv: float
    decode_mean: float
    decode_cv: float

    def __post_init__(self) -> None:
        for what, mean in (("prompt", self.prefill_mean), ("output", self.decode_mean)):
            if not 1 <= mean <= MOST_DRAWN:
                raise InputError(
                    f"lengths: the mean {what} must be at least 1 token and at most {MOST_DRAWN}, got {mean:g}"
                )
        for cv in (self.prefill_cv, self.decode_cv):
            if not 0 <= cv <= _STEEPEST:
                raise InputError(
                    f"lengths: a coefficient of variation must be a number from 0 to {_STEEPEST:g}, got {cv:g}"
                )

    def draw(self, rng: np.random.Generator, n: int) -> tuple[Tokens, Tokens]:
        """See `Lengths`."""
        normal = rng.standard_normal((n, 2))
        return (
            _lognormal(normal[:, 0], self.prefill_mean, self.prefill_cv),
            _lognormal(normal[:, 1], self.decode_mean, self.decode_cv),
        )


def _lognormal(normal: NDArray[np.float64], mean: float, cv: float) -> Tokens:
    variance = np.log1p(cv**2)
    tokens = np.exp(np.log(mean) - variance / 2 + np.sqrt(variance) * normal)
    whole: Tokens = np.clip(np.rint(tokens), 1, MAX_TOKENS).astype(np.int64)
    return whole
