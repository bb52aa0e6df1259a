"""The series of a site for exactly the run's steps: carbon intensity, price, PV and wind, and where each comes from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from scenarios.grid_mix import read_carbon_free, read_contract
from scenarios.measured import read_load
from scenarios.outdoors import read_outdoors
from scenarios.plan import Input, Plant
from scenarios.plants import read_pv, read_weather_file, read_wind
from scenarios.span import Span
from scenarios.study import SiteStudy
from simulators.carbon.options import BASES, Boundary
from simulators.errors import InputError
from simulators.paths import shown
from simulators.profiles.fileref import FileRef
from simulators.profiles.forecasts import read_forecasts
from simulators.profiles.profile import Align, Profile
from simulators.profiles.site import Site
from simulators.profiles.weather import Weather
from simulators.recorder.summary import sha256

Array = NDArray[np.float64]


@dataclass
class SiteSeries:
    """Series of one site, one value per step; None where it has none.

    Attributes
    ----------
    average, marginal
        Carbon intensity of grid power, g/kWh; also after the run, for its forecast, as far as the file goes.
    other, basis, boundary
        The average on its other basis (direct, life cycle) where the file has both; that of the average; what counts.
    carbon_free, carbon_free_note
        Carbon-free share of grid power, or why it is not known.
    contract_w
        What the plant of a power purchase agreement delivers, W.
    price, price_unit
        Per kWh, and e.g. ``EUR/kWh``.
    pv_w, wind_w, load_w
        Mean power, W; the last of a load that is a file.
    plants
        What makes it, ``pv`` and ``wind``.
    outdoor
        What the facility takes of the weather, as plain values.
    carbon_note
        Why there is no average series.
    forecasts
        What was told of the coming carbon intensity, where the policy is to see that.
    inputs, notes
        The files read, and what a reader must know of them.
    """

    average: Array | None = None
    marginal: Array | None = None
    other: Array | None = None
    basis: str = ""
    boundary: Boundary = "operational"
    carbon_free: Array | None = None
    carbon_free_note: str = ""
    contract_w: Array | None = None
    price: Array | None = None
    price_unit: str = ""
    pv_w: Array | None = None
    wind_w: Array | None = None
    load_w: Array | None = None
    plants: dict[str, Plant] = field(default_factory=dict)
    outdoor: dict[str, list[float]] = field(default_factory=dict)
    carbon_note: str = ""
    forecasts: dict[str, Any] | None = None
    inputs: list[Input] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def used(self, what: str, ref: FileRef, series: Profile | Weather, own: bool, span: Span) -> None:
        """Note a file that was read; what its `FileRef` says of it goes with it, and what was done to it."""
        done = series.source.removeprefix(str(ref.path)).strip()
        moved = ""
        if series.align and not span.within(series):
            moved = f"(of {series.start:%Y}, used in another year: align = {series.align})"
        estimated = None
        if isinstance(series, Profile):
            estimated = series.estimated_share(span.start, span.step_s, span.steps)
        self.inputs.append(
            Input(
                what,
                shown(ref.path),
                series.sha256,
                ref.licence or ("" if own else "your own"),
                getattr(series, "kind", None) or "",
                getattr(series, "unit", ""),
                " ".join(filter(None, (ref.note, done, moved))),
                format=series.format,
                column=series.column if isinstance(series, Profile) else "",
                basis=getattr(series, "basis", ""),
                estimated_share=estimated,
            )
        )
        remarks = [text.strip("( ") for text in f"{done} {moved}".split(")") if text.strip("( ")]
        title = what[:1].upper() + what[1:]
        said = [f"{title}: {remark}." for remark in remarks]
        if estimated:
            said.append(f"{title}: {estimated:.0%} of the run's values are the publisher's estimates.")
        if isinstance(series, Profile) and not series.kind_known:
            said.append(
                f"{title}: the file does not say whether it is average or marginal; it counts as average "
                "(--carbon-kind)."
            )
        for note in (ref.note, *said):
            if note and note not in self.notes:
                self.notes.append(note)


def read_series(study: SiteStudy, site: Site, span: Span, ahead: int = 0) -> SiteSeries:
    """Read every file of a site and bring it to the run's steps.

    Parameters
    ----------
    study, site, span
        The site, and the run.
    ahead
        Steps after the run for which the carbon intensity is wanted too, as far as its file goes.

    Raises
    ------
    InputError
        A file that is broken or does not cover the run; something that is missing.
    """
    if study.place.align is not None:
        study, site = _aligned(study, site, study.place.align)
    series = SiteSeries()
    series.inputs.append(
        Input("site", shown(site.path), sha256(site.path), "" if site.bundled else "your own")
    )
    _carbon(study, site, span, series, ahead)
    read_carbon_free(study, site, span, series)
    read_contract(study, span, series)
    _forecasts(study, span, series)
    _price(study, site, span, series)
    read_load(study, span, series)
    weather = read_weather_file(study, site, series)
    if "pv" not in study.without:
        read_pv(study, site, weather, span, series)
    if "wind" not in study.without:
        read_wind(study, site, weather, span, series)
    read_outdoors(study, site, weather, span, series)
    return series


def _aligned(study: SiteStudy, site: Site, align: Align) -> tuple[SiteStudy, Site]:
    """The study and its site with every file moved to the run's year that does not say how itself."""

    def moved(part: BaseModel) -> dict[str, FileRef]:
        refs = {name: getattr(part, name) for name in type(part).model_fields}
        return {
            name: ref.model_copy(update={"align": ref.align or align})
            for name, ref in refs.items()
            if isinstance(ref, FileRef)
        }

    parts = {
        name: (part := getattr(study, name)).model_copy(update=moved(part))
        for name in ("place", "generation", "measured", "accounting")
    }
    return study.model_copy(update=parts), site.model_copy(update=moved(site))


def _carbon(study: SiteStudy, site: Site, span: Span, series: SiteSeries, ahead: int) -> None:
    """The average and the marginal series; the kind of a file says which it is."""
    if "carbon" in study.without:
        series.carbon_note = "the carbon intensity was left out"
        return
    if study.place.live_carbon is not None:
        series.boundary = study.accounting.boundary or "operational"
        series.notes.append(
            f"The carbon intensity came in while the run went on, from {study.place.live_carbon}: a run cannot be "
            "repeated with it; the values are in timeseries.parquet."
        )
        return
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
            series.marginal = span.means_ahead(profile, ahead)
            what = "marginal carbon intensity"
        else:
            profile = _within_boundary(study, ref, profile, own, span, series)
            series.average = span.means_ahead(profile, ahead)
        series.used(what, ref, profile, own, span)
    if series.average is None:
        series.carbon_note = (
            "only a marginal carbon intensity was given: it tells what a change causes, not what a site emits"
        )


def _within_boundary(
    study: SiteStudy, ref: FileRef, profile: Profile, own: bool, span: Span, series: SiteSeries
) -> Profile:
    """The average series on the basis that the study's boundary asks for: direct, or life cycle.

    Raises
    ------
    InputError
        If the file says that it is the other, and does not have this one too.
    """
    asked = study.accounting.boundary
    series.basis = profile.basis
    series.boundary = asked or ("life-cycle" if profile.basis == BASES["life-cycle"] else "operational")
    wanted = BASES[series.boundary]
    if not profile.basis:
        supply = "" if asked else " and own supply as free of carbon (--boundary life-cycle counts both)"
        series.notes.append(
            f"The carbon intensity of {shown(ref.path)} does not say whether it is direct or life cycle; it counts as "
            f"{wanted}{supply}."
        )
        return profile
    other = _on_basis(ref, "direct" if profile.basis == "life cycle" else "life cycle")
    if profile.basis == wanted:
        series.other = None if other is None else span.means(other)
        return profile
    if other is None or (ref.column is not None and not own):
        raise InputError(
            f"{ref.path}: is {profile.basis}, but --boundary {series.boundary} counts {wanted} emissions; expected a "
            f"{wanted} series, or --boundary {'life-cycle' if wanted == 'direct' else 'operational'}"
        )
    series.basis, series.other = other.basis, span.means(profile)
    return other


def _on_basis(ref: FileRef, basis: str) -> Profile | None:
    """The same file's series on a basis; None if it has none."""
    try:
        found = ref.model_copy(update={"column": basis}).read("carbon")
    except InputError:
        return None
    return found if found.basis == basis and found.kind != "marginal" else None


def _forecasts(study: SiteStudy, span: Span, series: SiteSeries) -> None:
    """Forecasts as they were issued, of the series that a policy sees: the average one, else the marginal."""
    if study.control.forecast != "file":
        return
    ref = study.place.carbon_forecast or study.place.marginal or study.place.carbon
    if ref is None:
        raise InputError("--forecast file: no file of forecasts, expected --carbon-forecast FILE")
    found = read_forecasts(ref.path, ref.format, ref.decimal)
    seen = "average" if series.average is not None else "marginal"
    if found.kind != seen:
        raise InputError(
            f"{ref.path}: forecasts are of the {found.kind} carbon intensity, the policy sees the {seen} one; expected "
            f"--carbon with a {found.kind} series"
        )
    series.forecasts = found.for_run(span.start, span.step_s * span.steps)
    series.inputs.append(
        Input(
            "carbon forecasts", shown(ref.path), found.sha256, ref.licence or "your own", found.kind, "gCO2eq/kWh",
            ref.note, format=found.format,
        )
    )  # fmt: skip


def _price(study: SiteStudy, site: Site, span: Span, series: SiteSeries) -> None:
    ref = study.place.price or site.price
    if "price" in study.without:
        series.notes.append("The price of grid power was left out.")
        return
    if ref is None:
        series.notes.append("No price of grid power is known for this site: bring one with --price FILE.")
        return
    profile = ref.read("price")
    series.price, series.price_unit = span.means(profile), profile.unit
    series.used("price", ref, profile, study.place.price is None, span)
