"""Own generation of a site for exactly the run's steps: PV and wind, from weather or per unit, and what makes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scenarios.plan import Plant
from scenarios.study import SiteStudy
from simulators.errors import InputError
from simulators.generation.per_unit import per_unit_power_w
from simulators.generation.run import pv_for_run, wind_for_run
from simulators.generation.wind import machine_of
from simulators.paths import shown
from simulators.profiles.fileref import FileRef
from simulators.profiles.site import Site, distance_km
from simulators.profiles.weather import Weather

if TYPE_CHECKING:
    from scenarios.series import SiteSeries
    from scenarios.span import Span


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
    ref = options.pv_profile or (site.pv if weather is None else None)
    if ref is not None:
        profile = ref.read("pv")
        series.used("PV per unit", ref, profile, options.pv_profile is None, span)
        series.pv_w = per_unit_power_w(span.means(profile), options.pv_kw * 1e3)
        series.plants["pv"] = Plant(options.pv_kw * 1e3, f"per unit, {shown(ref.path)}")
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
    series.pv_w = pv_for_run(weather, span.start, span.step_s, span.steps, peak_w=options.pv_kw * 1e3)
    series.plants["pv"] = Plant(options.pv_kw * 1e3, "from weather")


def read_wind(study: SiteStudy, site: Site, weather: Weather | None, span: Span, series: SiteSeries) -> None:
    options = study.generation
    has_wind = weather is not None and weather.wind_speed_m_s is not None
    ref = options.wind_profile or (None if has_wind else site.wind)
    if ref is not None:
        _no_machine(study, ref)
        profile = ref.read("wind")
        series.used("wind per unit", ref, profile, options.wind_profile is None, span)
        series.wind_w = per_unit_power_w(span.means(profile), options.wind_kw * 1e3)
        series.plants["wind"] = Plant(options.wind_kw * 1e3, f"per unit, {shown(ref.path)}")
        return
    chosen = weather if has_wind else site.read_wind_weather()
    weather_ref = study.place.weather if has_wind else site.wind_weather or site.weather
    if chosen is None or weather_ref is None:
        raise InputError(
            f"site {site.name} has no wind: expected a weather FILE with wind speed or --without wind"
        )
    series.used("weather for wind", weather_ref, chosen, not has_wind, span)
    rated_w = options.wind_kw * 1e3
    machine, hub_m = machine_of(rated_w, options.wind_turbine, options.wind_hub_height)
    series.wind_w = wind_for_run(
        chosen,
        span.start,
        span.step_s,
        span.steps,
        rated_w=rated_w,
        turbine_name=machine.name,
        hub_height_m=hub_m,
    )
    series.plants["wind"] = Plant(rated_w, machine.title, hub_m, rated_w / machine.nominal_w)


def _no_machine(study: SiteStudy, ref: FileRef) -> None:
    for name in ("wind_turbine", "wind_hub_height"):
        value = getattr(study.generation, name)
        if value is not None:
            option = "--" + name.replace("_", "-")
            raise InputError(
                f"{option}: {value} given, but {ref.path} gives wind per unit; expected no {option}"
            )
