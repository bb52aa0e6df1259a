"""The headline numbers of the report. One that cannot be had is a dash, with the reason below it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simulators.report import answer, page
from simulators.report.labels import energy_text, mass_text, number, seconds, share


def cards(summary: Mapping[str, Any]) -> str:
    """The cards at the top of the page."""
    energy, renewable = summary.get("energy_mwh", {}), summary.get("renewable", {})
    it, facility = energy.get("it"), energy.get("facility")
    served = summary.get("inference") or {}
    told = [
        *_saturation(summary),
        page.card(
            "Energy used by the site",
            energy_text(facility),
            f"{energy_text(it)} of it by the servers; site over servers (PUE) {facility / it:.3f}"
            if it and facility
            else "",
        ),
        page.card(
            "Load matched by own supply",
            share(renewable.get("matched_ratio")),
            f"interval by interval; with exports counted (offset ratio) {share(renewable.get('offset_ratio'))}",
        ),
        *_carbon(summary),
        *_cost(summary),
        *(_served(summary, served) if served else ()),
    ]
    return f'<div class="cards">{"".join(told)}</div>'


def _saturation(summary: Mapping[str, Any]) -> list[str]:
    """Whether the servers kept up, and whether the targets held."""
    found = answer.saturation(summary)
    if found is None:
        return []
    word = answer.SATURATION[found.label]
    kept = (summary.get("inference") or {}).get("slo_kept")
    targets = "" if kept is None else f"; targets {'kept' if kept else 'missed'}"
    rejected = (summary.get("inference") or {}).get("requests_rejected")
    kind = "warn" if word.kind == "good" and (kept is False or rejected) else word.kind
    return [page.card("Saturation", word.text, f"{answer.saturation_text(found)}{targets}", kind)]


def _served(summary: Mapping[str, Any], served: Mapping[str, Any]) -> list[str]:
    """What serving took, and who waited how long."""
    # who may be held back has no first token to wait for
    of_whom, waits = served, ""
    if (prompt := (served.get("classes") or {}).get("interactive")) and prompt["requests"]:
        of_whom, waits = prompt, "interactive requests, "
    return [
        page.card(
            "Energy per output token, at the GPUs",
            number(served.get("energy_j_per_output_token"), "J"),
            f"a GPU draws {number(served.get('gpu_power_w_mean'), 'W')} on average and does "
            f"{share(served.get('mfu_mean'))} of the arithmetic it could (MFU)",
        ),
        *_at_meter(summary),
        *_pools(served),
        page.card(
            "Requests completed",
            number(served.get("requests_completed")),
            f"of {number(served.get('requests_arrived'))} arrived, "
            f"{number(served.get('requests_rejected'))} rejected",
            "bad" if served.get("requests_rejected") else "",
        ),
        *(
            [page.card("Replicas there", share(out["availability"]), answer.out_of_service_text(out))]
            if (out := served.get("failures"))
            else ()
        ),
        *(
            page.card(
                label,
                seconds((of_whom.get(key) or {}).get("p95")),
                f"{waits}p50 {seconds((of_whom.get(key) or {}).get('p50'))}, "
                f"p99 {seconds((of_whom.get(key) or {}).get('p99'))}",
            )
            for label, key in (
                ("Time to first token, p95", "ttft_s"),
                ("Time per output token, p95", "tpot_s"),
            )
        ),
    ]


def _pools(served: Mapping[str, Any]) -> list[str]:
    """Mean power of each pool, where prefill and decode are apart."""
    if not (pools := served.get("pools")):
        return []
    each = (number(pools[name]["power_w_mean"] / 1e3, "kW") for name in ("prefill", "decode"))
    moved = pools["transfer"]
    detail = f"mean power; {number(moved['bytes'] / 1e9, 'GB')} of KV cache moved, {number(moved['energy_j'], 'J')}"
    return [page.card("GPUs that prefill, that decode", " / ".join(each), detail)]


def _at_meter(summary: Mapping[str, Any]) -> list[str]:
    meter = (summary.get("energy_j_per_output_token") or {}).get("meter")
    if meter is None:
        return []
    detail = "servers, cooling and power chain included"
    return [page.card("Energy per output token, at the meter", number(meter, "J"), detail)]


def _per_request(summary: Mapping[str, Any]) -> str:
    per = (summary.get("sci") or {}).get("g_per_request")
    return "" if per is None else f"; {mass_text(per / 1e3)} per request"


def _by_contracts(summary: Mapping[str, Any]) -> str:
    market = (summary.get("scope2") or {}).get("market_kg")
    return "" if market is None else f"{mass_text(market)} by contracts; "


def _cost(summary: Mapping[str, Any]) -> list[str]:
    cost = summary.get("cost")
    if not cost:
        return []
    unit = cost["unit"]
    per = summary.get("cost_per_million_output_tokens")
    tokens = "" if per is None else f"{number(per, unit)} per million output tokens; "
    detail = f"{tokens}energy {number(cost['energy'], unit)}, the rest is in the bill below; battery settled"
    return [page.card("Cost of electricity", number(cost["total"], unit), detail)]


def _beside(carbon: Mapping[str, Any]) -> str:
    told = [
        f"{words} {mass_text(carbon[key])}; "
        for key, words in (("battery_settlement", "battery back at its start"), ("own_supply", "own supply"))
        if carbon.get(key)
    ]
    return "".join(told)


def _carbon(summary: Mapping[str, Any]) -> list[str]:
    """What the site emits, by the average intensity; and, apart from it, what its import causes at the margin."""
    carbon = summary.get("carbon_kg", {})
    reasons = carbon.get("reasons", {})
    operational, total = carbon.get("operational"), carbon.get("total")
    tokens = (summary.get("inference") or {}).get("decode_tokens")
    embodied = f"embodied {mass_text(carbon.get('embodied'))}"
    reason = reasons.get("operational", "")
    told = [
        page.card(
            "Operational carbon",
            mass_text(operational),
            f"CO₂eq of grid import, by location; {_by_contracts(summary)}{_beside(carbon)}{embodied}"
            if operational is not None or not reason
            else f"{reason}; {embodied}",
        ),
    ]
    if summary.get("inference"):
        told.append(
            page.card(
                "Carbon per 1,000 output tokens, at the meter",
                number(total * 1e6 / tokens, "g") if total is not None and tokens else "–",
                f"CO₂eq, all of it: battery settled, own supply, embodied{_per_request(summary)}"
                if "battery_settlement" in carbon
                else "CO₂eq, operational and embodied"
                if total is not None or not reason
                else reasons.get("total", "needs the operational carbon"),
            )
        )
    if carbon.get("consequence_marginal") is not None:
        told.append(
            page.card(
                "What the import causes at the margin",
                mass_text(carbon["consequence_marginal"]),
                "CO₂eq, by the marginal intensity; no emission of the site",
            )
        )
    return told
