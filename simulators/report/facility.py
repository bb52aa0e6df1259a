"""The building around the GPUs, for the page: where its energy went, PUE, water, reused heat."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simulators.report import page
from simulators.report.labels import energy_text, number, share

INTRO = (
    "PUE is facility over IT energy, WUE water on site over IT energy. Off site is water consumed to make the power "
    "that was imported; own PV and wind count as dry. Ranges are those of the constants behind the figures."
)
ENERGIES = {"it_mwh": "IT", "cooling_mwh": "Cooling and the rest", "losses_mwh": "Power chain losses"}
WATER = {"on_site": "Water, evaporated on site", "off_site": "Water, grid power", "total": "Water, both"}


def water_text(m3: float | None) -> str:
    """A volume in m3 or L; a dash for None.

    Examples
    --------
    >>> water_text(12.345), water_text(0.00321), water_text(None)
    ('12.35 m³', '3.21 L', '–')
    """
    if m3 is None:
        return "–"
    return number(m3, "m³") if m3 >= 1.0 else number(m3 * 1e3, "L")


def section(summary: Mapping[str, Any]) -> str:
    """The section of the page; empty if the summary knows nothing of a building."""
    found = summary.get("facility") or {}
    if not found:
        return ""
    rows = [_energy(words, found[key], found["facility_mwh"]) for key, words in ENERGIES.items()]
    rows.append(("PUE", _ratio(found["pue"]), ""))
    if found["heat_reused_mwh"]:
        rows.append(_energy("Heat delivered to others", found["heat_reused_mwh"], found["facility_mwh"]))
        rows.append(("ERE", _ratio(found["ere"]), ""))
    rows.append(("WUE", number(found["wue_l_per_kwh"], "L/kWh"), ""))
    for key, words in WATER.items():
        water = found["water_m3"][key]
        if water is None:
            rows.append((words, "–", ""))
        else:
            spread = f"{water_text(water['low'])} to {water_text(water['high'])}"
            rows.append((words, water_text(water["value"]), spread))
    parts = [
        page.text(INTRO, "note"),
        page.table(("", "", "Share or range"), rows, ("", "number", "number"), narrow=True),
    ]
    if found["reason"]:
        parts.append(page.text(f"No figure: {found['reason']}.", "note"))
    return page.section("Facility and water", *parts)


def _energy(words: str, mwh: float | None, whole_mwh: float) -> tuple[str, str, str]:
    part = share(mwh / whole_mwh) if mwh is not None and whole_mwh > 0 else ""
    return words, energy_text(mwh), part


def _ratio(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
