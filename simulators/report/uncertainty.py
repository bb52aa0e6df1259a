"""How far the headline figures can be off: a table for the page, lines for the terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from simulators.report import page
from simulators.report.labels import energy_text, mass_text, number

INTRO = (
    "Every input that carries a range is moved to its ends alone, and the figures are worked out anew, interval by "
    "interval; the moves are taken as independent. For power and time the ends hold 90 % of unseen servers; for "
    "published factors they are what the source gives. Beside each figure stand the inputs that drive it most, and "
    "what each does."
)


def _joules(value: float | None) -> str:
    return number(value, "J")


def _grams(value: float | None) -> str:
    return mass_text(None if value is None else value / 1e3)


FIGURES: dict[str, tuple[str, Callable[[float | None], str]]] = {
    "j_per_output_token_gpu": ("Energy per output token, at the GPUs", _joules),
    "j_per_output_token_meter": ("Energy per output token, at the meter", _joules),
    "facility_mwh": ("Energy used by the site", energy_text),
    "operational_kg": ("Operational carbon, by location", mass_text),
    "market_kg": ("Operational carbon, by contracts", mass_text),
    "total_kg": ("Carbon, all of it", mass_text),
    "import_cost": ("Cost of the import", number),
    "cost": ("Cost, the whole bill", number),
    "sci_g_per_request": ("Carbon per request, at the meter", _grams),
    "sci_g_per_output_token": ("Carbon per 1,000 output tokens, at the meter", mass_text),
}
"""What is told of the uncertainty of a summary, with its words and its form."""


def spread(found: Mapping[str, float] | None, form: Callable[[float | None], str]) -> str:
    """A range as text: value, then low to high; empty for none.

    Examples
    --------
    >>> spread({"low": 1.0, "value": 2.0, "high": 4.0}, _joules)
    '2 J (1 to 4 J)'
    """
    if not found:
        return ""
    low, value, high = (form(found[name]) for name in ("low", "value", "high"))
    unit = value.rpartition(" ")[2]
    return f"{value} ({low.removesuffix(f' {unit}')} to {high})"


def drivers_text(found: Mapping[str, Any], form: str = "+.0%") -> str:
    """The largest drivers in one line: what each does to the figure; empty without any."""
    return "; ".join(
        f"{driver['name']} {driver['low']:{form}} to {driver['high']:{form}}"
        for driver in found.get("drivers", ())
    )


def section(summary: Mapping[str, Any]) -> str:
    """The section of the page; empty if the summary knows nothing of it."""
    found = summary.get("uncertainty") or {}
    if not found:
        return ""
    rows = []
    for key, (words, form) in FIGURES.items():
        if known := found.get(key):
            unit = (summary.get(key) or {}).get("unit") if key in ("import_cost", "cost") else None
            ends = [form(known[name]) for name in ("low", "value", "high")]
            shown = [f"{text} {unit}" for text in ends] if unit not in (None, "1") else ends
            rows.append((words, *shown, drivers_text(known, "+.1%")))
    parts = []
    if rows:
        heads = ("", "Low", "Value", "High", "Driven most by")
        parts.append(page.text(INTRO, "note"))
        parts.append(page.table(heads, rows, ("", *("number",) * 3)))
    elif found.get("reason"):
        parts.append(page.text(f"No interval: {found['reason']}.", "note"))
    drivers = [
        (driver["name"], f"{driver['low']:+.1%}", f"{driver['high']:+.1%}")
        for driver in found.get("drivers", ())
    ]
    if drivers and not any(found[key].get("drivers") for key in FIGURES if found.get(key)):
        parts.append(page.text("What that hangs on most, as a share of the energy at the meter:", "note"))
        parts.append(page.table(("", "Low", "High"), drivers, ("", "number", "number"), narrow=True))
    return page.section("How sure", *parts) if parts else ""
