"""All formats, and which one a file has."""

from __future__ import annotations

from simulators.errors import InputError, nearest
from simulators.profiles.formats import (
    carbon,
    market,
    nsrdb,
    open_meteo,
    plain,
    pvgis,
    runs,
    solcast,
    stations,
    typical,
    watttime,
    yields,
)
from simulators.profiles.formats.base import Content, Format

FORMATS: tuple[Format, ...] = (
    *carbon.FORMATS,
    *watttime.FORMATS,
    *runs.FORMATS,
    *market.FORMATS,
    *yields.FORMATS,
    *typical.FORMATS,
    *pvgis.FORMATS,
    *nsrdb.FORMATS,
    *open_meteo.FORMATS,
    *solcast.FORMATS,
    *stations.FORMATS,
    *plain.FORMATS,
)
"""In the order in which they are tried; the last ones take any table."""

NAMES = {entry.name: entry for entry in FORMATS}


def detect(content: Content, said: str | None = None) -> Format:
    """The format of a file, as stated or found.

    Raises
    ------
    InputError
        If there is no format of that name, or none knows the file.
    """
    if said is not None:
        if said not in NAMES:
            raise InputError(
                f"{content.path}: unknown format '{said}'; expected one of {', '.join(NAMES)}"
                f"{nearest(said, list(NAMES))}"
            )
        content.stated = True
        return NAMES[said]
    if content.packed:
        return NAMES["wattloop"] if NAMES["wattloop"].known(content) else NAMES["parquet"]
    for entry in FORMATS:
        if entry.known(content):
            return entry
    raise InputError(
        f"{content.path}: unknown JSON; expected Open-Meteo (with 'hourly_units'), PVGIS, Electricity Maps, WattTime "
        "or Solcast as downloaded"
    )


def series_format(content: Content, said: str | None = None) -> Format:
    """The format of a file that is to be read as a series.

    Raises
    ------
    InputError
        As `detect`; also if files of the format hold weather only.
    """
    found = detect(content, said)
    if found.series is None:
        instead = "--weather" if found.weather is not None else "--carbon-forecast"
        raise InputError(
            f"{content.path}: is {found.title}, which holds {found.holds}; expected it as {instead}"
        )
    return found


def issued_format(content: Content, said: str | None = None) -> Format:
    """The format of a file that is to be read as forecasts.

    Raises
    ------
    InputError
        As `detect`; also if files of the format hold no forecasts.
    """
    found = detect(content, said)
    if found.issued is None:
        raise InputError(
            f"{content.path}: is {found.title}, which holds {found.holds}, no forecasts as issued"
        )
    return found


def weather_format(content: Content, said: str | None = None) -> Format:
    """The format of a file that is to be read as weather.

    Raises
    ------
    InputError
        As `detect`; also if files of the format hold no weather.
    """
    found = detect(content, said)
    if found.weather is None:
        hint = ""
        if found.name == "pvgis-hourly":
            hint = (
                ": irradiance is in the plane of the modules; expected a PVGIS TMY, or this as --pv-profile"
            )
        raise InputError(f"{content.path}: is {found.title}, which holds {found.holds}, no weather{hint}")
    return found
