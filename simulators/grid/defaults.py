"""Values of the grid room that options show before pandapower is imported."""

from __future__ import annotations

import re

DEFAULT_POWER_FACTOR = 0.98
"""Lagging power factor of a site whose reactive power nobody gave. An assumption: it is what pandapower's
mv_oberrhein uses for its own loads (its argument ``cosphi_load``)."""

SIMBENCH, SEASON = "simbench", "season"
"""Backgrounds that are no file."""

SIMBENCH_CODE = re.compile(r"\d-(complete_data|(EHV|HV|MV|LV)+)-[\w.-]+-[012]-(no_)?sw")
"""The form of a SimBench code, e.g. ``1-MV-rural--0-sw`` (SimBench documentation, "SimBench codes")."""

GERMANY = "germany"
_GERMAN = (
    "mv_oberrhein",
    "lv_schutterwald",
    "kerber_",
    "cigre_mv",
    "create_kerber_",
    "create_cigre_network_mv",
)


def site_of(network: str) -> str | None:
    """The bundled site where a network that comes with a package stands; None where nobody says.

    The CIGRE medium-voltage network was derived from one in the south of Germany (Rudion, Orths, Styczynski, Strunz,
    IEEE PES General Meeting 2006); SimBench's are German too.

    Examples
    --------
    >>> site_of("1-MV-rural--0-sw"), site_of("mv_oberrhein"), site_of("case118")
    ('germany', 'germany', None)
    """
    german = network.startswith(_GERMAN) or SIMBENCH_CODE.fullmatch(network) is not None
    return GERMANY if german else None


def background_note(source: str | None, load: float, generation: float) -> str:
    """What a reader of results must know of what the network's own elements did.

    Examples
    --------
    >>> background_note(None, 1.0, 1.0)[:50]
    "The network's own loads and generators stand still"
    """
    if source is None:
        note = (
            "The network's own loads and generators stand still, as its file has them; --background simbench, season "
            "or FILE lets them move."
        )
    elif source == SIMBENCH:
        note = (
            "Loads, generation and storage of the network follow their SimBench profiles of 2016, means of 15 min, "
            "taken as Central European winter time; other years take the same dates."
        )
    elif source == SEASON:
        note = "Loads of the network follow VDEW's seasonal function of households, the same all day."
    else:
        note = f"Elements of the network follow the series of {source}."
    factors = (("loads", load), ("static generators", generation))
    told = [f"{what} times {factor:g}" for what, factor in factors if factor != 1.0]
    return note + (f" All {' and '.join(told)}." if told else "")
