"""Fit of the `utilisation` law to operating points, and what it is worth on models it has not seen."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import least_squares

from simulators.errors import InputError
from simulators.inference.catalogue import gpu
from simulators.inference.power.law import PowerLaw, busy_power_w
from simulators.inference.power.laws import COEFFICIENTS, utilisation_law

TERMS = {
    "dense": ("busy", "memory", "compute", "waiting"),
    "moe": ("busy", "memory", "compute"),
    "moe_fp8": ("busy", "waiting"),
}
"""Terms fitted per class of kernels; the others stay 0. Chosen by leave-one-model-out error on ML.ENERGY v3: a term
that did not lower it on both H100 and B200 was dropped."""
QUANTITY = {"memory": "mbu", "compute": "mfu", "waiting": "comm"}
"""What each coefficient multiplies (`compute`: the root of it)."""
UPPER = {"busy": 1.5, "memory": 3.0, "compute": 10.0, "waiting": 8.0}
START = {"busy": 0.4, "memory": 0.4, "compute": 1.0, "waiting": 0.2}
ROBUST_SCALE = 0.05
"""Relative residual from which on a row pulls less than squarely: curves of one model scatter by about that much."""

Shares = dict[str, float]


@dataclass(frozen=True)
class Fit:
    """Coefficients of one GPU by class of kernels.

    Attributes
    ----------
    gpu
        Short name.
    shares
        Class -> coefficients as shares of the limit.
    points
        The operating points with the columns ``in_sample_w`` (predicted by this fit) and ``left_out_w`` (predicted by a
        fit without any run of the same model; NaN where nothing would remain).
    """

    gpu: str
    shares: dict[str, Shares] = field(default_factory=dict)
    points: pd.DataFrame = field(default_factory=pd.DataFrame)


def family(model: str) -> str:
    """The model a checkpoint is a variant of: without organisation, format, tuning and date.

    Variants share their shape, so a fit that knows one of them knows the other.
    """
    name = model.split("/")[-1]
    return re.sub(
        r"-(FP8|BF16|Instruct|Thinking|it|chat|hf|VL(?=-BF16)|\d{4})(?=-|$)", "", name, flags=re.IGNORECASE
    )


def predict_w(points: pd.DataFrame, law_of: Callable[[str, str], PowerLaw | None]) -> NDArray[np.float64]:
    """Mean power of each operating point under the law of its GPU and class, W; NaN where there is no law."""
    watts = np.full(len(points), np.nan)
    numbers = points[["mfu", "mbu", "comm", "wait"]].to_numpy(float)
    for i, (name, group) in enumerate(zip(points["gpu"], points["kernel_class"], strict=True)):
        law = law_of(name, group)
        if law is not None:
            mfu, mbu, comm, wait = numbers[i]
            watts[i] = (1 - wait) * busy_power_w(law, mfu, mbu, comm) + wait * law.idle_w
    return watts


def mape(predicted_w: NDArray[np.float64], measured_w: NDArray[np.float64]) -> float:
    """Mean absolute error as a share of the measurement, 1; NaN if a prediction is."""
    return float(np.mean(np.abs(predicted_w / measured_w - 1.0))) if len(measured_w) else float("nan")


def fit_class(points: pd.DataFrame, group: str, idle_w: float, limit_w: float) -> Shares:
    """Coefficients of one class by robust least squares on the logarithm of power (soft L1 loss).

    A term whose quantity is 0 in every row (communication on one GPU) cannot be found and stays 0.

    Raises
    ------
    InputError
        If there are fewer rows than two per coefficient.
    """
    terms = [term for term in TERMS[group] if term == "busy" or points[QUANTITY[term]].any()]
    if len(points) < 2 * len(terms):
        raise InputError(
            f"{len(points)} {group} rows, expected at least {2 * len(terms)} to fit {len(terms)} coefficients"
        )
    measured = np.log(points["power_w"].to_numpy(float))

    def residuals(x: NDArray[np.float64]) -> NDArray[np.float64]:
        law = utilisation_law(idle_w, limit_w, **dict(zip(terms, map(float, x), strict=True)))
        return np.asarray(np.log(predict_w(points, lambda _gpu, _class: law)) - measured)

    found = least_squares(
        residuals, [START[t] for t in terms], bounds=([0.0] * len(terms), [UPPER[t] for t in terms]),
        loss="soft_l1", f_scale=ROBUST_SCALE,
    )  # fmt: skip
    fitted = dict(zip(terms, map(float, found.x), strict=True))
    return {name: fitted.get(name, 0.0) for name in COEFFICIENTS}


def fit(points: pd.DataFrame, name: str, idle_w: float, by: Callable[[str], str] = family) -> Fit:
    """Fit one GPU, and each of its models once more without it.

    Parameters
    ----------
    points
        Operating points (`measurements.read_measurements`); those of other GPUs are left out.
    name
        The GPU.
    idle_w
        Loaded idle power, W.
    by
        Model name -> what is left out together.

    Raises
    ------
    InputError
        If there are no points of this GPU, or too few of a class.
    """
    sheet = gpu(name)
    own = points[points["gpu"] == sheet.name].reset_index(drop=True)
    if own.empty:
        known = ", ".join(sorted(set(points["gpu"])))
        raise InputError(f"no rows of {sheet.name}; the file has {known}")
    above = own["power_w"] > 1.1 * sheet.tdp_w
    if above.any():
        worst = float(own.loc[above, "power_w"].max())
        raise InputError(
            f"power_w {worst:g} is above the {sheet.tdp_w:g} W limit of {sheet.name}: W per GPU expected"
        )
    shares: dict[str, Shares] = {}
    own["in_sample_w"] = np.nan
    own["left_out_w"] = np.nan
    for group, rows in own.groupby("kernel_class", sort=True):
        group = str(group)
        shares[group] = fit_class(rows, group, idle_w, sheet.tdp_w)
        own.loc[rows.index, "in_sample_w"] = predict_w(rows, laws(shares, idle_w, sheet.tdp_w))
        held = rows["model"].map(by)
        for one in held.unique():
            rest, out = rows[held != one], rows[held == one]
            if len(rest) >= 2 * len(TERMS[group]):
                without = {group: fit_class(rest, group, idle_w, sheet.tdp_w)}
                own.loc[out.index, "left_out_w"] = predict_w(out, laws(without, idle_w, sheet.tdp_w))
    return Fit(sheet.name, shares, own)


def laws(
    shares: Mapping[str, Shares], idle_w: float, limit_w: float
) -> Callable[[str, str], PowerLaw | None]:
    """Class -> law, for `predict_w`; the GPU's name is not looked at."""
    made = {group: utilisation_law(idle_w, limit_w, **values) for group, values in shares.items()}
    return lambda _gpu, group: made.get(group)


def errors(points: pd.DataFrame) -> pd.DataFrame:
    """MAPE in per cent by architecture: rows, in sample, left out; one row per architecture."""
    rows = []
    for kind, part in points.groupby("architecture", sort=True):
        measured = part["power_w"].to_numpy(float)
        rows.append(
            {
                "architecture": kind,
                "rows": len(part),
                "in_sample_%": 100 * mape(part["in_sample_w"].to_numpy(float), measured),
                "left_out_%": 100 * mape(part["left_out_w"].to_numpy(float), measured),
            }
        )
    return pd.DataFrame(rows)
