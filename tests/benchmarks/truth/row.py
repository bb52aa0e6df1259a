"""One line of the accuracy table: what a prediction is worth against one source of measurements."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike


class Row(NamedTuple):
    """Relative errors of one quantity against one group of measurements.

    Attributes
    ----------
    source
        Whose measurements, e.g. ``InferenceX and NVIDIA (silicon sample)``.
    quantity
        What is compared, with its unit, e.g. ``TPOT [ms]``.
    group
        The rows' common trait, e.g. ``h100, agg``.
    rows
        How many measurements.
    median, mean
        Of the absolute relative errors, 1.
    bias
        Median of the signed relative errors, predicted over measured, 1.
    coverage
        Share of the measurements inside the stated 90 % interval, 1; None: no interval is stated.
    note
        What a reader must know beside the figure, one sentence.
    """

    source: str
    quantity: str
    group: str
    rows: int
    median: float
    mean: float
    bias: float
    coverage: float | None = None
    note: str = ""


def row(
    source: str,
    quantity: str,
    group: str,
    predicted: ArrayLike,
    measured: ArrayLike,
    *,
    inside: ArrayLike | None = None,
    note: str = "",
) -> Row:
    """The line for predictions beside their measurements, both of shape (rows,) and in the same unit.

    Parameters
    ----------
    inside
        Whether each measurement lies in its interval; None: no interval is stated.
    """
    error = np.asarray(predicted, float) / np.asarray(measured, float) - 1.0
    if not len(error):
        nan = float("nan")
        return Row(source, quantity, group, 0, nan, nan, nan, None, note)
    coverage = None if inside is None else float(np.mean(np.asarray(inside, bool)))
    size = np.abs(error)
    return Row(
        source, quantity, group, len(error), float(np.median(size)), float(np.mean(size)),
        float(np.median(error)), coverage, note,
    )  # fmt: skip
