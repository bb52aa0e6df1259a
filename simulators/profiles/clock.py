"""Which column of a table is the time, what its name says of zone and label; times that stand in several columns."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Literal

import numpy as np
import pandas as pd

from simulators.errors import InputError
from simulators.profiles.tables import Table
from simulators.profiles.times import looks_like_time

_NAMES = {
    "time", "timestamp", "datetime", "date_time", "date", "oootime", "index", "zeit", "datum", "mess_datum",
    "date/time", "point_time", "mtu", "period", "hour", "date and time", "interval", "valid_time", "when",
}  # fmt: skip
_STARTS = r"(?:.*[\s_])?(?:start|begin|beginn|from|von)(?:[\s_].*)?|(?:period|interval|time)start"
_ENDS = r"(?:.*[\s_])?(?:end|ending|ende|bis|to|until)(?:[\s_].*)?|(?:period|interval|hour|time)end(?:ing)?"
_ZONED = r"(?:.*[\s_])?(?:utc|gmt|local|cet|cest|mez|mesz)(?:[\s_].*)?"
_TIMELIKE = r"time|timestamp|datetime|date|zeit|datum|period|interval|hour|mtu"
_UTC = re.compile(r"(?<![a-z])(utc|gmt|z)(?![a-z])(?!\s*[+-]\s*\d)", re.IGNORECASE)
_LOCAL = re.compile(
    r"(?<![a-z])(local|lokal|ortszeit|cet|cest|mez|mesz|eet|eest|wet|west|bst|est|edt|cst|cdt|mst|mdt|pst|pdt|et|pt|ct|"
    r"utc\s*[+-]\s*\d+|gmt\s*[+-]\s*\d+)(?![a-z])",
    re.IGNORECASE,
)


def base_name(header: str) -> str:
    """Lower-case name of a time column without a bracketed remark: ``Datetime (UTC)`` -> ``datetime``."""
    return re.sub(r"\s*[\[(].*?[\])]", "", header).strip().lower()


def _is_time(name: str) -> bool:
    if name in _NAMES:
        return True
    named = any(re.fullmatch(pattern, name) for pattern in (_STARTS, _ENDS, _ZONED))
    bare = name in ("start", "begin", "beginn", "from", "von", "end", "ende", "to", "bis", "utc")
    return bare or (named and re.search(_TIMELIKE, name) is not None)


def label_of(header: str) -> Literal["start", "end"]:
    """What the times of a column stand at, by its name.

    Examples
    --------
    >>> label_of("Interval End"), label_of("period_end"), label_of("timestamp")
    ('end', 'end', 'start')
    """
    return "end" if re.fullmatch(_ENDS, base_name(header)) else "start"


def zone_of(header: str) -> str | None:
    """The zone a header names: UTC, a name such as Europe/Berlin, or ``local`` for one that may be several.

    Examples
    --------
    >>> zone_of("Datetime (UTC)"), zone_of("time [Europe/Berlin]"), zone_of("Time (CET)"), zone_of("time")
    ('UTC', 'Europe/Berlin', 'local', None)
    """
    named = re.search(r"[A-Z][a-z]+/[A-Z][a-z][A-Za-z_/]*|Etc/GMT[+-]\d+", header)
    if named:
        return named[0]
    words = re.sub(r"[_\[\]()]", " ", header)
    if _LOCAL.search(words):
        return "local"
    return "UTC" if _UTC.search(words) else None


def find_time_column(table: Table) -> str:
    """Name of the time column: of those that are called so one in UTC first, one of starts before one of ends.

    Raises
    ------
    InputError
        If no column is called so, and the first holds no times.
    """
    columns = [str(name) for name in table.frame.columns]
    named = [name for name in columns if _is_time(base_name(name)) and _holds_times(table, name)]
    if named:
        order = {"UTC": 0, None: 1, "local": 3}
        return min(named, key=lambda name: (order.get(zone_of(name), 2), label_of(name) == "end"))
    stamps = [name for name in columns if pd.api.types.is_datetime64_any_dtype(table.frame[name])]
    if len(stamps) == 1:
        return stamps[0]
    if looks_like_time(str(table.frame[columns[0]].iloc[0])):
        return columns[0]
    called = next((name for name in columns if _is_time(base_name(name))), None)
    if called is not None:
        return called  # its cells are for the reader of times to refuse
    raise InputError(
        f"{table.path}: no time column; expected one named time, timestamp or datetime, found {table.columns()}"
    )


def _holds_times(table: Table, column: str) -> bool:
    """Whether the first cell could be a time, or counts seconds."""
    cells = table.frame[column]
    if pd.api.types.is_datetime64_any_dtype(cells):
        return True
    first = str(cells.iloc[0]).strip()
    return looks_like_time(first) or re.fullmatch(r"\d+(\.0*)?", first) is not None


def joined(table: Table) -> tuple[Table, str] | None:
    """A table whose date and clock (or year, month, day, hour) stand in columns of their own, with one time of them.

    Raises
    ------
    InputError
        If its hours are neither 0 to 23 nor 1 to 24.
    """
    names = {str(name).strip().lower(): str(name) for name in table.frame.columns}
    parts = [names.get(key) for key in ("year", "month", "day")]
    hour = next(
        (
            names[key]
            for key in (
                "hour",
                "hr",
                "he",
                "hour ending",
                "hour_ending",
                "hourending",
                "stunde",
                "hour number",
            )
            if key in names
        ),
        None,
    )
    if all(parts):
        cells = [_text(table, str(name)) for name in parts]
        day = cells[0].str.cat(cells[1].str.zfill(2), "-").str.cat(cells[2].str.zfill(2), "-")
        used = [str(name) for name in parts]
    else:
        column = next((names[key] for key in ("date", "datum", "day") if key in names), None)
        if column is None or not bool(_text(table, column).str.fullmatch(r"[\d./-]+").all()):
            return None
        day, used = _text(table, column), [column]
        clock = next((names[key] for key in ("time", "uhrzeit", "zeit") if key in names), None)
        if clock is not None and bool(_text(table, clock).str.contains(":").all()):
            return _with_time(table, day.str.cat(_text(table, clock), sep=" "), [*used, clock])
    if hour is None:
        return None
    hours = pd.to_numeric(_text(table, hour).str.replace(r":00(:00)?$", "", regex=True), errors="coerce")
    low, high = hours.min(), hours.max()
    if bool(hours.isna().any()) or not ((low == 0 and high <= 23) or (low == 1 and high == 24)):
        raise InputError(
            f"{table.path}: hours in column '{hour}' run from {low} to {high}; expected 0 to 23, or 1 to 24"
        )
    clocks = (hours - (1 if high == 24 else 0)).astype(int).astype("string").str.zfill(2)
    minute = names.get("minute")
    minutes = (
        _text(table, minute).str.zfill(2) if minute else pd.Series("00", index=clocks.index, dtype="string")
    )
    times = day.str.cat(clocks, sep=" ").str.cat(minutes, sep=":")
    return _with_time(table, times, [*used, hour, *([minute] if minute else [])])


def _with_time(table: Table, times: pd.Series[str], used: list[str]) -> tuple[Table, str]:
    frame = table.frame.drop(columns=used).assign(**{"date and time": times})
    return replace(table, frame=frame), "date and time"


def _text(table: Table, column: str) -> pd.Series[str]:
    return table.frame[column].astype("string").str.strip().fillna("")


def ends_at_midnight(table: Table, column: str) -> bool:
    """Whether a time of 24:00 occurs, which only the end of an hour is called."""
    cells = table.frame[column]
    return not pd.api.types.is_datetime64_any_dtype(cells) and bool(
        np.any(cells.astype("string").str.contains(r"(?<![\d:])24:00", regex=True, na=False))
    )
