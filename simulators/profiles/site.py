"""A site: where it is, and which files give its carbon intensity, price, weather and generation.

A site is a TOML file. The bundled ones are in ``data/sites``; a user's own file may lie anywhere, and names its
files relative to itself.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    field_validator,
)

from simulators.errors import InputError
from simulators.paths import DATA
from simulators.profiles.profile import Profile
from simulators.profiles.readers import Fill, Label, read_csv_profile, renamed
from simulators.profiles.times import zone
from simulators.profiles.weather import Weather, read_weather

SITES = DATA / "sites"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SeriesFile(_Strict):
    """One column of one file; the options of `read_csv_profile`."""

    file: str
    column: str | None = None
    unit: str | None = None
    timezone: str = "UTC"
    label: Label = "start"
    fill: Fill | None = None
    cyclic: bool = False
    licence: str = ""
    note: str = ""


class CarbonFile(SeriesFile):
    """Carbon intensity; `kind` says whether it is average or marginal."""

    kind: Literal["average", "marginal"]


class WeatherFile(_Strict):
    """A weather file; the options of `read_weather`."""

    file: str
    timezone: str = "UTC"
    label: Label = "start"
    fill: Fill | None = None
    cyclic: bool | None = None
    licence: str = ""
    note: str = ""


class Site(_Strict):
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
    carbon, price, weather, wind_weather, pv, wind
        Files; None where the site has none. `wind_weather` is weather for wind turbines, if it comes from elsewhere.
    notes
        What a reader of results must know about these data.
    """

    name: str
    title: str
    latitude: float = Field(ge=-90, le=90)
    longitude: float = Field(ge=-180, le=180)
    altitude_m: float = Field(default=0.0, ge=-500, le=9000)
    timezone: str = "UTC"
    start: AwareDatetime
    carbon_file: CarbonFile = Field(alias="carbon")
    price_file: SeriesFile | None = Field(default=None, alias="price")
    weather_file: WeatherFile | None = Field(default=None, alias="weather")
    wind_weather_file: WeatherFile | None = Field(default=None, alias="wind_weather")
    pv_file: SeriesFile | None = Field(default=None, alias="pv")
    wind_file: SeriesFile | None = Field(default=None, alias="wind")
    notes: tuple[str, ...] = ()
    _folder: Path = PrivateAttr(default=SITES)

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        zone(value)
        return value

    def carbon(self) -> Profile:
        """Carbon intensity, gCO2eq/kWh; the name says average or marginal."""
        profile = self._series(self.carbon_file, "carbon")
        return renamed(profile, f"{self.carbon_file.kind} carbon intensity", profile.source)

    def price(self) -> Profile | None:
        """Price per kWh, with its currency in the unit; None if the site has none."""
        return None if self.price_file is None else self._series(self.price_file, "price")

    def pv_per_unit(self) -> Profile | None:
        """PV power per unit of its rating; None if the site's PV comes from weather."""
        return None if self.pv_file is None else self._series(self.pv_file, "pv")

    def wind_per_unit(self) -> Profile | None:
        """Wind power per unit of its rating; None if the site's wind comes from weather."""
        return None if self.wind_file is None else self._series(self.wind_file, "wind")

    def weather(self) -> Weather | None:
        """Weather for PV and cooling; None if the site has none."""
        return None if self.weather_file is None else self._weather(self.weather_file, at_site=True)

    def wind_weather(self) -> Weather | None:
        """Weather with wind speed for turbines: the site's own, or the stand-in it names; None if neither."""
        if self.wind_weather_file is not None:
            return self._weather(self.wind_weather_file, at_site=False)
        own = self.weather()
        return own if own is not None and own.wind_speed_m_s is not None else None

    def all_notes(self) -> list[str]:
        """Return the site's notes and those of its files, in the order to print."""
        files = (
            self.carbon_file,
            self.price_file,
            self.weather_file,
            self.wind_weather_file,
            self.pv_file,
            self.wind_file,
        )
        return [*self.notes, *(entry.note for entry in files if entry is not None and entry.note)]

    def _series(self, entry: SeriesFile, quantity: str) -> Profile:
        return read_csv_profile(
            (self._folder / entry.file).resolve(),
            quantity,
            column=entry.column,
            timezone=entry.timezone,
            label=entry.label,
            fill=entry.fill,
            unit=entry.unit,
            cyclic=entry.cyclic,
        )

    def _weather(self, entry: WeatherFile, at_site: bool) -> Weather:
        return read_weather(
            (self._folder / entry.file).resolve(),
            latitude=self.latitude if at_site else None,
            longitude=self.longitude if at_site else None,
            altitude_m=self.altitude_m if at_site else None,
            timezone=entry.timezone,
            label=entry.label,
            fill=entry.fill,
            cyclic=entry.cyclic,
        )


def known_sites() -> list[str]:
    """Names of the bundled sites."""
    return sorted(path.stem for path in SITES.glob("*.toml"))


def load_site(name_or_path: str | Path) -> Site:
    """Load a bundled site by name, or a site file by path.

    Raises
    ------
    InputError
        Unknown name, no such file, or an entry that is missing, unknown or wrong; names file and entry.
    """
    path = Path(name_or_path)
    if path.suffix != ".toml":
        path = SITES / f"{name_or_path}.toml"
        if not path.is_file():
            raise InputError(
                f"unknown site '{name_or_path}': expected one of {', '.join(known_sites())}, or a .toml file"
            )
    try:
        entries: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(
            f"{path}: no such file; expected a site file or one of {', '.join(known_sites())}"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not valid TOML: {error}") from error
    try:
        site = Site.model_validate({"name": path.stem, **entries})
    except ValidationError as error:
        first = error.errors()[0]
        entry = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{path}: entry '{entry}': {first['msg'].lower()}") from error
    site._folder = path.parent
    return site
