"""A file in a study, and what must be known to read it.

A path alone is enough where the file says the rest. In a study it is a string or a table::

    carbon = "my.csv"
    price = {path = "prices.csv", column = "DE", unit = "EUR/MWh", timezone = "Europe/Berlin", fill = "previous:3h"}

On the command line the same is `--carbon my.csv`, and `--price prices.csv --price-column DE --price-unit EUR/MWh ...`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from simulators.errors import InputError
from simulators.profiles.archives import on_disk
from simulators.profiles.decimals import Decimal
from simulators.profiles.fill import parse_fill
from simulators.profiles.formats.base import Implausible, Label
from simulators.profiles.profile import Align, Kind, Profile
from simulators.profiles.times import zone

if TYPE_CHECKING:
    from simulators.profiles.weather import Weather


class FileRef(BaseModel):
    """A file and how to read it.

    Attributes
    ----------
    path, column, unit, timezone, label, fill, kind, format, decimal, implausible, rating, start
        See `read_csv_profile`.
    align
        How it is moved to a run in another year; see `profile.Align`.
    elsewhere
        Of weather: that it may be of a place far from the site.
    cyclic
        A typical year, aligned by its position in the year; None: as the format says.
    licence, note
        Where it comes from; what a reader of results must know of it.

    Examples
    --------
    >>> FileRef.model_validate("my.csv").path.name
    'my.csv'
    >>> FileRef(path="my.csv", fill="previous:3h").model_dump(exclude_defaults=True, mode="json")
    {'path': 'my.csv', 'fill': 'previous:3h'}
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)
    bare_field: ClassVar[str] = "path"

    path: Path
    column: str | None = Field(None, description="its column, where several could be meant")
    unit: str | None = Field(None, description="its unit, where the header names none or a wrong one")
    timezone: str | None = Field(
        None, description="its time zone, for times without an offset, e.g. Europe/Berlin  [default: UTC]"
    )
    label: Label | None = Field(
        None,
        description="what its times stand at: start, end or instant (holds until the next)  [default: start]",
    )
    fill: str | None = Field(
        None,
        description="rule for missing values: previous or interpolate, e.g. previous:3h  [default: an error]",
    )
    kind: Kind | None = Field(
        None, description="average or marginal, where the file does not say  [default: average]"
    )
    format: str | None = Field(
        None, description="its format, one that `wattloop formats` lists  [default: found by its content]"
    )
    decimal: Decimal | None = Field(
        None, description="where its decimals begin: point or comma  [default: its cells must tell]"
    )
    implausible: Implausible | None = Field(
        None,
        description="values outside what is possible: cap (take the limit) or missing (see fill)  [default: an error]",
    )
    rating: str | None = Field(
        None,
        description="rated power, e.g. 10kW: of the plant in the file, where its values are power; of a load, where "
        "they are shares of it",
    )
    start: datetime | None = Field(
        None,
        description="what 0 means where its times count seconds, e.g. 2023-06-05; UTC unless it says otherwise",
    )
    align: Align | None = Field(
        None,
        description="use it in another year: calendar (same date and hour) or weekday (same weekday too)  "
        "[default: not]",
    )
    elsewhere: bool = Field(False, description="it may be of a place more than 50 km from the site")
    cyclic: bool | None = None
    licence: str = ""
    note: str = ""

    @model_validator(mode="before")
    @classmethod
    def _bare(cls, value: Any) -> Any:
        if isinstance(value, str | Path):
            return {"path": value}
        if isinstance(value, Mapping) and "file" in value and "path" not in value:
            return {("path" if name == "file" else name): entry for name, entry in value.items()}
        return value

    @field_validator("fill")
    @classmethod
    def _rule(cls, value: str | None) -> str | None:
        if value is not None:
            parse_fill(value)
        return value

    @field_validator("start", mode="before")
    @classmethod
    def _date(cls, value: Any) -> Any:
        """A number is no date: pydantic would count seconds from 1970."""
        if isinstance(value, int | float) or (isinstance(value, str) and not re.match(r"\d{4}-\d\d", value)):
            raise ValueError("expected a date such as 2023-06-05 or 2023-06-05T14:00")
        return value

    @field_validator("start")
    @classmethod
    def _aware(cls, value: datetime | None) -> datetime | None:
        return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value

    @field_validator("timezone")
    @classmethod
    def _zone(cls, value: str | None) -> str | None:
        if value is not None:
            zone(value)
        return value

    def resolved(self, folder: Path) -> FileRef:
        """The same file, with its path taken from a folder."""
        return self.model_copy(update={"path": (folder / self.path).resolve()})

    def read(self, quantity: str) -> Profile:
        """Read it as a series of a quantity (`quantities.QUANTITIES`).

        Raises
        ------
        InputError
            Whatever is wrong with the file; one line that names it, and the option that may help.
        """
        return _series(self, quantity, _stamp(self.path))

    def read_weather(
        self,
        latitude: float | None = None,
        longitude: float | None = None,
        altitude_m: float | None = None,
    ) -> Weather:
        """Read it as weather; the place is for files that do not say where they are.

        Raises
        ------
        InputError
            As `read`; also for a column, unit or kind, which weather files settle themselves.
        """
        for name in ("column", "unit", "kind", "rating", "start"):
            if getattr(self, name) is not None:
                raise InputError(
                    f"{self.path}: weather files settle their {name} themselves, expected no --weather-{name}"
                )
        return _weather(self, latitude, longitude, altitude_m, _stamp(self.path))


def _stamp(path: Path) -> tuple[int, int] | None:
    """What tells that a file is the one read before; None if there is none."""
    try:
        found = on_disk(path).stat()
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_size


# many studies in one process read the same few files, which takes longer than a short study itself
@lru_cache(maxsize=64)
def _series(ref: FileRef, quantity: str, stamp: tuple[int, int] | None) -> Profile:
    from simulators.profiles.readers import read_csv_profile  # with it pandas, which --help does not need
    from simulators.profiles.stored import stored

    def read() -> Profile:
        return read_csv_profile(
            ref.path,
            quantity,
            column=ref.column,
            timezone=ref.timezone,
            label=ref.label,
            fill=ref.fill,
            unit=ref.unit,
            cyclic=bool(ref.cyclic),
            kind=ref.kind,
            format=ref.format,
            decimal=ref.decimal,
            implausible=ref.implausible,
            rating=ref.rating,
            start=ref.start,
            align=ref.align,
        )

    return stored(Profile, ref.path, {"ref": ref.model_dump(mode="json"), "quantity": quantity}, read)


@lru_cache(maxsize=16)
def _weather(
    ref: FileRef,
    latitude: float | None,
    longitude: float | None,
    altitude_m: float | None,
    stamp: tuple[int, int] | None,
) -> Weather:
    from simulators.profiles.stored import stored
    from simulators.profiles.weather import Weather, read_weather

    def read() -> Weather:
        return read_weather(
            ref.path,
            latitude=latitude,
            longitude=longitude,
            altitude_m=altitude_m,
            timezone=ref.timezone,
            label=ref.label,
            fill=ref.fill,
            cyclic=ref.cyclic,
            format=ref.format,
            decimal=ref.decimal,
            implausible=ref.implausible,
            align=ref.align,
        )

    place = (latitude, longitude, altitude_m)
    return stored(Weather, ref.path, {"ref": ref.model_dump(mode="json"), "place": place}, read)
