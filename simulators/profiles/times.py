"""Timestamps as files write them -> UTC, or an error that says which row is odd.

A file that is said to be in a zone with daylight saving time but has 24 rows every day is in a fixed offset, and the
reader says so.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo
from functools import cache
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo, available_timezones

import numpy as np
from numpy.typing import NDArray

from simulators.errors import InputError
from simulators.profiles.tables import Table

if TYPE_CHECKING:
    import pandas as pd

_FORMATS = (
    (r"\d{4}-\d\d-\d\d \d\d?:\d\d [AP]M$", "%Y-%m-%d %I:%M %p"),
    (r"\d{4}-\d\d-\d\d", "ISO8601"),
    (r"\d{4}\d\d\d\d:\d{4}$", "%Y%m%d:%H%M"),
    (r"\d{8}T\d{4}$", "%Y%m%dT%H%M"),
    (r"\d{8}T\d{6}$", "%Y%m%dT%H%M%S"),
    (r"\d{8} \d{4}$", "%Y%m%d %H%M"),
    (r"\d{4}/\d\d?/\d\d? \d\d?:\d\d$", "%Y/%m/%d %H:%M"),
    (r"\d{4}/\d\d?/\d\d? \d\d?:\d\d:\d\d$", "%Y/%m/%d %H:%M:%S"),
    (r"\d\d?\.\d\d?\.\d{4}$", "%d.%m.%Y"),
    (r"\d\d?\.\d\d?\.\d{4} \d\d?:\d\d$", "%d.%m.%Y %H:%M"),
    (r"\d\d?\.\d\d?\.\d{4} \d\d?:\d\d:\d\d$", "%d.%m.%Y %H:%M:%S"),
    (r"\d\d?\.\d\d?\.\d\d \d\d?:\d\d$", "%d.%m.%y %H:%M"),
    (r"\d\d?-[A-Z][a-z]{2}-\d{4} \d\d?:\d\d$", "%d-%b-%Y %H:%M"),
    (r"\d\d? [A-Z][a-z]{2} \d{4} \d\d?:\d\d$", "%d %b %Y %H:%M"),
    (r"[A-Z][a-z]{2} \d\d?, \d{4} \d\d?:\d\d [AP]M$", "%b %d, %Y %I:%M %p"),
)
_SLASHED = (
    "%m/%d/%Y %H:%M", "%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M:%S", "%d/%m/%Y %H:%M:%S",
    "%m/%d/%Y %I:%M:%S %p", "%m/%d/%Y %I:%M %p",
)  # fmt: skip
_SLASHED_DATE = re.compile(r"\d\d?[/-]\d\d?[/-]\d{4}\b")
_UNIX: tuple[tuple[float, Literal["ns", "us", "ms", "s"]], ...] = (
    (1e18, "ns"),
    (1e15, "us"),
    (1e12, "ms"),
    (1e9, "s"),
)
"""Counts above these are Unix times in these units: since 2001."""
_EXCEL_DAYS = (2e4, 8e4)
"""Spreadsheets count days from 1900: 1954 to 2119."""
_HOURS_OF = {
    "UTC": 0, "GMT": 0, "CET": 1, "CEST": 2, "MEZ": 1, "MESZ": 2, "EET": 2, "EEST": 3, "WET": 0, "WEST": 1,
    "EST": -5, "EDT": -4, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7,
}  # fmt: skip
"""Zones behind a time that mean one offset everywhere."""
MOST_OFFSETS = 4
"""UTC offsets in one column: two of a zone with daylight saving time, more if its rules changed over the years."""
_EXPECTED = "a time such as 2023-06-05 14:00 or 2023-06-05T14:00:00+02:00"


@cache
def _zones() -> set[str]:
    return available_timezones()


def zone(name: str) -> tzinfo:
    """Time zone by IANA name (``Europe/Berlin``, ``UTC``, ``Etc/GMT+8``); InputError for an unknown one."""
    if name.upper() in {"UTC", "Z", "GMT"}:
        return UTC
    unknown = InputError(f"unknown time zone '{name}': expected an IANA name such as Europe/Berlin")
    if name not in _zones():  # a machine's own files (posixrules) are no zones
        raise unknown
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError) as error:
        raise unknown from error


def in_zone(time: datetime, timezone: str, where: str) -> datetime:
    """A time as UTC; one without an offset is local to a zone, in an hour that comes twice the first of them.

    Raises
    ------
    InputError
        If clocks go forward over it; `where` opens the message.

    Examples
    --------
    >>> in_zone(datetime(2023, 6, 5, 14), "Europe/Berlin", "--start").isoformat()
    '2023-06-05T12:00:00+00:00'
    >>> in_zone(datetime(2023, 3, 26, 2, 30), "Europe/Berlin", "--start")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    simulators.errors.InputError: --start: 2023-03-26T02:30:00 does not exist in Europe/Berlin (clocks go forward), ...
    """
    try:
        if time.tzinfo is not None:
            return time.astimezone(UTC)
        found = time.replace(tzinfo=zone(timezone)).astimezone(UTC)
        back = found.astimezone(zone(timezone)).replace(tzinfo=None)
    except OverflowError:
        raise InputError(
            f"{where}: {time.isoformat()} is out of range, expected a time such as 2023-06-05T14:00"
        ) from None
    if back != time.replace(fold=0) and back != time:
        raise InputError(
            f"{where}: {time.isoformat()} does not exist in {timezone} (clocks go forward), expected "
            f"{back.isoformat()} or an earlier time"
        )
    return found


def looks_like_time(text: str) -> bool:
    """Whether a cell is written like a date."""
    return (
        _format_of(text) is not None
        or _digits_format(text) is not None
        or _SLASHED_DATE.match(text) is not None
    )


def read_times(
    table: Table,
    column: str,
    timezone: str | None,
    start: datetime | None,
    named: str | None = None,
    stated: bool = False,
) -> pd.DatetimeIndex:
    """Parse the time column into UTC; order and spacing are not checked yet.

    Parameters
    ----------
    timezone
        Zone of times without an offset; None: as `named`, else UTC. An offset in the cells goes first.
    start
        Meaning of 0 in a column that counts seconds.
    named
        The zone the column's header names, see `clock.zone_of`.
    stated
        Whether a person said `timezone`: offsets in the cells that are not that zone's are then refused.
    """
    import pandas as pd

    cells = table.frame[column]
    if pd.api.types.is_datetime64_any_dtype(cells):
        stamps = pd.DatetimeIndex(cells)
        if stamps.tz is None:
            return _localise(table, stamps, timezone, column, named, stated)
        _check_zone(table, column, stamps, stamps.tz_localize(None), timezone if stated else None)
        return stamps.tz_convert("UTC")
    text = cells.astype("string").str.strip().fillna("")
    first = str(text.iloc[0])
    layout = _digits_format(first)
    if layout is None and re.fullmatch(r"\d+(\.\d*)?", first):
        return _counted(table, column, start)
    if layout is None:
        text = _rewritten(text, first)
        first = str(text.iloc[0])
    layout = layout or _format_of(first) or _slashed_format(table, text)
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
    if not has_offset:
        return _localise(table, stamps.tz_localize(None), timezone, column, named, stated)
    _check_offsets(table, column, text)
    clock = text.str.replace(r" ?(?:Z|[+-]\d\d(?::?\d\d)?)$", "", regex=True)
    written = pd.DatetimeIndex(pd.to_datetime(clock, format=layout, errors="coerce"))
    _check_zone(table, column, stamps, written, timezone if stated else None)
    return stamps


def _check_offsets(table: Table, column: str, text: pd.Series[str]) -> None:
    """Refuse ``00:00-01:00``, which says from when to when and reads like a time with an offset."""
    offsets = text.str.extract(r"(Z|[+-]\d\d(?::?\d\d)?)$")[0]
    if offsets.nunique() > MOST_OFFSETS:
        odd = int(np.flatnonzero((offsets != offsets.iloc[0]).to_numpy(dtype=bool))[0])
        raise table.error(
            odd,
            f"'{text.iloc[odd]}' in column '{column}' has another UTC offset, {offsets.nunique()} in all: the end of "
            "an interval?",
            "the start alone",
        )


def _check_zone(
    table: Table, column: str, stamps: pd.DatetimeIndex, written: pd.DatetimeIndex, timezone: str | None
) -> None:
    """Refuse a zone that was stated where the times carry offsets that are not that zone's."""
    if timezone is None:
        return
    name = "UTC" if zone(timezone) is UTC else timezone
    differs = np.asarray(stamps.tz_convert(name).tz_localize(None) != written, dtype=bool)
    other = np.flatnonzero(differs & np.asarray(written.notna(), dtype=bool))
    if len(other):
        raise table.error(
            int(other[0]),
            f"{written[other[0]]:%Y-%m-%d %H:%M} in column '{column}' has a UTC offset that is not that of {timezone}",
            "no time zone said, or times without an offset",
        )


def _counted(table: Table, column: str, start: datetime | None) -> pd.DatetimeIndex:
    """Times of a column of numbers: Unix times, or seconds from `start`."""
    import pandas as pd

    counts = table.numbers(column)
    least = float(np.nanmin(counts))
    for above, unit in _UNIX:
        if least >= above:
            return pd.DatetimeIndex(pd.to_datetime(counts, unit=unit, utc=True))
    if np.isnan(counts).any():
        raise table.error(int(np.argmax(np.isnan(counts))), f"no time in column '{column}'", _EXPECTED)
    if start is not None:
        return pd.DatetimeIndex(start + pd.to_timedelta(counts, unit="s")).tz_convert("UTC")
    if (
        _EXCEL_DAYS[0] <= least <= float(counts.max()) <= _EXCEL_DAYS[1]
        and np.diff(counts).max(initial=0.0) <= 1
    ):
        raise table.error(
            0, f"{counts[0]:g} in column '{column}' is a spreadsheet's count of days", _EXPECTED
        )
    raise InputError(
        f"{table.path}: column '{column}' counts seconds; expected dates and times, or what 0 means: "
        f"{table.advice('start', '2023-06-05')}"
    )


def _rewritten(text: pd.Series[str], first: str) -> pd.Series[str]:
    """Times in the layouts known: a zone's name as its offset, slashes for dashes, 24:00 as the next day's 00:00."""
    import pandas as pd

    for name, hours in _HOURS_OF.items():
        if bool(text.str.contains(name, regex=False).any()):
            text = text.str.replace(rf" ?\(?\b{name}\)?$", f"{hours:+03d}:00", regex=True)
    if re.match(r"\d\d?-\d\d?-\d{4}", first):
        text = text.str.replace(r"^(\d\d?)-(\d\d?)-", r"\1/\2/", regex=True)
    late = text.str.match(r"\d{4}-\d\d-\d\d[ T]24:00(:00)?$")
    if bool(late.any()):
        days = pd.to_datetime(text[late].str[:10], errors="coerce") + pd.Timedelta(days=1)
        text = text.copy()
        text[late] = days.dt.strftime("%Y-%m-%d 00:00").fillna(text[late])
        if bool(text.str.match(r".*:\d\d:\d\d$").any()):
            text = text.mask(late, text + ":00")
    return text


def _digits_format(text: str) -> str | None:
    """Layout of a date written in digits alone (DWD: 2022010100), which no count of seconds of our time looks like."""
    layouts = {8: "%Y%m%d", 10: "%Y%m%d%H", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
    written = re.fullmatch(r"(19|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])\d*", text)
    return layouts.get(len(text)) if written else None


def _format_of(text: str) -> str | None:
    return next((layout for pattern, layout in _FORMATS if re.match(pattern, text)), None)


def _slashed_format(table: Table, text: pd.Series[str]) -> str | None:
    """Decide between month first and day first by which of them fits every row."""
    import pandas as pd

    if not re.match(r"\d\d?/\d\d?/\d{4}", str(text.iloc[0])):
        return None
    layouts = [
        layout for layout in _SLASHED if pd.to_datetime(text, format=layout, errors="coerce").notna().all()
    ]
    if len(layouts) > 1:
        raise table.error(0, f"'{text.iloc[0]}' may be day/month or month/day", _EXPECTED)
    return layouts[0] if layouts else None


def _localise(
    table: Table, stamps: pd.DatetimeIndex, timezone: str | None, column: str, named: str | None, stated: bool
) -> pd.DatetimeIndex:
    if named == "UTC":
        if timezone is not None and stated and zone(timezone) is not UTC:
            raise InputError(
                f"{table.path}: times in '{column}' are UTC by their name, {timezone} was said; expected no time zone "
                "said, or another name of the column"
            )
        return stamps.tz_localize("UTC")
    if named == "local" and timezone is None:
        raise InputError(
            f"{table.path}: times in '{column}' are local by their name; expected their zone: "
            f"{table.advice('timezone', 'Europe/Berlin')}, or a fixed offset: Etc/GMT-1 for CET all year"
        )
    timezone = timezone or (named if named != "local" else None) or "UTC"
    if zone(timezone) is UTC:
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


def _other_zone(table: Table) -> str:
    return f"a fixed offset where every day has 24 rows: {table.advice('timezone', 'Etc/GMT-1')}"
