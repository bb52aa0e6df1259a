"""The pictures of a run, as matplotlib figures: a frame of rows and a `RunMeta` in, a `Figure` out.

Times on the axes are local, powers are means over the plotted interval, which the title line names. A figure
whose data a run does not have (no battery, no requests, no network) is left out by `render_all`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from simulators.quantities.latencies import LatencyRecord
from simulators.report import series
from simulators.report.canvas import (
    MOST_POINTS,
    canvas,
    interval,
    legend_right,
    stack,
    style,
    thinned,
    time_axis,
)
from simulators.report.carbon_figures import carbon, renewable
from simulators.report.labels import COLOURS, RunMeta, label, power_unit
from simulators.report.latency_figures import latency

__all__ = ["battery", "carbon", "latency", "network", "power_balance", "render_all", "renewable", "traffic"]


def power_balance(frame: pd.DataFrame, meta: RunMeta) -> Figure:
    """Supply stacked up to the load; what leaves the site's load below zero."""
    flows, detail = thinned(series.power_flows(series.indexed(frame, meta)), meta)
    factor, unit = power_unit(float(flows.to_numpy().max()))
    flows = flows * factor
    figure, (axes,) = canvas(4.6, [1], "Power balance", meta, detail)
    stack(axes, flows, series.SUPPLY, 1.0)
    stack(axes, flows, series.SURPLUS, -1.0)
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
    top.set_ylabel(f"{label('soc')} (%)")
    factor, unit = power_unit(float(thin[["charge_mw", "discharge_mw"]].to_numpy().max()))
    for name, sign, colour in (("discharge_mw", 1.0, "battery"), ("charge_mw", -1.0, "charge")):
        stack(low, thin * factor, {name: label(name)}, sign, {name: COLOURS[colour]})
    low.axhline(0.0, color=COLOURS["ink"], linewidth=0.8)
    low.set_ylabel(f"Power ({unit})")
    legend_right(low)
    time_axis(low, thin.index, meta)
    return figure


def traffic(frame: pd.DataFrame, meta: RunMeta) -> Figure:
    """Requests coming and going, and those in the system."""
    local = series.indexed(frame, meta)
    thin, detail = thinned(local[[name for name in series.TRAFFIC if name in local]], meta)
    figure, (top, low) = canvas(5.4, [1, 1.1], "Requests", meta, detail)
    rates = thin / meta.step_s
    stack(top, rates, {"arrived": label("arrived")}, 1.0, {"arrived": "#C3CBD4"})
    for name, colour in (("completed", COLOURS["blue"]), ("rejected", COLOURS["carbon"])):
        if name in rates and rates[name].any():
            top.step(rates.index, rates[name], where="post", color=colour, label=label(name), linewidth=1.2)
    top.set_ylim(bottom=0)
    top.set_ylabel("Requests per second")
    legend_right(top)
    colours = {"running": COLOURS["blue"], "waiting": COLOURS["pv"], "held": COLOURS["export"]}
    stack(low, thin, {name: text for name, text in series.IN_SYSTEM.items() if name in thin}, 1.0, colours)
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
            label=label("hold"),
        )
    low.set_ylim(bottom=0)
    low.set_ylabel("Requests in the system")
    legend_right(low)
    time_axis(low, thin.index, meta)
    return figure


def network(frame: pd.DataFrame, meta: RunMeta) -> Figure:
    """Voltages of the network and at the site's bus, and the highest loading of lines and transformers.

    Limits are broken by single intervals, so the range within each plotted interval is shown, not its mean.
    """
    local = series.network(series.indexed(frame, meta))
    width_s = series.bin_s(len(local), meta.step_s, MOST_POINTS)
    spans = local.resample(pd.Timedelta(seconds=width_s), origin="start")
    least, most = series.closed(spans.min(), width_s), series.closed(spans.max(), width_s)
    figure, (top, low) = canvas(5.2, [1, 1.1], "Network", meta, f"range within {interval(width_s)} intervals")
    for axes, name, colour, text in (
        (top, "vm_max_pu", COLOURS["grid"], label("vm_max_pu")),
        *([(top, "vm_pu", COLOURS["battery"], label("vm_pu"))] if "vm_pu" in least else []),
        (top, "vm_min_pu", COLOURS["blue"], label("vm_min_pu")),
        (low, "line_loading_max_percent", COLOURS["carbon"], label("line_loading_max_percent")),
        (low, "trafo_loading_max_percent", COLOURS["ink"], label("trafo_loading_max_percent")),
    ):
        axes.fill_between(
            least.index, least[name], most[name], step="post", color=colour, linewidth=0.8, label=text
        )
    top.set_ylabel("Voltage (p.u.)")
    legend_right(top)
    low.axhline(100.0, color=COLOURS["muted"], linewidth=1.0, linestyle=(0, (4, 3)))
    low.set_ylim(bottom=0)
    low.set_ylabel("Loading (%)")
    legend_right(low)
    time_axis(low, least.index, meta)
    return figure


def render_all(
    timeseries: pd.DataFrame, latencies: LatencyRecord | None, meta: RunMeta, folder: Path | str
) -> list[Path]:
    """Draw every figure the run has data for as PNG into `folder`; returns the paths.

    Parameters
    ----------
    timeseries
        The rows of one site, or of all as one (`series.of_site`, `series.all_sites`).
    latencies
        Of the finished requests; without any the latency figure is left out.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    kinds = series.carbon_kinds(timeseries)
    figures: dict[str, Callable[[], Figure]] = {"power_balance": lambda: power_balance(timeseries, meta)}
    if series.has_battery(timeseries):
        figures["battery"] = lambda: battery(timeseries, meta)
    if "average" in kinds:
        figures["carbon"] = lambda: carbon(timeseries, meta)
    if "marginal" in kinds:
        figures["carbon_marginal"] = lambda: carbon(timeseries, meta, "marginal")
    if latencies is not None and latencies.sketch("e2e_s").count:
        figures["latency"] = lambda: latency(latencies, timeseries, meta)
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
