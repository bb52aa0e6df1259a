"""An event on one page: power, voltage, who waits, and dips against what is ridden through."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from simulators.grid.plot_side import ALARM, INK, MUTED, PALE
from simulators.grid.studies.event import Event
from simulators.grid.studies.ride_through import Curve, Dip
from simulators.grid.studies.year_figure import STYLE

Array = NDArray[np.float64]

_BLUE = "#3E7CB1"


def event_figure(
    event: Event,
    title: str,
    queued: tuple[Array, Array],
    own_mw: Array,
    dips: Sequence[Dip] = (),
    curve: Curve | None = None,
) -> Figure:
    """The page; save it with ``savefig``, no pyplot state is touched.

    Parameters
    ----------
    event
        The run.
    title
        Heads the page.
    queued
        Requests that wait, and would undisturbed; each of shape (seconds,).
    own_mw
        What the site's own supply gives; shape (seconds,).
    dips, curve
        Voltage dips and what is ridden through, where there are such.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(11.0, 9.0), facecolor="white")
        columns = 2 if dips and curve is not None else 1
        grid = figure.add_gridspec(
            3, columns, hspace=0.42, wspace=0.2, left=0.075, right=0.965, top=0.89, bottom=0.065
        )
        t = np.arange(len(event.p_mw)) / 60.0
        _power(figure.add_subplot(grid[0, :]), event, t, own_mw)
        _voltage(figure.add_subplot(grid[1, :]), event, t)
        _queue(figure.add_subplot(grid[2, 0]), event, t, queued)
        if dips and curve is not None:
            _dips(figure.add_subplot(grid[2, 1]), dips, curve)
        figure.text(0.075, 0.955, title, fontsize=13, weight="bold", color=INK)
        figure.text(0.075, 0.928, words(event), fontsize=9, color=MUTED)
    return figure


def words(event: Event) -> str:
    """The event in a line."""
    told = event.effects
    rebound = "no rebound" if told.rebound_at_s is None else f"rebound {told.rebound_mw:.3g} MW"
    recovered = (
        "not recovered in this run"
        if told.recovered_s is None
        else f"recovered to 90 % after {told.recovered_s} s"
    )
    return (
        f"steepest fall {told.drop_mw_per_s:.3g} MW/s, rise {told.rise_mw_per_s:.3g} MW/s; {rebound}; {recovered}; "
        f"{told.missed_mwh:.3g} MWh missed, {told.later_mwh:.3g} MWh more"
    )


def _at(axes: Any, event: Event) -> None:
    axes.axvline(event.at_s / 60.0, color=PALE, lw=1.0, zorder=0)
    axes.margins(x=0)


def _power(axes: Any, event: Event, t: Array, own_mw: Array) -> None:
    axes.plot(t, event.undisturbed_mw, color=PALE, lw=1.2, label="undisturbed")
    if own_mw.any():
        axes.fill_between(t, 0.0, own_mw, color="#F2C14E", alpha=0.5, lw=0, label="own supply")
    axes.plot(t, event.p_mw, color=INK, lw=1.1, label="from the network")
    axes.set_ylim(bottom=0.0)
    axes.legend(frameon=False, fontsize=8, ncols=3, loc="lower right")
    axes.set_title("Power of the site, MW (means of a second)", loc="left", fontsize=9.5)
    _at(axes, event)


def _voltage(axes: Any, event: Event, t: Array) -> None:
    axes.fill_between(t, event.vm_min_pu, event.vm_max_pu, color="#DCEBF7", lw=0, label="all buses")
    axes.plot(t, event.vm_pu, color=_BLUE, lw=1.3, label=f"bus {event.network.sites[0].bus}")
    limits = event.network.limits
    for value in {float(limits.vm_min_pu.max()), float(limits.vm_max_pu.min())}:
        axes.axhline(value, color=ALARM, lw=0.9, ls="--")
    axes.legend(frameon=False, fontsize=8, ncols=2, loc="lower right")
    axes.set_title(
        "Voltage, p.u. (dashed: the narrowest limits of a bus; dips themselves are shorter than a second)",
        loc="left",
        fontsize=9.5,
    )
    _at(axes, event)


def _queue(axes: Any, event: Event, t: Array, queued: tuple[Array, Array]) -> None:
    axes.plot(t, queued[1], color=PALE, lw=1.2, label="undisturbed")
    axes.plot(t, queued[0], color=INK, lw=1.1, label="requests that wait")
    axes.set_ylim(bottom=0.0)
    axes.legend(frameon=False, fontsize=8)
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.set_title("Requests of the site that wait", loc="left", fontsize=9.5)
    axes.set_xlabel("min", fontsize=8)
    _at(axes, event)


def _dips(axes: Any, dips: Sequence[Dip], curve: Curve) -> None:
    """Depth over duration, and the edge of what is ridden through."""
    least, most = 1e-3, 1e2
    for low in (True, False):
        side = (curve.voltage_pu <= 1.0) == low
        order = np.argsort(curve.voltage_pu[side] if low else -curve.voltage_pu[side])
        voltage, until = curve.voltage_pu[side][order], np.minimum(curve.duration_s[side][order], most)
        if len(voltage):
            axes.step([least, *until], [voltage[0], *voltage], where="pre", color=_BLUE, lw=1.6)
    for borne, colour, label in ((True, _BLUE, "ridden through"), (False, ALARM, "not")):
        shown = [dip for dip in dips if curve.rides_through(dip) == borne]
        if shown:
            axes.plot(
                [max(dip.duration_s, least) for dip in shown],
                [dip.voltage_pu for dip in shown],
                *("o",),
                color=colour,
                ms=6,
                label=f"{len(shown)} {label}",
            )
    axes.set_xscale("log")
    axes.set_xlim(least, most)
    axes.set_ylim(0.0, 1.5)
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    axes.set_title(f"Dips, p.u. over s, and {curve.name}", loc="left", fontsize=9.5)
    axes.set_xlabel("s", fontsize=8)
