"""Fit of prices (`terms.Coefficients`) to operating points, and what they are worth on models they have not seen."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.special import expit

from simulators.errors import InputError
from simulators.inference.catalogue import gpu
from simulators.inference.power.laws import BEND_SHARE
from simulators.inference.power.prices import ESTIMATED_HIGH, ESTIMATED_LOW, PHYSICS, loaded_idle_w, prices
from simulators.inference.power.terms import Coefficients
from simulators.inference.timing.sampling import SORTED_S_PER_LOGIT

FloatArray = NDArray[np.float64]
TERMS = Coefficients._fields

ROBUST_SCALE = 0.05
"""Relative residual from which on a row pulls less than squarely: curves of one model scatter by about that much."""
SPREAD, OWN_SPREAD = 0.125, 0.088
"""How far a price may stray from where it is expected, as a logarithm: for all GPUs together, and for one from the
others (the square root of half of it). A half over four: the 10 to 20 rows of one model scatter together and count as
one."""
ACTIVE_SHARE = 0.18
"""Expected `active` as a share of the room between idle and limit."""
SORTING_SHARE = 0.4
"""Expected power of sorting logits, as a share of that room."""
TAIL = 0.1
"""Quantile of a maker's residuals that bounds the interval. With it 85 to 90 % of the rows of a maker left out fall
inside (`errors`)."""
MIN_ROWS = 8


@dataclass(frozen=True)
class Fit:
    """Prices of every GPU in a set of points, and what they are worth.

    Attributes
    ----------
    coefficients
        By GPU.
    points
        The operating points with the columns ``in_sample_w`` (predicted by this fit), ``left_out_w`` (by a fit without
        any run of the same model), ``maker_out_w`` (without any of its maker's), and ``low_w``, ``high_w``: the
        interval around the latter from the residuals of the other makers. NaN where nothing would remain.
    spread
        Factors (low, high) on power above idle within which an unseen server is expected: `interval`.
    spread_from
        What they rest on.
    """

    coefficients: dict[str, Coefficients]
    points: pd.DataFrame = field(repr=False)
    spread: tuple[float, float]
    spread_from: str


def family(model: str) -> str:
    """The model a checkpoint is a variant of: without organisation, format, tuning and date.

    Variants share their shape, so a fit that knows one of them knows the other.

    Examples
    --------
    >>> family("Qwen/Qwen3-VL-235B-A22B-Instruct-FP8"), family("nvidia/NVIDIA-Nemotron-Nano-12B-v2-VL-BF16")
    ('Qwen3-VL-235B-A22B', 'NVIDIA-Nemotron-Nano-12B-v2')
    """
    name = model.split("/")[-1]
    return re.sub(
        r"-(FP8|BF16|Instruct|Thinking|it|chat|hf|VL(?=-BF16)|\d{4})(?=-|$)", "", name, flags=re.IGNORECASE
    )


def maker(model: str) -> str:
    """Who made a model: the part before the slash, or the first word."""
    return model.split("/")[0] if "/" in model else model.split("-")[0]


def expected(name: str) -> Coefficients:
    """Where the prices of a GPU are expected before anything is fitted: `physics`, and rules for what that leaves out.

    Padding and unpacking are products too and are expected to cost what 8-bit FLOP do. A byte of KV cache is expected
    to cost what one of weights does: its higher price in `physics` has the work around it, which `active` has here.
    """
    sheet = gpu(name)
    known = prices(sheet, PHYSICS).coefficients
    room_w = sheet.tdp_w - loaded_idle_w(sheet)
    return known._replace(
        active=ACTIVE_SHARE * room_w,
        kv=known.weights,
        flop8=0.7 * known.flop16,
        padded=0.6 * known.flop16,
        unpacked=0.6 * known.flop16,
        logits=SORTING_SHARE * room_w * SORTED_S_PER_LOGIT,
    )


def predict_w(points: pd.DataFrame, of: Mapping[str, Coefficients]) -> FloatArray:
    """Mean power of each operating point under the prices of its GPU, W; NaN where there are none."""
    watts = np.full(len(points), np.nan)
    units = points[list(TERMS)].to_numpy(float)
    names = points["gpu"].to_numpy()
    for name, coefficients in of.items():
        own = names == name
        sheet = gpu(name)
        watts[own] = bent_w(units[own] @ np.array(coefficients), loaded_idle_w(sheet), sheet.tdp_w)
    return watts


def bent_w(above_idle_w: FloatArray, idle_w: float | FloatArray, limit_w: float | FloatArray) -> FloatArray:
    """Power bent below the limit and never below idle, W: `law.below_limit_w` over arrays."""
    bend_w = BEND_SHARE * limit_w
    room_w = limit_w - idle_w - above_idle_w
    # Counted down from the limit, so that no rounding of huge loads lands above it.
    return np.asarray(np.maximum(limit_w - bend_w * np.logaddexp(0.0, room_w / bend_w), idle_w))


def mape(predicted_w: FloatArray, measured_w: FloatArray) -> float:
    """Mean absolute error as a share of the measurement, 1; NaN if a prediction is."""
    return float(np.mean(np.abs(predicted_w / measured_w - 1.0))) if len(measured_w) else float("nan")


def fit_prices(points: pd.DataFrame) -> dict[str, Coefficients]:
    """Prices of all GPUs in `points` at once, by robust least squares on the logarithm of power (soft L1 loss).

    A GPU's price is its expected one times a factor all GPUs share times a factor of its own, both held near 1: few
    models are measured, and what a model left out would have told about one GPU, another GPU still tells. A term no row
    has any of stays where it is expected.
    """
    names = sorted(set(points["gpu"]))
    index = points["gpu"].map(names.index).to_numpy()
    base = np.array([expected(name) for name in names])
    units = points[list(TERMS)].to_numpy(float)
    measured = np.log(points["power_w"].to_numpy(float))
    idle_w = np.array([loaded_idle_w(gpu(name)) for name in names])[index]
    limit_w = np.array([gpu(name).tdp_w for name in names])[index]
    count = len(TERMS)

    def priced(x: FloatArray) -> FloatArray:
        own = x[count:].reshape(len(names), count)
        return np.asarray(base * np.exp(SPREAD * x[:count] + OWN_SPREAD * own))

    def residuals(x: FloatArray) -> FloatArray:
        watts = bent_w((units * priced(x)[index]).sum(axis=1), idle_w, limit_w)
        error = (np.log(watts) - measured) / ROBUST_SCALE
        robust = np.sign(error) * np.sqrt(2.0 * (np.sqrt(1.0 + error**2) - 1.0))
        return np.concatenate([robust, x])

    def slopes(x: FloatArray) -> FloatArray:
        """Derivatives of the residuals; of power bent below the limit that is a logistic curve."""
        price = priced(x)[index]
        above_w = (units * price).sum(axis=1)
        watts = bent_w(above_w, idle_w, limit_w)
        error = (np.log(watts) - measured) / ROBUST_SCALE
        root = np.sqrt(1.0 + error**2)
        pull = np.sqrt((1.0 + 1.0 / root) / (2.0 * root))  # of the robust residual against the error
        unbent = np.where(watts > idle_w, expit((limit_w - idle_w - above_w) / (BEND_SHARE * limit_w)), 0.0)
        each = (pull * unbent / (watts * ROBUST_SCALE))[:, None] * units * price
        own = (index[:, None] == np.arange(len(names)))[:, :, None] * each[:, None, :]
        of_data = np.hstack([SPREAD * each, OWN_SPREAD * own.reshape(len(each), -1)])
        return np.asarray(np.vstack([of_data, np.eye(len(x))]))

    found = least_squares(residuals, np.zeros(count * (1 + len(names))), jac=slopes, method="lm")
    return {name: Coefficients(*map(float, row)) for name, row in zip(names, priced(found.x), strict=True)}


def fit(points: pd.DataFrame) -> Fit:
    """Fit all GPUs of `points`, and again without each model and each maker.

    Parameters
    ----------
    points
        Operating points (`measurements.read_measurements`).

    Raises
    ------
    InputError
        If there are too few points, or one lies above its board's limit.
    """
    own = points.reset_index(drop=True)
    for name, rows in own.groupby("gpu"):
        sheet = gpu(str(name))
        worst = float(rows["power_w"].max())
        if len(rows) < MIN_ROWS:
            raise InputError(f"{len(rows)} rows of {sheet.name}, expected at least {MIN_ROWS}")
        if worst > 1.1 * sheet.tdp_w:
            raise InputError(
                f"power_w {worst:g} is above the {sheet.tdp_w:g} W limit of {sheet.name}: W per GPU expected"
            )
    coefficients = fit_prices(own)
    own["in_sample_w"] = predict_w(own, coefficients)
    own["left_out_w"] = left_out_w(own, family)
    own["maker_out_w"] = left_out_w(own, maker)
    makers, ratio = own["model"].map(maker), above_idle_ratio(own)
    idle_w = own["gpu"].map(lambda name: loaded_idle_w(gpu(name)))
    limit_w = own["gpu"].map(lambda name: gpu(name).tdp_w)
    own["low_w"], own["high_w"] = np.nan, np.nan
    for one in makers.unique():
        held = makers == one
        low, high = interval(ratio[~held], own[~held])
        above_w = (own["maker_out_w"] - idle_w)[held]
        own.loc[held, "low_w"] = idle_w[held] + low * above_w
        own.loc[held, "high_w"] = np.minimum(idle_w[held] + high * above_w, limit_w[held])
    spread, basis = interval(ratio, own), "models of makers left out of the fit, the widest"
    if np.isnan(spread[0]):
        spread = interval(above_idle_ratio(own, "left_out_w"), own)
        basis = "models left out of the fit"
    if np.isnan(spread[0]):
        spread, basis = (ESTIMATED_LOW, ESTIMATED_HIGH), "judgement: one model, nothing could be left out"
    return Fit(coefficients, own, spread, basis)


def left_out_w(points: pd.DataFrame, by: Callable[[str], str]) -> FloatArray:
    """Power predicted by fits without any run of the same model or maker, W; NaN where too few rows would remain."""
    held = points["model"].map(by)
    watts = np.full(len(points), np.nan)
    for one in held.unique():
        out = (held == one).to_numpy()
        if (~out).sum() >= MIN_ROWS:
            watts[out] = predict_w(points[out], fit_prices(points[~out]))
    return watts


def above_idle_ratio(points: pd.DataFrame, predicted: str = "maker_out_w") -> pd.Series:
    """Measured over predicted power above idle; `predicted` is a column of the points of a `Fit`."""
    idle_w = points["gpu"].map(lambda name: loaded_idle_w(gpu(name)))
    return (points["power_w"] - idle_w) / (points[predicted] - idle_w)


def interval(ratio: pd.Series, points: pd.DataFrame) -> tuple[float, float]:
    """Factors on power above idle that hold an unseen maker's models.

    Rows of one maker on one GPU err together, so it is the number of makers that counts, and it is small: the interval
    reaches from the lowest of their `TAIL` quantiles to the highest of the opposite ones. Never without 1; NaN if
    nothing is known.
    """
    known = np.isfinite(ratio)
    groups = [points["model"].map(maker)[known], points["gpu"][known]]
    ends = [np.quantile(rows, [TAIL, 1 - TAIL]) for _, rows in ratio[known].groupby(groups)]
    if not ends:
        return float("nan"), float("nan")
    low, high = np.min(ends, axis=0)[0], np.max(ends, axis=0)[1]
    return min(float(low), 1.0), max(float(high), 1.0)


def errors(points: pd.DataFrame) -> pd.DataFrame:
    """MAPE in per cent by GPU and architecture: in sample, model and maker left out; rows inside the interval."""
    rows = []
    for (name, kind), part in points.groupby(["gpu", "architecture"], sort=True):
        measured = part["power_w"].to_numpy(float)
        inside = (measured >= part["low_w"]) & (measured <= part["high_w"])
        found: dict[str, object] = {"gpu": name, "architecture": kind, "rows": len(part)}
        for column in ("in_sample", "left_out", "maker_out"):
            found[f"{column}_%"] = 100 * mape(part[f"{column}_w"].to_numpy(float), measured)
        rows.append(found | {"inside_%": 100 * float(inside.mean())})
    return pd.DataFrame(rows)
