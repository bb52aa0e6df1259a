"""Power finer than a second: from a table of a run or a meter, or made up as synchronous batches draw it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from simulators.errors import InputError
from simulators.profiles.formats.base import Content
from simulators.profiles.tables import Table

Array = NDArray[np.float64]

HEADER = "time_s,power_w"
MOST_SAMPLES = 20_000_000
_TIMES = ("time", "time_s", "time[s]", "t", "t_s", "seconds", "timestamp")
_POWERS = re.compile(r"^(?:gpu|power|p|load|it|facility)(?:_|\s*\[)(w|kw|mw)\]?$", re.IGNORECASE)
_TO_MW = {"w": 1e-6, "kw": 1e-3, "mw": 1.0}
_UNEVEN = 0.01
_UNIX_MS = 1e11
"""Seconds since 1970 reach this in the year 5138; thousandths passed it in 1973."""


@dataclass(frozen=True)
class FastPower:
    """Power in equal steps.

    Attributes
    ----------
    p_mw
        Mean (or value) of each step; shape (samples,).
    step_s
        Length of a step, s.
    note
        Where it comes from.
    """

    p_mw: Array
    step_s: float
    note: str

    @property
    def length_s(self) -> float:
        """How long it is."""
        return len(self.p_mw) * self.step_s

    def scaled(self, highest_mw: float) -> FastPower:
        """The same with another highest value.

        Raises
        ------
        InputError
            If it never draws anything.
        """
        highest = float(self.p_mw.max())
        if highest <= 0.0:
            raise InputError(f"{self.note}: draws nothing, so that no highest power can be made of it")
        factor = highest_mw / highest
        return FastPower(self.p_mw * factor, self.step_s, f"{self.note}, times {factor:.6g}")


def rectangular(
    low_mw: float, high_mw: float, period_s: float, duty: float, length_s: float, step_s: float
) -> FastPower:
    """Power that goes between two values, as the batches of synchronous training do.

    Steps in which it changes have the mean.

    Parameters
    ----------
    low_mw, high_mw
        The two.
    period_s, duty
        From rise to rise, and the share of it at the higher value.
    length_s, step_s
        Of the series.

    Examples
    --------
    >>> made = rectangular(1.0, 3.0, period_s=1.0, duty=0.5, length_s=2.0, step_s=0.4)
    >>> made.p_mw.round(6).tolist()  # the second and third step hold a change each
    [3.0, 1.5, 2.0, 2.5, 1.0]
    """
    steps = round(length_s / step_s)
    if not 1 <= steps <= MOST_SAMPLES:
        raise InputError(
            f"modulation: {steps} samples of {step_s:g} s, expected 1 to {MOST_SAMPLES:,}; take fewer seconds or "
            "longer samples"
        )
    edges = np.arange(steps + 1) * step_s
    turns, into = np.divmod(edges, period_s)
    high_s = turns * duty * period_s + np.minimum(into, duty * period_s)
    p_mw = low_mw + (high_mw - low_mw) * np.clip(np.diff(high_s) / step_s, 0.0, 1.0)
    return FastPower(
        p_mw, step_s, f"{low_mw:g} to {high_mw:g} MW every {period_s:g} s, {duty:.0%} of it high"
    )


def read_fast(path: Path) -> FastPower:
    """Power of a table with a column of times and one of power, whose header says its unit.

    ``power_fast.parquet`` of a run and ``power.csv`` of ``wattloop inference`` are such. Several sites are summed.

    Raises
    ------
    InputError
        If there is no such column, a value is missing, or the steps are not equal.
    """
    table = Content(path, option="").table()
    names = {str(name).strip(): name for name in table.frame.columns}
    times = [name for name in names if name.lower() in _TIMES]
    powers = [name for name in names if _POWERS.match(name)]
    if len(times) != 1 or len(powers) != 1:
        raise InputError(
            f"{path}: {len(times)} columns of time and {len(powers)} of power; it has {table.columns()}; expected one "
            f"of each, such as {HEADER}"
        )
    time_s = _seconds(table, names[times[0]])
    found = _POWERS.match(powers[0])
    assert found is not None
    if found[1] == "mW":
        raise InputError(
            f"{path}: column '{powers[0]}' is in mW, thousandths of a W; expected it in W, kW or MW"
        )
    p_mw = table.numbers(names[powers[0]]) * _TO_MW[found[1].lower()]
    bad = np.flatnonzero(~np.isfinite(p_mw))
    if len(bad):
        raise table.error(int(bad[0]), f"no power in column '{powers[0]}'", "a number")
    if "site" in names:
        frame = pd.DataFrame({"time": time_s, "power": p_mw}).groupby("time", sort=True)["power"].sum()
        time_s, p_mw = frame.index.to_numpy(), frame.to_numpy()
    return FastPower(p_mw, _step(table, time_s), f"power of {path.name}")


def _seconds(table: Table, column: object) -> Array:
    """Times as seconds from the first."""
    cells = table.frame[column]  # type: ignore[index]
    if pd.api.types.is_datetime64_any_dtype(cells):
        return _from_first(cells)
    try:
        values = table.numbers(str(column))
    except InputError:
        stamps = pd.to_datetime(cells, utc=True, errors="coerce", format="ISO8601")
        missing = np.flatnonzero(stamps.isna())
        if len(missing):
            raise table.error(
                int(missing[0]),
                f"'{cells.iloc[missing[0]]}' in column '{column}'",
                "seconds, or times such as 2024-01-31T12:00:00.010Z",
            ) from None
        return _from_first(stamps)
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise table.error(int(bad[0]), f"no time in column '{column}'", "seconds")
    if abs(values[0]) >= _UNIX_MS:
        raise table.error(
            0, f"{values[0]:.0f} in column '{column}' counts thousandths of a second or finer", "seconds"
        )
    return np.asarray(values - values[0])


def _from_first(stamps: Any) -> Array:
    return np.asarray((stamps - stamps.iloc[0]) / pd.Timedelta(seconds=1), dtype=np.float64)


def _step(table: Table, time_s: Array) -> float:
    if len(time_s) < 2:
        raise InputError(f"{table.path}: {len(time_s)} row, expected at least two")
    gaps = np.diff(time_s)
    step_s = float(time_s[-1] - time_s[0]) / len(gaps)
    uneven = np.flatnonzero(~(np.abs(gaps - step_s) <= _UNEVEN * abs(step_s)))
    if step_s <= 0 or len(uneven):
        at = int(uneven[0]) if len(uneven) else 0
        usual = float(np.median(gaps))
        raise table.error(at + 1, f"comes {gaps[at]:g} s after the row before", f"equal steps of {usual:g} s")
    return step_s
