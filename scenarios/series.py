"""The series of a site for exactly the run's steps: carbon intensity, price, PV and wind, and where each comes from."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from scenarios.plan import Input
from scenarios.study import SiteStudy
from simulators.errors import InputError
from simulators.generation.per_unit import per_unit_power_w
from simulators.generation.run import pv_for_run, wind_for_run
from simulators.paths import shown
from simulators.profiles.fileref import FileRef
from simulators.profiles.profile import Profile
from simulators.profiles.site import Site
from simulators.profiles.weather import Weather
from simulators.recorder.summary import sha256

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Span:
    """The run's steps: start (UTC), length of a step, s, and how many."""

    start: datetime
    step_s: int
    steps: int

    def means(self, profile: Profile) -> Array:
        """Means of a profile over each step."""
        return profile.means(self.start, self.step_s, self.steps)


@dataclass
class SiteSeries:
    """Series of one site, one value per step; None where it has none.

    Attributes
    ----------
    average, marginal
        Carbon intensity of grid power, g/kWh.
    price, price_unit
        Per kWh, and e.g. ``EUR/kWh``.
    pv_w, wind_w
        Mean power, W.
    ahead
        The average (else the marginal) series as far beyond the run as the file goes, for forecasts.
    carbon_note
        Why there is no average series.
    inputs, notes
        The files read, and what a reader must know of them.
    """

    average: Array | None = None
    marginal: Array | None = None
    price: Array | None = None
    price_unit: str = ""
    pv_w: Array | None = None
    wind_w: Array | None = None
    carbon_note: str = ""
    inputs: list[Input] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def used(self, what: str, ref: FileRef, series: Profile | Weather, own: bool) -> None:
        """Note a file that was read; what its `FileRef` says of it goes with it, and what was filled or computed."""
        done = series.source.removeprefix(str(ref.path)).strip()
        self.inputs.append(
            Input(
                what,
                shown(ref.path),
                series.sha256,
                ref.licence or ("" if own else "your own"),
                getattr(series, "kind", None) or "",
                getattr(series, "unit", ""),
                " ".join(filter(None, (ref.note, done))),
            )
        )
        filled = f"{what.capitalize()}: {done.strip('()')}." if "filled" in done else ""
        for note in (ref.note, filled):
            if note and note not in self.notes:
                self.notes.append(note)


def read_series(study: SiteStudy, site: Site, span: Span) -> SiteSeries:
    """Read every file of a site and bring it to the run's steps.

    Raises
    ------
    InputError
        A file that is broken or does not cover the run; something that is missing.
    """
    series = SiteSeries()
    series.inputs.append(
        Input("site", shown(site.path), sha256(site.path), "" if site.bundled else "your own")
    )
    _carbon(study, site, span, series)
    _price(study, site, span, series)
    weather = None
    ref = study.place.weather
    if ref is not None:
        weather = ref.read_weather(
            latitude=site.latitude, longitude=site.longitude, altitude_m=site.altitude_m
        )
    if "pv" not in study.without:
        _pv(study, site, weather, span, series)
    if "wind" not in study.without:
        _wind(study, site, weather, span, series)
    return series


def _carbon(study: SiteStudy, site: Site, span: Span, series: SiteSeries) -> None:
    """The average and the marginal series; the kind of a file says which it is."""
    for what, ref, own in (
        ("carbon intensity", study.place.carbon or site.carbon, study.place.carbon is None),
        ("marginal carbon intensity", study.place.marginal or site.marginal, study.place.marginal is None),
    ):
        if ref is None:
            continue
        profile = ref.read("marginal" if what.startswith("marginal") else "carbon")
        marginal = profile.kind == "marginal"
        if marginal and series.marginal is not None:
            if not own:
                raise InputError(
                    f"{ref.path}: a second marginal series, expected an average one with --carbon"
                )
            continue  # the user's goes before the site's
        if marginal:
            series.marginal = span.means(profile)
            what = "marginal carbon intensity"
        else:
            series.average = span.means(profile)
        series.used(what, ref, profile, own)
    if series.average is None:
        series.carbon_note = (
            "only a marginal carbon intensity was given: it tells what a change causes, not what a site emits"
        )


def _price(study: SiteStudy, site: Site, span: Span, series: SiteSeries) -> None:
    ref = study.place.price or site.price
    if ref is None:
        series.notes.append("No price of grid power is known for this site: bring one with --price FILE.")
        return
    profile = ref.read("price")
    series.price, series.price_unit = span.means(profile), profile.unit
    series.used("price", ref, profile, study.place.price is None)


def _pv(study: SiteStudy, site: Site, weather: Weather | None, span: Span, series: SiteSeries) -> None:
    options = study.generation
    ref = options.pv_profile or (site.pv if weather is None else None)
    if ref is not None:
        profile = ref.read("pv")
        series.used("PV per unit", ref, profile, options.pv_profile is None)
        series.pv_w = per_unit_power_w(span.means(profile), options.pv_kw * 1e3)
        return
    own = weather is None
    weather_ref = site.weather if own else study.place.weather
    if weather_ref is None:
        raise InputError(f"site {site.name} has no weather for PV: expected --weather FILE or --without pv")
    weather = weather or site.read_weather()
    assert weather is not None
    series.used("weather for PV", weather_ref, weather, own)
    series.pv_w = pv_for_run(weather, span.start, span.step_s, span.steps, peak_w=options.pv_kw * 1e3)


def _wind(study: SiteStudy, site: Site, weather: Weather | None, span: Span, series: SiteSeries) -> None:
    options = study.generation
    has_wind = weather is not None and weather.wind_speed_m_s is not None
    ref = options.wind_profile or (None if has_wind else site.wind)
    if ref is not None:
        profile = ref.read("wind")
        series.used("wind per unit", ref, profile, options.wind_profile is None)
        series.wind_w = per_unit_power_w(span.means(profile), options.wind_kw * 1e3)
        return
    chosen = weather if has_wind else site.read_wind_weather()
    weather_ref = study.place.weather if has_wind else site.wind_weather or site.weather
    if chosen is None or weather_ref is None:
        raise InputError(
            f"site {site.name} has no wind: expected a weather FILE with wind speed or --without wind"
        )
    series.used("weather for wind", weather_ref, chosen, not has_wind)
    series.wind_w = wind_for_run(chosen, span.start, span.step_s, span.steps, rated_w=options.wind_kw * 1e3)
