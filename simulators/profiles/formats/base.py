"""What a format is: a name, a sign to know its files by, and a reader of series, of weather, or of both."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from simulators.errors import InputError
from simulators.profiles.archives import read_bytes
from simulators.profiles.decimals import Decimal
from simulators.profiles.fill import FillRule
from simulators.profiles.profile import Kind
from simulators.profiles.tables import Table, decode, parse_parquet, parse_text

if TYPE_CHECKING:
    import pandas as pd

Label = Literal["start", "end", "instant"]
Basis = Literal["direct", "life cycle"]
Implausible = Literal["cap", "missing"]


class NoWeather(InputError):
    """A table without any column of weather."""


class Content:
    """A file that was opened: its bytes, and what they are as text, as JSON, as a table, each made once.

    Parameters
    ----------
    path
        As the user named it.
    option
        What the file's options begin with on the command line; empty if it has none there.
    decimal
        What was said of its numbers.
    """

    def __init__(self, path: Path, option: str = "weather", decimal: Decimal | None = None) -> None:
        self.path, self.option, self.decimal = path, option, decimal
        self.stated = False  # whether somebody named its format
        self.raw, self.sha256 = read_bytes(path)

    @property
    def packed(self) -> bool:
        """Whether it is parquet rather than text."""
        return self.raw[:4] == b"PAR1"

    @cached_property
    def text(self) -> str:
        """Its text; empty of a parquet file."""
        if self.packed:
            return ""
        return decode(self.path, self.raw)

    @cached_property
    def tidy(self) -> str:
        """Its text as publishers write commas, before a spreadsheet quoted, padded or split it."""
        text = self.text.lstrip("\r\n")
        if ";" in text and "," not in text:
            text = text.replace(";", ",")
        lines = text.splitlines()
        if not any(line[:1] == '"' or line[-1:] == "," for line in lines[:1]):
            return text
        return "\n".join(line if line[:1] == "#" else _unquoted(line).rstrip(",") for line in lines)

    @cached_property
    def head(self) -> str:
        """Its first 4000 characters, tidy."""
        return self.tidy[:4000]

    @cached_property
    def json(self) -> Any:
        """What its JSON holds; None if it is none."""
        if self.head.lstrip()[:1] not in ("{", "["):
            return None
        try:
            return json.loads(self.text)
        except json.JSONDecodeError as error:
            raise InputError(
                f"{self.path}: row {error.lineno} (line of the file): damaged JSON ({error.msg})"
            ) from error
        except ValueError as error:
            raise InputError(f"{self.path}: damaged JSON ({str(error).split(';')[0]})") from error
        except RecursionError:
            raise InputError(f"{self.path}: damaged JSON (nested too deeply)") from None

    @cached_property
    def header(self) -> str:
        """The first line that is no comment."""
        return next((line for line in self.head.splitlines() if line.strip() and line[0] != "#"), "")

    def table(self, text: str | None = None, decimal: Decimal | None = None) -> Table:
        """The file, or other `text` of it, as a table; `decimal` is the format's, and yields to what was said."""
        if text is None and self.packed:
            table = parse_parquet(self.path, self.raw, self.sha256)
        else:
            table = parse_text(self.path, self.text if text is None else text, self.sha256)
        return self.own(table, decimal)

    def own(self, table: Table, decimal: Decimal | None = None) -> Table:
        """A table with the options of this file."""
        return replace(table, option=self.option, decimal=self.decimal or decimal)


def _unquoted(line: str) -> str:
    """A line without the quotation marks that no cell needs."""
    if '"' not in line:
        return line
    cells = next(csv.reader([line]), [])
    return line if any("," in cell or '"' in cell for cell in cells) else ",".join(cells)


@dataclass(frozen=True)
class Column:
    """What is known of a value column.

    Attributes
    ----------
    quantity
        A key of `quantities.QUANTITIES`, or ``mix`` for generation by source.
    unit
        Its unit; None: as the header says.
    kind, basis
        Of a carbon intensity: average or marginal; direct emissions or life cycle.
    rank
        The lowest is taken where several columns could be.
    rated_w
        Of the plant whose power it is, W; None if the file does not say.
    """

    quantity: str
    unit: str | None = None
    kind: Kind | None = None
    basis: Basis | None = None
    rank: int = 0
    rated_w: float | None = None


@dataclass(frozen=True)
class Sheet:
    """A table in which columns are known, as a format's reader hands it on.

    Attributes
    ----------
    table
        The rows; one row per time.
    time
        Its time column.
    columns
        Value columns that are known.
    timezone, label
        What the format settles; None: as the user says, else UTC and start.
    estimated
        One flag per row: whether its values are the publisher's estimates; None if the file does not say.
    note
        What a reader must know of how it was read.
    """

    table: Table
    time: str
    columns: Mapping[str, Column] = field(default_factory=dict)
    timezone: str | None = None
    label: Label | None = None
    estimated: NDArray[np.bool_] | None = None
    note: str = ""


@dataclass(frozen=True)
class Issued:
    """Forecasts of a series as they were issued.

    Attributes
    ----------
    at
        When each was issued, UTC, ascending; shape (n,).
    lead_s
        From the time of issue to the first value, and between values, s.
    values
        One forecast per row, in `unit`; shape (n, values).
    unit, kind
        Of the values.
    """

    at: pd.DatetimeIndex
    lead_s: int
    values: NDArray[np.float64]
    unit: str
    kind: Kind | None


@dataclass(frozen=True)
class Said:
    """What a user says of a weather file; None: nothing."""

    timezone: str | None = None
    label: Label | None = None
    fill: FillRule | None = None
    implausible: Implausible | None = None


@dataclass(frozen=True)
class RawWeather:
    """What a weather file holds, checked and on a uniform UTC axis; columns by quantity name in canonical units.

    `settled`: its format settles time zone and label, so that nobody else may.
    """

    path: Path
    start: datetime
    step_s: int
    columns: dict[str, NDArray[np.float64]]
    sha256: str
    latitude: float | None = None
    longitude: float | None = None
    altitude_m: float | None = None
    wind_height_m: float = 10.0
    roughness_m: float | None = None
    cyclic: bool = False
    note: str = ""
    settled: bool = True


@dataclass(frozen=True)
class Format:
    """One format of files.

    Attributes
    ----------
    name
        What `format` and the command line call it.
    title
        For people.
    holds, unit, resolution, label
        What a file of it holds, in which unit, how often, and what its times stand at.
    sign
        How a file of it is known.
    source
        Where it is specified.
    known
        Whether a file is one.
    series, issued, weather
        Its readers: a series, forecasts as they were issued, weather; None if a file of it holds no such thing.
    """

    name: str
    title: str
    holds: str
    unit: str
    resolution: str
    label: str
    sign: str
    source: str
    known: Callable[[Content], bool]
    series: Callable[[Content], Sheet] | None = None
    issued: Callable[[Content], Issued] | None = None
    weather: Callable[[Content, Said], RawWeather] | None = None
