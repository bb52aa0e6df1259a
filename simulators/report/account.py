"""Carbon and cost line by line, within both boundaries, and the own plants: for the page and for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simulators.report import books, page
from simulators.report.labels import energy_text, mass_text, number, share

BOUNDARIES = {"operational": "Operational", "life-cycle": "Life cycle"}
LINES = {
    "grid": "Grid import",
    "battery_settlement": "Battery back at its start",
    "own_supply": "Own PV, wind and battery",
    "embodied": "Making of the hardware",
    "total": "Total",
}
PARTS = {"pv": "PV", "wind": "Wind", "battery": "Battery"}
INTRO = (
    "One boundary holds for grid, PV, wind and battery alike. Operational: what is burnt, so own supply has none. Life "
    "cycle: fuel chains and plants as well; own supply counts all it generates, as exports earn no credit."
)


def section(summary: Mapping[str, Any]) -> str:
    """The sections of the page; empty where the summary has none of it."""
    return _carbon(summary) + books.carbon(summary) + books.bill(summary) + _plants(summary)


def _carbon(summary: Mapping[str, Any]) -> str:
    found = summary.get("boundaries") or {}
    if not found:
        return ""
    chosen = summary.get("carbon_kg", {}).get("boundary")
    header = ["CO₂eq"] + [
        f"{words}, counted here" if name == chosen else words for name, words in BOUNDARIES.items()
    ]
    rows = [
        (words, *(mass_text(found[name].get(key)) for name in BOUNDARIES)) for key, words in LINES.items()
    ]
    reasons = {
        found[name]["reason"]: words for name, words in BOUNDARIES.items() if found[name].get("reason")
    }
    parts = [
        page.text(INTRO, "note"),
        page.table(header, rows, ("", "number", "number"), ("", "", "", "", "sum"), narrow=True),
        *(page.text(f"{words}: no total, {reason}.", "note") for reason, words in reasons.items()),
    ]
    if battery := settlement(summary):
        parts.append(page.text(battery, "note"))
    if grid := connection(summary):
        parts.append(page.text(grid, "note"))
    own = [_supply(name, part) for name, part in (summary.get("own_supply") or {}).items()]
    if own:
        header = ["Life cycle of own supply", "CO₂eq", "Range", "Factor", "Source"]
        parts.append(page.table(header, own, ("", "number", "number", "", "")))
    return page.section("Carbon, line by line", *parts)


def _named(name: str) -> str:
    """A part by its name in the summary; of several sites with its site."""
    site, _, part = name.rpartition(": ")
    return ": ".join(filter(None, (site, PARTS.get(part, part))))


def _supply(name: str, part: Mapping[str, Any]) -> tuple[str, ...]:
    spread = f"{part['factor_low']:g} to {part['factor_high']:g}"
    factor = f"{part['factor']:g} ({spread}) {part['unit']}"
    low, high = mass_text(part["low_kg"]), mass_text(part["high_kg"])
    return _named(name), mass_text(part["kg"]), f"{low} to {high}", factor, part["source"]


def settlement(summary: Mapping[str, Any]) -> str:
    """What was done with the battery's charge, in a sentence; empty without a battery."""
    found = summary.get("storage")
    if not found:
        return ""
    charge = f"The battery began at {share(found['soc_start'])} and ended at {share(found['soc_end'])}"
    settled = found["settled_mwh"]
    if abs(settled) < 1e-12:
        return f"{charge}: nothing to settle."
    does = "takes" if settled > 0 else "would give"
    over = "the import" if found["mean_over"] == "import" else "the run's time, as nothing was imported"
    means = [
        text
        for text in (
            number(found.get("mean_g_per_kwh"), "g/kWh") if found.get("mean_g_per_kwh") is not None else "",
            number(found.get("mean_price_per_kwh"), f"{_currency(summary)}/kWh")
            if found.get("mean_price_per_kwh") is not None
            else "",
        )
        if text
    ]
    at = f", settled at the mean over {over} ({', '.join(means)})" if means else ""
    return f"{charge}: being back at its start {does} {energy_text(abs(settled))} at its terminals{at}."


def connection(summary: Mapping[str, Any]) -> str:
    """What the connection to the grid did not carry, in a sentence; empty if nothing came of its limits."""
    found = summary.get("connection") or {}
    hours = {
        "islanded_h": "without a grid", "at_import_limit_h": "at the import limit",
        "at_export_limit_h": "at the export limit",
        "too_fast_h": "changing faster than the ramp limit", "shedding_h": "with load shed",
    }  # fmt: skip
    energies = {
        "unserved_mwh": "of load unserved", "pv_curtailed_mwh": "of PV curtailed",
        "wind_curtailed_mwh": "of wind curtailed",
    }  # fmt: skip
    told = [f"{found[name]:.4g} h {words}" for name, words in hours.items() if found.get(name)]
    told += [f"{energy_text(found[name])} {words}" for name, words in energies.items() if found.get(name)]
    return f"Connection: {', '.join(told)}." if told else ""


def _currency(summary: Mapping[str, Any]) -> str:
    return str((summary.get("import_cost") or {}).get("unit") or "1")


def _plants(summary: Mapping[str, Any]) -> str:
    rows = [
        (
            _named(name),
            number(plant["rated_kw"], "kW"),
            _made_of(plant),
            number(plant["hub_height_m"], "m") if plant.get("hub_height_m") else "–",
            share(plant["capacity_factor"]),
        )
        for name, plant in (summary.get("plants") or {}).items()
    ]
    if not rows:
        return ""
    header = ("", "Rating", "Made of", "Hub height", "Capacity factor in this run")
    return page.section("Own generation", page.table(header, rows, ("", "number", "", "number", "number")))


def _made_of(plant: Mapping[str, Any]) -> str:
    """Model, number and what else is known of a plant; old results know less."""
    machines = f"{plant['machines']:.3g} of them" if plant.get("machines") else ""
    return ", ".join(filter(None, (plant["model"], machines, plant.get("detail", ""))))


def lines(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The same for the terminal: settlement, own supply, total, cost and plants."""
    carbon = summary.get("carbon_kg") or {}
    found = summary.get("boundaries") or {}
    totals = [
        f"{number(found[name]['total'], 'kg CO2eq')} {words.lower()}"
        for name, words in BOUNDARIES.items()
        if found.get(name, {}).get("total") is not None
    ]
    settled_kg, own_kg = carbon.get("battery_settlement"), carbon.get("own_supply")
    rows = [
        (
            "Carbon, battery back at its start",
            _kg(settled_kg) if settled_kg or summary.get("storage") else "",
        ),
        ("Carbon, own PV, wind and battery", f"{_kg(own_kg)} ({carbon.get('boundary')})" if found else ""),
        ("Carbon, all of it", "; ".join(totals)),
    ]
    rows += books.lines(summary)
    if battery := summary.get("storage"):
        ends = f"{share(battery['soc_start'])}, {share(battery['soc_end'])}"
        cycles = f"{battery.get('equivalent_full_cycles', 0.0):.3g} equivalent full cycles"
        lost = battery.get("capacity_lost")
        aged = f", {share(lost)} of its capacity lost" if lost else ""
        rows.append(("Battery, start and end", f"{ends}; {cycles}{aged}"))
    if grid := connection(summary):
        rows.append(("Connection", grid.removeprefix("Connection: ").removesuffix(".")))
    for name, plant in (summary.get("plants") or {}).items():
        hub = f", hub at {number(plant['hub_height_m'], 'm')}" if plant.get("hub_height_m") else ""
        rows.append(
            (_named(name), f"{plant['model']}{hub}, capacity factor {share(plant['capacity_factor'])}")
        )
    return rows


def _kg(value: float | None) -> str:
    return "" if value is None else number(value, "kg CO2eq")
