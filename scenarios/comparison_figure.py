"""The comparison of policies as a table for the terminal and as a figure."""

from __future__ import annotations

from math import isnan
from textwrap import wrap
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from scenarios.catalogue import table
from simulators.quantities.saturation import label_text
from simulators.report.canvas import WIDTH_IN, heading
from simulators.report.labels import COLOURS, RunMeta

HEADER = (
    "policy", "kg", "saved", "+-", "energy", "carbon", "of best", "forecast", "kWh", "cost", "ttft p99", "tpot p99",
    "slo", "saturation", "missed", "delay p95", "wakes", "cycles", "matched",
)  # fmt: skip


def terminal(means: pd.DataFrame) -> str:
    """The means of every policy as aligned text."""
    rows: list[tuple[str, ...]] = [HEADER]
    for _, row in means.iterrows():
        rows.append(
            (
                str(row["policy"]),
                _text(row["kg"], ".1f"),
                _text(row["saved"], ".1%"),
                _text(row["saved_half_width"], ".1%"),
                _text(row["energy_part"], ".1%"),
                _text(row["carbon_part"], ".1%"),
                _text(row["best_share"], ".0%"),
                _text(row["forecast_cost"], "+.1%"),
                _text(row["facility_kwh"], ".0f"),
                _text(row["cost"], ".2f"),
                _text(row["interactive_ttft_p99_s"], ".2f", " s"),
                _text(1e3 * row["interactive_tpot_p99_s"], ".1f", " ms"),
                "kept" if row["slo_kept"] else "broken",
                label_text(row["saturation"]),
                _text(row["deadlines_missed"], ".0f"),
                _text(row["delay_p95_s"] / 3600, ".1f", " h"),
                _text(row["wake_ups"], ".0f"),
                _text(row["battery_cycles"], ".1f"),
                _text(row["matched_ratio"], ".0%"),
            )
        )
    return table(rows)


def _text(value: float, form: str, unit: str = "") -> str:
    return "-" if isnan(value) else f"{value:{form}}{unit}"


def figure(means: pd.DataFrame, title: str, detail: str) -> Figure:
    """Carbon saved, split into energy and carbon part, with its interval; latencies over their targets beside it."""
    rows = means[::-1].reset_index(drop=True)
    made = Figure(figsize=(WIDTH_IN, 2.2 + 0.36 * len(rows)))
    heading(made, "What a policy saves against none, on the same requests", RunMeta(title, 60), detail)
    saved, latency = made.subplots(1, 2, sharey=True, width_ratios=[2.2, 1.0])
    _savings(saved, rows)
    _latency(latency, rows)
    return made


def _savings(axes: Any, rows: pd.DataFrame) -> None:
    at = np.arange(len(rows))
    energy, carbon = 100 * rows["energy_part"], 100 * rows["carbon_part"]
    axes.barh(at, energy, color=COLOURS["battery"], height=0.62, label="less energy")
    for sign, colour, label in (
        (1, COLOURS["pv"], "cleaner hours"),
        (-1, COLOURS["carbon"], "dirtier hours (less)"),
    ):
        part = carbon.where(sign * carbon > 0.05, 0.0)
        if sign > 0 or part.any():
            axes.barh(at, part, left=energy, color=colour, height=0.62, label=label)
    half = 100 * rows["saved_half_width"].fillna(0.0)
    over = "starts" if rows["starts"].max() > 1 else "seeds"
    axes.errorbar(
        100 * rows["saved"], at, xerr=half, fmt="o", markersize=4, color=COLOURS["ink"], capsize=3, linewidth=1.0,
        label=f"together, 95 % interval over {over}" if half.any() else "together",
    )  # fmt: skip
    ends = np.maximum(np.maximum(100 * rows["saved"] + half, energy), 0.0)
    for y, (share, broken, missed, end) in enumerate(
        zip(rows["saved"], ~rows["slo_kept"].astype(bool), rows["deadlines_missed"], ends, strict=True)
    ):
        note = ", targets broken" if broken else ""
        note += f", {missed:.0f} deadlines missed" if missed > 0 else ""
        axes.annotate(
            f"{100 * share:.1f} %{note}",
            (end, y),
            (8, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
        )
    axes.set_yticks(
        at, ["\n".join(wrap(name.replace(",", ", "), 30)) for name in rows["policy"]], fontsize=8.5
    )
    axes.axvline(0.0, color=COLOURS["ink"], linewidth=0.8)
    axes.grid(visible=True, axis="x")
    axes.grid(visible=False, axis="y")
    low = min(0.0, float((100 * rows["saved"] - half).min()))
    axes.set_xlim(1.1 * low, max(1.0, float(ends.max())) * 1.35)
    axes.set_xlabel("% of carbon (kgCO2eq) saved")
    _legend(axes)


def _latency(axes: Any, rows: pd.DataFrame) -> None:
    at = np.arange(len(rows))
    most = 1.0
    for name, marker, colour in (("ttft", "s", COLOURS["wind"]), ("tpot", "D", COLOURS["carbon"])):
        share = rows[f"interactive_{name}_p99_s"] / rows[f"slo_{name}_s"]
        axes.plot(share, at, marker, color=colour, markersize=5, label=f"{name.upper()} p99")
        most = max(most, float(share.max()))
    axes.axvline(1.0, color=COLOURS["ink"], linewidth=0.8, linestyle=(0, (4, 3)))
    if most > 5:
        axes.set_xscale("log")
    else:
        axes.set_xlim(0.0, 1.15 * most)
    axes.grid(visible=True, axis="x")
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("of the target, interactive requests")
    _legend(axes)


def _legend(axes: Any) -> None:
    """Below the axes, so that it covers no bar."""
    axes.legend(
        loc="upper center", bbox_to_anchor=(0.5, -0.55 / axes.figure.get_figheight() * 1.9), ncols=2, borderaxespad=0,
        handlelength=1.1, columnspacing=1.2,
    )  # fmt: skip
