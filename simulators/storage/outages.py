"""When the grid is away, as a study says it: START/END, or a file with one outage per row."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from simulators.errors import InputError
from simulators.files import is_there, read_rows
from simulators.profiles.times import in_zone

EXPECTED = (
    "expected START/END, e.g. 2023-06-05T14:00/2023-06-05T18:00, or a CSV file with the columns start and end"
)


def outage_file(entry: str) -> Path | None:
    """The file that an entry names; None of a START/END."""
    return Path(entry) if _window(entry) is None else None


def outages_s(
    entries: Sequence[str],
    start: datetime,
    timezone: str,
    step_s: int = 1,
    length_s: float | None = None,
) -> list[tuple[float, float]]:
    """Outages from the start of a run on, s.

    Parameters
    ----------
    entries
        Each START/END or a file; times without a zone are local to `timezone`.
    start
        Of the run.
    step_s
        Length of a step, s: in each the grid is there or away.
    length_s
        Of the run, s: an outage after it, or its part before the start, need not begin or end with a step.

    Raises
    ------
    InputError
        If an entry is neither, a file cannot be read, an outage does not end after its start, or starts
        or ends within a step; names entry or row.

    Examples
    --------
    >>> outages_s(["2023-06-05T14:00/2023-06-05T18:00"], datetime(2023, 6, 5, 12, tzinfo=UTC), "Europe/Berlin")
    [(0.0, 14400.0)]
    """
    found = []
    for entry in entries:
        path = outage_file(entry)
        rows = [(f"--outage {entry}", *_window(entry))] if path is None else _read(path)  # type: ignore[misc]
        for where, first, last in rows:
            begins, ends = (_seconds(where, text, start, timezone) for text in (first, last))
            if not begins < ends:
                raise InputError(f"{where}: ends at {last}, expected a time after its start at {first}")
            for text, second in ((first, begins), (last, ends)):
                if second > 0 and second % step_s and (length_s is None or begins < length_s):
                    raise InputError(
                        f"{where}: {text} is {second % step_s:g} s into a step of {step_s} s, expected whole steps "
                        "from the start of the run on; choose another --step or time"
                    )
            found.append((begins, ends))
    return found


def _window(entry: str) -> tuple[str, str] | None:
    first, slash, last = entry.partition("/")
    # a time has a digit first and no further slash: anything else is a path
    if slash and "/" not in last and first[:4].isdigit() and last[:4].isdigit():
        return first, last
    return None


def _read(path: Path) -> list[tuple[str, str, str]]:
    if not is_there(path):
        raise InputError(f"--outage {path}: no such file; {EXPECTED}")
    rows = read_rows(path, f"--outage {path}", EXPECTED.removeprefix("expected "))
    if not rows or not {"start", "end"} <= set(rows[0]):
        raise InputError(f"{path}: has no rows under the columns start and end; {EXPECTED}")
    return [(f"{path}, row {i}", row["start"] or "", row["end"] or "") for i, row in enumerate(rows, 1)]


def _seconds(where: str, text: str, start: datetime, timezone: str) -> float:
    try:
        time = datetime.fromisoformat(text.strip())
    except ValueError:
        raise InputError(f"{where}: {text!r} given, expected a time such as 2023-06-05T14:00") from None
    return (in_zone(time, timezone, where) - start.astimezone(UTC)).total_seconds()
