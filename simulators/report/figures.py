"""The pictures of a run, as matplotlib figures: a frame of rows and a `RunMeta` in, a `Figure` out.

Times on the axes are local, powers are means over the plotted interval, which the title line names. A figure
whose data a run does not have (no battery, no requests, no network) is left out by `render_all`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from simulators.recorder.summary import latencies
from simulators.report import series
from simulators.report.canvas import (
    MOST_POINTS,
    WIDTH_IN,
    canvas,
    distribution,
    heading,
    interval,
    legend_right,
    stack,
    style,
    thinned,
    time_axis,
)
from simulators.report.labels import COLOURS, SHARE_SCALE, RunMeta, mass_unit, power_unit


def power_balance(frame: pd.DataFrame, meta: RunMeta) -> Figure:
    """Supply stacked up to the load; what leaves the site's load below zero."""
    flows, detail = thinned(series.power_flows(series.indexed(frame, meta)), meta)
    factor, unit = power_unit(float(flows.to_numpy().max()))
    flows = flows * factor
    figure, (axes,) = canvas(4.6, [1], "Power balance", meta, detail)
    stack(
        axes, flows, {"pv": "PV", "wind": "Wind", "battery": "Battery discharge", "grid": "Grid import"}, 1.0
    )
    stack(axes, flows, {"charge": "Battery charge", "export": "Grid export", "curtailed": "Curtailed"}, -1.0)
    axes.step(flows.index, flows["load"], where="post", color=COLOURS["load"], linewidth=1.2, label="Load")
    axes.axhline(0.0, color=COLOURS["ink"], linewidth=0.8)
    axes.set_ylabel(f"Power ({unit})")
    legend_right(axes)
    time_axis(axes, flows.index, meta)
    return figure


def battery(frame: pd.DataFrame, meta: RunMeta) -> Figure:
    """State of charge, and the power in and out that explains it."""
    local = series.indexed(frame, meta)
    thin, detail = thinned(local[["soc", "charge_mw", "discharge_mw"]], meta)
    figure, (top, low) = canvas(4.8, [1.4, 1], "Battery", meta, detail)
    top.fill_between(thin.index, thin["soc"] * 100, color=COLOURS["battery"], alpha=0.18, linewidth=0)
    top.plot(thin.index, thin["soc"] * 100, color=COLOURS["battery"])
    top.set_ylim(0, 100)
    top.set_yticks([0, 25, 50, 75, 100])
    top.set_ylabel("State of charge (%)")
    factor, unit = power_unit(float(thin[["charge_mw", "discharge_mw"]].to_numpy().max()))
    stack(low, thin * factor, {"discharge_mw": "Discharge"}, 1.0, {"discharge_mw": COLOURS["battery"]})
    stack(low, thin * factor, {"charge_mw": "Charge"}, -1.0, {"charge_mw": COLOURS["charge"]})
    low.axhline(0.0, color=COLOURS["ink"], linewidth=0.8)
    low.set_ylabel(f"Power ({unit})")
    legend_right(low)
    time_axis(low, thin.index, meta)
    return figure


def carbon(frame: pd.DataFrame, meta: RunMeta) -> Figure:
    """Carbon intensity of the grid, the emission rate, and the sum with and without own generation."""
    flows = series.carbon_flows(series.indexed(frame, meta), meta.step_s)
    totals = flows[["total", "total_without"]].iloc[-1]
    thin, detail = thinned(flows, meta)
    figure, (top, middle, low) = canvas(7.2, [1, 1, 1.2], "Operational carbon", meta, detail)
    top.step(thin.index, thin["intensity"], where="post", color=COLOURS["blue"])
    top.set_ylim(bottom=0)
    top.set_ylabel("gCO₂eq/kWh")
    top.set_title("Carbon intensity of the grid")
    factor, unit = mass_unit(float(thin["rate_without"].max()))
    middle.step(thin.index, thin["rate_without"] * factor, where="post", color=COLOURS["grid"], linewidth=1.1)
    middle.fill_between(
        thin.index, thin["rate"] * factor, step="post", color=COLOURS["carbon"], alpha=0.3, linewidth=0
    )
    middle.step(thin.index, thin["rate"] * factor, where="post", color=COLOURS["carbon"])
    middle.set_ylim(bottom=0)
    middle.set_ylabel(f"{unit} CO₂eq per hour")
    middle.set_title("Emission rate")
    factor, unit = mass_unit(float(totals.max()))
    for name, colour, text in (
        ("total_without", COLOURS["grid"], "everything from the grid"),
        ("total", COLOURS["carbon"], "this run"),
    ):
        low.plot(thin.index, thin[name] * factor, color=colour, label=text, linewidth=1.8)
        low.annotate(
            f"{totals[name] * factor:,.3g} {unit}\n{text}",
            (thin.index[-1], thin[name].iloc[-1] * factor),
            (8, 0),
            textcoords="offset points",
            color=COLOURS["muted"] if name == "total_without" else colour,
            fontsize=9.5,
            va="center",
            annotation_clip=False,
        )
    low.set_ylim(bottom=0)
    low.set_ylabel(f"{unit} CO₂eq")
    low.set_title("Sum since the start")
    time_axis(low, thin.index, meta)
    return figure


def latency(requests: pd.DataFrame, frame: pd.DataFrame, meta: RunMeta) -> Figure:
    """How long requests took: distributions above, percentiles over time below."""
    spread = latencies(requests)
    start = frame["time"].iloc[0].tz_convert(meta.zone)
    figure = Figure(figsize=(WIDTH_IN, 6.4))
    heading(figure, "Latency", meta, f"{len(requests):,} finished requests")
    grid = figure.add_gridspec(2, 3, height_ratios=[1, 1.05])
    names = {
        "ttft_s": "Time to first token",
        "tpot_s": "Time per output token",
        "e2e_s": "Release to completion",
    }
    for place, (name, title) in enumerate(names.items()):
        distribution(figure.add_subplot(grid[0, place]), spread[name].dropna().to_numpy(), title, place == 0)
    axes = figure.add_subplot(grid[1, :])
    width_s = 3600 if len(frame) * meta.step_s <= 14 * 86_400 else 86_400
    over_time = series.closed(
        series.over_time(spread["e2e_s"], requests["arrived_at"], start, width_s), width_s
    )
    for name, colour, weight in (
        ("p99", COLOURS["carbon"], 1.2),
        ("p95", COLOURS["pv"], 1.4),
        ("p50", COLOURS["blue"], 1.8),
    ):
        axes.step(over_time.index, over_time[name], where="post", color=colour, linewidth=weight, label=name)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("Seconds")
    each = "hour" if width_s == 3600 else "day"
    axes.set_title(f"Release to completion, by {each} of arrival")
    legend_right(axes)
    time_axis(axes, over_time.index, meta)
    return figure


def traffic(frame: pd.DataFrame, meta: RunMeta) -> Figure:
    """Requests coming and going, and those in the system."""
    local = series.indexed(frame, meta)
    wanted = [
        name
        for name in ("arrived", "completed", "rejected", "running", "waiting", "held", "hold")
        if name in local
    ]
    thin, detail = thinned(local[wanted], meta)
    figure, (top, low) = canvas(5.4, [1, 1.1], "Requests", meta, detail)
    rates = thin / meta.step_s
    stack(top, rates, {"arrived": "Arrived"}, 1.0, {"arrived": "#C3CBD4"})
    for name, colour, text in (
        ("completed", COLOURS["blue"], "Completed"),
        ("rejected", COLOURS["carbon"], "Rejected"),
    ):
        if name in rates and rates[name].any():
            top.step(rates.index, rates[name], where="post", color=colour, label=text, linewidth=1.2)
    top.set_ylim(bottom=0)
    top.set_ylabel("Requests per second")
    legend_right(top)
    in_system = {"running": "Running", "waiting": "Waiting", "held": "Held by policy"}
    colours = {"running": COLOURS["blue"], "waiting": COLOURS["pv"], "held": COLOURS["export"]}
    stack(low, thin, {name: text for name, text in in_system.items() if name in thin}, 1.0, colours)
    if "hold" in thin and thin["hold"].any():
        low.fill_between(
            thin.index,
            0.0,
            1.0,
            where=(thin["hold"] > 0.5).to_numpy(),
            step="post",
            transform=low.get_xaxis_transform(),
            color=COLOURS["export"],
            alpha=0.12,
            linewidth=0,
            zorder=0,
            label="Policy holds",
        )
    low.set_ylim(bottom=0)
    low.set_ylabel("Requests in the system")
    legend_right(low)
    time_axis(low, thin.index, meta)
    return figure


def renewable(frame: pd.DataFrame, meta: RunMeta) -> Figure:
    """Share of the load covered by own supply, hour by hour, with its mean by day and by hour."""
    local = series.indexed(frame, meta)
    matrix = series.coverage(local)
    flows = series.power_flows(local)
    own = float(np.minimum(flows["pv"] + flows["wind"] + flows["battery"], flows["load"]).sum())
    overall = own / float(flows["load"].sum()) if flows["load"].any() else float("nan")
    figure = Figure(figsize=(WIDTH_IN, 5.2))
    heading(
        figure,
        "Load covered by own generation and battery",
        meta,
        f"{overall:.1%} of the energy used, whatever charged the battery",
    )
    grid = figure.add_gridspec(1, 2, width_ratios=[5, 1])
    axes = figure.add_subplot(grid[0, 0])
    scale = LinearSegmentedColormap.from_list("share", SHARE_SCALE)
    days = len(matrix.columns)
    image = axes.imshow(
        matrix.to_numpy() * 100,
        aspect="auto",
        cmap=scale,
        vmin=0,
        vmax=100,
        interpolation="nearest",
        extent=(-0.5, days - 0.5, 24, 0),
    )
    axes.grid(False)
    if days <= 31:  # thin gaps tell the days apart; in a longer run they would hide them
        for edge in range(1, days):
            axes.axvline(edge - 0.5, color="white", linewidth=1.5)
    every = max(1, int(np.ceil(days / 10)))
    places = range(0, days, every)
    form = "%a %d %b" if days <= 14 else "%d %b"
    axes.set_xticks(list(places), [f"{matrix.columns[place]:{form}}" for place in places])
    axes.set_yticks(range(0, 25, 3), [f"{hour:02d}:00" for hour in range(0, 25, 3)])
    axes.set_ylabel(f"Hour of day ({meta.timezone})")
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    side = figure.add_subplot(grid[0, 1], sharey=axes)
    by_hour = matrix.mean(axis=1) * 100
    side.barh(
        np.arange(24) + 0.5, by_hour.fillna(0.0), height=0.82, color=[scale(share / 100) for share in by_hour]
    )
    side.set_xlim(0, 100)
    side.set_xticks([0, 50, 100], ["0", "50", "100 %"])
    side.set_title("Mean by hour", fontsize=9.5, fontweight="normal")
    side.grid(axis="x")
    side.tick_params(axis="y", labelleft=False, length=0)
    bar = figure.colorbar(image, ax=axes, location="bottom", aspect=45, shrink=0.6, pad=0.02)
    bar.set_ticks([0, 25, 50, 75, 100], labels=["0 %", "25 %", "50 %", "75 %", "100 % of the hour's load"])
    bar.outline.set_visible(False)
    return figure


def network(frame: pd.DataFrame, meta: RunMeta) -> Figure:
    """Voltage at the site's bus and the highest loading of lines and transformers.

    Limits are broken by single intervals, so the range within each plotted interval is shown, not its mean.
    """
    local = series.indexed(frame, meta)[series.NETWORK_COLUMNS]
    width_s = series.bin_s(len(local), meta.step_s, MOST_POINTS)
    spans = local.resample(pd.Timedelta(seconds=width_s), origin="start")
    least, most = series.closed(spans.min(), width_s), series.closed(spans.max(), width_s)
    figure, (top, low) = canvas(5.2, [1, 1.1], "Network", meta, f"range within {interval(width_s)} intervals")
    for axes, name, colour, text in (
        (top, "vm_pu", COLOURS["blue"], None),
        (low, "line_loading_max_percent", COLOURS["carbon"], "Line"),
        (low, "trafo_loading_max_percent", COLOURS["ink"], "Transformer"),
    ):
        axes.fill_between(
            least.index, least[name], most[name], step="post", color=colour, linewidth=0.8, label=text
        )
    top.set_ylabel("Voltage (p.u.)")
    low.axhline(100.0, color=COLOURS["muted"], linewidth=1.0, linestyle=(0, (4, 3)))
    low.set_ylim(bottom=0)
    low.set_ylabel("Highest loading (%)")
    legend_right(low)
    time_axis(low, least.index, meta)
    return figure


def render_all(
    timeseries: pd.DataFrame, requests: pd.DataFrame | None, meta: RunMeta, folder: Path | str
) -> list[Path]:
    """Draw every figure the run has data for as PNG into `folder`; returns the paths."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    figures: dict[str, Callable[[], Figure]] = {"power_balance": lambda: power_balance(timeseries, meta)}
    if series.has_battery(timeseries):
        figures["battery"] = lambda: battery(timeseries, meta)
    if "carbon_intensity_g_per_kwh" in timeseries:
        figures["carbon"] = lambda: carbon(timeseries, meta)
    if requests is not None and len(requests):
        figures["latency"] = lambda: latency(requests, timeseries, meta)
    if "arrived" in timeseries:
        figures["traffic"] = lambda: traffic(timeseries, meta)
    if series.has_generation(timeseries):
        figures["renewable"] = lambda: renewable(timeseries, meta)
    if series.has_network(timeseries):
        figures["network_operation"] = lambda: network(timeseries, meta)
    paths = []
    with mpl.rc_context(style()):
        for name, draw in figures.items():
            path = folder / f"{name}.png"
            draw().savefig(path, metadata={"Software": None})  # no version: equal data, equal bytes
            paths.append(path)
    return paths
