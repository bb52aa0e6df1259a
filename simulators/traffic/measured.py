"""Laws of request lengths from tables: token counts, distributions, quantiles, recorded rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulators.errors import InputError
from simulators.traffic.lengths import MAX_TOKENS, Tokens, check_ratio, cumulative_of, pick, split


class Empirical:
    """Prompt and output independent, each from a table of token counts and probabilities.

    Probabilities are scaled to sum 1; a count of 0 becomes 1 token.

    Examples
    --------
    >>> law = Empirical([100, 900], [1, 3], [50], [1])
    >>> prefill, decode = law.draw(np.random.default_rng(1), 10_000)
    >>> round(float((prefill == 900).mean()), 2), set(decode.tolist())
    (0.75, {50})
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
        return prefill[pick(prefill_cumulative, rng, n)], decode[pick(decode_cumulative, rng, n)]


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
    return np.maximum(np.rint(tokens), 1).astype(np.int64), cumulative_of(weights)


class TotalCdf:
    """Total tokens from a cumulative distribution given at some lengths, split by the ratio.

    Between two given lengths, and from 2 tokens to the first, the total is uniform.

    Parameters
    ----------
    tokens, cumulative
        Ascending lengths and P(total <= length), the last 1; each of shape (n,).

    Examples
    --------
    >>> law = TotalCdf([1000, 4000], [0.8, 1.0], prefill_to_decode=3.0)
    >>> prefill, decode = law.draw(np.random.default_rng(1), 10_000)
    >>> round(float((prefill + decode <= 1000).mean()), 1)
    0.8
    """

    def __init__(self, tokens: ArrayLike, cumulative: ArrayLike, prefill_to_decode: float) -> None:
        lengths = np.asarray(tokens, dtype=np.float64)
        probability = np.asarray(cumulative, dtype=np.float64)
        check_ratio(prefill_to_decode)
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

    Examples
    --------
    >>> law = Quantiles([0, 50, 100], [100, 500, 900], [10, 40, 70])
    >>> prefill, _ = law.draw(np.random.default_rng(1), 10_000)
    >>> bool(490 < np.median(prefill) < 510)
    True
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
    """Rows of a recorded trace, drawn with replacement: prompt and output stay together.

    Examples
    --------
    >>> prefill, decode = Rows(np.array([10, 20]), np.array([1, 2])).draw(np.random.default_rng(1), 100)
    >>> bool((prefill == 10 * decode).all())
    True
    """

    def __init__(self, prefill_tokens: Tokens, decode_tokens: Tokens) -> None:
        if not len(prefill_tokens) or len(prefill_tokens) != len(decode_tokens):
            raise InputError("lengths: the trace to draw from has no requests")
        self._prefill = prefill_tokens
        self._decode = decode_tokens

    def draw(self, rng: np.random.Generator, n: int) -> tuple[Tokens, Tokens]:
        """See `Lengths`."""
        rows = rng.integers(0, len(self._prefill), n)
        return self._prefill[rows].astype(np.int64), self._decode[rows].astype(np.int64)
