"""Open a table file as text and remember where its rows are, so that every complaint can name one."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from simulators.errors import InputError
from simulators.profiles.decimals import Ambiguous, Decimal, parsed

_BRACED = re.compile(r"(.+\.zip)\{(.+)\}", re.IGNORECASE)


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
    """

    path: Path
    frame: pd.DataFrame
    first_row: int
    comments: dict[str, str]
    sha256: str
    option: str = "weather"
    decimal: Decimal | None = None
    units: Mapping[str, str] = field(default_factory=dict)

    def advice(self, field: str, value: str) -> str:
        """How to say something about the file: on the command line and in a study, or in Python."""
        if not self.option:
            return f'{field}="{value}"'
        return f'--{self.option}-{field} {value} (in a study: {field} = "{value}")'

    def row(self, index: int) -> str:
        """Name data row `index` (from 0) the way a person finds it."""
        return f"row {self.first_row + index}"

    def error(self, index: int, problem: str, expected: str) -> InputError:
        """Build the one-line error for data row `index`."""
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


def on_disk(path: Path) -> Path:
    """The file a path means on disk: that of an archive for a member of it."""
    braced = _BRACED.fullmatch(str(path))
    if braced:
        return Path(braced[1])
    archive = next((parent for parent in path.parents if parent.suffix.lower() == ".zip"), None)
    return archive if archive is not None and archive.is_file() else path


def read_bytes(path: Path) -> tuple[bytes, str]:
    """Read a file, or a zip's member, named ``a.zip/b.csv`` or ``a.zip{b.csv}``; (content, sha256 of the file)."""
    there = on_disk(path)
    if not there.exists():
        raise InputError(f"{path}: no such file")
    if there.is_dir():
        raise InputError(f"{path}: is a folder; expected a file")
    try:
        raw = there.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    digest = hashlib.sha256(raw).hexdigest()
    try:
        if raw[:2] == b"\x1f\x8b":
            raw = gzip.decompress(raw)
        elif raw[:4] == b"PK\x03\x04":
            raw = _zip_member(raw, there, path)
        if raw[:2] == b"\x1f\x8b":
            raw = gzip.decompress(raw)  # a member may be packed once more
    except (OSError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: damaged archive ({error})") from error
    if not raw.strip():
        raise InputError(f"{path}: the file is empty; expected a header and at least two rows")
    return raw, digest


def _zip_member(raw: bytes, archive: Path, path: Path) -> bytes:
    with zipfile.ZipFile(io.BytesIO(raw)) as opened:
        members = [name for name in opened.namelist() if not name.endswith("/")]
        if "xl/workbook.xml" in members:
            raise InputError(f"{path}: is an Excel workbook; expected its sheet saved as CSV")
        braced = _BRACED.fullmatch(str(path))
        wanted = braced[2] if braced else path.relative_to(archive).as_posix() if path != archive else ""
        if not wanted and len(members) == 1:
            wanted = members[0]
        if wanted not in members:
            raise InputError(
                f"{path}: holds {len(members)} files; expected one, or name it as "
                f"{archive}/{members[0] if members else 'FILE'} (there are {', '.join(members)})"
            )
        return opened.read(wanted)


def decode(path: Path, raw: bytes) -> str:
    """Text of a file in UTF-8, with or without byte order mark, else Latin-1; `path` is for messages."""
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
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
    try:
        held = pq.read_table(io.BytesIO(raw))
        frame = held.to_pandas()
    except (OSError, ValueError, pa.ArrowException) as error:
        raise InputError(f"{path}: damaged parquet file ({str(error).splitlines()[0]})") from error
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
    lines = text.rstrip().splitlines()
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
    return Table(path, frame, header + 2, comments, digest)


def check_lengths(path: Path, lines: list[str], header: int, separator: str = ",") -> None:
    """Refuse a row with more or fewer cells than the header, which pandas would cut, pad or even crash on."""
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
