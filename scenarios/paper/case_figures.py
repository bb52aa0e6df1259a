"""Pictures of the case study: the site's flows, the five minutes that explain the two ratios, the policies; PNG."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from scenarios.paper.case_study import STEP_S, Case
from scenarios.paper.figures import finish
from simulators.report.canvas import style
from simulators.report.labels import COLOURS

_BIN = 300 // STEP_S


def _five_minutes(case: Case) -> pd.DataFrame:
    """Five-minute means in W over hours from the start."""
    columns = ["facility_mw", "pv_mw", "import_mw", "export_mw", "charge_mw", "discharge_mw"]
    values = case.frame[columns].to_numpy(float) * 1e6
    rows = len(values) // _BIN
    means = values[: rows * _BIN].reshape(rows, _BIN, -1).mean(axis=1)
    frame = pd.DataFrame(means, columns=["load", "pv", "import", "export", "charge", "discharge"])
    frame["hour"] = (np.arange(rows) + 0.5) * 300 / 3600
    frame["ci"] = (
        case.frame["carbon_intensity_g_per_kwh"].to_numpy()[: rows * _BIN].reshape(rows, _BIN).mean(axis=1)
    )
    return frame


def _clock(axes: Any, hours: float, first_hour: float = 17 + 35 / 60) -> None:
    ticks = [h - first_hour for h in range(18, int(first_hour + hours) + 1, 6)]
    axes.set_xticks(ticks, [f"{round(t + first_hour) % 24:02d}:00" for t in ticks])
    axes.set_xlim(0, hours)


def match(cases: dict[str, Case], path: Path) -> Path:
    """Load and own supply in five-minute means: what is matched, imported and exported."""
    figure = Figure(figsize=(10, 6.6))
    first = cases["published"].account
    pair = figure.subplots(2, 1, sharex=True)
    for axes, name in zip(pair, ("published", "corrected"), strict=True):
        case = cases[name]
        rows = _five_minutes(case)
        hour = rows["hour"]
        own = np.minimum(rows["load"], rows["pv"] + rows["discharge"])
        axes.fill_between(
            hour, 0, own, step="mid", color=COLOURS["battery"], lw=0, label="carried by PV and battery"
        )
        axes.fill_between(hour, own, rows["load"], step="mid", color=COLOURS["grid"], lw=0, label="imported")
        axes.fill_between(
            hour, rows["load"], rows["load"] + rows["export"], step="mid", color=COLOURS["export"], lw=0,
            label="exported: counts as offset, serves nobody here",
        )  # fmt: skip
        axes.step(hour, rows["pv"], where="mid", color=COLOURS["pv"], lw=1.2, label="PV")
        axes.step(hour, rows["load"], where="mid", color=COLOURS["load"], lw=1.4, label="load")
        axes.set(ylabel="W", ylim=(0, None))
        axes.set_title(
            f"{case.title}: offset {case.account.offset_ratio:.1%}, matched {case.account.matched_ratio:.1%}"
        )
        _clock(axes, float(hour.iloc[-1]))
    pair[0].legend(ncols=3, loc="upper left", fontsize=8.5)
    pair[1].set_xlabel("local time")
    return finish(
        figure,
        f"Why {first.offset_ratio:.0%} offset is {first.matched_ratio:.0%} covered",
        path,
        "Llama-2-7B on one A100, 600 W PV, 100 Wh battery; five-minute means",
    )


def policies(cases: dict[str, Case], path: Path) -> Path:
    """Load and PV under the three policies."""
    figure = Figure(figsize=(10, 7.2))
    names = ["policy-none", "policy-carbon", "policy-solar"]
    for axes, name in zip(figure.subplots(3, 1, sharex=True), names, strict=True):
        case = cases[name]
        rows = _five_minutes(case)
        hour = rows["hour"]
        own = np.minimum(rows["load"], rows["pv"] + rows["discharge"])
        axes.fill_between(
            hour, 0, own, step="mid", color=COLOURS["battery"], lw=0, label="carried by PV and battery"
        )
        axes.fill_between(hour, own, rows["load"], step="mid", color=COLOURS["grid"], lw=0, label="imported")
        axes.step(hour, rows["pv"], where="mid", color=COLOURS["pv"], lw=1.2, label="PV")
        axes.step(hour, rows["load"], where="mid", color=COLOURS["load"], lw=1.2, label="load")
        axes.set(ylabel="W", ylim=(0, 680))
        twin = axes.twinx()
        twin.plot(hour, rows["ci"], color=COLOURS["carbon"], lw=1, ls=":", label="carbon intensity")
        twin.set(ylim=(0, 600), ylabel="g/kWh")
        twin.grid(visible=False)
        axes.set_title(
            f"{case.title}: {case.account.operational_kg:.2f} kg imported, matched {case.account.matched_ratio:.1%}"
        )
        _clock(axes, float(hour.iloc[-1]))
        if name == names[0]:
            handles = [*axes.get_legend_handles_labels()[0], *twin.get_legend_handles_labels()[0]]
            axes.legend(handles=handles, ncols=5, loc="upper left", fontsize=8.5)
    return finish(
        figure,
        "The policies the paper announces",
        path,
        "The same requests, each of which may wait until the second morning; published law, mean over time",
    )


def draw_case(cases: dict[str, Case], folder: Path) -> dict[str, Path]:
    """Both pictures by name."""
    with matplotlib.rc_context(style()):
        return {
            "match": match(cases, folder / "case-match.png"),
            "policies": policies(cases, folder / "case-policies.png"),
        }
