"""The unit a header names, and the way from it to the canonical one.

In square or round brackets, ``price[EUR/MWh]``; in the text itself, as in ``Carbon Intensity gCO₂eq/kWh (direct)``; or
as its last words, ``power_kw``, ``price_eur_per_mwh``, ``ghi_w_m2``. A header without one is bare.
"""

from __future__ import annotations

import re

from simulators.profiles.currencies import money
from simulators.profiles.quantities import ENERGY_WH, QUANTITIES, Quantity

_MONEY = (
    "eur|usd|gbp|chf|sek|nok|dkk|pln|czk|huf|ron|bgn|jpy|aud|nzd|cad|inr|cny|krw|sgd|brl|zar|eurct|ct|cents?|pence|"
    "[€$£¥]"
)
_PER = r"(?:[\s_]?(?:per|/)[\s_]?|[\s_])"
_ENERGY = r"[km]wh"
# numerator and denominator of a rate, or a unit alone, at the end of a header
_LAST = tuple(
    re.compile(rf"(?:(?P<name>.*?)[\s_])?{unit}", re.IGNORECASE)
    for unit in (
        rf"(?P<top>(?:mg|g|kg|t|lbs?)(?:[\s_]?co2(?:eq|e)?)?){_PER}(?P<below>{_ENERGY})",
        rf"(?P<top>{_MONEY}|1){_PER}(?P<below>{_ENERGY})",
        rf"(?P<top>p|c|cts|ore|rp)[\s_]?(?:per|/)[\s_]?(?P<below>{_ENERGY})",
        rf"(?P<one>per)[\s_](?P<below>{_ENERGY})",
        rf"(?P<top>k?wh?){_PER}(?P<below>m[2²])",
        rf"(?P<top>km|m){_PER}(?P<below>[sh])",
        r"(?P<top>[kmg]wh?|wh|watts?|(?:kilo|mega|giga)watts?|(?:kilo|mega|giga)?watt-?hours?)",
        r"(?P<top>kmh|mph|knots?|deg[\s_]?[cf]|celsius|fahrenheit|kelvin|[hk]?pa|mbar)",
    )
)
# a unit of one letter counts only behind the name of what it measures: ``trace_c`` is no temperature
_LETTER = re.compile(
    r"(?P<name>.*(?:power|load|demand|consumption).*)[\s_](?P<top>w)|(?P<of>.*(?:temp|dry.?bulb).*)[\s_](?P<degrees>[cfk])",
    re.IGNORECASE,
)
_WORDS = {
    "watt": "w", "watts": "w", "kilowatt": "kw", "kilowatts": "kw", "megawatt": "mw", "megawatts": "mw",
    "gigawatt": "gw", "gigawatts": "gw", "watthour": "wh", "watthours": "wh", "kilowatthour": "kwh",
    "kilowatthours": "kwh", "megawatthour": "mwh", "megawatthours": "mwh", "gigawatthour": "gwh",
    "gigawatthours": "gwh", "celsius": "degc", "fahrenheit": "degf", "kelvin": "k", "knot": "kn", "knots": "kn",
    "kmh": "km/h",
}  # fmt: skip


def normalise_unit(text: str) -> str:
    """Fold spellings of one unit together: case, subscripts, blanks, ``kg_CO2`` and ``kgCO2``."""
    folded = text.strip().replace("₂", "2").replace("²", "2").replace("^2", "2").lower()
    bare = re.sub(r"[\s_]", "", folded)
    if re.match(r"\s*Mg(?![a-z])", text):
        bare = "t" + bare.removeprefix("mg")  # a megagram, not a milligram
    return _WORDS.get(bare.replace("-", ""), bare)


def split_header(header: str) -> tuple[str, str | None]:
    """Split ``name[unit]``, ``name (unit)``, ``name [unit] remark`` or ``name_unit`` into (name, unit); no unit: None.

    Examples
    --------
    >>> split_header("power_kw"), split_header("price_eur_per_mwh"), split_header("trace_c")
    (('power', 'kw'), ('price', 'eur/mwh'), ('trace_c', None))
    """
    for match in re.finditer(r"[\[(]([^\])]*)[\])]", header):
        if _looks_like_unit(match[1]):
            name = f"{header[: match.start()].strip()} {header[match.end() :].strip()}"
            return name.strip(), match[1].strip()
    # Electricity Maps puts the unit in the text: "Carbon Intensity gCO₂eq/kWh (direct)"
    inner = re.search(r"\b((?:k?g|t|lbs?)[\s_]*CO[2₂](?:eq|e)?\s*/\s*[kM]Wh)\b", header, re.IGNORECASE)
    if inner:
        name = header.replace(inner[1], " ")
        return re.sub(r"\s+", " ", name).strip(), inner[1]
    return _last_words(header.strip())


def _last_words(header: str) -> tuple[str, str | None]:
    """Name and unit of a header that ends in a unit."""
    for pattern in _LAST:
        match = pattern.fullmatch(header)
        if match:
            found = match.groupdict()
            top = "1" if found.get("one") else found["top"]
            return found["name"] or "", f"{top}/{found['below']}" if found.get("below") else top
    letter = _LETTER.fullmatch(header)
    if letter:
        return letter["name"] or letter["of"], letter["top"] or letter["degrees"]
    return header, None


def _looks_like_unit(text: str) -> bool:
    unit = normalise_unit(text)
    known = any(unit in quantity.units for quantity in QUANTITIES.values()) or unit in ENERGY_WH
    ratio = "/" in unit and not re.search(r"cest?|yy|dd", unit)  # no zone, no pattern of a date
    return known or ratio or unit in {"tenths", "cm", "degrees"}


def conversion(quantity: Quantity, unit: str) -> tuple[float, float, str] | None:
    """Return (factor, offset, resulting unit) from `unit` to the canonical one; None if it is not accepted.

    For prices the resulting unit keeps the currency, e.g. ``EUR/kWh``.
    """
    if quantity.label == "price":
        return _price_unit(unit)
    found = quantity.units.get(normalise_unit(unit))
    return None if found is None else (*found, quantity.unit)


def _price_unit(unit: str) -> tuple[float, float, str] | None:
    match = re.fullmatch(r"(.{1,9}?)(?:/|per)([km])wh", re.sub(r"[\s_]", "", unit), re.IGNORECASE)
    found = money(match[1]) if match else None
    if match is None or found is None:
        return None
    share, currency = found
    return (share if match[2] in "kK" else share * 1e-3), 0.0, f"{currency}/kWh"


def accepted_units(quantity: Quantity) -> str:
    """Units to name in a message."""
    examples = {
        "carbon intensity": "gCO2eq/kWh, kgCO2eq/kWh, gCO2/MWh, lbsCO2/MWh",
        "price": "EUR/kWh, EUR/MWh, ct/kWh (any currency)",
    }
    return examples.get(quantity.label.removeprefix("marginal ")) or ", ".join(quantity.units)
