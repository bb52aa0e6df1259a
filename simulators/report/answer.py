"""What a run comes to in a few sentences: the first thing on the page and in the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any, NamedTuple

from simulators.quantities.saturation import Saturation
from simulators.report import page
from simulators.report.labels import energy_text, mass_text, number, seconds, share

PARTS = {"pv": "PV", "wind": "wind", "battery": "battery"}
NEARLY_ALL = 0.9995
"""A share that is told as 100.0 %."""
TOLD_FROM = 0.1
"""A part of the carbon from which on it is told by itself, of the whole."""
NO_CURRENCY = "currency units"
"""The unit of prices whose currency nobody named."""


class Word(NamedTuple):
    """How a finding is told: a word for people, and ``good``, ``warn`` or ``bad``."""

    text: str
    kind: str


SATURATION = {
    "stable": Word("Stable", "good"),
    "backlogged": Word("Backlogged at times", "warn"),
    "overloaded": Word("Overloaded", "bad"),
}
"""Labels of `quantities.saturation`."""


def section(summary: Mapping[str, Any]) -> str:
    """The answer at the top of the page, with what stands in for a measurement."""
    found = saturation(summary)
    kind = SATURATION[found.label].kind if found else ""
    if kind == "good" and (summary.get("inference") or {}).get("slo_kept") is False:
        kind = "warn"
    if turned_away(summary):
        kind = "bad"
    parts = [page.text(page.kept_together(sentence)) for sentence in sentences(summary)]
    for words in stand_ins(summary):
        parts.append(f"<p class='note'><strong>Not measured:</strong> {escape(words)}.</p>")
    return f'<section class="answer {kind}" id="answer" aria-label="In short">{"".join(parts)}</section>'


def stand_ins(summary: Mapping[str, Any]) -> list[str]:
    """What of the run's grounds only stands in for a measurement."""
    return list((summary.get("uncertainty") or {}).get("stand_ins") or ())


def saturation(summary: Mapping[str, Any]) -> Saturation | None:
    """Whether requests were served as they came; None where nothing was served, or an old summary does not say."""
    found = (summary.get("inference") or {}).get("saturation")
    return Saturation(**found) if found else None


def saturation_text(found: Saturation) -> str:
    """What a label rests on.

    Examples
    --------
    >>> saturation_text(Saturation("stable", 0.03, 0.4, 0.0, 2.0))
    'mean wait for a first batch 400 ms at most, 30 ms at the end; target 2 s'
    """
    return (
        f"mean wait for a first batch {seconds(found.wait_peak_s)} at most, {seconds(found.wait_end_s)} at the end; "
        f"target {seconds(found.target_s)}"
    )


def turned_away(summary: Mapping[str, Any]) -> str:
    """How many requests nobody could serve; empty if there was none.

    Examples
    --------
    >>> turned_away({"inference": {"requests_arrived": 60, "requests_rejected": 27}})
    '27 of 60 requests were REJECTED, as no replica can hold them or none serves their tenant'
    """
    served = summary.get("inference") or {}
    rejected, arrived = served.get("requests_rejected") or 0, served.get("requests_arrived") or 0
    if not rejected:
        return ""
    who = "all" if rejected >= arrived else number(rejected)
    return f"{who} of {number(arrived)} requests were REJECTED, as no replica can hold them or none serves their tenant"


def out_of_service_text(failures: Mapping[str, Any]) -> str:
    """What failures and maintenance of replicas did.

    Examples
    --------
    >>> out_of_service_text({"failures": 3, "maintenance": 1, "availability": 0.98, "requests_interrupted": 40,
    ...                      "lost_work_j": 7.2e6})
    '3 failures, 1 planned; replicas there 98.0 % of the time; 40 requests begun anew, 2 kWh of work lost'
    """
    lost, anew = energy_text(failures["lost_work_j"] / 3.6e9), number(failures["requests_interrupted"])
    return (
        f"{number(failures['failures'])} failures, {number(failures['maintenance'])} planned; replicas there "
        f"{share(failures['availability'])} of the time; {anew} requests begun anew, {lost} of work lost"
    )


def sentences(summary: Mapping[str, Any]) -> list[str]:
    """What a network did; what carried the load and its price; whether users were served in time; the policy."""
    found = (_network(summary), _carried(summary), _kept(summary), _policy(summary))
    return [f"{text[:1].upper()}{text[1:]}." for text in found if text]


def _network(summary: Mapping[str, Any]) -> str:
    """What breaks first, how often, and what it would take."""
    found = summary.get("network") or {}
    return "; ".join(text for text in (found.get("headline"), found.get("takes")) if text)


def _carried(summary: Mapping[str, Any]) -> str:
    energy, span_s = summary.get("energy_mwh") or {}, summary.get("simulated_s")
    if energy.get("facility") is None:
        return ""
    matched = (summary.get("renewable") or {}).get("matched_ratio")
    own, grid = _own(summary), energy.get("grid_import") or 0.0
    within = f"in {duration(float(span_s))} the site" if span_s else "the site"
    if own and matched is not None:
        told = f"its own {own} carried {share(matched)} of that{_the_rest(summary, matched, grid)}"
    elif energy.get("grid_import") is None:
        told = "what gave it is not known"
    else:
        told = "all of it came from the grid" if grid else "nothing of it came from the grid"
    if energy.get("unserved"):
        told += f"; {energy_text(energy['unserved'])} could not be served"
    return f"{within} used {energy_text(energy['facility'])}: {told}. {_price(summary)}"


def _the_rest(summary: Mapping[str, Any], matched: float, grid: float) -> str:
    """Who carried what own supply did not."""
    if grid:
        return ", the grid the rest"
    if matched < NEARLY_ALL and summary.get("storage"):
        return ", what the battery held at the start the rest"
    return ", nothing came from the grid"


def duration(span_s: float) -> str:
    """How long, in words.

    Examples
    --------
    >>> duration(604800), duration(86400), duration(8640)
    ('7 days', '1 day', '2.4 hours')
    """
    for each, word in ((86400.0, "day"), (3600.0, "hour"), (60.0, "minute")):
        if span_s >= each:
            many = number(span_s / each)
            return f"{many} {word}{'' if many == '1' else 's'}"
    return seconds(span_s)


def _own(summary: Mapping[str, Any]) -> str:
    """Own supply by name, e.g. ``PV, wind and battery``; empty without any."""
    plants = {name.rpartition(": ")[2] for name in summary.get("plants") or {}}
    if not plants and not summary.get("storage"):
        energy = summary.get("energy_mwh") or {}
        plants = {name for name in ("pv", "wind") if energy.get(name)}
        plants |= {"battery"} if energy.get("battery_discharge") else set()
    if summary.get("storage"):
        plants |= {"battery"}
    names = [words for name, words in PARTS.items() if name in plants]
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1]))) if names else ""


def _price(summary: Mapping[str, Any]) -> str:
    """Money and carbon, in a sentence."""
    cost, carbon = summary.get("cost"), summary.get("carbon_kg") or {}
    if cost:
        unit = {"1": "", NO_CURRENCY: " in the currency of its prices"}.get(cost["unit"], f" {cost['unit']}")
        money = f"electricity cost {number(cost['total'])}{unit}"
    else:
        money = "what electricity cost is not known (no price was given)"
    total, grid = carbon.get("total"), carbon.get("operational")
    if total is not None and grid is not None:
        emitted = f"the site emitted {mass_text(total)} CO₂eq, {mass_text(grid)} of it by grid power"
        if (refill := carbon.get("battery_settlement") or 0.0) > TOLD_FROM * abs(total):
            emitted += f" and {mass_text(refill)} for filling the battery up again"
    elif grid is not None:
        emitted = f"the site emitted {mass_text(grid)} CO₂eq by grid power"
    else:
        why = (carbon.get("reasons") or {}).get("operational", "no carbon intensity was given")
        emitted = f"how much CO₂eq it emitted is not known ({why})"
    return f"{money[:1].upper()}{money[1:]}; {emitted}"


def _kept(summary: Mapping[str, Any]) -> str:
    served = summary.get("inference") or {}
    if not served:
        return ""
    targets, flow, found = _targets(served), _keeps_up(summary), saturation(summary)
    told = [", and ".join(filter(None, (targets, flow)))]
    if targets and found and found.label != "stable":
        told = [targets, flow]
    told = [text for text in (turned_away(summary), *told) if text]
    return ". ".join(f"{text[:1].upper()}{text[1:]}" for text in told)


def _targets(served: Mapping[str, Any]) -> str:
    kept, slo = served.get("slo_kept"), served.get("slo") or {}
    found = (served.get("classes") or {}).get("interactive") or {}
    if kept is None or not slo or not found:
        return ""
    pairs = (("the first token", "ttft_s"), ("each further one", "tpot_s"))
    each = " and ".join(
        f"{words} within {seconds(found[key]['p99'])} (target {seconds(slo[key])})"
        for words, key in pairs
        if found[key]["p99"] is not None
    )
    told = f": 99 of 100 had {each}" if each else ""
    of_whom = (
        "interactive requests that were served" if served.get("requests_rejected") else "interactive requests"
    )
    return f"{of_whom} {'kept' if kept else 'MISSED'} their targets{told}"


def _keeps_up(summary: Mapping[str, Any]) -> str:
    found = saturation(summary)
    if found is None:
        return ""
    if found.label == "overloaded":
        return (
            f"OVERLOADED: requests came faster than they were served; the last ones waited "
            f"{seconds(found.wait_end_s)} for their first batch, so every latency here hangs on the length of the run"
        )
    if found.label == "backlogged":
        return (
            f"at times requests came faster than they were served: in {share(found.above_share, 0)} of the run they "
            f"waited longer than {seconds(found.target_s)} for their first batch, at most {seconds(found.wait_peak_s)}"
        )
    if found.wait_peak_s > found.target_s:
        return (
            f"the servers kept up but for bursts, in which requests waited {seconds(found.wait_peak_s)} on average for "
            "their first batch"
        )
    return "the servers kept up throughout"


def _policy(summary: Mapping[str, Any]) -> str:
    """What the policy bought, or would have."""
    found = summary.get("scheduling")
    own = (summary.get("control") or {}).get("policy")
    if not found or found.get("kg_saved") is None:
        named = own not in (None, "none")
        return f"what policy {own} saves was not compared (--compare)" if named and not found else ""
    kg, policy = found["kg_saved"], found["policy"]
    would = "" if own in (None, policy) else "would have "
    relative = found.get("kg_saved_relative")
    part = f" ({share(abs(relative))})" if relative is not None else ""
    verb = f"{would}saved"
    if kg < 0:
        verb, part = f"{would}emitted", f"{part} more"
    delayed = found.get("requests_delayed", 0)
    paid = (
        f"at a mean delay of {seconds(found['mean_delay_s'])} for {number(delayed)} held requests"
        if delayed
        else "and held no request back"
    )
    missed = found.get("deadlines_missed") or 0
    late = f"{number(missed)} missed deadlines" if missed else "no missed deadline"
    return f"policy {policy} {verb} {mass_text(abs(kg))} CO₂eq{part} {paid}, with {late}"
