"""The weather that a site's cooling depends on, for exactly the run's steps."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from scenarios.plants import apart
from scenarios.study import SiteStudy
from simulators.datacenter.outdoors import outdoor_series
from simulators.errors import InputError
from simulators.profiles.site import Site
from simulators.profiles.weather import Weather

if TYPE_CHECKING:
    from scenarios.series import SiteSeries
    from scenarios.span import Span


def read_outdoors(
    study: SiteStudy, site: Site, weather: Weather | None, span: Span, series: SiteSeries
) -> None:
    """Outdoor temperature, and of cooling towers the evaporation; nothing where the facility needs no weather.

    Raises
    ------
    InputError
        If there is no weather, or it has no temperature or humidity, or does not cover the run.
    """
    if not study.facility.outdoor:
        return
    own = weather is None
    ref = site.weather if own else study.place.weather
    weather = weather or site.read_weather()
    if weather is None or ref is None:
        raise InputError(
            f"--pue-model {study.facility.pue_model}: site {site.name} has no weather, expected --weather FILE"
        )
    if own:
        notes = apart(ref, weather, site, stated=True)
        series.notes += [note for note in notes if note not in series.notes]
    try:
        temperature = weather.column("temp_air_c")
        humidity = weather.column("humidity_percent").values if study.facility.wet else None
    except InputError as error:
        what = "--cooling wet" if study.facility.wet else f"--pue-model {study.facility.pue_model}"
        raise InputError(f"{what}: {error}") from None
    pressure_pa = weather.pressure_pa
    if pressure_pa is None:
        from pvlib import atmosphere

        altitude_m = weather.altitude_m if weather.own_place else site.altitude_m
        pressure_pa = np.full(weather.steps, atmosphere.alt2pres(altitude_m))
    humid = None if humidity is None else np.minimum(humidity, 100.0)  # files round, or are supersaturated
    seen = outdoor_series(study.facility, temperature.values, humid, pressure_pa)
    series.used("weather for cooling", ref, weather, own, span)
    series.outdoor = {
        name: span.means(replace(temperature, values=values)).tolist() for name, values in seen.items()
    }
