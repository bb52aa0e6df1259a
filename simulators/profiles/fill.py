"""What is done about missing values: nothing, or a rule with a limit."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.errors import InputError

_UNITS_S = {"s": 1, "min": 60, "h": 3600, "d": 86400}


class FillRule(NamedTuple):
    """How holes are filled: ``previous`` or ``interpolate``, and the longest hole filled, s (None: any)."""

    rule: str
    limit_s: float | None = None


def parse_fill(text: str) -> FillRule:
    """A fill rule from ``previous``, ``interpolate``, ``previous:3h``, ``interpolate:90min``.

    Raises
    ------
    InputError
        If it is none.

    Examples
    --------
    >>> parse_fill("previous:3h")
    FillRule(rule='previous', limit_s=10800.0)
    """
    rule, colon, limit = text.partition(":")
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(s|min|h|d)", limit)
    if rule not in ("previous", "interpolate") or (colon and not match):
        raise InputError(
            f"fill '{text}': expected interpolate or previous, with a limit if you like: previous:3h"
        )
    return FillRule(rule, float(match[1]) * _UNITS_S[match[2]] if match else None)


def filled(
    values: NDArray[np.float64], rule: FillRule, step_s: int
) -> tuple[NDArray[np.float64], int | None]:
    """Values without holes, and where the first hole longer than the limit begins (None: there is none).

    Examples
    --------
    >>> filled(np.array([1.0, np.nan, 3.0]), FillRule("interpolate"), 3600)[0].tolist()
    [1.0, 2.0, 3.0]
    """
    import pandas as pd

    series = pd.Series(values)
    holes = series.isna().to_numpy()
    if rule.limit_s is not None:
        starts = np.flatnonzero(holes & ~np.concatenate(([False], holes[:-1])))
        ends = np.flatnonzero(holes & ~np.concatenate((holes[1:], [False]))) + 1
        long = (ends - starts) * step_s > rule.limit_s
        if long.any():
            return values, int(starts[np.argmax(long)])
    inner = series.interpolate(limit_area="inside") if rule.rule == "interpolate" else series
    return np.asarray(inner.ffill().bfill(), dtype=np.float64), None
