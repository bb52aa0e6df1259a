"""Own generation of a site for exactly the run's steps: PV and wind, from weather or per unit, and what makes it."""

from __future__ import annotations

from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from scenarios.plan import Plant
from scenarios.study import SiteStudy
from simulators import generation
from simulators.derived import code_of, derived, versions_of
from simulators.errors import InputError
from simulators.generation.assumptions import pv_assumptions, wind_assumptions
from simulators.generation.per_unit import per_unit_power_w
from simulators.generation.pv_array import PvArray
from simulators.generation.run import RunSky, sky_for_run, wind_for_run
from simulators.leaves import option_name
from simulators.paths import shown
from simulators.profiles.fileref import FileRef
from simulators.profiles.site import Site, distance_km
from simulators.profiles.stored import ROOM as PROFILES
from simulators.profiles.stored import fingerprint
from simulators.profiles.weather import Weather

if TYPE_CHECKING:
    from scenarios.series import SiteSeries
    from scenarios.span import Span

Array = NDArray[np.float64]

FAR_KM = 50.0
"""Between a site and its weather: a typical year of the same town lies nearer, another climate further."""


def read_weather_file(study: SiteStudy, site: Site, series: SiteSeries) -> Weather | None:
    """The user's weather; what its file says of its place goes before the site's."""
    ref = study.place.weather
    if ref is None:
        return None
    weather = ref.read_weather(site.latitude, site.longitude, site.altitude_m)
    series.notes += apart(ref, weather, site, stated=study.place.site is not None)
    return weather


def apart(ref: FileRef, weather: Weather, site: Site, stated: bool) -> list[str]:
    """What to say of weather that is of another place than the site; refused where both are stated."""
    if not weather.own_place or weather.latitude is None or weather.longitude is None:
        return []
    apart_km = distance_km(site.latitude, site.longitude, weather.latitude, weather.longitude)
    if apart_km <= FAR_KM:
        return []
    where = f"{weather.latitude:g}, {weather.longitude:g}"
    if stated and not ref.elsewhere:
        raise InputError(
            f"{ref.path}: is of {where}, {apart_km:,.0f} km from site {site.name}; expected weather within "
            f"{FAR_KM:g} km, or --weather-elsewhere if that is meant"
        )
    return [
        f"Weather is of {where}, {apart_km:,.0f} km from {site.title}: sun and wind are those of its own place."
    ]


def read_pv(study: SiteStudy, site: Site, weather: Weather | None, span: Span, series: SiteSeries) -> None:
    options = study.generation
    size_w = options.pv_size_kw * 1e3
    ref = options.pv_profile or (site.pv if weather is None else None)
    if ref is not None:
        _not_said(study, "pv", ref)
        profile = ref.read("pv")
        series.used("PV per unit", ref, profile, options.pv_profile is None, span)
        series.pv_w = per_unit_power_w(span.means(profile), size_w)
        series.plants["pv"] = Plant(size_w, f"per unit, {shown(ref.path)}")
        return
    own = weather is None
    weather_ref = site.weather if own else study.place.weather
    if weather_ref is None:
        raise InputError(f"site {site.name} has no weather for PV: expected --weather FILE or --without pv")
    weather = weather or site.read_weather()
    assert weather is not None
    if own:
        series.notes += apart(weather_ref, weather, site, stated=True)
    series.used("weather for PV", weather_ref, weather, own, span)
    latitude = site.latitude if weather.latitude is None else weather.latitude
    arrays = options.pv_arrays(latitude)
    each_w = [kw * 1e3 * pv_per_unit(weather, span, array) for kw, array in arrays]
    series.pv_w = np.sum(each_w, axis=0)
    titles = [array.title for _, array in arrays]
    if len(arrays) > 1:
        titles = [f"{kw:g} kW {title}" for (kw, _), title in zip(arrays, titles, strict=True)]
    series.plants["pv"] = Plant(
        size_w,
        "; ".join(titles),
        arrays=tuple({"kw": kw, **array.entry()} for kw, array in arrays),
        assumptions=tuple(pv_assumptions(options, latitude)),
    )


# many studies in one process differ in sizes alone; PV of a year takes longer than the rest of such a study
@lru_cache(maxsize=8)
def pv_per_unit(weather: Weather, span: Span, array: PvArray) -> Array:
    """Mean AC power of an array in every step of a run, W per W of DC capacity; shape (steps,), read-only."""
    asked = {
        "weather": fingerprint(weather),
        "start": span.start.isoformat(),
        "steps": [span.step_s, span.steps],
    }
    found = derived(
        "pv",
        asked | {"array": asdict(array)},
        repr((code_of(Path(generation.__file__).parent, PROFILES), versions_of("pandas", "pvlib", "scipy"))),
        lambda: {"per_unit": _sky(weather, span).pv_per_unit(array)},
    )["per_unit"]
    found.setflags(write=False)
    return found


@lru_cache(maxsize=2)
def _sky(weather: Weather, span: Span) -> RunSky:
    return sky_for_run(weather, span.start, span.step_s, span.steps)


def read_wind(study: SiteStudy, site: Site, weather: Weather | None, span: Span, series: SiteSeries) -> None:
    options = study.generation
    has_wind = weather is not None and weather.wind_speed_m_s is not None
    ref = options.wind_profile or (None if has_wind else site.wind)
    if ref is not None:
        _not_said(study, "wind", ref)
        rated_w = options.wind_size_kw * 1e3
        profile = ref.read("wind")
        series.used("wind per unit", ref, profile, options.wind_profile is None, span)
        series.wind_w = per_unit_power_w(span.means(profile), rated_w)
        series.plants["wind"] = Plant(rated_w, f"per unit, {shown(ref.path)}")
        return
    chosen = weather if has_wind else site.read_wind_weather()
    weather_ref = study.place.weather if has_wind else site.wind_weather or site.weather
    if chosen is None or weather_ref is None:
        raise InputError(
            f"site {site.name} has no wind: expected a weather FILE with wind speed or --without wind"
        )
    series.used("weather for wind", weather_ref, chosen, not has_wind, span)
    plant = options.wind_plant(chosen.roughness_m)
    series.wind_w = wind_for_run(chosen, span.start, span.step_s, span.steps, plant)
    series.plants["wind"] = Plant(
        plant.rated_w,
        plant.machine.title,
        plant.hub_height_m,
        plant.machines,
        plant.title,
        assumptions=tuple(wind_assumptions(options, plant, chosen.roughness_m)),
    )


def _not_said(study: SiteStudy, part: str, ref: FileRef) -> None:
    """Refuse what was said of how a plant is built where a file gives its power per unit."""
    generation = study.generation
    said = {f"{part}_{name}": value for name, value in generation.said(part).items()}
    if part == "pv" and generation.arrays:
        said["pv_array"] = f"{len(generation.arrays)} of them"
    for name, value in said.items():
        title, option = "PV" if part == "pv" else part, option_name(name)
        raise InputError(
            f"{option}: {value} given, but {ref.path} gives {title} per unit; expected no {option}"
        )
