"""Which own supply a site has: what was said of it, else what its site's file has.

A bundled site has PV, wind and a battery of the sizes in its file. A site of the user's own, or a load of their own,
has none but what is said: nobody's rack gets a solar roof that is not there. `--own-supply` says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping

from scenarios.study import SiteStudy, Study
from simulators.errors import InputError
from simulators.leaves import option_name
from simulators.profiles.site import Site, load_site
from simulators.storage.options import StorageOptions

SIZES = {"pv": "pv_kw", "wind": "wind_kw", "battery": "battery_kwh"}
"""Parts of own supply, and the option of their size; entries of a site's file have the same names."""
UNITS = {"pv": "kW of PV", "wind": "kW of wind", "battery": "kWh of battery"}


def with_own_supply(study: Study, instead: Mapping[str, float] | None = None) -> Study:
    """The study with the size of every part that its sites have, and with the others left out.

    Parameters
    ----------
    study
        What was asked for.
    instead
        Sizes in place of those of bundled sites, by option.

    Raises
    ------
    InputError
        If what is said contradicts itself, or a part is said to be there and nothing says how large.

    Examples
    --------
    >>> site = with_own_supply(Study()).site
    >>> site.generation.pv_kw, site.generation.wind_kw, site.storage.battery_kwh, site.without
    (20.0, 5.0, 40.0, ())
    >>> with_own_supply(Study().changed(load="meter.csv", pv_kw=7.0)).site.without
    ('wind', 'battery')
    """
    sites = tuple(_resolved(site, load_site(site.place.site_name), instead or {}) for site in study.sites)
    return study.model_copy(update={"sites": sites})


def _resolved(site: SiteStudy, place: Site, instead: Mapping[str, float]) -> SiteStudy:
    asked = site.own_supply
    has = {part: getattr(place, size) for part, size in SIZES.items()}
    if place.bundled:
        has |= {part: instead[size] for part, size in SIZES.items() if size in instead}
    if asked == "site" and not any(has.values()) and not any(_said(site, part) for part in SIZES):
        raise InputError(
            f"--own-supply site: {place.path} says nothing of own supply, expected pv_kw, wind_kw or battery_kwh there"
        )
    sizes, absent = {}, []
    for part, size in SIZES.items():
        if part in site.without:
            continue
        if asked == "none" and (said := _said(site, part)):
            raise InputError(f"--own-supply none: {said} given as well, expected one of them")
        if not _there(site, place, part, has[part]):
            absent.append(part)
        elif not _sized(site, part):
            if has[part] is None:
                raise InputError(
                    f"{_said(site, part)}: given, but not how large; expected {option_name(size)} as well"
                )
            sizes[part] = has[part]
    return _with_sizes(site, sizes, absent)


def _there(site: SiteStudy, place: Site, part: str, has: float | None) -> bool:
    """Whether a site has a part."""
    if site.own_supply == "none":
        return False
    if _said(site, part):
        return True
    return has is not None and (site.own_supply == "site" or site.serves or not place.bundled)


def _said(site: SiteStudy, part: str) -> str:
    """An option that says something of a part; empty if nothing does."""
    if part == "battery":
        default = StorageOptions()
        names = [
            name
            for name in StorageOptions.model_fields
            if getattr(site.storage, name) != getattr(default, name)
        ]
    else:
        generation = site.generation
        names = [name for name in (f"{part}_kw", f"{part}_profile") if getattr(generation, name) is not None]
        names += ["pv_array"] if part == "pv" and generation.arrays else []
        names += [f"{part}_{name}" for name in generation.said(part)]
    return option_name(names[0]) if names else ""


def _sized(site: SiteStudy, part: str) -> bool:
    """Whether the size of a part was said."""
    generation = site.generation
    if part == "battery":
        return site.storage.battery_kwh is not None
    if part == "pv":
        return generation.pv_kw is not None or bool(generation.arrays)
    return generation.wind_kw is not None or generation.wind_machines is not None


def _with_sizes(site: SiteStudy, sizes: Mapping[str, float], absent: list[str]) -> SiteStudy:
    generation = {SIZES[part]: size for part, size in sizes.items() if part != "battery"}
    storage = {SIZES[part]: size for part, size in sizes.items() if part == "battery"}
    return site.model_copy(
        update={
            "generation": site.generation.model_copy(update=generation),
            "storage": site.storage.model_copy(update=storage),
            "without": (*site.without, *absent),
        }
    )


def told(site: SiteStudy, place: Site) -> str:
    """What own supply a site has, whose sizes they are, or why it has none.

    Parameters
    ----------
    site
        As `with_own_supply` gives it.
    place
        Its site.

    Examples
    --------
    >>> germany = load_site("germany")
    >>> told(with_own_supply(Study().changed(site="germany", pv_kw=7.0)).site, germany)
    '7 kW of PV, 5 kW of wind, 40 kWh of battery; wind, battery as site germany has them'
    """
    there = {
        part: size for part in SIZES if part not in site.without and (size := size_of(site, part)) is not None
    }
    own = "a load" if not site.serves else "" if place.bundled else "a site"
    if not there:
        why = f": {own} of your own has none but what is said (--pv-kw, --wind-kw, --battery-kwh, --own-supply site)"
        return f"none{why if own else ''}"
    theirs = [part for part, size in there.items() if size == getattr(place, SIZES[part])]
    names = ", ".join(part.upper() if part == "pv" else part for part in theirs)
    sizes = ", ".join(f"{size:g} {UNITS[part]}" for part, size in there.items())
    if not theirs:
        return sizes
    as_there = f"as site {place.name} has {'it' if len(theirs) == 1 else 'them'}"
    return f"{sizes}, {as_there}" if len(theirs) == len(there) else f"{sizes}; {names} {as_there}"


def size_of(site: SiteStudy, part: str) -> float | None:
    """Size of a part, kW or kWh; None where machines make it."""
    generation = site.generation
    if part == "pv":
        return generation.pv_size_kw
    return generation.wind_kw if part == "wind" else site.storage.battery_size_kwh
