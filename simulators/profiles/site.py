"""A site: where it is, and which files give its carbon intensity, price, weather and generation.

A site is a TOML file. The bundled ones are in ``data/sites``; a user's own file may lie anywhere, and names its
files relative to itself.
"""

from __future__ import annotations

from math import asin, cos, radians, sin, sqrt
from pathlib import Path
from typing import Any, Self

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    field_validator,
    model_validator,
)

from simulators.errors import InputError, nearest
from simulators.files import read_toml
from simulators.paths import DATA
from simulators.profiles.fileref import FileRef
from simulators.profiles.times import zone
from simulators.profiles.weather import Weather
from simulators.spelling import check_numbers

SITES = DATA / "sites"


class Site(BaseModel):
    """A site and its files.

    Attributes
    ----------
    name, title
        Name to call it by (the file's stem) and to print.
    latitude, longitude
        Degrees, north and east positive.
    altitude_m
        Above sea level, m.
    timezone
        IANA name, for labels.
    start
        Where a run starts if the user names no date.
    carbon, marginal, price, weather, wind_weather, pv, wind
        Files; None where the site has none. `marginal` is the marginal carbon intensity beside the average one;
        `wind_weather` is weather for wind turbines, if it comes from elsewhere.
    pv_kw, wind_kw, battery_kwh
        Sizes of its own supply, kW and kWh; None where it has none, or nothing is said.
    notes
        What a reader of results must know whatever files are read; what belongs to a file is that file's `note`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: str
    title: str
    latitude: float = Field(ge=-90, le=90)
    longitude: float = Field(ge=-180, le=180)
    altitude_m: float = Field(default=0.0, ge=-500, le=9000)
    timezone: str = "UTC"
    start: AwareDatetime
    carbon: FileRef
    marginal: FileRef | None = None
    price: FileRef | None = None
    weather: FileRef | None = None
    wind_weather: FileRef | None = None
    pv: FileRef | None = None
    wind: FileRef | None = None
    pv_kw: float | None = Field(default=None, gt=0)
    wind_kw: float | None = Field(default=None, gt=0)
    battery_kwh: float | None = Field(default=None, gt=0)
    notes: tuple[str, ...] = ()
    _path: Path = PrivateAttr(default=SITES)

    @field_validator("start", mode="before")
    @classmethod
    def _date(cls, value: Any) -> Any:
        """A number is no date: pydantic would count seconds from 1970."""
        if isinstance(value, int | float):
            raise ValueError("expected a date such as 2023-06-05T00:00:00+02:00")
        return value

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        zone(value)
        return value

    @model_validator(mode="after")
    def _where_the_clock_says(self) -> Self:
        """A longitude without its sign puts the sun at the wrong hour."""
        offset = self.start.astimezone(zone(self.timezone)).utcoffset()
        if offset is None or self.timezone.upper() in ("UTC", "GMT", "Z") or self.timezone.startswith("Etc/"):
            return self
        off_h = (offset.total_seconds() / 3600.0 - self.longitude / 15.0 + 12.0) % 24.0 - 12.0
        if abs(off_h) > CLOCK_FROM_SUN_H:
            raise ValueError(
                f"longitude {self.longitude:g} is {abs(off_h):.1f} h of sun from the clock of {self.timezone}, "
                "expected degrees east, those in the west negative"
            )
        return self

    @property
    def path(self) -> Path:
        """The file it was read from."""
        return self._path

    @property
    def bundled(self) -> bool:
        """Whether it comes with the project."""
        return self._path.parent == SITES

    def read_weather(self) -> Weather | None:
        """Weather at the site, for PV and cooling; None if it has none."""
        if self.weather is None:
            return None
        return self.weather.read_weather(self.latitude, self.longitude, self.altitude_m)

    def read_wind_weather(self) -> Weather | None:
        """Weather with wind speed for turbines: the site's own, or the stand-in it names; None if neither."""
        if self.wind_weather is not None:
            return self.wind_weather.read_weather()
        own = self.read_weather()
        return own if own is not None and own.wind_speed_m_s is not None else None


EARTH_KM = 6371.0
CLOCK_FROM_SUN_H = 4.5
"""No clock is further from the mean sun: in the west of Xinjiang it is 3.1 h, and summer time adds one."""


def distance_km(latitude: float, longitude: float, other_latitude: float, other_longitude: float) -> float:
    """Along the surface of a round Earth, km; degrees.

    Examples
    --------
    >>> round(distance_km(51.31, 9.48, 34.09, -117.44))
    9199
    """
    first, second = radians(latitude), radians(other_latitude)
    half = sin((second - first) / 2) ** 2
    half += cos(first) * cos(second) * sin(radians(other_longitude - longitude) / 2) ** 2
    return 2 * EARTH_KM * asin(sqrt(min(1.0, half)))


FILES = ("carbon", "marginal", "price", "weather", "wind_weather", "pv", "wind")


def known_sites() -> list[str]:
    """Names of the bundled sites."""
    return sorted(path.stem for path in SITES.glob("*.toml"))


def load_site(name_or_path: str | Path) -> Site:
    """Load a bundled site by name, or a site file by path.

    Raises
    ------
    InputError
        Unknown name, no such file, or an entry that is missing, unknown or wrong; names file and entry.

    Examples
    --------
    >>> load_site("germany").timezone
    'Europe/Berlin'
    """
    path = Path(name_or_path)
    if path.suffix != ".toml":
        path = SITES / f"{name_or_path}.toml"
        if not path.is_file():
            raise InputError(
                f"unknown site '{name_or_path}': expected one of {', '.join(known_sites())}, or a .toml file"
                f"{nearest(str(name_or_path), known_sites())}"
            )
    if not path.exists():
        raise InputError(f"{path}: no such file; expected a site file or one of {', '.join(known_sites())}")
    entries = read_toml(path, expected="a site")
    check_numbers(Site, entries, str(path))
    try:
        read = Site.model_validate({"name": path.stem, **entries})
    except ValidationError as error:
        first = error.errors()[0]
        entry = ".".join(str(part) for part in first["loc"])
        names = [*Site.model_fields] if len(first["loc"]) == 1 else [*FileRef.model_fields]
        hint = nearest(str(first["loc"][-1]), names) if first["type"] == "extra_forbidden" else ""
        said = first["msg"].removeprefix("Value error, ")
        where = f"entry '{entry}': " if entry else ""
        raise InputError(f"{path}: {where}{said[:1].lower()}{said[1:]}{hint}") from error
    refs = {name: ref.resolved(path.parent) for name in FILES if (ref := getattr(read, name)) is not None}
    site = read.model_copy(update=refs)
    site._path = path.resolve()
    return site
