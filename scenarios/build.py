"""From a study to a plan: every file read and checked, what is known of each site, and its parts (`entities`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from scenarios.between import between_sites
from scenarios.bill import NO_PRICE, currency
from scenarios.entities import network_entities, site_entities
from scenarios.hardware import hardware_of
from scenarios.outlook import check_needs, reach_of
from scenarios.own_supply import told, with_own_supply
from scenarios.plan import Entity, Input, Plan, SitePlan
from scenarios.series import SiteSeries, read_series
from scenarios.span import Span
from scenarios.study import SiteStudy, Study
from simulators.errors import InputError
from simulators.inference.sizing import serving_files
from simulators.paths import shown
from simulators.profiles.site import Site, load_site
from simulators.recorder.summary import sha256
from simulators.scheduler.dispatch import dispatcher_needs
from simulators.scheduler.observation import NEEDS
from simulators.scheduler.policies import needs_of


def _places(study: Study) -> tuple[list[Site], Span]:
    places = [load_site(site.place.site_name) for site in study.sites]
    start = study.run.starts_at(places[0].start, places[0].timezone)
    return places, Span(start, study.run.step, study.steps)


def read(study: Study) -> dict[str, SiteSeries]:
    """The series of every site of a study, by its name; see `build`."""
    study = with_own_supply(study.at_its_network())
    places, span = _places(study)
    return {
        site.name: _series(study, site, place, span) for site, place in zip(study.sites, places, strict=True)
    }


def build(
    study: Study,
    series_of: Mapping[str, SiteSeries] | None = None,
    needs: frozenset[str] | None = None,
) -> Plan:
    """Read every file of a study, check that it covers the run, and lay out the world.

    Parameters
    ----------
    study
        What is to be simulated.
    series_of
        What `read` gave for a study that differs from this one in nothing that its series rest on, e.g. the battery.
    needs
        Signals that controllers are to see; None: those that the policies of the study ask for.

    Raises
    ------
    InputError
        Whatever is wrong with the study or its files.
    """
    study = with_own_supply(study.at_its_network())
    places, span = _places(study)
    entities: list[Entity] = []
    inputs: list[Input] = []
    sites: dict[str, SitePlan] = {}
    for site, place in zip(study.sites, places, strict=True):
        series = _series(study, site, place, span) if series_of is None else series_of[site.name]
        plan = _site_plan(study, site, place, series, needs)
        sites[site.name] = plan
        entities += site_entities(study, site, place, plan, series, span)
        inputs += [*series.inputs, *_files(files_elsewhere(site))]
    entities += between_sites(study, sites, entities)
    entities += network_entities(study, span, places[0].timezone)
    if study.network is not None:
        inputs += _files(study.network.files())
    if study.geo is not None:
        inputs += _files(study.geo.files())
    return Plan(study, span.start, sites, tuple(entities), tuple(dict.fromkeys(inputs)))


def _series(study: Study, site: SiteStudy, place: Site, span: Span) -> SiteSeries:
    """The site's series; a file that covers all but the time after the last arrivals is told what that is for."""
    try:
        return read_series(site, place, span, reach_of(study, site).steps)
    except InputError as error:
        if study.drain_steps == 0:
            raise
        read_series(site, place, replace(span, steps=study.run.steps))
        hours = study.drain_steps * study.run.step / 3600
        raise InputError(
            f"{error}; the last {hours:g} h of that are for what was deferred, --drain-hours 0 leaves them out"
        ) from None


def files_elsewhere(site: SiteStudy) -> list[tuple[str, Path]]:
    """Files that the parts of a site read by themselves."""
    serving = [*site.traffic.files(), *serving_files(site.serving)] if site.serves else []
    serving += site.reliability.files() if site.serves else []
    return [
        *serving,
        *site.control.files(),
        *site.storage.files(),
        *site.connection.files(),
        *([] if "wind" in site.without else site.generation.files()),
    ]


def _files(files: Iterable[tuple[str, Path]]) -> list[Input]:
    made = []
    for what, path in files:
        if not path.is_file():
            raise InputError(f"{path}: no such file; expected the {what}")
        made.append(Input(what, shown(path), sha256(path), _licence(path)))
    return made


def _licence(path: Path) -> str:
    name = shown(path)
    if name.startswith("data/traffic/diurnal"):
        return "own computation from ServeGen (Apache-2.0) and Azure LLM traces (CC BY 4.0)"
    return "see data/README.md" if name.startswith("data/") else ""


def _site_plan(
    study: Study, site: SiteStudy, place: Site, series: SiteSeries, needs: frozenset[str] | None
) -> SitePlan:
    currency(site.tariff, series.price_unit)  # refuses what does not go together
    hardware = hardware_of(study, site, series)
    supply = told(site, place)
    notes = [*place.notes, *series.notes, f"Own supply: {supply}."]
    if study.drain_steps:
        notes.append(
            f"Requests arrive in the first {study.run.length_s / 3600:g} h; the run goes on for another "
            f"{study.drain_steps * study.run.step / 3600:g} h to finish what was deferred, and its figures are of both."
        )
    notes += hardware.notes
    if study.network is not None:
        notes.append(study.network.note)
    if site.tariff.stated and series.price is None and site.tariff.energy_price is None:
        raise InputError(f"tariff: {NO_PRICE}, expected one of them")
    if series.carbon_note:
        notes.append(f"There is no operational carbon: {series.carbon_note}.")
    needs = needs_of(site.control.policy) if needs is None else needs
    if study.geo is not None:
        needs |= dispatcher_needs(study.geo.dispatcher)
    check_needs(site, needs, series.price is not None, frozenset(NEEDS))
    return SitePlan(
        study=site,
        title=place.title,
        timezone=place.timezone,
        needs=needs,
        copies=hardware.copies,
        rated_w=hardware.rated_w,
        embodied_kg=None if hardware.embodied is None else sum(p.kg for p in hardware.embodied.values()),
        price_unit=series.price_unit,
        carbon_note=series.carbon_note,
        notes=tuple(notes),
        plants=series.plants,
        facility=hardware.facility,
        boundary=series.boundary,
        basis=series.basis,
        other_g_per_kwh=series.other,
        embodied=hardware.embodied or {},
        carbon_free_note=series.carbon_free_note,
        supply=supply,
    )
