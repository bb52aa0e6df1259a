"""Forecasts of the marginal rate as they were issued: WattTime's interface, SGIP's tables, lists of both times."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from simulators.errors import InputError, first_line
from simulators.profiles.clock import find_time_column
from simulators.profiles.formats.base import Content, Issued
from simulators.profiles.times import read_times


def from_columns(content: Content) -> Issued:
    """SGIP: in each row ``f1``, ``f2``, ... of the coming steps of five minutes, kg/kWh."""
    table = content.table()
    ahead = [str(name) for name in table.frame.columns if re.fullmatch(r"f\d+", str(name))]
    if not ahead:
        raise InputError(f"{content.path}: holds no forecasts (f1, f2, ...); expected a file that does")
    at = read_times(table, find_time_column(table), "UTC", None)
    if len(at) < 2:
        raise InputError(f"{content.path}: has one data row; expected at least two to know the resolution")
    step_s = int((at[1] - at[0]).total_seconds())
    return Issued(
        at, step_s, np.column_stack([table.numbers(name) for name in ahead]), "kgCO2/kWh", "marginal"
    )


def from_records(content: Content, issues: Sequence[Mapping[str, Any]], unit: str, kind: Any) -> Issued:
    """WattTime: one list of ``point_time`` and ``value`` per ``generated_at``."""
    try:
        at = _iso([issue["generated_at"] for issue in issues])
        times = [_iso([point["point_time"] for point in issue["forecast"]]) for issue in issues]
        lists = [[float(point["value"]) for point in issue["forecast"]] for issue in issues]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{content.path}: damaged forecasts ({first_line(error)}); expected them as downloaded"
        ) from error
    return _even(content, at, times, lists, unit, kind)


def from_pairs(content: Content, issue: str, point: str, value: str, unit: str, kind: Any) -> Issued:
    """A long table with the time of issue and the time meant in each row."""
    table = content.table()
    at = read_times(table, issue, "UTC", None)
    meant = read_times(table, point, "UTC", None)
    frame = pd.DataFrame({"at": at, "meant": meant, "value": table.numbers(value)}).dropna()
    groups = [(key, own) for key, own in frame.groupby("at", sort=True)]
    times = [pd.DatetimeIndex(own["meant"]) for _, own in groups]
    lists = [own["value"].tolist() for _, own in groups]
    return _even(content, pd.DatetimeIndex([key for key, _ in groups]), times, lists, unit, kind)


def _even(
    content: Content,
    at: pd.DatetimeIndex,
    times: Sequence[pd.DatetimeIndex],
    lists: Sequence[Sequence[float]],
    unit: str,
    kind: Any,
) -> Issued:
    """Forecasts on even leads: the first value is one step after the issue, or at it."""
    if len(at) < 1 or any(len(own) < 2 for own in times):
        raise InputError(f"{content.path}: holds no forecasts of two values or more")
    step_s = int((times[0][1] - times[0][0]).total_seconds())
    longest = max(len(own) for own in times) + 1
    values = np.full((len(at), longest), np.nan)
    for row, (issue, own, found) in enumerate(zip(at, times, lists, strict=True)):
        places = np.rint((own - issue).total_seconds().to_numpy() / step_s).astype(int) - 1
        inside = (places >= 0) & (places < longest)
        values[row, places[inside]] = np.asarray(found)[inside]
    order = np.argsort(at.asi8, kind="stable")
    frame = pd.DataFrame(values[order]).ffill(axis=1).bfill(axis=1)  # a forecast holds beyond its last value
    return Issued(at[order], step_s, frame.to_numpy(), unit, kind)


def _iso(times: Sequence[Any]) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(pd.to_datetime(list(times), utc=True, format="ISO8601"))
