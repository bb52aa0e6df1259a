"""Flicker severity of a voltage that fluctuates: the flickermeter of IEC 61000-4-15, from the r.m.s. voltage on.

The standard's meter takes the waveform. Here the envelope is known, so that the meter is entered behind the mains
wave: block 2 (squaring demodulator) is the square of the envelope, and what the standard's low-pass filter takes out at
twice the mains frequency is not there to begin with. Blocks 3 (weighting of lamp, eye and brain), 4 (squaring, 300 ms)
and 5 (classifier) are the standard's. Leaving the wave out costs at most 1 % at the calibration points of its table 5.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import signal

Array = NDArray[np.float64]
LampName = Literal["230V-50Hz", "120V-60Hz"]


class Lamp(NamedTuple):
    """The reference incandescent lamp of 60 W with the eye behind it, as IEC 61000-4-15:2010, 6.4.3 has it.

    Attributes
    ----------
    mains_hz
        Of the supply.
    low_pass_hz
        Corner of the Butterworth filter of sixth order.
    gain, damping_hz, pole_hz, zero_hz, first_hz, second_hz
        K, lambda / 2 pi and omega 1, 2, 3, 4 / 2 pi of the weighting filter.
    visible_percent
        Sinusoidal change of voltage at 8.8 Hz, peak to peak, that half of the observers just see: P_inst = 1.
    """

    mains_hz: float
    low_pass_hz: float
    gain: float
    damping_hz: float
    pole_hz: float
    zero_hz: float
    first_hz: float
    second_hz: float
    visible_percent: float


LAMPS: dict[LampName, Lamp] = {
    "230V-50Hz": Lamp(50.0, 35.0, 1.74802, 4.05981, 9.15494, 2.27979, 1.22535, 21.9, 0.250),
    "120V-60Hz": Lamp(60.0, 42.0, 1.6357, 4.167375, 9.077169, 2.939902, 1.394468, 17.31512, 0.321),
}

PST_ONE: dict[LampName, tuple[tuple[float, float], ...]] = {
    "230V-50Hz": (
        *((1, 2.715), (2, 2.191), (7, 1.450), (39, 0.894), (110, 0.722), (1620, 0.407)),
        (4000, 2.343),
    ),
    "120V-60Hz": (
        *((1, 3.181), (2, 2.564), (7, 1.694), (39, 1.040), (110, 0.844), (1620, 0.548)),
        (4800, 4.837),
    ),
}
"""Rectangular changes per minute, and their size, %, for which P_st is 1: IEC 61000-4-15:2010, table 5 (within 5 %)."""

PERIOD_S = 600.0
"""What P_st is of (IEC 61000-4-15, 6.7)."""

COARSEST_S = 0.02
"""Longest sample for flicker: one cycle of 50 Hz. Means over longer ones flatten 8.8 Hz, where the eye is keenest, by
more than 5 % (sin(x) / x with x = pi 8.8 Hz 0.02 s is 0.95)."""

_HIGH_PASS_HZ, _SMOOTHING_S, _KEENEST_HZ = 0.05, 0.3, 8.8
_RATE_HZ = 1600.0
"""Least rate of the filters: their bilinear transforms are within 1 % of the analogue ones up to 40 Hz."""

_WEIGHTS = (
    (0.0314, (0.1,)),
    (0.0525, (0.7, 1.0, 1.5)),
    (0.0657, (2.2, 3.0, 4.0)),
    (0.28, (6.0, 8.0, 10.0, 13.0, 17.0)),
    (0.08, (30.0, 50.0, 80.0)),
)
"""Weight, and the shares of time, %, that the levels are exceeded whose mean it weighs (IEC 61000-4-15, 6.7.2)."""


def sensation(v_pu: Array, step_s: float, lamp: LampName = "230V-50Hz") -> tuple[Array, float]:
    """Instantaneous flicker sensation P_inst of a series of r.m.s. voltages.

    Parameters
    ----------
    v_pu
        p.u.; shape (samples,). Before the first sample it stood at its value. Changes count relative to the mean: block
        1 of the standard brings the voltage to a reference by its mean of about a minute.
    step_s
        Time between samples, s; a sample holds until the next.
    lamp
        Reference lamp and supply.

    Returns
    -------
    array
        P_inst, 1; finer than the input where that is coarse.
    float
        Time between its values, s.

    Examples
    --------
    >>> t = np.arange(0.0, 60.0, 0.001)
    >>> at_limit = 1.0 + 0.00125 * np.sin(2 * np.pi * 8.8 * t)  # 0.25 % from peak to peak
    >>> p_inst, _ = sensation(at_limit, 0.001)
    >>> round(float(p_inst[60_000:].max()), 2)
    1.0
    """
    repeat = max(1, math.ceil(_RATE_HZ * step_s))
    rate_hz = repeat / step_s
    squared = np.repeat((v_pu * v_pu - v_pu[0] * v_pu[0]) / v_pu.mean() ** 2, repeat)
    zeros, poles, gain = _weighting(lamp)
    filters = signal.zpk2sos(*signal.bilinear_zpk(zeros, poles, gain, rate_hz))
    seen = signal.sosfilt(filters, squared)
    smooth = signal.bilinear([1.0], [_SMOOTHING_S, 1.0], rate_hz)
    return _scale(lamp) * signal.lfilter(*smooth, seen * seen), 1.0 / rate_hz


def severity(p_inst: Array) -> float:
    """Short-term flicker severity P_st of instantaneous sensations, of `PERIOD_S` as a rule.

    Examples
    --------
    >>> round(severity(np.full(1000, 2.0)), 4)  # what never changes: sqrt(0.5096 * 2)
    1.0096
    """
    total = sum(
        weight * float(np.quantile(p_inst, 1.0 - np.array(shares) / 100.0).mean())
        for weight, shares in _WEIGHTS
    )
    return math.sqrt(max(total, 0.0))


def severities(p_inst: Array, step_s: float) -> list[float]:
    """P_st of each whole period of `PERIOD_S`; of all there is, if that is less than one."""
    size = round(PERIOD_S / step_s)
    whole = len(p_inst) // size
    if not whole:
        return [severity(p_inst)]
    return [severity(p_inst[n * size : (n + 1) * size]) for n in range(whole)]


def long_term(p_st: list[float]) -> float | None:
    """Long-term severity P_lt: the cubic mean of the last twelve P_st (two hours); None of fewer.

    Examples
    --------
    >>> round(long_term([0.5] * 11 + [1.0]), 3)
    0.583
    """
    if len(p_st) < 12:
        return None
    return float(np.mean(np.array(p_st[-12:]) ** 3) ** (1.0 / 3.0))


def attenuation(step_s: float, at_hz: float = _KEENEST_HZ) -> float:
    """What means over `step_s` leave of a fluctuation, 1."""
    return float(np.sinc(at_hz * step_s))


@cache
def _weighting(lamp: LampName) -> tuple[Array, Array, float]:
    """Block 3 as an analogue filter: zeros, poles, gain of high pass, low pass and weighting together."""
    of, turn = LAMPS[lamp], 2.0 * math.pi
    low = signal.butter(6, turn * of.low_pass_hz, analog=True, output="zpk")
    above = np.polymul([of.gain * turn * of.pole_hz, 0.0], [1.0 / (turn * of.zero_hz), 1.0])
    below = np.polymul(
        [1.0, 2.0 * turn * of.damping_hz, (turn * of.pole_hz) ** 2],
        np.polymul([1.0 / (turn * of.first_hz), 1.0], [1.0 / (turn * of.second_hz), 1.0]),
    )
    eye = signal.tf2zpk(above, below)
    zeros = np.concatenate([[0.0], low[0], eye[0]])
    poles = np.concatenate([[-turn * _HIGH_PASS_HZ], low[1], eye[1]])
    return zeros, poles, float(low[2] * eye[2])


@cache
def _scale(lamp: LampName) -> float:
    """Of block 4: P_inst peaks at 1 for `visible_percent` at 8.8 Hz.

    The square of ``1 + d / 2 sin`` is ``1 + d sin`` in first order; after weighting by `h` and squaring the wave of
    ``(d h)^2 / 2`` stands on as much of a constant, and smoothing leaves `left` of it.
    """
    zeros, poles, gain = _weighting(lamp)
    _, response = signal.freqs_zpk(zeros, poles, gain, [2.0 * math.pi * _KEENEST_HZ])
    size = LAMPS[lamp].visible_percent / 100.0 * abs(complex(response[0]))
    left = 1.0 / math.hypot(1.0, 2.0 * math.pi * 2.0 * _KEENEST_HZ * _SMOOTHING_S)
    return 1.0 / (size * size / 2.0 * (1.0 + left))
