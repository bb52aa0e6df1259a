"""Lists of records, as interfaces give them and long tables hold them -> one row per time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from simulators.errors import InputError
from simulators.profiles.formats.base import Content
from simulators.profiles.tables import Table


def wide(table: Table, time: str, keys: list[str], values: list[str]) -> Table:
    """One row per time: what a long table says of several areas or sequences becomes a column of each.

    Raises
    ------
    InputError
        If a time occurs twice for one of them.
    """
    frame = table.frame
    keys = [key for key in keys if key in frame and frame[key].nunique() > 1]
    if not keys:
        return replace(table, frame=frame[[time, *values]])
    label = frame[keys].astype("string").agg(" ".join, axis=1)
    twice = frame.assign(_key=label).duplicated([time, "_key"])
    # in the hour that the clock repeats a time may stand twice
    order = frame.assign(_key=label, _n=frame.groupby([label, frame[time]]).cumcount())
    if bool(twice.any()) and int(order["_n"].max()) > 1:
        row = int(np.flatnonzero(twice.to_numpy())[0])
        raise table.error(row, f"time {frame[time].iloc[row]} occurs again for {label.iloc[row]}", "it once")
    pivoted = order.pivot(index=[time, "_n"], columns="_key", values=values)
    pivoted.columns = [f"{pair[0]} {pair[1]}" for pair in pivoted.columns]
    first = frame[[time]].assign(_n=order["_n"]).drop_duplicates()
    made = first.merge(pivoted.reset_index(), on=[time, "_n"], how="left").drop(columns="_n")
    text = {name: "string" for name in made if name != time and not pd.api.types.is_numeric_dtype(made[name])}
    return replace(table, frame=made.astype(text), first_row=1, pivoted=True)


def listed(content: Content, keys: Sequence[str], within: Any = None) -> list[dict[str, Any]]:
    """The records of a JSON (or of a part of it): a list, or what stands at the first of the keys."""
    held = content.json if within is None else within
    records: Any = held
    if isinstance(held, Mapping):
        records = next((held[key] for key in keys if isinstance(held.get(key), list)), None)
    if not isinstance(records, list) or len(records) < 2 or not all(isinstance(r, dict) for r in records):
        raise InputError(f"{content.path}: holds no list of values; expected it as downloaded")
    return records


def sorted_table(content: Content, frame: pd.DataFrame, time: str) -> Table:
    """Records as a table, oldest first: interfaces give the newest first."""
    if time not in frame:
        raise InputError(f"{content.path}: its values have no '{time}'; expected it as downloaded")
    frame = frame.sort_values(time, kind="stable").reset_index(drop=True)
    return content.own(Table(content.path, frame, 1, {}, content.sha256))
