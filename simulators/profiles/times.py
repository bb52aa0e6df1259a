"""Timestamps as files write them -> UTC and one uniform step, or an error that says which row is odd.

Two traps are called by name. A file in local time has one hour twice in autumn and one hour missing in
spring; read as UTC it looks damaged, and the reader suggests to name the zone. A file that is said to be in a
zone with daylight saving time but has 24 rows every day is in a fixed offset, and the reader says so.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from simulators.errors import InputError
from simulators.profiles.tables import Table

TIME_NAMES = (
    "time", "timestamp", "datetime", "date_time", "date", "oootime", "index", "zeit", "mess_datum",
    "interval_start", "period_start", "period_end", "interval_end", "utc", "local_time", "date/time",
    "periodend", "point_time", "mtu", "datum von", "start date", "utc time", "utc time at end of hour", "period",
)  # fmt: skip
_FORMATS = (
    (r"\d{4}-\d\d-\d\d", "ISO8601"),
    (r"\d{4}\d\d\d\d:\d{4}", "%Y%m%d:%H%M"),
    (r"\d{4}/\d\d?/\d\d? \d\d?:\d\d$", "%Y/%m/%d %H:%M"),
    (r"\d{4}/\d\d?/\d\d? \d\d?:\d\d:\d\d$", "%Y/%m/%d %H:%M:%S"),
    (r"\d\d?\.\d\d?\.\d{4} \d\d?:\d\d$", "%d.%m.%Y %H:%M"),
    (r"\d\d?\.\d\d?\.\d{4} \d\d?:\d\d:\d\d$", "%d.%m.%Y %H:%M:%S"),
    (r"[A-Z][a-z]{2} \d\d?, \d{4} \d\d?:\d\d [AP]M$", "%b %d, %Y %I:%M %p"),
)
_SLASHED = (
    "%m/%d/%Y %H:%M", "%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M:%S", "%d/%m/%Y %H:%M:%S",
    "%m/%d/%Y %I:%M:%S %p", "%m/%d/%Y %I:%M %p",
)  # fmt: skip
_UNIX_S, _UNIX_MS = 1e9, 1e12
"""Counts of seconds and of milliseconds above these are Unix times: since 2001."""
_EXPECTED = "a time such as 2023-06-05 14:00 or 2023-06-05T14:00:00+02:00"


def zone(name: str) -> tzinfo:
    """Time zone by IANA name (``Europe/Berlin``, ``UTC``, ``Etc/GMT+8``); InputError for an unknown one."""
    if name.upper() in {"UTC", "Z", "GMT"}:
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InputError(
            f"unknown time zone '{name}': expected an IANA name such as Europe/Berlin"
        ) from error


def base_name(header: str) -> str:
    """Lower-case name of a time column without a bracketed remark: ``Datetime (UTC)`` -> ``datetime``."""
    return re.sub(r"\s*[\[(].*?[\])]", "", header).strip().lower()


def find_time_column(table: Table) -> str:
    """Name of the time column: the first with a usual name, else the first column if it holds times."""
    for column in map(str, table.frame.columns):
        if base_name(column) in TIME_NAMES:
            return column
    first = str(table.frame.columns[0])
    cells = table.frame[first]
    if pd.api.types.is_datetime64_any_dtype(cells) or _format_of(str(cells.iloc[0])) is not None:
        return first
    raise InputError(
        f"{table.path}: no time column; expected one named time, timestamp or datetime, "
        f"found {table.columns()}"
    )


def read_times(table: Table, column: str, timezone: str, start: datetime | None) -> pd.DatetimeIndex:
    """Parse the time column into UTC; order and spacing are not checked yet.

    Parameters
    ----------
    timezone
        Zone of times without an offset. A header that says UTC, or an offset in the cells, goes first.
    start
        Meaning of 0 in a column that counts seconds.
    """
    cells = table.frame[column]
    if pd.api.types.is_datetime64_any_dtype(cells):
        stamps = pd.DatetimeIndex(cells)
        return (
            stamps.tz_convert("UTC") if stamps.tz is not None else _localise(table, stamps, timezone, column)
        )
    text = cells.astype("string").str.strip().fillna("")
    first = str(text.iloc[0])
    layout = _digits_format(first)
    if layout is None and re.fullmatch(r"\d+(\.0*)?", first):
        counts = table.numbers(column)
        if float(np.nanmin(counts)) >= _UNIX_S:
            unit: Literal["s", "ms"] = "ms" if float(np.nanmin(counts)) >= _UNIX_MS else "s"
            return pd.DatetimeIndex(pd.to_datetime(counts, unit=unit, utc=True))
        if start is None:
            raise InputError(
                f"{table.path}: column '{column}' counts seconds; expected dates and times, or what 0 means: "
                f"{table.advice('start', '2023-06-05')}"
            )
        return pd.DatetimeIndex(start + pd.to_timedelta(counts, unit="s")).tz_convert("UTC")
    if layout is None:
        # "2023-01-01 00:00 UTC" is an offset in words, "01-02-2023" slashes in another hand
        text = text.str.replace(r" ?(UTC|GMT)$", "+00:00", regex=True)
        if re.match(r"\d\d?-\d\d?-\d{4}", first):
            text = text.str.replace(r"^(\d\d?)-(\d\d?)-", r"\1/\2/", regex=True)
        layout = _format_of(first) or _slashed_format(table, text)
    if layout is None:
        raise table.error(0, f"'{first}' in column '{column}' is not a time", _EXPECTED)
    stamps = pd.DatetimeIndex(pd.to_datetime(text, format=layout, errors="coerce", utc=True))
    bad = np.flatnonzero(stamps.isna())
    if len(bad):
        raise table.error(int(bad[0]), f"'{text.iloc[bad[0]]}' in column '{column}' is not a time", _EXPECTED)
    offsets = text.str.contains(r":\d\d.*(?:Z|[+-]\d\d(?::?\d\d)?)$", regex=True).to_numpy(dtype=bool)
    has_offset = bool(offsets[0])
    mixed = np.flatnonzero(offsets != has_offset)
    if len(mixed):
        problem = (
            f"'{text.iloc[mixed[0]]}' has {'no' if has_offset else 'a'} UTC offset, unlike the rows above"
        )
        raise table.error(int(mixed[0]), problem, "an offset in every row or in none")
    return stamps if has_offset else _localise(table, stamps.tz_localize(None), timezone, column)


def _digits_format(text: str) -> str | None:
    """Layout of a date written in digits alone (DWD: 2022010100), which no count of seconds of our time looks like."""
    layouts = {8: "%Y%m%d", 10: "%Y%m%d%H", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
    written = re.fullmatch(r"(19|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])\d*", text)
    return layouts.get(len(text)) if written else None


def _format_of(text: str) -> str | None:
    return next((layout for pattern, layout in _FORMATS if re.match(pattern, text)), None)


def _slashed_format(table: Table, text: pd.Series[str]) -> str | None:
    """Decide between month first and day first by which of them fits every row."""
    if not re.match(r"\d\d?/\d\d?/\d{4}", str(text.iloc[0])):
        return None
    layouts = [
        layout for layout in _SLASHED if pd.to_datetime(text, format=layout, errors="coerce").notna().all()
    ]
    if len(layouts) > 1:
        raise table.error(0, f"'{text.iloc[0]}' may be day/month or month/day", _EXPECTED)
    return layouts[0] if layouts else None


def _localise(table: Table, stamps: pd.DatetimeIndex, timezone: str, column: str) -> pd.DatetimeIndex:
    if "utc" in column.lower() or zone(timezone) is UTC:
        return stamps.tz_localize("UTC")
    # by name: pandas localises by name from a table of clock changes, but asks a zoneinfo object row by row
    twice = _in_the_repeated_hour(stamps, timezone)
    # in the repeated hour the first pass is summer time; the second pass starts where the clock steps back
    step_back = np.flatnonzero(np.diff(stamps.asi8) <= 0) + 1
    summer = np.zeros(len(stamps), dtype=bool)
    for begin, end in _runs(twice):
        inside = step_back[(step_back > begin) & (step_back < end)]
        if len(inside) != 1:
            raise table.error(
                begin,
                f"{stamps[begin]:%Y-%m-%d %H:%M} happens twice in {timezone} (clocks go back), here once",
                f"both hours, or {_other_zone(table)}",
            )
        summer[begin : inside[0]] = True
    local = stamps.tz_localize(timezone, ambiguous=summer, nonexistent="NaT")
    absent = np.flatnonzero(local.isna())
    if len(absent):
        raise table.error(
            int(absent[0]),
            f"{stamps[absent[0]]:%Y-%m-%d %H:%M} does not exist in {timezone} (clocks go forward)",
            _other_zone(table),
        )
    return local.tz_convert("UTC")


def _in_the_repeated_hour(stamps: pd.DatetimeIndex, timezone: str) -> NDArray[np.bool_]:
    first = stamps.tz_localize(
        timezone, ambiguous=np.ones(len(stamps), dtype=bool), nonexistent="shift_forward"
    )
    second = stamps.tz_localize(
        timezone, ambiguous=np.zeros(len(stamps), dtype=bool), nonexistent="shift_forward"
    )
    return np.asarray(first != second)


def _runs(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate(([0], flags.astype(int), [0]))))
    return [(int(begin), int(end)) for begin, end in zip(edges[::2], edges[1::2], strict=True)]


def uniform_step(table: Table, stamps: pd.DatetimeIndex, fill: bool) -> tuple[int, NDArray[np.int64]]:
    """Check order and spacing; return (step in s, position of every row on the uniform axis).

    With `fill` whole missing steps are allowed, duplicates and a backward step never are.
    """
    if len(stamps) < 2:
        raise InputError(
            f"{table.path}: has {len(stamps)} data row; expected at least two to know the resolution"
        )
    seconds = (stamps - stamps[0]).total_seconds().to_numpy()
    gaps = np.diff(seconds)
    positive = gaps[gaps > 0]
    if not len(positive):
        raise table.error(1, f"time {stamps[1]:%Y-%m-%d %H:%M} does not advance", "times in ascending order")
    lengths, counts = np.unique(positive, return_counts=True)
    step = float(lengths[np.argmax(counts)])
    if step != round(step):
        raise InputError(f"{table.path}: rows are {step:g} s apart; expected whole seconds")
    odd = gaps != step
    if fill:
        odd &= ~((gaps > 0) & (gaps % step == 0))
    wrong = np.flatnonzero(odd)
    if len(wrong):
        backward = np.flatnonzero(gaps < 0)
        # a row out of order also looks like a gap further up; name the row itself
        index = int(backward[0] if len(backward) else wrong[0])
        _refuse(table, stamps, index, float(gaps[index]), step)
    return int(step), np.rint(seconds / step).astype(np.int64)


def _refuse(table: Table, stamps: pd.DatetimeIndex, index: int, gap: float, step: float) -> None:
    before, after = stamps[index], stamps[index + 1]
    dst = _clock_change(before, gap, step)
    row = index + 1
    if gap == 0:
        what = f"duplicate time {after:%Y-%m-%d %H:%M}"
        raise table.error(
            row, what + (f" {dst}" if dst else ""), _zone_hint(table) if dst else "every time once"
        )
    if gap < 0:
        what = f"time {after:%Y-%m-%d %H:%M} is earlier than {before:%Y-%m-%d %H:%M} in the row above"
        raise table.error(
            row, what + (f" {dst}" if dst else ""), _zone_hint(table) if dst else "times in ascending order"
        )
    if gap % step == 0:
        missing = round(gap / step) - 1
        what = f"{missing} row{'s' if missing > 1 else ''} missing before {after:%Y-%m-%d %H:%M}"
        expected = (
            _zone_hint(table)
            if dst
            else f"one row every {step:g} s, or a fill rule: {table.advice('fill', 'previous')}"
        )
        raise table.error(row, what + (f" {dst}" if dst else ""), expected)
    raise table.error(
        row, f"{after:%Y-%m-%d %H:%M:%S} is {gap:g} s after the row above", f"steps of {step:g} s"
    )


def _clock_change(before: pd.Timestamp, gap: float, step: float) -> str:
    """Say so if a jump looks like a clock change: one hour, at night, on a Sunday of the season."""
    if before.dayofweek != 6 or before.hour > 4:
        return ""
    if gap == 3600 + step and before.month in (3, 4, 9, 10):
        return "(looks like daylight saving time: clocks go forward)"
    if gap in (0.0, step - 3600) and before.month in (9, 10, 11, 3, 4):
        return "(looks like daylight saving time: clocks go back)"
    return ""


def _zone_hint(table: Table) -> str:
    return f"UTC, or the file's local time zone: {table.advice('timezone', 'Europe/Berlin')}"


def _other_zone(table: Table) -> str:
    return f"a fixed offset where every day has 24 rows: {table.advice('timezone', 'Etc/GMT-1')}"
