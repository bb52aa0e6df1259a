"""What else is known of the power that comes over the grid: its carbon-free share, and a plant under contract."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulators.errors import InputError
from simulators.profiles.fileref import FileRef
from simulators.profiles.formats.base import Content
from simulators.profiles.formats.headers import column as known_column
from simulators.profiles.profile import Profile
from simulators.profiles.registry import series_format
from simulators.profiles.site import Site

if TYPE_CHECKING:
    from scenarios.series import SiteSeries
    from scenarios.span import Span
    from scenarios.study import SiteStudy

NO_CARBON_FREE = (
    "the carbon file does not hold the grid's carbon-free share (Electricity Maps' do; --carbon-free)"
)
"""Why there is no share of carbon-free power with the grid's part."""


def read_carbon_free(study: SiteStudy, site: Site, span: Span, series: SiteSeries) -> None:
    """The grid's carbon-free share: a file of its own, else the column that the average's file has beside it."""
    what, ref = "grid's carbon-free share", study.place.carbon_free
    if ref is not None:
        profile = ref.read("carbon_free")
    else:
        beside = study.place.carbon or site.carbon
        found = None if "carbon" in study.without else _share_beside(beside, series)
        if found is None:
            series.carbon_free_note = NO_CARBON_FREE
            return
        ref, profile = beside, found
    series.carbon_free = span.means(profile)
    own = study.place.carbon_free is None and study.place.carbon is None
    series.used(what, ref.model_copy(update={"note": ""}), profile, own, span)


def _share_beside(ref: FileRef, series: SiteSeries) -> Profile | None:
    """The carbon-free share in the file of the carbon intensity; one that cannot be read is told."""
    column = _column_of(ref)
    if column is None:
        return None
    try:
        return ref.model_copy(update={"column": column, "unit": None, "kind": None}).read("carbon_free")
    except InputError as error:
        series.notes.append(f"The grid's carbon-free share could not be read: {error}.")
        return None


def _column_of(ref: FileRef) -> str | None:
    """The column of a file that its publisher calls the carbon-free share."""
    content = Content(ref.path, "carbon", ref.decimal)
    found = series_format(content, ref.format)
    if found.series is None:
        return None
    for name in found.series(content).table.frame.columns:
        known = known_column(str(name))
        if known is not None and known.quantity == "carbon_free":
            return str(name)
    return None


def read_contract(study: SiteStudy, span: Span, series: SiteSeries) -> None:
    """What the plant of a power purchase agreement delivers."""
    ref = study.accounting.ppa_profile
    if ref is None:
        return
    profile = ref.read("contract")
    series.contract_w = span.means(profile)
    series.used("contracted supply", ref, profile, False, span)
