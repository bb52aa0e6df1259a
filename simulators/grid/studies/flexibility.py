"""What a load sheds for a product: read off its power with a lever and without, on the same requests."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

J_PER_KWH = 3.6e6


@dataclass(frozen=True)
class Delivery:
    """What is delivered of one event.

    Attributes
    ----------
    kw
        The least that is shed in any window from the response time to the end of delivery, kW; not below 0.
    mean_kw
        Mean of these windows, kW.
    response_s
        When a second first sheds `kw` in the mean, after the signal, s.
    shed_kwh
        Energy not drawn from the signal to the end of the event, kWh, net.
    rebound_kwh, rebound_kw
        Energy drawn more after it, kWh, net; and the most in any window, kW.
    """

    kw: float
    mean_kw: float
    response_s: float
    shed_kwh: float
    rebound_kwh: float
    rebound_kw: float


def windows(values: Array, width: int) -> Array:
    """Means over `width` values one after the other, from every one on; shape (len(values) - width + 1,).

    Examples
    --------
    >>> windows(np.array([1.0, 3.0, 5.0]), 2).tolist()
    [2.0, 4.0]
    """
    sums = np.concatenate(([0.0], np.cumsum(values)))
    means: Array = (sums[width:] - sums[:-width]) / width
    return means


def delivery(
    without_w: Array,
    with_w: Array,
    width_s: float,
    signal_s: float,
    ends_s: float,
    window_s: float,
    span: tuple[float, float],
) -> Delivery:
    """What a lever sheds.

    Parameters
    ----------
    without_w, with_w
        Power in equal bins from the start of a run, W; shape (bins,). The same until the signal.
    width_s
        Of a bin, s.
    signal_s, ends_s
        When the event begins and ends, s from the start.
    window_s
        Delivery is judged by means over this time, s.
    span
        From the response time to the end of delivery, s after the signal.

    Examples
    --------
    >>> before = np.full(100, 1000.0)
    >>> after = before.copy(); after[12:50] = 600.0; after[50:60] = 1100.0
    >>> delivery(before, after, 1.0, 10.0, 50.0, 2.0, (2.0, 30.0)).kw
    0.4
    """
    less_w = without_w - with_w
    signal, end = round(signal_s / width_s), round(ends_s / width_s)
    wide = max(1, round(window_s / width_s))
    means = windows(less_w, wide)
    first, last = signal + round(span[0] / width_s), signal + round(span[1] / width_s)
    judged = means[first : max(first + 1, last - wide + 1)]
    least = float(judged.min())
    seconds = windows(less_w, max(1, round(1.0 / width_s)))
    reached = np.flatnonzero(seconds[signal:end] >= least - 1e-9 * abs(least))
    after = windows(-less_w[end:], wide) if len(less_w) - end >= wide else np.zeros(1)
    joules = less_w * width_s
    return Delivery(
        kw=max(0.0, least) / 1e3,
        mean_kw=float(judged.mean()) / 1e3,
        response_s=float(reached[0]) * width_s if len(reached) else float("inf"),
        shed_kwh=float(joules[signal:end].sum()) / J_PER_KWH,
        rebound_kwh=float(-joules[end:].sum()) / J_PER_KWH,
        rebound_kw=max(0.0, float(after.max())) / 1e3,
    )
