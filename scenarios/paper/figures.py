"""The paper's figures with our lines in them; PNG."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from scenarios.paper.experiments import Experiment
from simulators.report.canvas import style
from simulators.report.labels import COLOURS, SHARE_SCALE

PUBLISHED = {
    "color": COLOURS["carbon"],
    "marker": "o",
    "markerfacecolor": "none",
    "markersize": 8,
    "ls": "none",
}
OWN = {"color": COLOURS["blue"], "marker": "o", "markersize": 3.5}
WRONG = {"color": COLOURS["carbon"], "ls": "--"}
CORRECTED = {"color": COLOURS["blue"], "marker": "o", "markersize": 3.5}
PHYSICS = {"color": COLOURS["battery"], "marker": "s", "markersize": 3.5}


def finish(figure: Figure, title: str, path: Path, below: str) -> Path:
    """Title and subtitle above the axes, then the file."""
    height = figure.get_figheight()
    figure.tight_layout(rect=(0, 0, 1, 1 - 0.62 / height))
    figure.text(0.012, 1 - 0.12 / height, title, va="top", fontsize=14, fontweight="bold")
    figure.text(0.012, 1 - 0.40 / height, below, fontsize=9.5, color=COLOURS["muted"], va="top")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    return path


def _power(axes: Any, table: pd.DataFrame, at: Any) -> None:
    axes.plot(at, table["published_w"], **PUBLISHED, label="published")
    axes.plot(at, table["own_w"], **OWN, label="ours, published law")
    axes.plot(at, table["physics_w"], **PHYSICS, label="ours, energy of bytes and FLOP")
    axes.set(ylabel="average power, W per GPU", ylim=(0, None))
    axes.legend()


def _energy(axes: Any, table: pd.DataFrame, at: Any) -> None:
    axes.plot(at, table["published_kwh"], **PUBLISHED, label="published")
    axes.plot(at, table["wrong_kwh"], **WRONG, label="ours, published formula")
    axes.plot(at, table["corrected_kwh"], **CORRECTED, label="ours, power times time")
    axes.plot(at, table["physics_kwh"], **PHYSICS, label="ours, energy of bytes and FLOP")
    axes.set(ylabel="energy, kWh at the meter", yscale="log")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(
        FuncFormatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "235" else "")
    )
    axes.legend()


def _pair(experiment: Experiment, key: str, label: str, path: Path) -> Path:
    figure = Figure(figsize=(10, 4.4))
    left, right = figure.subplots(1, 2)
    table = experiment.table
    at = np.arange(len(table))
    _power(left, table, at)
    _energy(right, table, at)
    for axes in (left, right):
        axes.set_xticks(at, [f"{value:g}" for value in table[key]])
        axes.set_xlabel(label)
    return finish(figure, experiment.title, path, "Llama-3-8B on one A100, published rings against our lines")


def batch(experiment: Experiment, path: Path) -> Path:
    """Power and energy over the batch cap."""
    return _pair(experiment, "cap", "largest batch", path)


def rate(experiment: Experiment, path: Path) -> Path:
    """Power and energy over the request rate."""
    return _pair(experiment, "rate_per_s", "requests per second (5: any rate above saturation)", path)


def parallelism(experiment: Experiment, path: Path) -> Path:
    """Heat maps of power and energy over tensor and pipeline parallelism."""
    figure = Figure(figsize=(10, 6.9))
    table = experiment.table
    panels = [
        ("published_w", "published power, W per GPU", "{:.0f}"),
        ("published_kwh", "published energy, kWh", "{:.3f}"),
        ("published_corrected_kwh", "published power x time, kWh", "{:.3f}"),
        ("own_w", "our power, W per GPU", "{:.0f}"),
        ("wrong_kwh", "ours, published formula, kWh", "{:.3f}"),
        ("corrected_kwh", "ours, power x time, kWh", "{:.3f}"),
    ]
    colours = matplotlib.colors.LinearSegmentedColormap.from_list("share", SHARE_SCALE)
    for axes, (column, title, form) in zip(figure.subplots(2, 3).ravel(), panels, strict=True):
        grid = (
            table.pivot(index="tp", columns="pp", values=column).reindex([1, 2, 4]).reindex(columns=[1, 2, 4])
        )
        values = grid.to_numpy(float)
        axes.imshow(values, cmap=colours, aspect="auto")
        middle = (np.nanmax(values) + np.nanmin(values)) / 2
        best = np.nanargmin(values) if "kwh" in column else -1
        for index, value in enumerate(values.ravel()):
            if np.isfinite(value):
                row, col = divmod(index, 3)
                axes.text(
                    col, row, form.format(value), ha="center", va="center", fontsize=10,
                    color="white" if value > middle else COLOURS["ink"],
                    fontweight="bold" if index == best else "normal",
                )  # fmt: skip
                if index == best:
                    axes.add_patch(
                        matplotlib.patches.Rectangle(
                            (col - 0.47, row - 0.46), 0.94, 0.92, fill=False, ec=COLOURS["carbon"], lw=2
                        )
                    )
        axes.set_xticks(range(3), ["PP1", "PP2", "PP4"])
        axes.set_yticks(range(3), ["TP1", "TP2", "TP4"])
        axes.grid(visible=False)
        axes.set_title(title)
    return finish(
        figure,
        experiment.title,
        path,
        "CodeLlama-34B on A100 in NVLink pairs; framed: least energy. Upper row published, lower row ours",
    )


def requests(experiment: Experiment, path: Path) -> Path:
    """Energy over the number of requests, and power per model."""
    figure = Figure(figsize=(10, 5.2))
    left, right = figure.subplots(1, 2)
    curve = experiment.extra["by_count"]
    models = list(dict.fromkeys(curve["model"]))
    colours = matplotlib.colormaps["tab10"]
    for number, name in enumerate(models):
        rows = curve[(curve["model"] == name) & (curve["setting"] == "default")]
        left.plot(
            rows["requests"],
            rows["corrected_kwh"],
            marker="o",
            ms=3,
            color=colours(number),
            label=name.split("/")[-1],
        )
    left.set(xscale="log", yscale="log", xlabel="requests", ylabel="energy, kWh at the meter")
    left.set_title("Energy, default lengths")
    left.legend(fontsize=8)
    table = experiment.table
    at = np.arange(len(models))
    for setting, shift, colour in (("starved", -0.2, COLOURS["wind"]), ("default", 0.2, COLOURS["blue"])):
        rows = table[table["setting"] == setting].set_index("model").loc[models]
        right.barh(at + shift, rows["own_w"], 0.36, color=colour, label=f"ours, {setting}")
        right.plot(rows["published_w"], at + shift, **PUBLISHED, label="published" if shift > 0 else None)
    right.set_yticks(at, [name.split("/")[-1].replace("-Instruct-hf", "") for name in models])
    right.invert_yaxis()
    right.set(xlabel="average power, W per GPU")
    right.grid(axis="x")
    right.set_title("Power, rings published")
    right.legend(fontsize=8, loc="lower right")
    return finish(figure, experiment.title, path, "512 KV blocks, 6.45 req/s; the 70B models on four GPUs")


def lengths(experiment: Experiment, path: Path) -> Path:
    """Power over the length for each ratio of prompt to output."""
    figure = Figure(figsize=(10, 4.2))
    table = experiment.table
    for axes, (ratio, rows) in zip(
        figure.subplots(1, 3, sharey=True), table.groupby("prefill_to_decode"), strict=True
    ):
        at = np.arange(len(rows))
        _power(axes, rows, at)
        axes.set_xticks(at, rows["total_tokens"])
        axes.set(xlabel="tokens per request")
        axes.set_title(f"prompt : output = {float(str(ratio)):g}")
        if axes.get_legend() and float(str(ratio)) < 50:
            axes.get_legend().remove()
    return finish(figure, experiment.title, path, "Llama-3-8B on one A100, 1,024 requests of one length")


DRAW: dict[str, Callable[[Experiment, Path], Path]] = {
    "requests": requests,
    "lengths": lengths,
    "batch": batch,
    "rate": rate,
    "parallelism": parallelism,
}


def draw(experiment: Experiment, folder: Path) -> Path:
    """The figure of an experiment, `folder`/<name>.png."""
    with matplotlib.rc_context(style()):
        return DRAW[experiment.name](experiment, folder / f"{experiment.name}.png")
