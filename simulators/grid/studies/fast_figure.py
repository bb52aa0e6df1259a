"""A fast load on one page: power and voltage, what a person sees of it, its spectrum, changes along the network."""

from __future__ import annotations

from textwrap import fill
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy import signal

from simulators.grid.plot_side import ALARM, INK, MUTED
from simulators.grid.studies.fast import Fast
from simulators.grid.studies.fast_limits import verdicts
from simulators.grid.studies.year_figure import STYLE

Array = NDArray[np.float64]

_BLUE = "#3E7CB1"
_SHOWN_S = 10.0
_POINTS = 400


def fast_figure(found: Fast) -> Figure:
    """The page; save it with ``savefig``, no pyplot state is touched."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(11.0, 9.0), facecolor="white")
        grid = figure.add_gridspec(
            3, 2, hspace=0.5, wspace=0.22, left=0.075, right=0.93, top=0.885, bottom=0.065
        )
        _close_up(figure.add_subplot(grid[0, :]), found)
        _whole(figure.add_subplot(grid[1, 0]), found)
        _seen(figure.add_subplot(grid[1, 1]), found)
        _spectrum(figure.add_subplot(grid[2, 0]), found)
        _buses(figure.add_subplot(grid[2, 1]), found)
        site = found.network.sites[-1]
        title = f"Fast load at bus {site.bus} of {found.network.name}: {found.power.note}"
        figure.text(0.075, 0.955, title, fontsize=13, weight="bold", color=INK)
        figure.text(0.075, 0.925, _words(found), fontsize=9, color=MUTED)
    return figure


def _words(found: Fast) -> str:
    told = []
    for verdict in verdicts(found):
        if verdict.value is not None:
            limit = "" if verdict.limit is None else f" (limit {verdict.limit:g})"
            unit = "" if verdict.unit == "1" else f" {verdict.unit}"
            told.append(f"{verdict.name}: {round(verdict.value, 6):.3g}{unit}{limit}")
    return "; ".join([*told, *([found.why_not.partition(":")[0]] if found.why_not else [])])


def _close_up(axes: Any, found: Fast) -> None:
    """The ten seconds around the largest change, power and voltage."""
    power, step_s = found.power.p_mw, found.power.step_s
    size = min(len(power), max(2, round(_SHOWN_S / step_s)))
    middle = int(np.argmax(np.abs(np.diff(found.vm_pu)))) if len(power) > 1 else 0
    first = int(np.clip(middle - size // 3, 0, len(power) - size))
    part = slice(first, first + size)
    t = np.arange(part.start, part.stop) * step_s
    axes.plot(t, found.vm_pu[part], color=_BLUE, lw=1.3, drawstyle="steps-post")
    axes.set_ylabel("voltage, p.u.", color=_BLUE)
    beside = axes.twinx()
    beside.plot(t, power[part], color=INK, lw=1.0, alpha=0.75, drawstyle="steps-post")
    beside.set_ylabel("power, MW")
    axes.set_title(
        f"The {size * step_s:.4g} s around the largest change (blue: voltage, black: power)",
        loc="left",
        fontsize=9.5,
    )
    axes.set_xlabel("s", fontsize=8)
    axes.margins(x=0)


def _whole(axes: Any, found: Fast) -> None:
    """The whole series of voltages as a band."""
    t, low, high = _band(found.vm_pu, found.power.step_s)
    axes.fill_between(t, low, high, color=_BLUE, alpha=0.55, lw=0.5, step="post")
    axes.set_title("Voltage, p.u., all of it", loc="left", fontsize=9.5)
    axes.set_xlabel("s", fontsize=8)
    axes.margins(x=0)


def _seen(axes: Any, found: Fast) -> None:
    """What a person sees of it."""
    axes.set_title("Flicker sensation P_inst, 1 (dashed: half of people see it)", loc="left", fontsize=9.5)
    if found.p_inst is None:
        axes.text(0.0, 0.9, fill(found.why_not, 60), transform=axes.transAxes, color=ALARM, va="top")
        axes.set_axis_off()
        return
    t, low, high = _band(found.p_inst, found.p_inst_step_s)
    axes.fill_between(t, low, high, color=ALARM, alpha=0.45, lw=0.5, step="post")
    axes.axhline(1.0, color=ALARM, lw=0.8, ls="--")
    axes.set_ylim(bottom=0.0)
    axes.set_xlabel("s", fontsize=8)
    axes.margins(x=0)


def _band(values: Array, step_s: float) -> tuple[Array, Array, Array]:
    """Time, least and highest value of so many samples that a page shows them."""
    size = max(1, -(-len(values) // _POINTS))
    starts = np.arange(0, len(values), size)
    times = np.asarray(starts * step_s, dtype=np.float64)
    return times, np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts)


def _spectrum(axes: Any, found: Fast) -> None:
    """At which frequencies the power fluctuates."""
    power, rate_hz = found.power.p_mw, 1.0 / found.power.step_s
    axes.set_title("Fluctuation of the power, MW r.m.s., by frequency", loc="left", fontsize=9.5)
    if len(power) > 8 and np.ptp(power) > 0.0:
        hertz, squared = signal.periodogram(
            power, rate_hz, window="hann", scaling="spectrum", detrend="constant"
        )
        axes.loglog(hertz[1:], np.sqrt(squared[1:]), color=INK, lw=0.9)
        axes.set_ylim(bottom=max(1e-5 * float(np.sqrt(squared.max())), 1e-12))
    axes.axvspan(0.5, 25.0, color=ALARM, alpha=0.08, lw=0)
    axes.set_xlabel("Hz (shaded: what flickers)", fontsize=8)


def _buses(axes: Any, found: Fast) -> None:
    """Change of the voltage at every bus, the site's marked."""
    percent = found.bus_percent
    known = np.flatnonzero(np.isfinite(percent))
    order = known[np.argsort(-percent[known], kind="stable")]
    axes.plot(np.arange(1, len(order) + 1), percent[order], color=INK, lw=1.3, drawstyle="steps-mid")
    site = found.network.sites[-1].bus
    at = int(np.flatnonzero(found.network.buses[order] == site)[0])
    axes.plot([at + 1], [percent[order][at]], "o", color=ALARM, ms=6)
    axes.annotate(
        f"bus {site}",
        (at + 1, percent[order][at]),
        (7, -3),
        textcoords="offset points",
        color=ALARM,
        fontsize=8.5,
    )
    axes.set_title("Highest less lowest voltage of every bus, %", loc="left", fontsize=9.5)
    axes.set_xlabel("buses, ranked", fontsize=8)
    axes.set_ylim(bottom=0.0)
    axes.margins(x=0.02)
