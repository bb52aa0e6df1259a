"""What a search leaves: a row for every deployment, the front as table and figure, and a study for each point of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from scenarios import catalogue
from scenarios.new_study import toml_value
from scenarios.search_entry import Entry
from scenarios.search_figures import OBJECTIVES
from scenarios.search_rounds import Search
from scenarios.study import Study
from simulators.inference.catalogue import model
from simulators.report.canvas import TARGET, WIDTH_IN, heading, style
from simulators.report.labels import COLOURS, RunMeta, number, seconds

FIGURES = (
    "j_per_output_token", "cost_per_million_tokens", "g_per_1k_tokens", "ttft_s", "tpot_s", "tokens_per_s_per_gpu",
    "meter_j_per_output_token", "gpu_cost_per_million_tokens", "energy_cost_per_million_tokens",
    "operational_g_per_1k_tokens", "embodied_g_per_1k_tokens", "tokens_per_s", "batch", "utilisation", "requests",
    "rejected", "saturation",
)  # fmt: skip
"""Columns of the table, of each stage that has them."""
STAGES = ("estimate", "run", "full")
COMPARED = ("j_per_output_token", "cost_per_million_tokens", "g_per_1k_tokens", "ttft_s", "tpot_s")
"""Figures whose stages are printed side by side."""
LISTED = 12
"""Points of the front on the terminal."""


def status(entry: Entry) -> str:
    """How far a deployment came: confirmed, run, estimated or impossible."""
    if entry.full is not None:
        return "confirmed"
    if entry.run is not None:
        return "run"
    return "estimated" if entry.estimate is not None else ("impossible" if entry.why else "not run")


def table(search: Search, studies: Mapping[str, str]) -> pd.DataFrame:
    """A row for every deployment: what it is, how far it came and why no further, and its figures by stage.

    Parameters
    ----------
    search
        All of it.
    studies
        Names of the files of studies, by the label of the deployment.
    """
    rows = []
    for entry in search.entries:
        candidate = entry.candidate
        row: dict[str, Any] = {
            "deployment": candidate.label, **candidate.values, "gpus": candidate.serving.gpus,
            "status": status(entry), "why": entry.why, "on_front": entry.on_front,
            "study": studies.get(candidate.label, ""),
        }  # fmt: skip
        for stage in STAGES:
            figures = getattr(entry, stage) or {}
            row |= {f"{stage}_{name}": figures.get(name) for name in FIGURES}
        rows.append(row)
    found = pd.DataFrame(rows)
    return found.dropna(axis="columns", how="all")


def front_rows(search: Search, best: Entry | None) -> list[Entry]:
    """The front, its best point first, the others by the objective."""
    column = OBJECTIVES[search.setting.objective][0]
    return sorted(
        (entry for entry in search.entries if entry.on_front or entry is best),
        key=lambda entry: (entry is not best, entry.found[column]),
    )


def front_table(search: Search, best: Entry | None, studies: Mapping[str, str]) -> pd.DataFrame:
    """The front with the figures of its full runs."""
    return pd.DataFrame(
        [
            {"deployment": entry.candidate.label, "best": entry is best, "gpus": entry.candidate.serving.gpus}
            | {name: entry.found.get(name) for name in FIGURES if name in entry.found}
            | {"study": studies[entry.candidate.label]}
            for entry in front_rows(search, best)
        ]
    )


def terminal(search: Search, best: Entry) -> str:
    """The front as aligned text."""
    entries = front_rows(search, best)
    p = f"p{search.setting.targets.percentile:g}"
    money = search.setting.around.money
    header = (
        "deployment", "GPUs", "J/token", f"{money}/million", "gCO2/1k", f"TTFT {p}", f"TPOT {p}", "tokens/s/GPU",
    )  # fmt: skip
    names = (
        "j_per_output_token", "cost_per_million_tokens", "g_per_1k_tokens", "ttft_s", "tpot_s", "tokens_per_s_per_gpu",
    )  # fmt: skip
    rows = [
        (
            entry.candidate.label,
            str(entry.candidate.serving.gpus),
            *(_cell(name, entry.found.get(name)) for name in names),
        )
        for entry in entries[:LISTED]
    ]
    text = catalogue.table([header, *rows])
    return text + (f"\n... and {len(entries) - LISTED} more (pareto.csv)" if len(entries) > LISTED else "")


def _cell(name: str, value: float | None) -> str:
    if value is None:
        return "-"
    return seconds(value) if name in ("ttft_s", "tpot_s") else f"{value:.4g}"


def side_by_side(best: Entry, money: str) -> list[dict[str, Any]]:
    """The best deployment's figures by stage, and how far the estimate and the short run are off the full one."""
    rows = []
    for name in COMPARED:
        values = {stage: (getattr(best, stage) or {}).get(name) for stage in STAGES}
        off = {f"{stage}_error": _off(values[stage], values["full"]) for stage in ("estimate", "run")}
        unit = {"j_per_output_token": "J", "cost_per_million_tokens": money, "g_per_1k_tokens": "gCO2eq"}
        rows.append({"figure": name, "unit": unit.get(name, "s"), **values, **off})
    return rows


def _off(value: float | None, full: float | None) -> float | None:
    return None if value is None or not full else value / full - 1.0


def stages_text(best: Entry, money: str) -> str:
    """`side_by_side` as aligned text."""

    def off(value: float | None) -> str:
        return "-" if value is None or value != value else f"{value:+.1%}"

    def told(value: float | None) -> str:
        return "-" if value is None or value != value else f"{value:.4g}"

    return catalogue.table(
        [
            ("figure", "unit", "estimate", "run", "full", "estimate/full", "run/full"),
            *(
                (
                    row["figure"], row["unit"], told(row["estimate"]), told(row["run"]), told(row["full"]),
                    off(row["estimate_error"]), off(row["run_error"]),
                )
                for row in side_by_side(best, money)
            ),
        ]
    )  # fmt: skip


def answer(search: Search, best: Entry | None) -> str:
    """What was looked for and found, in a few sentences."""
    ran = sum(entry.run is not None for entry in search.entries)
    kept = sum(entry.run is not None and not entry.why for entry in search.entries)
    targets = search.setting.targets
    promise = (
        f"TTFT p{targets.percentile:g} up to {seconds(targets.ttft_s)} and TPOT p{targets.percentile:g} up to "
        f"{seconds(targets.tpot_s)} at {search.setting.study.site.traffic.rate:g} requests/s"
    )
    if search.setting.study.site.traffic.trace is not None:
        promise = promise.rpartition(" at ")[0]
    words = f"{len(search.entries)} deployments, {ran} of them run: {kept} keep {promise}."
    if best is not None:
        column, unit = OBJECTIVES[search.setting.objective]
        unit = f"{search.setting.around.money} {unit}" if search.setting.objective == "cost" else unit
        words += f" Best: {best.candidate.label}, {number(best.found[column])} {unit} (full run)."
        chosen, own = (
            best.candidate.serving.precision,
            model(search.setting.study.site.serving.model).precision,
        )
        if chosen is not None and chosen != own:
            words += f" The checkpoint is {own}: in {chosen} it answers differently."
    elif (closest := search.closest) is not None:
        words += f" Closest: {closest.candidate.label}: {closest.why.removeprefix('full run: ')}."
    else:
        reasons = pd.Series([entry.why for entry in search.entries])
        words += f" None could be run; most often: {reasons.value_counts().index[0]}."
    if search.left:
        words += f" {search.left} more were not ruled out and not run (--most-runs)."
    return words


# --- studies --------------------------------------------------------------------------------------------------------


def study_toml(study: Study, about: str) -> str:
    """A study of one site as a TOML file that gives the same study back, without what has its default.

    Raises
    ------
    ValueError
        If it does not.

    Examples
    --------
    >>> study = Study().changed(days=0.5, gpu="a100", tp=1)
    >>> Study.from_toml(study_toml(study, "an example")) == study
    True
    """
    default = Study()
    lines = [f"# {about}", "[run]", *_lines(study.run.model_dump(mode="json"), default.run.model_dump())]
    lines += ["", "[[sites]]", f"name = {toml_value(study.site.name)}"]
    plain, usual = study.site.model_dump(mode="json"), default.site.model_dump(mode="json")
    tables = {name: value for name, value in plain.items() if isinstance(value, dict) and name != "where"}
    lines += _lines({name: value for name, value in plain.items() if name not in tables}, usual)
    for name, values in tables.items():
        # what is served is told in full: its defaults are those of a site
        own = _lines(values, {} if name == "serving" else usual[name])
        if own:
            lines += ["", f"[sites.{name}]", *own]
    text = "\n".join(lines) + "\n"
    if Study.from_toml(text) != study:
        raise ValueError(f"the study of {about} is not the same when it is read again")
    return text


def _lines(values: Mapping[str, Any], usual: Mapping[str, Any]) -> list[str]:
    return [
        f"{name} = {toml_value(value)}"
        for name, value in values.items()
        if value is not None and value != usual.get(name, ...) and name != "name"
    ]


def file_names(entries: Sequence[Entry]) -> dict[str, str]:
    """Where the studies of some deployments stand in the folder, by their labels.

    A number, for the order, and the label in letters that any file system takes.
    """
    labels = [entry.candidate.label for entry in entries]
    plain = ["".join(c if c.isalnum() or c in ".-" else "_" for c in label) for label in labels]
    return {
        label: f"pareto/{at:02d}_{name}.toml"
        for at, (label, name) in enumerate(zip(labels, plain, strict=True), 1)
    }


# --- figure ---------------------------------------------------------------------------------------------------------

PANELS = (
    ("tpot_s", "j_per_output_token"),
    ("tpot_s", "cost_per_million_tokens"),
    ("tokens_per_s_per_gpu", "j_per_output_token"),
    ("tokens_per_s_per_gpu", "cost_per_million_tokens"),
)
MARKS = ("blue", "pv", "battery", "export", "wind", "carbon")
"""Colours of GPUs, one after the other."""


def figure(search: Search, best: Entry | None) -> Figure:
    """Energy and cost of every deployment that was run, over its speed and over what a GPU gives; the front full."""
    ran = [entry for entry in search.entries if entry.run and entry.run["tpot_s"] is not None]
    p = f"p{search.setting.targets.percentile:g}"
    words = {
        "tpot_s": f"Time per output token, {p} (ms)",
        "j_per_output_token": "J per output token",
        "cost_per_million_tokens": f"{search.setting.around.money} per million output tokens",
        "tokens_per_s_per_gpu": "Output tokens/s per GPU",
    }
    gpus = list(dict.fromkeys(entry.candidate.serving.gpu for entry in search.entries))
    colours = {name: COLOURS[MARKS[at % len(MARKS)]] for at, name in enumerate(gpus)}
    with mpl.rc_context(style()):
        made = Figure(figsize=(WIDTH_IN, 8.4))
        site = search.setting.study.site
        trace = site.traffic.trace
        requests = f"{site.traffic.rate:g} requests/s" if trace is None else trace.name
        meta = RunMeta(f"{site.serving.model.split('/')[-1]}, {requests}", 60)
        star = "" if best is None else f"; star: the best, {best.candidate.label}"
        detail = f"full: keeps the targets; ringed: on the front{star}"
        heading(made, "Deployments and their front", meta, detail)
        for axes, (across, up) in zip(made.subplots(2, 2).ravel(), PANELS, strict=True):
            for entry in ran:
                _mark(axes, entry, across, up, colours, entry is best)
            axes.set(xlabel=words[across], ylabel=words[up], yscale="log")
            axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
            axes.yaxis.set_minor_formatter(lambda value, _: f"{value:g}" if f"{value:.0e}"[0] in "25" else "")
            if across == "tpot_s":
                axes.set_xscale("log")
                axes.axvline(1e3 * search.setting.targets.tpot_s, **TARGET)
                axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
                axes.xaxis.set_minor_formatter(
                    lambda value, _: f"{value:g}" if f"{value:.0e}"[0] in "25" else ""
                )
        handles = [
            mpl.lines.Line2D([], [], marker="o", linestyle="none", color=colour, label=name)
            for name, colour in colours.items()
        ]
        made.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return made


def _mark(axes: Any, entry: Entry, across: str, up: str, colours: Mapping[str, str], best: bool) -> None:
    figures = entry.found if entry.on_front or best else entry.run
    assert figures is not None
    x, y = figures.get(across), figures.get(up)
    if x is None or y is None:
        return
    colour = colours[entry.candidate.serving.gpu]
    place = (1e3 * x if across == "tpot_s" else x, y)
    shown = {
        "markersize": 5.0,
        "color": colour,
        "markerfacecolor": "none" if entry.why else colour,
        "alpha": 0.55,
    }
    if entry.on_front:
        shown |= {"markersize": 7.0, "markeredgecolor": COLOURS["ink"], "markeredgewidth": 1.3, "alpha": 1.0}
    axes.plot(*place, "o", zorder=3 if entry.on_front else 2, **shown)
    if best:
        axes.plot(*place, "*", markersize=17, color=COLOURS["ink"], zorder=4)
        axes.plot(*place, "*", markersize=9, color=colour, zorder=5)
