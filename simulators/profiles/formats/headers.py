"""What a column is called tells what it is: carbon intensities, prices and generation as their publishers name them.

The kind matters most: a marginal rate read as an average one would be booked as what a site emits. Generation in MW is
known too, so that nobody takes a mix for an intensity.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from simulators.profiles.formats.base import Column
from simulators.profiles.quantities import QUANTITIES
from simulators.profiles.units import conversion, normalise_unit, split_header

MOER = r"(co2_|watttime_)?moer(?![a-z]).*"
"""WattTime and SGIP: marginal operating emissions rate; SGIP writes ``MOER version 2.0``."""

_G = "gCO2eq/kWh"
_RULES: tuple[tuple[str, Column], ...] = (
    # Electricity Maps, portal: "Carbon Intensity gCO₂eq/kWh (LCA)" until 2024, then "... (Life cycle)"
    (r"carbon intensity .*\((lca|life.?cycle)\)", Column("carbon", _G, "average", "life cycle")),
    (r"carbon intensity .*\(direct\)", Column("carbon", _G, "average", "direct", 1)),
    # Electricity Maps, academic exports: consumption-based, life cycle unless called direct
    (r"carbon_intensity_avg", Column("carbon", _G, "average", "life cycle")),
    (r"carbon_intensity_direct_avg", Column("carbon", _G, "average", "direct", 1)),
    (r"carbon_intensity_production_avg", Column("carbon", _G, "average", "life cycle", 2)),
    # Electricity Maps: nuclear and renewables together
    (
        r"(carbon.?free energy|low.?carbon) ?(percentage|percent|%)( \(cfe ?%?\))?",
        Column("carbon_free", "%"),
    ),
    # EIA-930, hourly workbooks: CO2 per kWh consumed and generated, in pounds per kWh; stack emissions alone
    (r"co2 emissions intensity for consumed.*", Column("carbon", "lbsCO2/kWh", "average", "direct")),
    (r"co2 emissions intensity for generated.*", Column("carbon", "lbsCO2/kWh", "average", "direct", 1)),
    (r"(avg_ci|co2_aoer)\b.*", Column("carbon", None, "average")),
    (MOER, Column("carbon", None, "marginal", None, 5)),
    (r".*marginal.*", Column("carbon", None, "marginal", None, 6)),
)
_POWER = {"w", "kw", "mw", "gw", "wh", "kwh", "mwh", "gwh"}
_SOLAR = r"(solar|photovoltai[ck]s?|pv|sun)\b"
_WIND = r"(wind|wnd)\b"
_OTHER = (
    r"(nuclear|nuc|kernenergie|coal|col|hard coal|brown coal|lignite|braunkohle|steinkohle|gas|natural gas|ng|erdgas|"
    r"oil|petroleum|hydro|wat|water|wasserkraft|pumpspeicher|biomass|biomasse|waste|peat|geothermal|fossil|marine|other|oth|"
    r"sonstige|battery|storage|pumped)\b"
)
# what stands before a source: "NG: SUN" (EIA), "Net Generation (MW) from Solar", "power_production_wind_avg"
_BEFORE = re.compile(
    r"^(ng: ?|net generation ?(\(mw\))? from |power[_ ]production[_ ]|actual generation |generation )",
    re.IGNORECASE,
)
_LOAD = re.compile(
    r"(actual )?(total )?(grid )?load\b|(active |site |facility |total )?power\b|p\b|last\b|demand\b|facility\b|"
    r"gesamtverbrauch\b|gesamt \(netzlast\)|total \(grid load\)|netzlast\b|(electricity )?consumption\b|"
    r"(strom)?verbrauch\b"
)
# a load as well, but not the one that is meant where both stand
_LOAD_WITH = re.compile(r"pump|storage|adjusted|forecast|prognos|day.ahead")
_NO_LOAD = re.compile(r"residual|factor|capacity|installed|rated")


def column(header: str, columns: Sequence[str] = ()) -> Column | None:
    """What the header of one of the value `columns` tells; None: nothing.

    Examples
    --------
    >>> column("MOER").kind
    'marginal'
    >>> column("Carbon Intensity gCO₂eq/kWh (direct)").basis
    'direct'
    >>> column("Wind Onshore [MWh]").quantity
    'wind'
    >>> column("my intensity[g/kWh]").quantity
    'carbon'
    """
    folded = header.strip().lower()
    for pattern, known in _RULES:
        if re.fullmatch(pattern, folded):
            return known if split_header(header)[1] is None or known.unit else _with_unit(known, header)
    # Vessim's excerpts of WattTime: one column named after the region
    if len(columns) == 1 and re.fullmatch(r"(caiso|pjm|ercot|miso|isone|nyiso|spp)_\w+", folded):
        return Column("carbon", None, "marginal", None, 5)
    name, unit = split_header(header)
    if unit is not None and conversion(QUANTITIES["carbon"], unit) is not None:
        return _by_basis(name, unit)
    if unit is not None and conversion(QUANTITIES["price"], unit) is not None:
        return Column("price", unit)
    return source(name, unit)


def _by_basis(name: str, unit: str) -> Column:
    """A carbon intensity whose name may tell whether the life cycle is in it."""
    if re.search(r"\blca\b|life.?cycle", name, re.IGNORECASE):
        return Column("carbon", unit, None, "life cycle")
    if re.search(r"direct", name, re.IGNORECASE):
        return Column("carbon", unit, None, "direct", 1)
    return Column("carbon", unit)


def _with_unit(known: Column, header: str) -> Column:
    return Column(known.quantity, split_header(header)[1], known.kind, known.basis, known.rank)


def source(name: str, unit: str | None) -> Column | None:
    """What power a column holds: of PV, of wind, of another source (``mix``), of a load; None: of none.

    Without a unit only the bare name of a source counts, or a code of EIA's.
    """
    bare = _BEFORE.sub("", name.strip().lower().replace("_", " ") if unit else name.strip().lower())
    bare = bare.removesuffix("_avg")
    power = unit is not None and normalise_unit(unit).split("/")[0] in _POWER and "/" not in unit
    if not power and unit is not None:
        return None
    match = re.match if power else re.fullmatch
    for pattern, quantity in ((_SOLAR, "pv"), (_WIND, "wind"), (_OTHER, "mix")):
        if match(pattern if power else pattern.removesuffix(r"\b"), bare):
            return Column(quantity, unit)
    if power and _LOAD.match(bare) and not _NO_LOAD.search(bare):
        return Column("load", unit, rank=1 if _LOAD_WITH.search(bare) else 0)
    return None


def is_generation(found: Column | None) -> bool:
    """Whether a column is generation of a source."""
    return found is not None and found.quantity in ("pv", "wind", "mix")
