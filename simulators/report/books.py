"""Scope 2 both ways, the bill, carbon per unit of work, making of the hardware, and what a run rests on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simulators.report import page
from simulators.report.labels import energy_text, mass_text, number, seconds, share

BILL = {
    "energy": "Energy",
    "fees": "Fees and taxes",
    "demand": "Demand charge",
    "standing": "Standing charge",
    "settlement": "Battery back at its start",
}
"""Lines of the bill that are paid; what exports earn is taken off."""
HARDWARE = {"gpu": "GPUs", "server": "Servers without GPUs", "building": "Building"}
SCOPE2 = (
    "Scope 2 of the grid import, both ways (GHG Protocol). By location: the grid's average intensity. By contracts: "
    "what was bought, then the residual mix for what is not covered; contracts cover at most the import."
)
SCI = (
    "Software Carbon Intensity (ISO/IEC 21031:2024) at the meter: (E × I + M) / R, with all energy E of the facility, "
    "the location-based intensity I of its supply, the making of the hardware M, per request or output token R. All "
    "from the grid: the same with the grid's intensity for all of E, as if there were no own supply."
)


def carbon(summary: Mapping[str, Any]) -> str:
    """The sections on scope 2, carbon per unit of work, and embodied carbon; empty of a summary without them."""
    return _scope2(summary) + _sci(summary) + _embodied(summary)


def bill(summary: Mapping[str, Any]) -> str:
    """The section of the bill; empty without one."""
    cost = summary.get("cost")
    if not cost:
        return ""
    unit = _currency(cost)
    rows = [(words, number(cost[key], unit)) for key, words in BILL.items() if cost[key] or key == "energy"]
    if cost["export_revenue"]:
        rows.append(("Export revenue", f"−{number(cost['export_revenue'], unit)}"))
    rows.append(("Total", number(cost["total"], unit)))
    marks = [*[""] * (len(rows) - 1), "sum"]
    parts = [page.table(("", ""), rows, ("", "number"), marks, narrow=True)]
    if not unit:
        parts.append(page.text("In the currency of the tariff, which does not name it (--currency).", "note"))
    if cost["demand"]:
        peaks = "; ".join(
            f"{name} {number(month['peak_kw'], 'kW')} ({share(month['share'])} of the month)"
            for name, month in cost["months"].items()
        )
        parts.append(page.text(f"Highest import of a billing interval: {peaks}.", "note"))
    return page.section("Cost", *parts)


def _currency(cost: Mapping[str, Any]) -> str:
    return str(cost["unit"])


def _scope2(summary: Mapping[str, Any]) -> str:
    found = summary.get("scope2")
    if not found:
        return ""
    reasons = summary.get("reasons") or {}
    carbon = summary.get("carbon_kg") or {}
    rows = [
        ("Grid import", mass_text(found["location_kg"]), mass_text(found["market_kg"])),
        (
            "Battery back at its start",
            mass_text(carbon.get("battery_settlement")),
            mass_text(found["market_settlement_kg"]),
        ),
        *[("Own PV, wind and battery", *[mass_text(carbon.get("own_supply"))] * 2)],
        *[("Making of the hardware", *[mass_text(carbon.get("embodied"))] * 2)],
        ("Total", mass_text(carbon.get("total")), mass_text(found["market_total_kg"])),
    ]
    parts = [
        page.text(SCOPE2, "note"),
        page.table(
            ("CO₂eq", "By location", "By contracts"),
            rows,
            ("", "number", "number"),
            ("", "", "", "", "sum"),
            narrow=True,
        ),
    ]
    covered = [
        f"{words} {energy_text(found[key])}"
        for key, words in (
            ("ppa_mwh", "power purchase agreement"),
            ("go_mwh", "guarantees of origin"),
            ("residual_mwh", "residual mix"),
        )
        if found[key]
    ]
    if covered:
        mean = found["market_g_per_kwh"]
        at = f", {number(mean, 'gCO₂eq/kWh')} on average" if mean is not None else ""
        parts.append(page.text(f"What the import is by contracts: {', '.join(covered)}{at}.", "note"))
    told = dict.fromkeys(text for key, text in reasons.items() if "scope2." in key and text)
    parts += [page.text(f"No figure: {text}.", "note") for text in told]
    return page.section("Scope 2, by location and by contracts", *parts)


def _sci(summary: Mapping[str, Any]) -> str:
    found = summary.get("sci")
    if not found:
        return ""
    per_token = summary.get("energy_j_per_output_token") or {}

    def grams(value: float | None, per: str) -> str:
        return "–" if value is None else f"{mass_text(value / 1e3)}/{per}"

    def per_thousand(value: float | None) -> str:
        return "–" if value is None else f"{mass_text(value)}/1,000 tokens"

    rows = [
        ("Energy at the GPUs", number(per_token.get("gpu"), "J/token"), ""),
        ("Energy at the meter", number(per_token.get("meter"), "J/token"), ""),
        (
            "Carbon per output token",
            per_thousand(found["g_per_output_token"]),
            per_thousand(found["g_per_output_token_grid"]),
        ),
        (
            "Carbon per request",
            grams(found["g_per_request"], "request"),
            grams(found["g_per_request_grid"], "request"),
        ),
        (
            "Intensity of the supply (I)",
            number(found["intensity_g_per_kwh"], "gCO₂eq/kWh"),
            number(found["grid_g_per_kwh"], "gCO₂eq/kWh"),
        ),
        ("Making of the hardware (M)", *[mass_text(found["embodied_kg"])] * 2),
    ]
    return page.section(
        "Energy and carbon per unit of work",
        page.text(SCI, "note"),
        page.table(("", "This run", "All from the grid"), rows, ("", "number", "number"), narrow=True),
    )


def _embodied(summary: Mapping[str, Any]) -> str:
    rows = []
    for name, part in (summary.get("embodied") or {}).items():
        site, _, kind = name.rpartition(": ")
        words = ": ".join(filter(None, (site, HARDWARE.get(kind, kind))))
        each = f"{part['factor']:g} ({part['factor_low']:g} to {part['factor_high']:g}) {part['unit']}"
        life = f"{part['life_years']:g} ({part['life_low']:g} to {part['life_high']:g}) years"
        spread = f"{mass_text(part['low_kg'])} to {mass_text(part['high_kg'])}"
        rows.append(
            (
                words,
                number(part["count"], "kW" if kind == "building" else ""),
                mass_text(part["kg"]),
                spread,
                each,
                life,
                part["source"],
            )
        )
    if not rows:
        return ""
    heads = ("Making of the hardware", "Count", "CO₂eq", "Range", "Each", "Spread over", "Source")
    span_s = summary.get("simulated_s")
    note = f"What falls on {seconds(float(span_s))}, reserved all the time." if span_s else ""
    return page.section(
        "Embodied carbon",
        page.text(note, "note"),
        page.table(heads, rows, ("", "number", "number", "number")),
    )


def round_the_clock(summary: Mapping[str, Any]) -> str:
    """The load's carbon-free share with contracts and with the grid's own part, as notes; empty without any."""
    ratios, reasons = summary.get("renewable") or {}, summary.get("reasons") or {}
    words = {
        "matched_ratio_with_contract": "With the plant under contract, interval by interval",
        "carbon_free_ratio": "With the carbon-free part of grid power too",
    }
    told = []
    for key, text in words.items():
        if ratios.get(key) is not None:
            told.append(page.text(f"{text}: {share(ratios[key])} of the load.", ""))
        elif (why := reasons.get(f"renewable.{key}")) and key == "carbon_free_ratio":
            told.append(page.text(f"{text}: no figure, {why}.", "note"))
    return "".join(told)


def assumptions(summary: Mapping[str, Any]) -> str:
    """The folded table of what a run rests on; empty of a summary without it."""
    rows = [
        (entry["name"], f"{entry['value']:g}", _range(entry), entry["unit"], entry["source"])
        for entry in summary.get("assumptions") or ()
    ]
    if not rows:
        return ""
    heads = ("Name", "Value", "Range", "Unit", "Source")
    table = page.table(heads, rows, ("", "number", "number"))
    title = f"Assumptions: {len(rows)} values this run rests on, with their sources"
    return page.folded(title, table)


def _range(entry: Mapping[str, Any]) -> str:
    low, high = entry["low"], entry["high"]
    return "–" if low == high else f"{low:g} to {high:g}"


def lines(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The same for the terminal: market-based carbon, round the clock, the bill."""
    scope2, ratios = summary.get("scope2") or {}, summary.get("renewable") or {}
    cost, sci = summary.get("cost") or {}, summary.get("sci") or {}
    rows = []
    if scope2.get("market_kg") is not None:
        rows.append(("Carbon, import by contracts", number(scope2["market_kg"], "kg CO2eq")))
    for key, words in (
        ("matched_ratio_with_contract", "... with the plant under contract"),
        ("carbon_free_ratio", "... with the grid's carbon-free part"),
    ):
        if ratios.get(key) is not None:
            rows.append((f"Load covered {words}", share(ratios[key])))
    if cost:
        unit = _currency(cost)
        told = [f"{words.lower()} {number(cost[key], unit)}" for key, words in BILL.items() if cost[key]]
        if cost["export_revenue"]:
            told.append(f"less export revenue {number(cost['export_revenue'], unit)}")
        rows.append(("Cost", f"{number(cost['total'], unit)}: {', '.join(told)}"))
        if (per := summary.get("cost_per_million_output_tokens")) is not None:
            rows.append(("... per million output tokens", number(per, unit)))
    if sci.get("g_per_output_token") is not None:
        rows.append(
            (
                "SCI at the meter",
                f"{number(sci['g_per_request'], 'g CO2eq')} per request, "
                f"{number(1e3 * sci['g_per_output_token'], 'g CO2eq')} per 1,000 output tokens",
            )
        )
    return rows
