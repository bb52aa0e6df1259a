"""The page that tells the story: what was published, what our model gives, and what changes when it is put right."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from scenarios.paper import story
from scenarios.paper.accounting import energy_kwh
from scenarios.paper.case_study import Case, original_files
from scenarios.paper.checks import Check
from scenarios.paper.duel import accounting_duel, policy_table
from scenarios.paper.experiments import Experiment, consequences
from simulators.quantities.saturation import label_text
from simulators.report import page

POWER = {
    "published_w": ("published W", "{:.1f}"),
    "own_w": ("ours W", "{:.1f}"),
    "physics_w": ("bytes and FLOP W", "{:.1f}"),
    "today_w": ("today's kernels W", "{:.1f}"),
    "published_mean_batch": ("published batch", "{:.2f}"),
    "own_mean_batch": ("our batch", "{:.2f}"),
    "published_makespan_s": ("published s", "{:,.0f}"),
    "own_makespan_s": ("ours s", "{:,.0f}"),
    "today_makespan_s": ("today's kernels s", "{:,.0f}"),
    "saturation": ("saturation", "{}"),
}
ENERGY = {
    "published_kwh": ("published kWh", "{:.4g}"),
    "wrong_kwh": ("ours, published law and formula", "{:.4g}"),
    "published_corrected_kwh": ("published power x time", "{:.4g}"),
    "corrected_kwh": ("ours corrected", "{:.4g}"),
    "physics_kwh": ("ours, bytes and FLOP", "{:.4g}"),
}
KEYS = {
    "cap": ("cap", "{:.0f}"),
    "rate_per_s": ("req/s", "{:g}"),
    "tp": ("TP", "{:.0f}"),
    "pp": ("PP", "{:.0f}"),
    "model": ("model", "{}"),
    "setting": ("setting", "{}"),
    "gpus": ("GPUs", "{:.0f}"),
    "prefill_to_decode": ("prompt : output", "{:g}"),
    "total_tokens": ("tokens", "{:.0f}"),
}
WAYS = {
    "rate_per_s": ("req/s", "{:g}"),
    "published_w": ("published W", "{:.1f}"),
    "over_time_w": ("over time", "{:.1f}"),
    "over_iterations_w": ("plain mean over iterations", "{:.1f}"),
    "gaps_at_next_row_w": ("gaps at the next row's power", "{:.1f}"),
}


def _table(frame: pd.DataFrame, columns: Mapping[str, tuple[str, str]]) -> str:
    """A frame as a table: the columns named, in their order, where there is a value in them."""
    shown = [c for c in columns if c in frame and frame[c].notna().any()]
    rows = [
        ["-" if pd.isna(row[c]) else columns[c][1].format(row[c]) for c in shown]
        for _, row in frame.iterrows()
    ]
    kinds = ["" if frame[c].dtype == object else "number" for c in shown]
    return page.table([columns[c][0] for c in shown], rows, kinds)


def _cards(done: Mapping[str, Experiment], cases: Mapping[str, Case]) -> str:
    cards = []
    if "rate" in done:
        row = done["rate"].table.iloc[0]
        true_kwh = energy_kwh(row["published_w"], row["published_makespan_s"], 1)
        cards.append(
            page.card(
                f"Energy at {row['rate_per_s']:g} req/s",
                f"{row['corrected_kwh']:.2f} kWh",
                f"published {row['published_kwh']:.2f} kWh; its own power times its own time is {true_kwh:.2f} kWh",
            )
        )
    if cases:
        before, after = cases["published"], cases["corrected"]
        cards.append(
            page.card(
                "Load carried by PV and battery",
                f"{before.account.matched_ratio:.1%}",
                f"where {before.account.offset_ratio:.1%} offset is published",
            )
        )
        watts = after.frame["facility_mw"].mean() * 1e6
        cards.append(
            page.card(
                "Power of the case study",
                f"{watts:.0f} W",
                f"over time; {before.frame['facility_mw'].mean() * 1e6:.0f} W as published, over iterations",
            )
        )
        policies = policy_table(dict(cases)).set_index("policy")
        solar = policies.loc[cases["policy-solar"].title]
        cards.append(
            page.card(
                "Waiting for the sun saves",
                f"{-solar['change_percent']:.0f} % of the carbon",
                f"same work; requests are held {solar['held_mean_h']:.0f} h on average",
            )
        )
    return f'<div class="cards">{"".join(cards)}</div>'


def _checks(checks: list[Check]) -> str:
    rows = [[c.what, c.target, c.found, "yes" if c.kept else "no"] for c in checks]
    return page.section(
        "How close the same assumptions come",
        page.text(story.SAME),
        page.table(["what", "target", "found", "kept"], rows),
    )


def _experiment(experiment: Experiment, picture: Path) -> str:
    table = experiment.table.copy()
    if "model" in table:
        table["model"] = table["model"].str.split("/").str[-1]
    if "saturation" in table:
        table["saturation"] = table["saturation"].map(label_text)
    keys = {name: KEYS[name] for name in experiment.keys}
    parts = [
        page.text(experiment.setting, "note"),
        page.picture(picture, experiment.title),
        "<h3>Power and time</h3>",
        _table(table, keys | POWER),
        "<h3>Energy at the meter, kWh</h3>",
        _table(table, keys | ENERGY),
        page.text(story.NOTES[experiment.name], "note"),
    ]
    if "iteration_times" in table:
        sources = table.drop_duplicates("model")
        columns = {"model": KEYS["model"], "iteration_times": ("iteration times from", "{}")}
        parts += ["<h3>Whose iteration times</h3>", _table(sources, columns)]
    if "averaging" in experiment.extra:
        parts += [
            "<h3>Which average the published power is</h3>",
            page.text(story.AVERAGES, "note"),
            _table(experiment.extra["averaging"], WAYS),
        ]
    return page.section(experiment.title, *parts)


CASE_COLUMNS = {
    "run": ("run", "{}"),
    "watts": ("mean W", "{:.0f}"),
    "load": ("load kWh", "{:.2f}"),
    "pv": ("PV kWh", "{:.2f}"),
    "imported": ("import kWh", "{:.2f}"),
    "exported": ("export kWh", "{:.2f}"),
    "gross": ("gross kg", "{:.2f}"),
    "operational": ("imports kg", "{:.2f}"),
    "offset": ("offset", "{:.1%}"),
    "matched": ("matched", "{:.1%}"),
}


def case_table(cases: Mapping[str, Case]) -> pd.DataFrame:
    """Published figures and the three runs of the case study, one row each."""
    rows = []
    if original_files():
        rows.append(
            {
                "run": "published (read off its figure)",
                "watts": 236.0,
                "load": 5.89,
                "pv": 4.14,
                "imported": 2.91,
                "exported": 1.11,
                "gross": 2.47,
                "offset": 0.692,
            }
        )
    for name in ("published", "corrected", "physics"):
        case = cases[name]
        rows.append(
            {
                "run": f"ours, {case.title}",
                "watts": case.frame["facility_mw"].mean() * 1e6,
                "load": case.kwh("facility_mw"),
                "pv": case.kwh("pv_mw"),
                "imported": case.kwh("import_mw"),
                "exported": case.kwh("export_mw"),
                "gross": case.account.gross_kg,
                "operational": case.account.operational_kg,
                "offset": case.account.offset_ratio,
                "matched": case.account.matched_ratio,
            }
        )
    return pd.DataFrame(rows)


def _case(cases: dict[str, Case], pictures: Mapping[str, Path]) -> list[str]:
    policy_columns = {
        "policy": ("policy", "{}"),
        "completed": ("requests", "{:,.0f}"),
        "held_mean_h": ("held h", "{:.1f}"),
        "load_kwh": ("load kWh", "{:.2f}"),
        "import_kwh": ("import kWh", "{:.2f}"),
        "export_kwh": ("export kWh", "{:.2f}"),
        "carbon_kg": ("imports kg", "{:.2f}"),
        "change_percent": ("change %", "{:+.1f}"),
        "offset_ratio": ("offset", "{:.1%}"),
        "matched_ratio": ("matched", "{:.1%}"),
    }
    source = story.ORIGINAL if original_files() else story.BUNDLED
    duel_columns = {
        "question": ("question", "{}"),
        "as_published": ("as published", "{}"),
        "put_right": ("put right", "{}"),
        "what_follows": ("what follows", "{}"),
    }
    return [
        page.section(
            "Case study: 24.9 hours of Llama-2-7B on one A100",
            page.text(f"{story.CASE} {source}", "note"),
            _table(case_table(cases), CASE_COLUMNS),
            page.picture(pictures["match"], "Load, PV, import and export of the case study"),
            page.text(story.BATTERY, "note") if original_files() else "",
        ),
        page.section(
            "The policies the paper announces",
            page.text(story.POLICIES, "note") if original_files() else "",
            page.picture(pictures["policies"], "Load and PV under three policies"),
            _table(policy_table(cases), policy_columns),
        ),
        page.section("Accounting duel", _table(accounting_duel(cases), duel_columns)),
    ]


def write_report(
    path: Path,
    done: dict[str, Experiment],
    cases: dict[str, Case],
    pictures: Mapping[str, Path],
    checks: list[Check],
    quick: bool,
) -> Path:
    """Write the page; `pictures` by experiment, and ``match`` and ``policies`` of the case study."""
    sections = [_cards(done, cases)]
    if quick:
        sections.append(page.section("A quick run", page.text(story.QUICK)))
    if checks:
        sections.append(_checks(checks))
    changes = consequences(done)
    if len(changes):
        columns = {name: (name, "{}") for name in changes.columns}
        words = page.text(story.CHANGES, "note") if {"batch", "parallelism"} <= set(done) else ""
        sections.append(page.section("What the corrected energy changes", words, _table(changes, columns)))
    sections += [_experiment(experiment, pictures[name]) for name, experiment in done.items()]
    if cases:
        sections += _case(cases, pictures)
    faults = page.table(["fault of the published computation", "what it does"], story.FAULTS)
    sections.append(page.section("Faults, and where they show", faults))
    sections.append(page.section("Where iteration times come from", page.text(story.TIMES)))
    path.write_text(page.page(story.TITLE, story.LEAD, sections, {}), encoding="utf-8")
    return path
