"""Finished results side by side: the figures a reader asks for, with their ranges and their change to the first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from scenarios.finished import Finished
from scenarios.ranges import Range
from scenarios.result import Figures
from simulators.quantities.saturation import LABELS, label_text
from simulators.report import page
from simulators.report.canvas import WIDTH_IN, heading, style
from simulators.report.labels import COLOURS, RunMeta, energy_text, number, seconds, share
from simulators.report.uncertainty import FIGURES, spread

COLOUR_ORDER = ("blue", "carbon", "battery", "pv", "export", "grid", "wind", "ink")


class Told(NamedTuple):
    """A figure: its words, its form, how it is had, and its name in `Uncertainty` if it has a range."""

    words: str
    form: Callable[[Any], str]
    value: Callable[[Figures], float | None]
    ranged: str = ""


def _experienced(latency: str, level: str) -> Callable[[Figures], float | None]:
    def value(figures: Figures) -> float | None:
        if figures.inference is None:
            return None
        found: float | None = getattr(getattr(figures.inference.classes.interactive, latency), level)
        return found

    return value


def _served(name: str) -> Callable[[Figures], float | None]:
    return lambda figures: None if figures.inference is None else getattr(figures.inference, name)


def _ranged(name: str, value: Callable[[Figures], float | None]) -> Told:
    words, form = FIGURES[name]
    return Told(words, form, value, name)


def _yes(kept: float) -> str:
    return "yes" if kept else "no"


def _kept(figures: Figures) -> float | None:
    if figures.inference is None:
        return None
    limits = {"ttft_s": figures.inference.slo.ttft_s, "tpot_s": figures.inference.slo.tpot_s}
    known = [(_experienced(name, "p99")(figures), limit) for name, limit in limits.items()]
    return float(all(value is None or value <= limit for value, limit in known))


def _saturation(figures: Figures) -> float | None:
    if figures.inference is None or figures.inference.saturation is None:
        return None
    return float(LABELS.index(figures.inference.saturation.label))


def _label(place: float) -> str:
    return label_text(LABELS[int(place)])


def _missed(figures: Figures) -> float | None:
    if figures.inference is None:
        return None
    classes = figures.inference.classes
    return float(classes.interactive.deadlines_missed + classes.deferrable.deadlines_missed)


TOLD: tuple[Told, ...] = (
    _ranged("facility_mwh", lambda f: f.energy_mwh.facility),
    Told("Grid import", energy_text, lambda f: f.energy_mwh.grid_import),
    Told("Load matched by own supply", share, lambda f: f.renewable.matched_ratio),
    _ranged("total_kg", lambda f: f.carbon_kg.total),
    _ranged("cost", lambda f: f.cost.total if f.cost else None),
    _ranged(
        "j_per_output_token_gpu",
        lambda f: f.energy_j_per_output_token.gpu if f.energy_j_per_output_token else None,
    ),
    _ranged(
        "j_per_output_token_meter",
        lambda f: f.energy_j_per_output_token.meter if f.energy_j_per_output_token else None,
    ),
    _ranged("sci_g_per_request", lambda f: f.sci.g_per_request if f.sci else None),
    Told("TTFT p50, interactive", seconds, _experienced("ttft_s", "p50")),
    Told("TTFT p99, interactive", seconds, _experienced("ttft_s", "p99")),
    Told("TPOT p50, interactive", seconds, _experienced("tpot_s", "p50")),
    Told("TPOT p99, interactive", seconds, _experienced("tpot_s", "p99")),
    Told("Targets kept, p99 of TTFT and TPOT", _yes, _kept),
    Told("Saturation (0 stable, 1 backlogged, 2 overloaded)", _label, _saturation),
    Told("Goodput, requests/s", number, _served("goodput_per_s")),
    Told("Requests completed", number, _served("requests_completed")),
    Told("Deadlines missed", number, _missed),
)
"""What is lined up."""


def lined_up(results: Sequence[Finished]) -> pd.DataFrame:
    """One row per figure and result: value, low and high end, and the change against the first result.

    A change's own range (`change_low`, `change_high`, relative) has the inputs that both figures hang on moved together
    where both name the same as what drives them most; else one's low end stands against the other's high end.
    """
    rows = [
        _row(told, result.name, result.figures, results[0].figures) for told in TOLD for result in results
    ]
    names = ("figure", "result", "unit", "value", "low", "high", "change", "change_low", "change_high")
    return pd.DataFrame(rows).reindex(columns=list(names))


def _row(told: Told, name: str, figures: Figures, base: Figures) -> dict[str, Any]:
    """A figure of one result, and its change against the base's."""
    units = [each.cost.unit if told.ranged == "cost" and each.cost else "" for each in (figures, base)]
    row: dict[str, Any] = {
        "figure": told.words,
        "result": name,
        "unit": units[0],
        "value": told.value(figures),
    }
    span, of_base = (
        getattr(each.uncertainty, told.ranged) if told.ranged else None for each in (figures, base)
    )
    if span:
        row |= {"low": span.low, "high": span.high}
    first = told.value(base)
    if (
        figures is base
        or told.form in (_yes, _label)
        or units[0] != units[1]
        or not first
        or row["value"] is None
    ):
        return row
    row["change"] = row["value"] / first - 1.0
    return row | (_change_range(of_base, span) if span and of_base else {})


def _change_range(base: Range, other: Range) -> dict[str, float]:
    together = {driver.name for driver in base.drivers} == {driver.name for driver in other.drivers}
    below, above = (base.low, base.high) if together else (base.high, base.low)
    if below <= 0 or above <= 0:
        return {}
    ends = sorted((other.low / below - 1.0, other.value / base.value - 1.0, other.high / above - 1.0))
    return {"change_low": ends[0], "change_high": ends[-1]}


def cells(table: pd.DataFrame) -> list[list[str]]:
    """The table as text: a row per figure; figures that no result has are left out."""
    rows = []
    for told in TOLD:
        own = table[table["figure"] == told.words].to_dict("records")
        if all(pd.isna(row["value"]) for row in own):
            continue
        rows.append([told.words, *(_cell(row, told.form) for row in own)])
    return rows


def _cell(row: Mapping[Any, Any], form: Callable[[Any], str]) -> str:
    if pd.isna(row["value"]):
        return "–"
    value = float(row["value"])
    words = form(int(value) if value.is_integer() and form is number else value)
    if not pd.isna(row["low"]):
        words = spread({"low": row["low"], "value": value, "high": row["high"]}, form)
    words = f"{words} {row['unit']}".rstrip()
    if not pd.isna(row["change"]):
        words += f", {row['change']:+.1%}"
        if not pd.isna(row["change_low"]):
            words += f" ({row['change_low']:+.1%} to {row['change_high']:+.1%})"
    return words


def terminal(table: pd.DataFrame, names: Sequence[str]) -> str:
    """The table for the terminal, one line per figure and result where they would not fit beside one another."""
    rows = [["", *names], *cells(table)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    if sum(widths) <= 150:
        return "\n".join(
            "  ".join(f"{text:<{width}}" for text, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        )
    width = max(len(name) for name in names)
    lines = []
    for row in rows[1:]:
        lines += [row[0], *(f"  {name:<{width}}  {text}" for name, text in zip(names, row[1:], strict=True))]
    return "\n".join(lines)


def figure(table: pd.DataFrame, names: Sequence[str]) -> Figure:
    """Change of every figure against the first result, with its range where it has one; one row of bars per figure."""
    others = names[1:]
    shown = [told.words for told in TOLD if table.loc[table["figure"] == told.words, "change"].notna().any()]
    with mpl.rc_context(style()):
        made = Figure(figsize=(WIDTH_IN, 1.7 + len(shown) * (0.16 + 0.22 * len(others))))
        heading(
            made, f"Against {names[0]}", RunMeta("", 60), "whiskers: where the inputs' ranges move the change"
        )
        axes = made.subplots()
        height = 0.8 / max(1, len(others))
        for place, name in enumerate(others):
            own = table[table["result"] == name].set_index("figure").reindex(shown)
            change = 100 * own["change"].to_numpy(dtype=np.float64)
            at = np.arange(len(shown)) + (place - (len(others) - 1) / 2) * height
            colour = COLOURS[COLOUR_ORDER[place % len(COLOUR_ORDER)]]
            axes.barh(at, np.nan_to_num(change), height=0.9 * height, color=colour, label=name)
            ends = [100 * own[end].to_numpy(dtype=np.float64) for end in ("change_low", "change_high")]
            axes.hlines(at, *ends, color=COLOURS["ink"], linewidth=1.2)
            for y, value, low, high in zip(at, change, *ends, strict=True):
                if np.isfinite(value):
                    end = np.nanmax([value, high, 0.0]) if value >= 0 else np.nanmin([value, low, 0.0])
                    axes.annotate(
                        f"{value:+.1f} %", (end, y), (4 if value >= 0 else -4, 0), textcoords="offset points",
                        va="center", ha="left" if value >= 0 else "right", fontsize=8.5,
                    )  # fmt: skip
        axes.set_yticks(np.arange(len(shown)), shown)
        axes.invert_yaxis()
        axes.axvline(0.0, color=COLOURS["ink"], linewidth=0.8)
        axes.grid(visible=True, axis="x")
        axes.grid(visible=False, axis="y")
        axes.margins(x=0.16)
        axes.set_xlabel("Change (%)")
        if len(others) > 1:
            axes.legend(loc="upper left", bbox_to_anchor=(1.005, 1.0), borderaxespad=0, handlelength=1.1)
    return made


def write_page(
    path: Path,
    table: pd.DataFrame,
    results: Sequence[Finished],
    differences: Mapping[str, Sequence[str]],
    picture: Path,
    notes: Sequence[str],
) -> None:
    """The page: what differs, the table, the picture."""
    names = [result.name for result in results]
    how = (
        "Brackets hold where a figure's own inputs can move it. Behind a change they hold where the same inputs, moved "
        "in both results at once, put the change; where results hang on other inputs, the ends stand against each "
        "other, which is as wide as it can be."
    )
    rows = [[name, *values] for name, values in differences.items()]
    sections = [
        page.section("Figures", page.text(how, "note"), page.table(("", *names), cells(table))),
        page.section("Change", page.picture(picture, f"Change of every figure against {names[0]}")),
        page.section("What differs", page.table(("Option", *names), rows) if rows else page.text("Nothing.")),
        page.section(
            "Where they lie", page.table(("Result", "Folder"), [[r.name, str(r.folder)] for r in results])
        ),
        *(page.section("Read this first", page.text(note)) for note in notes),
    ]
    path.write_text(page.page("Results side by side", ", ".join(names), sections, {}), encoding="utf-8")
