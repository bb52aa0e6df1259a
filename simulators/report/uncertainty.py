"""How far the headline figures can be off: a table for the page, lines for the terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from simulators.report import page
from simulators.report.labels import energy_text, mass_text, number

INTRO = (
    "90 % of unseen servers are expected between low and high. Every input that carries a range is moved to its ends "
    "alone; the moves are taken as independent. Carbon and cost follow the import, with its mean intensity and price."
)


def _joules(value: float | None) -> str:
    return number(value, "J")


FIGURES: dict[str, tuple[str, Callable[[float | None], str]]] = {
    "j_per_output_token_gpu": ("Energy per output token, at the GPUs", _joules),
    "j_per_output_token_meter": ("Energy per output token, at the meter", _joules),
    "facility_mwh": ("Energy used by the site", energy_text),
    "operational_kg": ("Operational carbon", mass_text),
    "import_cost": ("Cost of the import", number),
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


def drivers_text(found: Mapping[str, Any]) -> str:
    """The largest drivers in one line: what each does to the energy at the meter; empty without any."""
    return "; ".join(
        f"{driver['name']} {driver['low']:+.0%} to {driver['high']:+.0%}"
        for driver in found.get("drivers", ())
    )


def section(summary: Mapping[str, Any]) -> str:
    """The section of the page; empty if the summary knows nothing of it."""
    found = summary.get("uncertainty") or {}
    if not found:
        return ""
    rows = []
    for key, (words, form) in FIGURES.items():
        known = found.get(key)
        if known:
            if key == "import_cost" and (unit := (summary.get("import_cost") or {}).get("unit")):
                words = f"{words}, {unit}"
            rows.append((words, *(form(known[name]) for name in ("low", "value", "high"))))
    drivers = [
        (driver["name"], f"{driver['low']:+.1%}", f"{driver['high']:+.1%}")
        for driver in found.get("drivers", ())
    ]
    parts = []
    if rows:
        parts.append(page.text(INTRO, "note"))
        parts.append(page.table(("", "Low", "Value", "High"), rows, ("", *("number",) * 3), narrow=True))
    elif found.get("reason"):
        parts.append(page.text(f"No interval: {found['reason']}.", "note"))
    if drivers:
        parts.append(page.text("What that hangs on most, as a share of the energy at the meter:", "note"))
        parts.append(page.table(("", "Low", "High"), drivers, ("", "number", "number"), narrow=True))
    return page.section("How sure", *parts) if parts else ""
