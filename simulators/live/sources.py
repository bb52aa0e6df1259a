"""Values that come in while a run goes on: the newest row of a CSV that grows, or what a Prometheus server says now.

A source says its newest value whenever it is asked and holds the one before while there is nothing new. Both ask the
world outside, so a run with one is not repeatable; what it saw stands in its time series.
"""

from __future__ import annotations

import csv
import json
import math
import os
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from simulators.errors import InputError
from simulators.profiles.quantities import Quantity
from simulators.profiles.units import accepted_units, conversion, split_header
from simulators.spelling import plain_number

LONGEST_ROW = 65_536
"""Of a CSV, bytes; longer is no row."""
LARGEST_ANSWER = 1_048_576
"""Of a server, bytes."""
ANSWERS_WITHIN_S = 2.0
"""How long a server may take; the step waits for it."""


class Source(Protocol):
    """Says its newest value.

    Attributes
    ----------
    heard
        How many values have come in.
    """

    heard: int

    def latest(self) -> float | None:
        """The newest value in the quantity's canonical unit; None before the first."""
        ...


class GrowingCsv:
    """The newest whole row of a CSV that somebody appends to; a row counts once its line has ended.

    The first line is the header, whose column of the quantity names its unit, e.g. ``time,CI[gCO2eq/kWh]``. A file that
    is cut or put in place anew is read from its start.

    Parameters
    ----------
    path
        The file.
    quantity
        What it holds.
    column
        Name of the column; default: the last one.

    Examples
    --------
    >>> import tempfile
    >>> from simulators.profiles.quantities import quantity_named
    >>> path = Path(tempfile.mkdtemp()) / "now.csv"
    >>> _ = path.write_text("time,intensity[kgCO2eq/kWh]\\n2024-01-01T00:00Z,0.25\\n2024-01-01T00:05Z,0.3")
    >>> source = GrowingCsv(path, quantity_named("carbon"))
    >>> source.latest()
    250.0
    >>> with path.open("a") as file:
    ...     _ = file.write("1\\n")
    >>> source.latest(), source.heard
    (310.0, 2)
    """

    def __init__(self, path: Path, quantity: Quantity, column: str | None = None) -> None:
        self.heard = 0
        self._path, self._quantity, self._column = path, quantity, column
        self._identity: tuple[int, int] | None = None
        self._place = 0
        self._value: float | None = None
        self._start_over()

    def _start_over(self) -> None:
        self._at, self._line, self._begun = 0, 0, b""
        self._factor, self._offset = 1.0, 0.0

    def latest(self) -> float | None:
        """The newest value; see `Source`.

        Raises
        ------
        InputError
            A row that cannot be read; names file, row and what was expected.
        """
        try:
            found = os.stat(self._path)
            if not os.path.isfile(self._path):
                raise InputError(f"{self._path}: no file, expected a CSV that grows")
            if (found.st_dev, found.st_ino) != self._identity or found.st_size < self._at:
                self._identity = (found.st_dev, found.st_ino)
                self._start_over()
            with open(self._path, "rb") as file:
                file.seek(self._at)
                while part := file.read(LONGEST_ROW):
                    self._at += len(part)
                    self._take(part)
        except OSError as error:
            if self._value is None:
                raise InputError(
                    f"{self._path}: cannot be read ({error.strerror}), expected a CSV that grows"
                ) from None
        return self._value

    def _take(self, part: bytes) -> None:
        *whole, self._begun = (self._begun + part).split(b"\n")
        for line in whole:
            self._line += 1
            if line.strip():
                self._row(line)
        if len(self._begun) > LONGEST_ROW:
            raise InputError(
                f"{self._path}, line {self._line + 1}: longer than {LONGEST_ROW} bytes, expected a row"
            )

    def _row(self, line: bytes) -> None:
        try:
            cells = next(
                csv.reader([line.decode("utf-8-sig" if self._line == 1 else "utf-8").rstrip("\r")]), []
            )
        except (UnicodeDecodeError, csv.Error) as error:
            raise InputError(
                f"{self._path}, line {self._line}: cannot be read ({error}), expected a row"
            ) from None
        if self._line == 1:
            self._head([cell.strip() for cell in cells])
            return
        text = cells[self._place].strip() if self._place < len(cells) else ""
        try:
            value = plain_number(text)
        except ValueError:
            value = math.nan
        self._value = _plausible(value * self._factor + self._offset, text, self._quantity, self._where())
        self.heard += 1

    def _where(self) -> str:
        return f"{self._path}, line {self._line}"

    def _head(self, names: list[str]) -> None:
        named = [split_header(name)[0] for name in names]
        if self._column is None:
            self._place = len(names) - 1
        elif self._column in names or self._column in named:
            self._place = names.index(self._column) if self._column in names else named.index(self._column)
        else:
            raise InputError(
                f"{self._path}: has no column {self._column!r}, expected one of {', '.join(names)}"
            )
        unit = split_header(names[self._place])[1]
        known = None if unit is None else conversion(self._quantity, unit)
        if known is None:
            raise InputError(
                f"{self._path}: column {names[self._place]!r} names no unit of a {self._quantity.label}, "
                f"expected one of {accepted_units(self._quantity)} in brackets"
            )
        self._factor, self._offset, _ = known


class Prometheus:
    """What an instant query of a Prometheus server gives: its first result, in the quantity's canonical unit.

    Parameters
    ----------
    url
        Of the query, e.g. ``http://127.0.0.1:9090/api/v1/query?query=carbon_intensity``.
    quantity
        What it gives.
    """

    def __init__(self, url: str, quantity: Quantity) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InputError(f"{url}: no address, expected http://HOST:PORT/api/v1/query?query=...")
        self.heard = 0
        self._url, self._quantity = url, quantity
        self._value: float | None = None
        self._stamp: object = None

    def latest(self) -> float | None:
        """The newest value; see `Source`. A server that does not answer leaves it as it was.

        Raises
        ------
        InputError
            An answer that is none, or no answer to the first question.
        """
        try:
            with urllib.request.urlopen(self._url, timeout=ANSWERS_WITHIN_S) as answer:
                text = answer.read(LARGEST_ANSWER)
        except (OSError, ValueError) as error:
            if self._value is None:
                reason = error.reason if isinstance(error, urllib.error.URLError) else error
                raise InputError(
                    f"{self._url}: does not answer ({reason}), expected a Prometheus server"
                ) from None
            return self._value
        try:
            results = json.loads(text)["data"]["result"]
            if not results:
                return self._value
            stamp, said = results[0]["value"]
            value = float(said)
        except (ValueError, KeyError, TypeError, IndexError, RecursionError):
            raise InputError(
                f"{self._url}: answers something else, expected the result of an instant query"
            ) from None
        self._value = _plausible(value, said, self._quantity, self._url)
        self.heard += stamp != self._stamp
        self._stamp = stamp
        return self._value


def _plausible(value: float, text: str, quantity: Quantity, where: str) -> float:
    if not quantity.low <= value <= quantity.high:  # NaN is not either
        raise InputError(
            f"{where}: {text!r} given, expected a {quantity.label} from {quantity.low:g} to {quantity.high:g} "
            f"{quantity.unit}"
        )
    return value


def source(text: str, quantity: Quantity, column: str | None = None) -> Source:
    """The source that a user names: an address, or a file."""
    if text.startswith(("http://", "https://")):
        return Prometheus(text, quantity)
    return GrowingCsv(Path(text), quantity, column)


def first_value(found: Source, within_s: float) -> float:
    """Wait for the first value of a source.

    Raises
    ------
    InputError
        If none comes in time.
    """
    ends = time.monotonic() + within_s
    while (value := found.latest()) is None:
        if time.monotonic() > ends:
            raise InputError(f"live source: no value within {within_s:g} s, expected a whole row or a result")
        time.sleep(0.05)
    return value
