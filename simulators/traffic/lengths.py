"""How long requests are: laws of (prefill, decode) token counts.

A law draws whole chunks; prompt and output are at least one token each. Laws of the *total* length split it
with a prefill-to-decode ratio r: decode = floor(total / (1 + r)) and prefill = total - decode, both at least
1, so the total is kept. (Vidur cuts both parts to whole numbers and so loses one token of the prompt where
the total is not divisible.)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulators.errors import InputError

Tokens = NDArray[np.int64]
MAX_TOKENS = 2**31 - 1


class Lengths(Protocol):
    """A law of request lengths."""

    def draw(self, rng: np.random.Generator, n: int) -> tuple[Tokens, Tokens]:
        """Prefill and decode tokens of `n` requests, each of shape (n,) and >= 1."""
        ...


def _whole(what: str, value: float, least: int = 1) -> None:
    if not (least <= value <= MAX_TOKENS and value == int(value)):
        raise InputError(f"lengths: {what} must be a whole number of at least {least} tokens, got {value:g}")


def _ratio(value: float) -> None:
    if not (np.isfinite(value) and value >= 0):
        raise InputError(f"lengths: the prefill-to-decode ratio must be a number >= 0, got {value:g}")


def split(total: Tokens, prefill_to_decode: float) -> tuple[Tokens, Tokens]:
    """Divide total tokens (>= 2) into prefill and decode by the ratio; both >= 1 and their sum the total."""
    decode = np.clip((total / (1.0 + prefill_to_decode)).astype(np.int64), 1, total - 1)
    return total - decode, decode


@dataclass(frozen=True)
class Fixed:
    """Every request alike, tokens."""

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
    """Total tokens uniform over minimum..maximum, both included, split by the ratio."""

    minimum: int
    maximum: int
    prefill_to_decode: float

    def __post_init__(self) -> None:
        _range(self.minimum, self.maximum)
        _ratio(self.prefill_to_decode)

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
    """

    minimum: int
    maximum: int
    theta: float
    prefill_to_decode: float
    _cumulative: NDArray[np.float64] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _range(self.minimum, self.maximum)
        _ratio(self.prefill_to_decode)
        if not (np.isfinite(self.theta) and self.theta >= 0):
            raise InputError(f"lengths: theta must be a number >= 0, got {self.theta:g}")
        if self.maximum - self.minimum >= 10_000_000:
            raise InputError("lengths: a Zipf range of more than 10 million tokens")
        ranks = np.arange(1, self.maximum - self.minimum + 2, dtype=np.float64)
        object.__setattr__(self, "_cumulative", _cumulative(ranks**-self.theta))

    def draw(self, rng: np.random.Generator, n: int) -> tuple[Tokens, Tokens]:
        """See `Lengths`."""
        total = self.minimum + _pick(self._cumulative, rng, n)
        return split(total, self.prefill_to_decode)


def _cumulative(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cumulative probabilities of `weights`; the last is exactly 1."""
    cumulative = np.cumsum(weights)
    cumulative /= cumulative[-1]
    cumulative[-1] = 1.0
    return cumulative


def _pick(cumulative: NDArray[np.float64], rng: np.random.Generator, n: int) -> Tokens:
    """Indices drawn with the probabilities behind `cumulative`."""
    index: Tokens = np.asarray(np.searchsorted(cumulative, rng.random(n), side="right"), dtype=np.int64)
    return index


@dataclass(frozen=True)
class LogNormal:
    """Prompt and output independent and log-normal, given by mean (tokens) and coefficient of variation.

    With s2 = ln(1 + cv**2) and m = ln(mean) - s2 / 2 the variable exp(N(m, s2)) has that mean and that ratio
    of standard deviation to mean (Johnson, Kotz, Balakrishnan, *Continuous Univariate Distributions 1*, 1994,
    ch. 14). Values are rounded to whole tokens, at least 1.
    """

    prefill_mean: float
    prefill_cv: float
    decode_mean: float
    decode_cv: float

    def __post_init__(self) -> None:
        for what, mean in (("prompt", self.prefill_mean), ("output", self.decode_mean)):
            if not (np.isfinite(mean) and mean >= 1):
                raise InputError(f"lengths: the mean {what} must be at least 1 token, got {mean:g}")
        for cv in (self.prefill_cv, self.decode_cv):
            if not (np.isfinite(cv) and cv >= 0):
                raise InputError(f"lengths: a coefficient of variation must be a number >= 0, got {cv:g}")

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


class Empirical:
    """Prompt and output independent, each from a table of token counts and probabilities.

    Probabilities are scaled to sum 1; a count of 0 becomes 1 token.
    """

    def __init__(
        self,
        prefill_values: ArrayLike,
        prefill_probabilities: ArrayLike,
        decode_values: ArrayLike,
        decode_probabilities: ArrayLike,
    ) -> None:
        self._prefill = _table("prompt", prefill_values, prefill_probabilities)
        self._decode = _table("output", decode_values, decode_probabilities)

    def draw(self, rng: np.random.Generator, n: int) -> tuple[Tokens, Tokens]:
        """See `Lengths`."""
        prefill, prefill_cumulative = self._prefill
        decode, decode_cumulative = self._decode
        return prefill[_pick(prefill_cumulative, rng, n)], decode[_pick(decode_cumulative, rng, n)]


def _table(what: str, values: ArrayLike, probabilities: ArrayLike) -> tuple[Tokens, NDArray[np.float64]]:
    tokens = np.asarray(values, dtype=np.float64)
    weights = np.asarray(probabilities, dtype=np.float64)
    if tokens.ndim != 1 or tokens.shape != weights.shape or not len(tokens):
        raise InputError(
            f"lengths: the {what} table needs one probability for each of at least one token count"
        )
    if not np.all((tokens >= 0) & (tokens <= MAX_TOKENS)):
        raise InputError(f"lengths: the {what} table has a token count that is negative or not a number")
    if not (np.all(np.isfinite(weights)) and np.all(weights >= 0) and weights.sum() > 0):
        raise InputError(f"lengths: the {what} table needs probabilities >= 0 that are not all zero")
    return np.maximum(np.rint(tokens), 1).astype(np.int64), _cumulative(weights)


class TotalCdf:
    """Total tokens from a cumulative distribution given at some lengths, split by the ratio.

    Between two given lengths, and from 2 tokens to the first, the total is uniform.

    Parameters
    ----------
    tokens, cumulative
        Ascending lengths and P(total <= length), the last 1; each of shape (n,).
    """

    def __init__(self, tokens: ArrayLike, cumulative: ArrayLike, prefill_to_decode: float) -> None:
        lengths = np.asarray(tokens, dtype=np.float64)
        probability = np.asarray(cumulative, dtype=np.float64)
        _ratio(prefill_to_decode)
        if lengths.ndim != 1 or lengths.shape != probability.shape or not len(lengths):
            raise InputError(
                "lengths: the distribution needs one probability for each of at least one length"
            )
        if not (np.all(np.diff(lengths) > 0) and lengths[0] >= 2 and lengths[-1] <= MAX_TOKENS):
            raise InputError("lengths: the distribution's lengths must ascend and be at least 2 tokens")
        ascending = probability[0] >= 0 and np.all(np.diff(probability) >= 0)
        if not (ascending and abs(probability[-1] - 1) < 1e-6):
            raise InputError("lengths: the cumulative probabilities must ascend from >= 0 to 1")
        self._prefill_to_decode = prefill_to_decode
        self._tokens = np.concatenate(([1.0], lengths))
        self._cumulative = np.concatenate(([0.0], probability))
        self._cumulative[-1] = 1.0

    def draw(self, rng: np.random.Generator, n: int) -> tuple[Tokens, Tokens]:
        """See `Lengths`."""
        u = rng.random(n)
        upper = np.searchsorted(self._cumulative, u, side="right")
        low, high = self._cumulative[upper - 1], self._cumulative[upper]
        span = self._tokens[upper] - self._tokens[upper - 1]
        total = np.ceil(self._tokens[upper - 1] + (u - low) / (high - low) * span)
        return split(np.maximum(total, 2).astype(np.int64), self._prefill_to_decode)


class Quantiles:
    """Prompt and output independent, each from quantiles, linear between two of them; rounded, at least 1.

    Few quantiles in a long tail shift the mean: code completions' outputs come out 10 % too long on average.

    Parameters
    ----------
    percent
        Ascending from 0 to 100; shape (n,).
    prefill_tokens, decode_tokens
        The quantiles at `percent`, ascending; each of shape (n,).
    """

    def __init__(self, percent: ArrayLike, prefill_tokens: ArrayLike, decode_tokens: ArrayLike) -> None:
        self._level = np.asarray(percent, dtype=np.float64) / 100
        level = self._level
        if (
            level.ndim != 1
            or len(level) < 2
            or (level[0], level[-1]) != (0, 1)
            or not np.all(np.diff(level) > 0)
        ):
            raise InputError("lengths: the levels of the quantiles must ascend from 0 to 100 percent")
        self._prefill = _quantiles("prompt", prefill_tokens, len(level))
        self._decode = _quantiles("output", decode_tokens, len(level))

    def draw(self, rng: np.random.Generator, n: int) -> tuple[Tokens, Tokens]:
        """See `Lengths`."""
        u = rng.random((n, 2))
        return (
            np.rint(np.interp(u[:, 0], self._level, self._prefill)).astype(np.int64),
            np.rint(np.interp(u[:, 1], self._level, self._decode)).astype(np.int64),
        )


def _quantiles(what: str, tokens: ArrayLike, n: int) -> NDArray[np.float64]:
    values = np.asarray(tokens, dtype=np.float64)
    if (
        values.shape != (n,)
        or not np.all((values >= 0) & (values <= MAX_TOKENS))
        or np.any(np.diff(values) < 0)
    ):
        raise InputError(f"lengths: the {what} needs {n} ascending quantiles >= 0, one for each level")
    return np.maximum(values, 1)


class Rows:
    """Rows of a recorded trace, drawn with replacement: prompt and output stay together."""

    def __init__(self, prefill_tokens: Tokens, decode_tokens: Tokens) -> None:
        if not len(prefill_tokens) or len(prefill_tokens) != len(decode_tokens):
            raise InputError("lengths: the trace to draw from has no requests")
        self._prefill = prefill_tokens
        self._decode = decode_tokens

    def draw(self, rng: np.random.Generator, n: int) -> tuple[Tokens, Tokens]:
        """See `Lengths`."""
        rows = rng.integers(0, len(self._prefill), n)
        return self._prefill[rows].astype(np.int64), self._decode[rows].astype(np.int64)
