"""The interactive charts of the report, as plotly figures with plain arrays in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from simulators.recorder.summary import latencies
from simulators.report import series
from simulators.report.canvas import interval
from simulators.report.labels import COLOURS, SHARE_SCALE, RunMeta, mass_unit, power_unit

MOST_POINTS = 2100  # a week of 5-minute means: enough to zoom into an hour, small enough for a browser


class Charts:
    """Every chart of one run, drawn from means over one interval.

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

    def power_balance(self) -> go.Figure:
        """Supply stacked up to the load, the rest below zero."""
        flows = series.means(series.power_flows(self.local), self.width_s)
        factor, unit = power_unit(float(flows.to_numpy().max()))
        flows = flows * factor
        figure = self._figure(430, [f"Power ({unit})"])
        self._stack(figure, flows, series.SUPPLY, unit)
        self._stack(figure, flows, series.SURPLUS, unit, sign=-1.0)
        self._line(figure, flows["load"], "Load", COLOURS["ink"], unit)
        return figure

    def battery(self) -> go.Figure:
        """State of charge over the power in and out."""
        thin = series.means(self.local[["soc", "charge_mw", "discharge_mw"]], self.width_s)
        factor, unit = power_unit(float(thin[["charge_mw", "discharge_mw"]].to_numpy().max()))
        figure = self._figure(400, ["State of charge (%)", f"Power ({unit})"])
        self._line(
            figure, thin["soc"] * 100, "State of charge", COLOURS["battery"], "%", fill=True, shape="linear"
        )
        powers = pd.DataFrame({"battery": thin["discharge_mw"], "charge": thin["charge_mw"]}) * factor
        self._stack(figure, powers, {"battery": "Discharge"}, unit, row=2)
        self._stack(figure, powers, {"charge": "Charge"}, unit, row=2, sign=-1.0)
        figure.update_yaxes(range=[0, 101], row=1)
        return figure

    def carbon(self) -> go.Figure:
        """Intensity, emission rate, and the sum with and without own generation."""
        flows = series.means(series.carbon_flows(self.local, self.meta.step_s), self.width_s)
        rate, rate_unit = mass_unit(float(flows["rate_without"].max()))
        total, unit = mass_unit(float(flows["total_without"].max()))
        figure = self._figure(560, ["gCO₂eq/kWh", f"{rate_unit} CO₂eq per hour", f"{unit} CO₂eq in total"])
        self._line(figure, flows["intensity"], "Grid's carbon intensity", COLOURS["blue"], "gCO₂eq/kWh")
        without = "Everything from the grid"
        self._line(figure, flows["rate_without"] * rate, without, COLOURS["grid"], f"{rate_unit}/h", row=2)
        self._line(
            figure, flows["rate"] * rate, "This run", COLOURS["carbon"], f"{rate_unit}/h", row=2, fill=True
        )
        for name, colour, text in (
            ("total_without", COLOURS["grid"], without),
            ("total", COLOURS["carbon"], "This run"),
        ):
            self._line(figure, flows[name] * total, text, colour, unit, row=3, shape="linear", legend=False)
        figure.update_yaxes(rangemode="tozero")
        return figure

    def coverage(self) -> go.Figure:
        """Share of each hour's load covered by own supply."""
        matrix = series.coverage(self.local)
        days = [f"{day:%a %d %b %y}" for day in matrix.columns]
        figure = go.Figure(
            go.Heatmap(
                z=np.round(matrix.to_numpy(dtype=np.float64) * 100, 1),
                x=days,
                y=[f"{hour:02d}:00" for hour in range(24)],
                zmin=0,
                zmax=100,
                colorscale=list(SHARE_SCALE),
                xgap=2 if len(days) <= 31 else 0,
                ygap=1 if len(days) <= 31 else 0,
                hoverongaps=False,
                hovertemplate="%{x}, %{y}<br>%{z:.0f} % covered<extra></extra>",
                colorbar={"ticksuffix": " %", "thickness": 12, "outlinewidth": 0, "title": {"text": ""}},
            )
        )
        figure.update_layout(**_layout(400))
        figure.update_yaxes(
            autorange="reversed",
            dtick=3,
            title=_title(f"Hour of day ({self.meta.timezone})"),
            automargin=True,
        )
        figure.update_xaxes(nticks=10, showgrid=False, type="category", automargin=True)
        return figure

    def latency(self, requests: pd.DataFrame) -> go.Figure:
        """Distributions of TTFT, TPOT and time to completion, on one logarithmic axis."""
        spread = latencies(requests)
        figure = go.Figure()
        shares = np.concatenate((np.linspace(0, 95, 191), np.linspace(95, 100, 101)))
        for name, colour, text in (
            ("tpot_s", COLOURS["battery"], "Time per output token"),
            ("ttft_s", COLOURS["blue"], "Time to first token"),
            ("e2e_s", COLOURS["carbon"], "Release to completion"),
        ):
            values = spread[name].to_numpy()
            values = values[values > 0.0]  # NaN is not; the axis is logarithmic
            if len(values):
                figure.add_scatter(
                    x=np.percentile(values, shares).astype(np.float32),
                    y=shares.astype(np.float32),
                    name=text,
                    line={"color": colour, "width": 2},
                    hovertemplate="%{y:.1f} % within %{x:.3g} s",
                )
        figure.update_layout(**_layout(340))
        figure.update_xaxes(type="log", title=_title("Seconds"), dtick=1, tickformat="~g", showgrid=True)
        figure.update_yaxes(range=[0, 101], title=_title("Requests (%)"))
        return figure

    def latency_over_time(self, requests: pd.DataFrame) -> go.Figure:
        """Percentiles of the time to first token and to completion, by hour or day of arrival."""
        spread = latencies(requests)
        width_s = 3600 if len(self.local) * self.meta.step_s <= 31 * 86_400 else 86_400
        figure = self._figure(420, ["TTFT (s)", "To completion (s)"])
        for row, name in enumerate(("ttft_s", "e2e_s"), start=1):
            over = series.over_time(spread[name], requests["arrived_at"], self.start, width_s)
            for share, colour in (
                ("p99", COLOURS["carbon"]),
                ("p95", COLOURS["pv"]),
                ("p50", COLOURS["blue"]),
            ):
                self._line(figure, over[share], share, colour, "s", row=row, legend=row == 1, width_s=width_s)
        figure.update_yaxes(rangemode="tozero")
        return figure

    def traffic(self) -> go.Figure:
        """Requests coming and going, and those in the system."""
        thin = series.means(self.local[[name for name in series.TRAFFIC if name in self.local]], self.width_s)
        figure = self._figure(440, ["Requests per second", "Requests in the system"])
        rates = {"arrived": COLOURS["grid"], "completed": COLOURS["blue"], "rejected": COLOURS["carbon"]}
        for name, colour in rates.items():
            if name in thin and thin[name].any():
                rate, fill = thin[name] / self.meta.step_s, name == "arrived"
                self._line(figure, rate, name.capitalize(), colour, "1/s", fill=fill, weight=1.0)
        states = {"running": "Running", "waiting": "Waiting", "held": "Held by policy"}
        colours = {"running": COLOURS["blue"], "waiting": COLOURS["pv"], "held": COLOURS["export"]}
        present = {name: text for name, text in states.items() if name in thin}
        self._stack(figure, thin, present, "", row=2, colours=colours)
        return figure

    def network(self) -> go.Figure:
        """Lowest voltage and highest loading within each interval."""
        spans = self.local[series.NETWORK_COLUMNS].resample(
            pd.Timedelta(seconds=self.width_s), origin="start"
        )
        least, most = spans.min(), spans.max()
        figure = self._figure(420, ["Voltage (p.u.)", "Loading (%)"])
        self._line(figure, least["vm_pu"], "Lowest voltage", COLOURS["blue"], "p.u.")
        self._line(figure, most["line_loading_max_percent"], "Line", COLOURS["carbon"], "%", row=2)
        self._line(figure, most["trafo_loading_max_percent"], "Transformer", COLOURS["ink"], "%", row=2)
        figure.add_hline(100.0, line={"dash": "dash", "width": 1, "color": COLOURS["grid"]}, row=2, col=1)
        return figure

    def _figure(self, height: int, titles: list[str]) -> go.Figure:
        figure = make_subplots(rows=len(titles), cols=1, shared_xaxes=True, vertical_spacing=0.06)
        figure.update_layout(**_layout(height))
        for row, title in enumerate(titles, start=1):
            figure.update_yaxes(title=_title(title), row=row, automargin=True)
        figure.update_xaxes(type="date", tickformatstops=_TICKS, automargin=True)
        figure.update_xaxes(title=_title(self.clock), row=len(titles))
        return figure

    def _x(self, width_s: int) -> dict[str, Any]:
        # start and spacing in place of one date per point: the file stays small
        return {"x0": self.start.tz_localize(None).isoformat(), "dx": width_s * 1000.0}

    def _line(
        self,
        figure: go.Figure,
        values: pd.Series[float],
        name: str,
        colour: str,
        unit: str,
        *,
        row: int = 1,
        fill: bool = False,
        shape: str = "hv",
        legend: bool = True,
        width_s: int | None = None,
        weight: float = 1.6,
    ) -> None:
        figure.add_scatter(
            **self._x(width_s or self.width_s),
            y=values.to_numpy(dtype=np.float32),
            name=name,
            mode="lines",
            line={"color": colour, "width": weight, "shape": shape},
            fill="tozeroy" if fill else None,
            fillcolor=_tint(colour) if fill else None,
            hovertemplate=f"%{{y:.4~g}} {unit}",
            legendgroup=name,
            showlegend=legend,
            row=row,
            col=1,
        )

    def _stack(
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
        for name, text in names.items():
            values = frame[name].fillna(0.0).to_numpy(dtype=np.float32)
            if not np.any(values > 0.0):
                continue
            figure.add_scatter(
                **self._x(self.width_s),
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


def _layout(height: int) -> dict[str, Any]:
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


def _title(text: str) -> dict[str, Any]:
    return {"text": text, "standoff": 10, "font": {"size": 12.5, "color": COLOURS["grid"]}}


def _tint(colour: str) -> str:
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.2)"
