"""Open a table file as text and remember where its rows are, so that every complaint can name one."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from simulators.errors import InputError
from simulators.profiles.archives import read_bytes
from simulators.profiles.decimals import Ambiguous, Decimal, parsed

if TYPE_CHECKING:
    import pandas as pd

MOST_COLUMNS = 2000
_LONGEST = 200
"""Characters of a cell's complaint that a line shows."""


@dataclass(frozen=True)
class Table:
    """A table as it stands in the file: every cell of a text file is still text.

    Attributes
    ----------
    path
        As the user named it; opens every message.
    frame
        The rows.
    first_row
        Number of the first data row: its line in a text file (the first line is 1, the header counts), or
        1 in a parquet file.
    comments
        ``key: value`` pairs from leading lines that start with ``#``.
    sha256
        Of the file on disk.
    option
        What the file's options begin with on the command line, for advice in messages; empty if it has none there.
    decimal
        Where the decimals of its numbers begin; None: the cells of each column must tell.
    units
        Units by column that the file says beside the header: metadata of a parquet file's columns.
    descending
        Whether `frame` has the rows of the file from the last to the first.
    pivoted
        Whether it was made of a long table: an absent cell is then no row of that column.
    twice
        Columns whose header stands twice.
    separator
        Between its cells.
    """

    path: Path
    frame: pd.DataFrame
    first_row: int
    comments: dict[str, str]
    sha256: str
    option: str = "weather"
    decimal: Decimal | None = None
    units: Mapping[str, str] = field(default_factory=dict)
    descending: bool = False
    pivoted: bool = False
    twice: frozenset[str] = frozenset()
    separator: str = ","

    def advice(self, field: str, value: str) -> str:
        """How to say something about the file: on the command line and in a study, or in Python."""
        if not self.option:
            return f'{field}="{value}"'
        return f'--{self.option}-{field} {value} (in a study: {field} = "{value}")'

    def row(self, index: int) -> str:
        """Name data row `index` (from 0) the way a person finds it."""
        return f"row {self.first_row + (len(self.frame) - 1 - index if self.descending else index)}"

    def error(self, index: int, problem: str, expected: str) -> InputError:
        """Build the one-line error for data row `index`."""
        if len(problem) > _LONGEST:
            problem = f"{problem[: _LONGEST // 2]} ... {problem[-_LONGEST // 2 :]}"
        where = "line of the file" if self.first_row > 1 else "record of the file"
        return InputError(f"{self.path}: {self.row(index)} ({where}): {problem}; expected {expected}")

    def columns(self) -> str:
        """Column names for a message, at most twenty."""
        # pandas calls a nameless column "Unnamed: n"
        names = [str(name) for name in self.frame.columns if not str(name).startswith("Unnamed: ")]
        more = f" and {len(names) - 20} more" if len(names) > 20 else ""
        return ", ".join(f"'{name}'" for name in names[:20]) + more

    def numbers(self, column: str) -> NDArray[np.float64]:
        """Read a column as numbers; an empty cell or ``NaN`` is NaN, other text an InputError."""
        import pandas as pd

        if column in self.twice:
            raise InputError(f"{self.path}: two columns are called '{column}'; expected every name once")
        cells = self.frame[column]
        if pd.api.types.is_numeric_dtype(cells) and not pd.api.types.is_bool_dtype(cells):
            return cells.to_numpy(dtype=np.float64, na_value=np.nan)
        try:
            self._check_points(column)
            values, bad = parsed(cells.astype("string"), self.decimal)
        except Ambiguous as error:
            raise self.error(
                error.row,
                f"{error} in column '{column}'",
                f"one convention, {self.advice('decimal', 'point')} or comma",
            ) from None
        if len(bad):
            raise self.error(
                int(bad[0]), f"'{cells.iloc[bad[0]]}' in column '{column}' is not a number", "a number"
            )
        return values

    def _check_points(self, column: str) -> None:
        """Refuse ``1.015`` where other columns have decimal commas: it may be a thousand."""
        if self.decimal is not None:
            return
        cells = self.frame[column].astype("string").str.strip()
        pointed = cells.str.contains(".", regex=False, na=False)
        grouped = cells.str.fullmatch(r"[+-]?[1-9]\d{0,2}\.\d{3}", na=False)
        if not bool(pointed.any()) or not bool((pointed == grouped).all()):
            return
        for other in self.frame.columns:
            sample = self.frame[other].head(1000).astype("string")
            if other != column and bool(
                sample.str.fullmatch(r"\s*[+-]?\d+,(\d{1,2}|\d{4,})\s*", na=False).any()
            ):
                row = int(np.flatnonzero(pointed.to_numpy(dtype=bool))[0])
                cell = cells.iloc[row]
                raise Ambiguous(row, f"'{cell}' may be {cell.replace('.', '')} or {cell.replace('.', ',')}")


def _decoded(raw: bytes, encodings: list[str]) -> str:
    for encoding in encodings:
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    return raw.decode("latin-1")


def decode(path: Path, raw: bytes) -> str:
    """Text of a file in UTF-8 (with or without byte order mark) or UTF-16 (with), else in Windows-1252.

    Raises
    ------
    InputError
        If it is no text; `path` is for the message.
    """
    utf_16 = raw[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    text = _decoded(raw, ["utf-16"] if utf_16 else ["utf-8-sig", "cp1252"])
    if "\x00" in text:
        row = text.count("\n", 0, text.index("\x00")) + 1
        raise InputError(
            f"{path}: row {row} (line of the file): is not a text file there (NUL); expected CSV or parquet"
        )
    if odd := re.search(
        r"[\x01-\x08\x0b\x0e-\x1f\x7f](?!\s*\Z)", text
    ):  # the last may be what DOS ends files with
        row = text.count("\n", 0, odd.start()) + 1
        raise InputError(
            f"{path}: row {row} (line of the file): has a control character; expected CSV or parquet"
        )
    text = text.replace("\ufeff", "")
    # what spreadsheets take for an instruction, before the header
    text = re.sub(r"^\s*\"?sep=.\"?[ ,;\t]*(\r?\n)", r"\1", text, flags=re.IGNORECASE)
    # pandas' float parser crashes the interpreter on an exponent of many digits
    monster = re.search(r"\d[eE][+-]?\d{7,}", text)
    if monster:
        row = text.count("\n", 0, monster.start()) + 1
        raise InputError(
            f"{path}: row {row} (line of the file): '{monster[0]}' is out of range; expected a number"
        )
    return text


def parse_parquet(path: Path, raw: bytes, digest: str) -> Table:
    """Parse a parquet file; `path` is for messages."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        held = pq.read_table(io.BytesIO(raw))
        frame = held.to_pandas()
    except (
        OSError,
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
        ArithmeticError,
        pa.ArrowException,
    ) as error:
        said = (str(error).splitlines() or [type(error).__name__])[0][:_LONGEST]
        raise InputError(f"{path}: damaged parquet file ({said})") from error
    frame = frame if isinstance(frame.index, pd.RangeIndex) else frame.reset_index()
    units = {
        entry.name.strip(): entry.metadata[b"unit"].decode(errors="replace")
        for entry in held.schema
        if entry.metadata and entry.metadata.get(b"unit")
    }
    frame.columns = [str(name).strip() for name in frame.columns]
    if not len(frame):
        raise InputError(f"{path}: has no data rows; expected at least two")
    return Table(path, frame, 1, {}, digest, units=units)


def parse_text(path: Path, text: str, digest: str) -> Table:
    """Parse the text of a CSV; `path` is for messages."""
    import pandas as pd

    lines = text.splitlines()
    while lines and not lines[-1].strip():
        lines.pop()  # and no more: the last cells of the last row may be empty
    comments: dict[str, str] = {}
    header = 0
    while header < len(lines) and (lines[header].startswith("#") or not lines[header].strip()):
        match = re.match(r"#\s*([\w ]+?)\s*[:=]\s*(.+)", lines[header])
        if match:
            comments[match[1].lower()] = match[2].strip()
        header += 1
    if len(lines) - header < 2:
        raise InputError(f"{path}: has no data rows; expected a header and at least two rows")
    separator = max(",;\t", key=lines[header].count)
    count = lines[header].count(separator) + 1
    if count > MOST_COLUMNS:
        raise InputError(f"{path}: has {count} columns; expected at most {MOST_COLUMNS}")
    check_lengths(path, lines, header, separator)
    try:
        frame = pd.read_csv(
            io.StringIO("\n".join(lines[header:])),
            sep=separator,
            dtype="string",
            keep_default_na=False,
            skip_blank_lines=False,
        )
    except pd.errors.ParserError as error:
        raise InputError(f"{path}: not a table ({str(error).splitlines()[0]})") from error
    if not len(frame):
        raise InputError(f"{path}: has no data rows; expected at least two")
    frame.columns = [str(name).strip() for name in frame.columns]
    names = [name.strip() for name in next(csv.reader([lines[header]], delimiter=separator))]
    twice = frozenset(name for name in names if name and names.count(name) > 1)
    return Table(path, frame, header + 2, comments, digest, twice=twice, separator=separator)


def plain_csv(path: Path, *, twice: bool = False, **options: Any) -> pd.DataFrame:
    """A small table of the user's whose columns have names of our own, by `pandas.read_csv`; may be packed.

    Parameters
    ----------
    path
        Of the file; opens every message.
    twice
        Whether a column's name may stand twice.
    options
        Of `pandas.read_csv`.

    Raises
    ------
    InputError
        As `archives.read_bytes` and `decode`, or if it is no table with one header.
    """
    import pandas as pd

    raw, _ = read_bytes(path)
    text = decode(path, raw)
    try:
        frame: pd.DataFrame = pd.read_csv(io.StringIO(text), **options)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, ValueError, OverflowError, csv.Error) as error:
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{path}: cannot be read as CSV: {said[:_LONGEST]}") from None
    header = next((line for line in text.splitlines() if line.strip() and not line.startswith("#")), "")
    names = [name.strip() for name in header.split(",") if name.strip()]
    again = next((name for name in names if names.count(name) > 1), None)
    if again is not None and not twice:
        raise InputError(f"{path}: two columns are called {again[:60]!r}; expected every name once")
    if not isinstance(frame.index, pd.RangeIndex):
        raise InputError(f"{path}: its rows have more cells than the header; expected as many")
    return frame


def check_lengths(path: Path, lines: list[str], header: int, separator: str = ",") -> None:
    """Refuse a row with more or fewer cells than the header, which pandas would cut, pad or even crash on."""
    if len(lines) <= header:
        raise InputError(f"{path}: has no data rows; expected a header and at least two rows")
    expected = _cells(lines[header], separator)
    for number, line in enumerate(lines[header + 1 :], start=header + 2):
        found = _cells(line, separator)
        if found is None:
            raise InputError(
                f"{path}: row {number} (line of the file): has an open quotation mark; expected a pair"
            )
        if found != expected:
            raise InputError(
                f"{path}: row {number} (line of the file): has {found} cells; expected {expected} as in the header"
            )


def _cells(line: str, separator: str) -> int | None:
    """Cells of a line; None if a quotation mark stays open, which would swallow the lines below."""
    if '"' in line:
        try:
            return len(next(csv.reader([line], delimiter=separator, strict=True)))
        except csv.Error:
            return None
    return line.count(separator) + 1 if line.strip() else 0
