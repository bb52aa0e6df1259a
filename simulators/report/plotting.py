"""What the interactive charts share: subplots over time, lines, piled-up areas, and their look."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from simulators.report import series
from simulators.report.canvas import interval
from simulators.report.labels import COLOURS, RunMeta

MOST_POINTS = 2100  # a week of 5-minute means: enough to zoom into an hour, small enough for a browser


class Look(NamedTuple):
    """How a line is drawn: its shape (``hv`` in steps, ``linear`` straight), its weight in pixels, the area below."""

    shape: str = "hv"
    weight: float = 1.6
    filled: bool = False


STEPS = Look()


class Plotter:
    """Draws the rows of one run over time, from means over one interval.

    Times are local. A browser's axis knows no change to summer time, so the offset from UTC is the one at the
    start of the run throughout; `clock` says which.
    """

    def __init__(self, timeseries: pd.DataFrame, meta: RunMeta) -> None:
        self.meta = meta
        self.local = series.indexed(timeseries, meta)
        self.width_s = series.bin_s(len(timeseries), meta.step_s, MOST_POINTS)
        self.detail = f"{interval(self.width_s)} means"
        self.start = self.local.index[0]
        offset = self.start.strftime("%z")
        self.clock = f"Local time, UTC{offset[:3]}:{offset[3:]}"

    def figure(self, height: int, titles: list[str]) -> go.Figure:
        """Subplots under each other, with the titles of their value axes and one time axis."""
        figure = make_subplots(rows=len(titles), cols=1, shared_xaxes=True, vertical_spacing=0.06)
        figure.update_layout(**layout(height))
        for row, title in enumerate(titles, start=1):
            figure.update_yaxes(title=axis_title(title), row=row, automargin=True)
        figure.update_xaxes(type="date", tickformatstops=_TICKS, automargin=True)
        figure.update_xaxes(title=axis_title(self.clock), row=len(titles))
        return figure

    def _x(self, index: pd.Index[Any], width_s: float | None = None) -> dict[str, Any]:
        # start and spacing in place of one date per point: the file stays small
        first = self.start.tz_localize(None) + (index[0] - self.start)
        width = index[1] - index[0] if len(index) > 1 else pd.Timedelta(seconds=width_s or self.width_s)
        return {"x0": first.isoformat(), "dx": width / pd.Timedelta(milliseconds=1)}

    def line(
        self,
        figure: go.Figure,
        values: pd.Series[float],
        name: str,
        colour: str,
        unit: str,
        *,
        row: int = 1,
        legend: bool = True,
        look: Look = STEPS,
        width_s: float | None = None,
    ) -> None:
        """Draw values at equal distances of time; with `width_s`, that of one that is alone, s, the last is as wide."""
        heights = values.to_numpy(dtype=np.float32)
        if width_s is not None:
            heights = np.append(heights, heights[-1:])
        figure.add_scatter(
            **self._x(values.index, width_s),
            y=heights,
            name=name,
            mode="lines",
            line={"color": colour, "width": look.weight, "shape": look.shape},
            fill="tozeroy" if look.filled else None,
            fillcolor=_tint(colour) if look.filled else None,
            hovertemplate=f"%{{y:.4~g}} {unit}",
            legendgroup=name,
            showlegend=legend,
            row=row,
            col=1,
        )

    def stack(
        self,
        figure: go.Figure,
        frame: pd.DataFrame,
        names: Mapping[str, str],
        unit: str,
        *,
        row: int = 1,
        sign: float = 1.0,
        colours: Mapping[str, str] = COLOURS,
    ) -> None:
        """Pile up columns from zero, upwards or downwards; one that is zero throughout is left out."""
        for name, text in names.items():
            values = frame[name].fillna(0.0).to_numpy(dtype=np.float32)
            if not np.any(values > 0.0):
                continue
            figure.add_scatter(
                **self._x(frame.index),
                y=np.where(values > 0.0, sign * values, 0.0).astype(np.float32),
                name=text,
                mode="lines",
                line={"width": 0, "shape": "hv", "color": colours[name]},
                fillcolor=colours[name],
                stackgroup=f"{row}{'+' if sign > 0 else '-'}",
                hovertemplate=f"%{{y:.4~g}} {unit}",
                row=row,
                col=1,
            )


_TICKS = [
    {"dtickrange": [None, 60_000], "value": "%H:%M:%S"},
    {"dtickrange": [60_000, 43_200_000], "value": "%H:%M\n%a %d %b"},
    {"dtickrange": [43_200_001, "M1"], "value": "%a %d\n%b %Y"},
    {"dtickrange": ["M1", None], "value": "%b\n%Y"},
]


def layout(height: int) -> dict[str, Any]:
    """Layout of every chart."""
    return {
        "height": height,
        "template": "none",
        "margin": {"l": 64, "r": 12, "t": 34, "b": 52},
        "font": {"family": "system-ui, -apple-system, Segoe UI, Roboto, sans-serif", "size": 12},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "hovermode": "x unified",
        "legend": {"orientation": "h", "x": 0, "y": 1.01, "yanchor": "bottom", "traceorder": "normal"},
    }


def axis_title(text: str) -> dict[str, Any]:
    """Title of an axis."""
    return {"text": text, "standoff": 10, "font": {"size": 12.5, "color": COLOURS["grid"]}}


def _tint(colour: str) -> str:
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.2)"
